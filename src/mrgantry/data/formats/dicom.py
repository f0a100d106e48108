"""A DICOM series: its files in, an array with its affine out.

The pixels are read by GDCM, through SimpleITK. It believes what it finds: it takes
memory for any length that a damaged header states, and leaves out files it cannot
read. So the elements of every file are walked through before GDCM sees it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Real

from mrgantry.common.errors import DataError
from mrgantry.data.formats.dicom_elements import (
    BITS,
    INTERCEPT,
    ORIENTATION,
    PIXELS,
    POSITION,
    SERIES,
    SIGNED,
    SLOPE,
    SPACING,
    Frames,
    check_file,
    elements_of,
)
from mrgantry.data.formats.dicom_series import series_of
from mrgantry.data.formats.stored import Stored, check_shape, times

if TYPE_CHECKING:
    import SimpleITK as sitk  # noqa: N813

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_dicom(place: Path) -> Stored:
    """Read a DICOM series, its slices in the order of their places.

    Args:
        place: A folder of one series, or a file of the series that is meant.

    Raises:
        DataError: The folder holds another number of series, or the series is damaged.
    """
    series = series_of(place)
    if len(series) != 1:
        raise DataError(
            f"it holds {len(series)} DICOM series; name a file of the one that is meant"
            if series
            else "it holds no DICOM series of images that can be read"
        )
    files = series[0].files
    scaled = _check_files(files)
    uid = check_file(files[0]).get(SERIES, b"").decode("ascii", "replace").strip(" \0")
    reader = _itk().ImageSeriesReader
    names = reader.GetGDCMSeriesFileNames(str(files[0].parent), uid)
    known = {Path(name).name for name in names}
    if strange := sorted({path.name for path in files} - known):
        raise DataError(
            f"{len(strange)} of its files, such as {strange[0]}, cannot be read as DICOM; copy the "
            "series again"
        )
    slices = [_itk_header(Path(name)) for name in names]
    if len(names) == 1:  # one file of many frames, or a single slice
        return _of_frames(Path(names[0]))
    _check_slices(slices)
    whole = reader()
    whole.SetFileNames(names)
    if scaled:  # by a slope of its own each, of which the first may be 1
        whole.SetOutputPixelType(_itk().sitkFloat32)
    return _of_itk(whole.Execute())


def _check_files(paths: Sequence[Path]) -> bool:
    """Refuse a series of which a file is damaged, and name the file; say if values are scaled."""
    scaled = False
    for path in paths:
        try:
            values = check_file(path)
            scaled |= float(values.get(SLOPE, b"").strip(b" \0") or 1) != 1
        except (DataError, ValueError, RecursionError) as error:
            raise DataError(
                f"its file {path.name} is truncated or damaged ({error}); copy the series again"
            ) from error
    return scaled


def _itk() -> Any:
    """Import SimpleITK late: most people's scans are NIfTI."""
    import SimpleITK as sitk  # noqa: N813, PLC0415

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    return sitk


def _itk_header(path: Path) -> "sitk.ImageFileReader":
    reader = _itk().ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return reader


def _itk_file(path: Path) -> "sitk.Image":
    reader = _itk_header(path)
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


def _of_frames(path: Path) -> Stored:
    """Read a file of one or many frames, which may stand in any order and be scaled one by one.

    GDCM takes frames as they come, at the place of the first. Files that say nothing of each
    frame are left to it.

    Raises:
        DataError: Frames lie in one place (two echoes), not behind each other, or turned.
    """
    stored = _of_itk(_itk_file(path))
    values, frames = elements_of(path)
    places = frames.numbers(POSITION, 3)
    turns, spacing = frames.numbers(ORIENTATION, 6), frames.numbers(SPACING, 2)
    count = stored.array.shape[2]
    if len(places) != count or count < 2 or np.isnan(places).any():
        return stored
    if np.isnan(turns).any() or np.isnan(spacing).any():
        raise DataError("it does not say how each of its frames lies; convert it with dcm2niix")
    if max(np.ptp(turns, axis=0).max(), np.ptp(spacing, axis=0).max()) > 1e-3:
        raise DataError("its frames do not lie parallel; it is no stack")
    across, down = turns[0, :3], turns[0, 3:]
    normal = np.cross(across, down)
    order = np.argsort(places @ normal, kind="stable")
    places = places[order]
    _check_places(places, normal)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = across * spacing[0, 1], down * spacing[0, 0]
    affine[:3, 2] = (places[-1] - places[0]) / (count - 1)
    affine[:3, 3] = places[0]
    array = _scaled_frames(stored, values, frames)[:, :, order]
    return Stored(array, LPS_TO_RAS @ affine)


def _scaled_frames(
    stored: Stored, values: dict[int, bytes], frames: Frames
) -> Real[np.ndarray, "x y n"]:
    """Scale each frame by its own slope; where all have the same, GDCM has done it.

    Raises:
        DataError: They differ, and the pixels are packed.
    """
    slopes = np.nan_to_num(frames.numbers(SLOPE, 1)[:, 0], nan=1.0)
    intercepts = np.nan_to_num(frames.numbers(INTERCEPT, 1)[:, 0], nan=0.0)
    if not np.ptp(slopes) and not np.ptp(intercepts):
        return stored.array
    width, signed = (int.from_bytes(values.get(tag, b""), "little") for tag in (BITS, SIGNED))
    if PIXELS not in values or width not in (8, 16, 32):
        raise DataError("its frames are scaled one by one and packed; convert it with dcm2niix")
    raw = np.frombuffer(values[PIXELS], f"<{'i' if signed else 'u'}{width // 8}")
    columns, rows, count = stored.array.shape
    planes = raw[: columns * rows * count].reshape(count, rows, columns).T
    return (planes * slopes + intercepts).astype(np.float32)


def _check_slices(slices: "Sequence[sitk.ImageFileReader]") -> None:
    """Refuse a series whose slices differ in size or direction, or have gaps."""
    sizes = {data.GetSize() for data in slices}
    if len(sizes) > 1:
        two = " and ".join(times(size[:2]) for size in sorted(sizes)[:2])
        raise DataError(f"its slices differ in size ({two})")
    check_shape([*slices[0].GetSize()[:2], len(slices)])
    directions = np.array([data.GetDirection() for data in slices])
    if np.ptp(directions, axis=0).max() > 1e-3:
        raise DataError("its slices do not lie parallel; it is no stack")
    _check_places(
        np.array([data.GetOrigin() for data in slices]), directions[0].reshape(3, 3)[:, 2]
    )


def _check_places(places: Float[np.ndarray, "n 3"], normal: Float[np.ndarray, " 3"]) -> None:
    """Refuse slices that do not stand one behind the other at equal distances."""
    along = np.sort(places @ normal)
    if np.diff(along).min() < 1e-3:
        raise DataError("two of its slices lie in one place; a file stands twice, or two series")
    aside = places - np.outer(places @ normal, normal)
    if np.ptp(aside, axis=0).max() > 0.5 * np.diff(along).mean():
        raise DataError("its slices are shifted against each other (a tilted gantry?)")
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    typical = float(np.median(steps))
    if typical <= 0 or (off := np.abs(steps - typical)).max() > max(0.01, 0.02 * typical):
        if typical > 0 and (missing := round(float((steps / typical).sum())) - len(steps)) > 0:
            after = float(steps[off.argmax()])
            raise DataError(
                f"{missing} of its slices are missing (a step of {after:.2f} mm where the "
                f"others are {typical:.2f} mm); copy the series again"
            )
        raise DataError("its slices do not stand at equal distances; several series are mixed")
