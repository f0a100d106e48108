"""A set of slices, real or synthetic: the noun that all rooms share.

On disk a set is a folder: `about.json`, the images and rows of one subject (or one
block of synthetic images) a part in `parts/`, their label maps, if there are any, in `maps/`,
and `slices.csv` with all rows. Where slices are oblique, a part holds volumes, and images and
maps are drawn from them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from itertools import pairwise
from math import prod
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float16, Float32, Int, Shaped, UInt8
from torch import Tensor

from mrgantry.common.errors import DataError
from mrgantry.common.files import AnyPath
from mrgantry.common.picture import grid, png, three_planes
from mrgantry.data import oblique
from mrgantry.data.about import About, read_about
from mrgantry.data.formats import times
from mrgantry.data.label_maps import from_channels, to_channels
from mrgantry.data.parts import (
    COLUMNS,
    MAPS,
    check_part,
    digest,
    load_heads,
    load_images,
    load_maps,
)
from mrgantry.data.pixels import FiledPixels, Pixels, PosedPixels, StoredPixels

SHOWN = 16  # images in a notebook, in two rows
MOST_BYTES = 2**31  # of volumes that are held in memory; more are read as they are needed
SPLITS = ("train", "validation", "test")
NUMBERS = {"index", "position_mm", "pixel_mm", "tumour_mm2"}


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
                pieces.append(load_images(self.folder, name, lazy=lazy)[local])
                continue
            images = self._draw(load_heads(self.folder, name), local, numbers)
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
                pieces.append(load_maps(self.folder, name)[local])
                continue
            drawn = self._draw(load_heads(self.folder, name, MAPS), local, numbers)
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
            rows = np.arange(len(self))
            return FiledPixels(
                len(self),
                lambda row: self.where(rows == row).drawn(with_maps=with_maps),
                device,
            )
        if not self.about.poses:
            return StoredPixels(torch.from_numpy(self.drawn(with_maps=with_maps)).to(device))
        heads = []
        for name, local, _ in self._parts():
            stored = load_heads(self.folder, name)
            if with_maps:
                maps = load_heads(self.folder, name, MAPS)
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
        table = read_table(folder / "slices.csv")
        refuse_shared_subjects(table, folder)
        if digest(folder / "slices.csv") != about.table_fingerprint:
            raise DataError(
                f"{folder / 'slices.csv'} was changed after it was made, so its rows may not "
                f"belong to the images any more. Make it again: {about.command}"
            )
        for name, count in zip(about.parts, about.rows, strict=True):
            check_part(folder, name, 0 if about.poses else count, bool(about.classes))
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


def read_table(path: Path) -> pd.DataFrame:
    """Read the rows of a set, or of a part of it.

    Raises:
        DataError: The file is no such table, or lacks a column.
    """
    try:
        kinds = dict.fromkeys([name for name in COLUMNS if name not in NUMBERS], str)
        table = pd.read_csv(path, dtype=kinds, keep_default_na=False, na_values={"tumour_mm2": ""})
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a readable table of slices: {error}.") from error
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise DataError(f"{path} lacks the column {missing[0]!r}.")
    return table
