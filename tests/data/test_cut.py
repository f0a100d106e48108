import numpy as np
import pytest

from conftest import brain_phantom
from mrgantry.common.errors import DataError, RecipeError
from mrgantry.data import SlicePlan, Volume, cut
from mrgantry.data.plan import Extent


def volume(voxels, axes="RAS", affine=None):
    affine = np.eye(4) if affine is None else affine
    return Volume(voxels.astype(np.float32), affine, axes)


def fit_square(stack, pixel_mm, centre, plan):
    frame = cut.frame_of(stack.shape[1:], pixel_mm, centre, plan)
    return cut.fit(stack, frame, plan.size), frame.columns[1] * pixel_mm[1] / plan.size


def marked(x, y, z, shape=(4, 5, 6)):
    voxels = np.zeros(shape, np.float32)
    voxels[x, y, z] = 1
    return voxels


@pytest.mark.parametrize(
    ("plane", "corner", "pixel"),
    [
        # The corner that is right, anterior and superior of the patient.
        ("axial", (-1, -1, -1), (-1, 0, 0)),  # patient's right on the left, anterior up
        ("coronal", (-1, -1, -1), (-1, 0, 0)),  # patient's right on the left, superior up
        ("sagittal", (-1, -1, -1), (-1, 0, 0)),  # nose on the left, superior up
        # Left, anterior, superior.
        ("axial", (0, -1, -1), (-1, 0, -1)),
        ("coronal", (0, -1, -1), (-1, 0, -1)),
        ("sagittal", (0, -1, -1), (0, 0, 0)),
        # Right, posterior, superior.
        ("axial", (-1, 0, -1), (-1, -1, 0)),
        ("coronal", (-1, 0, -1), (0, 0, 0)),
        ("sagittal", (-1, 0, -1), (-1, 0, -1)),
        # Right, anterior, inferior.
        ("axial", (-1, -1, 0), (0, 0, 0)),
        ("coronal", (-1, -1, 0), (-1, -1, 0)),
        ("sagittal", (-1, -1, 0), (-1, -1, 0)),
    ],
)
def test_a_marked_corner_lands_where_radiologists_see_it(plane, corner, pixel):
    stack = cut.upright(marked(*corner), plane)
    assert stack[pixel] == 1
    assert stack.sum() == 1


@pytest.mark.parametrize(
    ("text", "extent"),
    [
        ("80:150", Extent(80, 150, 1, "index")),
        ("80:150:5", Extent(80, 150, 5, "index")),
        ("-20mm:30mm", Extent(-20, 30, 1, "mm")),
        ("0.4:0.6", Extent(0.4, 0.6, 1, "fraction")),
        ("0.0:1.0:3", Extent(0, 1, 3, "fraction")),
    ],
)
def test_ranges_are_read(text, extent):
    assert Extent.parse(text) == extent


@pytest.mark.parametrize("text", ["", "80", "150:80", "0.6:0.4", "0.5:1.5", "-3:5", "3mm:5", "a:b"])
def test_other_ranges_are_refused(text):
    with pytest.raises(RecipeError, match="are not understood"):
        Extent.parse(text)


def test_indices_count_along_the_stored_axis():
    full = np.ones((10, 4, 4), bool)
    plan = SlicePlan(plane="sagittal", slices="0:3")
    stored_left = volume(np.ones((10, 4, 4)), "LPS")
    stored_right = volume(np.ones((10, 4, 4)), "RAS")
    assert cut.chosen_slices(stored_right, full, plan) == [0, 1, 2]
    assert cut.chosen_slices(stored_left, full, plan) == [7, 8, 9]


def test_indices_outside_are_refused():
    plan = SlicePlan(plane="axial", slices="80:150")
    with pytest.raises(DataError, match="its axial axis has 4"):
        cut.chosen_slices(volume(np.ones((10, 4, 4))), np.ones((10, 4, 4), bool), plan)


def test_millimetres_are_scanner_space():
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[2, 3] = -7  # slices lie at -7, -5, -3, -1, 1, 3, 5, 7
    scan = volume(np.ones((4, 4, 8)), affine=affine)
    plan = SlicePlan(slices="-3mm:3mm")
    assert cut.chosen_slices(scan, np.ones((4, 4, 8), bool), plan) == [2, 3, 4]
    assert cut.position_mm(scan, 2, 4) == 1


def test_fractions_are_of_the_brain_and_steps_skip():
    brain = np.zeros((4, 4, 30), bool)
    brain[:, :, 10:20] = True
    scan = volume(brain)
    assert cut.chosen_slices(scan, brain, SlicePlan(slices="0.4:0.6")) == [14, 15]
    assert cut.chosen_slices(scan, brain, SlicePlan(slices="0.0:1.0:4")) == [10, 14, 18]


def test_slices_with_little_brain_are_left_out():
    brain = np.zeros((10, 10, 4), bool)
    brain[:, :, 1:3] = True
    brain[0, 0, 0] = True
    plan = SlicePlan(slices="0:4", min_brain=0.1)
    assert cut.chosen_slices(volume(brain), brain, plan) == [1, 2]
    every = SlicePlan(slices="0:4", min_brain=0)
    assert cut.chosen_slices(volume(brain), brain, every) == [0, 1, 2, 3]


def test_a_field_lies_on_the_brain_or_on_the_image():
    padded = SlicePlan(field_mm=256, field_on="image")
    assert cut.frame_of((240, 240), (1, 1), (100, 130), padded) == cut.Frame((-8, 256), (-8, 256))
    on_brain = SlicePlan(field_mm=256)
    assert cut.frame_of((240, 240), (1, 1), (100, 130), on_brain) == cut.Frame((-28, 256), (2, 256))
    with pytest.raises(RecipeError, match="give that too"):
        SlicePlan(field_on="image")


def test_the_scale_comes_from_the_brain_alone():
    voxels = np.full((1, 4, 4), 1000, np.float32)
    brain = np.zeros((1, 4, 4), bool)
    brain[0, 1:3, 1:3] = True
    voxels[brain] = [0, 10, 20, 40]
    limits = cut.brain_limits(voxels, brain, (0, 100))
    unit = cut.to_unit(voxels, brain, limits)
    np.testing.assert_allclose(unit[brain], [-1, -0.5, 0, 1])
    assert (unit[~brain] == -1).all()


def test_a_brain_of_one_intensity_is_refused():
    with pytest.raises(DataError, match="single intensity"):
        cut.brain_limits(np.ones((2, 2, 2), np.float32), np.ones((2, 2, 2), bool), (0, 100))


def test_a_stripped_brain_is_found_whatever_its_background():
    voxels = brain_phantom()
    hollow = voxels.copy()
    hollow[12, 14, 10] = 0
    brain, name = cut.find_brain(volume(np.where(hollow == 0, -4.5, hollow)))
    assert name == "foreground"
    np.testing.assert_array_equal(brain, voxels > 0)  # the hole is filled


def test_a_head_in_noise_is_found():
    voxels = brain_phantom()
    noise = np.random.default_rng(0).normal(3, 1, voxels.shape)
    brain, name = cut.find_brain(volume(np.where(voxels == 0, noise, voxels)))
    assert name == "head"
    assert (brain == (voxels > 0)).mean() > 0.98


def test_padding_keeps_shape_and_squashing_does_not():
    stack = np.full((1, 8, 4), 1, np.float32)
    padded, mm = fit_square(stack, (1, 1), (0, 0), SlicePlan(size=8, fit="pad"))
    np.testing.assert_array_equal(padded[0, 0], [-1, -1, 1, 1, 1, 1, -1, -1])
    assert mm == 1
    squashed, mm = fit_square(stack, (1, 1), (0, 0), SlicePlan(size=8, fit="squash"))
    assert (squashed == 1).all()
    assert mm == 0.5
    cropped, _ = fit_square(stack, (1, 1), (0, 0), SlicePlan(size=8, fit="crop"))
    assert (cropped == 1).all()


def test_spacing_is_respected():
    stack = np.full((1, 8, 16), 1, np.float32)  # 16 mm high, 16 mm wide
    images, mm = fit_square(stack, (2, 1), (0, 0), SlicePlan(size=16, fit="pad"))
    assert (images == 1).all()
    assert mm == 1


def test_a_field_is_centred_on_the_brain():
    stack = np.full((1, 30, 30), -1, np.float32)
    stack[0, 3:7, 20:24] = 1
    images, _ = fit_square(stack, (1, 1), (4.5, 21.5), SlicePlan(size=16, field_mm=16))
    rows, columns = np.nonzero(images[0] > 0)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (6, 9, 6, 9)


def test_shrinking_is_antialiased():
    checker = np.indices((32, 32)).sum(0)[None] % 2 * 2.0 - 1
    images, _ = fit_square(checker.astype(np.float32), (1, 1), (0, 0), SlicePlan(size=8))
    assert np.abs(images[0, 2:-2, 2:-2]).max() < 0.1
