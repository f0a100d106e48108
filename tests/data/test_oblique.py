import json

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation

from conftest import brain_phantom, tumour_phantom, write_nifti
from mrgantry.common.errors import DataError, RecipeError
from mrgantry.data import SlicePlan, SliceSet, oblique, prepare
from mrgantry.data.centres import read_centre
from mrgantry.data.oblique import POSES, Pose, StoredHead, draw_poses, load_heads
from mrgantry.data.rows import choose_rows
from mrgantry.data.sections import from_text
from mrgantry.data.subjects import find_subjects
from mrgantry.data.volume import read_volume

PLAN = SlicePlan(plane="oblique", poses=6, size=16, field_mm=24)


def head(points=(), shape=(41, 41, 41)):
    """A head of 41 mm round the origin, bright at some points (x, y, z) in mm."""
    voxels = np.full((1, *shape), -1, np.float16)
    affine = np.eye(4)
    affine[:3, 3] = -20
    for point in points:
        voxels[(0, *(np.rint(point).astype(int) + 20))] = 1
    return StoredHead(voxels, affine, np.zeros(3)).lay_out()


def brightest(pose, point, size=41):
    """Where a bright point stands: its column and row from the middle, in mm."""
    image = draw_poses([head([point])], [(0, pose)], size, float(size))[0, 0]
    assert image.max() > -0.9, "the point is not in the section"
    row, column = divmod(int(image.argmax()), size)
    return column - size // 2, row - size // 2


def test_every_index_is_one_pose():
    poses = {Pose.at(index) for index in range(POSES)}
    assert len(poses) == POSES == 48510
    for index in (0, 1, 777, 24255, POSES - 1):
        assert Pose.at(index).index == index
    assert Pose.at(0) == Pose(-10, -10, -5, -4.0, False)
    assert {abs(pose.roll) for pose in poses} == set(range(6))
    with pytest.raises(ValueError):
        _ = Pose(yaw=11).index


def test_a_straight_head_stands_as_radiologists_see_it():
    assert brightest(Pose(), (10, 0, 0)) == (-10, 0)  # right on the left
    assert brightest(Pose(), (0, 10, 0)) == (0, -10)  # anterior up
    assert brightest(Pose(section=4), (0, 10, 4)) == (0, -10)
    assert brightest(Pose(flip=True), (10, 0, 0)) == (10, 0)


def test_the_turns_go_the_ways_they_say():
    column, row = brightest(Pose(yaw=10), (0, 18, 0))
    assert (column, row) == (3, -18)  # the nose turns to the patient's left
    # What lay below the section in front comes up into it when the nose is lifted,
    # and what lay below it on the left when the head leans to its right.
    assert brightest(Pose(pitch=10), (0, 17, -3)) == (0, -17)
    assert brightest(Pose(roll=10), (-17, 0, -3)) == (17, 0)


def test_poses_are_trilinear_interpolation():
    random = np.random.default_rng(0)
    voxels = random.uniform(-1, 1, (2, 20, 24, 16)).astype(np.float16)
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", [4, -7, 11], degrees=True).as_matrix() * [1, 0.9, 2]
    affine[:3, 3] = [-8, -12, -14]
    stored = StoredHead(voxels, affine, np.array([1.0, 0.5, -1.0]))
    poses = [Pose(2.5, -3, 1, 0.7, True), *map(Pose.at, random.integers(0, POSES, 5).tolist())]
    images = draw_poses([stored.lay_out()], [(0, pose) for pose in poses], 32, 28.0).numpy()
    for pose, image in zip(poses, images, strict=True):
        to_voxel = np.linalg.inv(affine) @ oblique.placed(pose, 28 / 32, 32, stored.centre)
        for channel, drawn in zip(voxels.astype(np.float32), image, strict=True):
            expected = ndimage.affine_transform(
                channel + 1,
                to_voxel[:3, :3],
                to_voxel[:3, 3],
                (32, 32, 1),
                order=1,
                mode="grid-constant",
            )
            np.testing.assert_allclose(drawn, expected[..., 0].T - 1, atol=2e-3)


def test_outside_the_volume_is_background():
    images = draw_poses([head([(0, 0, 0)])], [(0, Pose(10, 10, 5, 4))], 16, 200.0)
    assert (images[0, 0, 0] == -1).all() and (images[0, 0, :, -1] == -1).all()


def test_coarse_pixels_average_what_they_cover():
    voxels = (np.indices((40, 40, 40)).sum(0) % 2 * 2.0 - 1)[None].astype(np.float16)
    affine = np.eye(4)
    affine[:3, 3] = -20
    images = draw_poses([StoredHead(voxels, affine, np.zeros(3)).lay_out()], [(0, Pose())], 8, 32.0)
    assert images.abs().max() < 0.1


def test_several_heads_keep_their_order():
    two = [head([(10, 0, 0)]), head([(-10, 0, 0)])]
    drawn = draw_poses(two, [(1, Pose()), (0, Pose()), (1, Pose())], 41, 41.0)
    assert [int(image.argmax()) % 41 - 20 for image in drawn[:, 0]] == [10, -10, 10]


def test_the_basal_level_follows_the_size_of_the_brain():
    grid = np.indices((80, 100, 80)) - np.array([40, 50, 40]).reshape(3, 1, 1, 1)
    levels = {}
    for radius in (24, 36):
        brain = ((grid / np.array([radius, radius, radius]).reshape(3, 1, 1, 1)) ** 2).sum(0) < 1
        volume = oblique.Volume(brain.astype(np.float32), np.diag([2.0, 2.0, 2.0, 1.0]), "RAS")
        levels[radius] = oblique.basal_level(brain, volume)
    for radius, (x, y, z) in levels.items():
        assert x == pytest.approx(80, abs=2) and y == pytest.approx(105, abs=2)
        assert z == pytest.approx(80 + 2 * radius * (1 - 2 * 0.52), abs=4)


@pytest.fixture
def posed(cohort, tmp_path) -> SliceSet:
    return prepare(cohort, tmp_path / "posed", PLAN, workers=1)


def test_a_set_shows_some_poses_and_stores_none(posed, tmp_path):
    assert len(posed) == 10 * PLAN.poses == len(posed.images)
    assert posed.images.shape[1:] == (1, 16, 16)
    assert not list((tmp_path / "posed/parts").glob("*.npy"))
    assert posed.table["plane"].unique().tolist() == ["oblique"]
    assert posed.table["index"].between(0, POSES - 1).all()
    assert posed.table["index"].nunique() > 50  # each head shows poses of its own
    assert (
        SliceSet.open(posed.folder).where((posed.table["index"] > 20000).to_numpy()).images.shape[0]
        < 60
    )


def test_training_draws_what_the_table_shows(posed):
    train = posed.split("train")
    pixels = train.pixels(torch.device("cpu"))
    assert len(pixels) == train.available == 6 * POSES
    heads = torch.arange(len(train)) // PLAN.poses
    rows = heads * POSES + torch.from_numpy(train.table["index"].to_numpy().copy())
    drawn = pixels.batch(rows).numpy()
    np.testing.assert_allclose(drawn, train.images.astype(np.float32), atol=1e-3)


def test_rows_say_where_a_pose_lies(posed):
    row = posed.table.iloc[0]
    pose = Pose.at(int(row["index"]))
    about = json.loads((posed.folder / "about.json").read_text())
    stored = oblique.load_heads(posed.folder / f"parts/{about['parts'][0]}.npz")[0]
    expected = oblique.placed(pose, 24 / 16, 16, stored.centre)
    np.testing.assert_allclose(from_text(row["affine"]), expected, atol=1e-4)


def test_tumour_is_measured_in_each_pose(tmp_path):
    scans = tmp_path / "scans"
    for name in ("a", "b"):
        write_nifti(scans / f"HGG/{name}/{name}_t1.nii.gz", brain_phantom(), "LPS")
        write_nifti(scans / f"HGG/{name}/{name}_seg.nii.gz", tumour_phantom(), "LPS")
    middle = {"centre_mm": (12.0, 12.0, 10.5), "field_mm": 24, "size": 24}
    made = prepare(scans, tmp_path / "out", PLAN.model_copy(update=middle), workers=1)
    sections = [abs(Pose.at(index).section) for index in made.table["index"]]
    areas = made.table["tumour_mm2"].to_numpy()
    # 8 x 8 x 4 mm: a section through its middle shows about 64 mm2, one 4 mm off little.
    assert areas[np.array(sections) == 0].min() > 40
    assert areas.max() < 80
    assert areas[np.array(sections) == 4].max() < 40


def test_a_table_names_where_each_head_turns_and_how_it_lies(cohort, tmp_path):
    subjects = find_subjects(cohort, ("t1",), None)
    table = tmp_path / "centres.csv"
    rows = [f"{s.id},{8 + number / 2},14,10,0,{2 * number},0" for number, s in enumerate(subjects)]
    table.write_text("\n".join(["subject,x,y,z,yaw,pitch,roll", *rows]) + "\n")
    plan = PLAN.model_copy(update={"centre_mm": str(table)})
    made = prepare(cohort, tmp_path / "out", plan, workers=1)
    assert plan.options()["centre_mm"] == str(table)
    for number, subject in enumerate(subjects):
        (head,) = load_heads(tmp_path / "out/parts" / f"{subject.id}.npz")
        np.testing.assert_allclose(head.centre, (8 + number / 2, 14, 10))
        straight = read_volume(next(iter(subject.scans.values()))).affine
        turned = head.affine @ np.linalg.inv(straight)
        np.testing.assert_allclose(turned @ [*head.centre, 1], [*head.centre, 1], atol=1e-9)
        nose = turned[:3, :3] @ [0, 1, 0]  # a positive pitch lifts it
        assert np.degrees(np.arcsin(nose[2])) == pytest.approx(2 * number)
    assert len(made) == len(subjects) * PLAN.poses


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("subject,x,y\na,1,2\n", "lacks the column z"),
        ("subject,x,y,z\nnobody,1,2,3\n", "has 0 rows of subject"),
        ("subject,x,y,z\na,1,2,three\n", "no numbers for subject a"),
    ],
)
def test_a_table_that_names_no_centre_is_said(text, sentence, tmp_path):
    (tmp_path / "centres.csv").write_text(text)
    with pytest.raises(DataError, match=sentence):
        read_centre(tmp_path / "centres.csv", "a", "")


def test_training_cannot_choose_by_what_differs_between_poses(posed):
    with pytest.raises(DataError, match="is oblique: .* cannot choose by 'tumour'"):
        choose_rows(posed, ["tumour=yes"])
    assert len(choose_rows(posed, ["sequence=t1"])) == len(posed)


def test_slices_and_poses_exclude_each_other():
    with pytest.raises(RecipeError, match="names its own section"):
        SlicePlan.of({"plane": "oblique", "slices": "80:150"}, "plan")


def test_a_damaged_volume_is_said(posed):
    part = next((posed.folder / "parts").glob("*.npz"))
    part.write_bytes(part.read_bytes()[:3000])
    with pytest.raises(DataError, match="is damaged .* make it again"):
        _ = SliceSet.open(posed.folder).images


def test_a_head_that_poses_miss_is_skipped_with_its_reason(cohort, tmp_path):
    plan = PLAN.model_copy(update={"centre_mm": (900.0, 0.0, 0.0)})
    with pytest.raises(DataError, match="turn round 900:0:0 mm, show no brain"):
        prepare(cohort, tmp_path / "out", plan, workers=1)
