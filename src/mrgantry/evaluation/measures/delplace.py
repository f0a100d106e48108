"""Realism, variation and diversity as Delplace (arXiv:2002.02527) measures them.

His text and his code differ, so each is given where they do.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from sklearn.utils.extmath import randomized_svd

from mrgantry.evaluation.cloud import Pair
from mrgantry.evaluation.extractors.features import flat
from mrgantry.evaluation.measures.measure import COSTLY_DRAWS, Explanation, Kind, Measure

Rows = Float[np.ndarray, "n d"]
LEADING = 16  # principal directions of the real data that realism looks along
IMAGES = 11_328  # in the paper; the total variance as coded grows with their number
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


def variation_coded(rows: Rows, at: int = IMAGES) -> float:
    """Give sigma as coded: the trace of a covariance with images as variables.

    The program subtracts the mean image and then takes each image's own variance, so that the
    sum grows with the number of images. It is brought to the paper's number here, by which it
    can be compared with the printed values and between sets of different sizes.

    Args:
        rows: Images, a row each; at least two.
        at: Number of images that the sum is brought to; as many as there are rows give what the
            program gives.
    """
    rest = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    # The deviations from a mean of n images have n - 1 degrees of freedom.
    return float(rest.var(axis=1, ddof=1).sum() * (at - 1) / (len(rows) - 1))


def diversity(rows: Rows) -> float:
    """Give delta, corrected: eigenvalues of the covariance of pixels above 1 % of sigma."""
    return float(_large(rows - rows.mean(0)))


def diversity_coded(rows: Rows) -> float:
    """Give delta as coded: the same of the covariance with images as variables.

    The program subtracts the mean image first, as for sigma. It counts up to the first
    eigenvalue that is too small, in the order in which the solver gives them; here that order
    is falling, so that it counts all large ones.
    """
    rest = rows - rows.mean(0)
    return float(_large(rest - rest.mean(1, keepdims=True)))


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


def delplace_measure(directions: Any) -> Measure:
    """Give Delplace's realism, variation and diversity, in all their forms."""
    leading, mean = directions.components_[:LEADING], directions.mean_

    def compute(of: Pair) -> Sequence[float]:
        rows = flat(of.other.images)
        return (
            realism_formula(rows, leading),
            realism_coded(rows, leading, mean),
            variation(rows),
            variation_coded(rows),
            diversity(rows),
            diversity_coded(rows),
        )

    methods = {
        "rho_formula": "mean norm of products with 16 leading directions, as printed",
        "rho_coded": "the same, centred and normalised, as coded",
        "sigma": "trace of the covariance of pixels, corrected",
        "sigma_coded": f"trace of the covariance of images, as coded, at {IMAGES:,} images",
        "delta": "eigenvalues above 1 % of sigma, corrected",
        "delta_coded": "the same of the covariance of images, as coded",
    }
    kinds = (Kind(name, "real", f"Delplace 2020: {text}") for name, text in methods.items())
    return Measure(tuple(kinds), "pixels", compute, COSTLY_DRAWS, alone=True)


EXPLANATIONS = (
    Explanation(
        titles={"rho_formula": "ρ, formula", "rho_coded": "ρ, coded"},
        question="delplace",
        word="projection",
        heading="ρ: realism after Delplace",
        answers="Do the images lie along the leading directions of the real ones?",
        how=(
            "The mean length of an image's products with the 16 leading principal directions of "
            "the training images. Formula: as printed, neither centred nor normalised. Coded: as "
            "his program does it, centred and normalised, so that it lies between 0 and 1."
        ),
        good="As real images.",
        blind=(
            "The formula grows with contrast. The coded form rewards images without fine detail, "
            "since all that is left then lies along these directions. Neither sees missing "
            "variety."
        ),
        source="Delplace 2020, arXiv:2002.02527.",
    ),
    Explanation(
        titles={"sigma": "σ", "sigma_coded": "σ, coded"},
        question="delplace",
        word="variance",
        heading="σ: variation after Delplace",
        answers="Do the images vary as much as real ones?",
        how=(
            "σ is the trace of the covariance of pixels: the summed variance over images. Coded: "
            "his program takes the mean image away and then images for variables, which sums the "
            "variances within images instead. That sum grows with the number of images, so it is "
            "brought to the 11,328 of the paper."
        ),
        good="As real images.",
        blind=(
            "Noise is variance too. The coded form leaves out what makes whole images brighter or "
            "darker."
        ),
        source="Delplace 2020, arXiv:2002.02527; σ is corrected.",
    ),
    Explanation(
        titles={"delta": "δ", "delta_coded": "δ, coded"},
        question="delplace",
        word="eigenvalues",
        heading="δ: diversity after Delplace",
        answers="In how many directions do the images vary?",
        how=(
            "The number of eigenvalues of the covariance of pixels above 1 % of σ. Coded: of the "
            "covariance of images, the mean image taken away, as in his program."
        ),
        good="As real images.",
        blind=(
            "It cannot exceed 99, counts whole numbers and knows no directions: another variety of "
            "the same number scores the same. The coded form leaves out what makes whole images "
            "brighter or darker."
        ),
        source="Delplace 2020, arXiv:2002.02527; δ is corrected.",
    ),
)
