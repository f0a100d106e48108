"""A classifier that is kept, and what it says of slices without a label."""

import numpy as np
import pytest

from conftest import write_slices
from mrgantry.common.errors import DataError, RunError
from mrgantry.data import SlicePlan, SliceSet, prepare
from mrgantry.detection import Labeller, detect
from mrgantry.detection.classifier import ClassifierTraining
from mrgantry.detection.kept import Kept, best_of, check_free, unclear_band
from squares import heads, write

QUICK = ClassifierTraining(
    network="small", weights="scratch", batch=16, epoch=160, epochs=3, precision="fp32", crop=1
)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A classifier of bright squares, kept by the experiment that trained it."""
    folder = tmp_path_factory.mktemp("kept")
    real = write(folder / "real", 20, 6, (10, 5, 5)).folder
    said = []
    detect(
        real, folder / "out", conditions=("none", "classical"), seeds=1, training=QUICK,
        keep=folder / "kept", say=said.append,
    )  # fmt: skip
    assert said[-1].startswith("Training the classifier to keep once more: ")
    return folder / "kept"


def unlabelled(folder, subjects=4, each=4, size=24):
    images, tumours = heads(subjects, each, size, seed=7)
    people = list(np.repeat([f"q{number}" for number in range(subjects)], each))
    return write_slices(folder, images, people, ["train"] * len(images)), tumours


def test_the_band_leaves_one_in_twenty_wrong_on_either_side():
    p = np.arange(100) / 100
    label = (p >= 0.5).astype(int)
    label[[20, 30, 45]] = 1  # missed low: of the 45 or so below, three have a tumour
    label[[60]] = 0
    low, high = unclear_band(p, label)
    below, above = label[p <= low], label[p >= high]
    assert below.mean() <= 0.05 < label[p <= low + 0.011].mean() or low >= 0.44
    assert (1 - above).mean() <= 0.05
    assert low < high


def test_a_band_that_is_not_needed_is_none():
    p, label = np.array([0.1, 0.2, 0.7, 0.9]), np.array([0, 0, 1, 1])
    low, high = unclear_band(p, label)
    assert (low, high) == (0.2, 0.7)
    low, high = unclear_band(np.array([0.1, 0.4, 0.6] * 20), np.array([0, 0, 0] * 20))
    assert low == 0.6 and high == 2.0  # none has a tumour: nothing is called one


def test_words():
    kept = Kept(
        training=QUICK, channels=("t1",), size=24, learnt_from="none", low=0.2, high=0.7, images=9,
        subjects=3, unclear=0.1, right=None, source="simulated", data="", weights="",
    )  # fmt: skip
    assert kept.words(np.array([0.1, 0.2, 0.5, 0.7])) == ["no", "no", "unclear", "yes"]
    assert "3 people whom it has not met, simulated ones, 10.0% are unclear and – of" in kept.sure()


def test_the_lowest_validation_loss_in_any_epoch_is_kept():
    assert best_of([(0.5, 0.4, 0.9), (0.6, 0.3), (0.35,)]) == 1


def test_slices_without_a_label_get_one_and_others_keep_theirs(kept, tmp_path):
    data, tumours = unlabelled(tmp_path / "slices")
    table = data.table.copy()
    table.loc[0, "tumour"] = "yes"
    made = Labeller.open(kept).label(SliceSet(table, data.about, data.folder, data.places))
    words = made.table["tumour"].to_numpy()
    assert words[0] == "yes" and set(words) <= {"yes", "no", "unclear"}
    clear = words[1:] != "unclear"
    right = (words[1:] == np.array(tumours[1:]))[clear]
    assert clear.mean() > 0.3 and right.mean() > 0.6  # guessing: a half
    (note,) = made.about.notes.assumed
    assert note.startswith("tumour of 15 slices by the classifier in")
    assert "of 30 slices of 5 people whom it has not met" in note
    assert (data.table["tumour"] == "unknown").all()


def test_sets_that_it_does_not_know_are_refused(kept, tmp_path):
    labeller = Labeller.open(kept)
    small, _ = unlabelled(tmp_path / "small", size=16)
    with pytest.raises(DataError, match="prepare with --size 24"):
        labeller.label(small)
    data, _ = unlabelled(tmp_path / "other")
    about = data.about.model_copy(update={"channels": ("t2",)})
    with pytest.raises(DataError, match="learnt from t1, and these slices show t2"):
        labeller.label(SliceSet(data.table, about, data.folder, data.places))


def test_a_damaged_or_missing_classifier_is_said(kept, tmp_path):
    with pytest.raises(DataError, match="mrgantry detect ... --keep"):
        Labeller.open(tmp_path)
    for name in ("classifier.json", "classifier.safetensors"):
        (tmp_path / name).write_bytes((kept / name).read_bytes()[: 200 if "safe" in name else None])
    with pytest.raises(DataError, match="is damaged"):
        Labeller.open(tmp_path)


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    check_free(tmp_path / "new")
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="holds no classifier"):
        check_free(tmp_path)


def test_prepare_takes_the_labels_and_notes_them(cohort, tmp_path):
    def label(data):
        about = data.about.model_copy(
            update={"notes": data.about.notes.model_copy(update={"assumed": ("by a rule",)})}
        )
        words = np.where(np.arange(len(data)) % 2, "yes", "no")
        return SliceSet(data.table.assign(tumour=words), about, data.folder, data.places)

    plan = SlicePlan(size=16, tumour_by="kept")
    made = prepare(cohort, tmp_path / "slices", plan, label=label, workers=1)
    assert set(made.table["tumour"]) == {"yes", "no"}
    assert made.about.notes.assumed == ("by a rule",) and "--tumour-by kept" in made.about.command
    again = prepare(cohort, tmp_path / "slices", plan, label=label, workers=1)
    assert again.about.fingerprint == made.about.fingerprint
    assert (again.images == made.images).all()
