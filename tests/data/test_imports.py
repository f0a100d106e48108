"""Out and in again: what comes back is what went out."""

import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from conftest import blobs, write_nifti, write_slices
from mrgantry.common.errors import DataError, RecipeError
from mrgantry.data import ImportPlan, SlicePlan, SliceSet, export, import_slices, prepare
from mrgantry.data.export import placed_at_origin
from mrgantry.data.pictures import scale, to_square

STEP = {"png": 1 / 255, "png16": 1 / 65535, "tiff": 0, "npy": 0, "nifti": 0}
MM = ImportPlan(pixel_mm=1.0)


def grey(path, value=0, size=(16, 16), dtype=np.uint8):
    """Write a picture with one bright pixel, at row 2 and column 5."""
    array = np.full(size, value, dtype)
    array[2, 5] = np.iinfo(dtype).max
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def assert_same(back, went, step):
    pd.testing.assert_frame_equal(back.table, went.table)
    about, before = back.about, went.about
    for name in ("source", "synthetic", "channels", "size", "training_subjects"):
        assert getattr(about, name) == getattr(before, name)
    difference = np.abs(back.images.astype(float) - went.images.astype(float)).max()
    # The nearest grey is half a step of 2 / 255 off; float16 adds its own rounding.
    assert difference <= step + (2**-11 if step else 0)


@pytest.fixture
def two_channels(cohort, tmp_path) -> SliceSet:
    plan = SlicePlan(
        sequences=("t1", "flair"), combine="channels", slices="5:9", size=16, field_mm=40
    )
    return prepare(cohort, tmp_path / "two", plan, workers=1)


@pytest.mark.parametrize("format", STEP)
def test_real_slices_come_back_in_every_format(two_channels, cohort, tmp_path, format):
    one = prepare(cohort, tmp_path / "one", SlicePlan(slices="3:6", size=16), workers=1)
    for went, files in ((one, 30), (two_channels, 40 if format == "npy" else 80)):
        out = tmp_path / f"{went.name}-files"
        assert export(went.folder, out, format) == files
        back = import_slices(out, tmp_path / f"{went.name}-back")
        assert_same(back, went, STEP[format])
        assert back.about.notes["skipped"] == back.about.notes["assumed"] == []


@pytest.mark.parametrize("format", STEP)
@pytest.mark.parametrize("channels", [1, 2])
def test_synthetic_slices_come_back_in_every_format(tmp_path, format, channels):
    images = np.concatenate([blobs(12, seed=seed) for seed in range(channels)], axis=1)
    went = write_slices(tmp_path / "went", images, ["a"] * 12, [""] * 12, synthetic=True)
    export(went.folder, tmp_path / "files", format)
    assert_same(import_slices(tmp_path / "files", tmp_path / "back"), went, STEP[format])


def test_a_synthetic_set_of_simulated_scans_stays_so(tmp_path):
    went = write_slices(tmp_path / "went", blobs(3), ["a"] * 3, [""] * 3, synthetic=True)
    about = json.loads((went.folder / "about.json").read_text())
    about |= {"source": "simulated", "training_subjects": ["p1", "p2"]}
    (went.folder / "about.json").write_text(json.dumps(about))
    export(went.folder, tmp_path / "files", "nifti")
    back = import_slices(tmp_path / "files", tmp_path / "back")
    assert back.about.source == "simulated" and back.about.training_subjects == ("p1", "p2")
    # Even when only the files themselves are left.
    for name in ("slices.csv", "origin.json"):
        (tmp_path / "files" / name).unlink()
    alone = import_slices(tmp_path / "files", tmp_path / "alone")
    assert alone.about.source == "simulated"
    assert np.array_equal(alone.images, went.images)


@pytest.mark.parametrize("format", STEP)
def test_oblique_slices_come_back_even_those_that_are_mirrored(cohort, tmp_path, format):
    plan = SlicePlan(plane="oblique", poses=4, size=16, field_mm=30)
    went = prepare(cohort, tmp_path / "went", plan, workers=1)
    mirrored = went.table["affine"].map(lambda text: float(text.split()[0]) > 0)
    assert mirrored.any() and not mirrored.all()
    export(went.folder, tmp_path / "files", format)
    assert_same(import_slices(tmp_path / "files", tmp_path / "back"), went, STEP[format])


def test_one_split_is_exported(slices, tmp_path):
    assert export(slices.folder, tmp_path / "files", split="test") == 18
    back = import_slices(tmp_path / "files", tmp_path / "back")
    assert set(back.table["split"]) == {"test"}
    with pytest.raises(DataError, match="has no images in the split 'validation'"):
        export(slices.folder, tmp_path / "none", split="validation")


@pytest.mark.parametrize("axes", ["RAS", "PSR"])
@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_a_marked_voxel_lies_at_its_millimetre(tmp_path, plane, axes):
    voxels = np.full((20, 24, 22), 10, np.float32)
    voxels[[0, -1]] = 0
    voxels[:, [0, -1]] = 0
    voxels[:, :, [0, -1]] = 0
    voxels[5, 13, 16] = 1000
    spacing = (1.0, 2.0, 1.5)
    write_nifti(tmp_path / "scans/p1/t1.nii.gz", voxels, axes, spacing)
    plan = SlicePlan(plane=plane, slices="0.0:1.0", size=64, percentiles=(0, 100))
    went = prepare(tmp_path / "scans", tmp_path / "slices", plan, workers=1)
    export(went.folder, tmp_path / "files", "nifti")
    brightest = []
    for path in (tmp_path / "files").glob("*.nii.gz"):
        image = nib.load(path)
        array = np.asarray(image.dataobj)
        place = np.unravel_index(array.argmax(), array.shape)
        brightest.append((array.max(), tuple(image.affine @ [*place, 1])[:3]))
    assert max(brightest)[1] == pytest.approx((5.0, 26.0, 24.0), abs=0.7)
    # Only the files, turned by another program: they come back upright and in place.
    for name in ("slices.csv", "origin.json"):
        (tmp_path / "files" / name).unlink()
    for path in (tmp_path / "files").glob("*.nii.gz"):
        image = nib.load(path)
        turn = nib.orientations.axcodes2ornt("ASL")
        start = nib.orientations.io_orientation(image.affine)
        turned = image.as_reoriented(nib.orientations.ornt_transform(start, turn))
        nib.save(turned, path)
    back = import_slices(
        tmp_path / "files", tmp_path / "back", ImportPlan(real=True, subject="(p1)")
    )
    kept = back.table.set_index("id").loc[went.table["id"]]
    assert set(kept["plane"]) == {plane}
    rows = [list(back.table["id"]).index(name) for name in went.table["id"]]
    assert np.array_equal(back.images[rows], went.images)
    assert list(kept["pixel_mm"]) == pytest.approx(list(went.table["pixel_mm"]))
    assert list(kept["position_mm"]) == pytest.approx(list(went.table["position_mm"]), abs=0.01)
