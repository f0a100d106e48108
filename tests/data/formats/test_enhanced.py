"""DICOM files of many frames, in whatever order they stand, give the scan that they are of."""

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from mrgantry.common.errors import DataError
from mrgantry.data import read_volume

SHAPE = (7, 5, 6)  # columns, rows, frames
VOXELS = np.random.default_rng(3).integers(1, 2000, SHAPE)  # LPS
SPACING, STEP, FIRST = (1.5, 2.0), 3.0, (-4.0, 7.0, -9.0)


def measures():
    made = Dataset()
    made.PixelSpacing, made.SliceThickness = [SPACING[1], SPACING[0]], STEP
    return made


def orientation():
    made = Dataset()
    made.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    return made


def frame_of(k, slope, apart):
    place, value, made = Dataset(), Dataset(), Dataset()
    place.ImagePositionPatient = [FIRST[0], FIRST[1], FIRST[2] + k * STEP]
    value.RescaleIntercept, value.RescaleSlope, value.RescaleType = "0", f"{slope:.6g}", "US"
    made.PlanePositionSequence = Sequence([place])
    made.PixelValueTransformationSequence = Sequence([value])
    if apart:
        made.PixelMeasuresSequence = Sequence([measures()])
        made.PlaneOrientationSequence = Sequence([orientation()])
    return made


def write(folder, order, slope_of=lambda k: 1.0, apart=False):
    """Write frames in some order, each scaled by its slope; geometry shared, or in each frame."""
    folder.mkdir()
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4.1"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = (
        meta.MediaStorageSOPClassUID,
        meta.MediaStorageSOPInstanceUID,
    )
    made.StudyInstanceUID, made.SeriesInstanceUID = generate_uid(), generate_uid()
    made.Modality, made.PatientID, made.SeriesDescription = "MR", "phantom", "t1"
    made.Columns, made.Rows, made.NumberOfFrames = SHAPE[0], SHAPE[1], len(order)
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
    shared = Dataset()
    if not apart:
        shared.PixelMeasuresSequence = Sequence([measures()])
        shared.PlaneOrientationSequence = Sequence([orientation()])
    made.SharedFunctionalGroupsSequence = Sequence([shared])
    made.PerFrameFunctionalGroupsSequence = Sequence(
        [frame_of(k, slope_of(k), apart) for k in order]
    )
    planes = [(VOXELS[:, :, k].T / slope_of(k)).round().astype("<u2") for k in order]
    made.PixelData = b"".join(plane.tobytes() for plane in planes)
    pydicom.dcmwrite(folder / "all.dcm", made, enforce_file_format=True)
    return folder


ORDERS = {
    "up": list(range(6)),
    "down": list(range(6))[::-1],
    "interleaved": [0, 2, 4, 1, 3, 5],
}


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("order", ORDERS)
def test_frames_stand_where_they_say(tmp_path, order, apart):
    read = read_volume(write(tmp_path / "t1", ORDERS[order], apart=apart))
    np.testing.assert_array_equal(read.voxels, VOXELS[::-1, ::-1])
    wanted = np.diag([SPACING[0], SPACING[1], STEP, 1.0])
    wanted[:3, 3] = (
        -FIRST[0] - (SHAPE[0] - 1) * SPACING[0],
        -FIRST[1] - (SHAPE[1] - 1) * SPACING[1],
        FIRST[2],
    )
    np.testing.assert_allclose(read.affine, wanted)


def test_frames_are_scaled_one_by_one(tmp_path):
    read = read_volume(write(tmp_path / "t1", ORDERS["down"], lambda k: 1 + 0.25 * k))
    np.testing.assert_allclose(read.voxels, VOXELS[::-1, ::-1], atol=0.5 * 2.25)


def test_two_echoes_in_one_file_are_refused(tmp_path):
    with pytest.raises(DataError, match="two of its slices lie in one place"):
        read_volume(write(tmp_path / "t1", ORDERS["up"] * 2))


def test_a_missing_frame_is_told(tmp_path):
    with pytest.raises(DataError, match="1 of its slices are missing"):
        read_volume(write(tmp_path / "t1", [0, 1, 2, 4, 5]))
