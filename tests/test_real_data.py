"""Real scans, where MRGANTRY_REAL_DATA names a folder of them."""

import numpy as np
import pytest
import SimpleITK as sitk

from mrgantry.data import SlicePlan, find_subjects, prepare, read_volume


def test_ixi_is_found_whole(real_data):
    found = find_subjects(real_data / "ixi-t1-2mm-bids")
    assert len(found) == 90
    assert all(list(subject.scans) == ["t1"] and subject.mask for subject in found)
    assert {"age", "sex"} <= found[0].attributes.keys()


@pytest.mark.parametrize(("plane", "count"), [("axial", 13), ("coronal", 17), ("sagittal", 13)])
def test_ixi_gives_upright_slices(real_data, tmp_path, plane, count):
    plan = SlicePlan(plane=plane, slices="0.4:0.6", size=64)
    made = prepare(real_data / "ixi-t1-2mm-bids", tmp_path / "out", plan)
    per_subject = made.table.groupby("subject").size()
    assert len(per_subject) == 90
    assert abs(per_subject.median() - count) <= 2
    assert made.about.notes == {"brain": {"mask": 90}, "skipped": [], "assumed": []}
    assert made.table["split"].value_counts().index[0] == "train"
    mean = made.images[:, 0].astype(np.float32).mean(0)
    rows = np.flatnonzero((mean > -0.5).any(1))
    columns = np.flatnonzero((mean > -0.5).any(0))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    # Brains are longer (front to back) than wide, and wider than high.
    if plane == "axial":
        assert height > 1.1 * width
    else:
        assert width > 1.05 * height
    if plane == "sagittal":  # the cerebellum lies low and behind: to the right
        low = mean[rows[-1] - height // 4 :]
        assert low[:, 32:].mean() > low[:, :32].mean()


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


def test_the_ms_patient(real_data, tmp_path):
    (subject,) = find_subjects(real_data / "open-ms-patient07")
    assert sorted(subject.scans) == ["flair", "t1", "t1c", "t2"]
    assert subject.tumour is None  # its lesions are no tumour
    plan = SlicePlan(sequences=("t1", "t1c", "t2", "flair"), combine="channels")
    made = prepare(real_data / "open-ms-patient07", tmp_path / "out", plan)
    assert made.images.shape[1:] == (4, 64, 64)
    assert made.about.notes["brain"] == {"foreground": 1}
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
