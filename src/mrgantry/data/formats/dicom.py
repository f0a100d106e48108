"""A DICOM series: the files of a folder in, an array with its affine out.

The pixels are read by GDCM, through SimpleITK. It believes what it finds: it takes
memory for any length that a damaged header states, and leaves out files it cannot
read. So the elements of every file are walked through before GDCM sees it.

Source: DICOM PS3.5, sections 7 (data sets), 10 (transfer syntaxes) and annex A.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Real

from mrgantry.common.errors import DataError
from mrgantry.data.formats.stored import HEAVIEST, Stored, check_shape, times

if TYPE_CHECKING:
    import SimpleITK as sitk  # noqa: N813

DICOM_SUFFIXES = {".dcm", ".ima", ".dicom"}
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
UNDEFINED = 0xFFFFFFFF  # a length: the end is marked instead
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
SYNTAX, PIXELS = 0x00020010, 0x7FE00010
INTERCEPT, SLOPE, SIGNED = 0x00281052, 0x00281053, 0x00280103
POSITION, ORIENTATION, SPACING = 0x00200032, 0x00200037, 0x00280030
SHARED_GROUPS, FRAME_GROUPS = 0x52009229, 0x52009230
SERIES, PROTOCOL, PATIENT = 0x0008103E, 0x00181030, 0x00100020
SAMPLES, FRAMES, ROWS, COLUMNS, BITS = 0x280002, 0x280008, 0x280010, 0x280011, 0x280100
LONG = {b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
SHORT = set(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
IMPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
DEFLATED = ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95")


def read_dicom(folder: Path) -> Stored:
    """Read the one DICOM series of a folder, its slices in the order of their places."""
    files = [path for path in sorted(folder.iterdir()) if is_dicom(path)]
    files = [path for path in files if path.name != "DICOMDIR"]
    scaled = _check_files(files)
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
    if strange := sorted({path.name for path in files} - {Path(name).name for name in names}):
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


class DicomFacts(NamedTuple):
    """What the header of a series tells of it, each "" where it tells nothing.

    Attributes:
        description: Of the series, or the name of its protocol.
        patient: PatientID, by which scans of one person are known; never stored or printed.
    """

    description: str = ""
    patient: str = ""


def dicom_facts(folder: Path) -> DicomFacts:
    """Read what a folder's series tells of itself, by its first sound file."""
    for path in sorted(filter(is_dicom, folder.iterdir())):
        try:
            values = check_file(path)
        except (DataError, OSError, ValueError, RecursionError):
            continue
        description = values.get(SERIES) or values.get(PROTOCOL) or b""
        patient = values.get(PATIENT, b"")
        return DicomFacts(
            *(text.decode("utf-8", "replace").strip(" \0") for text in (description, patient))
        )
    return DicomFacts()


def is_dicom(path: Path) -> bool:
    """Tell a DICOM file by its ending or, without one, by the mark that it holds."""
    if path.name.startswith(".") or not path.is_file():
        return False
    if path.suffix and not path.suffix[1:].isdigit():  # a name may end in its UID's number
        return path.suffix.lower() in DICOM_SUFFIXES
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:  # it may not be read
        return False


@dataclass(frozen=True)
class _Elements:
    """The bytes of a file, and how its elements are written.

    Attributes:
        data: All bytes.
        order: Byte order.
        explicit: True if each element names its type.
    """

    data: bytes
    order: Literal["little", "big"] = "little"
    explicit: bool = True

    def number(self, at: int, count: int) -> int:
        """Read an unsigned number."""
        return int.from_bytes(self.data[at : at + count], self.order)

    def head(self, at: int) -> tuple[int, bytes, int, int]:
        """Give the tag, type, start and length of the element that begins at a place."""
        tag = self.number(at, 2) << 16 | self.number(at + 2, 2)
        kind = self.data[at + 4 : at + 6]
        if not self.explicit or tag in (ITEM, ITEM_END, SEQUENCE_END):
            return tag, b"", at + 8, self.number(at + 4, 4)
        if kind in LONG:
            return tag, kind, at + 12, self.number(at + 8, 4)
        if kind not in SHORT:
            raise DataError(f"an element is of the unknown type {kind!a}")
        return tag, kind, at + 8, self.number(at + 6, 2)

    def walk(
        self,
        at: int,
        end: int,
        found: dict[int, bytes],
        *,
        group: int = 0,
        frames: "Frames | None" = None,
        flat: bool = False,
    ) -> int:
        """Go through a data set and keep its values; give where it ends.

        Args:
            at: Where it begins.
            end: Where it ends at the latest.
            found: Takes the value of each tag that is no sequence.
            group: Stop where the elements of this group end.
            frames: Takes what stands in the sequences of many-frame files.
            flat: Whether `found` takes the values within sequences as well.

        Raises:
            DataError: An element does not fit.
        """
        while at < end:
            if group and self.number(at, 2) != group:
                return at
            tag, kind, start, length = self.head(at)
            if tag == ITEM_END:
                return start
            if length == UNDEFINED or kind == b"SQ":
                stop = end if length == UNDEFINED else start + length
                inner = _Elements(self.data, self.order, self.explicit and kind != b"UN")
                at = inner.items(
                    start,
                    min(stop, end),
                    fragments=tag == PIXELS,
                    found=found if flat else None,
                    each=frames.of(tag) if frames else None,
                )
            else:
                at = start + length
                found[tag] = self.data[start:at]
            if at > end or (length != UNDEFINED and start + length > end):
                raise DataError("an element reaches beyond its end")
        return at

    def items(
        self,
        at: int,
        end: int,
        *,
        fragments: bool,
        found: dict[int, bytes] | None = None,
        each: list[dict[int, bytes]] | None = None,
    ) -> int:
        """Go through the items of a sequence; give where it ends.

        Args:
            at: Where it begins.
            end: Where it ends at the latest.
            fragments: Whether the items are parts of packed pixels.
            found: Takes the values of all items, if wanted.
            each: Gets the values of each item by itself, if wanted.
        """
        flat = found is not None or each is not None
        while at < end:
            tag, _, start, length = self.head(at)
            if tag == SEQUENCE_END:
                return start
            if tag != ITEM:
                raise DataError("it has a sequence that is no sequence")
            if fragments:
                at = start + length
                continue
            values = {} if found is None else found
            if each is not None:
                each.append(values)
            stop = end if length == UNDEFINED else min(start + length, end)
            at = self.walk(start, stop, values, flat=flat)
        return at


@dataclass
class Frames:
    """What a file of many frames says of them (PS3.3, C.7.6.16).

    Attributes:
        shared: Of all frames.
        each: Of each, in the order of the pixels.
    """

    shared: list[dict[int, bytes]] = field(default_factory=list)
    each: list[dict[int, bytes]] = field(default_factory=list)

    def of(self, tag: int) -> list[dict[int, bytes]] | None:
        """Give the list that the items of a sequence belong to; None for other sequences."""
        return {SHARED_GROUPS: self.shared, FRAME_GROUPS: self.each}.get(tag)

    def numbers(self, tag: int, count: int) -> Float[np.ndarray, "n k"]:
        """Give the numbers that a tag holds for each frame, NaN where it holds none.

        Args:
            tag: Of the element.
            count: How many numbers it has.
        """
        shared = {tag: text for values in self.shared for tag, text in values.items()}
        rows = []
        for values in self.each:
            text = values.get(tag, shared.get(tag, b"")).strip(b" \0")
            parts = text.split(b"\\") if text else []
            rows.append(
                [float(part) for part in parts] if len(parts) == count else [np.nan] * count
            )
        return np.array(rows, dtype=np.float64).reshape(len(self.each), count)


def check_file(path: Path) -> dict[int, bytes]:
    """Refuse a DICOM file that is damaged in a way that GDCM would not see, or die of.

    Returns:
        The value of each tag that stands in no sequence.

    Raises:
        DataError: Its elements do not fill it, or it has not the pixels that it says.
    """
    return elements_of(path)[0]


def elements_of(path: Path) -> tuple[dict[int, bytes], Frames]:
    """Walk through a file, as `check_file`; give what it says of its frames, too.

    Raises:
        DataError: Its elements do not fill it, or it has not the pixels that it says.
    """
    data = path.read_bytes()
    # Old archives leave the preamble out, and the transfer syntax with it.
    begin = 132 if data[128:132] == b"DICM" else 0
    if not begin and data[:2] not in (b"\x02\0", b"\x08\0"):
        raise DataError("it is not DICOM")
    found: dict[int, bytes] = {}
    frames = Frames()
    at = _Elements(data).walk(begin, len(data), found, group=2)
    named = data[at + 4 : at + 6] in LONG | SHORT
    syntax = found.get(SYNTAX, b"" if named else IMPLICIT.encode()).decode("ascii").rstrip(" \0")
    if syntax in DEFLATED:
        raise DataError("it is deflated; convert the series with dcm2niix")
    form = _Elements(data, "big" if syntax == BIG else "little", syntax != IMPLICIT)
    form.walk(at, len(data), found, frames=frames)
    rows, columns, bits, samples = (
        int.from_bytes(found.get(tag, b""), form.order) for tag in (ROWS, COLUMNS, BITS, SAMPLES)
    )
    count = int(found.get(FRAMES, b"").strip(b" \0") or 1)
    size = rows * columns * count * (samples or 1) * bits // 8
    if not 0 < size <= HEAVIEST:
        raise DataError(f"it says that it has {times([columns, rows, count])} pixels")
    if PIXELS in found and len(found[PIXELS]) != size + size % 2:  # lengths are even
        raise DataError(f"it has {len(found[PIXELS]):,} bytes of pixels, not {size:,}")
    return found, frames


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
    found, frames = elements_of(path)
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
    array = _scaled_frames(stored, found, frames)[:, :, order]
    return Stored(array, LPS_TO_RAS @ affine)


def _scaled_frames(
    stored: Stored, found: dict[int, bytes], frames: Frames
) -> Real[np.ndarray, "x y n"]:
    """Scale each frame by its own slope; where all have the same, GDCM has done it.

    Raises:
        DataError: They differ, and the pixels are packed.
    """
    slopes = np.nan_to_num(frames.numbers(SLOPE, 1)[:, 0], nan=1.0)
    intercepts = np.nan_to_num(frames.numbers(INTERCEPT, 1)[:, 0], nan=0.0)
    if not np.ptp(slopes) and not np.ptp(intercepts):
        return stored.array
    width, signed = (int.from_bytes(found.get(tag, b""), "little") for tag in (BITS, SIGNED))
    if PIXELS not in found or width not in (8, 16, 32):
        raise DataError("its frames are scaled one by one and packed; convert it with dcm2niix")
    raw = np.frombuffer(found[PIXELS], f"<{'i' if signed else 'u'}{width // 8}")
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
    usual = float(np.median(steps))
    if usual <= 0 or (off := np.abs(steps - usual)).max() > max(0.01, 0.02 * usual):
        if usual > 0 and (missing := round(float((steps / usual).sum())) - len(steps)) > 0:
            after = float(steps[off.argmax()])
            raise DataError(
                f"{missing} of its slices are missing (a step of {after:.2f} mm where the "
                f"others are {usual:.2f} mm); copy the series again"
            )
        raise DataError("its slices do not stand at equal distances; several series are mixed")
