"""The classifier two-sample test: can a classifier tell two sets apart?

A classifier learns real against other images from all people but those of one fold, and answers
for these; so every image is judged once by a classifier that has not seen its person (Lopez-Paz
and Oquab 2017, cross-fitted). Its area under the curve is 0.5 where nothing tells the sets apart.
Slices of one person are alike, so the interval counts people, not slices (Obuchowski 1997).

Real people who are neither judged nor compared with may be learnt from as well: what is real is
then learnt from many heads, and not from what the few judged ones have in common.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from mrgantry.evaluation.cloud import Cloud
from mrgantry.evaluation.extractors.features import Extractor
from mrgantry.evaluation.measures.classifiers import (
    ClassifierTask,
    Learner,
    features_of,
    logistic,
    network,
    pixels_of,
    small_pixels_of,
)
from mrgantry.evaluation.measures.measure import Explanation, Kind

FOLDS = 4
MOST_IMAGES = 1500  # a side; more would hardly narrow an interval that counts people
MOST_EXTRA = 4000  # images to learn from besides
REPLICATES = 200  # of the people, for differences between sets
# Of the variance that people's scatter gives. Classifiers of different folds share most people
# that they learn from, so their answers do not vary independently. Without it, and with 0.5 in the
# place of the control, 15 of 200 sets of real people were told apart instead of 5 (docs/LOG.md).
DEPENDENCE = 1 + 1 / (FOLDS - 1)
POWER = 0.8  # with which the detectable area would have been told from 0.5
LEVEL = 0.025  # one-sided, at which it would have been


@dataclass(frozen=True, eq=False)
class TwoSampleTrial:
    """Two sets that are to be told apart.

    Attributes:
        real: Held-out real images.
        other: What is measured: synthetic images, or for the control other real ones.
        extra: Real images of yet other people, to learn from; may be none.
        seed: Of folds, first weights and batches.
    """

    real: Cloud
    other: Cloud
    extra: Cloud
    seed: int


@dataclass(frozen=True, eq=False)
class ClassifierAnswers:
    """What the classifiers of all folds said of the people that they had not seen.

    Attributes:
        area: Area under the curve, each fold's images compared among themselves.
        accuracy: Share of right answers, both sides counting equally.
        n_real: Real images that were judged.
        n_other: Others.
        real_shares: A row a real person: the sum over the images of their placement (the share
            of other images of the fold that look less real) less the area, over all images.
        other_shares: The same of the other side.
        real_right: A row a real person: right answers less the mean, over all images, halved.
        other_right: The same of the other side.
    """

    area: float
    accuracy: float
    n_real: int
    n_other: int
    real_shares: Float[np.ndarray, " p"]
    other_shares: Float[np.ndarray, " q"]
    real_right: Float[np.ndarray, " p"]
    other_right: Float[np.ndarray, " q"]


class PeopleEstimate(NamedTuple):
    """A number with what people's scatter makes of it.

    Attributes:
        value: The number.
        error: Its standard error over people of both sides.
        freedom: Degrees of freedom of the error (Satterthwaite).
    """

    value: float
    error: float
    freedom: float

    def interval(self) -> tuple[float, float]:
        """Give the 95 % interval, within [0, 1]."""
        reach = float(stats.t.ppf(0.975, self.freedom)) * self.error
        return max(0.0, self.value - reach), min(1.0, self.value + reach)

    def p_above(self, chance: float = 0.5) -> float:
        """Give the one-sided probability of such a value or a higher one by chance."""
        return float(stats.t.sf((self.value - chance) / self.error, self.freedom))

    def detectable(self, power: float = POWER, chance: float = 0.5, level: float = LEVEL) -> float:
        """Give the value that would have been told from chance; 1 at most.

        Args:
            power: In what share of such studies it would have been.
            chance: What is compared with.
            level: One-sided, at which it is told.
        """
        steps = stats.t.ppf(1 - level, self.freedom) + stats.t.ppf(power, self.freedom)
        return min(1.0, chance + float(steps) * self.error)


def area_of(answers: ClassifierAnswers) -> PeopleEstimate:
    """Give the area under the curve with its error by person (Obuchowski 1997, equation 4)."""
    return _estimate(answers.area, answers.real_shares, answers.other_shares)


def accuracy_of(answers: ClassifierAnswers) -> PeopleEstimate:
    """Give the mean of both sides' accuracies with its error by person."""
    return _estimate(answers.accuracy, answers.real_right, answers.other_right)


def _estimate(
    value: float, real: Float[np.ndarray, " p"], other: Float[np.ndarray, " q"]
) -> PeopleEstimate:
    variances = np.array([len(a) / max(len(a) - 1, 1) * (a**2).sum() for a in (real, other)])
    # Where no person differs from the others the scatter is unknown, not nothing.
    variances = np.maximum(variances, (0.5 / np.array([len(real), len(other)])) ** 2 / 12)
    degrees = np.maximum([len(real) - 1, len(other) - 1], 1)
    freedom = variances.sum() ** 2 / (variances**2 / degrees).sum()
    return PeopleEstimate(value, float(np.sqrt(DEPENDENCE * variances.sum())), float(freedom))


def replicates(
    value: float,
    real: Float[np.ndarray, " p"],
    other: Float[np.ndarray, " q"],
    seeds: tuple[int, int],
) -> tuple[float, ...]:
    """Draw the people of both sides anew, to first order.

    Two sets that were compared with the same real people share what these bring about, so
    replicates of one may be subtracted from those of the other, if real people are drawn alike.

    Args:
        value: What was found; the mean of the replicates.
        real: What each real person adds to it, as in `Answers`.
        other: The same of the other side.
        seeds: Of the draws of real people, and of the others.
    """
    drawn = np.full(REPLICATES, value)
    for seed, shares in zip(seeds, (real, other), strict=True):
        random = np.random.default_rng((seed, len(shares)))
        times = random.multinomial(len(shares), np.full(len(shares), 1 / len(shares)), REPLICATES)
        apart = (times - 1) @ shares
        drawn += np.sqrt(DEPENDENCE) * (apart - apart.mean())
    return tuple(drawn.tolist())


def trial_of(real: Cloud, other: Cloud, extra: Cloud, seed: int, most: int = 0) -> TwoSampleTrial:
    """Take equally many images of both sides, as many people's as there are.

    Args:
        real: Held-out real images.
        other: What is measured.
        extra: Real images to learn from besides.
        seed: Of the choice, and of the trial.
        most: Upper limit to the images a side, so that several sets are measured alike; 0 for
            that of this module.
    """
    size = min(most or MOST_IMAGES, MOST_IMAGES, len(real), len(other))
    random = np.random.default_rng((seed, 0))
    training = spread(extra, MOST_EXTRA, random) if len(extra) else extra
    return TwoSampleTrial(spread(real, size, random), spread(other, size, random), training, seed)


def spread(cloud: Cloud, size: int, random: np.random.Generator) -> Cloud:
    """Take some images, evenly from all people.

    Args:
        cloud: What is taken from.
        size: How many are taken at most.
        random: Of which images of a person.
    """
    if size >= len(cloud):
        return cloud
    order = random.permutation(len(cloud))
    # The first image of everybody, then the second, and so on, in random order.
    turn = np.zeros(len(cloud), int)
    for rows in _rows_by_person(cloud.subjects[order]):
        turn[order[rows]] = np.arange(len(rows))
    chosen = order[np.argsort(turn[order], kind="stable")][:size]
    return cloud.take(np.sort(chosen))


def control_of(trial: TwoSampleTrial, seed: int) -> TwoSampleTrial | None:
    """Put other real people in the place of the measured images; None where there are too few.

    Both sides then have equally many people and, as nearly as these allow, as many images as in
    the trial; the others of the extra people remain to be learnt from.
    """
    people = np.unique(trial.real.subjects)
    spare = np.unique(trial.extra.subjects)
    count = min(len(people), len(spare))
    if count < FOLDS:
        return None
    random = np.random.default_rng((seed, 1))
    chosen = random.permutation(spare)[:count]
    placed = np.isin(trial.extra.subjects, chosen)
    real = trial.real
    if count < len(people):
        real = real.take(np.isin(real.subjects, random.permutation(people)[:count]))
    stand_ins = trial.extra.take(placed)
    size = min(len(real), len(stand_ins))
    sides = spread(real, size, random), spread(stand_ins, size, random)
    return TwoSampleTrial(sides[0], sides[1], trial.extra.take(~placed), trial.seed)


def folds_of(cloud: Cloud, seed: int) -> Int[np.ndarray, " n"]:
    """Deal people out to folds."""
    names, owners = np.unique(cloud.subjects, return_inverse=True)
    places = np.random.default_rng(seed).permutation(len(names)) % FOLDS
    return places[owners]


def judge_fold(
    trial: TwoSampleTrial, fold: int, inputs_of: Callable[[Cloud], np.ndarray], learner: Learner
) -> Float[np.ndarray, " k"]:
    """Have a classifier that has seen all but one fold judge that fold.

    Args:
        trial: What is to be told apart.
        fold: Number of the fold.
        inputs_of: Gives what classifiers look at.
        learner: The classifier.

    Returns:
        Logits of being real: of the real images of the fold, then of the others.
    """
    sides = trial.real, trial.other
    held = [folds_of(cloud, trial.seed + side) == fold for side, cloud in enumerate(sides)]
    training = [cloud.take(~rows) for cloud, rows in zip(sides, held, strict=True)] + [trial.extra]
    judged = [cloud.take(rows) for cloud, rows in zip(sides, held, strict=True)]
    task = ClassifierTask(
        inputs=np.concatenate([inputs_of(cloud) for cloud in training if len(cloud)]),
        real=np.repeat([True, False, True], list(map(len, training))),
        people=np.concatenate(
            [
                np.char.add(side, cloud.subjects.astype(str))
                for side, cloud in zip(("real ", "other ", "extra "), training, strict=True)
            ]
        ),
        judged=np.concatenate([inputs_of(cloud) for cloud in judged]),
        seed=trial.seed * FOLDS + fold,
    )
    return learner(task)


def put_together(
    trial: TwoSampleTrial, logits: Sequence[Float[np.ndarray, " _"]]
) -> ClassifierAnswers:
    """Compare the answers of each fold among themselves, and sum them up by person."""
    sides = trial.real, trial.other
    folds = [folds_of(cloud, trial.seed + side) for side, cloud in enumerate(sides)]
    places = [np.zeros(len(cloud)) for cloud in sides]
    right = [np.zeros(len(cloud)) for cloud in sides]
    for fold, said in enumerate(logits):
        rows = [of == fold for of in folds]
        real, other = np.split(said, [int(rows[0].sum())])
        places[0][rows[0]], places[1][rows[1]] = _placements(real, other)
        right[0][rows[0]], right[1][rows[1]] = real > 0, other <= 0
    # Folds hold nearly, not exactly, as many of both sides, so the two means may differ a little.
    area = float(np.mean([place.mean() for place in places]))
    accuracy = float(np.mean([of.mean() for of in right]))
    shares = [
        _by_person(place - place.mean(), cloud) for place, cloud in zip(places, sides, strict=True)
    ]
    halves = [_by_person(of - of.mean(), cloud) / 2 for of, cloud in zip(right, sides, strict=True)]
    return ClassifierAnswers(
        area=area,
        accuracy=accuracy,
        n_real=len(trial.real),
        n_other=len(trial.other),
        real_shares=shares[0],
        other_shares=shares[1],
        real_right=halves[0],
        other_right=halves[1],
    )


def _placements(
    real: Float[np.ndarray, " p"], other: Float[np.ndarray, " q"]
) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " q"]]:
    """Give the share of the other side that each image is rightly ordered with, ties as halves."""
    if not len(real) or not len(other):
        return np.full(len(real), 0.5), np.full(len(other), 0.5)
    above = (real[:, None] > other).astype(np.float32)
    above += 0.5 * (real[:, None] == other)
    return above.mean(1), above.mean(0)


def _by_person(values: Float[np.ndarray, " n"], cloud: Cloud) -> Float[np.ndarray, " p"]:
    _, owners = np.unique(cloud.subjects, return_inverse=True)
    return np.bincount(owners, values) / len(values)


def _rows_by_person(people: np.ndarray) -> list[Int[np.ndarray, " k"]]:
    _, owners = np.unique(people, return_inverse=True)
    order = np.argsort(owners, kind="stable")
    return np.split(order, np.cumsum(np.bincount(owners))[:-1])


@dataclass(frozen=True)
class Test:
    """A classifier two-sample test: an accuracy and an area under the curve.

    Attributes:
        name: Of the accuracy; that of the area ends in `_auc`.
        features: What the classifier looks at: an extractor's name, or "pixels".
        what: The classifier in words.
        inputs: Gives what it learns from.
        learner: The classifier.
    """

    name: str
    features: str
    what: str
    inputs: Callable[[Cloud], np.ndarray]
    learner: Learner

    @property
    def kinds(self) -> tuple[Kind, Kind]:
        """Name its two numbers."""
        how = f"of {self.what}, cross-fitted over {FOLDS} folds of people"
        return (
            Kind(f"{self.name}_auc", "half", f"area under the curve {how}"),
            Kind(self.name, "half", f"accuracy {how}"),
        )


def all_tests(extractors: Sequence[Extractor]) -> Iterator[Test]:
    """List the classifier two-sample tests.

    Args:
        extractors: Principal directions first, then networks.
    """
    trained = "a convolutional network that is trained until it no longer gains"
    yield Test("c2st_cnn", "pixels", trained, pixels_of, network)
    yield Test(
        "c2st_low_pass",
        "pixels",
        f"{trained}, on images without fine texture",
        small_pixels_of,
        network,
    )
    for extractor in extractors[1:]:
        yield Test(
            "c2st_logistic",
            extractor.name,
            "a logistic classifier",
            partial(features_of, name=extractor.name),
            logistic,
        )


EXPLANATIONS = (
    Explanation(
        titles={"c2st_cnn_auc": "C2ST, CNN: area", "c2st_cnn": "C2ST, CNN: accuracy"},
        question="classifier",
        word="network",
        heading="C2ST, CNN",
        answers="Can a network that sees all pixels tell real from synthetic?",
        how=(
            "A convolutional network of four layers learns real against synthetic from all people "
            "but a fold, and from real people of the other splits, until it no longer gains on "
            "people held back for that; then it judges the fold. Area: of pairs of a real and a "
            "synthetic image, how many it puts in order. Accuracy: how many images it names "
            "rightly. It sees patches of at most 64 pixels; of larger images, the mean over all "
            "patches decides."
        ),
        good="0.5 is guessing. The strictest of the scores.",
        blind=(
            "Near 1 may be due to fine texture alone, or to traces of grey where real images are "
            "black, which nobody sees: look at the same test on low-passed images. And 0.5 only "
            "says that this network found nothing with so few people: see what it would have "
            "noticed."
        ),
        source=(
            "Lopez-Paz and Oquab 2017; the interval by person is Obuchowski's, 1997. Folds by "
            "person are ours."
        ),
        family="classifiers",
        short="C2ST CNN",
        leads=("pixels",),
    ),
    Explanation(
        titles={
            "c2st_low_pass_auc": "C2ST, low-passed: area",
            "c2st_low_pass": "C2ST, low-passed: accuracy",
        },
        question="classifier",
        word="network, no texture",
        heading="C2ST, low-passed",
        answers="Can the network still tell when fine texture is taken away?",
        how=(
            "As the C2ST by CNN, on images reduced to 32 x 32 pixels (half the side, if that is "
            "less)."
        ),
        good=(
            "0.5, as the floor shows it. High here too: the anatomy or the contrast is wrong, not "
            "only the texture."
        ),
        blind="All that is smaller than two pixels of the reduced image.",
        source="Lopez-Paz and Oquab 2017; the reduction is ours.",
        family="classifiers",
        short="C2ST low-pass",
        leads=("pixels",),
    ),
    Explanation(
        titles={
            "c2st_logistic_auc": "C2ST, logistic: area",
            "c2st_logistic": "C2ST, logistic: accuracy",
        },
        question="classifier",
        word="linear",
        heading="C2ST, logistic",
        answers="Does a straight line through a network's features part real from synthetic?",
        how="As the C2ST by CNN, by a logistic regression on the features of one extractor.",
        good="0.5 is guessing.",
        blind=(
            "What the features do not hold. On few people it can do better than a network that "
            "must learn all by itself."
        ),
        source="Lopez-Paz and Oquab 2017.",
        family="classifiers",
        short="C2ST logistic",
        joins=("random-net", "brain-net", "brain-map"),
    ),
)
