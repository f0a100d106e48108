"""Label maps keep to their images through every verb, pixel by pixel."""

import json

import nibabel as nib
import numpy as np
import pytest
import torch

from mrgantry.common.errors import DataError, RecipeError, RunError
from mrgantry.data import SlicePlan, SliceSet, prepare
from mrgantry.data.label_maps import (
    classified,
    find_classes,
    from_channels,
    outlines,
    read_classes,
    to_channels,
    unnamed,
    without_specks,
)

SIDE = 32
CLASSES = ("1=necrosis", "2=oedema", "3+4=enhancing")


def phantom(folder, name="p1", labels=None, affine=None):
    """Write a head whose label map holds blocks of even size, and no two slices alike."""
    voxels = np.zeros((SIDE, SIDE, 6), np.float32)
    voxels[4:28, 4:28] = 50 + np.random.default_rng(0).integers(0, 9, (24, 24, 6))
    if labels is None:
        labels = np.zeros(voxels.shape, np.uint8)
        labels[8:16, 8:16, 1:5] = 2
        labels[10:14, 10:14, 2:4] = 1
        labels[10:12, 10:12, 3] = 4
    affine = np.diag([1.0, 1.0, 2.0, 1.0]) if affine is None else affine
    place = folder / name
    place.mkdir(parents=True)
    nib.save(nib.Nifti1Image(voxels, affine), place / f"{name}_t1.nii.gz")
    nib.save(nib.Nifti1Image(labels, affine), place / f"{name}_seg.nii.gz")
    return labels


def plan(**changes):
    return SlicePlan(
        **({"slices": "0:6", "size": SIDE, "label_maps": True, "tumour_labels": "*seg*"} | changes)
    )


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_a_map_lies_where_its_image_shows_it(tmp_path, plane):
    """The brightness of a head that equals its label map tells where each pixel came from."""
    labels = phantom(tmp_path / "scans")
    voxels = np.where(labels > 0, labels, 0.5).astype(np.float32)
    voxels[[0, -1]] = voxels[:, [0, -1]] = 0
    path = tmp_path / "scans/p1/p1_t1.nii.gz"
    nib.save(nib.Nifti1Image(voxels, np.diag([1.0, 1.0, 2.0, 1.0])), path)
    extent = "0:6" if plane == "axial" else "8:16"
    chosen = plan(plane=plane, slices=extent, window=(0, 4))
    made = prepare(tmp_path / "scans", tmp_path / "set", chosen, workers=1)
    shown = (made.images[:, 0].astype(float) + 1) / 2 * 4
    sure = np.isin(shown.round(3), [1.0, 2.0, 4.0])
    value_of = np.array([0, 1, 2, 4])[made.maps]
    assert sure.sum() > 20 and made.about.classes == ("necrosis", "oedema", "enhancing")
    assert np.array_equal(value_of[sure], shown[sure].round().astype(int))


def test_slices_of_the_grid_keep_every_pixel(tmp_path):
    labels = phantom(tmp_path / "scans")
    made = prepare(tmp_path / "scans", tmp_path / "set", plan(), workers=1)
    upright = np.flip(labels, (0, 1)).transpose(2, 1, 0)
    assert np.array_equal(np.array([0, 1, 2, 4])[made.maps], upright)
    assert made.where(np.arange(len(made)) == 3).maps.shape == (1, SIDE, SIDE)
    areas = (made.maps > 0).sum((1, 2)) * made.table["pixel_mm"].to_numpy() ** 2
    np.testing.assert_allclose(areas, made.table["tumour_mm2"].astype(float), rtol=1e-3)


def test_a_pixel_gets_the_class_it_shows_most_of(tmp_path):
    labels = phantom(tmp_path / "scans")
    made = prepare(tmp_path / "scans", tmp_path / "set", plan(size=SIDE // 2), workers=1)
    upright = np.flip(labels, (0, 1)).transpose(2, 1, 0)
    blocks = upright.reshape(6, SIDE // 2, 2, SIDE // 2, 2)
    whole = blocks.min((2, 4)) == blocks.max((2, 4))
    # The resizing filter also looks at the neighbours of a block.
    within = whole & (np.roll(whole, 1, 1) & np.roll(whole, 1, 2) & np.roll(whole, -1, 2))
    found = np.array([0, 1, 2, 4])[made.maps]
    assert np.array_equal(found[within], blocks[:, :, 0, :, 0][within])


def test_oblique_maps_turn_with_their_images(tmp_path):
    size = 48
    centre = (size / 2, size / 2, size / 2)
    voxels = np.full((size,) * 3, 1, np.float32)
    voxels[[0, -1]] = voxels[:, [0, -1]] = voxels[:, :, [0, -1]] = 0
    labels = np.zeros(voxels.shape, np.uint8)
    labels[10:30, 16:40, 8:40] = 1
    voxels[labels > 0] = 3
    place = tmp_path / "scans/p1"
    place.mkdir(parents=True)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), place / "p1_t1.nii.gz")
    nib.save(nib.Nifti1Image(labels, np.eye(4)), place / "p1_seg.nii.gz")
    made = prepare(
        tmp_path / "scans",
        tmp_path / "set",
        plan(plane="oblique", slices="0.4:0.6", poses=6, centre_mm=centre, field_mm=48, size=48),
        workers=1,
    )
    bright = made.images[:, 0] > 0.5
    assert bright.any((1, 2)).sum() >= 3
    agree = (bright == (made.maps == 1)).mean()
    assert agree > 0.98  # but for the edges, which are blurred in the image
    both = made.pixels(torch.device("cpu"), with_maps=True)
    assert both.batch(torch.tensor([0])).shape == (1, 2, 48, 48)


def test_channels_come_back_as_maps():
    maps = np.random.default_rng(0).integers(0, 4, (5, 8, 8)).astype(np.uint8)
    channels = to_channels(maps, 3).swapaxes(0, 1)
    assert channels.shape == (5, 3, 8, 8)
    assert np.array_equal(from_channels(torch.from_numpy(channels)), maps)
    blurred = torch.tensor([0.1, -0.2]).view(1, 2, 1, 1)  # shares of 0.55 and 0.4
    assert from_channels(blurred)[0, 0, 0] == 1
    assert from_channels(-torch.ones(1, 2, 1, 1))[0, 0, 0] == 0


def test_specks_are_left_out_and_counted():
    maps = np.zeros((2, 8, 8), np.uint8)
    maps[0, 1:4, 1:4] = 2
    maps[0, 2, 2] = 1  # within another class it is no speck
    maps[0, 6, 6] = maps[1, 0, 0] = 1
    cleaned, count = without_specks(maps, 3)
    assert count == 2 and cleaned[1].max() == 0 and cleaned[0, 6, 6] == 0
    assert np.array_equal(cleaned[0, :5, :5], maps[0, :5, :5])


def test_outlines_run_inside_what_they_enclose():
    maps = np.zeros((1, 3, 3), np.uint8)
    maps[0, 1, 1] = 2
    drawn = outlines(maps, 4)[0]
    assert drawn.shape == (12, 12) and drawn[4, 4] == 2 and drawn[5, 5] == 0
    assert (drawn > 0).sum() == 12


def write_map(path, values):
    voxels = np.zeros((4, 4, 4), np.float32)
    voxels.flat[: len(values)] = values
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), path)
    return path


@pytest.mark.parametrize(
    "values, classes",
    [
        ([1], ("1=tumour",)),
        ([7], ("7=tumour",)),
        ([1, 2, 4], ("1=necrosis", "2=oedema", "3+4=enhancing")),
        ([1, 2, 3], ("1=necrosis", "2=oedema", "3+4=enhancing")),
        ([1, 2, 3, 4], ("1+3=necrosis", "2=oedema", "4=enhancing")),
        ([], ("1=tumour",)),
    ],
)
def test_values_tell_what_they_mean(tmp_path, values, classes):
    assert find_classes([write_map(tmp_path / "a_seg.nii", values)]) == classes


def test_values_that_nobody_named_are_asked_for(tmp_path):
    path = write_map(tmp_path / "a_seg.nii", [1, 2, 9])
    with pytest.raises(DataError, match=r"values 1, 2, 9, .*--classes 1=NAME,2=NAME,9=NAME"):
        find_classes([path])
    assert "1, 2, 3, 4, 5, 6, ..." in unnamed(range(1, 9))


@pytest.mark.parametrize("text", ["core", "1=", "x=core", "0=core", "1,2=core"])
def test_classes_that_are_not_understood_are_refused(text):
    with pytest.raises(RecipeError, match=r"class|background"):
        read_classes([text])


def test_a_value_has_one_class():
    with pytest.raises(RecipeError, match="1 is given two classes, core and oedema"):
        read_classes(["1=core", "1+2=oedema"])
    with pytest.raises(RecipeError, match="add --label-maps"):
        SlicePlan(classes=("1=core",))


def test_a_map_with_fractions_or_other_values_is_refused():
    with pytest.raises(DataError, match="fractions"):
        classified(np.array([[[0, 0.5, 1]]], np.float32), CLASSES)
    with pytest.raises(DataError, match="values 9, which have no class"):
        classified(np.array([[[0, 1, 9]]], np.float32), CLASSES)


def test_maps_of_others_and_missing_ones_skip_their_person(tmp_path):
    phantom(tmp_path / "scans", "p1")
    phantom(tmp_path / "scans", "p2")
    (tmp_path / "scans/p2/p2_seg.nii.gz").unlink()
    outside = np.zeros((SIDE, SIDE, 6), np.uint8)
    outside[:3, :3] = 1
    phantom(tmp_path / "scans", "p3", outside)
    phantom(tmp_path / "scans", "p4", np.zeros((SIDE, SIDE, 6), np.uint8))
    made = prepare(tmp_path / "scans", tmp_path / "set", plan(), workers=1)
    said = " ".join(made.about.notes.skipped)
    assert set(made.table["subject"]) == {"p1", "p4"}
    assert "p2 t1 was skipped: it has no label map" in said
    assert "p3 t1 was skipped: most of its label map lies outside its brain" in said
    assert "p4: its label map is empty" in " ".join(made.about.notes.assumed)


def test_a_set_without_maps_says_so_and_a_damaged_one_too(tmp_path):
    phantom(tmp_path / "scans")
    bare = prepare(tmp_path / "scans", tmp_path / "bare", plan(label_maps=False), workers=1)
    with pytest.raises(DataError, match="no label maps. Prepare it with --label-maps"):
        _ = bare.maps
    made = prepare(tmp_path / "scans", tmp_path / "set", plan(), workers=1)
    assert made.about.fingerprint != bare.about.fingerprint
    np.save(tmp_path / "set/maps/p1.npy", made.maps[:-1])
    with pytest.raises(DataError, match="5 label maps but 6 rows"):
        SliceSet.open(tmp_path / "set")
    (tmp_path / "set/maps/p1.npy").unlink()
    with pytest.raises(DataError, match="label maps of .* damaged"):
        SliceSet.open(tmp_path / "set")


def test_a_set_that_was_made_before_there_were_label_maps_goes_on(tmp_path):
    phantom(tmp_path / "scans")
    bare = plan(label_maps=False)
    made = prepare(tmp_path / "scans", tmp_path / "set", bare, workers=1)
    path = tmp_path / "set/about.json"
    about = json.loads(path.read_text())
    for name in ("label_maps", "classes", "field_on", "tumour_by"):
        del about["choices"][name]
    path.write_text(json.dumps(about))
    assert len(prepare(tmp_path / "scans", tmp_path / "set", bare, workers=1)) == len(made)
    with pytest.raises(RunError, match="label_maps was (None|False), now True"):
        prepare(tmp_path / "scans", tmp_path / "set", plan(), workers=1)
