"""From clouds to scores: all measures over all draws, with intervals and floors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mrgantry.common.progress import Advance
from mrgantry.common.score import Score, interval
from mrgantry.evaluate.cloud import Cloud, draws
from mrgantry.evaluate.measures import Kind, Measure
from mrgantry.evaluate.reference import Reference

Values = list[tuple[float, ...]]  # one row a draw, one number a kind
# What real images score, for all that it depends on.
Floors = dict[tuple[str | int, ...], Values]
RELATIVE = {"frechet_distance": "relative_fd", "fid": "relative_fid"}


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
    values: list[Values] = [[] for _ in measures]
    known = [floors.setdefault(key_of(reference, one, candidate, seed, most), []) for one in measures]
    count, n = count_draws(reference), 0
    for turn, draw in enumerate(
        draws(reference.held_cloud, candidate.cloud, reference.train_cloud, count, seed, most)
    ):
        n = len(draw.synthetic.real)
        for measure, found, usual in zip(measures, values, known, strict=True):
            if turn < measure.draws:
                found.append(tuple(measure.compute(draw.synthetic)))
                if turn == len(usual):
                    usual.append(tuple(measure.compute(draw.floor)))
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
    """Summarise the draws of one measure; a Frechet distance also gives its ratio to the floor."""
    found = []
    for kind, ours, usual in zip(measure.kinds, values.T, floors.T, strict=True):
        if kind.name in RELATIVE:
            ratio = Kind(
                RELATIVE[kind.name],
                kind.better,
                f"{kind.method}, over the mean of that between two halves of the real subjects",
            )
            found.append(summary(ratio, measure, ours / usual.mean(), usual / usual.mean(), facts))
        found.append(summary(kind, measure, ours, usual, facts))
    return found


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
