"""From clouds to scores: all measures over all draws, with intervals and floors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mrgantry.common.progress import Advance
from mrgantry.common.score import Score, interval
from mrgantry.common.workers import in_threads
from mrgantry.evaluate.cloud import Cloud, Pair, draw
from mrgantry.evaluate.measures import Kind, Measure
from mrgantry.evaluate.reference import Reference

Values = list[tuple[float, ...]]  # one row a draw, one number a kind
# What real images score, for all that it depends on.
Floors = dict[tuple[str | int, ...], Values]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A set that is measured: its name, features and fingerprint."""

    name: str
    cloud: Cloud
    fingerprint: str


def score(
    reference: Reference,
    candidate: Candidate,
    seed: int,
    floors: Floors,
    advance: Advance,
    most: int = 0,
) -> list[Score]:
    """Compute all measures of one set over their draws.

    Halves of the real subjects, and so the floors, follow from the seed and from how many
    images are drawn, whatever these show.

    Args:
        reference: What is compared with.
        candidate: What is measured.
        seed: Of all draws.
        floors: What real images score, as far as it is known; filled in.
        advance: Called after each draw.
        most: Upper limit to the images in a draw, so that several sets are measured alike.
    """
    measures = reference.measures
    known = [
        floors.setdefault(key_of(reference, one, candidate, seed, most), []) for one in measures
    ]
    held, made = reference.held_cloud, candidate.cloud

    def measure(turn: int) -> tuple[int, Values, Values]:
        """Compute all measures of one draw; a floor only where none is known yet."""
        taken = draw(held, made, turn, seed, most)
        wanted = [turn < one.draws for one in measures]
        ours = [
            tuple(one.compute(taken.synthetic)) if wants else ()
            for one, wants in zip(measures, wanted, strict=True)
        ]
        usual = [
            floor_of(one, taken.floor) if wants and turn >= len(before) else ()
            for one, wants, before in zip(measures, wanted, known, strict=True)
        ]
        return len(taken.synthetic.real), ours, usual

    values: list[Values] = [[] for _ in measures]
    for size, ours, usual in in_threads(measure, range(count_draws(reference))):
        n = size
        for found, value, before, floor in zip(values, ours, known, usual, strict=True):
            if value:
                found.append(value)
            if floor:
                before.append(floor)
        advance(note=candidate.name)
    facts = {
        "synthetic": candidate.name,
        "n_real": n,
        "n_synthetic": n,
        "seed": seed,
        "real_fingerprint": reference.held.about.fingerprint,
        "synthetic_fingerprint": candidate.fingerprint,
    }
    return [
        one
        for measure, found, usual in zip(measures, values, known, strict=True)
        for one in scores_of(measure, np.array(found), np.array(usual[: len(found)]), facts)
    ]


def count_draws(reference: Reference) -> int:
    """Give how many draws the measures need at most."""
    return max(one.draws for one in reference.measures)


def key_of(
    reference: Reference, measure: Measure, candidate: Candidate, seed: int, most: int
) -> tuple[str | int, ...]:
    """Name all that a floor depends on."""
    held = reference.held
    splits = "+".join(sorted(set(held.table["split"])))
    size = most or len(candidate.cloud)
    names = (measure.kinds[0].name, measure.features)
    return (held.about.fingerprint, splits, *reference.conditions, *names, size, seed)


def scores_of(
    measure: Measure, values: np.ndarray, floors: np.ndarray, facts: dict[str, Any]
) -> list[Score]:
    """Summarise the draws of one measure, a score for each kind of number."""
    return [
        summary(kind, measure, ours / scale, usual / scale, facts)
        for kind, ours, usual in zip(measure.kinds, values.T, floors.T, strict=True)
        for scale in [float(usual.mean()) if kind.relative else 1.0]
    ]


def floor_of(measure: Measure, pair: Pair) -> tuple[float, ...]:
    """Give what other real images score in one draw.

    What looks at one set alone would give the spread of halves of the same people, but other
    people would differ by more: by as much as the two halves differ from each other. So
    their difference goes about their mean.
    """
    other = np.array(measure.compute(pair), dtype=np.float64)
    if not measure.alone:
        return tuple(other.tolist())
    half = np.array(measure.compute(pair.swapped()), dtype=np.float64)
    return tuple(((other + half) / 2 + (other - half)).tolist())


def summary(
    kind: Kind,
    measure: Measure,
    values: Sequence[float] | np.ndarray,
    floors: Sequence[float] | np.ndarray,
    facts: dict[str, Any],
) -> Score:
    """Give the mean over the draws and the interval, of a set and of real images."""
    value, low, high = interval(values)
    floor, floor_low, floor_high = interval(floors)
    return Score(
        name=kind.name,
        features=measure.features,
        better=kind.better,
        value=value,
        low=low,
        high=high,
        floor=floor,
        floor_low=floor_low,
        floor_high=floor_high,
        method=f"{kind.method}; mean and central 95 % of {len(values)} half-samples by subject",
        values=tuple(float(value) for value in values),
        **facts,
    )
