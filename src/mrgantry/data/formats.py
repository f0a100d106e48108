"""The file formats of scans: a path in, an array with its affine out.

What a header says is not believed before it has been compared with the file: sizes
bound what is unpacked, checksums are checked to the end, and a file that holds more
or less than its header promises is refused.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from jaxtyping import Float, Real

from mrgantry.common.errors import DataError

if TYPE_CHECKING:
    import SimpleITK as sitk  # noqa: N813

LARGEST = 2**28  # voxels: a head of 24 cm at 0.37 mm has as many
LONGEST_TAIL = 2**20  # bytes that an MGH file may hold behind its voxels
DICOM_SUFFIXES = {".dcm", ".ima", ".dicom"}
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Stored:
    """A scan as its file holds it.

    Attributes:
        array: Intensities after the file's own scaling; trailing axes of length 1 are
            dropped.
        affine: Voxel indices to millimetres, RAS+.
        simulated: True if the file says that it was simulated.
    """

    array: Real[np.ndarray, "x y z"]
    affine: Float[np.ndarray, "4 4"]
    simulated: bool = False


def read_nifti(path: Path) -> Stored:
    """Read NIfTI-1 or -2 in one file, packed or not, whatever its name claims."""
    return _read_nifti(path, check_shape)


def read_nifti_slice(path: Path) -> Stored:
    """Read a NIfTI file of a single slice, with its one-voxel axis as the last."""
    stored = _read_nifti(path, check_slice_shape)
    thin = stored.array.shape.index(1)
    order = [axis for axis in range(3) if axis != thin] + [thin]
    affine = stored.affine[:, [*order, 3]]
    return Stored(stored.array.transpose(order), affine, stored.simulated)


def _read_nifti(path: Path, check: Callable[[Sequence[int]], None]) -> Stored:
    packed = path.read_bytes()
    head = _unpack(packed, 1024, whole=False)
    kind = nib.Nifti2Image if int.from_bytes(head[:4], "little") in _BOTH_540 else nib.Nifti1Image
    # Unchecked first: nibabel would mend what shows that a header is damaged.
    raw = kind.header_class(head[: kind.header_class.template_dtype.itemsize], check=False)
    if raw["magic"].item().rstrip(b"\0")[:3] not in (b"n+1", b"n+2"):
        raise DataError("it is not a NIfTI file")
    if raw["bitpix"] != 8 * raw.get_data_dtype().itemsize:
        raise DataError("its header contradicts itself about the voxels' type")
    size = _promised(raw.get_data_shape(), raw.get_data_dtype(), raw.get_data_offset(), check)
    data = _unpack(packed, size)
    _check_length(len(data), size)
    return _of_nibabel(kind.from_bytes(data))


_BOTH_540 = (540, int.from_bytes((540).to_bytes(4, "big"), "little"))


def read_mgh(path: Path) -> Stored:
    """Read FreeSurfer's MGH, packed (.mgz) or not."""
    packed = path.read_bytes()
    head = nib.freesurfer.MGHImage.header_class.from_fileobj(
        BytesIO(_unpack(packed, 1024, whole=False))
    )
    shape = head.get_data_shape()
    size = _promised(shape, head.get_data_dtype(), head.get_data_offset(), check_shape)
    data = _unpack(packed, size + LONGEST_TAIL)
    _check_length(min(len(data), size), size)
    return _of_nibabel(nib.freesurfer.MGHImage.from_bytes(data))


def read_pair(path: Path) -> Stored:
    """Read Analyze 7.5 or NIfTI in two files, from its .hdr.

    Analyze does not say where left is. As its readers agree, the first axis runs to
    the patient's left unless an SPM .mat file beside it says otherwise.
    """
    image = nib.load(path)
    header = image.header
    voxels = Path(image.file_map["image"].filename)
    if not voxels.is_file():
        raise DataError(f"its voxels, {voxels.name}, are missing")
    size = _promised(image.shape, image.get_data_dtype(), image.dataobj.offset, check_shape)
    if header["bitpix"] != 8 * image.get_data_dtype().itemsize:
        raise DataError("its header contradicts itself about the voxels' type")
    if voxels.suffix == ".img":
        _check_length(voxels.stat().st_size, size)
    return _of_nibabel(image)


def read_itk(path: Path) -> Stored:
    """Read MetaImage (.mha, .mhd) or NRRD (.nrrd, .nhdr)."""
    image_io = "NrrdImageIO" if path.suffix.lower() in (".nrrd", ".nhdr") else "MetaImageIO"
    return _of_itk(_itk_file(path, image_io))


def read_dicom(folder: Path) -> Stored:
    """Read the one DICOM series of a folder, its slices in the order of their places."""
    reader = _itk().ImageSeriesReader
    series = reader.GetGDCMSeriesIDs(str(folder))
    if len(series) != 1:
        raise DataError(
            f"it holds {len(series)} DICOM series; give each series a folder of its own, or "
            "convert them with dcm2niix"
            if series
            else "it holds no DICOM series that can be read"
        )
    names = reader.GetGDCMSeriesFileNames(str(folder), series[0])
    slices = [_itk_header(Path(name), "GDCMImageIO") for name in names]
    if len(names) == 1:  # one file of many frames, or a single slice
        return _of_itk(_itk_file(Path(names[0]), "GDCMImageIO"))
    _check_slices(slices)
    whole = reader()
    whole.SetFileNames(names)
    return _of_itk(whole.Execute())


def dicom_description(folder: Path) -> str:
    """Give the description of a folder's series, or "" where there is none."""
    reader = _itk().ImageFileReader()
    for path in sorted(filter(is_dicom, folder.iterdir())):
        reader.SetFileName(str(path))
        try:
            reader.ReadImageInformation()
            keys = [key for key in ("0008|103e", "0018|1030") if reader.HasMetaDataKey(key)]
            return reader.GetMetaData(keys[0]).strip() if keys else ""
        except RuntimeError:
            continue
    return ""


def is_dicom(path: Path) -> bool:
    """Tell a DICOM file by its ending or, without one, by the mark that it holds."""
    if path.name.startswith(".") or path.suffix.lower() not in {*DICOM_SUFFIXES, ""}:
        return False
    if path.suffix:
        return path.is_file()
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:  # a folder, or what may not be read
        return False


READERS: dict[str, Callable[[Path], Stored]] = {
    ".nii.gz": read_nifti,
    ".nii": read_nifti,
    ".hdr": read_pair,
    ".mgz": read_mgh,
    ".mgh": read_mgh,
    ".mha": read_itk,
    ".mhd": read_itk,
    ".nrrd": read_itk,
    ".nhdr": read_itk,
}


def check_shape(shape: Sequence[int]) -> None:
    """Refuse what is not three axes of a plausible length.

    Raises:
        DataError: It is not.
    """
    if len(shape) < 3 or any(n != 1 for n in shape[3:]):
        raise DataError(f"it has the shape {times(shape)}; a scan has three axes")
    if min(shape[:3]) < 2 or prod(map(int, shape[:3])) > LARGEST:
        raise DataError(f"it has the shape {times(shape)}; that is no scan of a brain")


def check_slice_shape(shape: Sequence[int]) -> None:
    """Refuse what is not a single slice: two axes, or three of which one has one voxel.

    Raises:
        DataError: It is not.
    """
    three = [*shape, 1][: max(3, len(shape))]
    if len(three) != 3 or sorted(three)[0] != 1 or sorted(three)[1] < 2:
        raise DataError(
            f"it has the shape {times(shape)}; a slice is x x y or x x y x 1. Cut whole scans "
            "with `mrgantry prepare`"
        )


def times(shape: Sequence[int | str]) -> str:
    """Write a shape as people do: 240 x 240 x 155."""
    return " x ".join(str(n) for n in shape)


def _promised(
    shape: Sequence[int],
    dtype: np.dtype,
    offset: int,
    check: Callable[[Sequence[int]], None],
) -> int:
    """Give the bytes that a header promises, once its shape and type are sound."""
    if dtype.names:
        raise DataError("it holds colours (RGB); a scan has one intensity a voxel")
    if dtype.kind not in "iuf":
        raise DataError(f"its voxels are of the type {dtype}; a scan has one intensity a voxel")
    check(shape)
    return int(offset) + prod(map(int, shape)) * dtype.itemsize


def _check_length(length: int, promised: int) -> None:
    if length != promised:
        raise DataError(
            f"it is truncated or damaged (its header promises {promised:,} bytes, it holds "
            f"{'more' if length > promised else f'{length:,}'}); copy it again"
        )


def _unpack(data: bytes, most: int, *, whole: bool = True) -> bytes:
    """Unpack gzip, or give what is not packed, up to one byte more than `most`.

    Its checksum stands at the end, so only what is unpacked whole has been checked.

    Raises:
        zlib.error: The stream is damaged.
        DataError: It ends early.
    """
    if data[:2] != b"\x1f\x8b":
        return data[: most + 1]
    pieces: list[bytes] = []
    while data and most >= 0:
        stream = zlib.decompressobj(wbits=31)
        pieces.append(stream.decompress(data, most + 1))
        most -= len(pieces[-1])
        if not whole or most < 0:
            break
        if not stream.eof:
            raise DataError("it is truncated or damaged (its end is missing); copy it again")
        data = stream.unused_data
    return b"".join(pieces)


def _of_nibabel(image: Any) -> Stored:
    header = image.header
    if isinstance(header, nib.Nifti1Header) and header["sform_code"] > 0 < header["qform_code"]:
        two = ["".join(nib.aff2axcodes(form)) for form in (header.get_sform(), header.get_qform())]
        if two[0] != two[1]:
            raise DataError(
                f"its two orientations contradict each other (sform {two[0]}, qform {two[1]}); "
                "left and right cannot be told. Set one of them right"
            )
    with np.errstate(all="ignore"):  # what overflows is found by the check for infinity
        array = np.asarray(image.dataobj, dtype=np.float32)
    text = bytes(header["descrip"]) if "descrip" in header else b""
    return Stored(
        array.reshape((*array.shape, 1)[:3]),
        np.asarray(image.affine, dtype=np.float64),
        text.startswith(b"simulated"),
    )


def _itk() -> Any:
    """Import SimpleITK late: most people's scans are NIfTI."""
    import SimpleITK as sitk  # noqa: N813, PLC0415

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    return sitk


def _itk_header(path: Path, image_io: str) -> "sitk.ImageFileReader":
    reader = _itk().ImageFileReader()
    reader.SetImageIO(image_io)
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return reader


def _itk_file(path: Path, image_io: str) -> "sitk.Image":
    reader = _itk_header(path, image_io)
    if reader.GetNumberOfComponents() != 1:
        raise DataError("it holds several values a voxel (colours or vectors), not one intensity")
    check_shape(reader.GetSize())
    return reader.Execute()


def _of_itk(image: "sitk.Image") -> Stored:
    """Turn ITK's image, whose axes are LPS and whose array is z, y, x."""
    size = image.GetSize()
    check_shape(size)
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise DataError("it holds several values a voxel (colours or vectors), not one intensity")
    affine = np.eye(4)
    count = len(size)
    direction = np.array(image.GetDirection()).reshape(count, count)[:3, :3]
    affine[:3, :3] = direction * np.array(image.GetSpacing())[:3]
    affine[:3, 3] = image.GetOrigin()[:3]
    array = _itk().GetArrayFromImage(image).T
    if array.dtype.kind not in "iuf":
        raise DataError(f"its voxels are of the type {array.dtype}, not one intensity each")
    return Stored(array.reshape(size[:3]), LPS_TO_RAS @ affine)


def _check_slices(slices: "Sequence[sitk.ImageFileReader]") -> None:
    """Refuse a series whose slices differ in size or direction, or have gaps."""
    sizes = {one.GetSize() for one in slices}
    if len(sizes) > 1:
        two = " and ".join(times(size[:2]) for size in sorted(sizes)[:2])
        raise DataError(f"its slices differ in size ({two})")
    check_shape([*slices[0].GetSize()[:2], len(slices)])
    directions = np.array([one.GetDirection() for one in slices])
    if np.ptp(directions, axis=0).max() > 1e-3:
        raise DataError("its slices do not lie parallel; it is no stack")
    places = np.array([one.GetOrigin() for one in slices])
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    usual = float(np.median(steps))
    if usual <= 0 or (off := np.abs(steps - usual)).max() > max(0.01, 0.02 * usual):
        if usual > 0 and (missing := round(float((steps / usual).sum())) - len(steps)) > 0:
            after = float(steps[off.argmax()])
            raise DataError(
                f"{missing} of its slices are missing (a step of {after:.2f} mm where the "
                f"others are {usual:.2f} mm); copy the series again"
            )
        raise DataError("its slices do not stand at equal distances; several series are mixed")
