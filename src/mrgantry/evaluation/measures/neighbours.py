"""Nearest training images: does the generator copy patients?

A distance to the training images alone tells little: blurred images lie nearer to anything,
noisy ones farther from everything. So each image's distance to its nearest training image
stands over that to its nearest *held-out* real image. Copies lie far nearer to what they
copy; how near is usual, real images of yet other subjects tell.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from mrgantry.evaluation.cloud import Pair
from mrgantry.evaluation.measures.measure import (
    MIRRORED,
    REDUCED,
    TO_TRAIN,
    Explanation,
    Kind,
    Measure,
)

RARE = 0.01  # the share of images that the low quantile looks at
TINY = 1e-6  # a distance, so that an image in both sets gives a ratio of 1

Rows = Float[np.ndarray, "n d"]


class Copying(NamedTuple):
    """How much nearer to training images than to held-out ones a set lies.

    Attributes:
        median: Ratio of distances of the middle image.
        rare: That of the most suspicious hundredth, since few copies move no median.
    """

    median: float
    rare: float


def copying(
    images: Rows, to_train: Float[np.ndarray, " n"], held_out: Float[np.ndarray, "m d"]
) -> Copying:
    """Compare the distances to training images with those to held-out images.

    Args:
        images: One row of pixels an image.
        to_train: Their distances to the nearest training image.
        held_out: Real images of other subjects.
    """
    ratios = ratio(to_train, nearest(images, held_out)[0])
    return Copying(float(np.median(ratios)), float(np.quantile(ratios, RARE)))


def ratio(to_train: Float[np.ndarray, " n"], to_held_out: Float[np.ndarray, " n"]) -> np.ndarray:
    """Divide distances; an image that lies in both sets counts as lying as near to both."""
    return (to_train + TINY) / (to_held_out + TINY)


def nearest(
    images: Rows, candidates: Float[np.ndarray, "m d"], block: int = 1024
) -> tuple[Float[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Find the nearest of some other images to each image.

    Returns:
        Root-mean-square differences of pixels, and rows of the others.
    """
    lengths = (candidates**2).sum(1)
    distances, rows = [], []
    for start in range(0, len(images), block):
        chunk = images[start : start + block]
        squares = lengths - 2 * chunk @ candidates.T  # but for what is the same in a row
        best = squares.argmin(1)
        # The expanded square cancels badly for near copies, so the best is done again.
        exact = ((chunk - candidates[best]) ** 2).mean(1)
        distances.append(np.sqrt(exact))
        rows.append(best)
    return np.concatenate(distances).astype(np.float64), np.concatenate(rows)


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


EXPLANATIONS = (
    Explanation(
        titles={"copying_ratio": "Copying, median"},
        question="copies",
        word="nearest neighbours",
        beyond="farther",
        answers="Does the generator draw its training images instead of new heads?",
        how=(
            "For each synthetic image: the distance to its nearest training image over that to its "
            "nearest image of the held-out half, mirrored or not, on pixels reduced to 32 x 32 or "
            "on brain-map. The median is "
            "divided by what real images of yet other people give, whose ratio is no 1 where there "
            "are more training images than held-out ones."
        ),
        good=(
            "1: as near to the people that it has seen as any new person is. Below the floor: "
            "nearer than new people are; far below 1: copies."
        ),
        blind=(
            "In pixels: copies that are shifted, turned or brightened. On brain-map: what "
            "its network does not know. A median is not "
            "moved by a few copies: see the rare ratio. Bad images are far from all people alike "
            "and score 1 or more, so above the floor is no merit. It is no proof of privacy."
        ),
        source="Ours; the comparison with held-out images follows Meehan et al. 2020.",
        family="copying",
        short="copying",
        leads=("pixels",),
        joins=("brain-map",),
    ),
    Explanation(
        titles={"copying_ratio_rare": "Copying, rarest 1 %"},
        question="copies",
        word="nearest neighbours",
        beyond="farther",
        answers="Are there single copies among many new images?",
        how=(
            "The same ratio, of the lowest hundredth of the images instead of the middle one, and "
            "divided by the same of real images."
        ),
        good=(
            "1, as the floor shows it; below it some images lie suspiciously near to training "
            "images."
        ),
        blind=(
            "Fewer copies than one in a hundred; look at the pairs. With few images in a draw it "
            "rests on one or two of them. Otherwise as the median."
        ),
        source="Ours, as the median.",
        family="copying",
        short="copying, rare",
        leads=("pixels",),
        joins=("brain-map",),
    ),
)
