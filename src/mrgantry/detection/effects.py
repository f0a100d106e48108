"""How good classifiers are, and which differences between conditions are larger than chance.

Slices of one person are alike, so persons are what is left out and counted, never slices; and a
classifier trained again with another seed answers otherwise, so seeds count too. Every measure is
a function of how often each person counts: all once (the value), all but one (the jackknife).

The interval of a score is Student's t on the logit of the mean over seeds, since shares near 1
are skewed: with 12 persons of whose slices 85 % are right, it held the truth in 93 % of 1,500
simulated samples, and percentiles of a bootstrap over persons in 88 %.

A difference between two conditions is judged by Student's t. Its variance is that over persons,
plus that over seeds, less what both count (Cameron et al. 2011), and its degrees of freedom are
Satterthwaite's. Percentiles of a bootstrap over persons and seeds are not used: with three seeds
they call equal conditions different too often (in 21 % of 500 simulated experiments in which seeds
differ much), since three values drawn with replacement vary by a third less than they should. The
rule here did so in 5 to 6 % where seeds differ, and in 1 to 3 % where they hardly do. With two
seeds it did in 11 to 14 %, and with one in half of all: below three seeds there is no verdict.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import expit, logit
from scipy.stats import norm, t

from mrgantry.common.errors import DataError

BINS = 10  # of equal width, from 0 to 1, for the expected calibration error
SIZES = ("small", "medium", "large")
ALPHA = 0.05
FEWEST_SEEDS = 3  # for a verdict; fewer do not tell how much another training would differ

Weights = Float[np.ndarray, "b m"]
Statistic = Callable[[Weights], Float[np.ndarray, " b"]]
Verdict = Literal["helps", "hurts", "not shown", "too few seeds"]


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of the test images.

    Attributes:
        label: 1 with tumour, 0 without.
        subject: Number of the person, from 0; every number up to the last occurs.
        mm2: Area of the tumour; NaN where it is not known.
    """

    label: Int[np.ndarray, " n"]
    subject: Int[np.ndarray, " n"]
    mm2: Float[np.ndarray, " n"]

    @property
    def subjects(self) -> int:
        """Give the number of persons."""
        return int(self.subject.max()) + 1

    @property
    def limits(self) -> tuple[float, float] | None:
        """Give the areas, in mm2, that part small, medium and large tumours: the tertiles."""
        areas = self.mm2[self.label == 1]
        if len(areas) < len(SIZES) or np.isnan(areas).any():
            return None
        low, high = np.percentile(areas, (100 / 3, 200 / 3))
        return float(low), float(high)

    def of_size(self, size: str) -> Bool[np.ndarray, " n"]:
        """Mark the tumours of a third, or none where areas are not known."""
        tumour = self.label == 1
        if self.limits is None:
            return tumour & False
        return tumour & (np.digitize(self.mm2, self.limits, right=True) == SIZES.index(size))


@dataclass(frozen=True, eq=False)
class Answers:
    """What one classifier says of the test images.

    Attributes:
        probability: Of a tumour.
        threshold: From which on it says "tumour", as chosen on validation images.
    """

    probability: Float[np.ndarray, " n"]
    threshold: float = 0.5


@dataclass(frozen=True)
class ClassifierMeasure:
    """A score of a classifier.

    Attributes:
        title: What people call it.
        statistic: Makes the function of the persons' weights.
        better: Which values are better.
        compared: Whether differences between conditions are judged by it.
        biased: Whether chance alone moves it to one side, so that an interval would mislead.
    """

    title: str
    statistic: Callable[[Truth, Answers], Statistic]
    better: Literal["higher", "lower"] = "higher"
    compared: bool = True
    biased: bool = False


@dataclass(frozen=True)
class ConditionEstimate:
    """A measure of one condition.

    Attributes:
        value: Mean over seeds; NaN where no image bears on it.
        low: Lower end of its 95 % interval over persons; NaN where there is none.
        high: Upper end.
        seeds: What each seed's classifier scores.
    """

    value: float
    low: float
    high: float
    seeds: tuple[float, ...]


@dataclass(frozen=True)
class ConditionDifference:
    """A measure of one condition minus that of another, on the same images and seeds.

    Attributes:
        value: Mean over seeds.
        low: Lower end of its 95 % interval over persons and seeds.
        high: Upper end.
        p: Of no difference, two-sided.
        freedom: Degrees of freedom of t.
        seeds: What each seed gives.
    """

    value: float
    low: float
    high: float
    p: float
    freedom: float
    seeds: tuple[float, ...]


def youden(probability: Float[np.ndarray, " n"], label: Int[np.ndarray, " n"]) -> float:
    """Choose the threshold with the greatest sum of sensitivity and specificity.

    Between the two probabilities at which the sum is greatest, its middle is taken; of several
    such places, the one nearest to 0.5.

    Source: Youden 1950, Index for rating diagnostic tests.
    """
    values = np.unique(probability)
    edges = np.concatenate([[0.0], (values[1:] + values[:-1]) / 2])
    positive, negative = np.sort(probability[label == 1]), np.sort(probability[label == 0])
    missed = np.searchsorted(positive, edges) / max(1, len(positive))
    passed = np.searchsorted(negative, edges) / max(1, len(negative))
    best = edges[np.isclose(passed - missed, (passed - missed).max())]
    return float(best[np.abs(best - 0.5).argmin()])


def by_subject(truth: Truth, values: np.ndarray) -> Float[np.ndarray, " m"]:
    """Sum over each person's images."""
    return np.bincount(truth.subject, values.astype(np.float64), truth.subjects)


def share(truth: Truth, what: np.ndarray, where: Bool[np.ndarray, " n"]) -> Statistic:
    """Give the mean of something over some images, each as often as its person counts."""
    top, bottom = by_subject(truth, what * where), by_subject(truth, where)

    def weighted(weights: Weights) -> Float[np.ndarray, " b"]:
        with np.errstate(invalid="ignore"):  # a sample may lack such images: NaN
            return (weights @ top) / (weights @ bottom)

    return weighted


def right(truth: Truth, answers: Answers, threshold: float) -> Bool[np.ndarray, " n"]:
    """Mark the images that are called what they are; at the threshold it is called a tumour."""
    return (answers.probability >= threshold) == (truth.label == 1)


def auc(truth: Truth, answers: Answers) -> Statistic:
    """Give the share of pairs, tumour and none, in which the tumour is found likelier.

    Pairs within persons and between them count alike, each as often as both persons do.
    """
    count = truth.subjects
    tumour = truth.label == 1
    likely, whose = answers.probability[tumour], truth.subject[tumour]
    won = np.zeros((count, count))  # pairs of a person's tumours and another's other images
    for other in range(count):
        rest = np.sort(answers.probability[~tumour & (truth.subject == other)])
        wins = (np.searchsorted(rest, likely) + np.searchsorted(rest, likely, "right")) / 2
        won[:, other] = np.bincount(whose, wins, count)
    with_tumour, without = by_subject(truth, tumour), by_subject(truth, ~tumour)

    def weighted(weights: Weights) -> Float[np.ndarray, " b"]:
        with np.errstate(invalid="ignore"):
            pairs = (weights @ with_tumour) * (weights @ without)
            return np.einsum("bs,bs->b", weights @ won, weights) / pairs

    return weighted


def bin_of(probability: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Give the bin of each probability; 1 falls into the last."""
    return np.minimum((probability * BINS).astype(np.int64), BINS - 1)


def calibration_error(truth: Truth, answers: Answers) -> Statistic:
    """Give the mean distance of bins' mean probability to their share of tumours.

    Source: Naeini et al. 2015 (expected calibration error), here with 10 bins of equal width.
    """
    bins = bin_of(answers.probability)
    excess = answers.probability - truth.label
    gaps = np.stack([by_subject(truth, excess * (bins == number)) for number in range(BINS)], 1)
    counts = by_subject(truth, np.ones(len(bins)))
    return lambda weights: np.abs(weights @ gaps).sum(1) / (weights @ counts)


def _share_right(kind: str, chosen: bool = False) -> Callable[[Truth, Answers], Statistic]:
    """Make accuracy ("all"), sensitivity (1), specificity (0), or sensitivity to a size."""

    def statistic(truth: Truth, answers: Answers) -> Statistic:
        where = {"all": truth.label >= 0, "1": truth.label == 1, "0": truth.label == 0}
        rows = where[kind] if kind in where else truth.of_size(kind)
        return share(truth, right(truth, answers, answers.threshold if chosen else 0.5), rows)

    return statistic


def _brier(truth: Truth, answers: Answers) -> Statistic:
    return share(truth, (answers.probability - truth.label) ** 2, truth.label >= 0)


MEASURES: Mapping[str, ClassifierMeasure] = {
    "accuracy": ClassifierMeasure("Accuracy", _share_right("all")),
    "sensitivity": ClassifierMeasure("Sensitivity", _share_right("1")),
    "specificity": ClassifierMeasure("Specificity", _share_right("0")),
    "auc": ClassifierMeasure("AUC", auc),
    "brier": ClassifierMeasure("Brier score", _brier, "lower"),
    "ece": ClassifierMeasure("Calibration error", calibration_error, "lower", biased=True),
    "accuracy_youden": ClassifierMeasure("Accuracy", _share_right("all", True)),
    "sensitivity_youden": ClassifierMeasure("Sensitivity", _share_right("1", True)),
    "specificity_youden": ClassifierMeasure("Specificity", _share_right("0", True)),
    **{
        f"sensitivity_{size}": ClassifierMeasure(
            f"Sensitivity, {size}", _share_right(size), compared=False
        )
        for size in SIZES
    },
}


def without_each(
    truth: Truth, answers: Sequence[Answers], measure: ClassifierMeasure
) -> Float[np.ndarray, "_ k"]:
    """Score each seed's classifier by all m persons, then without each of them in turn."""
    everyone = np.ones((1, truth.subjects))
    weights = np.concatenate([everyone, everyone - np.eye(truth.subjects)])
    return np.stack([measure.statistic(truth, answer)(weights) for answer in answers], 1)


def estimate(
    truth: Truth, answers: Sequence[Answers], measure: ClassifierMeasure
) -> ConditionEstimate:
    """Score a condition: the mean over its seeds, with its interval over persons.

    Where all persons are alike in a score of 0 or 1, the interval is that of as many
    persons of whom none, or each, is a hit (Clopper and Pearson 1934).

    Args:
        truth: Of the test images.
        answers: Of each seed's classifier.
        measure: What is measured.
    """
    return estimated(without_each(truth, answers, measure), measure.biased)


def estimated(table: Float[np.ndarray, "_ k"], biased: bool = False) -> ConditionEstimate:
    """Give the mean over seeds of a share, with its interval over persons.

    Args:
        table: What each seed scores, in [0, 1], by all m persons, then without each in turn.
        biased: Whether chance alone moves the score to one side, so that there is no interval.
    """
    seeds = tuple(map(float, table[0]))
    value, count = float(table[0].mean()), len(table) - 1
    if biased or count < 2 or not np.isfinite(table).all():
        return ConditionEstimate(value, float("nan"), float("nan"), seeds)
    if not 0 < value < 1:
        edge = (ALPHA / 2) ** (1 / count)
        return ConditionEstimate(value, edge if value else 0.0, 1.0 if value else 1 - edge, seeds)
    spread = float(np.sqrt(count - 1) * table[1:].mean(1).std())  # by the jackknife
    half = float(t.ppf(1 - ALPHA / 2, count - 1)) * spread / (value * (1 - value))
    low, high = (float(expit(logit(value) + way * half)) for way in (-1, 1))
    return ConditionEstimate(value, low, high, seeds)


def difference(
    truth: Truth, answers: Sequence[Answers], other: Sequence[Answers], measure: ClassifierMeasure
) -> ConditionDifference:
    """Compare two conditions, seed by seed, on the same test images.

    With a single seed, only persons vary, and the interval holds for that classifier alone.

    Args:
        truth: Of the test images.
        answers: Answers of each seed's classifier.
        other: The same of the other condition, in the same order of seeds.
        measure: What is measured.

    Raises:
        DataError: There are fewer than two persons, or one holds all images that matter.
    """
    count = truth.subjects
    table = without_each(truth, answers, measure) - without_each(truth, other, measure)
    if count < 2 or not np.isfinite(table).all():
        raise DataError(
            "A difference needs at least two test subjects with tumour slices, and two with "
            "slices without."
        )
    result = judged_by_persons(table)
    # All measures lie between 0 and 1, so no difference is larger.
    return replace(result, low=max(result.low, -1.0), high=min(result.high, 1.0))


def judged_by_persons(table: Float[np.ndarray, "_ k"]) -> ConditionDifference:
    """Judge differences of each seed by all m persons, then without each of them in turn."""
    values, without = table[0], table[1:]
    return judged(values, (len(without) - 1) * (values - without))


def judged(
    values: Float[np.ndarray, " k"], influence: Float[np.ndarray, "m k"]
) -> ConditionDifference:
    """Judge a mean over seeds, given how much each person moves each seed's value.

    Args:
        values: Of each seed.
        influence: Of each person: (m - 1) times what the value loses without that person.

    Source: Cameron et al. 2011, Robust inference with multiway clustering; Satterthwaite 1946.
    """
    subjects, seeds = influence.shape
    of_subjects = influence.mean(1).var(ddof=1) / subjects
    variance, freedom = of_subjects, float(subjects - 1)
    if seeds > 1:
        of_seeds = values.var(ddof=1) / seeds
        rest = influence - influence.mean(1, keepdims=True) - influence.mean(0) + influence.mean()
        of_both = (rest**2).sum() / ((subjects - 1) * (seeds - 1)) / (subjects * seeds)
        variance = max(of_subjects + of_seeds - of_both, of_subjects)
        parts = of_subjects**2 / (subjects - 1) + of_seeds**2 / (seeds - 1)
        freedom = float(variance**2 / parts) if parts else freedom
        freedom = min(max(freedom, seeds - 1), subjects + seeds - 2)
    value, spread = float(values.mean()), float(np.sqrt(variance))
    half = spread * float(t.ppf(1 - ALPHA / 2, freedom))
    # Where all persons and seeds are alike, a sign test over persons is what can be said.
    alike = min(1.0, 2.0 ** (1 - subjects)) if value else 1.0
    p = float(2 * t.sf(abs(value) / spread, freedom)) if spread > 0 else alike
    seen = tuple(map(float, values))
    return ConditionDifference(value, value - half, value + half, p, freedom, seen)


def verdict(value: float, p: float, better: Literal["higher", "lower"], seeds: int) -> Verdict:
    """Say what a difference shows, by its p value after Holm."""
    if seeds < FEWEST_SEEDS:
        return "too few seeds"
    if p >= ALPHA:
        return "not shown"
    return "helps" if (value > 0) == (better == "higher") else "hurts"


def unpaired(right: int, other_right: int, n: int) -> tuple[float, float, float]:
    """Give a difference of two shares of n images and its 95 % interval, as if independent.

    For printed counts, of which nothing else is known: neither pairs nor persons.

    Args:
        right: Images that one condition has right.
        other_right: Those that the other has right.
        n: Images of each.
    """
    share, baseline = right / n, other_right / n
    half = float(norm.ppf(0.975)) * np.sqrt((share * (1 - share) + baseline * (1 - baseline)) / n)
    return share - baseline, float(share - baseline - half), float(share - baseline + half)
