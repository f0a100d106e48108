"""NIfTI, Analyze and FreeSurfer's MGH, through nibabel."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

import nibabel as nib
import numpy as np
from jaxtyping import Float

from mrgantry.common.errors import DataError
from mrgantry.data.formats.stored import (
    Stored,
    check_length,
    check_shape,
    check_slice_shape,
    promised,
    times,
    unpacked,
)
from mrgantry.data.formats.text_headers import SKEW, check_right_angles

LONGEST_TAIL = 2**20  # bytes that an MGH file may hold behind its voxels
UNLIKE = 0.02  # of a voxel's side, by which sform and pixdim may differ without a word
MGH_TAGS = {-1, *range(1, 256)}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep nibabel from telling the terminal what it thinks of a header."""
    logger = logging.getLogger("nibabel.global")
    was_disabled, logger.disabled = logger.disabled, True
    try:
        with catch_warnings():
            simplefilter("ignore")
            yield
    finally:
        logger.disabled = was_disabled


@_quiet()
def read_nifti(path: Path) -> Stored:
    """Read NIfTI-1 or -2 in one file, packed or not, whatever its name claims."""
    return _read_nifti(path, check_shape)


@_quiet()
def read_nifti_slice(path: Path) -> Stored:
    """Read a NIfTI file of a single slice, with its one-voxel axis as the last."""
    stored = _read_nifti(path, check_slice_shape)
    thin = stored.array.shape.index(1)
    order = [axis for axis in range(3) if axis != thin] + [thin]
    affine = stored.affine[:, [*order, 3]]
    return replace(stored, array=stored.array.transpose(order), affine=affine)


@_quiet()
def read_nifti_volume(path: Path, number: int) -> Stored:
    """Read one volume of a NIfTI file of several, as the Decathlon keeps its sequences.

    Args:
        path: The file.
        number: Which volume, from 0.

    Raises:
        DataError: The file is not such, or has not as many.
    """

    def check(whole: Sequence[int]) -> None:
        check_shape(whole[:3])
        if len(whole) != 4 or number >= whole[3]:
            raise DataError(f"it has the shape {times(whole)}, and no volume {number}")

    return _read_nifti(path, check, number)


def _read_nifti(
    path: Path, check: Callable[[Sequence[int]], None], number: int | None = None
) -> Stored:
    head = unpacked(path, 1024)
    kind = nib.Nifti2Image if int.from_bytes(head[:4], "little") in _BOTH_540 else nib.Nifti1Image
    # Unchecked first: nibabel would mend what shows that a header is damaged.
    raw = kind.header_class(head[: kind.header_class.template_dtype.itemsize], check=False)
    if raw["magic"].item() not in (b"n+1", b"n+2"):
        raise DataError("it is not a NIfTI file")
    if "eol_check" in raw and raw["eol_check"].tobytes() not in (b"\r\n\x1a\n", bytes(4)):
        raise DataError("it was spoilt by a transfer as text; copy it again as binary")
    _check_header(raw)
    size = promised(raw.get_data_shape(), raw.get_data_dtype(), int(raw.get_data_offset()), check)
    data = unpacked(path, size)
    check_length(len(data), size)
    image = kind.from_bytes(data)
    return _of_nibabel(image if number is None else image.slicer[..., number])


_BOTH_540 = (540, int.from_bytes((540).to_bytes(4, "big"), "little"))


@_quiet()
def read_mgh(path: Path) -> Stored:
    """Read FreeSurfer's MGH, packed (.mgz) or not."""
    start = unpacked(path, 1024)
    head = nib.freesurfer.MGHImage.header_class.from_fileobj(BytesIO(start))
    if start[28:30] != b"\0\1":  # nibabel would take the scan for coronal, and say nothing
        raise DataError("it does not say where its voxels lie (its goodRASFlag is not 1)")
    check_right_angles(head["Mdc"].astype(np.float64))
    shape = [int(n) for n in head.get_data_shape()]
    size = promised(shape, head.get_data_dtype(), int(head.get_data_offset()))
    data = unpacked(path, size + LONGEST_TAIL)
    tail = data[size:]
    # Behind the voxels stands nothing, or five numbers, or those and numbered tags.
    tagged = len(tail) >= 32 and int.from_bytes(tail[20:24], "big", signed=True) in MGH_TAGS
    if len(data) < size or len(tail) > LONGEST_TAIL or not (len(tail) in (0, 20) or tagged):
        check_length(len(data), size)
    return _of_nibabel(nib.freesurfer.MGHImage.from_bytes(data))


@_quiet()
def read_pair(path: Path) -> Stored:
    """Read Analyze 7.5 or NIfTI in two files, from its .hdr.

    Analyze does not say where left is. As its readers agree, the first axis runs to
    the patient's left unless an SPM .mat file beside it says otherwise.
    """
    start = unpacked(path, 1024)
    alike = sum(byte == wanted for byte, wanted in zip(start[344:348], b"ni1\0", strict=False))
    if alike == 3:  # nibabel would take it for Analyze, and forget where left is
        raise DataError("its header is damaged (it says neither NIfTI nor Analyze)")
    image = nib.load(path)
    voxels = Path(image.file_map["image"].filename)
    if not voxels.is_file():
        raise DataError(f"its voxels, {voxels.name}, are missing")
    kind = type(image.header)
    _check_header(kind(start[: kind.template_dtype.itemsize], check=False))
    size = promised(image.shape, image.get_data_dtype(), int(image.dataobj.offset))
    check_length(voxels.stat().st_size, size)
    return _of_nibabel(image)


def _check_header(raw: Any) -> None:
    """Refuse a header that contradicts itself, or scales voxels to infinity."""
    if raw["bitpix"] != 8 * raw.get_data_dtype().itemsize:
        raise DataError("its header contradicts itself about the voxels' type")
    if "scl_slope" in raw and np.isinf(raw["scl_slope"]):
        raise DataError("its header is damaged (the scale of its voxels is infinite)")


SIDELESS = (
    "its header does not tell left from right (both form codes are 0); they may be exchanged. If "
    "they are not, give prepare --vouch-sides"
)


def _of_nibabel(image: Any) -> Stored:
    header = image.header
    if isinstance(header, nib.Nifti1Header) and header["sform_code"] > 0 < header["qform_code"]:
        forms = header.get_sform(), header.get_qform()
        if not all(np.isfinite(form).all() and np.linalg.det(form) for form in forms):
            raise DataError("it has no usable geometry (its sform or its qform is damaged)")
        two = ["".join(nib.aff2axcodes(form)) for form in forms]
        if two[0] != two[1]:
            raise DataError(
                f"its two orientations contradict each other (sform {two[0]}, qform {two[1]}); "
                "left and right cannot be told. Set one of them right"
            )
    with np.errstate(all="ignore"):  # what overflows is found by the check for infinity
        array = np.asarray(image.dataobj, dtype=np.float32)
    text = bytes(header["descrip"]) if "descrip" in header else b""
    affine = np.asarray(image.affine, dtype=np.float64)
    assumed = ""
    if isinstance(header, nib.Nifti1Header):
        assumed = _questions(header, affine)
    simulated = text.startswith(b"simulated") or b"of simulated" in text
    return Stored(
        array.reshape((*array.shape, 1)[:3]),
        affine,
        simulated,
        assumed,
        text.startswith(b"synthetic"),
    )


def _questions(header: nib.Nifti1Header, affine: Float[np.ndarray, "4 4"]) -> str:
    """Say what a NIfTI header leaves open: where left is, or how large its voxels are.

    Raises:
        DataError: Its axes do not stand at right angles, so slices would be sheared.
    """
    if not (header["sform_code"] or header["qform_code"]):
        return SIDELESS
    if header["sform_code"] > 0:
        steps = np.linalg.norm(affine[:3, :3], axis=0)
        if steps.all() and np.isfinite(affine).all():
            units = affine[:3, :3] / steps
            if np.abs(units.T @ units - np.eye(3)).max() > SKEW:
                raise DataError(
                    "its axes do not stand at right angles (its sform shears it, as an affine "
                    "registration does); resample it to an upright grid"
                )
        zooms = np.asarray(header.get_zooms()[:3], dtype=np.float64)
        if not np.allclose(steps, zooms, rtol=UNLIKE):
            said, meant = (times([f"{step:.3g}" for step in of]) for of in (zooms, steps))
            return f"its voxels measure {meant} mm by its sform, and {said} mm by its pixdim"
    return ""
