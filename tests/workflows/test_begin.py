"""What is told before anything is trained, and what can fail without losing the page."""

import sys
from pathlib import Path

import pytest

from conftest import blobs, write_slices
from mrgantry.common.errors import DataError, RecipeError, RunError
from mrgantry.common.provenance import command_line
from mrgantry.papers import find_study
from mrgantry.papers.reproduction import Reproduction, UserChanges
from mrgantry.workflows.begin import claim_folder
from mrgantry.workflows.reproduce import amount, reproduce
from mrgantry.workflows.results import remarks
from mrgantry.workflows.work import Work
from verbs import Verbs, made, quiet, smoke

module = sys.modules["mrgantry.workflows.reproduce"]


def test_mending_a_sentence_leaves_a_run_in_progress_valid(tmp_path):
    study = smoke("han2018-pggan")
    claim_folder(tmp_path / "out", study, None)
    words = study.model_dump()
    words |= {"title": "Other", "citation": "Other", "notes": ("Other.",)}
    words["reading"]["printed"][0]["notes"] = ("Other.",)
    words["reading"]["protocol"]["source"] = "Other"
    words["detection"]["printed"]["rows"][0]["accuracy"] = 50.0
    words["image_types"][0]["label"] = words["image_types"][0]["models"][0]["label"] = "Other"
    claim_folder(tmp_path / "out", Reproduction.of(words, "study"), None)
    for key, part in (("cases", "reading"), ("seeds", "detection")):
        other = study.model_dump()
        (other[part].get("protocol") or other[part])[key] = 7
        with pytest.raises(RunError, match="begun otherwise: .*plan"):
            claim_folder(tmp_path / "out", Reproduction.of(other, "study"), None)


def test_a_page_comes_though_measuring_fails(tmp_path, monkeypatch):
    Verbs(monkeypatch, tmp_path, unfit=("t1",))
    reproduce(smoke("kazuhiro2018"), tmp_path / "out", say=quiet)
    work = Work(smoke("kazuhiro2018"), tmp_path / "out", None)
    assert list(remarks(work)) == ["Not measured: DCGAN, Stable DCGAN. Too few images."]
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
    assert len(verbs.blocks) == 10 and names.isdisjoint(block.name for block in verbs.blocks)
    work = Work(smoke("han2018"), tmp_path / "out", None)
    told = [remark for remark in remarks(work) if "The reader study lacks the block T2" in remark]
    assert len(told) == 2 and "10" in told[0]


def test_without_any_block_there_is_no_reader_study(tmp_path, monkeypatch):
    verbs = Verbs(monkeypatch, tmp_path, diverging=("dcgan", "dcgan-stable"))
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
    study = smoke("han2018-pggan").changed(UserChanges(where=(), splits=(0.5, 0.1, 0.4)))
    reproduce(study, tmp_path / "out", scans=scans, say=quiet)
    assert study.image_types[0].plan.where == ()
    with pytest.raises(RunError, match="splits was .* other plan"):
        other = smoke("han2018-pggan").changed(UserChanges(where=(), splits=(0.6, 0.2, 0.2)))
        claim_folder(tmp_path / "out", other, scans)
    scans.rename(tmp_path / "away")  # a disk that is not there any more
    reproduce(study, tmp_path / "out", scans=scans, say=quiet)


def test_how_much_there_is_to_do_is_said_before():
    assert amount(smoke("kazuhiro2018")) == (
        "2 networks to train on 640 images each, and less than 0.1 GB of images to draw"
    )
    # 2 networks draw 10,000 images of 256 x 256 pixels of 2 bytes each.
    assert amount(find_study("han2018-pggan")) == (
        "2 networks to train on 385,300 to 503,600 images each, and 2.6 GB of images to draw"
    )


def test_changes_read_as_the_options_that_make_them():
    changes = UserChanges(where=(), tumour_labels="*lesion*", splits=(0.5, 0.0, 0.5))
    assert command_line("reproduce", "han2018", **changes.options()) == (
        "mrgantry reproduce han2018 --where '' --tumour-labels '*lesion*' --splits 0.5:0:0.5"
    )
    assert command_line("reproduce", **UserChanges(where=("grade=LGG",)).options()).endswith(
        "--where grade=LGG"
    )
    assert command_line("reproduce", **UserChanges().options()) == "mrgantry reproduce"
    found = UserChanges(person="^([^/]+)/", series=("*mprage*",))
    assert command_line("reproduce", **found.options()).endswith("--series '*mprage*'")
    (plan, *_) = [t.plan for t in smoke("han2018").changed(found).image_types]
    assert plan.person == "^([^/]+)/" and plan.series == ("*mprage*",)


@pytest.mark.parametrize(
    ("name", "changes", "key", "sentence"),
    [
        ("han2018", {"where": ()}, None, "scans of your own"),
        ("han2018", {"tumour_labels": "*x*"}, None, "scans of your own"),
        ("han2018", {"person": "^([^/]+)/"}, None, "scans of your own"),
        ("han2018", {"series": ("*mprage*",)}, None, "scans of your own"),
        ("han2018", {"weights": "scratch"}, None, "no detection experiment"),
        ("delplace2020", {}, Path("key.csv"), "no reader study"),
    ],
)
def test_options_without_use_are_refused(tmp_path, name, changes, key, sentence):
    study = smoke(name).changed(UserChanges(**changes))
    with pytest.raises(RecipeError, match=sentence):
        reproduce(study, tmp_path / "out", key=key, say=quiet)
    assert not (tmp_path / "out").exists()


def test_published_weights_are_fetched_first(tmp_path, monkeypatch):
    def offline(file, url, sha256):
        raise DataError(f"{file} cannot be fetched.")

    verbs = Verbs(monkeypatch, tmp_path)
    monkeypatch.setattr(sys.modules["mrgantry.workflows.begin"], "fetched", offline)
    study = find_study("han2018-pggan")
    with pytest.raises(DataError, match="resnet50-imagenet.*--weights scratch"):
        reproduce(study, tmp_path / "out", say=quiet)
    assert not verbs.calls and not (tmp_path / "out").exists()
    scratch = study.changed(UserChanges(weights="scratch"))
    assert scratch.detection.training.weights == "scratch"
    reproduce(scratch, tmp_path / "out", say=quiet)


@pytest.mark.parametrize(
    ("study", "splits", "name"),
    [("han2018", (1.0, 0.0, 0.0), "test"), ("han2018-pggan", (0.5, 0.0, 0.5), "validation")],
)
def test_splits_without_people_are_refused_at_once(study, splits, name, tmp_path):
    changed = smoke(study).changed(UserChanges(splits=splits))
    with pytest.raises(RecipeError, match=f"{study} needs {name} subjects"):
        reproduce(changed, tmp_path / "out", say=quiet)
    assert not (tmp_path / "out").exists()
