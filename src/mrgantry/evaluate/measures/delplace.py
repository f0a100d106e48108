"""Realism, variation and diversity as Delplace (arXiv:2002.02527) measures them.

His text and his code differ, so each is given where they do.
"""

import numpy as np
from jaxtyping import Float
from sklearn.utils.extmath import randomized_svd

Rows = Float[np.ndarray, "n d"]
LEADING = 16  # principal directions of the real data that realism looks along
SHARE = 0.01  # of the total variance, above which an eigenvalue counts for diversity


def realism_formula(rows: Rows, directions: Float[np.ndarray, "k d"]) -> float:
    """Give rho as printed: mean norm of an image's products with leading directions.

    Nothing is centred or normalised, so it grows with the images' contrast.
    """
    return float(np.linalg.norm(rows @ directions.T, axis=1).mean())


def realism_coded(
    rows: Rows, directions: Float[np.ndarray, "k d"], mean: Float[np.ndarray, " d"]
) -> float:
    """Give rho as coded: the same after centring on the real mean and normalising.

    The products are then cosines, so rho lies in [0, 1]; the printed 0.739 of the
    training data fits this form.
    """
    centred = rows - mean
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return realism_formula(centred / np.maximum(length, 1e-12), directions)


def variation(rows: Rows) -> float:
    """Give sigma, corrected: the trace of the covariance of pixels."""
    return float(rows.var(axis=0, ddof=1, dtype=np.float64).sum())


def variation_coded(rows: Rows) -> float:
    """Give sigma as coded: images stand as variables, so it grows with their number.

    It is the trace of an n x n covariance: the sum of the images' own variances.
    """
    return float(rows.astype(np.float64).var(axis=1, ddof=1).sum())


def diversity(rows: Rows) -> float:
    """Give delta, corrected: eigenvalues of the covariance of pixels above 1 % of sigma."""
    return float(_large(rows - rows.mean(0)))


def diversity_coded(rows: Rows) -> float:
    """Give delta as coded: the same of the covariance with images as variables.

    The program counts up to the first eigenvalue that is too small, in the order in which
    the solver gives them; here that order is falling, so that it counts all large ones. The mean
    image, which no pixel's mean takes away, is the first of them.
    """
    return float(_large(rows - rows.mean(1, keepdims=True)))


def _large(centred: Rows) -> int:
    """Count the squared singular values that exceed 1 % of their sum: at most 99."""
    total = float(np.einsum("nd,nd->", centred, centred, dtype=np.float64))
    count = 32  # enough for brains, whose number is about 15
    while True:
        count = min(count, *centred.shape)
        _, values, _ = randomized_svd(centred, count, n_iter=4, random_state=0)
        large = int((values.astype(np.float64) ** 2 > SHARE * total).sum())
        if large < count or count == min(*centred.shape, 100):
            return large
        count = 100
