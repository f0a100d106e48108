"""The Frechet distance of two clouds of features, taken as Gaussians."""

import numpy as np
from jaxtyping import Float
from scipy import linalg

from mrgantry.common.errors import DataError


def frechet_distance(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> float:
    """Give |mu_x - mu_y|^2 + tr(S_x + S_y - 2 (S_x S_y)^1/2) (Dowson and Landau 1982).

    The trace of the root is taken of the symmetric matrix S_x^1/2 S_y S_x^1/2, which
    has the same eigenvalues as S_x S_y: `eigh` is faster than a general matrix root
    and cannot leave the real numbers. All in float64.

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
    difference = x.mean(0) - y.mean(0)
    cov_x, cov_y = np.atleast_2d(np.cov(x, rowvar=False)), np.atleast_2d(np.cov(y, rowvar=False))
    values, vectors = linalg.eigh(cov_x)
    root_x = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    shared = linalg.eigh(root_x @ cov_y @ root_x, eigvals_only=True)
    trace = np.trace(cov_x) + np.trace(cov_y) - 2 * np.sqrt(shared.clip(0)).sum()
    return float(difference @ difference + trace)
