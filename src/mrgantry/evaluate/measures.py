"""The list of measures: what each is computed of, how it is called, and what is better."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mrgantry.common.score import Better
from mrgantry.evaluate import delplace
from mrgantry.evaluate.c2st import c2st_cnn, c2st_logistic, c2st_low_pass, c2st_neighbours
from mrgantry.evaluate.cloud import Pair
from mrgantry.evaluate.features import Extractor, flat
from mrgantry.evaluate.frechet import frechet_distance
from mrgantry.evaluate.kernel import kernel_distance
from mrgantry.evaluate.manifold import K, manifold
from mrgantry.evaluate.ms_ssim import scales, similarity_of_pairs
from mrgantry.evaluate.neighbours import copying
from mrgantry.evaluate.spectrum import spectral_difference

DRAWS, COSTLY_DRAWS = 40, 10  # half-samples for most measures, and for costly ones
PAIRS = 400  # of images, for MS-SSIM in one draw
# Features that every cloud has beside the extractors': small images, spectra, and the
# distance to the nearest training image with its row.
REDUCED, SPECTRUM, TO_TRAIN = "reduced", "spectrum", "to train"


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


def all_measures(
    directions: Any, extractors: Sequence[Extractor], size: int, *, copies: bool = True
) -> Iterator[Measure]:
    """List the measures, most telling first.

    Args:
        directions: Principal directions of the training images.
        extractors: Those directions first, then networks.
        size: Of the images, in pixels.
        copies: Whether copying can be measured: not where training images themselves are
            compared with.
    """
    pca, *networks = (one.name for one in extractors)
    for features in (pca, *networks):
        yield distances_on(features)
    for features in networks:
        # Not on principal directions: these fit the training images so well that images
        # copied from them spread more widely there than new ones do.
        yield manifold_on(features)
    yield from classifiers(pca)
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
    yield Measure(
        (
            Kind(
                "spectral_difference",
                "lower",
                "root-mean-square difference of mean radial power spectra, dB",
            ),
        ),
        "pixels",
        lambda of: (spectral_difference(of.real.features[SPECTRUM], of.other.features[SPECTRUM]),),
    )
    if copies:
        yield copying_measure()
    yield delplace_measure(directions)


def distances_on(features: str) -> Measure:
    """Give the Frechet and the kernel distance on the features of one extractor."""

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
    return Measure(kinds, features, compute)


def manifold_on(features: str) -> Measure:
    """Give precision, density, recall and coverage on the features of one extractor."""

    def compute(of: Pair) -> Sequence[float]:
        x, y = of.real, of.other
        return manifold(x.features[features], y.features[features], (x.subjects, y.subjects))

    near = f"of the {K}th nearest of other subjects"
    kinds = (
        Kind("precision", "higher", f"synthetic images within reach {near} of a real one"),
        Kind("density", "higher", f"real images within whose reach {near} one lies, over {K}"),
        Kind("recall", "higher", f"real images within reach {near} of a synthetic one"),
        Kind("coverage", "higher", f"real images with a synthetic one within reach {near}"),
    )
    return Measure(kinds, features, compute)


def classifiers(pca: str) -> Iterator[Measure]:
    """List the classifier two-sample tests, fast ones first."""
    half = "half of the subjects held out"

    def one(
        name: str, of_what: str, what: str, compute: Callable[[Pair], float], draws: int
    ) -> Measure:
        kind = Kind(name, "half", f"held-out accuracy of {what}, {half}")
        return Measure((kind,), of_what, lambda of: (compute(of),), draws)

    yield one(
        "c2st_logistic",
        pca,
        "a logistic classifier",
        lambda of: c2st_logistic(of.real, of.other, pca, of.seed),
        DRAWS,
    )
    yield one(
        "c2st_neighbours",
        pca,
        "the vote of 5 nearest neighbours",
        lambda of: c2st_neighbours(of.real, of.other, pca, of.seed),
        DRAWS,
    )
    yield one(
        "c2st_cnn",
        "pixels",
        "a small convolutional network",
        lambda of: c2st_cnn(of.real, of.other, of.seed),
        COSTLY_DRAWS,
    )
    yield one(
        "c2st_low_pass",
        "pixels",
        "a small convolutional network on images without fine texture",
        lambda of: c2st_low_pass(of.real, of.other, of.seed),
        COSTLY_DRAWS,
    )


def copying_measure() -> Measure:
    """Give how much nearer images lie to training images than to held-out real ones."""
    what = "nearest training image over nearest held-out one, relative to real images"
    kinds = (
        Kind("copying_ratio", "higher", f"{what}, median", relative=True),
        Kind("copying_ratio_rare", "higher", f"{what}, lowest hundredth", relative=True),
    )

    def compute(of: Pair) -> Sequence[float]:
        to_train = of.other.features[TO_TRAIN][:, 0]
        return copying(of.other.features[REDUCED], to_train, of.real.features[REDUCED])

    return Measure(kinds, "pixels", compute, alone=True)


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
