"""Intervals of means over readers that hold for other readers and other images.

A reader's share varies with the reader and with the images. Its mean over readers varies with
the spread of the readers, which few readers tell badly, and with what is common to all of them:
the images that all have seen. The degrees of freedom follow from how much of it is the first.

Where readers have answered different numbers of images, each counts for what was answered. Where
they differ less than chance in their images alone would have it, that is taken for their spread.

Source: Obuchowski and Rockette 1995 (the model); Hillis 2007, Statistics in Medicine 26:596
(the degrees of freedom of a single modality, there ddf_H).
"""

from dataclasses import dataclass
from math import inf, sqrt
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import t

FEW = 5  # readers, below which an interval over readers is remarked


@dataclass(frozen=True)
class ReaderMean:
    """A mean over readers, and what it varies with.

    Attributes:
        value: The mean.
        spread: Variance of the mean that comes of the readers, images of one's own included.
        free: Degrees of freedom of `spread`.
        common: Variance of the mean that comes of images in common; 0 if there are none.
        shares: By which each reader counts; their sum is 1.
    """

    value: float
    spread: float
    free: float
    common: float
    shares: Float[np.ndarray, " readers"]

    @classmethod
    def of(
        cls,
        values: Float[np.ndarray, " readers"],
        weights: Float[np.ndarray, " readers"],
        covariance: Float[np.ndarray, "readers readers"],
    ) -> "ReaderMean":
        """Give the mean of two readers or more.

        Args:
            values: Of each reader.
            weights: Of each reader, above 0: numbers of answers.
            covariance: Of the readers' values, over other images.
        """
        shares = weights / weights.sum()
        squares = float((shares**2).sum())
        value = float(shares @ values)
        variance = float(shares @ (values - value) ** 2) / (1 - squares)
        own = np.diag(covariance)
        common = max(0.0, float(shares @ (covariance - np.diag(own)) @ shares) / (1 - squares))
        # Satterthwaite's, of the weighted sum of squares; with equal weights readers - 1.
        cubes = float((shares**3).sum())
        return cls(
            value=value,
            spread=max(variance * squares, float(shares**2 @ own) - squares * common),
            free=(1 - squares) ** 2 / (squares - 2 * cubes + squares**2),
            common=common,
            shares=shares,
        )


class Width(NamedTuple):
    """How uncertain a mean or a difference is.

    Attributes:
        error: Standard error.
        half: Half the width of the interval of 95 %.
        free: Degrees of freedom; infinite where readers add nothing.
    """

    error: float
    half: float
    free: float

    def p(self, value: float) -> float:
        """Give the two-sided probability of a value as far from 0 as this, if 0 were true."""
        return float(2 * t.sf(abs(value) / self.error, self.free))


def half_width(common: float, *means: ReaderMean) -> Width | None:
    """Give the uncertainty of a mean or of a difference of two.

    Args:
        common: Variance that comes of images in common.
        means: One, or the two that are subtracted.

    Returns:
        None where neither readers nor images differ.
    """
    variance = common + sum(mean.spread for mean in means)
    if variance <= 0:
        return None
    of_readers = sum(mean.spread**2 / mean.free for mean in means)
    free = variance**2 / of_readers if of_readers > 0 else inf
    error = sqrt(variance)
    return Width(error, float(t.ppf(0.975, free)) * error, free)
