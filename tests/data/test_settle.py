"""People who look like one under two names: both stay, the later goes, or they become one."""

import json
from functools import partial

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from conftest import blobs, brain_phantom, write_nifti, write_slices
from mrgantry.cli import app
from mrgantry.common.errors import DataError
from mrgantry.common.picture import to_grey
from mrgantry.data import ImportPlan, SlicePlan, SliceSet, import_slices, making, prepare
from mrgantry.data.making import finish
from mrgantry.data.notes import Repeat
from mrgantry.data.preparation import draw_splits
from mrgantry.data.repeats import about_splits
from mrgantry.data.repeats_picture import draw_repeats
from mrgantry.data.settle import settle_repeats

KEPT, AGAIN = "BraTS20_Training_003", "BraTS20_Training_099"
PLAN = SlicePlan(sequences=("t1",), slices="0.3:0.7", size=24)


def asked(how):
    return PLAN.model_copy(update={"repeats": how})


def pair(subject, other, ids=("", ""), splits=("train", "test")):
    return Repeat(
        subject=subject,
        other=other,
        split=splits[0],
        other_split=splits[1],
        ratio=0.1,
        distance=0.01,
        id=ids[0],
        other_id=ids[1],
    )


@pytest.fixture
def doubled(cohort):
    """Eleven subjects, of whom one is another with brighter intensities."""
    write_nifti(cohort / AGAIN / f"{AGAIN}_t1.nii.gz", 1.5 * brain_phantom(3), "LPS")
    return cohort


def apart(doubled):
    """Find a seed by which the two are drawn into different splits."""
    people = {path.name: [] for path in doubled.iterdir()}
    return next(
        seed
        for seed in range(50)
        if (drawn := draw_splits(people, SlicePlan(seed=seed)))[KEPT] != drawn[AGAIN]
    )


def test_the_later_one_is_left_out(doubled, tmp_path):
    kept = prepare(doubled, tmp_path / "kept", PLAN, workers=1)
    made = prepare(doubled, tmp_path / "out", asked("drop"), workers=1)
    rows = (kept.table["subject"] != AGAIN).to_numpy()
    assert not rows.all() and len(made) == rows.sum()
    assert list(made.table["id"]) == list(kept.table["id"][rows])
    assert np.array_equal(made.images, kept.images[rows])
    notes = made.about.notes
    assert notes.repeats == () and notes.repeats_settled[0].startswith(f"{AGAIN} was left out: ")
    assert "One pair of subjects looked like one person" in about_splits(notes)
    assert (tmp_path / "out/repeats.png").is_file() and "--repeats drop" in made.about.command
    assert prepare(doubled, tmp_path / "out", asked("drop"), workers=1).about == made.about


@pytest.mark.parametrize("plane", ["axial", "oblique"])
def test_both_become_one_person_in_one_split(doubled, tmp_path, plane):
    plan = asked("merge").model_copy(update={"seed": apart(doubled)})
    if plane == "oblique":
        turned = {"plane": "oblique", "slices": "0.4:0.6", "poses": 2, "field_mm": 28}
        plan = plan.model_copy(update=turned)
    keep = plan.model_copy(update={"repeats": "keep"})
    kept = prepare(doubled, tmp_path / "kept", keep, workers=1)
    (found,) = kept.about.notes.repeats
    assert found.split != found.other_split
    made = prepare(doubled, tmp_path / "out", plan, workers=1)
    assert np.array_equal(made.images, kept.images)
    assert AGAIN not in set(made.table["subject"])
    moved = made.table[made.table["id"].str.startswith(AGAIN)]
    assert set(moved["subject"]) == {KEPT} and set(moved["session"]) == {AGAIN}
    assert set(moved["split"]) == {found.split}
    others = ~made.table["id"].str.startswith(AGAIN)
    assert made.table[others].equals(kept.table[others])
    assert made.about.fingerprint != kept.about.fingerprint
    (said,) = made.about.notes.repeats_settled
    assert said.startswith(f"{KEPT} and {AGAIN} became one person, {KEPT} in {found.split}: ")


def test_what_becomes_of_them_can_be_changed_later_and_after_a_kill(doubled, tmp_path, monkeypatch):
    whole = prepare(doubled, tmp_path / "out", asked("merge"), workers=1)
    parts = {path: path.stat().st_mtime_ns for path in (tmp_path / "out/parts").iterdir()}

    def killed(path, table):
        raise KeyboardInterrupt

    with monkeypatch.context() as kill, pytest.raises(KeyboardInterrupt):
        kill.setattr(making, "write_table", killed)
        prepare(doubled, tmp_path / "out", asked("drop"), workers=1)
    with pytest.raises(DataError, match="was interrupted"):
        SliceSet.open(tmp_path / "out")
    dropped = prepare(doubled, tmp_path / "out", asked("drop"), workers=1)
    assert AGAIN not in dropped.about.parts
    again = prepare(doubled, tmp_path / "out", asked("merge"), workers=1)
    assert again.about == whole.about and again.table.equals(whole.table)
    # No part was made anew.
    assert parts == {path: path.stat().st_mtime_ns for path in (tmp_path / "out/parts").iterdir()}


def test_three_names_of_one_person(tmp_path, monkeypatch):
    names, splits = list("aabbccdd"), ["train"] * 2 + ["test"] * 4 + ["train"] * 2
    write_slices(tmp_path / "set", blobs(8), names, splits)
    made = SliceSet.open(tmp_path / "set")
    found = (pair("c", "d"), pair("b", "c"))
    notes = made.about.notes.model_copy(update={"repeats": found})
    monkeypatch.setattr("mrgantry.data.settle.note_repeats", lambda *_: notes)
    merge = finish(made.folder, made.about, made.about.parts, partial(settle_repeats, how="merge"))
    assert list(merge.table["subject"]) == list("aabbbbbb")
    assert list(merge.table["split"]) == ["train"] * 2 + ["test"] * 6
    assert list(merge.table["session"]) == ["", "", "", "", "c", "c", "d", "d"]
    said = merge.about.notes.repeats_settled
    assert said[0].startswith("c and d became one person, b in test: ") and len(said) == 2
    keep = finish(made.folder, made.about, made.about.parts, partial(settle_repeats, how="keep"))
    assert list(keep.table["subject"]) == names and keep.about.notes.repeats == found


def test_import_settles_them_too(doubled, tmp_path):
    kept = prepare(doubled, tmp_path / "kept", PLAN, workers=1)
    for name, image in zip(kept.table["id"], kept.images, strict=True):
        path = tmp_path / f"in/{name[:20]}/{name[21:]}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(to_grey(image[0])).save(path)
    plan = ImportPlan(pixel_mm=1, real=True, repeats="merge")
    made = import_slices(tmp_path / "in", tmp_path / "out", plan)
    assert made.table["subject"].nunique() == kept.table["subject"].nunique() - 1
    assert len(made) == len(kept)
    words = ["import", tmp_path / "in", tmp_path / "out", "--real", "--pixel-mm", "1"]
    said = CliRunner().invoke(app, [*map(str, words), "--repeats", "drop"]).output
    assert f"Repeats: {AGAIN} was left out: " in said and "Warning" not in said
    assert AGAIN not in set(SliceSet.open(tmp_path / "out").table["subject"])
    about = json.loads((tmp_path / "out/about.json").read_text())
    assert about["choices"]["repeats"] == "drop"


def test_the_picture_names_every_pair(tmp_path):
    """More pairs make it higher, and long names are broken, not cut."""
    made = write_slices(tmp_path / "set", blobs(4), list("abcd"), ["train", "test"] * 2)
    ids = list(made.table["id"])
    sizes = []
    for count in (1, 2, 3, 12):
        pairs = [pair("a" * 50, "b", (ids[0], ids[1]))] * count
        draw_repeats(tmp_path / "repeats.png", made, pairs)
        with Image.open(tmp_path / "repeats.png") as shown:
            sizes.append(shown.size)
            corner = np.asarray(shown.convert("L"))[50:290, 20:260]
        assert corner.std() > 10
    assert sizes[0][0] * 2 == sizes[2][0] and sizes[1][1] == sizes[2][1]
    assert sizes[3][1] > 2.5 * sizes[2][1]
