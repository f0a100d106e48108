"""From clouds to scores: all measures over all draws, all tests over all folds.

Each score gets an interval, its floor, and the probability that images as good as real would
score so badly by chance.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
from scipy import stats

from mrgantry.common.progress import Advance
from mrgantry.common.score import Score, interval
from mrgantry.common.workers import in_threads
from mrgantry.evaluation.cloud import Cloud, Pair, draw_half
from mrgantry.evaluation.measures import c2st
from mrgantry.evaluation.measures.c2st import (
    ClassifierAnswers,
    PeopleEstimate,
    Test,
    TwoSampleTrial,
)
from mrgantry.evaluation.measures.measure import Kind, Measure
from mrgantry.evaluation.reference import Reference

Values = list[tuple[float, ...]]  # one row a draw, one number a kind
Key = tuple[str | int, ...]


@dataclass(frozen=True, eq=False)
class Floors:
    """What real images score, by all that it depends on; filled in as it becomes known.

    Attributes:
        draws: Of measures that are computed of draws.
        controls: Of classifiers: what they said of real images in the place of synthetic ones.
    """

    draws: dict[Key, Values] = field(default_factory=dict)
    controls: dict[Key, ClassifierAnswers] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A set that is measured: its name, features and fingerprint."""

    name: str
    cloud: Cloud
    fingerprint: str


def score_set(
    reference: Reference,
    candidate: Candidate,
    seed: int,
    floors: Floors,
    advance: Advance,
    most: int = 0,
) -> list[Score]:
    """Compute all measures of one set over their draws, and have classifiers tell it apart.

    Halves of the real subjects, and so the floors, follow from the seed and from how many
    images are drawn, whatever these show.

    Args:
        reference: What is compared with.
        candidate: What is measured.
        seed: Of all draws.
        floors: What real images score, as far as it is known; filled in.
        advance: Called after each draw and each fold.
        most: Upper limit to the images in a draw, so that several sets are measured alike.
    """
    features = candidate.cloud.features
    measures = [m for m in reference.measures if not m.needs or m.needs in features]
    kept_floors = [
        floors.draws.setdefault(key_of(reference, measure, candidate, seed, most), [])
        for measure in measures
    ]
    held, made = reference.held_cloud, candidate.cloud
    draws = max(measure.draws for measure in measures)

    def measure_draw(turn: int) -> tuple[int, Values, Values]:
        """Compute all measures of one draw; a floor only where none is known yet."""
        taken = draw_half(held, made, turn, seed, most)
        wanted = [turn < measure.draws for measure in measures]
        new_values = [
            tuple(measure.compute(taken.synthetic)) if wants else ()
            for measure, wants in zip(measures, wanted, strict=True)
        ]
        new_floors = [
            floor_of(measure, taken.floor) if wants and turn >= len(kept) else ()
            for measure, wants, kept in zip(measures, wanted, kept_floors, strict=True)
        ]
        return len(taken.synthetic.real), new_values, new_floors

    kept_values: list[Values] = [[] for _ in measures]
    for n, new_values, new_floors in in_threads(measure_draw, range(draws)):  # noqa: B007
        for kept, new in zip(kept_values + kept_floors, new_values + new_floors, strict=True):
            if new:
                kept.append(new)
        advance(note=candidate.name)
    facts = {
        "synthetic": candidate.name,
        "n_real": n,
        "n_synthetic": n,
        "seed": seed,
        "real_fingerprint": reference.held.about.fingerprint,
        "synthetic_fingerprint": candidate.fingerprint,
        "people": len(np.unique(held.subjects)),
    }
    scores: list[Score] = []
    for measure, values, floor_values in zip(measures, kept_values, kept_floors, strict=True):
        real = np.array(floor_values[: len(values)])
        scores += scores_of(measure, np.array(values), real, facts)
    for judged in tell_apart(reference, candidate, seed, floors, advance, 2 * most):
        scores += scores_of_test(*judged, facts)
    return scores


def count_steps(reference: Reference) -> int:
    """Give how often `score_set` reports progress at most."""
    return max(measure.draws for measure in reference.measures) + 2 * c2st.FOLDS * len(
        reference.tests
    )


def tell_apart(
    reference: Reference,
    candidate: Candidate,
    seed: int,
    floors: Floors,
    advance: Advance,
    most: int = 0,
) -> list[tuple[Test, ClassifierAnswers, ClassifierAnswers | None]]:
    """Have every classifier judge all folds of a set, and of its control where none is known.

    Args:
        reference: What is compared with.
        candidate: What is measured.
        seed: Of folds and classifiers.
        floors: Controls, as far as they are known; filled in.
        advance: Called after each fold.
        most: Upper limit to the images a side, so that several sets are measured alike.

    Returns:
        Each test with what its classifiers said of the set, and of the control; None where there
        are too few people for one.
    """
    trial = c2st.trial_of(reference.held_cloud, candidate.cloud, reference.extra_cloud, seed, most)
    control = c2st.control_of(trial, seed)
    keys = [key_of(reference, test, candidate, seed, len(trial.real)) for test in reference.tests]
    trials: list[tuple[Test, TwoSampleTrial, Key | None]] = [
        (test, trial, None) for test in reference.tests
    ]
    trials += [
        (test, control, key)
        for test, key in zip(reference.tests, keys, strict=True)
        if control is not None and key not in floors.controls
    ]
    folds = list(product(trials, range(c2st.FOLDS)))

    def judge(work: tuple[tuple[Test, TwoSampleTrial, Key | None], int]) -> np.ndarray:
        (test, judged, _), fold = work
        logits = c2st.judge_fold(judged, fold, test.inputs, test.learner)
        advance(note=candidate.name)
        return logits

    said = list(in_threads(judge, folds))
    answers = []
    for place, (_, judged, key) in enumerate(trials):
        logits = said[place * c2st.FOLDS : (place + 1) * c2st.FOLDS]
        answer = c2st.put_together(judged, logits)
        if key is None:
            answers.append(answer)
        else:
            floors.controls[key] = answer
    return [
        (test, answer, floors.controls.get(key))
        for test, answer, key in zip(reference.tests, answers, keys, strict=True)
    ]


def key_of(
    reference: Reference, measure: Measure | Test, candidate: Candidate, seed: int, most: int
) -> Key:
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
        summary(kind, measure, value / scale, floor / scale, facts)
        for kind, value, floor in zip(measure.kinds, values.T, floors.T, strict=True)
        for scale in [float(floor.mean()) if kind.relative else 1.0]
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


def scores_of_test(
    test: Test, answers: ClassifierAnswers, control: ClassifierAnswers | None, facts: dict[str, Any]
) -> Iterator[Score]:
    """Summarise what a classifier said: its area under the curve, and its accuracy.

    Chance is 0.5, or what the control gives if that is more: what tells the held-out people
    from other real people tells them from any images. The interval of real images is what
    people's scatter would make of 0.5 in the control, or, where there are too few people for
    one, in the test itself.
    """
    parts = (c2st.area_of, answers.real_shares, answers.other_shares)
    halves = (c2st.accuracy_of, answers.real_right, answers.other_right)
    for kind, (estimate_of, real, other) in zip(test.kinds, (parts, halves), strict=True):
        estimate: PeopleEstimate = estimate_of(answers)
        floor_estimate = estimate if control is None else estimate_of(control)
        low, high = estimate.interval()
        floor = 0.5 if control is None else floor_estimate.value
        reach = floor_estimate.detectable(power=0.5) - 0.5
        chance = max(0.5, floor)
        own = zlib.crc32(facts["synthetic_fingerprint"].encode())  # whose images are drawn anew
        sizes = {"n_real": answers.n_real, "n_synthetic": answers.n_other}
        yield Score(
            name=kind.name,
            features=test.features,
            better=kind.better,
            value=estimate.value,
            low=low,
            high=high,
            floor=floor,
            floor_low=min(floor, 0.5 - reach),
            floor_high=max(floor, 0.5 + reach),
            method=f"{kind.method}; 95 % interval by person",
            values=c2st.replicates(estimate.value, real, other, (facts["seed"], own)),
            p=estimate.p_above(chance),
            detectable=max(e.detectable(chance=chance) for e in (estimate, floor_estimate)),
            freedom=estimate.freedom,
            **facts | sizes,
        )


def chance_of(
    kind: Kind, people: int, values: np.ndarray, floors: np.ndarray
) -> tuple[float | None, float | None, float]:
    """Say how probable such a score is by chance, and which one would have been noticed.

    Each draw gives a difference between the set and real images; half-samples scatter about as
    much as whole samples do (see `interval`), so the mean of the differences over their spread
    follows Student's t with the people's degrees of freedom.

    Args:
        kind: What is better.
        people: How many real people are compared with.
        values: Of the set, one a draw.
        floors: Of real images in the same draws.

    Returns:
        The probability of a score so bad or worse, the value that is noticed with a power of
        80 % (nothing of either from a single draw), and the degrees of freedom.
    """
    if len(values) < 2:
        return None, None, 1.0
    differences = values - floors
    spread = max(float(differences.std(ddof=1)), 1e-12)
    freedom = max(people - 1, 1)
    lean = float(differences.mean()) / spread
    one_sided = {"lower": lean, "higher": -lean, "enough": -lean}.get(kind.better)
    p = float(
        stats.t.sf(one_sided, freedom)
        if one_sided is not None
        else 2 * stats.t.sf(abs(lean), freedom)
    )
    reach = float(stats.t.ppf(0.975, freedom) + stats.t.ppf(c2st.POWER, freedom)) * spread
    sign = -1 if kind.better in ("higher", "enough") else 1
    return p, float(floors.mean()) + sign * reach, freedom


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
    p, detectable, freedom = chance_of(
        kind, facts["people"], np.asarray(values), np.asarray(floors)
    )
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
        p=p,
        detectable=detectable,
        freedom=freedom,
        **facts,
    )
