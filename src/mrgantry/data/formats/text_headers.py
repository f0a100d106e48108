"""MetaImage and NRRD: a header of text, then voxels, here or in a file beside it.

They are read here and not with ITK, which was found to believe too much: it takes
voxels whose checksum is wrong (compressed MetaImage, gzip in NRRD) and files longer
than promised, and says on the terminal what it thinks of the others.

Sources: https://itk.org/Wiki/MetaIO/Documentation and
https://teem.sourceforge.net/nrrd/format.html. As in ITK, directions and origin are
LPS unless an NRRD says RAS or LAS.
"""

import re
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mrgantry.common.errors import DataError
from mrgantry.data.formats.stored import (
    DENSEST,
    Stored,
    check_length,
    check_shape,
    promised,
    unpacked,
)

LONGEST_HEADER = 2**16  # bytes
SKEW = 1e-2  # how far unit vectors along the axes may be from right angles

META_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
NRRD_TYPES = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int"), "i2"),
    **dict.fromkeys(("int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int"), "u2"),
    **dict.fromkeys(("uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long"), "i8"),
    **dict.fromkeys(("signed long long int", "int64", "int64_t"), "i8"),
    **dict.fromkeys(("ulonglong", "unsigned long long", "unsigned long long int"), "u8"),
    **dict.fromkeys(("uint64", "uint64_t"), "u8"),
    "float": "f4",
    "double": "f8",
}
NRRD_SPACES = {  # to RAS+
    **dict.fromkeys(("left-posterior-superior", "lps"), (-1, -1, 1)),
    **dict.fromkeys(("right-anterior-superior", "ras"), (1, 1, 1)),
    **dict.fromkeys(("left-anterior-superior", "las"), (-1, 1, 1)),
}


def read_meta(path: Path) -> Stored:
    """Read MetaImage, in one file (.mha) or two (.mhd)."""
    text, start = _header(path, re.compile(rb"^ElementDataFile *=[^\n]*\n?", re.MULTILINE))
    fields = _fields(text.splitlines(), "=")
    if fields.get("objecttype", "Image") != "Image":
        raise DataError("it is a MetaIO object, but no image")
    shape = _integers(_need(fields, "DimSize"))
    if len(shape) != int(_need(fields, "NDims")):
        raise DataError("its header contradicts itself about the number of axes")
    if int(fields.get("elementnumberofchannels", "1")) != 1:
        raise DataError("it holds several values a voxel (colours or vectors), not one intensity")
    swapped = _truth(fields, "binarydatabyteordermsb", "elementbyteordermsb")
    dtype = _type(META_TYPES, _need(fields, "ElementType"), big=swapped)
    size = promised(shape, dtype, 0)
    if not _truth(fields, "binarydata", default="True"):
        raise DataError("its voxels are written as text; save it again as binary")
    place, start = _place(path, _need(fields, "ElementDataFile"), start)
    start += int(fields.get("headersize", "0"))
    if _truth(fields, "compresseddata"):
        data = _inflated(place, start, size)
    else:
        check_length(place.stat().st_size - start, size)
        data = _raw(place, start, size)
    count = len(shape)
    matrix = _numbers(_need(fields, "TransformMatrix", "Orientation", "Rotation"), count**2)
    steps = _numbers(_need(fields, "ElementSpacing", "ElementSize"), count)[:3]
    origin = _numbers(_need(fields, "Offset", "Origin", "Position"), count)[:3]
    axes = matrix.reshape(count, count)[:3, :3]  # a row an axis, of length 1
    if not np.abs(np.linalg.norm(axes, axis=1) - 1).max() < SKEW:
        raise DataError("its TransformMatrix is no rotation; its header is damaged")
    return _stored(data, dtype, shape, axes * steps[:, None], origin, (-1, -1, 1))


def read_nrrd(path: Path) -> Stored:
    """Read NRRD, in one file (.nrrd) or two (.nhdr)."""
    text, start = _header(path, re.compile(rb"\n\r?\n|\Z"))
    magic, *lines = text.splitlines() or [""]
    if not re.fullmatch("NRRD000[1-5]", magic):
        raise DataError("it is not an NRRD file")
    fields = _fields([line for line in lines if line[:1] != "#" and ":=" not in line], ":")
    if unknown := sorted(set(fields) - NRRD_FIELDS):
        raise DataError(f"its header is damaged (it has the unknown field {unknown[0]!a})")
    shape = _integers(_need(fields, "sizes"))
    if len(shape) != int(_need(fields, "dimension")):
        raise DataError("its header contradicts itself about the number of axes")
    check_shape(shape)
    if len(shape) > 3:
        raise DataError(f"it has {len(shape)} axes; a scan has three")
    dtype = _type(NRRD_TYPES, _need(fields, "type").lower(), big=_endian(fields) == "big")
    if {"line skip", "lineskip"} & set(fields) or fields.get("encoding") not in NRRD_ENCODINGS:
        raise DataError("its voxels are encoded in another way than raw or gzip; save it again")
    place, start = _place(path, fields.get("data file", fields.get("datafile", "LOCAL")), start)
    skip = int(fields.get("byte skip", fields.get("byteskip", "0")))
    size = promised(shape, dtype, skip)
    if NRRD_ENCODINGS[fields["encoding"]]:
        data = unpacked(place, size, start)
        check_length(len(data), size)
        data = data[skip:]
    else:
        check_length(place.stat().st_size - start, size)
        data = _raw(place, start + skip, size - skip)
    to_ras = NRRD_SPACES.get(_need(fields, "space").lower())
    if to_ras is None:
        raise DataError(f"it does not say where left is (its space is {fields['space']!a})")
    directions = re.findall(r"\([^()]*\)|\S+", _need(fields, "space directions"))
    axes = np.array([_vector(direction) for direction in directions])
    return _stored(data, dtype, shape, axes, _vector(_need(fields, "space origin")), to_ras)


NRRD_ENCODINGS = {"raw": False, "gzip": True, "gz": True}
NRRD_FIELDS = {
    *("dimension", "type", "block size", "blocksize", "encoding", "endian", "content", "min"),
    *("max", "old min", "oldmin", "old max", "oldmax", "data file", "datafile", "line skip"),
    *("lineskip", "byte skip", "byteskip", "number", "sample units", "sampleunits", "sizes"),
    *("spacings", "thicknesses", "axis mins", "axismins", "axis maxs", "axismaxs", "centers"),
    *("centerings", "labels", "units", "kinds", "space", "space dimension", "space units"),
    *("space origin", "space directions", "measurement frame"),
}


def _header(path: Path, end: re.Pattern[bytes]) -> tuple[str, int]:
    """Give the text of a header and where it ends in the file."""
    with path.open("rb") as file:
        head = file.read(LONGEST_HEADER)
    ending = end.search(head)
    if ending is None:
        raise DataError("its header has no end; it is truncated, damaged or of another format")
    return head[: ending.end()].decode(), ending.end()


def _fields(lines: Iterable[str], between: str) -> dict[str, str]:
    """Split a header into its fields, their names in lower case."""
    fields: dict[str, str] = {}
    for line in filter(str.strip, lines):
        name, separator, value = line.partition(between)
        name = name.strip().lower()
        if not separator or name in fields:
            raise DataError(f"its header is damaged ({line.strip()[:40]!a} is not understood)")
        fields[name] = value.strip()
    return fields


def _need(fields: dict[str, str], *names: str) -> str:
    """Give the value of a field that has one of some names."""
    for name in names:
        if name.lower() in fields:
            return fields[name.lower()]
    raise DataError(f"its header does not give {names[0]}")


def _integers(text: str) -> list[int]:
    return [int(word) for word in text.split()]


def _numbers(text: str, count: int) -> Float[np.ndarray, " n"]:
    numbers = np.array([float(word) for word in text.split()])
    if len(numbers) != count:
        raise DataError(f"its header gives {len(numbers)} numbers where {count} are due")
    return numbers


def _vector(text: str) -> Float[np.ndarray, " 3"]:
    if not re.fullmatch(r"\([^()]*\)", text.strip()):
        raise DataError(f"its header does not say where voxels lie, but {text[:40]!a}")
    return _numbers(text.strip()[1:-1].replace(",", " "), 3)


def _truth(fields: dict[str, str], *names: str, default: str = "False") -> bool:
    said = next((fields[name] for name in names if name in fields), default)
    if said.lower() not in ("true", "false"):
        raise DataError(f"its header says {names[0]} = {said[:40]!a}; that is neither yes nor no")
    return said.lower() == "true"


def _type(known: dict[str, str], name: str, *, big: bool) -> np.dtype:
    if name not in known:
        raise DataError(f"its voxels are of the type {name[:40]!a}; a scan has one intensity each")
    return np.dtype(known[name]).newbyteorder(">" if big else "<")


def _endian(fields: dict[str, str]) -> str:
    said = fields.get("endian", "little").lower()
    if said not in ("little", "big"):
        raise DataError(f"its header gives the byte order {said[:40]!a}; little or big is due")
    return said


def _place(path: Path, name: str, start: int) -> tuple[Path, int]:
    """Give the file that holds the voxels, and where in it they start."""
    if name in ("LOCAL", "Local", "local"):
        return path, start
    elsewhere = Path(name).is_absolute() or ".." in Path(name).parts
    if elsewhere or "%" in name or name.startswith("LIST"):
        raise DataError(
            f"its voxels are not in one file beside it, but in {name[:80]!a}; save it again as "
            "one file"
        )
    place = path.parent / name
    if not place.is_file():
        raise DataError(f"its voxels, {name[:80]!a}, are missing")
    return place, 0


def _raw(place: Path, start: int, size: int) -> bytes:
    """Read voxels that are not packed, even if they happen to begin as gzip does."""
    with place.open("rb") as file:
        file.seek(start)
        return file.read(size)


def _inflated(place: Path, start: int, size: int) -> bytes:
    """Unpack one deflated stream that fills the rest of a file, checksum and all."""
    with place.open("rb") as file:
        file.seek(start)
        packed = file.read()
    if size > DENSEST * len(packed):
        check_length(DENSEST * len(packed), size)
    stream = zlib.decompressobj(wbits=47)  # zlib or gzip
    data = stream.decompress(packed, size + 1)
    check_length(len(data), size)
    if not stream.eof or stream.unused_data:
        raise DataError("it is truncated or damaged (its end is not where it is due)")
    return data


def _stored(
    data: bytes,
    dtype: np.dtype,
    shape: Sequence[int],
    axes: Float[np.ndarray, "3 3"],
    origin: Float[np.ndarray, " 3"],
    to_ras: tuple[int, int, int],
) -> Stored:
    """Join voxels with their places; `axes` holds the step along each axis as a row."""
    check_right_angles(axes)
    affine = np.eye(4)
    affine[:3, :3] = axes.T
    affine[:3, 3] = origin
    array = np.frombuffer(data, dtype).reshape(shape[:3], order="F")
    return Stored(array, np.diag([*map(float, to_ras), 1.0]) @ affine)


def check_right_angles(axes: Float[np.ndarray, "3 3"]) -> None:
    """Refuse axes that are not at right angles, which no scanner gives: damage does.

    Raises:
        DataError: They are not.
    """
    lengths = np.linalg.norm(axes, axis=1, keepdims=True)
    if not np.isfinite(axes).all() or not lengths.all():
        raise DataError("it has no usable geometry (its axes have no length)")
    units = axes / lengths
    if np.abs(units @ units.T - np.eye(3)).max() > SKEW:
        raise DataError("its axes do not stand at right angles; its header is damaged")
