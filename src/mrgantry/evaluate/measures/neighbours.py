"""Nearest training images: does the generator copy patients?

A distance to the training images alone tells little: blurred images lie nearer to anything,
noisy ones farther from everything. So each image's distance to its nearest training image
stands over that to its nearest *held-out* real image. Copies lie far nearer to what they
copy; how near is usual, real images of yet other subjects tell.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

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
    images: Rows, others: Float[np.ndarray, "m d"], block: int = 1024
) -> tuple[Float[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Find the nearest of some other images to each image.

    Returns:
        Root-mean-square differences of pixels, and rows of the others.
    """
    lengths = (others**2).sum(1)
    found, rows = [], []
    for start in range(0, len(images), block):
        some = images[start : start + block]
        squares = lengths - 2 * some @ others.T  # but for what is the same in a row
        best = squares.argmin(1)
        # The expanded square cancels badly for near copies, so the best is done again.
        exact = ((some - others[best]) ** 2).mean(1)
        found.append(np.sqrt(exact))
        rows.append(best)
    return np.concatenate(found).astype(np.float64), np.concatenate(rows)
