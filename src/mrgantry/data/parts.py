"""The parts of a set of slices on disk: images, label maps and rows of a subject or a block."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from jaxtyping import Float16, UInt8

from mrgantry.common.errors import DataError
from mrgantry.common.files import whole
from mrgantry.common.tables import write_table
from mrgantry.data import oblique

MAPS = "maps"  # the folder of the label maps, beside "parts"
COLUMNS = (
    "id",
    "subject",
    "session",
    "split",
    "sequence",
    "plane",
    "index",
    "position_mm",
    "pixel_mm",
    "tumour",
    "tumour_mm2",
    "source",
    "made_by",
    "affine",
)


def has_part(folder: Path, name: str) -> bool:
    """Say whether a part is complete: its rows are written last."""
    pixels = (folder / f"parts/{name}.npy", folder / f"parts/{name}.npz")
    return (folder / f"parts/{name}.csv").is_file() and any(map(Path.is_file, pixels))


def write_part(
    folder: Path,
    name: str,
    pixels: Float16[np.ndarray, "n c *s"] | Sequence[oblique.StoredHead],
    table: pd.DataFrame,
    maps: UInt8[np.ndarray, "n ..."] | Sequence[oblique.StoredHead] | None = None,
) -> None:
    """Write one subject or block; its rows are written last.

    Args:
        folder: The set's.
        name: Of the part.
        pixels: Its images, or the volumes to draw them from.
        table: Their rows.
        maps: Their label maps, or the volumes to draw these from, if the set has any.
    """
    for place, content in (("parts", pixels), (MAPS, maps)):
        if isinstance(content, np.ndarray):
            with whole(folder / f"{place}/{name}.npy") as aside, aside.open("wb") as file:
                np.save(file, content)
        elif content is not None:
            with whole(folder / f"{place}/{name}.npz") as aside:
                oblique.save_heads(aside, content)
    write_table(folder / f"parts/{name}.csv", table, list(COLUMNS))


def remove_part(folder: Path, name: str) -> None:
    """Remove a part, rows first: without them it is no part."""
    for suffix in ("csv", "npy", "npz"):
        (folder / f"parts/{name}.{suffix}").unlink(missing_ok=True)
        (folder / f"{MAPS}/{name}.{suffix}").unlink(missing_ok=True)


def load_images(folder: Path, name: str, *, lazy: bool = False) -> Float16[np.ndarray, "n c *s"]:
    """Read a part's images, or map them without reading.

    Raises:
        DataError: The part is damaged.
    """
    try:
        return np.load(folder / f"parts/{name}.npy", mmap_mode="r" if lazy else None)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"A part of {folder} is damaged ({error}); make it again.") from error


def load_maps(folder: Path, name: str, *, lazy: bool = False) -> UInt8[np.ndarray, "n ..."]:
    """Read a part's label maps, or map them without reading.

    Raises:
        DataError: They are missing or damaged.
    """
    try:
        return np.load(folder / f"{MAPS}/{name}.npy", mmap_mode="r" if lazy else None)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"The label maps of {folder} are damaged ({error}); make it again."
        ) from error


def load_heads(folder: Path, name: str, place: str = "parts") -> list[oblique.StoredHead]:
    """Read a part's volumes, or those of its label maps.

    Raises:
        DataError: The part is damaged.
    """
    try:
        return oblique.load_heads(folder / f"{place}/{name}.npz")
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise DataError(f"A part of {folder} is damaged ({error}); make it again.") from error


def check_part(folder: Path, name: str, count: int, with_maps: bool) -> None:
    """Refuse a part that is missing or, if it stores images, not of `count` images and maps."""
    if not has_part(folder, name):
        raise DataError(f"{folder} lacks its part {name}; make it again.")
    if count and (have := len(load_images(folder, name, lazy=True))) != count:
        raise DataError(
            f"The part {name} of {folder} has {have:,} images but {count:,} rows; make it again."
        )
    if count and with_maps and (have := len(load_maps(folder, name, lazy=True))) != count:
        raise DataError(
            f"The part {name} of {folder} has {have:,} label maps but {count:,} rows; make it "
            "again."
        )


def digest(path: Path) -> str:
    """Take a file's fingerprint without holding all of it in memory.

    Raises:
        DataError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def safe_name(name: str) -> str:
    """Make a name fit for a file on every system."""
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip(".") or "-"
