"""Label maps leave for other programs and come back, and masks beside pictures come in."""

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from conftest import blobs, write_slices
from mrgantry.common.errors import DataError, RecipeError
from mrgantry.data import ImportPlan, export, import_slices


def mapped(images):
    return np.where(images[:, 0] > 0.4, 1, np.where(images[:, 0] > -0.4, 2, 0)).astype(np.uint8)


@pytest.fixture
def data(tmp_path):
    images = blobs(8)
    subjects = [f"s{number // 2}" for number in range(8)]
    splits = ["train"] * 4 + ["test"] * 4
    return write_slices(tmp_path / "slices", images, subjects, splits, maps=mapped(images))


@pytest.mark.parametrize("format", ["png", "png16", "tiff", "npy", "nifti"])
def test_maps_come_back_as_they_went(data, tmp_path, format):
    export(data.folder, tmp_path / "files", format)
    assert len(list((tmp_path / "files/labels").iterdir())) == len(data)
    back = import_slices(tmp_path / "files", tmp_path / "back", ImportPlan())
    order = [back.table["id"].tolist().index(name) for name in data.table["id"]]
    assert back.about.classes == ("core", "oedema") and not back.about.notes.skipped
    assert np.array_equal(back.maps[order], data.maps)


def test_a_map_of_several_channels_is_one_file(tmp_path):
    images = blobs(4)
    both = np.concatenate([images, -images], 1)
    data = write_slices(tmp_path / "slices", both, list("abcd"), ["train"] * 4, maps=mapped(images))
    export(data.folder, tmp_path / "files")
    assert len(list((tmp_path / "files").glob("*.png"))) == 8
    back = import_slices(tmp_path / "files", tmp_path / "back", ImportPlan())
    assert np.array_equal(back.maps, data.maps)


def test_a_nifti_map_lies_where_its_slice_does(data, tmp_path):
    export(data.folder, tmp_path / "files", "nifti")
    name = data.table["id"][0]
    image = nib.load(tmp_path / f"files/{name}.nii.gz")
    labels = nib.load(tmp_path / f"files/labels/{name}.nii.gz")
    assert np.array_equal(image.affine, labels.affine)
    assert labels.get_data_dtype() == np.uint8 and image.shape == labels.shape


def pictures(folder, count=6, values=(0, 255), last_masked=True):
    """Write pictures of people with a mask beside each, oblong so that they must be padded."""
    for number in range(count):
        place = folder / f"p{number}"
        place.mkdir(parents=True)
        pixels = np.zeros((20, 16), np.uint8)
        pixels[2:18, 2:14] = 100 + number
        mask = np.zeros((20, 16), np.uint8)
        mask[4 : 8 + number, 5:9] = values[1]
        if len(values) > 2:
            mask[4:6, 5:9] = values[2]
        Image.fromarray(pixels).save(place / "a.png")
        if number < count - 1 or last_masked:
            Image.fromarray(mask).save(place / "a_mask.png")


def plan(**changes):
    return ImportPlan(real=True, pixel_mm=1, label_maps=True, tumour_labels="*_mask.png", **changes)


def test_masks_beside_pictures_become_maps_turned_and_resized_with_them(tmp_path):
    pictures(tmp_path / "in")
    turned = plan(size=20, turn=90)
    made = import_slices(tmp_path / "in", tmp_path / "set", turned)
    assert made.about.classes == ("tumour",)
    for image, labels, number in zip(made.images[:, 0], made.maps, range(6), strict=True):
        assert labels.sum() == 4 * (4 + number)
        assert image[labels > 0].min() > -1  # the mask lies within the head
    upright = np.rot90(made.maps[0], 1)
    assert np.array_equal(np.argwhere(upright)[[0, -1]], [[4, 7], [7, 10]])


def test_values_of_masks_are_named(tmp_path):
    pictures(tmp_path / "in", values=(0, 128, 255))
    with pytest.raises(DataError, match="values 128, 255, which have no class"):
        import_slices(tmp_path / "in", tmp_path / "set", plan(size=20))
    named = plan(size=20, classes=("128=oedema", "255=core"))
    made = import_slices(tmp_path / "in", tmp_path / "set", named)
    assert made.about.classes == ("oedema", "core") and set(np.unique(made.maps)) == {0, 1, 2}
    assert "--classes 128=oedema,255=core" in made.about.command


def test_a_picture_without_a_mask_is_left_out_of_a_set_with_maps(tmp_path):
    pictures(tmp_path / "in", last_masked=False)
    made = import_slices(tmp_path / "in", tmp_path / "set", plan(size=20))
    assert len(made) == 5 and "no label map" in " ".join(made.about.notes.skipped)


def test_classes_without_maps_are_refused():
    with pytest.raises(RecipeError, match="add --label-maps"):
        ImportPlan(classes=("1=core",))
