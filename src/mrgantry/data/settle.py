"""What becomes of people who look like one under two names: both stay, one goes, or they join.

The parts of a set stay as they were made: only its table and its list of parts differ, so that
the same call, interrupted or repeated, finds the same people and does the same.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from mrgantry.data.notes import Repeat
from mrgantry.data.plan import Repeats
from mrgantry.data.repeats import note_repeats
from mrgantry.data.slices import SliceSet


def settle_repeats(data: SliceSet, how: Repeats, threads: int | None = None) -> SliceSet:
    """Note who looks like one person, and leave out or join such people where that is asked for.

    Args:
        data: A set whose parts hold one subject each.
        how: "keep" both, "drop" the later of each pair, or "merge" all into the first, who
            keeps name and split; the others' names become those of visits.
        threads: How many look at slices; defaults to one a core.
    """
    notes = note_repeats(data, threads)
    pairs = notes.repeats or ()
    if how != "keep" and pairs:
        data, said = _without_later(data, pairs) if how == "drop" else _merged(data, pairs)
        notes = notes.model_copy(update={"repeats": (), "repeats_settled": tuple(said)})
    return replace(data, about=data.about.model_copy(update={"notes": notes}))


def _without_later(data: SliceSet, pairs: Sequence[Repeat]) -> tuple[SliceSet, list[str]]:
    """Leave out the parts of the later subject of each pair, and say so."""
    left = ~data.table["subject"].isin([pair.other for pair in pairs]).to_numpy()
    parts = data.about.parts
    kept = np.logical_or.reduceat(left, np.cumsum([0, *data.about.rows[:-1]]))
    rows = [count for count, stays in zip(data.about.rows, kept, strict=True) if stays]
    names = [name for name, stays in zip(parts, kept, strict=True) if stays]
    table = data.table[left].reset_index(drop=True)
    about = data.about.model_copy(update={"parts": tuple(names), "rows": tuple(rows)})
    said = [f"{pair.other} was left out: {_why(pair)}" for pair in pairs]
    return replace(data, table=table, about=about, places=np.arange(len(table))), said


def _merged(data: SliceSet, pairs: Sequence[Repeat]) -> tuple[SliceSet, list[str]]:
    """Give subjects the name and split of their person, their own name to visits, and say so."""
    table = data.table
    first = _first_of_each(table, pairs)
    split_of = dict(zip(table["subject"], table["split"], strict=True))
    names, people = table["subject"], table["subject"].map(first)
    visits = names.where(table["session"] == "", names + "_" + table["session"])
    session = table["session"].where(people == names, visits)
    table = table.assign(subject=people, split=people.map(split_of), session=session)
    said = [
        f"{pair.subject} and {pair.other} became one person, {first[pair.other]} in "
        f"{split_of[first[pair.other]]}: {_why(pair)}"
        for pair in pairs
    ]
    return replace(data, table=table), said


def _why(pair: Repeat) -> str:
    """Say which slices show that two people look like one."""
    return (
        f"{pair.id} of {pair.subject} ({pair.split}) looks like {pair.other_id} of {pair.other} "
        f"({pair.other_split})."
    )


def _first_of_each(table: pd.DataFrame, pairs: Sequence[Repeat]) -> dict[str, str]:
    """Give for every subject the first in the table of all who look like the same person."""
    order = {str(name): number for number, name in enumerate(pd.unique(table["subject"]))}
    first = {name: name for name in order}
    for pair in pairs:
        joined = {first[pair.subject], first[pair.other]}
        person = min(joined, key=order.__getitem__)
        first |= {name: person for name, now in first.items() if now in joined}
    return first
