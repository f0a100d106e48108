"""DICOM series: the same as NIfTI where they are whole, a sentence where they are not."""

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from mrgantry.common.errors import DataError
from mrgantry.data import find_subjects, read_volume
from mrgantry.data.formats.dicom_elements import check_file
from mrgantry.data.volume import parts_of
from scans import phantom, to_itk, write_dicom


@pytest.mark.parametrize("axes", ["LPS", "PSL", "LSA", "RAS", "LIP"])
def test_a_series_equals_the_same_volume_as_nifti(tmp_path, axes):
    """Axial, sagittal and coronal series, and two whose slices were written backwards."""
    truth = phantom(axes)
    write_dicom(truth, tmp_path / "t1")
    nib.save(nib.Nifti1Image(truth.voxels, truth.affine), tmp_path / "t1.nii.gz")
    one, two = read_volume(tmp_path / "t1"), read_volume(tmp_path / "t1.nii.gz")
    np.testing.assert_array_equal(one.voxels, two.voxels)
    np.testing.assert_allclose(one.affine, two.affine, atol=1e-3)
    assert one.same_grid(two)


def test_an_oblique_series_equals_the_same_volume_as_nifti(tmp_path):
    image = to_itk(phantom("LPS"))
    image.SetDirection(sitk.Euler3DTransform((0, 0, 0), 0.3, -0.2, 0.5).GetMatrix())
    affine = np.eye(4)
    steps = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, :3], affine[:3, 3] = steps, image.GetOrigin()
    truth = phantom("LPS")
    turned = type(truth)(truth.voxels, np.diag([-1.0, -1, 1, 1]) @ affine)
    write_dicom(turned, tmp_path / "t1")
    sitk.WriteImage(image, str(tmp_path / "scan.nii"))
    one, two = read_volume(tmp_path / "t1"), read_volume(tmp_path / "scan.nii")
    np.testing.assert_array_equal(one.voxels, two.voxels)
    np.testing.assert_allclose(one.affine, two.affine, atol=1e-3)


def test_names_of_files_say_nothing(tmp_path):
    write_dicom(phantom("LPS"), tmp_path / "t1")
    write_dicom(phantom("LPS"), tmp_path / "shuffled")
    files = sorted((tmp_path / "shuffled").iterdir())
    for number, name in zip(np.random.default_rng(0).permutation(len(files)), files):
        name.rename(name.with_name(f"x{number}"))  # nor their endings
    one, two = read_volume(tmp_path / "t1"), read_volume(tmp_path / "shuffled")
    np.testing.assert_array_equal(one.voxels, two.voxels)
    np.testing.assert_array_equal(one.affine, two.affine)


def test_a_missing_slice_is_said(tmp_path):
    folder = write_dicom(phantom("LPS"), tmp_path / "t1")
    (folder / "004.dcm").unlink()
    with pytest.raises(DataError, match=r"1 of its slices are missing \(a step of 6.00 mm where"):
        read_volume(folder)


def test_slices_of_two_sizes_are_said(tmp_path):
    folder = write_dicom(phantom("LPS"), tmp_path / "t1")
    larger = phantom("LPS")
    larger = type(larger)(np.pad(larger.voxels, ((0, 2), (0, 0), (0, 0))), larger.affine)
    write_dicom(larger, tmp_path / "other")
    (tmp_path / "other/005.dcm").replace(folder / "005.dcm")
    with pytest.raises(DataError, match=r"its slices differ in size \(12 x 14 and 14 x 14\)"):
        read_volume(folder)


def test_of_two_series_in_one_folder_each_is_read_by_any_of_its_files(tmp_path):
    first, second = phantom("LPS"), phantom("LPS")
    second = type(second)(second.voxels[:, :, ::-1].copy(), second.affine)
    folder = write_dicom(first, tmp_path / "t1")
    write_dicom(second, folder, series="2", names="b{:03d}.dcm")
    with pytest.raises(DataError, match="holds 2 DICOM series; name a file of the one"):
        read_volume(folder)
    for truth, name in ((first, "004.dcm"), (second, "b007.dcm")):
        np.testing.assert_array_equal(read_volume(folder / name).voxels, truth.in_ras[0])
    assert [path.name for path in parts_of(folder / "b002.dcm")] == [
        f"b{number:03d}.dcm" for number in range(10)
    ]


def test_a_damaged_file_is_told_of_each_series_that_it_may_belong_to(tmp_path):
    folder = write_dicom(phantom("LPS"), tmp_path / "t1")
    write_dicom(phantom("LPS"), folder, series="2", names="b{:03d}.dcm")
    (folder / "005.dcm").write_bytes((folder / "005.dcm").read_bytes()[:300])
    for name in ("004.dcm", "b004.dcm"):
        with pytest.raises(DataError, match=r"its file 005\.dcm is truncated or damaged"):
            read_volume(folder / name)


def test_a_report_beside_a_series_is_left_out(tmp_path):
    folder = write_dicom(phantom("LPS"), tmp_path / "t1")
    report = pydicom.dcmread(folder / "000.dcm")
    for name in ("PixelData", "Rows", "Columns"):
        delattr(report, name)
    report.Modality, report.SeriesInstanceUID = "SR", "1.2.3"
    report.save_as(folder / "report.dcm")
    np.testing.assert_array_equal(read_volume(folder).voxels, phantom("LPS").in_ras[0])
    for path in folder.glob("0*.dcm"):
        path.unlink()
    with pytest.raises(DataError, match="no DICOM series of images"):
        read_volume(folder)


def test_a_deflated_series_is_read(tmp_path):
    folder = write_dicom(phantom("LPS"), tmp_path / "t1")
    for path in folder.iterdir():
        data = pydicom.dcmread(path)
        data.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
        data.save_as(path)
    np.testing.assert_array_equal(read_volume(folder).voxels, phantom("LPS").in_ras[0])


def test_names_that_end_in_mr_are_dicom(tmp_path):
    folder = write_dicom(phantom("LPS"), tmp_path / "t1")
    for path in folder.iterdir():
        path.rename(path.with_suffix(".MR"))
    np.testing.assert_array_equal(read_volume(folder).voxels, phantom("LPS").in_ras[0])
    (folder / "notes.mr").write_text("no scan")
    np.testing.assert_array_equal(read_volume(folder).voxels, phantom("LPS").in_ras[0])


def test_one_slice_twice_is_said(tmp_path):
    folder = write_dicom(phantom("LPS"), tmp_path / "t1")
    (folder / "copy.dcm").write_bytes((folder / "003.dcm").read_bytes())
    with pytest.raises(DataError, match="two of its slices lie in one place"):
        read_volume(folder)


def test_slices_at_unequal_distances_or_shifted_are_said(tmp_path):
    truth = phantom("LPS")
    for name, row, sentence in (("near", 2, "equal distances"), ("tilted", 1, "shifted against")):
        folder = write_dicom(truth, tmp_path / name)
        for index in range(10):
            affine = truth.affine.copy()
            affine[row, 3] += index if row == 1 else [0, 1][index > 4]
            write_dicom(type(truth)(truth.voxels, affine), tmp_path / "moved")
            (tmp_path / f"moved/{index:03d}.dcm").replace(folder / f"{index:03d}.dcm")
        with pytest.raises(DataError, match=sentence):
            read_volume(folder)


@pytest.mark.parametrize("end", [0, 100, 131, 140, 300, 800, -1])
def test_a_truncated_slice_is_named(tmp_path, end):
    """GDCM leaves such a file out; at either end of the stack, nobody would miss it."""
    folder = write_dicom(phantom("LPS"), tmp_path / "t1")
    data = (folder / "009.dcm").read_bytes()
    (folder / "009.dcm").write_bytes(data[:end])
    with pytest.raises(DataError, match=r"its file 009\.dcm is truncated or damaged"):
        read_volume(folder)


def test_other_files_beside_a_series_do_no_harm(tmp_path):
    folder = write_dicom(phantom("LPS"), tmp_path / "t1")
    before = read_volume(folder)
    (folder / "LICENSE.txt").write_text("no scan")
    (folder / ".hidden.dcm").write_bytes(b"left by a copy")
    (folder / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + bytes(100))
    np.testing.assert_array_equal(read_volume(folder).voxels, before.voxels)


def test_sequences_are_walked_through(tmp_path):
    """A sequence of each length, stated or marked, nested, stands before the pixels."""
    folder = write_dicom(phantom("LPS"), tmp_path / "t1")
    path = folder / "000.dcm"
    data = path.read_bytes()
    item = b"\xfe\xff\x00\xe0"
    end_of_item, end = b"\xfe\xff\x0d\xe0" + bytes(4), b"\xfe\xff\xdd\xe0" + bytes(4)
    open_ended = b"\xff\xff\xff\xff"
    value = b"\x08\x00\x50\x11\x04\x00\x00\x00abc "
    inner = b"\x08\x00\x40\x11" + open_ended + item + b"\x0c\x00\x00\x00" + value + end
    outer = b"\x08\x00\x40\x11" + open_ended + item + open_ended + inner + end_of_item + end
    place = data.index(b"\x10\x00\x10\x00")  # the patient's name comes next
    path.write_bytes(data[:place] + outer + data[place:])
    found = check_file(path)
    assert found[0x7FE00010] == phantom("LPS").voxels[:, :, 0].tobytes(order="F")
    assert 0x00081150 not in found  # what stands in a sequence is not the file's own
    path.write_bytes(data[:place] + outer[:-8] + data[place:])
    with pytest.raises(DataError, match="sequence that is no sequence"):
        check_file(path)


def test_a_series_is_told_by_its_description(tmp_path):
    write_dicom(phantom("LPS"), tmp_path / "patient7/series1")
    (tmp_path / "patient7/series1/000.dcm").write_bytes(b"damaged")
    (subject,) = find_subjects(tmp_path)
    assert list(subject.scans) == ["t1"]


def test_files_without_a_preamble_are_read(tmp_path):
    """As old archives keep them: no preamble, and no group 2 with the transfer syntax."""
    truth = phantom()
    folder = write_dicom(truth, tmp_path / "t1")
    for path in folder.iterdir():
        data = path.read_bytes()
        length = int.from_bytes(data[140:144], "little")  # of group 2, as its first element says
        path.write_bytes(data[144 + length :])
    read = read_volume(folder)
    whole = read_volume(write_dicom(truth, tmp_path / "whole"))
    np.testing.assert_array_equal(read.voxels, whole.voxels)
    np.testing.assert_allclose(read.affine, whole.affine)
