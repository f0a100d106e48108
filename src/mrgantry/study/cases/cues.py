"""The trivial-cue audit: can real and synthetic images be told apart without looking at anatomy?

A classifier gets trivial traits alone (`traits`), group by group. Where it beats chance, so
could a reader, and the study's answers would be about files and not about brains.

The classifier is the mean of a logistic regression on ranks and of a small tree: the first
adds up many small differences, the second finds a threshold, such as a corner that is 0 or
not. Both fit in milliseconds, do not care about scales, and are coarse enough for 50 images.
"""

from collections.abc import Iterator, Sequence
from math import sqrt

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy.stats import ks_2samp, norm, rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.tree import DecisionTreeClassifier
from statsmodels.stats.proportion import proportion_confint

from mrgantry.common.errors import DataError
from mrgantry.common.frozen import Frozen
from mrgantry.common.statistics import holm
from mrgantry.study.cases import traits

ALL = "all"
LEVEL = 0.05
FOLDS = 5
# Folds share what they train on, so their errors are correlated, and nothing in the data tells
# how much (Bengio and Grandvalet 2004). Simulated populations gave variances of up to 1.3 times
# those of independent errors.
CORRELATED = 1.3
METHOD = (
    "balanced accuracy of a logistic regression on ranks and a tree of depth 3, averaged, in up "
    f"to {FOLDS} folds by subject; slices of one subject count as one; Wilson intervals of both "
    f"classes, combined (Newcombe 1998), for counts divided by {CORRELATED} since folds overlap; "
    "two-sided score test, Holm over the groups and all together"
)
Fold = tuple[Int[np.ndarray, " _"], Int[np.ndarray, " _"]]  # rows to train on, and to test
SMALLEST = 16  # pixels a side: fewer say nothing of blocks of 8


class Cue(Frozen):
    """One trait that tells, with its typical values.

    Attributes:
        trait: The trait in words.
        real: Median in real images.
        real_range: Percentiles 5 and 95 in real images.
        synthetic: Median in synthetic images.
        synthetic_range: Percentiles 5 and 95 in synthetic images.
    """

    trait: str
    real: float
    real_range: tuple[float, float]
    synthetic: float
    synthetic_range: tuple[float, float]

    def sentence(self) -> str:
        """Say what differs."""
        (a, b), (c, d) = self.real_range, self.synthetic_range
        return (
            f"{self.trait} is {self.real:.3g} in real images ({a:.3g} to {b:.3g}) and "
            f"{self.synthetic:.3g} in synthetic ones ({c:.3g} to {d:.3g})"
        )


class CueGroup(Frozen):
    """How well one group of traits tells real from synthetic.

    Attributes:
        name: "histogram", "range", "quantisation", "border", "extent", "compressibility" or "all".
        accuracy: Balanced and cross-validated; 0.5 is chance.
        low: Lower end of its 95 % interval.
        high: Upper end.
        p: Two-sided, of 0.5, adjusted over all groups by Holm's rule.
        cue: The most telling trait, where the group beats chance.
    """

    name: str
    accuracy: float
    low: float
    high: float
    p: float
    cue: Cue | None = None

    @property
    def beats_chance(self) -> bool:
        """Say whether the accuracy exceeds one half by more than chance would."""
        return self.p < LEVEL and self.accuracy > 0.5

    def figures(self) -> str:
        """Write the accuracy and its interval, in percent."""
        share, low, high = (f"{100 * value:.0f}" for value in (self.accuracy, self.low, self.high))
        return f"{share} % (95 % interval {low} to {high} %)"


class CueAudit(Frozen):
    """What trivial traits tell of which images are real.

    Attributes:
        groups: Each group of traits, and all together as the last.
        n_real: Real images.
        n_subjects: Whom they show.
        n_synthetic: Synthetic images.
        seed: Of the folds.
        method: How accuracy, interval and p were obtained.
    """

    groups: tuple[CueGroup, ...]
    n_real: int
    n_subjects: int
    n_synthetic: int
    seed: int
    method: str

    @property
    def beats_chance(self) -> bool:
        """Say whether any group of traits tells."""
        return any(group.beats_chance for group in self.groups)

    @property
    def noticed_from(self) -> float:
        """Give the accuracy from which on a group alone would be called better than chance."""
        z = norm.isf(LEVEL / 2 / len(self.groups))
        return min(1.0, 0.5 + z * _null_error(self.n_subjects, self.n_synthetic))

    def sentences(self) -> list[str]:
        """Say what was found and what it means, a line each."""
        return list(self._loud() if self.beats_chance else self._calm())

    def _calm(self) -> Iterator[str]:
        yield (
            f"Trivial cues alone do not tell {self._who()}: with all of them a classifier is right "
            f"in {self.groups[-1].figures()}; chance is 50 %."
        )
        yield (
            f"An accuracy below {100 * self.noticed_from:.0f} % would have gone unnoticed with so "
            "few, and cues that this audit does not look for are not excluded."
        )

    def _loud(self) -> Iterator[str]:
        yield (
            f"WARNING: trivial cues alone tell {self._who()}: with all of them a classifier is "
            f"right in {self.groups[-1].figures()}; chance is 50 %."
        )
        for group in self.groups[:-1]:
            if group.cue is not None:
                yield f"  {group.name}, right in {group.figures()}: {group.cue.sentence()}."
        yield (
            "Readers could go by this and not by anatomy, so their answers would not say how "
            "realistic the anatomy is. What only one class went through (file formats, rounding, "
            "resizing, padding) can be mended before the study; what the generator itself gets "
            "wrong, as the histogram may be, is a finding and belongs into the report."
        )

    def _who(self) -> str:
        return (
            f"{self.n_real:,} real images of {self.n_subjects:,} subjects from "
            f"{self.n_synthetic:,} synthetic ones"
        )


def audit(
    real: UInt8[np.ndarray, "n h w"],
    synthetic: UInt8[np.ndarray, "m h2 w2"],
    real_subjects: Sequence[str],
    seed: int = 0,
) -> CueAudit:
    """Train a classifier on trivial traits of the images that readers will see.

    Slices of one person are alike. So they stay in one fold, count as one together, and
    intervals and tests are for the number of subjects, which holds however alike they are.
    Synthetic images count singly. As a classifier finds the direction of a difference itself,
    chance differences make accuracies above 0.5 twice as often as in one given direction;
    hence the two-sided test.

    Args:
        real: Grey values as shown.
        synthetic: Grey values as shown, on a canvas of the same size.
        real_subjects: Whom each real image shows.
        seed: Of the folds.

    Raises:
        DataError: The canvases differ or are tiny, or there are fewer than two subjects or
            synthetic images.

    Source: Lopez-Paz and Oquab 2017 (classifier two-sample test); Newcombe 1998, Statistics in
        Medicine 17:873 (intervals of two proportions, combined); Bengio and Grandvalet 2004,
        Journal of Machine Learning Research 5:1089 (errors of folds are correlated).
    """
    _check(real, synthetic, real_subjects)
    codes = np.unique(np.array(real_subjects), return_inverse=True)[1]
    units = np.concatenate([codes, codes.max() + 1 + np.arange(len(synthetic))])
    is_real = np.repeat([True, False], [len(real), len(synthetic)])
    measured, folds = _measured(real, synthetic), _folds(is_real, units, seed)
    tested = [
        _accuracy(np.stack(list(group.values()), 1), is_real, units, folds)
        for group in measured.values()
    ]
    adjusted = holm([p for *_, p in tested])
    groups = []
    for name, (accuracy, low, high, _), p in zip(measured, tested, adjusted, strict=True):
        group = CueGroup(name=name, accuracy=accuracy, low=low, high=high, p=p)
        cue = most_telling(measured[name], is_real) if group.beats_chance else None
        groups.append(group.model_copy(update={"cue": cue}))
    return CueAudit(
        groups=tuple(groups),
        n_real=len(real),
        n_subjects=int(codes.max()) + 1,
        n_synthetic=len(synthetic),
        seed=seed,
        method=METHOD,
    )


def most_telling(measured: traits.Traits, is_real: Bool[np.ndarray, " n"]) -> Cue:
    """Find the trait of which a single threshold tells most: the first, where several do."""
    apart = {
        name: round(float(ks_2samp(row[is_real], row[~is_real], method="asymp").statistic), 6)
        for name, row in measured.items()
    }
    name = max(apart, key=lambda trait: apart[trait])
    low, middle, high = np.percentile(measured[name][is_real], (5, 50, 95)).tolist()
    low2, middle2, high2 = np.percentile(measured[name][~is_real], (5, 50, 95)).tolist()
    return Cue(
        trait=name,
        real=middle,
        real_range=(low, high),
        synthetic=middle2,
        synthetic_range=(low2, high2),
    )


def _measured(
    real: UInt8[np.ndarray, "n1 h w"], synthetic: UInt8[np.ndarray, "n2 h w"]
) -> dict[str, traits.Traits]:
    """Measure the traits of both, real images first, by group and all together."""
    both = zip(traits.measure(real).items(), traits.measure(synthetic).values(), strict=True)
    measured = {
        group: {name: np.concatenate([first[name], second[name]]) for name in first}
        for (group, first), second in both
    }
    return measured | {ALL: {name: row for rows in measured.values() for name, row in rows.items()}}


def _folds(is_real: Bool[np.ndarray, " n"], units: Int[np.ndarray, " n"], seed: int) -> list[Fold]:
    """Deal the subjects, and the synthetic images, into folds."""
    classes = [len(np.unique(units[side])) for side in (is_real, ~is_real)]
    dealer = StratifiedGroupKFold(min(FOLDS, *classes), shuffle=True, random_state=seed)
    return list(dealer.split(units, is_real, units))


def _accuracy(
    x: Float[np.ndarray, "n d"],
    is_real: Bool[np.ndarray, " n"],
    units: Int[np.ndarray, " n"],
    folds: Sequence[Fold],
) -> tuple[float, float, float, float]:
    """Give the balanced accuracy, the ends of its interval, and p."""
    sizes = np.bincount(units)[units]
    right = _held_out(rankdata(x, axis=0) / len(x), is_real, 1 / sizes, folds)
    shares = [
        np.bincount(units[side], (right / sizes)[side])[np.unique(units[side])]
        for side in (is_real, ~is_real)
    ]
    recalls, counts = [float(share.mean()) for share in shares], [len(share) for share in shares]
    ends = [
        proportion_confint(recall * count / CORRELATED, count / CORRELATED, method="wilson")
        for recall, count in zip(recalls, counts, strict=True)
    ]
    accuracy = sum(recalls) / 2
    below = sqrt(sum((recall - low) ** 2 for recall, (low, _) in zip(recalls, ends, strict=True)))
    above = sqrt(sum((high - recall) ** 2 for recall, (_, high) in zip(recalls, ends, strict=True)))
    p = 2 * norm.sf(abs(accuracy - 0.5) / _null_error(*counts))
    return accuracy, accuracy - below / 2, accuracy + above / 2, float(p)


def _held_out(
    x: Float[np.ndarray, "n d"],
    is_real: Bool[np.ndarray, " n"],
    weights: Float[np.ndarray, " n"],
    folds: Sequence[Fold],
) -> Float[np.ndarray, " n"]:
    """Say of each image whether those of other subjects tell its class: 1, 0, or 0.5 for a tie."""
    right = np.zeros(len(x))
    models = (
        LogisticRegression(max_iter=500),
        DecisionTreeClassifier(max_depth=3, min_samples_leaf=3, random_state=0),
    )
    for train, test in folds:
        given = x[train], is_real[train], _balanced(is_real[train], weights[train])
        probability = np.mean(
            [model.fit(*given).predict_proba(x[test])[:, 1] for model in models], 0
        )
        tie = np.isclose(probability, 0.5, atol=1e-6)
        right[test] = np.where(tie, 0.5, (probability > 0.5) == is_real[test])
    return right


def _balanced(
    is_real: Bool[np.ndarray, " n"], weights: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Give both classes the same weight, which sums to the number of images."""
    totals = np.where(is_real, weights[is_real].sum(), weights[~is_real].sum())
    return weights / totals * len(weights) / 2


def _null_error(subjects: int, images: int) -> float:
    """Give the standard error of a balanced accuracy at chance: the largest there can be."""
    return sqrt(CORRELATED * (0.25 / subjects + 0.25 / images) / 4)


def _check(
    real: UInt8[np.ndarray, "n h w"],
    synthetic: UInt8[np.ndarray, "m h2 w2"],
    real_subjects: Sequence[str],
) -> None:
    """Refuse what cannot be audited."""
    if real.shape[1:] != synthetic.shape[1:]:
        sizes = ["{} x {}".format(*images.shape[1:]) for images in (real, synthetic)]
        raise DataError(
            f"Real images are shown on {sizes[0]} pixels and synthetic ones on {sizes[1]}, which "
            "tells them apart; both must have one size."
        )
    if min(real.shape[1:]) < SMALLEST:
        raise DataError(f"Images of under {SMALLEST} pixels a side cannot be audited for cues.")
    if len(real_subjects) != len(real):
        raise DataError(
            f"There are {len(real)} real images but {len(real_subjects)} names of subjects; each "
            "image needs one."
        )
    if len(set(real_subjects)) < 2 or len(synthetic) < 2:
        raise DataError(
            f"The audit of trivial cues needs real images of at least 2 subjects and 2 synthetic "
            f"images; there are {len(set(real_subjects))} and {len(synthetic)}."
        )
