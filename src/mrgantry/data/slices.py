"""A set of slices, real or synthetic: the noun that all rooms share.

On disk a set is a folder: `about.json`, the images and rows of one subject (or one
block of synthetic images) a part in `parts/`, and `slices.csv` with all rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float16

from mrgantry.common.errors import DataError
from mrgantry.common.files import fingerprint, read_json, whole, write_json
from mrgantry.common.frozen import Frozen

FORMAT = 1
SPLITS = ("train", "validation", "test")
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
)
TEXT_COLUMNS = (
    "id subject session split sequence plane tumour source made_by".split()  # noqa: SIM905
)


class About(Frozen):
    """What `about.json` tells of a set.

    Attributes:
        format: Version of the layout of the folder.
        complete: False while it is being made; such a set cannot be opened.
        source: Where the pixels come from in the end: "simulated" passes on to what
            was trained on simulated scans.
        synthetic: True if a generator drew the images.
        channels: Names of the channels, in order.
        size: Height and width in pixels.
        command: The shell command that makes the set again.
        choices: The plan, or the seeds, that it was made with.
        versions: Versions of the libraries.
        fingerprint: Changes with any pixel or row.
        parts: Names of the parts, in the order of the rows.
        notes: Facts for people: how brains were found, what was skipped and why.
        training_subjects: For synthetic images, whom the generator has seen.
    """

    format: Literal[1] = 1
    complete: bool = False
    source: Literal["real", "simulated"] = "real"
    synthetic: bool = False
    channels: tuple[str, ...]
    size: int
    command: str
    choices: dict[str, Any]
    versions: dict[str, str]
    fingerprint: str = ""
    parts: tuple[str, ...] = ()
    notes: dict[str, Any] = {}
    training_subjects: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class SliceSet:
    """Images with one row each.

    Attributes:
        images: Intensities in [-1, 1].
        table: One row an image, with the columns `COLUMNS`.
        about: How the set was made.
        folder: Where it lies.
    """

    images: Float16[np.ndarray, "n c h w"]
    table: pd.DataFrame
    about: About
    folder: Path

    def __len__(self) -> int:
        """Give the number of images."""
        return len(self.images)

    @property
    def name(self) -> str:
        """Name the set by its folder."""
        return self.folder.resolve().name

    @classmethod
    def open(cls, folder: Path) -> "SliceSet":
        """Read a set and check that it is whole and sound.

        Raises:
            DataError: The folder is no set, is not complete, has another format, or a
                subject stands in two splits.
        """
        about = read_about(folder)
        if not about.complete:
            raise DataError(
                f"{folder} was interrupted while it was made. Run the same command again: "
                f"{about.command}"
            )
        table = _read_table(folder / "slices.csv")
        missing = [name for name in about.parts if not (folder / f"parts/{name}.npy").is_file()]
        if missing:
            raise DataError(f"{folder} lacks its part {missing[0]}.npy; run {about.command}")
        try:
            images = np.concatenate([np.load(folder / f"parts/{name}.npy") for name in about.parts])
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"A part of {folder} is damaged ({error}); make it again.") from error
        if len(images) != len(table):
            raise DataError(
                f"{folder} has {len(images):,} images but {len(table):,} rows in slices.csv."
            )
        refuse_shared_subjects(table, folder)
        return cls(images, table, about, folder)

    def where(self, rows: Bool[np.ndarray, " n"]) -> "SliceSet":
        """Keep the images whose row is True."""
        rows = np.asarray(rows, dtype=bool)
        kept = self.table[rows].reset_index(drop=True)
        return replace(self, images=self.images[rows], table=kept)

    def split(self, name: str) -> "SliceSet":
        """Keep one split, or all with "all".

        Raises:
            DataError: The split is empty.
        """
        if name == "all":
            return self
        kept = self.where((self.table["split"] == name).to_numpy())
        if not len(kept):
            have = ", ".join(f"{n:,} {s}" for s, n in self.table["split"].value_counts().items())
            raise DataError(f"{self.folder} has no images in the split {name!r}; it has {have}.")
        return kept


def read_about(folder: Path) -> About:
    """Read `about.json` of a set.

    Raises:
        DataError: The folder is no set of slices, or of another format.
    """
    if not (folder / "about.json").is_file():
        raise DataError(
            f"{folder} is not a set of slices (it has no about.json). Make one with "
            "`mrgantry prepare SCANS SLICES`."
        )
    values = read_json(folder / "about.json")
    if not isinstance(values, dict):
        raise DataError(f"{folder / 'about.json'} is not that of a set of slices.")
    if values.get("format") != FORMAT:
        raise DataError(f"{folder} has the format {values.get('format')}; this is {FORMAT}.")
    return About.of(values, f"about.json of {folder}")


def begin(folder: Path, about: About) -> None:
    """Start a set, or go on with one that was started with the same choices.

    Raises:
        DataError: The folder holds a set made with other choices, or other things.
    """
    if (folder / "about.json").is_file():
        before = read_about(folder)
        old = before.choices | {"channels": before.channels, "size": before.size}
        new = about.choices | {"channels": about.channels, "size": about.size}
        changed = [key for key in new if _plain(old.get(key)) != _plain(new[key])]
        if changed:
            key = changed[0]
            raise DataError(
                f"{folder} was made with {key} = {old.get(key)!r}, now {new[key]!r} is asked "
                "for. Choose another folder, or delete this one."
            )
        return
    if any(one.name[0] != "." for one in folder.glob("*")):  # a kill can leave hidden files
        raise DataError(f"{folder} is not empty and is not a set of slices; choose another.")
    write_json(folder / "about.json", about.model_dump())


def has_part(folder: Path, name: str) -> bool:
    """Say whether a part is complete: its rows are written last."""
    return (folder / f"parts/{name}.csv").is_file() and (folder / f"parts/{name}.npy").is_file()


def write_part(
    folder: Path, name: str, images: Float16[np.ndarray, "n c h w"], table: pd.DataFrame
) -> None:
    """Write the images and rows of one subject or block."""
    with whole(folder / f"parts/{name}.npy") as aside, aside.open("wb") as file:
        np.save(file, images)
    with whole(folder / f"parts/{name}.csv") as aside:
        table.to_csv(aside, index=False, columns=list(COLUMNS))


def finish(folder: Path, about: About, parts: Sequence[str]) -> SliceSet:
    """Assemble the rows of all parts, take the fingerprint and mark the set complete.

    Raises:
        DataError: There are no parts, or a subject stands in two splits.
    """
    if not parts:
        raise DataError(f"Nothing was left to put into {folder}.")
    table = pd.concat([_read_table(folder / f"parts/{name}.csv") for name in parts])
    refuse_shared_subjects(table, folder)
    with whole(folder / "slices.csv") as aside:
        table.to_csv(aside, index=False)
    files = [folder / f"parts/{name}.npy" for name in parts]
    mark = fingerprint([table.to_csv(index=False), *(file.read_bytes() for file in files)])
    update = {"complete": True, "fingerprint": mark, "parts": tuple(parts)}
    write_json(folder / "about.json", about.model_copy(update=update).model_dump())
    return SliceSet.open(folder)


def refuse_shared_subjects(table: pd.DataFrame, folder: Path) -> None:
    """Refuse a set in which one subject stands in two splits.

    Slices of one brain resemble each other, so such a set makes every score too
    good (by 29 to 55 points of accuracy in print).

    Raises:
        DataError: A subject stands in two splits.
    """
    people = table[table["subject"] != ""]
    splits = people.groupby("subject")["split"].nunique()
    if (splits > 1).any():
        subject = splits.index[splits > 1][0]
        where = sorted(people.loc[people["subject"] == subject, "split"].unique())
        raise DataError(
            f"Subject {subject} of {folder} stands in two splits ({' and '.join(where)}). "
            "Split by subject: slices of one person must stay together."
        )


def _read_table(path: Path) -> pd.DataFrame:
    try:
        kinds = dict.fromkeys(TEXT_COLUMNS, str)
        table = pd.read_csv(path, dtype=kinds, keep_default_na=False, na_values={"tumour_mm2": ""})
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a readable table of slices: {error}.") from error
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise DataError(f"{path} lacks the column {missing[0]!r}.")
    return table


def _plain(value: Any) -> Any:
    """Compare values as JSON would hold them: tuples and lists are the same."""
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def safe_name(name: str) -> str:
    """Make a name fit for a file on every system."""
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip(".") or "-"
