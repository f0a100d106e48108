"""Realism, variation and diversity as Delplace (arXiv:2002.02527) measures them.

His text and his code differ, so each is given where they do.
"""

import numpy as np
from jaxtyping import Float
from scipy import linalg

Rows = Float[np.ndarray, "n d"]
LEADING = 16  # principal directions of the real data that realism looks along


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
    """Give delta: how many eigenvalues of the covariance of pixels exceed 1 % of their sum."""
    values = spectrum(rows)
    return float((values > 0.01 * values.sum()).sum())


def spectrum(rows: Rows) -> Float[np.ndarray, " k"]:
    """Give the eigenvalues of the covariance of pixels, falling."""
    centred = rows - rows.mean(0)
    # The non-zero eigenvalues of X'X are those of XX', which is smaller.
    gram = centred @ centred.T if len(rows) < rows.shape[1] else centred.T @ centred
    return linalg.eigh(gram.astype(np.float64) / (len(rows) - 1), eigvals_only=True)[::-1].clip(0)
