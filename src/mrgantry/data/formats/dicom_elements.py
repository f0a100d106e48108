"""The elements of a DICOM file, walked through before any library sees them.

Lengths are compared with what the file holds, so that a damaged header can neither ask for
memory nor lose slices without a word.

Source: DICOM PS3.5, sections 7 (data sets), 10 (transfer syntaxes) and annex A.
"""

import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from mrgantry.common.errors import DataError
from mrgantry.data.formats.stored import HEAVIEST, times

HEAD = 2**16  # bytes; what stands before the pixels of most files is less
UNDEFINED = 0xFFFFFFFF  # a length: the end is marked instead
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
SYNTAX, PIXELS = 0x00020010, 0x7FE00010
INTERCEPT, SLOPE, SIGNED = 0x00281052, 0x00281053, 0x00280103
POSITION, ORIENTATION, SPACING = 0x00200032, 0x00200037, 0x00280030
SHARED_GROUPS, FRAME_GROUPS = 0x52009229, 0x52009230
IMAGE_TYPE, MODALITY, DATE, AGENT = 0x00080008, 0x00080060, 0x00080020, 0x00180010
DESCRIPTION, PROTOCOL, PATIENT = 0x0008103E, 0x00181030, 0x00100020
STUDY, SERIES = 0x0020000D, 0x0020000E
SAMPLES, FRAMES, ROWS, COLUMNS, BITS = 0x280002, 0x280008, 0x280010, 0x280011, 0x280100
LONG = {b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
SHORT = set(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
IMPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
DEFLATED, ELSEWHERE = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95"


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
        values: dict[int, bytes],
        *,
        group: int = 0,
        before: int = 0,
        frames: "Frames | None" = None,
        flat: bool = False,
    ) -> int:
        """Go through a data set and keep its values; give where it ends.

        Args:
            at: Where it begins.
            end: Where it ends at the latest.
            values: Takes the value of each tag that is no sequence.
            group: Stop where the elements of this group end.
            before: Stop at this tag.
            frames: Takes what stands in the sequences of many-frame files.
            flat: Whether `values` takes the values within sequences as well.

        Raises:
            DataError: An element does not fit.
        """
        while at < end:
            if group and self.number(at, 2) != group:
                return at
            tag, kind, start, length = self.head(at)
            if before and tag >= before:
                return at
            if tag == ITEM_END:
                return start
            if length == UNDEFINED or kind == b"SQ":
                stop = end if length == UNDEFINED else start + length
                inner = _Elements(self.data, self.order, self.explicit and kind != b"UN")
                at = inner.items(
                    start,
                    min(stop, end),
                    fragments=tag == PIXELS,
                    values=values if flat else None,
                    each=frames.of(tag) if frames else None,
                )
            else:
                at = start + length
                values[tag] = self.data[start:at]
            if at > end or (length != UNDEFINED and start + length > end):
                raise DataError("an element reaches beyond its end")
        return at

    def items(
        self,
        at: int,
        end: int,
        *,
        fragments: bool,
        values: dict[int, bytes] | None = None,
        each: list[dict[int, bytes]] | None = None,
    ) -> int:
        """Go through the items of a sequence; give where it ends.

        Args:
            at: Where it begins.
            end: Where it ends at the latest.
            fragments: Whether the items are parts of packed pixels.
            values: Takes the values of all items, if wanted.
            each: Gets the values of each item by itself, if wanted.
        """
        flat = values is not None or each is not None
        while at < end:
            tag, _, start, length = self.head(at)
            if tag == SEQUENCE_END:
                return start
            if tag != ITEM:
                raise DataError("it has a sequence that is no sequence")
            if fragments:
                at = start + length
                continue
            of_item = {} if values is None else values
            if each is not None:
                each.append(of_item)
            stop = end if length == UNDEFINED else min(start + length, end)
            at = self.walk(start, stop, of_item, flat=flat)
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


def header_of(path: Path) -> dict[int, bytes]:
    """Read the values before a file's pixels, without those in sequences; mostly of its head alone.

    Raises:
        DataError: Its elements do not fill it.
        OSError: It may not be read.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    try:
        form, at, values = _begin(head)
        form.walk(at, len(form.data), values, before=PIXELS)
    except DataError:
        if len(head) < HEAD:
            raise
        form, at, values = _begin(path.read_bytes())
        form.walk(at, len(form.data), values, before=PIXELS)
    return values


def _begin(data: bytes) -> tuple[_Elements, int, dict[int, bytes]]:
    """Read how a file is written; give its elements, where they begin, and the first values.

    Raises:
        DataError: It is not DICOM, or its pixels lie elsewhere.
    """
    # Old archives leave the preamble out, and the transfer syntax with it.
    begin = 132 if data[128:132] == b"DICM" else 0
    if not begin and data[:2] not in (b"\x02\0", b"\x08\0"):
        raise DataError("it is not DICOM")
    values: dict[int, bytes] = {}
    at = _Elements(data).walk(begin, len(data), values, group=2)
    named = data[at + 4 : at + 6] in LONG | SHORT
    syntax = values.get(SYNTAX, b"" if named else IMPLICIT.encode()).decode("ascii").rstrip(" \0")
    if syntax == ELSEWHERE:
        raise DataError("its pixels lie on a server; convert the series with dcm2niix")
    if syntax == DEFLATED:
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        data, at = inflate.decompress(data[at:], HEAVIEST), 0
    return _Elements(data, "big" if syntax == BIG else "little", syntax != IMPLICIT), at, values


def elements_of(path: Path) -> tuple[dict[int, bytes], Frames]:
    """Walk through a file, as `check_file`; give what it says of its frames, too.

    Raises:
        DataError: Its elements do not fill it, or it has not the pixels that it says.
    """
    data = path.read_bytes()
    form, at, values = _begin(data)
    frames = Frames()
    form.walk(at, len(form.data), values, frames=frames)
    rows, columns, bits, samples = (
        int.from_bytes(values.get(tag, b""), form.order) for tag in (ROWS, COLUMNS, BITS, SAMPLES)
    )
    count = int(values.get(FRAMES, b"").strip(b" \0") or 1)
    size = rows * columns * count * (samples or 1) * bits // 8
    if not 0 < size <= HEAVIEST:
        raise DataError(f"it says that it has {times([columns, rows, count])} pixels")
    if PIXELS in values and len(values[PIXELS]) != size + size % 2:  # lengths are even
        raise DataError(f"it has {len(values[PIXELS]):,} bytes of pixels, not {size:,}")
    return values, frames
