import sys
from collections import Counter
from itertools import groupby

import pytest

from conftest import blobs, write_slices
from mrgantry.common.errors import DataError, RecipeError, RunError
from mrgantry.common.files import read_json
from mrgantry.papers import STUDIES, delplace2020, find_study, han2018, kazuhiro2018
from mrgantry.papers.reproduction import SCALES
from mrgantry.workflows.begin import claim_folder
from mrgantry.workflows.reproduce import amount, reproduce, steps
from mrgantry.workflows.results import ablation_command, plan_changes
from mrgantry.workflows.work import Work, blocks_of
from verbs import Verbs, made, quiet, smoke

module = sys.modules["mrgantry.workflows.reproduce"]


class TestTheFourStudiesAreComplete:
    def test_their_models(self):
        counts = {name: len(study.models()) for name, study in STUDIES.items()}
        assert counts == {
            "han2018": 18,
            "han2018-pggan": 2,
            "kazuhiro2018": 2,
            "delplace2020": 16,
        }

    def test_han2018_has_six_types_of_images_under_two_networks_and_a_stable_one(self):
        study = find_study("han2018")
        assert [image_type.label for image_type in study.image_types] == [
            "T1 128", "T1c 128", "T2 128", "FLAIR 128", "Concat 128", "Concat 64"
        ]  # fmt: skip
        assert {model.recipe.name for _, model in study.models()} == {
            "han2018-dcgan-128", "han2018-wgan-128", "han2018-wgan-128-stable",
            "han2018-dcgan-64", "han2018-wgan-64", "han2018-wgan-64-stable",
        }  # fmt: skip
        printed = [row.label for row in han2018.PRINTED.rows]
        assert [block.name for block in study.reading.blocks] == printed
        labels = {model.name: model.label for _, model in study.models()}
        assert [labels[block.models[0]] for block in study.reading.blocks] == printed

    def test_pggan_trains_on_either_half_of_the_slices(self):
        study = find_study("han2018-pggan")
        lengths = {model.only[0]: model.trained.images for _, model in study.models()}
        assert lengths == {"tumour=yes": 503_600, "tumour=no": 385_300}
        assert study.selected

    def test_kazuhiro2018_has_five_readers_in_two_groups(self):
        seats = find_study("kazuhiro2018").reading.seats
        assert [seat.group for seat in seats] == [row.group for row in kazuhiro2018.PRINTED.rows]

    def test_delplace2020_has_every_loss_under_every_network(self):
        study = find_study("delplace2020")
        printed = [model for _, model in study.models() if model.name != "style"]
        pairs = {(m.recipe.network.kind, m.recipe.loss.kind) for m in printed}
        assert len(pairs) == 15
        labels = {model.label for _, model in study.models()}
        printed = dict(delplace2020.MEASURES.rows)
        assert printed["Training data"] == (0.739, 409, 15)
        assert printed.keys() - labels == {"Training data"}
        assert study.samples == 11_328

    @pytest.mark.parametrize("name", STUDIES)
    @pytest.mark.parametrize("scale", SCALES)
    def test_every_recipe_fits_its_slices_at_every_scale(self, name, scale):
        study = find_study(name).at(scale)
        assert study.scale == scale and study.scale_of(scale).limits.endswith(".")
        for one, model in study.models():
            recipe = model.trained
            assert recipe.size == one.plan.size
            if scale == "smoke":  # no other change of a network's widths is made
                recipe.network.generator(recipe.size, 1)
                recipe.network.critic(recipe.size, 1)
        names = [model.name for _, model in study.models()]
        assert len(set(names)) == len(names)

    def test_the_paper_scale_is_the_paper(self):
        for study in STUDIES.values():
            paper = study.at("paper")
            if study.study == "han2018":  # whose stable networks are for the laptop
                assert len(list(paper.models())) == 12
            else:
                assert paper == study
            recipes = {model.name: model.recipe for _, model in study.models()}
            for _, now in paper.models():
                assert now.trained.differences(recipes[now.name]) in (
                    [], ["images was 503600, now 385300"]
                )  # fmt: skip

    def test_types_of_images_stay_apart_where_they_shrink(self):
        sizes = [
            image_type.plan.size for image_type in find_study("han2018").at("smoke").image_types
        ]
        assert sizes == [64, 64, 64, 64, 64, 32]

    def test_a_laptop_trains_fewer_models_and_readers_see_theirs(self):
        study = find_study("han2018").at("laptop")
        assert [image_type.name for image_type in study.image_types] == ["t1-128", "concat-128"]
        assert [model.label for _, model in study.models()] == [
            "T1 DCGAN 128", "T1 WGAN 128", "T1 Stable WGAN 128",
            "Concat DCGAN 128", "Concat WGAN 128", "Concat Stable WGAN 128",
        ]  # fmt: skip
        assert {block.name for block in study.reading.blocks} == {
            model.label for _, model in study.models() if "Stable" not in model.label
        }
        shown = {name for block in study.reading.blocks for name in block.models}
        assert "t1-128-wgan-stable" in shown and "t1-128-wgan" not in shown
        assert [model.name for _, model in find_study("delplace2020").at("laptop").models()] == [
            "dcgan-dragan", "srresnet-dragan", "progan-wgangp", "style"
        ]  # fmt: skip

    def test_models_of_a_scale_are_models_of_the_paper(self):
        for study in STUDIES.values():
            known = {model.name for _, model in study.models()}
            assert all(known.issuperset(scale.models) for scale in study.scales)

    def test_what_changes_with_the_scale_is_listed(self):
        before = find_study("kazuhiro2018").image_types[0].plan
        now = find_study("kazuhiro2018").at("smoke").image_types[0].plan
        assert "size was 128, now 64" in plan_changes(now, before)

    def test_unknown_names_are_told(self):
        with pytest.raises(RecipeError, match="Did you mean 'han2018'"):
            find_study("han218")
        with pytest.raises(RecipeError, match="Did you mean 'laptop'"):
            find_study("han2018").at("laptp")


# --- going on -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["han2018-pggan", "kazuhiro2018"])
def test_it_goes_on_where_it_stopped(name, tmp_path, monkeypatch):
    whole = Verbs(monkeypatch, tmp_path)
    reproduce(smoke(name), tmp_path / "whole", say=lambda _: None)
    verbs, said = Verbs(monkeypatch, tmp_path), []
    for stop in (3, 7, len(whole.calls) - 1):
        verbs.stop_at = min(stop, len(whole.calls) - 1)
        with pytest.raises(KeyboardInterrupt):
            reproduce(smoke(name), tmp_path / "parts", say=said.append)
    verbs.stop_at = None
    reproduce(smoke(name), tmp_path / "parts", say=said.append)
    # Nothing twice, nothing left out; but a run is asked whether it is whole until it is sampled.
    assert [name for name, _ in groupby(verbs.calls)] == [name for name, _ in groupby(whole.calls)]
    counts = [Counter(call for call in found.calls if call != "train") for found in (verbs, whole)]
    assert counts[0] == counts[1]
    done = len(verbs.calls)
    again = []
    reproduce(smoke(name), tmp_path / "parts", say=again.append)
    assert len(verbs.calls) == done and len(again) == 1  # but the page
    total = len(list(steps(Work(smoke(name), tmp_path / "parts", None), quiet))) + 1
    assert said[0].endswith(" GB of images to draw")
    assert said[1].startswith(f"1/{total}  Simulating")
    assert again[-1].startswith(f"{total}/{total}  Writing")


def test_what_diverges_is_noted_and_stops_nobody(tmp_path, monkeypatch):
    verbs = Verbs(monkeypatch, tmp_path, diverging=("t2-128-wgan",))
    reproduce(smoke("han2018"), tmp_path / "out", say=lambda _: None)
    assert verbs.calls.count("train") == 12 and verbs.calls.count("sample") == 11
    names = [block.name for block in verbs.blocks]
    assert len(names) == 11 and "T2 WGAN 128" not in names
    work = Work(smoke("han2018"), tmp_path / "out", None)
    reasons = {sources.name: reason for sources, reason in blocks_of(work) if reason}
    assert reasons == {"T2 WGAN 128": "T2 WGAN 128 diverged."}
    reproduce(smoke("han2018"), tmp_path / "out", say=lambda _: None)
    assert verbs.calls.count("train") == 12  # what failed once is not tried again


def test_where_a_rule_leaves_nothing_all_images_are_used(tmp_path, monkeypatch):
    verbs = Verbs(monkeypatch, tmp_path, picky=("tumour",))
    reproduce(smoke("han2018-pggan"), tmp_path / "out", say=lambda _: None)
    work = Work(smoke("han2018-pggan"), tmp_path / "out", None)
    assert [place.name for place in verbs.blocks[0].synthetic] == ["tumour", "non-tumour-selected"]
    reason = read_json(tmp_path / "out/t1c/synthetic/tumour-not-selected.json")["reason"]
    assert reason == "Not one is plausible."
    (one,) = work.study.image_types
    assert [len(work.sets(one, model)) for model in one.models] == [1, 2]
    assert [reader.name for reader in verbs.readers] == ["R1"]
    assert verbs.selected_label == "tumour"


def test_where_a_rule_leaves_too_few_all_images_are_used(tmp_path, monkeypatch):
    work = Work(smoke("han2018-pggan"), tmp_path, None)
    (one,) = work.study.image_types
    tumour, other = one.models
    assert work.fewest == 12
    for model, left in ((tumour, 11), (other, 12)):
        for place, count in ((work.synthetic(one, model), 16), (work.selected(one, model), left)):
            made(place, count, 0, "yes")
    assert [work.used(one, model).name for model in one.models] == ["tumour", "non-tumour-selected"]
    reason = "The rule has left 11 images, and 12 are needed."
    assert [work.unselected(one, model) for model in one.models] == [reason, ""]


def test_the_quiz_speaks_as_the_paper_does(tmp_path, monkeypatch):
    verbs = Verbs(monkeypatch, tmp_path)
    reproduce(smoke("kazuhiro2018"), tmp_path / "out", say=quiet)
    assert (verbs.quiz["title"], verbs.quiz["synthetic_word"]) == ("Real or created?", "created")


def test_own_epochs_are_passes_over_the_slices_trained_on(tmp_path):
    study = find_study("han2018-pggan").read_as(["own-epochs"])
    work = Work(study, tmp_path, None)
    (one,) = study.image_types
    people = [f"s{number // 4}" for number in range(24)]
    splits = ["train"] * 16 + ["test"] * 8
    tumour = ["yes", "no", "no", "no"] * 6
    write_slices(work.slices(one), blobs(24), people, splits, tumour=tumour)
    lengths = [work.recipe(one, model).images for model in one.models]
    assert lengths == [100 * 4, 100 * 12]
    assert amount(study).startswith("2 networks to train on 100 epochs each")
    # Of volumes that training draws poses from, an epoch is as many as the paper counts of each.
    posed = find_study("kazuhiro2018").read_as(["own-epochs"])
    (kind,) = posed.image_types
    volumes = Work(posed, tmp_path / "posed", None)
    write_slices(volumes.slices(kind), blobs(24), people, splits)
    assert volumes.recipe(kind, kind.models[0]).images == 35 * 4 * 24_255
    paper = Work(find_study("han2018-pggan"), tmp_path, None)
    assert [paper.recipe(one, model).images for model in one.models] == [503_600, 385_300]


def test_readers_get_codes_with_the_groups_of_the_paper(tmp_path, monkeypatch):
    verbs = Verbs(monkeypatch, tmp_path)
    reproduce(smoke("kazuhiro2018"), tmp_path / "out", say=lambda _: None)
    assert [reader.name for reader in verbs.readers] == ["R1", "R2", "R3", "R4", "R5"]
    printed = [row.group for row in kazuhiro2018.PRINTED.rows]
    assert [reader.group for reader in verbs.readers] == printed
    assert {reader.years for reader in verbs.readers} == {None}  # theirs are not known yet


def imported(folder, size=32, synthetic=False):
    """Write slices that are a user's own."""
    people = [f"s{number // 4}" for number in range(96)]
    splits = ["train"] * 48 + ["test"] * 48
    return write_slices(folder, blobs(96, size), people, splits, synthetic=synthetic).folder


def test_slices_of_ones_own_take_the_place_of_scans(tmp_path, monkeypatch):
    verbs = Verbs(monkeypatch, tmp_path)
    slices = imported(tmp_path / "pictures")
    reproduce(smoke("delplace2020"), tmp_path / "out", slices=slices, say=quiet)
    assert not {"simulate", "prepare"} & set(verbs.calls)
    assert verbs.calls.count("train") == verbs.calls.count("walk") == 16
    assert not (tmp_path / "out/t1/slices").exists()
    with pytest.raises(RunError, match="begun otherwise: (other )?slices"):
        reproduce(smoke("delplace2020"), tmp_path / "out", say=quiet)


@pytest.mark.parametrize(
    ("study", "size", "synthetic", "sentence"),
    [
        ("delplace2020", 16, False, "has 1 channel.* of 16 pixels, the scale smoke .* has .* 32"),
        ("delplace2020", 32, True, "A generator drew"),
        ("han2018", 32, False, "is not of one set of slices"),
        ("kazuhiro2018", 64, False, "is not of one set of slices"),
    ],
)
def test_slices_that_do_not_fit_are_refused(study, size, synthetic, sentence, tmp_path):
    slices = imported(tmp_path / "pictures", size, synthetic)
    with pytest.raises((RecipeError, DataError), match=sentence):
        reproduce(smoke(study), tmp_path / "out", slices=slices, say=quiet)
    assert not (tmp_path / "out").exists()


def test_the_command_of_the_ablations_fits_the_size_of_the_slices(tmp_path):
    small = ablation_command(Work(smoke("delplace2020"), tmp_path, None))
    assert "--set size=32" in small and "--recipe delplace2020-dcgan-dragan-64-noise" in small
    laptop = ablation_command(Work(find_study("delplace2020").at("laptop"), tmp_path, None))
    assert "--set" not in laptop and laptop.count("--recipe") == 12
    assert ablation_command(Work(smoke("han2018"), tmp_path, None)) == ""


def test_another_study_or_scale_is_refused(tmp_path):
    claim_folder(tmp_path / "out", smoke("han2018"), None)
    claim_folder(tmp_path / "out", smoke("han2018"), None)
    with pytest.raises(RunError, match="begun otherwise: scale .*plan"):
        claim_folder(tmp_path / "out", find_study("han2018").at("laptop"), None)
    with pytest.raises(RunError, match="begun otherwise: study"):
        claim_folder(tmp_path / "out", smoke("kazuhiro2018"), None)
    with pytest.raises(RunError, match="begun otherwise: .*scans"):
        claim_folder(tmp_path / "out", smoke("han2018"), tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").touch()
    with pytest.raises(RunError, match="is not empty"):
        claim_folder(tmp_path / "other", smoke("han2018"), None)
