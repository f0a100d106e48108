import numpy as np
import pytest

from conftest import brain_phantom, tumour_phantom, write_nifti
from mrgantry.common.errors import DataError, RecipeError
from mrgantry.data import SlicePlan, Volume, find_subjects, prepare, read_volume
from mrgantry.data.resample import Grid, resample
from mrgantry.data.scan import read_scan

PLAN = SlicePlan(sequences=("t1", "flair"), combine="channels", slices="0.2:0.8", size=16)


def volume(voxels, spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0)):
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = origin
    return Volume(np.asarray(voxels, np.float32), affine, "RAS")


def test_its_own_grid_changes_nothing():
    one = volume(brain_phantom())
    np.testing.assert_allclose(resample(one, Grid.of(one)).voxels, one.voxels, atol=1e-4)


def test_a_point_keeps_its_place_in_millimetres():
    voxels = np.zeros((20, 20, 20))
    voxels[12, 7, 5] = 1
    one = volume(voxels, (1, 2, 3), (-5, 4, 10))
    grid = Grid((40, 80, 90), np.diag([0.5, 0.5, 0.5, 1.0]), "RAS")
    grid.affine[:3, 3] = (-5, 4, 10)
    found = np.unravel_index(resample(one, grid).voxels.argmax(), grid.shape)
    here = grid.affine @ [*found, 1]
    np.testing.assert_allclose(here, one.affine @ [12, 7, 5, 1], atol=0.5)


@pytest.mark.parametrize("spacing", [0.7, 1.0, 2.5])
def test_cubes_cover_the_same_field(spacing):
    one = volume(np.ones((30, 40, 20)), (1, 1, 2), (-3, 5, 7))
    grid = Grid.of(one).with_spacing(spacing)
    for side, (n, step) in enumerate(zip((30, 40, 20), (1, 1, 2), strict=True)):
        assert grid.shape[side] == round(n * step / spacing)
    middle = [(n - 1) / 2 for n in grid.shape]
    np.testing.assert_allclose(
        grid.affine @ [*middle, 1], one.affine @ [14.5, 19.5, 9.5, 1], atol=1e-9
    )


def test_outside_is_the_lowest_value_and_labels_stay_whole():
    one = volume(np.full((8, 8, 8), -3.0), (1, 1, 1))
    one.voxels[2:6, 2:6, 2:6] = 4
    grid = Grid((24, 24, 24), np.diag([0.7, 0.7, 0.7, 1.0]), "RAS")
    assert resample(one, grid).voxels[-1, -1, -1] == -3
    assert set(np.unique(resample(one, grid, "nearest").voxels)) <= {-3, 0, 4}


def test_coarser_voxels_average():
    checker = volume(np.indices((32, 32, 32)).sum(0) % 2)
    coarse = resample(checker, Grid.of(checker).with_spacing(4.0)).voxels
    assert np.abs(coarse[2:-2, 2:-2, 2:-2] - 0.5).max() < 0.05


def other_grid(folder):
    """One subject whose T1 and FLAIR lie on different grids; the FLAIR's is coarser."""
    name = "BraTS20_Training_001"
    fine = brain_phantom(shape=(24, 28, 20))
    write_nifti(folder / name / f"{name}_t1.nii.gz", fine, "LPS")
    coarse = resample(volume(fine), Grid.of(volume(fine)).with_spacing(2.0))
    write_nifti(folder / name / f"{name}_flair.nii.gz", coarse.voxels, "PSR", (2, 2, 2))
    path = folder / name / f"{name}_flair.nii.gz"
    import nibabel as nib

    image = nib.load(path)
    affine = image.affine.copy()
    affine[:3, 3] += 0.5  # the corner of the field stays where it is
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), affine), path)
    write_nifti(folder / name / f"{name}_seg.nii.gz", tumour_phantom(), "LPS")
    return folder


@pytest.mark.parametrize(("to", "height"), [("t1", 20), ("flair", 10), ("1mm", 20)])
def test_channels_on_different_grids_are_joined(tmp_path, to, height):
    plan = PLAN.model_copy(update={"resample_to": to, "plane": "coronal", "slices": "0:8"})
    made = prepare(other_grid(tmp_path / "scans"), tmp_path / "out", plan, workers=1)
    one, two = made.images.astype(np.float32)[:, 0], made.images.astype(np.float32)[:, 1]
    assert np.corrcoef(one.ravel(), two.ravel())[0, 1] > 0.9
    assert set(made.table["tumour"]) <= {"yes", "no", "unclear"}
    assert made.table["pixel_mm"].iloc[0] == pytest.approx(24 / 16, abs=0.1)
    assert made.about.choices["resample_to"] == to
    assert f"--resample-to {to}" in made.about.command


def test_without_it_the_error_says_so(tmp_path):

    with pytest.raises(DataError, match="add --resample-to t1"):
        prepare(other_grid(tmp_path / "scans"), tmp_path / "out", PLAN, workers=1)


@pytest.mark.parametrize("text", ["t9", "0.01", "1cm", "", "-1mm"])
def test_other_grids_are_refused(text):
    with pytest.raises(RecipeError, match="takes a sequence"):
        SlicePlan.of({"resample_to": text}, "plan")


def test_a_scan_read_back_from_disk_lies_where_it_did(tmp_path):
    path = write_nifti(tmp_path / "t1.nii.gz", brain_phantom(), "PSR", (1, 2, 3))
    one = read_volume(path)
    assert Grid.of(one).fits(one)
    assert not Grid.of(one).with_spacing(1.5).fits(one)


def test_only_the_axes_that_get_coarser_are_smoothed():
    voxels = np.zeros((16, 16, 20))
    voxels[::2] = 1  # stripes that only smoothing along x would blur
    one = volume(voxels)
    thick = Grid((16, 16, 4), np.diag([1.0, 1.0, 5.0, 1.0]), "RAS")
    read = resample(one, thick).voxels
    assert np.abs(read[2:-2:2, 2:-2, 1:-1] - 1).max() < 1e-3
    assert np.abs(read[3:-2:2, 2:-2, 1:-1]).max() < 1e-3


def test_a_stripped_brain_keeps_its_size(tmp_path):
    write_nifti(tmp_path / "p1/t1.nii.gz", brain_phantom(shape=(48, 56, 40)))
    (subject,) = find_subjects(tmp_path)
    volumes = {
        to: float(read_scan(subject, ("t1",), SlicePlan(resample_to=to)).brain.sum())
        * (float(to) if to else 1) ** 3
        for to in (None, "2", "3")
    }
    assert volumes["2"] == pytest.approx(volumes[None], rel=0.03)
    assert volumes["3"] == pytest.approx(volumes[None], rel=0.05)


def test_a_mask_that_lies_elsewhere_is_refused(tmp_path):
    far = write_nifti(tmp_path / "p1/mask.nii.gz", np.ones((5, 5, 5), np.uint8))
    write_nifti(tmp_path / "p1/t1.nii.gz", brain_phantom())
    assert far.is_file()
    (subject,) = find_subjects(tmp_path)
    with pytest.raises(DataError, match="mask.nii.gz lies elsewhere than the scan"):
        read_scan(subject, ("t1",), SlicePlan(resample_to="1mm"))
