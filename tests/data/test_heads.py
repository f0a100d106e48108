"""Whole heads as rows of a set: where voxels end up, what is refused, and what takes the set."""

import re

import nibabel as nib
import numpy as np
import pytest
import torch

from conftest import brain_phantom, write_nifti
from mrgantry.common.errors import DataError, RecipeError
from mrgantry.common.picture import three_planes
from mrgantry.data import Generated, SlicePlan, SliceSet, prepare
from mrgantry.data import slices as slices_module
from mrgantry.data.heads import axial_slices
from mrgantry.data.pixels import FiledPixels
from mrgantry.data.repeats import find_repeats
from mrgantry.data.sections import from_text
from mrgantry.data.volume import read_volume
from mrgantry.detection import detect
from mrgantry.evaluation import evaluate

PLAN = SlicePlan(plane="volume", voxels=(24, 32, 24), voxel_mm=1.0)
ASYMMETRIC = {"right": (19, 14, 10), "front": (12, 24, 10), "top": (12, 14, 17)}  # RAS+ voxels


def marked(seed=0):
    """A brain with one bright voxel at its right, one at its front and one at its top."""
    voxels = brain_phantom(seed)
    for place in ASYMMETRIC.values():
        voxels[place] = 500
    return voxels


def scans(tmp_path, people=4, axes="LPS"):
    folder = tmp_path / "scans"
    for number in range(people):
        write_nifti(folder / f"p{number}" / f"p{number}_t1.nii.gz", marked(number), axes)
    return folder


@pytest.mark.parametrize("axes", ["RAS", "LPS", "PSR"])
def test_a_head_stands_upright_and_its_affine_says_where_it_was(tmp_path, axes):
    made = prepare(scans(tmp_path, 1, axes), tmp_path / "heads", PLAN)
    assert made.images.shape == (1, 1, 24, 32, 24)
    assert made.shape == (24, 32, 24)
    head = made.images[0, 0]
    affine = from_text(made.table["affine"].iloc[0])
    stored = read_volume(tmp_path / "scans/p0/p0_t1.nii.gz")
    bright = np.argwhere(head == 1)  # depth, row, column
    middle = (np.array(head.shape) - 1) / 2
    for name, place in ASYMMETRIC.items():
        wanted = (stored.affine @ [*place, 1])[:3]
        places = [(affine @ [column, row, depth, 1])[:3] for depth, row, column in bright]
        nearest = int(np.linalg.norm(np.array(places) - wanted, axis=1).argmin())
        assert np.allclose(places[nearest], wanted, atol=1e-4)
        depth, row, column = bright[nearest] - middle
        assert {"right": column < -3, "front": row < -3, "top": depth > 3}[name]


def test_pictures_of_a_head_are_upright():
    head = np.full((1, 1, 8, 10, 6), -1.0)
    head[0, 0, 7, 5, 3] = 1  # top
    head[0, 0, 4, 0, 3] = 1  # front
    head[0, 0, 4, 5, 0] = 1  # right
    axial, coronal, sagittal = three_planes(head)[:, 0]
    assert axial.shape == (10, 10)
    assert [tuple(place) for place in np.argwhere(axial == 1)] == [(0, 5), (5, 2)]  # front, right
    assert [tuple(place) for place in np.argwhere(coronal == 1)] == [(1, 5), (4, 2)]  # top, right
    assert [tuple(place) for place in np.argwhere(sagittal == 1)] == [(1, 5), (4, 0)]  # top, nose


def test_label_maps_come_back_voxel_by_voxel(cohort, tmp_path):
    plan = PLAN.model_copy(update={"label_maps": True, "sequences": ("t1", "flair")})
    plan = plan.model_copy(update={"combine": "channels"})
    made = prepare(cohort, tmp_path / "heads", plan)
    assert made.images.shape[1] == 2
    mapped = made.maps.sum((1, 2, 3))
    words = made.table["tumour"].to_numpy()
    assert set(mapped[words == "yes"]) == {8 * 8 * 4}  # as the phantom has them
    assert set(mapped[words == "no"]) == {0}
    assert (made.table.loc[words == "yes", "tumour_mm2"] == 64).all()
    assert made.drawn(with_maps=True).shape[1] == 3


@pytest.mark.parametrize(
    ("shape", "spacing", "plan", "said"),
    [
        ((24, 28, 20), (1, 1, 7), {"voxel_mm": 3.0}, "7 mm thick"),
        ((24, 28, 20), (3, 3, 3), {"voxel_mm": 3.0, "voxels": (16, 32, 24)}, "take --size"),
    ],
)
def test_what_is_no_whole_head_is_skipped_with_its_reason(tmp_path, shape, spacing, plan, said):
    voxels = brain_phantom(0, shape)
    write_nifti(tmp_path / "scans/a/a_t1.nii.gz", voxels, spacing=spacing)
    with pytest.raises(DataError, match=said):
        prepare(tmp_path / "scans", tmp_path / "heads", PLAN.model_copy(update=plan))


def test_what_is_said_of_a_field_that_is_too_small_helps(tmp_path):
    write_nifti(tmp_path / "scans/a/a_t1.nii.gz", brain_phantom(0, (24, 28, 20)), spacing=(9, 9, 9))
    small = SlicePlan(plane="volume", voxels=(16, 24, 24))  # of 9 mm, unless said otherwise
    with pytest.raises(DataError) as refused:
        prepare(tmp_path / "scans", tmp_path / "heads", small)
    size, mm = re.search(r"--size (\S+) --voxel-mm (\d+)", str(refused.value)).groups()
    assert float(mm) == small.cube_mm == 9
    voxels = tuple(map(int, size.split("x")))
    plan = SlicePlan(plane="volume", voxels=voxels, voxel_mm=float(mm))
    assert len(prepare(tmp_path / "scans", tmp_path / "larger", plan)) == 1


def test_a_slab_is_skipped(tmp_path):
    folder = scans(tmp_path, 2)
    write_nifti(folder / "slab/slab_t1.nii.gz", brain_phantom(5)[:, :, 8:14])
    made = prepare(folder, tmp_path / "heads", PLAN)
    assert len(made) == 2
    (said,) = made.about.notes.skipped
    assert said.startswith("slab t1 was skipped: it ends within the ")
    assert "at the bottom or top" in said


def test_options_of_slices_are_refused_for_volumes_and_the_reverse():
    with pytest.raises(RecipeError, match="--field-mm is for slices"):
        SlicePlan(plane="volume", field_mm=192)
    with pytest.raises(RecipeError, match="need --plane volume"):
        SlicePlan(voxels=(32, 32, 32))
    assert "--size 24x32x24" not in str(SlicePlan().options())
    assert PLAN.options()["size"] == "24x32x24"


def test_whatever_takes_slices_says_that_it_takes_no_volumes(tmp_path):
    made = prepare(scans(tmp_path), tmp_path / "heads", PLAN)
    for use in (
        lambda: SliceSet.open(made.folder),
        lambda: evaluate(made.folder, tmp_path / "scores", [made.folder]),
        lambda: detect(made.folder, tmp_path / "out", conditions=("none", "classical")),
    ):
        with pytest.raises(DataError, match=r"whole heads.*--plane axial"):
            use()
    assert SliceSet.open(made.folder, volumes=True).table.equals(made.table)
    assert "24 x 32 x 24 voxels" in repr(made)
    assert "<img" in made._repr_html_()


def test_volumes_that_stay_on_disk_are_read_as_those_in_memory(cohort, tmp_path, monkeypatch):
    made = prepare(cohort, tmp_path / "heads", PLAN.model_copy(update={"label_maps": True}))
    device, rows = torch.device("cpu"), torch.tensor([7, 2, 2])
    held = made.pixels(device, with_maps=True).batch(rows)
    monkeypatch.setattr(slices_module, "MOST_BYTES", 1)
    filed = SliceSet.open(made.folder, volumes=True).pixels(device, with_maps=True)
    assert isinstance(filed, FiledPixels)
    assert len(filed) == len(made)
    assert torch.equal(filed.batch(rows), held)


def test_one_person_under_two_names_is_found_among_volumes(tmp_path):
    folder = scans(tmp_path, 4)
    twin = marked(2) * 1.1
    write_nifti(folder / "twin/twin_t1.nii.gz", twin)
    made = prepare(folder, tmp_path / "heads", PLAN)
    repeats = find_repeats(axial_slices(made))
    assert [(pair.subject, pair.other) for pair in repeats] == [("p2", "twin")]
    assert made.about.notes.repeats == tuple(repeats)
    assert (made.folder / "repeats.png").is_file()


def test_another_generator_s_scans_become_a_synthetic_set(tmp_path):
    folder = scans(tmp_path)
    real = prepare(folder, tmp_path / "real", SlicePlan(size=16))
    generated = Generated.of_others(folder, "theirs", real.folder)
    made = prepare(folder, tmp_path / "synthetic", SlicePlan(size=16), generated=generated)
    assert made.about.synthetic
    assert set(made.about.training_subjects) == set(real.split("train").table["subject"])
    assert set(made.table["source"]) == {"synthetic"}
    assert set(made.table["made_by"]) == {"theirs"}
    assert set(made.table["split"]) == {""}
    assert "--synthetic --made-by theirs --trained-on" in made.about.command
    silent = Generated.of_others(folder)
    unknown = prepare(folder, tmp_path / "unknown", SlicePlan(size=16), generated=silent)
    assert "is not known" in unknown.about.notes.assumed[-1]
    assert set(unknown.table["made_by"]) == {"scans"}


def test_scans_that_say_they_are_synthetic_are_not_taken_for_people(tmp_path):
    folder = scans(tmp_path)
    file = folder / "p1/p1_t1.nii.gz"
    image = nib.load(file)
    image.header["descrip"] = "synthetic by mrgantry 0, seed 1"
    nib.save(nib.Nifti1Image(image.get_fdata(), image.affine, image.header), file)
    with pytest.raises(DataError, match=r"a generator drew them.*cohort.json.*--trained-on"):
        prepare(folder, tmp_path / "real", SlicePlan(size=16))


@pytest.mark.parametrize(
    ("shape", "spacing", "axes"),
    [((80, 112, 80), 2.0, "RAS"), ((64, 64, 64), 3.0, "LPS"), ((60, 72, 60), 3.0, "RAS")],
)
def test_heads_of_other_generators_in_the_shapes_they_have(tmp_path, shape, spacing, axes):
    """One folder of files, each a head; half the sizes that are usual, to be quick."""
    for number in range(3):
        path = tmp_path / f"generated/sample_{number:03d}_t1.nii.gz"
        write_nifti(path, brain_phantom(number, shape), axes, (spacing,) * 3)
    generated = Generated.of_others(tmp_path / "generated", "theirs")
    plan = SlicePlan(plane="coronal", resample_to="3mm", field_mm=192, slices="0.2:0.8")
    made = prepare(tmp_path / "generated", tmp_path / "synthetic", plan, generated=generated)
    assert made.table["subject"].nunique() == 3
    # The phantom is brighter in front, so the last slices are brighter than the first.
    bright = [image[image > -1].mean() for image in made.images.astype("float32")]
    first, *_, last = np.array_split(np.array(bright[: len(bright) // 3]), 4)
    assert last.mean() > first.mean()


def test_an_array_without_a_place_is_refused(tmp_path):
    folder = tmp_path / "arrays"
    folder.mkdir()
    np.save(folder / "sample_001_t1.npy", brain_phantom(0))
    with pytest.raises(DataError):
        prepare(folder, tmp_path / "slices", SlicePlan(), generated=Generated.of_others(folder))


@pytest.mark.parametrize(
    ("changes", "side"),
    [({}, 3.0), ({"voxels": (128, 144, 128)}, 1.5), ({"voxel_mm": 2.0}, 2.0)],
)
def test_a_field_of_any_number_of_voxels_holds_a_head(changes, side):
    plan = SlicePlan.of({"plane": "volume", **changes}, "plan")
    assert plan.cube_mm == plan.spacing == side
    again = SlicePlan.of({"plane": "volume", **changes, "voxel_mm": side}, "plan")
    assert again.options().get("voxel_mm") == side  # said wherever it was chosen
