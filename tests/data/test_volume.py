import gzip
import itertools

import nibabel as nib
import numpy as np
import pytest

from conftest import brain_phantom, write_nifti
from mrgantry.common.errors import DataError
from mrgantry.data import read_volume
from scans import phantom

ORIENTATIONS = [
    "".join(axes)
    for order in itertools.permutations(("RL", "AP", "SI"))
    for axes in itertools.product(*order)
]


@pytest.mark.parametrize("axes", ORIENTATIONS)
def test_any_of_48_orientations_is_turned_to_ras(tmp_path, axes):
    voxels = np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)
    volume = read_volume(write_nifti(tmp_path / "scan.nii", voxels, axes, (1, 2, 3)))
    np.testing.assert_array_equal(volume.voxels, voxels)
    assert volume.stored_axes == axes
    assert volume.spacing == (1, 2, 3)
    stored = np.asarray(nib.load(tmp_path / "scan.nii").dataobj)
    for axis, letters in enumerate(("RL", "AP", "SI")):
        along = next(i for i, letter in enumerate(axes) if letter in letters)
        for index in (0, 2):
            place = volume.stored_index(axis, index)
            expected = np.sort(np.take(voxels, index, axis).ravel())
            np.testing.assert_array_equal(np.sort(np.take(stored, place, along).ravel()), expected)


def test_scaling_in_the_header_is_applied(tmp_path):
    image = nib.Nifti1Image(np.full((3, 3, 3), 10, np.uint8), np.eye(4))
    image.header.set_slope_inter(2.5, 1)
    nib.save(image, tmp_path / "scan.nii.gz")
    assert read_volume(tmp_path / "scan.nii.gz").voxels[0, 0, 0] == 26


def test_a_truncated_scan_is_refused(tmp_path):
    path = write_nifti(tmp_path / "scan.nii.gz", brain_phantom())
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(DataError, match="truncated or damaged"):
        read_volume(path)


def test_a_truncated_uncompressed_scan_is_refused(tmp_path):
    path = write_nifti(tmp_path / "scan.nii", brain_phantom())
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(DataError, match="truncated or damaged"):
        read_volume(path)


@pytest.mark.parametrize(
    ("voxels", "sentence"),
    [
        (np.zeros((4, 4, 4, 3), np.float32), "4 x 4 x 4 x 3; a scan has three axes"),
        (np.zeros((4, 4), np.float32), "4 x 4; a scan has three axes"),
        (np.full((4, 4, 4), np.nan, np.float32), "64 voxels that are NaN or infinite"),
        (np.zeros((4, 4, 1), np.float32), "4 x 4 x 1; that is no scan of a brain"),
        (
            np.zeros((4, 4, 4), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])),
            "holds colours",
        ),
    ],
)
def test_what_is_no_scan_is_refused_in_a_sentence(tmp_path, voxels, sentence):
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "scan.nii.gz")
    with pytest.raises(DataError, match=sentence):
        read_volume(tmp_path / "scan.nii.gz")


def test_other_files_under_the_name_are_refused(tmp_path):
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(b"no scan at all" * 100))
    with pytest.raises(DataError, match="is not a NIfTI file"):
        read_volume(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="it is empty"):
        read_volume(path)
    with pytest.raises(DataError, match="does not exist"):
        read_volume(tmp_path / "absent.nii.gz")


def test_a_singular_affine_is_refused(tmp_path):
    image = nib.Nifti1Image(np.zeros((4, 4, 4), np.float32), None)
    image.header.set_sform(np.zeros((4, 4)), code=1)
    image.header["pixdim"][1:4] = 0
    path = tmp_path / "scan.nii"
    image.to_filename(path)
    with pytest.raises(DataError, match=r"scan\.nii"):
        read_volume(path)


def test_a_simulated_scan_says_so(tmp_path):
    image = nib.Nifti1Image(brain_phantom(), np.eye(4))
    image.header["descrip"] = b"simulated by mrgantry"
    nib.save(image, tmp_path / "scan.nii.gz")
    assert read_volume(tmp_path / "scan.nii.gz").simulated


def with_forms(path, sform, pixdim=(1, 1, 1)):
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape(phantom().voxels.shape)
    header.set_zooms(pixdim)
    header.set_sform(sform, code=1)
    image = nib.Nifti1Image(phantom().voxels, None, header)
    nib.save(image, path)
    return path


def test_a_sheared_sform_is_refused(tmp_path):
    sheared = np.eye(4)
    sheared[0, 1] = 0.1
    with pytest.raises(DataError, match=r"right angles \(its sform shears it"):
        read_volume(with_forms(tmp_path / "a.nii.gz", sheared))
    turned = np.eye(4)
    turned[:2, :2] = [[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]
    assert not read_volume(with_forms(tmp_path / "b.nii.gz", turned)).assumed


def test_an_sform_that_contradicts_pixdim_is_questioned(tmp_path):
    volume = read_volume(with_forms(tmp_path / "a.nii.gz", np.diag([1.0, 1, 2, 1])))
    assert volume.assumed == (
        "its voxels measure 1 x 1 x 2 mm by its sform, and 1 x 1 x 1 mm by its pixdim"
    )


def test_one_volume_of_a_file_of_several(tmp_path):
    truth = phantom("RAS")
    several = np.stack([truth.voxels, truth.voxels[::-1]], axis=-1)
    nib.save(nib.Nifti1Image(several, truth.affine), tmp_path / "case.nii.gz")
    for number, voxels in enumerate((truth.voxels, truth.voxels[::-1])):
        read = read_volume(tmp_path / f"case.nii.gz#{number}")
        np.testing.assert_array_equal(read.voxels, voxels)
    with pytest.raises(DataError, match="and no volume 2"):
        read_volume(tmp_path / "case.nii.gz#2")
    with pytest.raises(DataError, match="a scan has three axes"):
        read_volume(tmp_path / "case.nii.gz")
