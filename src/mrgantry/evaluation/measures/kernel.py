"""The kernel distance of two clouds (Binkowski et al. 2018): unbiased, unlike the Frechet one."""

import numpy as np
from jaxtyping import Float

from mrgantry.common.errors import DataError
from mrgantry.evaluation.measures.measure import Explanation, Kind, Measure

DEGREE = 3


def kernel_distance(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> float:
    """Give the squared maximum mean discrepancy with the kernel (x . y / d + 1)^3.

    The estimate is unbiased: 0 on average for one population, and below 0 at times. With
    Inception's features this is the KID; here the average over half-samples takes the
    place of its subsets.

    Args:
        x: Features of one set.
        y: Features of the other.

    Raises:
        DataError: A set has fewer than two rows.
    """
    if min(len(x), len(y)) < 2:
        raise DataError(f"A kernel distance needs 2 images a side, not {len(x)} and {len(y)}.")
    return _within(x) + _within(y) - 2 * float(_kernel(x, y).mean())


def _kernel(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "n m"]:
    return (x @ y.T / x.shape[1] + 1) ** DEGREE


def _within(x: Float[np.ndarray, "n d"]) -> float:
    """Average the kernel over all pairs of different rows."""
    products = _kernel(x, x)
    return float((products.sum() - np.trace(products)) / (len(x) * (len(x) - 1)))


def kernel_measure(features: str) -> Measure:
    """Give the kernel distance on the features of one extractor."""
    kind = Kind("kernel_distance", "lower", "squared MMD with a cubic kernel, unbiased (KID)")
    return Measure(
        (kind,),
        features,
        lambda of: (kernel_distance(of.real.features[features], of.other.features[features]),),
    )


EXPLANATIONS = (
    Explanation(
        titles={"kernel_distance": "Kernel distance"},
        question="population",
        word="MMD",
        answers="Do both sets come from one population, by a measure that few images do not bias?",
        how=(
            "The squared maximum mean discrepancy of both clouds with the kernel (x.y / d + 1)^3, "
            "all pairs of an image with itself left out. On Inception's features this is the KID."
        ),
        good="Near 0, the mean of one population; it may fall below 0 by chance.",
        blind=(
            "Unbiased does not mean exact: with few subjects it spreads widely, as the floor's "
            "interval shows. The cubic kernel minds moments up to the third. Like Fréchet "
            "distances it mixes fidelity with variety, sees only what the features hold, and "
            "rewards copies."
        ),
        source="Bińkowski et al. 2018.",
        family="distances",
        short="KID",
        joins=("random-net", "brain-net"),
    ),
)
