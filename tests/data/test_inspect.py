import csv

import numpy as np
from PIL import Image

from conftest import brain_phantom, tumour_phantom, write_nifti
from mrgantry.data import find_subjects, inspect
from mrgantry.data.sheet import TILE
from mrgantry.data.subjects import joining_pattern


def test_it_says_what_is_there_and_what_is_wrong(tmp_path):
    scans = tmp_path / "scans"
    for name in ("BraTS20_Training_001", "BraTS20_Training_002"):
        write_nifti(scans / name / f"{name}_t1.nii.gz", brain_phantom(), "LPS", (1, 1, 2))
        write_nifti(scans / name / f"{name}_seg.nii.gz", tumour_phantom(), "LPS", (1, 1, 2))
    bad = write_nifti(scans / "BraTS20_Training_002/x_flair.nii.gz", brain_phantom())
    bad.write_bytes(bad.read_bytes()[:900])
    write_nifti(scans / "BraTS20_Training_002/localizer.nii.gz", brain_phantom())
    found = inspect(scans, tmp_path / "out", workers=1)
    assert found.counts == {"t1": 2, "flair": 1}
    assert [path.name for path in found.unused] == ["localizer.nii.gz"]
    (problem,) = found.visits[1].problems
    assert problem.startswith("flair: it is truncated or damaged")
    with found.table.open() as file:
        rows = {(r["subject"], r["sequence"]): r for r in csv.DictReader(file)}
    one = rows["BraTS20_Training_001", "t1"]
    assert (one["shape"], one["spacing_mm"], one["axes"]) == ("24x28x20", "1x1x2", "LPS")
    assert (one["brain"], one["tumour_cm3"]) == ("foreground", "0.51")
    assert rows["BraTS20_Training_002", "flair"]["problem"].startswith("it is truncated")


def test_the_sheet_is_upright_and_outlines_the_tumour(tmp_path):
    voxels = np.zeros((24, 24, 24), np.float32)
    voxels[2:22, 2:22, 2:22] = 20 + np.random.default_rng(0).normal(0, 1, (20, 20, 20))
    voxels[15:20, 15:20, 15:20] = 100  # to the right, anterior and superior
    labels = np.zeros(voxels.shape, np.uint8)
    labels[4:8, 4:8, 15:20] = 1
    write_nifti(tmp_path / "HGG/p1/p1_t1.nii.gz", voxels, "PSR")
    write_nifti(tmp_path / "HGG/p1/p1_seg.nii.gz", labels, "PSR")
    found = inspect(tmp_path, tmp_path / "out", workers=1)
    tiles = {tile.plane: tile.picture.astype(int) for tile in found.visits[0].tiles}
    half = TILE // 2
    bright = np.argwhere(tiles["axial"].min(2) > 200).mean(0)
    assert bright[0] < half and bright[1] < half  # anterior up, right on the left
    red = np.argwhere(tiles["axial"][..., 0] - tiles["axial"][..., 1] > 100).mean(0)
    assert red[0] > half and red[1] > half  # posterior and left
    with Image.open(found.sheet) as sheet:
        assert sheet.width >= 3 * TILE


def test_a_folder_of_many_shows_some_spread_over_all(tmp_path):
    for number in range(30):
        write_nifti(tmp_path / f"scans/p{number:02d}/t1.nii.gz", brain_phantom(number))
    found = inspect(tmp_path / "scans", tmp_path / "out", workers=1)
    shown = [visit.subject.id for visit in found.visits if visit.tiles]
    assert len(found.visits) == 30 and len(shown) == 24
    assert shown[0] == "p00" and shown[-1] == "p29"


def test_copies_under_two_names_are_told_with_the_pattern_that_joins_them(tmp_path):
    for number in range(4):
        write_nifti(tmp_path / f"scans/pat{number}_a/t1.nii.gz", brain_phantom(number))
    changed = 0.8 * brain_phantom(2) + np.random.default_rng(0).normal(0, 0.5, (24, 28, 20))
    copy = np.where(brain_phantom(2) > 0, changed, 0).astype(np.float32)
    write_nifti(tmp_path / "scans/pat2_b/t1.nii.gz", copy)
    found = inspect(tmp_path / "scans", tmp_path / "out", workers=1)
    (pair,) = found.copies
    assert (pair.first, pair.second) == ("pat2_a", "pat2_b") and pair.alike > 0.9
    subjects = [visit.subject for visit in found.visits]
    pattern = joining_pattern("pat2_a", "pat2_b", subjects, tmp_path / "scans")
    assert pattern == "(pat[0-9]+)"
    assert len({s.id for s in find_subjects(tmp_path / "scans", person=pattern)}) == 4
