"""One phantom in every format, written by the libraries that people use, reads the same."""

import gzip

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from mrgantry.common.errors import DataError
from mrgantry.data import read_volume
from scans import KINDS, phantom, to_itk


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_gives_the_same_voxels_in_the_same_places(tmp_path, kind):
    path, truth = KINDS[kind](tmp_path)
    volume = read_volume(path)
    voxels, affine = truth.in_ras
    np.testing.assert_array_equal(volume.voxels, voxels)
    np.testing.assert_allclose(volume.affine, affine, atol=1e-3)
    assert volume.stored_axes == "".join(nib.aff2axcodes(truth.affine))


@pytest.mark.parametrize("axes", ["LPS", "RAS", "AIR", "SLP"])
@pytest.mark.parametrize("name", ["scan.mha", "scan.mhd", "scan.nrrd", "scan.nhdr"])
@pytest.mark.parametrize("packed", [False, True])
def test_itk_s_formats_in_other_orientations(tmp_path, axes, name, packed):
    truth = phantom(axes, "<f8")
    sitk.WriteImage(to_itk(truth), str(tmp_path / name), packed)
    volume = read_volume(tmp_path / name)
    voxels, affine = truth.in_ras
    np.testing.assert_array_equal(volume.voxels, voxels)
    np.testing.assert_allclose(volume.affine, affine, atol=1e-3)


@pytest.mark.parametrize("name", ["scan.mha", "scan.nrrd"])
def test_oblique_axes_agree_with_itk_s_own_nifti(tmp_path, name):
    image = to_itk(phantom("LPS"))
    turn = sitk.Euler3DTransform((0, 0, 0), 0.3, -0.2, 0.5)
    image.SetDirection(turn.GetMatrix())
    sitk.WriteImage(image, str(tmp_path / name))
    sitk.WriteImage(image, str(tmp_path / "scan.nii"))
    one, two = read_volume(tmp_path / name), read_volume(tmp_path / "scan.nii")
    np.testing.assert_array_equal(one.voxels, two.voxels)
    np.testing.assert_allclose(one.affine, two.affine, atol=1e-3)


@pytest.mark.parametrize(
    "dtype", ["<i1", "<u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f4", "<f8"]
)
@pytest.mark.parametrize("name", ["scan.mha", "scan.nrrd"])
def test_every_type_of_number(tmp_path, dtype, name):
    truth = phantom(dtype=dtype)
    sitk.WriteImage(to_itk(truth), str(tmp_path / name))
    np.testing.assert_array_equal(read_volume(tmp_path / name).voxels, truth.in_ras[0])


def test_big_endian_metaimage_and_nrrd(tmp_path):
    truth = phantom(dtype=">i2")
    for name, little, big in (
        ("scan.mha", b"OrderMSB = False", b"OrderMSB = True"),
        ("scan.nrrd", b"endian: little", b"endian: big"),
    ):
        sitk.WriteImage(to_itk(phantom()), str(tmp_path / name))
        data = (tmp_path / name).read_bytes()
        head = data[: -truth.voxels.nbytes]
        assert little in head
        voxels = truth.voxels.tobytes(order="F")
        (tmp_path / name).write_bytes(head.replace(little, big) + voxels)
        np.testing.assert_array_equal(read_volume(tmp_path / name).voxels, truth.in_ras[0])


def test_an_nrrd_says_in_which_space_it_is(tmp_path):
    sitk.WriteImage(to_itk(phantom()), str(tmp_path / "scan.nrrd"))
    data = (tmp_path / "scan.nrrd").read_bytes()
    lps = read_volume(tmp_path / "scan.nrrd").affine
    said = b"left-posterior-superior"
    (tmp_path / "scan.nrrd").write_bytes(data.replace(said, b"right-anterior-superior"))
    volume = read_volume(tmp_path / "scan.nrrd")
    # The same numbers now run to the right and to the front, not to the left and back.
    assert volume.stored_axes == "ASL"  # it was PSR
    assert volume.spacing == pytest.approx(np.linalg.norm(lps[:3, :3], axis=0))
    (tmp_path / "scan.nrrd").write_bytes(data.replace(said, b"scanner-xyz"))
    with pytest.raises(DataError, match="does not say where left is"):
        read_volume(tmp_path / "scan.nrrd")


MHA, NRRD = "scan.mha", "scan.nrrd"


@pytest.mark.parametrize(
    ("name", "old", "new", "sentence"),
    [
        (MHA, b"= LOCAL", b"= ../other.raw", "not in one file beside it, but in '../other.raw'"),
        (MHA, b"= LOCAL", b"= /etc/passwd", "not in one file beside it"),
        (MHA, b"= LOCAL", b"= LIST", "not in one file beside it"),
        (MHA, b"= LOCAL", b"= gone.raw", "its voxels, 'gone.raw', are missing"),
        (MHA, b"12 14 10", b"12 14 9", "truncated or damaged"),
        (MHA, b"12 14 10", b"12 14 11", "truncated or damaged"),
        (MHA, b"12 14 10", b"99999999 99999999 99999999", "that is no scan of a brain"),
        (MHA, b"12 14 10", b"12 14 -10", "that is no scan of a brain"),
        (MHA, b"12 14 10", b"12 140", "contradicts itself about the number of axes"),
        (MHA, b"MET_SHORT", b"MET_USHORT_ARRAY", "of the type 'MET_USHORT_ARRAY'"),
        (MHA, b"\nOffset", b"\nOfset", "does not give Offset"),
        (MHA, b"BinaryData = True", b"BinaryData = False", "written as text"),
        (MHA, b"NDims = 3", b"NDims = 3\nElementNumberOfChannels = 3", "several values a voxel"),
        (MHA, b"NDims = 3", b"NDims = 3\nNDims = 3", "header is damaged"),
        (MHA, b"ElementSpacing = 1", b"ElementSpacing = nan", "no usable geometry"),
        (MHA, b"TransformMatrix = ", b"TransformMatrix = 7", "is no rotation"),
        (NRRD, b"encoding: raw", b"encoding: raw\ndata file: /etc/passwd", "not in one file"),
        (NRRD, b"encoding: raw", b"encoding: raw\ndata file: ../a.raw", "not in one file"),
        (NRRD, b"encoding: raw", b"encoding: hex", "in another way than raw or gzip"),
        (NRRD, b"encoding: raw", b"encodinh: raw", "unknown field 'encodinh'"),
        (NRRD, b"sizes: 12 14 10", b"sizes: 12 14 9", "truncated or damaged"),
        (NRRD, b"sizes: 12 14 10", b"sizes: 12 14 11", "truncated or damaged"),
        (NRRD, b"dimension: 3", b"dimension: 4", "number of axes"),
        (NRRD, b"origin: (-7", b"origin: (nan", "no usable geometry"),
        (NRRD, b"space directions: (", b"space directions: none (", "where voxels lie"),
        (NRRD, b"space directions: (0,1,0)", b"space directions: (0,1,1)", "at right angles"),
        (NRRD, b"endian: little", b"endian: middle", "little or big is due"),
    ],
)
def test_a_header_that_cannot_be_is_refused_in_a_sentence(tmp_path, name, old, new, sentence):
    sitk.WriteImage(to_itk(phantom()), str(tmp_path / name))
    data = (tmp_path / name).read_bytes()
    assert old in data
    (tmp_path / name).write_bytes(data.replace(old, new, 1))
    with pytest.raises(DataError, match=sentence) as caught:
        read_volume(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))


def test_a_nifti_pair_whose_magic_is_damaged_is_not_taken_for_analyze(tmp_path):
    path, _ = KINDS["nifti-pair"](tmp_path)
    data = bytearray(path.read_bytes())
    data[345] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="neither NIfTI nor Analyze"):
        read_volume(path)


@pytest.mark.parametrize("name", ["scan.mha", "scan.nrrd"])
def test_packed_voxels_with_a_wrong_checksum_are_refused(tmp_path, name):
    """ITK reads these, with zeros or other voxels where the damage is."""
    sitk.WriteImage(to_itk(phantom()), str(tmp_path / name), True)
    data = bytearray((tmp_path / name).read_bytes())
    data[-5 if name == NRRD else -1] ^= 1  # in the checksum itself
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match="truncated or damaged"):
        read_volume(tmp_path / name)


def test_an_mgh_of_freesurfer_with_tags_behind_its_numbers(tmp_path):
    path, truth = KINDS["mgh"](tmp_path)
    command = b"mri_convert a b\0"
    tag = (3).to_bytes(4, "big") + len(command).to_bytes(8, "big") + command
    data = path.read_bytes() + tag
    path.write_bytes(data)
    np.testing.assert_array_equal(read_volume(path).voxels, truth.in_ras[0])
    path.write_bytes(data[: 284 + truth.voxels.nbytes])  # as others write it: no numbers at all
    np.testing.assert_array_equal(read_volume(path).voxels, truth.in_ras[0])
    path.write_bytes(data[: 284 + truth.voxels.nbytes - 1])
    with pytest.raises(DataError, match="truncated or damaged"):
        read_volume(path)


def test_an_mgh_that_does_not_say_where_its_voxels_lie(tmp_path):
    path, _ = KINDS["mgh"](tmp_path)
    data = bytearray(path.read_bytes())
    assert data[28:30] == b"\0\1"
    data[29] = 0
    path.write_bytes(data)
    with pytest.raises(DataError, match="does not say where its voxels lie"):
        read_volume(path)


def test_gzip_in_many_members_as_bgzip_writes(tmp_path):
    path, truth = KINDS["nifti1"](tmp_path)
    data = path.read_bytes()
    pieces = [gzip.compress(data[at : at + 100]) for at in range(0, len(data), 100)]
    (tmp_path / "scan.nii.gz").write_bytes(b"".join(pieces))
    np.testing.assert_array_equal(read_volume(tmp_path / "scan.nii.gz").voxels, truth.in_ras[0])
    (tmp_path / "scan.nii.gz").write_bytes(b"".join(pieces[:-1]))
    with pytest.raises(DataError, match="truncated or damaged"):
        read_volume(tmp_path / "scan.nii.gz")
