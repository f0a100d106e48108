"""The list of measures: what each is computed of, how it is called, and what is better.

Most are computed of many draws of half of the people (`Measure`). Classifiers are trained once
on all of them, fold by fold, and their intervals follow from the people's scatter (`Test`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from mrgantry.common.score import Better
from mrgantry.evaluate.brain.features import BRAIN_MAP
from mrgantry.evaluate.cloud import Cloud, Pair
from mrgantry.evaluate.extractors.features import Extractor, flat
from mrgantry.evaluate.measures import c2st, delplace
from mrgantry.evaluate.measures.c2st import Learner
from mrgantry.evaluate.measures.frechet import frechet_distance
from mrgantry.evaluate.measures.kernel import kernel_distance
from mrgantry.evaluate.measures.manifold import K, manifold
from mrgantry.evaluate.measures.ms_ssim import scales, similarity_of_pairs
from mrgantry.evaluate.measures.neighbours import copying
from mrgantry.evaluate.measures.spectrum import directional_difference, spectral_difference

DRAWS, COSTLY_DRAWS = 40, 10  # half-samples for most measures, and for Delplace's
PAIRS = 400  # of images, for MS-SSIM in one draw
# Features that every cloud has beside the extractors': small images, spectra, and how far into
# the tail of real training images each image lies (1 is the limit).
REDUCED, SPECTRUM, DIRECTIONS, OUTLYING = "reduced", "spectrum", "directions", "outlying"
MIRRORED = "mirrored "  # before the name of features of the mirrored images; of real clouds alone
TO_TRAIN = "to train, "  # before a name: the distance to the nearest training image, and its row


@dataclass(frozen=True)
class Kind:
    """One number that a measure gives: its name, what is better, and what to say of it."""

    name: str
    better: Better
    method: str
    relative: bool = False  # divided by what real images score, so that 1 is as these


@dataclass(frozen=True)
class Measure:
    """What is computed of one draw: a number of each kind.

    Attributes:
        kinds: What the numbers are.
        features: What it looks at: an extractor's name, or "pixels".
        compute: The function; costs are shared between the kinds.
        draws: How many draws it is computed of.
        alone: It looks at the measured images, and compares them with no others of the draw or
            not with these alone; see `floor_of`.
    """

    kinds: tuple[Kind, ...]
    features: str
    compute: Callable[[Pair], Sequence[float]]
    draws: int = DRAWS
    alone: bool = False


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
        how = f"of {self.what}, cross-fitted over {c2st.FOLDS} folds of people"
        return (
            Kind(f"{self.name}_auc", "half", f"area under the curve {how}"),
            Kind(self.name, "half", f"accuracy {how}"),
        )


def all_tests(extractors: Sequence[Extractor]) -> Iterator[Test]:
    """List the classifier two-sample tests.

    Args:
        extractors: Principal directions first, then networks.
    """
    network = "a convolutional network that is trained until it no longer gains"
    yield Test("c2st_cnn", "pixels", network, c2st.pixels_of, c2st.network)
    yield Test(
        "c2st_low_pass",
        "pixels",
        f"{network}, on images without fine texture",
        c2st.small_pixels_of,
        c2st.network,
    )
    for extractor in extractors[1:]:
        yield Test(
            "c2st_logistic",
            extractor.name,
            "a logistic classifier",
            partial(features_of, name=extractor.name),
            c2st.logistic,
        )


def features_of(cloud: Cloud, name: str) -> np.ndarray:
    """Give the features of a cloud by an extractor's name."""
    return cloud.features[name]


def all_measures(
    directions: Any, extractors: Sequence[Extractor], size: int, *, copies: bool = True
) -> Iterator[Measure]:
    """List the measures that are computed of draws, most telling first.

    Args:
        directions: Principal directions of the training images.
        extractors: Those directions first, then networks.
        size: Of the images, in pixels.
        copies: Whether copying can be measured: not where training images themselves are
            compared with.
    """
    pca, *networks = (extractor.name for extractor in extractors)
    for features in (pca, *networks):
        yield distances_on(features)
    for features in networks:
        # Not on principal directions: these fit the training images so well that images
        # copied from them spread more widely there than new ones do.
        yield manifold_on(features)
    if BRAIN_MAP in networks:
        yield outlying_measure()
    yield Measure(
        (
            Kind(
                "ms_ssim_pairs",
                "real",
                f"median MS-SSIM ({scales(size)} scales) of {PAIRS} pairs of different subjects",
            ),
        ),
        "pixels",
        lambda of: (similarity_of_pairs(of.other.images, of.other.subjects, PAIRS, of.seed),),
        alone=True,
    )
    by_radius, by_direction = "mean power by radius", "power along the axes over that off them"
    yield spectral_measure("spectral_radius", SPECTRUM, by_radius, spectral_difference)
    yield spectral_measure("spectral_direction", DIRECTIONS, by_direction, directional_difference)
    if copies:
        for features in ("pixels", *(name for name in networks if name == BRAIN_MAP)):
            yield copying_measure(features)
    yield delplace_measure(directions)


def distances_on(features: str) -> Measure:
    """Give the Frechet and the kernel distance on the features of one extractor.

    Not the latter on brain-map, whose cubic kernel a few odd heads decide.
    """

    def compute(of: Pair) -> Sequence[float]:
        x, y = of.real.features[features], of.other.features[features]
        distance = frechet_distance(x, y)
        return distance, distance, kernel_distance(x, y)

    relative, name = "relative_fd", "frechet_distance"
    if features == "inception":
        relative, name = "relative_fid", "fid"
    what = "Frechet distance of clouds of equal n"
    kinds = (
        Kind(relative, "lower", f"{what}, over its mean between halves of the real", relative=True),
        Kind(name, "lower", what),
        Kind("kernel_distance", "lower", "squared MMD with a cubic kernel, unbiased (KID)"),
    )
    if features == BRAIN_MAP:
        return Measure(kinds[:2], features, lambda of: compute(of)[:2])
    return Measure(kinds, features, compute)


def manifold_on(features: str) -> Measure:
    """Give precision, density, recall and coverage on the features of one extractor."""

    def compute(of: Pair) -> Sequence[float]:
        x, y = of.real, of.other
        return manifold(x.features[features], y.features[features], (x.subjects, y.subjects))

    near = f"of the {K}th nearest of other subjects"
    kinds = (
        Kind("precision", "higher", f"synthetic images within reach {near} of a real one"),
        Kind("density", "enough", f"real images within whose reach {near} one lies, over {K}"),
        Kind("recall", "higher", f"real images within reach {near} of a synthetic one"),
        Kind("coverage", "higher", f"real images with a synthetic one within reach {near}"),
    )
    return Measure(kinds, features, compute)


def outlying_measure() -> Measure:
    """Give the share of images that are farther out than hardly any real one is."""
    kind = Kind(
        "outlying_share",
        "lower",
        "images farther from real training ones than 99 % of these are from other subjects'",
    )
    return Measure(
        (kind,),
        BRAIN_MAP,
        lambda of: (float((of.other.features[OUTLYING][:, 0] > 1).mean()),),
        alone=True,
    )


def spectral_measure(
    name: str, features: str, what: str, difference: Callable[[np.ndarray, np.ndarray], float]
) -> Measure:
    """Give how much the spectra of two sets differ.

    Args:
        name: Of the score.
        features: Which spectra, by their name in a cloud.
        what: The same in words.
        difference: How they are compared.
    """
    kind = Kind(name, "lower", f"root-mean-square difference of {what}, dB")
    return Measure(
        (kind,),
        "pixels",
        lambda of: (difference(of.real.features[features], of.other.features[features]),),
    )


def copying_measure(features: str) -> Measure:
    """Give how much nearer images lie to training images than to held-out real ones.

    Args:
        features: "pixels", or the network on whose features images are compared.
    """
    what = "nearest training image, mirrored or not, over nearest held-out one, relative to real"
    kinds = (
        Kind("copying_ratio", "enough", f"{what}, median", relative=True),
        Kind("copying_ratio_rare", "enough", f"{what}, lowest hundredth", relative=True),
    )
    name = REDUCED if features == "pixels" else features

    def compute(of: Pair) -> Sequence[float]:
        held_out = [of.real.features[name], of.real.features[MIRRORED + name]]
        to_train = of.other.features[TO_TRAIN + name][:, 0]
        return copying(of.other.features[name], to_train, np.concatenate(held_out))

    return Measure(kinds, features, compute, alone=True)


def delplace_measure(directions: Any) -> Measure:
    """Give Delplace's realism, variation and diversity, in all their forms."""
    leading, mean = directions.components_[: delplace.LEADING], directions.mean_

    def compute(of: Pair) -> Sequence[float]:
        rows = flat(of.other.images)
        return (
            delplace.realism_formula(rows, leading),
            delplace.realism_coded(rows, leading, mean),
            delplace.variation(rows),
            delplace.variation_coded(rows),
            delplace.diversity(rows),
            delplace.diversity_coded(rows),
        )

    methods = {
        "rho_formula": "mean norm of products with 16 leading directions, as printed",
        "rho_coded": "the same, centred and normalised, as coded",
        "sigma": "trace of the covariance of pixels, corrected",
        "sigma_coded": "sum of the images' own variances, as coded; grows with n",
        "delta": "eigenvalues above 1 % of sigma, corrected",
        "delta_coded": "the same of the covariance of images, as coded",
    }
    kinds = (Kind(name, "real", f"Delplace 2020: {text}") for name, text in methods.items())
    return Measure(tuple(kinds), "pixels", compute, COSTLY_DRAWS, alone=True)
