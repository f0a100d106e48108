"""The Frechet distance of two clouds of features, taken as Gaussians."""

import numpy as np
from jaxtyping import Float
from scipy import linalg

from mrgantry.common.errors import DataError

Moments = tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d d"]]


def frechet_distance(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> float:
    """Give |mu_x - mu_y|^2 + tr(S_x + S_y - 2 (S_x S_y)^1/2) (Dowson and Landau 1982).

    With fewer rows than features the covariances are singular, and the trace of the root is
    the sum of the singular values of the small matrix of products between rows.

    Args:
        x: Features of one set; at least two rows.
        y: Features of the other. The distance is biased by the numbers of rows, so
            compare only distances at equal n.

    Raises:
        DataError: A set has fewer than two rows.
    """
    if min(len(x), len(y)) < 2:
        raise DataError(f"A Frechet distance needs 2 images a side, not {len(x)} and {len(y)}.")
    x, y = x.astype(np.float64), y.astype(np.float64)
    if min(len(x), len(y)) > x.shape[1]:
        return distance_of_moments(moments(x), moments(y))
    difference = x.mean(0) - y.mean(0)
    x, y = (
        (rows - rows.mean(0)) / np.sqrt(len(rows) - 1) for rows in (x, y)
    )  # x'x is the covariance
    root = linalg.svdvals(x @ y.T).sum()
    return float(difference @ difference + (x**2).sum() + (y**2).sum() - 2 * root)


def moments(rows: Float[np.ndarray, "n d"]) -> Moments:
    """Give mean and covariance."""
    return rows.mean(0), np.atleast_2d(np.cov(rows, rowvar=False))


def distance_of_moments(one: Moments, other: Moments) -> float:
    """Give the distance of two Gaussians, in float64.

    With the Cholesky factor L of S_x, the eigenvalues of S_x S_y are those of the symmetric
    L' S_y L. They cannot leave the real numbers, as a general matrix root can, and
    take a fraction of its time.
    """
    (mean_x, cov_x), (mean_y, cov_y) = one, other
    try:
        factor = linalg.cholesky(cov_x, lower=True)
    except linalg.LinAlgError:  # features that do not vary, or only together
        values, vectors = linalg.eigh(cov_x)
        factor = vectors * np.sqrt(values.clip(0))
    shared = linalg.eigh(factor.T @ cov_y @ factor, eigvals_only=True)
    difference = mean_x - mean_y
    trace = np.trace(cov_x) + np.trace(cov_y) - 2 * np.sqrt(shared.clip(0)).sum()
    return float(difference @ difference + trace)
