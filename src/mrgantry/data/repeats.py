"""People who stand in a set under two names: then no split by subject holds.

Copies, scans that were saved twice, and second visits get other names easily. Two
subjects are compared by the anatomy of their slices at a scale of some mm, which other
intensities, noise, a small turn or shift and another choice of slices hardly change.
How alike different people look depends on plane, sequence and size, so a pair's
distance counts as a part of what lies between its members and third people.

Measured on 90 people's T1 scans at 2 mm in three planes and on 30 simulated people of
two visits: docs/LOG.md.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float32, Int, Shaped
from torch import Tensor

from mrgantry.common.picture import save_grid
from mrgantry.data import oblique
from mrgantry.data.slices import SliceSet

SIDE = 32  # pixels of the small images
HALF_WIDTH = 2.2  # of a small image, in root-mean-square radii of what it shows
ENOUGH = 64  # pixels; larger images are averaged down first
SHOWN_FROM = 0.1  # of the bright end: the rest is background
FINE, COARSE = 0.7, 2.0  # pixels of a small image: detail between the two is compared
ASKED = 24  # slices of a subject, sequence and plane that are compared with all of others
BLOCK = 64  # images that are worked on at once
RATIO = 0.5  # of the distance to third people; below it two are taken for one person
NEAREST = 0.1  # the share of third people that may be nearer than those compared with
NEARER = 2  # and how many, so that one person's third name does not hide the others
MANY = 50  # third people; with fewer, chance alone gives low ratios,
FEW = 5  # as it does for people of fewer slices:
NEAR = 0.06  # there the pair must be this near, too
COPY = 0.02  # this near is enough where there is one third person, or none
PICTURED = 12  # pairs in repeats.png


@dataclass(frozen=True)
class Repeat:
    """Two subjects who look like one person.

    Attributes:
        subject, other: Their names, in the order of the set.
        split, other_split: The splits that they stand in.
        ratio: Their distance over that to third people: 0 for copies, 0.6 and more for
            different people; None if there is no third person, or all are copies.
        distance: One minus the correlation of their small images, the median over
            slices.
        id, other_id: The two slices that are most alike.
    """

    subject: str
    other: str
    split: str
    other_split: str
    ratio: float | None
    distance: float
    id: str
    other_id: str


def find_repeats(data: SliceSet) -> list[Repeat]:
    """Find pairs of subjects who look like one person, the most suspicious first.

    Slices are compared within one sequence and plane, by their first channel; of
    oblique sets, the five sections of the unturned heads. Of fewer than `MANY` people
    only the clearest pairs are told, and of two people alone only copies: how alike two
    people look cannot be known from two. Slices of other levels or planes tell nothing.

    Args:
        data: A set of slices; rows without a subject are left out.
    """
    people = [name for name in pd.unique(data.table["subject"]) if name]
    if len(people) < 2:
        return []
    apart, scores, found = _compared(data, people)
    pairs = [(int(a), int(b)) for a, b in np.argwhere(np.triu(found, 1))]
    pairs.sort(key=lambda pair: (not np.isfinite(scores[pair]), scores[pair], apart[pair]))
    return [_told(data, people[a], people[b], scores[a, b], apart[a, b]) for a, b in pairs]


def note_repeats(data: SliceSet) -> dict[str, Any]:
    """Give the notes about a set's repeats, and draw them as `repeats.png`, if any."""
    repeats = find_repeats(data)
    path = data.folder / "repeats.png"
    path.unlink(missing_ok=True)
    if repeats:
        ids = [name for one in repeats[:PICTURED] for name in (one.id, one.other_id)]
        places = [int(np.argmax(data.table["id"] == name)) for name in ids]
        images = [data.where(np.arange(len(data)) == place).images for place in places]
        save_grid(path, torch.from_numpy(np.concatenate(images)), 2)
    return {"repeats": [asdict(one) for one in repeats]}


def _compared(
    data: SliceSet, people: list[str]
) -> tuple[Float[np.ndarray, "n n"], Float[np.ndarray, "n n"], Bool[np.ndarray, "n n"]]:
    """Give distances and ratios of any two people, and say who look like one person."""
    apart, slices = _apart(data, people)
    ratios = _ratios(apart)
    third = len(people) - 2
    few = (third < MANY) | (np.minimum(slices, slices[:, None]) < FEW)
    alike = (ratios < RATIO) & (apart < np.where(few, NEAR, np.inf))
    if third < NEARER:
        alike |= apart < COPY
    return apart, ratios, alike


def _apart(
    data: SliceSet, people: list[str]
) -> tuple[Float[np.ndarray, "n n"], Int[np.ndarray, " n"]]:
    """Give the distance of any two people, and how many slices each was asked with.

    It is that of a person's slices to the nearest of the other's, the median over the
    slices, and the mean of both ways; infinite where nothing can be compared.
    """
    small, owners, kinds = _small_images(data, people)
    asked = _asked(owners, kinds)
    nearest = np.full((len(asked), len(people)), np.nan, np.float32)
    for kind in np.unique(kinds):
        mine = np.flatnonzero(kinds[asked] == kind)
        theirs = np.flatnonzero(kinds == kind)  # in the order of people
        firsts, starts = np.unique(owners[theirs], return_index=True)
        targets = small[theirs].T
        for start in range(0, len(mine), BLOCK):
            some = mine[start : start + BLOCK]
            alike = (small[asked[some]] @ targets).numpy()
            nearest[np.ix_(some, firsts)] = 1 - np.maximum.reduceat(alike, starts, axis=1)
    one_way = np.full((len(people), len(people)), np.inf)
    for person in range(len(people)):
        rows = nearest[owners[asked] == person]
        met = ~np.isnan(rows).all(0)
        one_way[person, met] = np.nanmedian(rows[:, met], axis=0)
    return np.maximum((one_way + one_way.T) / 2, 0), np.bincount(owners[asked])


def _ratios(apart: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """Divide distances by those to third people, the smaller of both members' ones.

    Of a member's distances to third people, the one counts that `NEARER` of them, and
    the share `NEAREST`, fall below.
    """
    count = len(apart)
    third = count - 2
    if not third:
        return np.full((2, 2), np.nan)
    rank = min(third - 1, max(NEARER, int(np.ceil(NEAREST * third))) - 1)
    others = np.sort(np.where(np.eye(count, dtype=bool), np.inf, apart), axis=1)
    # Without the other member, all who are farther away move up by one.
    usual = np.where(apart <= others[:, [rank]], others[:, [rank + 1]], others[:, [rank]])
    least = np.minimum(usual, usual.T)
    known = (least > 0) & np.isfinite(apart)
    return np.divide(apart, least, out=np.full_like(apart, np.inf), where=known)


def _small_images(
    data: SliceSet, people: list[str]
) -> tuple[Float32[Tensor, "m d"], Int[np.ndarray, " m"], Int[np.ndarray, " m"]]:
    """Give small images of all people, one after the other, whose they are and of which kind."""
    kinds, _ = pd.factorize(_kinds(data))
    pieces, owners, of_kind = [], [], []
    for person, name in enumerate(people):
        rows = _rows_of(data, name)
        for images, some in _images(data.where(rows), kinds[rows]):
            pieces.append(shrink(images))
            of_kind.append(some)
            owners.append(np.full(len(some), person))
    return torch.cat(pieces), np.concatenate(owners), np.concatenate(of_kind)


def _images(
    data: SliceSet, kinds: Int[np.ndarray, " n"]
) -> Iterator[tuple[Float32[Tensor, "k 1 h w"], Int[np.ndarray, " k"]]]:
    """Go through one person's images, a block at a time."""
    if not data.about.poses:
        images = data.images[:, :1]
        for start in range(0, len(images), BLOCK):
            some = slice(start, start + BLOCK)
            yield torch.from_numpy(images[some]).float(), kinds[some]
        return
    _, first = np.unique(data.places // data.about.poses, return_index=True)
    sections = [oblique.Pose(section=height).index for height in oblique.SECTIONS]
    heads = data.pixels(torch.device("cpu"))
    for head, row in enumerate(first):
        drawn = heads.batch(torch.tensor(sections) + head * oblique.POSES)
        yield drawn[:, :1], np.full(len(sections), kinds[row])


def shrink(images: Float[Tensor, "n 1 h w"]) -> Float32[Tensor, "n d"]:
    """Give small images of anatomy, as vectors of length 1 whose product is a correlation.

    They are centred on what is shown, and as large as it; detail coarser than `COARSE`
    pixels is taken away and its contrast is made equal everywhere, and with it gain and
    bias. An image of a single intensity gives 0.
    """
    images = F.avg_pool2d(images, max(1, min(images.shape[2:]) // ENOUGH))
    low = images.amin((1, 2, 3), keepdim=True)
    flat = images.flatten(1)
    high = flat.kthvalue(max(1, round(0.99 * flat.shape[1])), dim=1).values.view(-1, 1, 1, 1)
    values = (images - low) / (high - low).clamp(min=1e-6)
    shown = (values > SHOWN_FROM).float()
    values, shown = _blurred(_resized(torch.cat([values * shown, shown], 1)), FINE).split(1, 1)
    near = _blurred(shown, COARSE).clamp(min=1e-3)
    detail = values - shown * _blurred(values, COARSE) / near
    contrast = torch.sqrt(_blurred(detail**2, COARSE) / near)
    even = (shown * detail / contrast.clamp(min=1e-3)).flatten(1)
    return F.normalize(even - even.mean(1, keepdim=True), dim=1, eps=1e-6)


def _resized(images: Float32[Tensor, "n 2 h w"]) -> Float32[Tensor, "n 2 s s"]:
    """Cut a square about what each image's second channel shows, and average it down."""
    shown = images[:, 1]
    rows, columns = (torch.arange(length) + 0.5 for length in shown.shape[1:])
    mass = shown.sum((1, 2)).clamp(min=1)
    y, x = (shown.sum(2) * rows).sum(1) / mass, (shown.sum(1) * columns).sum(1) / mass
    squares = (rows - y[:, None])[:, :, None] ** 2 + (columns - x[:, None])[:, None] ** 2
    half = HALF_WIDTH * torch.sqrt((shown * squares).sum((1, 2)) / mass).clamp(min=1)
    down, across = _weights(rows, y, half), _weights(columns, x, half)
    return down[:, None] @ images @ across[:, None].mT


def _weights(
    places: Float[Tensor, " k"], centre: Float[Tensor, " n"], half: Float[Tensor, " n"]
) -> Float[Tensor, "n s k"]:
    """Weigh the pixels of a line for each small pixel: 1 at its centre, 0 at its neighbours'."""
    steps = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
    wanted = centre[:, None] + half[:, None] * steps
    reach = (2 * half / SIDE).clamp(min=1)[:, None, None]
    return (1 - (places - wanted[:, :, None]).abs() / reach).clamp(min=0) / reach


def _blurred(images: Float32[Tensor, "n c s s"], width: float) -> Float32[Tensor, "n c s s"]:
    """Blur by a Gaussian of a standard deviation in pixels, with 0 outside."""
    steps = torch.arange(SIDE)
    weights = torch.exp(-((steps[:, None] - steps) ** 2) / (2 * width**2))
    weights = weights / (width * (2 * np.pi) ** 0.5)
    return weights @ images @ weights


def _asked(owners: Int[np.ndarray, " m"], kinds: Int[np.ndarray, " m"]) -> Int[np.ndarray, " q"]:
    """Choose up to `ASKED` small images of each person and kind, evenly spread."""
    groups = pd.Series(np.arange(len(owners))).groupby([owners, kinds]).indices.values()
    spread = [np.linspace(0, len(one) - 1, min(len(one), ASKED)).round() for one in groups]
    chosen = [one[places.astype(int)] for one, places in zip(groups, spread, strict=True)]
    return np.sort(np.concatenate(chosen))


def _told(data: SliceSet, subject: str, other: str, ratio: float, distance: float) -> Repeat:
    """Describe a pair by its most alike slices."""
    mine, theirs = (data.where(_rows_of(data, name)) for name in (subject, other))
    alike = (_shrunk(mine) @ _shrunk(theirs).T).numpy()
    alike[_kinds(mine)[:, None] != _kinds(theirs)] = -2
    row, other_row = np.unravel_index(alike.argmax(), alike.shape)
    one, two = mine.table.iloc[int(row)], theirs.table.iloc[int(other_row)]
    return Repeat(
        subject,
        other,
        str(one["split"]),
        str(two["split"]),
        round(float(ratio), 3) if np.isfinite(ratio) else None,
        round(float(distance), 4),
        str(one["id"]),
        str(two["id"]),
    )


def _kinds(data: SliceSet) -> Shaped[np.ndarray, " n"]:
    """Name what images must share to be compared."""
    return (data.table["sequence"] + "/" + data.table["plane"]).to_numpy()


def _rows_of(data: SliceSet, name: str) -> Bool[np.ndarray, " n"]:
    return (data.table["subject"] == name).to_numpy()


def _shrunk(data: SliceSet) -> Float32[Tensor, "n d"]:
    images = torch.from_numpy(data.images[:, :1])
    return torch.cat([shrink(some.float()) for some in images.split(BLOCK)])
