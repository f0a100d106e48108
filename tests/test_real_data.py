"""Real scans, where MRGANTRY_REAL_DATA names a folder of them."""

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial.transform import Rotation

from mrgantry.data import (
    ImportPlan,
    SlicePlan,
    export,
    find_subjects,
    import_slices,
    inspect,
    prepare,
    read_volume,
)
from mrgantry.data.notes import Notes
from mrgantry.data.sections import from_text
from mrgantry.generate import train
from mrgantry.papers import find_recipe


def test_ixi_is_found_whole(real_data):
    found = find_subjects(real_data / "ixi-t1-2mm-bids")
    assert len(found) == 90
    assert all(list(subject.scans) == ["t1"] and subject.mask for subject in found)
    assert {"age", "sex"} <= found[0].attributes.keys()


@pytest.fixture
def thirty(real_data, tmp_path):
    """A third of the people of IXI: as telling in most tests, and read three times as fast."""
    folder = tmp_path / "thirty"
    folder.mkdir()
    ixi = real_data / "ixi-t1-2mm-bids"
    people = sorted(ixi.glob("sub-*"))
    others = [path for path in ixi.iterdir() if path not in people]
    for path in (*people[::3], *others):
        (folder / path.name).symlink_to(path)
    return folder


@pytest.mark.parametrize(("plane", "count"), [("axial", 13), ("coronal", 17)])
def test_ixi_gives_upright_slices(real_data, tmp_path, plane, count):
    plan = SlicePlan(plane=plane, slices="0.4:0.6", size=64)
    made = prepare(real_data / "ixi-t1-2mm-bids", tmp_path / "out", plan)
    per_subject = made.table.groupby("subject").size()
    assert len(per_subject) == 90
    assert abs(per_subject.median() - count) <= 2
    assert made.about.notes == Notes(brain={"mask": 90}, repeats=())
    assert made.table["split"].value_counts().index[0] == "train"
    assert_upright(made.images, plane)


def test_thirty_of_ixi_give_upright_sagittal_slices(thirty, tmp_path):
    made = prepare(thirty, tmp_path / "out", SlicePlan(plane="sagittal", slices="0.4:0.6", size=64))
    per_subject = made.table.groupby("subject").size()
    assert len(per_subject) == 30
    assert abs(per_subject.median() - 13) <= 2
    assert_upright(made.images, "sagittal")


def assert_upright(images, plane):
    """Say by the shape of the mean brain that slices are the right way up."""
    mean = images[:, 0].astype(np.float32).mean(0)
    rows = np.flatnonzero((mean > -0.5).any(1))
    columns = np.flatnonzero((mean > -0.5).any(0))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    # Brains are longer (front to back) than wide and than high.
    if plane == "axial":
        assert height > 1.1 * width
    else:
        assert width > 1.05 * height
    if plane == "sagittal":  # the cerebellum lies low and behind: to the right
        low = mean[rows[-1] - height // 4 :]
        assert low[:, 32:].mean() > low[:, :32].mean()


def test_a_person_who_was_scanned_again_is_found(real_data, tmp_path):
    """Turned by 2 degrees, shifted by 2 mm, with a bias of 15% and noise: one of 25 people."""
    ixi, masks = real_data / "ixi-t1-2mm-bids", "derivatives/dlmuse"
    (tmp_path / "scans" / masks).mkdir(parents=True)
    people = sorted(folder.name for folder in ixi.glob("sub-*"))[:25]
    for name in people:
        (tmp_path / "scans" / name).symlink_to(ixi / name)
        (tmp_path / "scans" / masks / name).symlink_to(ixi / masks / name)
    for place, word, order in (("", "T1w", 1), (masks, "dseg", 0)):
        image = nib.load(ixi / place / people[3] / f"anat/{people[3]}_{word}.nii.gz")
        voxels = np.asarray(image.dataobj).astype(np.float32)
        turn = Rotation.from_rotvec(np.deg2rad(2) * np.array([0.8, 0, 0.6])).as_matrix()
        middle = (np.array(voxels.shape) - 1) / 2
        shift = middle - turn @ middle + np.array([0.7, 0.7, 0])  # voxels of 2 mm
        voxels = ndimage.affine_transform(voxels, turn, shift, order=order)
        if order:
            voxels *= np.linspace(0.85, 1.15, len(voxels))[:, None, None]
            noise = np.random.default_rng(0).normal(0, 0.03, voxels.shape)
            voxels = (voxels + noise * np.percentile(voxels, 99)).clip(0)
        path = tmp_path / "scans" / place / f"sub-again/anat/sub-again_{word}.nii.gz"
        path.parent.mkdir(parents=True)
        nib.save(nib.Nifti1Image(voxels.astype(np.int16), image.affine), path)
    plan = SlicePlan(slices="0.4:0.6:2", size=64)
    (one,) = prepare(tmp_path / "scans", tmp_path / "out", plan, workers=1).about.notes.repeats
    assert {one.subject, one.other} == {people[3].removeprefix("sub-"), "again"}
    assert one.ratio < 0.4  # and different people 0.59 and more


def test_brats_patients(real_data, tmp_path):
    found = find_subjects(real_data / "brats2015-hgg")
    assert [(s.id, s.session) for s in found] == [
        ("brats_2013_pat0001", "1"),
        ("brats_2013_pat0003", "1"),
        ("brats_2013_pat0005", "1"),
    ]
    assert all(sorted(s.scans) == ["flair", "t1c"] and s.tumour and s.mask for s in found)
    plan = SlicePlan(
        sequences=("t1c", "flair"), combine="channels", plane="sagittal", slices="80:150"
    )
    made = prepare(real_data / "brats2015-hgg", tmp_path / "out", plan)
    assert made.images.shape == (210, 2, 64, 64)
    assert set(made.table["index"]) == set(range(80, 150))
    assert set(made.table["tumour"]) == {"yes", "no", "unclear"}
    assert made.images.min() == -1  # the z-scored, negative background is black


@pytest.mark.parametrize("folder", ["brats2015-hgg", "open-ms-patient07", "stroke-t1-t2-flair"])
@pytest.mark.parametrize("plane", ["axial", "sagittal"])
def test_patients_are_upright_in_every_plane(real_data, tmp_path, folder, plane):
    plan = SlicePlan(sequences=("flair",), plane=plane, slices="0.42:0.58")
    made = prepare(real_data / folder, tmp_path / "out", plan, workers=1)
    assert made.about.notes.skipped == ()
    assert_upright(made.images, plane)


@pytest.mark.parametrize("folder", ["brats2015-hgg", "open-ms-patient07", "stroke-t1-t2-flair"])
def test_coronal_slices_stand_as_sagittal_ones(real_data, tmp_path, folder):
    rows = []  # how much brain there is at each height, which both planes must agree on
    for plane in ("coronal", "sagittal"):
        plan = SlicePlan(sequences=("flair",), plane=plane, slices="0.0:1.0", field_mm=240)
        made = prepare(real_data / folder, tmp_path / plane, plan, workers=1)
        rows.append((made.images > -1).sum((0, 1, 3)))
    as_it_is, upside_down = (np.corrcoef(rows[0][::way], rows[1])[0, 1] for way in (1, -1))
    assert as_it_is > 0.9995 > upside_down


def test_lesions_of_the_ms_patient_can_be_named(real_data, tmp_path):
    plan = SlicePlan(sequences=("flair",), tumour_labels="GOLD_*", slices="0.3:0.8")
    made = prepare(real_data / "open-ms-patient07", tmp_path / "out", plan, workers=1)
    assert {"yes", "no"} <= set(made.table["tumour"])
    assert made.table["tumour_mm2"].max() > 50


@pytest.mark.parametrize(
    ("folder", "people", "counts", "axes"),
    [
        ("ixi-t1-2mm-bids", 90, {"t1": 90}, "PSR"),
        ("brats2015-hgg", 3, {"t1c": 3, "flair": 3}, "LPS"),
        ("open-ms-patient07", 1, {"t1": 1, "t1c": 1, "t2": 1, "flair": 1}, "LAS"),
        ("stroke-t1-t2-flair", 1, {"t1": 1, "t2": 1, "flair": 1}, "RAS"),
        ("studyforrest-t1-dicom", 1, {"t1": 1}, "LPS"),
    ],
)
def test_inspect_counts_every_folder(real_data, tmp_path, folder, people, counts, axes):
    found = inspect(real_data / folder, tmp_path / "out")
    assert len({visit.subject.id for visit in found.visits}) == people
    assert found.counts == counts
    assert [visit.problems for visit in found.visits] == [[]] * people
    assert {row.axes for visit in found.visits for row in visit.rows} == {axes}


def test_ixi_poses(thirty, tmp_path):
    plan = SlicePlan(plane="oblique", poses=2, size=64, field_mm=220)
    made = prepare(thirty, tmp_path / "out", plan)
    assert len(made) == 60 and made.available == 30 * 48510
    assert_upright(made.images, "axial")
    # At the level of the basal ganglia brains are largest.
    brain = (made.images[:, 0] > -1).mean((1, 2)) * 220**2
    assert 14_000 < np.median(brain) < 22_000  # mm2


def test_a_grid_for_all(real_data, tmp_path):
    plan = SlicePlan(
        sequences=("t1", "flair"), combine="channels", resample_to="1.5mm", slices="0.4:0.6"
    )
    made = prepare(real_data / "stroke-t1-t2-flair", tmp_path / "out", plan, workers=1)
    assert made.images.shape[1] == 2
    steps = np.linalg.norm(from_text(made.table["affine"].iloc[0])[:3, :3], axis=0)
    assert steps[2] == pytest.approx(1.5)  # between slices; pixels follow the size asked for


def test_the_ms_patient(real_data, tmp_path):
    (subject,) = find_subjects(real_data / "open-ms-patient07")
    assert sorted(subject.scans) == ["flair", "t1", "t1c", "t2"]
    assert subject.tumour is None  # its lesions are no tumour
    plan = SlicePlan(sequences=("t1", "t1c", "t2", "flair"), combine="channels")
    made = prepare(real_data / "open-ms-patient07", tmp_path / "out", plan)
    assert made.images.shape[1:] == (4, 64, 64)
    assert made.about.notes.brain == {"foreground": 1}
    assert set(made.table["tumour"]) == {"unknown"}


def test_the_stroke_patient(real_data, tmp_path):
    (subject,) = find_subjects(real_data / "stroke-t1-t2-flair")
    assert sorted(subject.scans) == ["flair", "t1", "t2"]
    plan = SlicePlan(sequences=("t1", "t2", "flair"), combine="pool")
    made = prepare(real_data / "stroke-t1-t2-flair", tmp_path / "out", plan)
    assert set(made.table["sequence"]) == {"t1", "t2", "flair"}


def test_the_dicom_series_equals_a_nifti_of_it(real_data, tmp_path):
    folder = real_data / "studyforrest-t1-dicom"
    (subject,) = find_subjects(folder)
    assert subject.scans == {"t1": folder}
    volume = read_volume(folder)
    assert 40 in volume.voxels.shape
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    assert len(names) == 40
    sitk.WriteImage(sitk.ReadImage(names), str(tmp_path / "t1.nii.gz"))
    other = read_volume(tmp_path / "t1.nii.gz")
    np.testing.assert_array_equal(volume.voxels, other.voxels)
    np.testing.assert_allclose(volume.affine, other.affine, atol=1e-3)


def test_decathlon_slices_stand_upright_and_come_back(real_data, tmp_path):
    plan = ImportPlan(
        real=True, subject=r"(dataset_\d+)", pixel_mm=1, plane="axial", turn=270, mirror=True
    )
    made = import_slices(real_data / "msd-brain-slices", tmp_path / "made", plan)
    assert made.images.shape == (5, 1, 240, 240)
    assert "0.5 and 99.5 percentiles" in made.about.notes.range
    assert made.about.notes.skipped == () and set(made.table["source"]) == {"real"}
    for image in made.images[:, 0]:
        brain = image > -1
        assert (image[0] == -1).all() and 0.1 < brain.mean() < 0.5
        assert -0.5 < np.median(image[brain]) < 0.7  # tissue is neither black nor white
        height, width = (np.ptp(np.flatnonzero(brain.any(axis))) + 1 for axis in (1, 0))
        assert height > 1.1 * width  # longer front to back
    export(made.folder, tmp_path / "nifti", "nifti")
    back = import_slices(tmp_path / "nifti", tmp_path / "back")
    assert np.array_equal(back.images, made.images) and back.table.equals(made.table)


@pytest.mark.slow
def test_weights_learnt_from_simulated_heads_are_worth_five_times_as_many_images(
    real_data, tmp_path
):
    plan = SlicePlan(slices="0.45:0.75:2", size=64, field_mm=192)
    prepare(real_data / "ixi-t1-2mm-bids", tmp_path / "slices", plan)
    errors = {}
    for start, images in (("heads-64", 320), ("null", 1600)):
        recipe = find_recipe("gantry-64").set([f"start={start}", f"images={images}"])
        run = train(tmp_path / "slices", tmp_path / start, recipe)
        errors[start] = run.log()[-1]["held_out_error"]
    assert errors["heads-64"] < 0.9 * errors["null"], errors
