"""Slices as files for other programs, one file an image, with a table beside them."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
import pandas as pd
from jaxtyping import Float, Float16, Float32, UInt8, UInt16
from PIL import Image

from mrgantry.common import workfolder
from mrgantry.common.errors import DataError, unknown
from mrgantry.common.files import AnyPath, read_json, whole, write_json
from mrgantry.common.frozen import Frozen
from mrgantry.common.picture import to_grey
from mrgantry.common.progress import progress
from mrgantry.common.provenance import command_line
from mrgantry.common.tables import write_table
from mrgantry.data.cut import ORDER
from mrgantry.data.parts import safe_name
from mrgantry.data.sections import from_text
from mrgantry.data.slices import SliceSet

ORIGIN = "origin.json"
BETWEEN = ";"  # the names of one image's files, in the column `file`
LABEL_MAP = "label_map"  # the column of `slices.csv` that names the file of a label map
Labels = UInt8[np.ndarray, "h w"]
Display = Float16[np.ndarray, "h w"] | Float32[np.ndarray, "h w"]


class Origin(Frozen):
    """What `origin.json` tells of exported files, so that they can come back as a set.

    Attributes:
        command: The shell command that exports them again.
        fingerprint: Of the set they came from.
        format: The kind of files.
        split: The split that was exported, or "all".
        source: "simulated" if the images stem from simulated scans.
        synthetic: True if a generator drew them.
        channels: Names of the channels, in order.
        training_subjects: Whom the generator has seen.
        classes: What its label maps tell apart; empty without maps.
    """

    command: str
    fingerprint: str
    format: str
    split: str
    source: Literal["real", "simulated"]
    synthetic: bool
    channels: tuple[str, ...]
    training_subjects: tuple[str, ...]
    classes: tuple[str, ...] = ()


def export(slices: AnyPath, out: AnyPath, format: str = "png", split: str = "all") -> int:
    """Write every slice as a file named by its id; return how many files.

    A slice of several channels becomes one file a channel, but for `.npy`, which holds
    (c, h, w). The rows stand beside them in `slices.csv`, with a column `file`, and what
    is common to all in `origin.json`. Label maps lie in the folder `labels`, a file an image,
    as whole numbers: 0 is no class, 1 the first. One part of the set is in memory at a time.

    Args:
        slices: A set of slices.
        out: An empty folder, or one in which the same export was interrupted.
        format: "png" and "png16" put [-1, 1] on 0 to 255 and 0 to 65535; "tiff", "npy"
            and "nifti" hold float32 in [-1, 1]. NIfTI's axes are column and row, and
            its affine places them in scanner mm.
        split: A split, or "all".

    Raises:
        DataError: The folder is no complete set of slices, lacks the split, two ids
            would give one file, or NIfTI is asked for and pixels are of unknown size.
        RunError: `out` holds other things.
    """
    slices, out = Path(slices), Path(out)
    if format not in FORMATS:
        raise DataError(unknown("format", format, list(FORMATS), "option --format"))
    chosen = SliceSet.open(slices).split(split)
    lost = (chosen.table["affine"] == "") & ~(chosen.table["pixel_mm"] > 0)
    if format == "nifti" and lost.any():
        raise DataError(
            f"It is not known how large the pixels of {slices} are, and NIfTI must say it; choose "
            "another format, or import the slices with --pixel-mm."
        )
    names = _file_names(chosen, format)
    write = FORMATS[format][1]
    _claim(out, _origin_of(chosen, slices, out, format, split))
    with progress("export", len(chosen)) as advance:
        for part in _parts_of(chosen):
            for place, (_, row) in enumerate(part.table.iterrows()):
                for pixels, name in _files_of(part.images[place], names[str(row["id"])]):
                    with whole(out / name) as aside:
                        write(aside, pixels, chosen, row)
                if chosen.about.classes:
                    with whole(out / _label_file(str(row["id"]), format)) as aside:
                        WRITE_LABELS[format](aside, part.maps[place], chosen, row)
                advance()
    table = chosen.table.assign(file=[BETWEEN.join(names[name]) for name in chosen.table["id"]])
    if chosen.about.classes:
        table[LABEL_MAP] = [_label_file(name, format) for name in chosen.table["id"]]
    write_table(out / "slices.csv", table)  # last: it says that the export is whole
    return sum(map(len, names.values()))


def read_origin(folder: Path) -> Origin | None:
    """Read what an export wrote about its files; None where there is nothing.

    Raises:
        DataError: The export was interrupted.
        RecipeError: The file is damaged.
    """
    if not (folder / ORIGIN).is_file():
        return None
    origin = Origin.of(read_json(folder / ORIGIN), f"{ORIGIN} of {folder}")
    if not (folder / "slices.csv").is_file():
        raise DataError(
            f"The export to {folder} was interrupted. Run the same command again: {origin.command}"
        )
    return origin


def placed_at_origin(plane: str, pixel_mm: float, size: int) -> Float[np.ndarray, "4 4"]:
    """Map (column, row, slice, 1) of an image that lies nowhere to mm about the origin.

    Args:
        plane: Axial, coronal or sagittal; what is none of them is laid out as axial.
        pixel_mm: Side of a pixel, and the thickness of the slice.
        size: Height and width in pixels.
    """
    through, down, along = ORDER.get(plane, ORDER["axial"])
    affine = np.eye(4)
    affine[:3, :3] = 0
    affine[along, 0], affine[down, 1], affine[through, 2] = -pixel_mm, -pixel_mm, pixel_mm
    affine[:3, 3] = -affine[:3, :3] @ [(size - 1) / 2, (size - 1) / 2, 0]
    return affine


def to_grey16(image: Display) -> UInt16[np.ndarray, "h w"]:
    """Turn intensities in [-1, 1] into grey values 0 to 65535, rounded to the nearest."""
    return np.rint((np.clip(image, -1, 1).astype(np.float32) + 1) * 32767.5).astype(np.uint16)


def _write_png(path: Path, pixels: Display, *_: Any) -> None:
    Image.fromarray(to_grey(pixels)).save(path, format="PNG")


def _write_png16(path: Path, pixels: Display, *_: Any) -> None:
    Image.fromarray(to_grey16(pixels)).save(path, format="PNG")


def _write_tiff(path: Path, pixels: Display, *_: Any) -> None:
    Image.fromarray(pixels.astype(np.float32)).save(path, format="TIFF")


def _write_npy(path: Path, pixels: Float16[np.ndarray, "..."], *_: Any) -> None:
    with path.open("wb") as file:
        np.save(file, pixels.astype(np.float32))


def _write_labels_as_picture(path: Path, labels: Labels, *_: Any) -> None:
    Image.fromarray(labels).save(path, format="PNG" if ".png" in path.name else "TIFF")


def _write_labels_as_npy(path: Path, labels: Labels, *_: Any) -> None:
    with path.open("wb") as file:
        np.save(file, labels)


def _write_nifti(
    path: Path, pixels: Display | Labels, chosen: SliceSet, row: "pd.Series[Any]"
) -> None:
    """Write a slice as (column, row, 1), saying in its description whether it is real."""
    affine = placed_at_origin(row["plane"], float(row["pixel_mm"]), chosen.about.size)
    if row["affine"]:
        affine = from_text(row["affine"])
    kind = np.uint8 if pixels.dtype == np.uint8 else np.float32
    image = nib.Nifti1Image(pixels.T[:, :, None].astype(kind), affine)
    image.set_sform(affine, code="scanner" if row["affine"] else "aligned")
    image.header.set_xyzt_units("mm")
    words = [str(row["source"])]
    if chosen.about.source == "simulated" and "simulated" not in words:
        words.insert(0, "simulated")
    image.header["descrip"] = ", ".join(words)
    nib.save(image, path)


FORMATS: dict[str, tuple[str, Callable[..., None]]] = {
    "png": (".png", _write_png),
    "png16": (".png", _write_png16),
    "tiff": (".tif", _write_tiff),
    "npy": (".npy", _write_npy),
    "nifti": (".nii.gz", _write_nifti),
}
WRITE_LABELS: dict[str, Callable[..., None]] = {
    "png": _write_labels_as_picture,
    "png16": _write_labels_as_picture,
    "tiff": _write_labels_as_picture,
    "npy": _write_labels_as_npy,
    "nifti": _write_nifti,
}


def _label_file(name: str, format: str) -> str:
    """Name the file of an image's label map, below the folder of the export."""
    return f"labels/{safe_name(name)}{FORMATS[format][0]}"


def _file_names(chosen: SliceSet, format: str) -> dict[str, list[str]]:
    """Name the files of every id.

    Raises:
        DataError: Two ids would give one file.
    """
    ids = [str(name) for name in chosen.table["id"]]
    counts = Counter(safe_name(name).lower() for name in ids)
    twice = [name for name in ids if counts[safe_name(name).lower()] > 1]
    if twice:
        raise DataError(
            f"{chosen.folder} has {len(twice)} slices whose ids would give one file, such as "
            f"{twice[0]!r}; ids must differ by more than capitals and signs."
        )
    suffix, channels = FORMATS[format][0], chosen.about.channels
    if len(channels) == 1 or format == "npy":
        return {name: [safe_name(name) + suffix] for name in ids}
    return {
        name: [f"{safe_name(name)}_{safe_name(channel)}{suffix}" for channel in channels]
        for name in ids
    }


def _files_of(
    image: Float16[np.ndarray, "c h w"], names: list[str]
) -> Iterator[tuple[Float16[np.ndarray, "..."], str]]:
    """Pair the pixels of one image with the names of its files."""
    if len(names) == len(image):
        yield from zip(image, names, strict=True)
    else:
        yield image, names[0]


def _parts_of(chosen: SliceSet) -> Iterator[SliceSet]:
    """Go through a set with the images of one part in memory."""
    part = np.searchsorted(np.cumsum(chosen.about.rows), chosen.places, side="right")
    for number in np.unique(part):
        yield chosen.where(part == number)


def _origin_of(chosen: SliceSet, slices: Path, out: Path, format: str, split: str) -> Origin:
    about = chosen.about
    return Origin(
        command=command_line("export", slices, out, format=format, split=split),
        fingerprint=about.fingerprint,
        format=format,
        split=split,
        source=about.source,
        synthetic=about.synthetic,
        channels=about.channels,
        training_subjects=about.training_subjects,
        classes=about.classes,
    )


def _claim(out: Path, origin: Origin) -> None:
    """Start an export, or go on with the same one.

    Raises:
        RunError: The folder holds other things: old files would pass for new ones.
    """
    if workfolder.is_begun(out, ORIGIN, "an export"):
        terms = origin.model_dump(exclude={"command"})
        workfolder.refuse_changes(out, read_json(out / ORIGIN), terms)
    write_json(out / ORIGIN, origin.model_dump())
