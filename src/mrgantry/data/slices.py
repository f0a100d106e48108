"""A set of slices, real or synthetic: the noun that all rooms share.

On disk a set is a folder: `about.json`, the images and rows of one subject (or one
block of synthetic images) a part in `parts/`, their label maps, if there are any, in `maps/`,
and `slices.csv` with all rows. Where slices are oblique, a part holds volumes, and images and
maps are drawn from them.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Float16, Float32, Int, Shaped, UInt8
from torch import Tensor

from mrgantry.common import workfolder
from mrgantry.common.errors import DataError
from mrgantry.common.files import AnyPath, fingerprint, read_json, whole, write_json
from mrgantry.common.frozen import Frozen
from mrgantry.common.picture import grid, png, three_planes
from mrgantry.common.tables import write_table
from mrgantry.data import oblique
from mrgantry.data.formats import times
from mrgantry.data.label_maps import from_channels, to_channels
from mrgantry.data.notes import Notes
from mrgantry.data.plan import SlicePlan, Voxels

FORMAT = 2
SHOWN = 16  # images in a notebook, in two rows
MOST_BYTES = 2**31  # of volumes that are held in memory; more are read as they are needed
MAPS = "maps"  # the folder of the label maps, beside "parts"
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
    "affine",
)
NUMBERS = {"index", "position_mm", "pixel_mm", "tumour_mm2"}


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
        voxels: Of volumes: how many from right to left, front to back and bottom to top; empty
            where images are slices.
        classes: What label maps tell apart, in the order of their numbers; empty without maps.
        command: The shell command that makes the set again.
        choices: The plan, or the seeds, that it was made with.
        versions: Versions of the libraries.
        fingerprint: Changes with any pixel or row.
        table_fingerprint: Changes with `slices.csv`, which must stay as it was made.
        parts: Names of the parts, in the order of the rows.
        rows: How many rows each part has.
        poses: Oblique: how many rows each volume has; 0 where images are stored.
        field_mm: Oblique: side of the images.
        notes: Facts for people: how brains were found, what was skipped and why.
        training_subjects: For synthetic images, whom the generator has seen.
    """

    format: Literal[2] = 2
    complete: bool = False
    source: Literal["real", "simulated"] = "real"
    synthetic: bool = False
    channels: tuple[str, ...]
    size: int
    voxels: Voxels | tuple[()] = ()
    classes: tuple[str, ...] = ()
    command: str
    choices: dict[str, Any]
    versions: dict[str, str]
    fingerprint: str = ""
    table_fingerprint: str = ""
    parts: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()
    poses: int = 0
    field_mm: float = 0.0
    notes: Notes = Notes()
    training_subjects: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class StoredPixels:
    """Images that lie on the device: an epoch then costs no loading."""

    images: Float16[Tensor, "n c *s"]

    def __len__(self) -> int:
        """Give the number of images."""
        return len(self.images)

    def batch(self, rows: Int[Tensor, " n"]) -> Float[Tensor, "n c *s"]:
        """Give some images by their numbers."""
        return self.images[rows.to(self.images.device)].float()


@dataclass(frozen=True, eq=False)
class PosedPixels:
    """All poses of some volumes on the device: number 48,510 v + p is pose p of volume v."""

    heads: list[oblique.ObliqueVolume]
    size: int
    field_mm: float

    def __len__(self) -> int:
        """Give the number of poses of all volumes."""
        return len(self.heads) * oblique.POSES

    def batch(self, rows: Int[Tensor, " n"]) -> Float[Tensor, "n c *s"]:
        """Draw some poses by their numbers."""
        places = [divmod(int(row), oblique.POSES) for row in rows]
        drawn = [(head, oblique.Pose.at(index)) for head, index in places]
        return oblique.draw_poses(self.heads, drawn, self.size, self.field_mm)


@dataclass(frozen=True, eq=False)
class FiledPixels:
    """Volumes that stay on disk, since there are more than memory should hold.

    Attributes:
        data: Their set.
        device: Where batches go.
        with_maps: Whether channels of classes follow the image's.
    """

    data: "SliceSet"
    device: torch.device
    with_maps: bool

    def __len__(self) -> int:
        """Give the number of volumes."""
        return len(self.data)

    def batch(self, rows: Int[Tensor, " n"]) -> Float[Tensor, "n c *s"]:
        """Read some volumes by their numbers."""
        read = []
        for row in rows.tolist():
            chosen = np.arange(len(self.data)) == row
            read.append(self.data.where(chosen).drawn(with_maps=self.with_maps))
        return torch.from_numpy(np.concatenate(read)).float().to(self.device)


Pixels = StoredPixels | PosedPixels | FiledPixels  # what training draws its batches from


@dataclass(frozen=True, eq=False)
class SliceSet:
    """Images with one row each. They are read when they are first asked for.

    Attributes:
        table: One row an image, with the columns `COLUMNS`.
        about: How the set was made.
        folder: Where it lies.
        places: The number of each row in the whole set.
    """

    table: pd.DataFrame
    about: About
    folder: Path
    places: Int[np.ndarray, " n"]

    def __len__(self) -> int:
        """Give the number of images."""
        return len(self.table)

    def __repr__(self) -> str:
        about = self.about
        people = len(set(self.table["subject"].astype(str)) - {""})
        kind = "synthetic" if about.synthetic else about.source
        of = f" of {people} subjects" if people else ""
        maps = f", mapped: {', '.join(about.classes)}" if about.classes else ""
        size = f"{times(about.voxels)} voxels" if about.voxels else f"{about.size} pixels"
        return (
            f"<SliceSet {self.folder}: {len(self):,} {kind} {self.noun}{of}, "
            f"{' + '.join(about.channels)}, {size}{maps}>"
        )

    def _repr_html_(self) -> str:
        """Show some images and the first rows in a notebook."""
        rows = np.isin(np.arange(len(self)), np.linspace(0, len(self) - 1, SHOWN).astype(int))
        picture = png(grid(self.where(rows).pictures, SHOWN // 2))
        head = self.table.drop(columns="affine").head()
        told = [name for name in head if (head[name].astype(str) != "").any()]
        return (
            f"<p>{escape(repr(self))}</p><img src='{picture}' alt='some of the images'>"
            f"{head[told].to_html(index=False)}"
        )

    @property
    def name(self) -> str:
        """Name the set by its folder."""
        return self.folder.resolve().name

    @property
    def noun(self) -> str:
        """Name what the rows are."""
        return "volumes" if self.about.voxels else "images"

    @property
    def shape(self) -> tuple[int, ...]:
        """Give height and width of the images in pixels; of volumes, depth before them."""
        if self.about.voxels:
            return tuple(reversed(self.about.voxels))
        return self.about.size, self.about.size

    @property
    def bytes(self) -> int:
        """Give how much memory the images take."""
        return 2 * len(self) * len(self.about.channels) * prod(self.shape)

    @property
    def available(self) -> int:
        """Give how many images training can draw: every pose, where slices are oblique."""
        if not self.about.poses:
            return len(self)
        return len(np.unique(self.places // self.about.poses)) * oblique.POSES

    @cached_property
    def images(self) -> Float16[np.ndarray, "n c *s"]:
        """Give the intensities in [-1, 1]; oblique ones are drawn now.

        Raises:
            DataError: A part is damaged.
        """
        pieces = []
        for name, local, numbers in self._parts():
            if not self.about.poses:
                lazy = bool(self.about.voxels)  # of large parts, what is asked for is read alone
                pieces.append(_load_images(self.folder, name, lazy=lazy)[local])
                continue
            images = self._draw(_load_heads(self.folder, name), local, numbers)
            pieces.append(images.to(torch.float16).numpy())
        return np.concatenate(pieces)

    @property
    def pictures(self) -> Float16[np.ndarray, "m c h w"]:
        """Give what people look at: the images, and of volumes three slices each.

        Raises:
            DataError: A part is damaged.
        """
        return three_planes(self.images) if self.about.voxels else self.images

    @property
    def picture_maps(self) -> UInt8[np.ndarray, "m h w"]:
        """Give the label map of each of the pictures.

        Raises:
            DataError: The set has no label maps, or a part is damaged.
        """
        if not self.about.voxels:
            return self.maps
        # What is laid around is -1, as around images, and 0 is no class.
        shown = three_planes(self.maps[:, None].astype(np.int16) - 1)[:, 0] + 1
        return shown.astype(np.uint8)

    @cached_property
    def maps(self) -> UInt8[np.ndarray, "n ..."]:
        """Give the label map of each image: numbers of `about.classes` from 1, and 0 for none.

        Raises:
            DataError: The set has no label maps, or a part is damaged.
        """
        self.refuse_without_maps()
        pieces = []
        for name, local, numbers in self._parts():
            if not self.about.poses:
                pieces.append(_load_maps(self.folder, name)[local])
                continue
            drawn = self._draw(_load_heads(self.folder, name, MAPS), local, numbers)
            pieces.append(from_channels(drawn))
        return np.concatenate(pieces)

    def refuse_without_maps(self) -> None:
        """Refuse a set that has no label maps.

        Raises:
            DataError: It has none.
        """
        if not self.about.classes:
            raise DataError(
                f"{self.folder} has no label maps. Prepare it with --label-maps, of people whose "
                "tumours were mapped."
            )

    def drawn(self, *, with_maps: bool) -> Float16[np.ndarray, "n c *s"]:
        """Give the images, and behind each its label map as a channel a class, if wanted.

        Raises:
            DataError: There are no maps, or a part is damaged.
        """
        if not with_maps:
            return self.images
        channels = to_channels(self.maps, len(self.about.classes)).swapaxes(0, 1)
        return np.concatenate([self.images, channels.astype(np.float16)], 1)

    def pixels(self, device: torch.device, *, with_maps: bool = False) -> Pixels:
        """Give what training draws from: the images, or every pose of their volumes.

        Args:
            device: Where it shall lie.
            with_maps: Whether a channel for each class of the label maps follows the image's.

        Raises:
            DataError: There are no maps, or a part is damaged.
        """
        if with_maps:
            self.refuse_without_maps()
        if self.about.voxels and self.bytes > MOST_BYTES:
            return FiledPixels(self, device, with_maps)
        if not self.about.poses:
            return StoredPixels(torch.from_numpy(self.drawn(with_maps=with_maps)).to(device))
        heads = []
        for name, local, _ in self._parts():
            stored = _load_heads(self.folder, name)
            if with_maps:
                maps = _load_heads(self.folder, name, MAPS)
                stored = [head.beside(other) for head, other in zip(stored, maps, strict=True)]
            heads += [stored[k].lay_out(device) for k in np.unique(local // self.about.poses)]
        return PosedPixels(heads, self.about.size, self.about.field_mm)

    def _draw(
        self,
        stored: Sequence[oblique.StoredHead],
        local: Int[np.ndarray, " k"],
        numbers: Shaped[np.ndarray, " k"],
    ) -> Float32[Tensor, "k c h w"]:
        """Draw the oblique images of some rows of a part.

        Args:
            stored: The part's volumes.
            local: Numbers of the rows within the part.
            numbers: Their poses.
        """
        heads = [head.lay_out() for head in stored]
        poses = [oblique.Pose.at(int(number)) for number in numbers]
        drawn = list(zip((local // self.about.poses).tolist(), poses, strict=True))
        return oblique.draw_poses(heads, drawn, self.about.size, self.about.field_mm)

    @classmethod
    def open(cls, folder: AnyPath, *, volumes: bool = False) -> "SliceSet":
        """Open a set and check that it is whole and sound.

        Args:
            folder: Of the set.
            volumes: Take a set of volumes, too.

        Raises:
            DataError: The folder is no set, is not complete, has another format, was
                changed, or a subject stands in two splits; or it holds volumes.
        """
        folder = Path(folder)
        about = read_about(folder)
        if about.voxels and not volumes:
            raise DataError(
                f"{folder} holds whole heads, which only training takes. Everything else takes "
                "slices of the same scans: mrgantry prepare SCANS SLICES --plane axial (or "
                "coronal, or sagittal)."
            )
        if not about.complete:
            raise DataError(
                f"{folder} was interrupted while it was made. Run the same command again: "
                f"{about.command}"
            )
        table = _read_table(folder / "slices.csv")
        refuse_shared_subjects(table, folder)
        if _digest(folder / "slices.csv") != about.table_fingerprint:
            raise DataError(
                f"{folder / 'slices.csv'} was changed after it was made, so its rows may not "
                f"belong to the images any more. Make it again: {about.command}"
            )
        for name, count in zip(about.parts, about.rows, strict=True):
            _check_part(folder, name, 0 if about.poses else count, bool(about.classes))
        return cls(table, about, folder, np.arange(len(table)))

    def where(self, rows: Bool[np.ndarray, " n"]) -> "SliceSet":
        """Keep the images whose row is True."""
        rows = np.asarray(rows, dtype=bool)
        kept = SliceSet(
            self.table[rows].reset_index(drop=True), self.about, self.folder, self.places[rows]
        )
        for name in ("images", "maps"):
            if name in vars(self):
                vars(kept)[name] = getattr(self, name)[rows]
        return kept

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

    def _parts(self) -> Iterator[tuple[str, Int[np.ndarray, " k"], Shaped[np.ndarray, " k"]]]:
        """Go through the parts with rows here: name, rows within the part, their index."""
        ends = np.cumsum([0, *self.about.rows])
        numbers = self.table["index"].to_numpy()
        cuts = np.searchsorted(self.places, ends)  # places rise, whatever rows were kept
        for name, start, (first, last) in zip(self.about.parts, ends, pairwise(cuts), strict=False):
            if last > first:
                yield name, self.places[first:last] - start, numbers[first:last]


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


def begin_set(folder: Path, about: About) -> None:
    """Start a set, or go on with one that was started with the same choices.

    Raises:
        RunError: The folder holds a set made with other choices, or other things.
    """
    if not begun(folder, about):
        write_json(folder / "about.json", about.model_dump())


def begun(folder: Path, about: About) -> bool:
    """Say whether a set was started with the same choices; otherwise its folder is free.

    Raises:
        RunError: The folder holds a set made with other choices, or other things.
    """
    if not workfolder.is_begun(folder, "about.json", "a set of slices"):
        return False
    # What becomes of repeats is decided anew at the end, of the same parts.
    old, new = (
        {key: made.choices[key] for key in made.choices if key != "repeats"}
        | {"channels": made.channels, "size": made.size}
        for made in (read_about(folder), about)
    )
    # A choice that did not exist when the set was begun, and is not made now, changes nothing.
    defaults = workfolder.as_read(
        {name: field.default for name, field in SlicePlan.model_fields.items()}
    )
    later = {key: value for key, value in workfolder.as_read(new).items() if key not in old}
    unmade = {key for key, value in later.items() if not value or value == defaults.get(key)}
    new = {key: value for key, value in new.items() if key not in unmade}
    workfolder.refuse_changes(folder, workfolder.as_read(old), new)
    return True


def reopen(folder: Path) -> None:
    """Mark a set as incomplete before a part of it is replaced."""
    about = read_about(folder)
    if about.complete:
        write_json(folder / "about.json", about.model_copy(update={"complete": False}).model_dump())


def remove_part(folder: Path, name: str) -> None:
    """Remove a part, rows first: without them it is no part."""
    for suffix in ("csv", "npy", "npz"):
        (folder / f"parts/{name}.{suffix}").unlink(missing_ok=True)
        (folder / f"{MAPS}/{name}.{suffix}").unlink(missing_ok=True)


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


def finish(
    folder: Path,
    about: About,
    parts: Sequence[str],
    look: Callable[[SliceSet], SliceSet] | None = None,
) -> SliceSet:
    """Assemble the rows of all parts, take the fingerprint and mark the set complete.

    Args:
        folder: Where the set lies.
        about: How it was made.
        parts: Names of its parts, in the order of the rows.
        look: Gives the set that is kept, with its notes, of the assembled one; the images of
            a part stay as they are.

    Raises:
        DataError: There are no parts, or a subject stands in two splits.
    """
    if not parts:
        raise DataError(f"Nothing was left to put into {folder}.")
    tables = [_read_table(folder / f"parts/{name}.csv") for name in parts]
    table = pd.concat(tables, ignore_index=True)
    refuse_shared_subjects(table, folder)
    about = about.model_copy(update={"parts": tuple(parts), "rows": tuple(map(len, tables))})
    if look is not None:
        kept = look(SliceSet(table, about, folder, np.arange(len(table))))
        table, about = kept.table, kept.about
        refuse_shared_subjects(table, folder)
    kind = "npz" if about.poses else "npy"
    places = ("parts", MAPS) if about.classes else ("parts",)
    files = (folder / f"{place}/{name}.{kind}" for place in places for name in about.parts)
    mark = fingerprint([table.to_csv(index=False), *(_digest(file) for file in files)])
    if mark != read_about(folder).fingerprint:
        reopen(folder)  # another table than that of a finished set
    write_table(folder / "slices.csv", table)
    update = {
        "complete": True,
        "fingerprint": mark,
        "table_fingerprint": _digest(folder / "slices.csv"),
    }
    write_json(folder / "about.json", about.model_copy(update=update).model_dump())
    return SliceSet.open(folder, volumes=True)


def _digest(path: Path) -> str:
    """Take a file's fingerprint without holding all of it in memory.

    Raises:
        DataError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def _load_images(folder: Path, name: str, *, lazy: bool = False) -> Float16[np.ndarray, "n c *s"]:
    """Read a part's images, or map them without reading.

    Raises:
        DataError: The part is damaged.
    """
    try:
        return np.load(folder / f"parts/{name}.npy", mmap_mode="r" if lazy else None)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"A part of {folder} is damaged ({error}); make it again.") from error


def _load_maps(folder: Path, name: str, *, lazy: bool = False) -> UInt8[np.ndarray, "n ..."]:
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


def _load_heads(folder: Path, name: str, place: str = "parts") -> list[oblique.StoredHead]:
    """Read a part's volumes, or those of its label maps.

    Raises:
        DataError: The part is damaged.
    """
    try:
        return oblique.load_heads(folder / f"{place}/{name}.npz")
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise DataError(f"A part of {folder} is damaged ({error}); make it again.") from error


def _check_part(folder: Path, name: str, count: int, with_maps: bool) -> None:
    """Refuse a part that is missing or, if it stores images, not of `count` images and maps."""
    if not has_part(folder, name):
        raise DataError(f"{folder} lacks its part {name}; make it again.")
    if count and (have := len(_load_images(folder, name, lazy=True))) != count:
        raise DataError(
            f"The part {name} of {folder} has {have:,} images but {count:,} rows; make it again."
        )
    if count and with_maps and (have := len(_load_maps(folder, name, lazy=True))) != count:
        raise DataError(
            f"The part {name} of {folder} has {have:,} label maps but {count:,} rows; make it "
            "again."
        )


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
        kinds = dict.fromkeys([name for name in COLUMNS if name not in NUMBERS], str)
        table = pd.read_csv(path, dtype=kinds, keep_default_na=False, na_values={"tumour_mm2": ""})
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a readable table of slices: {error}.") from error
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise DataError(f"{path} lacks the column {missing[0]!r}.")
    return table


def safe_name(name: str) -> str:
    """Make a name fit for a file on every system."""
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip(".") or "-"
