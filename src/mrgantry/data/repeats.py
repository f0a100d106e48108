"""People who stand in a set under two names: then no split by subject holds.

Copies, scans that were saved twice, and second visits get other names easily. Two
subjects are compared by the anatomy of their slices at a scale of some mm, which other
intensities, noise, a small turn or shift and another choice of slices hardly change;
and by the tissue that the brain network sees, which hardly changes in another contrast
or in a mirror either. How alike different people look depends on plane, sequence and
size, so a pair's distance counts as a part of what lies between its members and third
people; where these are few, it must be small besides.

Measured on 90 people's T1 scans at 2 mm in three planes and on 30 simulated people of
two visits: docs/LOG.md.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Float16, Float32, Int, Shaped
from torch import Tensor

from mrgantry.common.progress import progress
from mrgantry.common.workers import in_threads
from mrgantry.data import oblique
from mrgantry.data.heads import axial_slices
from mrgantry.data.notes import INTENSITIES, TISSUE, Notes, Repeat
from mrgantry.data.repeats_picture import draw_repeats
from mrgantry.data.slices import SliceSet
from mrgantry.data.small_images import mirrored, shrink, shrink_tissues

ASKED = 24  # slices of a subject, sequence and plane that are compared with all of others
SEEN = 8000  # slices in all that the brain network looks at, but of each subject
LEAST_SEEN = 8  # and kind so many:
STEP_MM = 2.0  # neighbours about the middle, so far apart, as two scans' levels may differ
BLOCK = 64  # images, or people, that are worked on at once
NEAREST = 0.1  # the share of third people that may be nearer than those compared with
NEARER = 2  # and how many, so that one person's third name does not hide the others
MANY = 50  # third people; with fewer, chance alone gives low ratios,
FEW = 5  # as it does for people of fewer slices: there the pair must be near, too
COPY = 0.02  # this near is enough where there is one third person, or none
PICTURED = 12  # pairs in repeats.png

Describe = Callable[[Tensor], Tensor]  # images to vectors of length 1


class Rule(NamedTuple):
    """When two people are taken for one.

    Attributes:
        ratio: Their distance is less than this part of that to third people,
        near: and less than this, where there are too few of those.
    """

    ratio: float
    near: float


BY_INTENSITIES = Rule(0.5, 0.06)
BY_TISSUE = Rule(0.55, 0.08)
ACROSS = Rule(0.6, 0.1)  # two sequences


class PairDistances(NamedTuple):
    """What one way to compare says of any two people.

    Attributes:
        by: Which way.
        apart: Distances; infinite where nothing can be compared.
        ratios: The same over those to third people.
        alike: Who are taken for one person.
    """

    by: str
    apart: Float[np.ndarray, "n n"]
    ratios: Float[np.ndarray, "n n"]
    alike: Bool[np.ndarray, "n n"]


class Small(NamedTuple):
    """Small images of all people, one after the other.

    Attributes:
        images: Vectors of length 1.
        owners: Whose they are.
        kinds: Their sequences and planes.
        asked: Which of them are compared with all of others.
    """

    images: Float16[Tensor, "m d"]
    owners: Int[np.ndarray, " m"]
    kinds: Shaped[np.ndarray, " m"]
    asked: Int[np.ndarray, " q"]


def find_repeats(data: SliceSet, threads: int | None = None) -> list[Repeat]:
    """Find pairs of subjects who look like one person, the most suspicious first.

    Slices are compared within one plane, by their first channel: intensities within one
    sequence, and tissue, as the brain network sees it; of oblique sets, the five sections of
    the unturned heads. Of fewer than `MANY` people only the clearest pairs are told
    (`blind_spot`), and of two people alone only copies: how alike two people look cannot be
    known from two. Slices 4 mm and more from all of the other's tell nothing, nor do
    those of other planes.

    Args:
        data: A set of slices; rows without a subject are left out.
        threads: How many look at slices; defaults to one a core.
    """
    people = _people(data)
    if len(people) < 2:
        return []
    data = axial_slices(data) if data.about.voxels else data
    pairs: dict[tuple[int, int], PairDistances] = {}
    for distances in _compared(data, people, threads):
        for first, second in np.argwhere(np.triu(distances.alike, 1)):
            pairs.setdefault((int(first), int(second)), distances)
    return [
        _described_pair(data, people, pair, pairs[pair]) for pair in sorted(pairs, key=_rank(pairs))
    ]


def note_repeats(data: SliceSet, threads: int | None = None) -> Notes:
    """Add a set's repeats to its notes, and draw them as `repeats.png`, if any.

    Args:
        data: A set of slices.
        threads: How many look at slices; defaults to one a core.
    """
    data = axial_slices(data) if data.about.voxels else data
    repeats = find_repeats(data, threads)
    path = data.folder / "repeats.png"
    path.unlink(missing_ok=True)
    if repeats:
        draw_repeats(path, data, repeats[:PICTURED])
    missed = blind_spot(data)
    notes: dict[str, Any] = {"repeats": tuple(repeats)}
    if missed:
        notes["repeats_missed"] = missed
    return data.about.notes.model_copy(update=notes)


def blind_spot(data: SliceSet) -> str:
    """Say what could not be looked for in a set, or nothing if it has enough people and slices."""
    slices = data.table["subject"][data.table["subject"] != ""].value_counts()
    if len(slices) < 2:
        return ""
    if len(slices) < MANY + 2:
        return (
            f"Second visits could not be looked for among so few people ({len(slices)}; "
            f"{MANY + 2} are needed): only scans that are very alike are told."
        )
    if short := int((slices < FEW).sum()):
        return (
            f"Second visits of {short} of {len(slices)} people could not be looked for, as they "
            f"have fewer than {FEW} slices: only scans that are very alike are told."
        )
    return ""


def about_splits(notes: Notes) -> str:
    """Say what is known of whether one person stands in two splits, by the notes of a set."""
    named = "No subject stands in two splits by name."
    if notes.repeats is None:
        return f"{named} Whether one person has two names was not looked for."
    if notes.repeats_settled:
        count = len(notes.repeats_settled)
        pairs = "One pair of subjects" if count == 1 else f"{count} pairs of subjects"
        said = f"{pairs} looked like one person, and were merged, or one left out, see repeats.png."
        return " ".join(filter(None, (named, said, notes.repeats_missed)))
    across = sum(repeat.split != repeat.other_split for repeat in notes.repeats)
    if across:
        pairs = "One pair" if across == 1 else f"{across} pairs"
        said = f"{pairs} of subjects of different splits may be one person, see repeats.png."
    elif notes.repeats:
        said = "Subjects who may be one person were found within splits only, see repeats.png."
    else:
        said = "No two subjects were found who look like one person."
    return " ".join(filter(None, (named, said, notes.repeats_missed)))


def _compared(data: SliceSet, people: list[str], threads: int | None) -> Iterator[PairDistances]:
    """Compare any two people by the intensities, and then by the tissue, of their slices."""
    small = _small_images(data, people, shrink, threads)
    apart, slices = _apart(small, len(people))
    yield _judged(INTENSITIES, apart, slices, BY_INTENSITIES)
    seen = _small_images(data, people, shrink_tissues, threads, _most_seen(data))
    apart, slices = _apart(seen, len(people), mirror=True)
    yield _judged(TISSUE, apart, slices, BY_TISSUE)
    comparable = np.isfinite(apart) | np.eye(len(people), dtype=bool)
    if not comparable.all():
        yield from _across(seen, comparable)


def _judged(
    by: str, apart: Float[np.ndarray, "n n"], slices: Int[np.ndarray, " n"], rule: Rule
) -> PairDistances:
    """Say who look like one person.

    Args:
        by: How they were compared.
        apart: Distances of any two.
        slices: How many slices each was asked with.
        rule: What must hold.
    """
    ratios, third = _ratios(apart)
    few = (third < MANY) | (np.minimum(slices, slices[:, None]) < FEW)
    alike = (ratios < rule.ratio) & (apart < np.where(few, rule.near, np.inf))
    alike |= (third < NEARER) & (apart < COPY)
    return PairDistances(by, apart, ratios, alike)


def _apart(
    small: Small, count: int, *, mirror: bool = False
) -> tuple[Float[np.ndarray, "n n"], Int[np.ndarray, " n"]]:
    """Give the distance of any two people by slices of one kind, and how many each was asked with.

    It is that of a person's slices to the nearest of the other's, the median over the
    slices, and the mean of both ways; infinite where nothing can be compared.

    Args:
        small: Small images.
        count: How many people there are.
        mirror: Compare with the mirrored ones, too.
    """
    pairs = [(kind, kind) for kind in np.unique(small.kinds)]
    one_way, slices = _one_way(small, pairs, count, mirror=mirror)
    return np.maximum((one_way + one_way.T) / 2, 0), slices


def _across(small: Small, comparable: Bool[np.ndarray, "n n"]) -> Iterator[PairDistances]:
    """Compare people who share no sequence by two sequences of one plane, two after the other."""
    count = len(comparable)
    for kind, other_kind in combinations(np.unique(small.kinds), 2):
        if kind.split("/")[-1] != other_kind.split("/")[-1]:
            continue
        there, asked = _one_way(small, [(kind, other_kind)], count, mirror=True)
        back, asked_back = _one_way(small, [(other_kind, kind)], count, mirror=True)
        apart = np.maximum((there + back.T) / 2, 0)
        slices = np.maximum(asked, asked_back)
        judged = _judged(TISSUE, apart, slices, ACROSS)
        alike = judged.alike & ~comparable
        # Rows are people of the one sequence, columns those of the other: a pair stands in either.
        yield PairDistances(
            TISSUE,
            np.fmin(apart, apart.T),
            np.fmin(judged.ratios, judged.ratios.T),
            alike | alike.T,
        )


def _one_way(
    small: Small, pairs: Sequence[tuple[str, str]], count: int, *, mirror: bool
) -> tuple[Float[np.ndarray, "n n"], Int[np.ndarray, " n"]]:
    """Give each person's distance to any other, and how many slices each was asked with.

    It is that of the person's slices to the nearest of the other's, the median over the slices;
    infinite where there is none. Some people are compared with at a time, so that memory does not
    grow with the square of the slices.

    Args:
        small: Small images.
        pairs: Kinds of the slices that are asked with, and of those they are compared with.
        count: How many people there are.
        mirror: Compare with the mirrored ones, too.
    """
    one_way = np.full((count, count), np.inf)
    asked = [small.asked[small.kinds[small.asked] == kind] for kind, _ in pairs]
    slices = np.sum([np.bincount(small.owners[rows], minlength=count) for rows in asked], axis=0)
    for first in range(0, count, BLOCK):
        rows = slice(*np.searchsorted(small.owners, (first, first + BLOCK)))
        images, owners = small.images[rows].float(), small.owners[rows] - first
        targets = [np.flatnonzero(small.kinds[rows] == kind) for _, kind in pairs]
        for person in range(count):
            nearest = [
                _nearest(
                    small.images[mine[small.owners[mine] == person]].float(),
                    images[theirs],
                    owners[theirs],
                    mirror=mirror,
                )
                for mine, theirs in zip(asked, targets, strict=True)
            ]
            distances = np.concatenate(nearest)[:, : count - first]
            met = ~np.isnan(distances).all(0) if len(distances) else np.zeros(0, dtype=bool)
            here = first + np.flatnonzero(met)
            one_way[person, here] = np.nanmedian(distances[:, met], axis=0)
    return one_way, slices


def _nearest(
    asked: Float32[Tensor, "q d"],
    images: Float32[Tensor, "m d"],
    owners: Int[np.ndarray, " m"],
    *,
    mirror: bool,
) -> Float32[np.ndarray, "q k"]:
    """Give the distance of each slice to the nearest of each person's.

    Args:
        asked: Small images of one person.
        images: Those of up to `BLOCK` people, one after the other.
        owners: Whose they are, counted from the first; who has none is not a number away.
        mirror: Compare with the mirrored ones, too.
    """
    nearest = np.full((len(asked), BLOCK), np.nan, np.float32)
    if len(asked) and len(images):
        alike = asked @ images.T
        if mirror:
            alike = torch.maximum(alike, mirrored(asked) @ images.T)
        people, starts = np.unique(owners, return_index=True)
        nearest[:, people] = 1 - np.maximum.reduceat(alike.numpy(), starts, axis=1)
    return nearest


def _ratios(
    apart: Float[np.ndarray, "n n"],
) -> tuple[Float[np.ndarray, "n n"], Int[np.ndarray, "n n"]]:
    """Divide distances by those to third people, and say how many these are.

    The smaller of both members' distances to third people counts, and of the members'
    numbers of third people the larger. A person has only those for third people who can be
    compared with at all.
    """
    others = np.where(np.eye(len(apart), dtype=bool), np.inf, apart)
    (of_rows, many), (of_columns, more) = _typical(others), _typical(others.T)
    least = np.fmin(of_rows, of_columns.T)
    third = np.maximum(many[:, None], more)
    known = (least > 0) & np.isfinite(apart)
    ratios = np.divide(apart, least, out=np.full_like(apart, np.inf), where=known)
    ratios[np.isnan(least)] = np.nan
    return ratios, third


def _typical(
    others: Float[np.ndarray, "n n"],
) -> tuple[Float[np.ndarray, "n n"], Int[np.ndarray, " n"]]:
    """Give distances to third people, for each row without each column, and how many they are.

    Of a member's distances to third people, the one counts that `NEARER` of them, and
    the share `NEAREST`, fall below.
    """
    third = np.maximum(np.isfinite(others).sum(1) - 1, 0)
    wanted = np.maximum(NEARER, np.ceil(NEAREST * third).astype(int)) - 1
    rank = np.clip(np.minimum(third - 1, wanted), 0, None)[:, None]
    ordered = np.sort(others, axis=1)
    at = np.take_along_axis(ordered, rank, 1)
    after = np.take_along_axis(ordered, np.minimum(rank + 1, len(others) - 1), 1)
    # Without the other member, all who are farther away move up by one.
    typical = np.where(others <= at, after, at)
    return np.where(third[:, None] > 0, typical, np.nan), third


def _small_images(
    data: SliceSet, people: list[str], describe: Describe, threads: int | None, most: int = 0
) -> Small:
    """Give small images of all people, one after the other.

    Args:
        data: A set of slices.
        people: Its subjects.
        describe: What gives small images.
        threads: How many people are worked on at once; defaults to one a core.
        most: How many slices of a subject and kind are taken, or all.
    """
    kinds = _kinds(data)

    def described(name: str) -> tuple[Float16[Tensor, "k d"], Shaped[np.ndarray, " k"]]:
        rows = _rows_of(data, name)
        if most and not data.about.poses:
            rows = _middle(data, rows, most)
        blocks = list(_images(data.where(rows), kinds[rows]))
        # Halves are enough for a correlation, and take half the memory.
        images = torch.cat([describe(images).half() for images, _ in blocks])
        return images, np.concatenate([of_block for _, of_block in blocks])

    pieces, of_kind = [], []
    with progress("compare", len(people)) as advance:
        for images, kinds_of_person in in_threads(described, people, threads):
            pieces.append(images)
            of_kind.append(kinds_of_person)
            advance()
    whose, which = (
        np.repeat(np.arange(len(people)), list(map(len, pieces))),
        np.concatenate(of_kind),
    )
    return Small(torch.cat(pieces), whose, which, _asked(whose, which))


def _most_seen(data: SliceSet) -> int:
    """Give how many slices of each subject and kind the brain network looks at."""
    groups = len(data.table[["subject", "sequence", "plane"]].drop_duplicates())
    return max(LEAST_SEEN, min(ASKED, SEEN // groups))


def _middle(data: SliceSet, rows: Bool[np.ndarray, " n"], most: int) -> Bool[np.ndarray, " n"]:
    """Keep some slices of each kind about the middle, as near to `STEP_MM` apart as there are.

    Args:
        data: A set of slices.
        rows: Those of one person.
        most: How many of a kind are kept.
    """
    kept = np.zeros(len(data), dtype=bool)
    table = data.table[rows]
    for _, part in table.assign(row=np.flatnonzero(rows)).groupby(["sequence", "plane"]):
        heights = pd.to_numeric(part["position_mm"], errors="coerce").fillna(0).to_numpy()
        order = np.argsort(heights, kind="stable")
        apart = float(np.median(np.diff(heights[order]))) if len(part) > 1 else 0.0
        stride = int(STEP_MM // apart) if apart > 0 else 1
        stride = max(1, min(stride, len(part) // most))
        count = min(most, len(part))
        first = (len(part) - 1 - (count - 1) * stride) // 2
        kept[part["row"].to_numpy()[order[first : first + count * stride : stride]]] = True
    return kept


def _images(
    data: SliceSet, kinds: Shaped[np.ndarray, " n"]
) -> Iterator[tuple[Float32[Tensor, "k 1 h w"], Shaped[np.ndarray, " k"]]]:
    """Go through one person's images, a block at a time."""
    if not data.about.poses:
        images = data.images[:, :1]
        for start in range(0, len(images), BLOCK):
            block = slice(start, start + BLOCK)
            yield torch.from_numpy(images[block]).float(), kinds[block]
        return
    _, first = np.unique(data.places // data.about.poses, return_index=True)
    sections = [oblique.Pose(section=height).index for height in oblique.SECTIONS]
    heads = data.pixels(torch.device("cpu"))
    for head, row in enumerate(first):
        drawn = heads.batch(torch.tensor(sections) + head * oblique.POSES)
        yield drawn[:, :1], np.full(len(sections), kinds[row])


def _asked(owners: Int[np.ndarray, " m"], kinds: Shaped[np.ndarray, " m"]) -> Int[np.ndarray, " q"]:
    """Choose up to `ASKED` small images of each person and kind, evenly spread."""
    groups = pd.Series(np.arange(len(owners))).groupby([owners, kinds]).indices.values()
    spread = [np.linspace(0, len(group) - 1, min(len(group), ASKED)).round() for group in groups]
    chosen = [group[places.astype(int)] for group, places in zip(groups, spread, strict=True)]
    return np.sort(np.concatenate(chosen))


def _described_pair(
    data: SliceSet, people: list[str], pair: tuple[int, int], pair_distances: PairDistances
) -> Repeat:
    """Describe a pair by its most alike slices."""
    slices, others = (data.where(_rows_of(data, people[person])) for person in pair)
    alike = _alike(slices, others, pair_distances.by)
    row, other_row = np.unravel_index(alike.argmax(), alike.shape)
    first, second = slices.table.iloc[int(row)], others.table.iloc[int(other_row)]
    ratio = float(pair_distances.ratios[pair])
    return Repeat(
        subject=people[pair[0]],
        other=people[pair[1]],
        split=str(first["split"]),
        other_split=str(second["split"]),
        ratio=round(ratio, 3) if np.isfinite(ratio) else None,
        distance=round(float(pair_distances.apart[pair]), 4),
        id=str(first["id"]),
        other_id=str(second["id"]),
        by=pair_distances.by,
    )


def _alike(data: SliceSet, other: SliceSet, by: str) -> Float32[np.ndarray, "m n"]:
    """Give how alike any two slices of two people are, or -2 where they are not compared."""
    kinds, other_kinds = _kinds(data), _kinds(other)
    if by == INTENSITIES:
        alike = _described(data, shrink) @ _described(other, shrink).T
    else:
        seen, other_seen = (_described(of, shrink_tissues) for of in (data, other))
        alike = torch.maximum(seen @ other_seen.T, mirrored(seen) @ other_seen.T)
        if not set(kinds) & set(other_kinds):
            kinds, other_kinds = (of.table["plane"].to_numpy() for of in (data, other))
    return np.where(kinds[:, None] == other_kinds, alike.numpy(), np.float32(-2))


def _described(data: SliceSet, describe: Describe) -> Float32[Tensor, "n d"]:
    images = torch.from_numpy(data.images[:, :1])
    return torch.cat([describe(block.float()) for block in images.split(BLOCK)])


def _rank(
    pairs: dict[tuple[int, int], PairDistances],
) -> Callable[[tuple[int, int]], tuple[float, ...]]:
    """Give what pairs are sorted by: those without a ratio last."""

    def rank(pair: tuple[int, int]) -> tuple[float, ...]:
        ratio, apart = float(pairs[pair].ratios[pair]), float(pairs[pair].apart[pair])
        return not np.isfinite(ratio), ratio, apart

    return rank


def _people(data: SliceSet) -> list[str]:
    return [name for name in pd.unique(data.table["subject"]) if name]


def _kinds(data: SliceSet) -> Shaped[np.ndarray, " n"]:
    """Name what images must share to be compared by intensities."""
    return (data.table["sequence"] + "/" + data.table["plane"]).to_numpy(str)


def _rows_of(data: SliceSet, name: str) -> Bool[np.ndarray, " n"]:
    return (data.table["subject"] == name).to_numpy()
