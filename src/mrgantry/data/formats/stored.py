"""A scan as its file holds it, and what every format's reader checks before it believes.

What a header says is not believed before it has been compared with the file: sizes
bound what is unpacked, checksums are checked to the end, and a file that holds more
or less than its header promises is refused.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from isal import igzip  # twice as fast as zlib
from jaxtyping import Float, Real

from mrgantry.common.errors import DataError

LARGEST = 2**28  # voxels: a head of 24 cm at 0.37 mm has as many
HEAVIEST = 2**30  # bytes of voxels; with their copy as float32, 2 GB is in memory
DENSEST = 1032  # bytes that one byte of a deflated stream can hold
GZIP = b"\x1f\x8b"


@dataclass(frozen=True, eq=False)
class Stored:
    """A scan as its file holds it.

    Attributes:
        array: Intensities after the file's own scaling; trailing axes of length 1 are
            dropped.
        affine: Voxel indices to millimetres, RAS+.
        simulated: True if the file says that it was simulated, or drawn of simulated people.
        assumed: What was taken for granted, "" if nothing was.
        synthetic: True if the file says that a generator drew it.
    """

    array: Real[np.ndarray, "x y z"]
    affine: Float[np.ndarray, "4 4"]
    simulated: bool = False
    assumed: str = ""
    synthetic: bool = False


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


def promised(
    shape: Sequence[int],
    dtype: np.dtype,
    offset: int,
    check: Callable[[Sequence[int]], None] = check_shape,
) -> int:
    """Give the bytes that a header promises, once its shape and type are sound.

    Raises:
        DataError: They are not, or promise more than a scan of a brain holds.
    """
    if dtype.names:
        raise DataError("it holds colours (RGB); a scan has one intensity a voxel")
    if dtype.kind not in "iuf":
        raise DataError(f"its voxels are of the type {dtype}; a scan has one intensity a voxel")
    check(shape)
    size = int(offset) + prod(map(int, shape)) * dtype.itemsize
    if offset < 0 or size > HEAVIEST:
        raise DataError(f"its header promises {size:,} bytes; that is no scan of a brain")
    return size


def check_length(length: int, size: int) -> None:
    """Refuse a file that holds more or fewer bytes than its header promises.

    Raises:
        DataError: It does.
    """
    if length != size:
        raise DataError(
            f"it is truncated or damaged (its header promises {size:,} bytes, it holds "
            f"{'more' if length > size else f'{length:,}'}); copy it again"
        )


def unpacked(path: Path, most: int, start: int = 0) -> bytes:
    """Read a file, gzip or not, up to one byte more than `most`.

    A checksum stands at the end of what is packed: only what ends before `most` has
    been checked. No more memory is asked for than the file can fill.

    Args:
        path: What to read.
        most: Bytes that are expected, unpacked.
        start: Where in the file to begin.

    Raises:
        OSError: The checksum is wrong.
        EOFError: The packed stream ends early.
        isal_zlib.error: It is damaged.
    """
    left = path.stat().st_size - start
    with path.open("rb") as file:
        file.seek(start)
        packed = file.read(2) == GZIP
        file.seek(start)
        if not packed:
            return file.read(min(most + 1, left))
        with igzip.GzipFile(fileobj=file) as stream:
            return stream.read(min(most + 1, DENSEST * left))


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn whatever a reader raises into one sentence that names the file.

    Raises:
        DataError: The reader raised something.
    """
    try:
        yield
    except DataError as error:
        raise DataError(f"{path}: {error}.") from error
    except MemoryError as error:
        raise DataError(f"{path} is larger than the memory that is left.") from error
    # Readers of other people's formats raise anything when fed with damaged bytes.
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(
            f"{path}: it is truncated or damaged, or not of the format that its name says "
            f"({_printable(reason[-1]).strip().rstrip('.')}); copy it again."
        ) from error


def _printable(text: str) -> str:
    """Take out what a damaged header would do to the terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
