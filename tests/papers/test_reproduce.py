import re
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace

import pytest

from conftest import blobs, write_slices
from mrgantry.common.errors import DataError, DivergedError, RecipeError, RunError
from mrgantry.common.files import read_json, write_json
from mrgantry.common.provenance import command_line
from mrgantry.data.slices import SliceSet, read_about
from mrgantry.papers import STUDIES, delplace2020, find_study, han2018, kazuhiro2018
from mrgantry.papers.begin import claim
from mrgantry.papers.reproduce import amount, reproduce, steps
from mrgantry.papers.reproduction import SCALES, Changes, Reproduction
from mrgantry.papers.results import plan_changes, remarks
from mrgantry.papers.work import Work, blocks_of, complete

module = sys.modules["mrgantry.papers.reproduce"]


class TestTheFourStudiesAreComplete:
    def test_their_models(self):
        counts = {name: len(study.models()) for name, study in STUDIES.items()}
        assert counts == {
            "han2018": 12,
            "han2018-pggan": 2,
            "kazuhiro2018": 1,
            "delplace2020": 15,
        }

    def test_han2018_has_six_types_of_images_under_two_networks(self):
        study = find_study("han2018")
        assert [one.label for one in study.image_types] == [
            "T1 128", "T1c 128", "T2 128", "FLAIR 128", "Concat 128", "Concat 64"
        ]  # fmt: skip
        assert {model.recipe.name for _, model in study.models()} == {
            "han2018-dcgan-128", "han2018-wgan-128", "han2018-dcgan-64", "han2018-wgan-64"
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
        pairs = {(m.recipe.network.kind, m.recipe.loss.kind) for _, m in study.models()}
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
            assert paper == study
            for now, before in zip(paper.models(), study.models(), strict=True):
                assert now[1].trained.differences(before[1].recipe) in (
                    [], ["images was 503600, now 385300"]
                )  # fmt: skip

    def test_types_of_images_stay_apart_where_they_shrink(self):
        sizes = [one.plan.size for one in find_study("han2018").at("smoke").image_types]
        assert sizes == [64, 64, 64, 64, 64, 32]

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


class Verbs:
    """Stand-ins for the verbs: each leaves what tells that it was done, and is counted."""

    def __init__(self, monkeypatch, real, diverging=(), picky=(), unfit=()):
        self.calls, self.stop_at = [], None
        self.real, self.diverging, self.picky, self.unfit = real, diverging, picky, unfit
        for name in (
            "simulate", "prepare", "train", "sample", "select", "evaluate", "report", "create",
            "detect", "make_quiz",
        ):  # fmt: skip
            monkeypatch.setattr(module, name, self.counted(name))
        monkeypatch.setattr(module, "read_detection", self.read_detection)
        monkeypatch.setattr(module, "write_detection", self.write_detection)
        monkeypatch.setattr(module, "gather", lambda work: work)
        monkeypatch.setattr(module, "write_reproduction", lambda page, found: page.touch())

    def counted(self, name):
        def call(*args, **options):
            if len(self.calls) == self.stop_at:
                raise KeyboardInterrupt
            self.calls.append(name)
            return getattr(self, name)(*args, **options)

        return call

    def simulate(self, cohort, subjects, **options):
        cohort.mkdir()
        (cohort / "preview.png").touch()

    def prepare(self, cohort, slices, plan):
        subjects = [f"s{number // 4}" for number in range(96)]
        splits = ["train"] * 40 + ["validation"] * 8 + ["test"] * 48
        write_slices(slices, blobs(96), subjects, splits, tumour=["yes", "no"] * 48)

    def train(self, slices, run, recipe, *, only=()):
        if run.name in self.diverging:
            raise DivergedError("Training stopped.")
        run.mkdir(parents=True, exist_ok=True)

    def sample(self, run, synthetic, count):
        seed = sum(map(ord, synthetic.name))
        made(synthetic, 40, seed, "no" if "non" in synthetic.name else "yes")

    def select(self, slices, out, against, *, only):
        if slices.name in self.picky:
            raise DataError("Not one is plausible.")
        made(out, 38, 0, "no" if "non" in slices.name else "yes")

    def evaluate(self, real, out, synthetic, **options):
        if out.parent.name in self.unfit:
            raise DataError("Too few images.")
        marks = [read_about(one).fingerprint for one in synthetic]
        write_json(out / "evaluation.json", {"synthetic": [{"fingerprint": m} for m in marks]})
        write_json(out / "scores.json", [])

    def report(self, page, folders):
        page.touch()

    def detect(self, real, out, synthetic, **options):
        write_json(out / "detection.json", [read_about(one).fingerprint for one in synthetic])

    def make_quiz(self, out, blocks, **options):
        out.touch()

    def write_detection(self, out, found, printed):
        (out / "detection.html").touch()

    def read_detection(self, out):
        marks = read_json(out / "detection.json")
        return SimpleNamespace(synthetic=[SimpleNamespace(fingerprint=mark) for mark in marks])

    def create(self, out, protocol, blocks, readers, **options):
        self.blocks, self.readers = blocks, readers
        write_json(out / "study.json", {})


def made(folder, count, seed, tumour):
    """Write synthetic images of one label."""
    images, tumours = blobs(count, seed=seed), [tumour] * count
    write_slices(folder, images, ["g"] * count, [""] * count, synthetic=True, tumour=tumours)


def smoke(name):
    return find_study(name).at("smoke")


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
    counts = [Counter(one for one in found.calls if one != "train") for found in (verbs, whole)]
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
    names = [one.name for one in verbs.blocks]
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


def test_readers_get_codes_with_the_groups_of_the_paper(tmp_path, monkeypatch):
    verbs = Verbs(monkeypatch, tmp_path)
    reproduce(smoke("kazuhiro2018"), tmp_path / "out", say=lambda _: None)
    assert [reader.name for reader in verbs.readers] == ["R1", "R2", "R3", "R4", "R5"]
    printed = [row.group for row in kazuhiro2018.PRINTED.rows]
    assert [reader.group for reader in verbs.readers] == printed
    assert {reader.years for reader in verbs.readers} == {None}  # theirs are not known yet


def test_another_study_or_scale_is_refused(tmp_path):
    claim(tmp_path / "out", smoke("han2018"), None)
    claim(tmp_path / "out", smoke("han2018"), None)
    with pytest.raises(RunError, match="begun with another scale and plan"):
        claim(tmp_path / "out", find_study("han2018").at("laptop"), None)
    with pytest.raises(RunError, match="begun with another study"):
        claim(tmp_path / "out", smoke("kazuhiro2018"), None)
    with pytest.raises(RunError, match="begun with another scans"):
        claim(tmp_path / "out", smoke("han2018"), tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").touch()
    with pytest.raises(RunError, match="is not empty"):
        claim(tmp_path / "other", smoke("han2018"), None)


def test_mending_a_sentence_leaves_a_run_in_progress_valid(tmp_path):
    study = smoke("han2018-pggan")
    claim(tmp_path / "out", study, None)
    words = study.model_dump()
    words |= {"title": "Other", "citation": "Other", "notes": ("Other.",)}
    words["reading"]["printed"][0]["notes"] = ("Other.",)
    words["reading"]["protocol"]["source"] = "Other"
    words["detection"]["printed"]["rows"][0]["accuracy"] = 50.0
    words["image_types"][0]["label"] = words["image_types"][0]["models"][0]["label"] = "Other"
    claim(tmp_path / "out", Reproduction.of(words, "study"), None)
    for key, part in (("cases", "reading"), ("seeds", "detection")):
        other = study.model_dump()
        (other[part].get("protocol") or other[part])[key] = 7
        with pytest.raises(RunError, match="begun with another plan"):
            claim(tmp_path / "out", Reproduction.of(other, "study"), None)


# --- scans of one's own, and what can fail ---------------------------------------------


def quiet(_):
    pass


def test_a_page_comes_though_measuring_fails(tmp_path, monkeypatch):
    Verbs(monkeypatch, tmp_path, unfit=("t1",))
    reproduce(smoke("kazuhiro2018"), tmp_path / "out", say=quiet)
    work = Work(smoke("kazuhiro2018"), tmp_path / "out", None)
    assert list(remarks(work)) == ["Not measured: DCGAN. Too few images."]
    Verbs(monkeypatch, tmp_path)
    reproduce(smoke("kazuhiro2018"), tmp_path / "out", say=quiet)
    assert list(remarks(work)) == []


@pytest.mark.parametrize("error", [DataError, RecipeError, RunError])
def test_a_page_comes_though_detection_fails(tmp_path, monkeypatch, error):
    def detect(*args, **options):
        raise error("It is so.")

    Verbs(monkeypatch, tmp_path)
    monkeypatch.setattr(module, "detect", detect)
    page = reproduce(smoke("han2018-pggan"), tmp_path / "out", say=quiet)
    work = Work(smoke("han2018-pggan"), tmp_path / "out", None)
    assert page.is_file()
    assert list(remarks(work)) == ["The detection experiment was not made. It is so."]


def test_an_unfit_block_is_left_out_with_its_reason(tmp_path, monkeypatch):
    verbs = Verbs(monkeypatch, tmp_path)
    monkeypatch.setattr(
        verbs, "sample", lambda run, out, count: made(out, 9 if "t2" in out.name else 40, 0, "yes")
    )
    reproduce(smoke("han2018"), tmp_path / "out", say=quiet)
    names = {"T2 DCGAN 128", "T2 WGAN 128"}
    assert len(verbs.blocks) == 10 and names.isdisjoint(one.name for one in verbs.blocks)
    work = Work(smoke("han2018"), tmp_path / "out", None)
    told = [one for one in remarks(work) if "The reader study lacks the block T2" in one]
    assert len(told) == 2 and "10" in told[0]


def test_without_any_block_there_is_no_reader_study(tmp_path, monkeypatch):
    verbs = Verbs(monkeypatch, tmp_path, diverging=("dcgan",))
    reproduce(smoke("kazuhiro2018"), tmp_path / "out", say=quiet)
    assert "create" not in verbs.calls
    told = list(remarks(Work(smoke("kazuhiro2018"), tmp_path / "out", None)))
    assert "The reader study was not made. None of its blocks can be read." in told


def test_too_few_held_out_people_are_told_before_training(tmp_path, monkeypatch):
    verbs, held_out = Verbs(monkeypatch, tmp_path), 12

    def prepare(cohort, slices, plan):
        people = [f"s{number // 4}" for number in range(40)]
        splits = ["train"] * (40 - held_out) + ["test"] * held_out
        write_slices(slices, blobs(40), people, splits, tumour=["yes", "no"] * 20)

    monkeypatch.setattr(verbs, "prepare", prepare)
    for _ in range(2):  # also when it is called again
        with pytest.raises(DataError, match=r"3 subject.*Nothing is trained yet.*--splits"):
            reproduce(smoke("kazuhiro2018"), tmp_path / "out", say=quiet)
    held_out = 16
    with pytest.raises(DataError, match=r"validation.*Nothing is trained yet"):
        reproduce(smoke("han2018-pggan"), tmp_path / "other", say=quiet)
    assert "train" not in verbs.calls


@pytest.fixture
def scans(tmp_path, monkeypatch):
    """Scans of two people whose grade nobody has written down."""
    for name in ("one", "two"):
        for word in ("t1", "t1c", "t2", "flair"):
            path = tmp_path / "scans" / name / f"{name}_{word}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return tmp_path / "scans"


def test_scans_without_a_grade_can_be_taken(scans, tmp_path, monkeypatch):
    Verbs(monkeypatch, tmp_path)
    with pytest.raises(DataError, match=r"meets grade=HGG.*--where name=value.*--where ''"):
        reproduce(smoke("han2018-pggan"), tmp_path / "out", scans=scans, say=quiet)
    assert not (tmp_path / "out").exists()
    study = smoke("han2018-pggan").changed(Changes(where=(), splits=(0.5, 0.1, 0.4)))
    reproduce(study, tmp_path / "out", scans=scans, say=quiet)
    assert study.image_types[0].plan.where == ()
    with pytest.raises(RunError, match="another splits and plan"):
        other = smoke("han2018-pggan").changed(Changes(where=(), splits=(0.6, 0.0, 0.4)))
        claim(tmp_path / "out", other, scans)
    scans.rename(tmp_path / "away")  # a disk that is not there any more
    reproduce(study, tmp_path / "out", scans=scans, say=quiet)


def test_how_much_there_is_to_do_is_said_before():
    assert amount(smoke("kazuhiro2018")) == (
        "1 network to train on 4,800 images, and less than 0.1 GB of images to draw"
    )
    # 2 networks draw 10,000 images of 256 x 256 pixels of 2 bytes each.
    assert amount(find_study("han2018-pggan")) == (
        "2 networks to train on 385,300 to 503,600 images each, and 2.6 GB of images to draw"
    )


def test_changes_read_as_the_options_that_make_them():
    changes = Changes(where=(), tumour_labels="*lesion*", splits=(0.5, 0.0, 0.5))
    assert command_line("reproduce", "han2018", **changes.options()) == (
        "mrgantry reproduce han2018 --where '' --tumour-labels '*lesion*' --splits 0.5:0:0.5"
    )
    assert command_line("reproduce", **Changes(where=("grade=LGG",)).options()).endswith(
        "--where grade=LGG"
    )
    assert command_line("reproduce", **Changes().options()) == "mrgantry reproduce"


@pytest.mark.parametrize(
    ("name", "changes", "key", "sentence"),
    [
        ("han2018", {"where": ()}, None, "scans of your own"),
        ("han2018", {"tumour_labels": "*x*"}, None, "scans of your own"),
        ("han2018", {"weights": "scratch"}, None, "no detection experiment"),
        ("delplace2020", {}, Path("key.csv"), "no reader study"),
    ],
)
def test_options_without_use_are_refused(tmp_path, name, changes, key, sentence):
    study = smoke(name).changed(Changes(**changes))
    with pytest.raises(RecipeError, match=sentence):
        reproduce(study, tmp_path / "out", key=key, say=quiet)
    assert not (tmp_path / "out").exists()


def test_published_weights_are_fetched_first(tmp_path, monkeypatch):
    def offline(file, url, sha256):
        raise DataError(f"{file} cannot be fetched.")

    verbs = Verbs(monkeypatch, tmp_path)
    monkeypatch.setattr(sys.modules["mrgantry.papers.begin"], "fetched", offline)
    study = find_study("han2018-pggan")
    with pytest.raises(DataError, match="resnet50-imagenet.*--weights scratch"):
        reproduce(study, tmp_path / "out", say=quiet)
    assert not verbs.calls and not (tmp_path / "out").exists()
    scratch = study.changed(Changes(weights="scratch"))
    assert scratch.detection.training.weights == "scratch"
    reproduce(scratch, tmp_path / "out", say=quiet)


# --- for a user's patience ------------------------------------------------------------


def run(name, out):
    words = [sys.executable, "-m", "mrgantry", "reproduce", name, str(out), "--scale", "smoke"]
    return subprocess.Popen(words, stderr=subprocess.PIPE, text=True)


def text_of(page, folder):
    """Give a page without what may differ: times, and its own folder."""
    text = re.sub(r'<td class="ours timed".*?</td>', "", page.read_text(), flags=re.DOTALL)
    return text.replace(str(folder), "OUT")


def failures(out):
    """List the steps that left a reason in place of a result."""
    return [*map(str, out.rglob("*-not-made.json")), *map(str, out.rglob("*-failed.json"))]


def empty_cells(page):
    """List the rows in which a cell of this run holds no value; readers are still to come."""
    rows = re.findall(r"<tr>.*?</tr>", page, re.DOTALL)
    return [row for row in rows if re.search(r'<td(?: class="(?:n )?ours")?>\s*–\s*</td>', row)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["han2018", "han2018-pggan", "delplace2020"])
def test_a_whole_study_at_smoke_scale(name, tmp_path):
    process = run(name, tmp_path / "out")
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert "Traceback" not in said and "Open " in said
    page = (tmp_path / "out/report.html").read_text()
    study = smoke(name)
    assert "Simulated data." in page and study.scale_of("smoke").limits in page
    for _, model in study.models():
        assert f">{model.label}</a>" in page
    assert 'src="http' not in page
    for link in set(re.findall(r'href="([^"#]+)"', page)):
        assert (tmp_path / "out" / link).is_file()
    assert not failures(tmp_path / "out")
    if study.reading:
        assert (tmp_path / "out/study/study.json").is_file() and "not read yet" in page
    assert (tmp_path / "out/detection/detection.json").is_file() == bool(study.detection)
    assert not empty_cells(page)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_again_and_again_it_gives_the_same_page(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    once = run("kazuhiro2018", whole)
    once.communicate()
    assert once.returncode == 0 and not failures(whole)
    for sign in ("cohort/*/*/subject.json", "t1/runs/dcgan/state.pt", "t1/scores/pictures.npz"):
        process = run("kazuhiro2018", parts)
        while process.poll() is None and not list(parts.glob(sign)):
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    process = run("kazuhiro2018", parts)
    process.communicate()
    assert process.returncode == 0
    assert text_of(parts / "report.html", parts) == text_of(whole / "report.html", whole)


def kill_when(out, begun):
    """Run han2018-pggan and kill it as soon as something is so."""
    process = run("han2018-pggan", out)
    while process.poll() is None and not begun():
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_while_selecting_and_detecting_it_is_complete_in_the_end(tmp_path):
    out = tmp_path / "out"
    work = Work(smoke("han2018-pggan"), out, None)
    (one,) = work.study.image_types
    first, second = one.models

    def decided(model):  # networks so small may have no plausible image: that is noted
        return complete(work.selected(one, model)) or work.rejected(one, model).is_file()

    kill_when(out, lambda: decided(first))
    assert not decided(second)
    kill_when(out, lambda: any(out.glob("detection/parts/*.json")))
    parts = {path: path.read_bytes() for path in out.glob("detection/parts/*.json")}
    assert not (out / "detection/detection.json").is_file()
    process = run("han2018-pggan", out)
    process.communicate()
    assert process.returncode == 0 and not failures(out)
    assert all(path.read_bytes() == before for path, before in parts.items())
    for model in one.models:
        assert decided(model)
        assert len(SliceSet.open(work.synthetic(one, model))) == work.study.samples
    asked = work.study.detection
    assert len(list(out.glob("detection/parts/*.json"))) == 4 * asked.seeds * len(asked.ratios)
    assert (out / "detection/detection.json").is_file() and (out / "study/study.json").is_file()
    assert not empty_cells((out / "report.html").read_text())
