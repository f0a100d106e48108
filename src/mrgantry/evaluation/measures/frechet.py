"""The Frechet distance of two clouds of features, taken as Gaussians."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import linalg

from mrgantry.common.errors import DataError
from mrgantry.evaluation.cloud import Pair
from mrgantry.evaluation.measures.measure import Explanation, Kind, Measure

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


def distance_of_moments(x: Moments, y: Moments) -> float:
    """Give the distance of two Gaussians, in float64.

    With the Cholesky factor L of S_x, the eigenvalues of S_x S_y are those of the symmetric
    L' S_y L. They cannot leave the real numbers, as a general matrix root can, and
    take a fraction of its time.
    """
    (mean_x, cov_x), (mean_y, cov_y) = x, y
    try:
        factor = linalg.cholesky(cov_x, lower=True)
    except linalg.LinAlgError:  # features that do not vary, or only together
        values, vectors = linalg.eigh(cov_x)
        factor = vectors * np.sqrt(values.clip(0))
    shared = linalg.eigh(factor.T @ cov_y @ factor, eigvals_only=True)
    difference = mean_x - mean_y
    trace = np.trace(cov_x) + np.trace(cov_y) - 2 * np.sqrt(shared.clip(0)).sum()
    return float(difference @ difference + trace)


def frechet_measure(features: str) -> Measure:
    """Give the Frechet distance on the features of one extractor, and over the floor."""
    relative, name = "relative_fd", "frechet_distance"
    if features == "inception":
        relative, name = "relative_fid", "fid"
    what = "Frechet distance of clouds of equal n"
    over_floor = f"{what}, over its mean between halves of the real"
    kinds = (Kind(relative, "lower", over_floor, relative=True), Kind(name, "lower", what))

    def compute(of: Pair) -> Sequence[float]:
        distance = frechet_distance(of.real.features[features], of.other.features[features])
        return distance, distance

    return Measure(kinds, features, compute)


EXPLANATIONS = (
    Explanation(
        titles={"relative_fd": "Relative FD", "relative_fid": "Relative FID"},
        question="population",
        word="Fréchet, over the floor",
        answers="How many times as far from the held-out real images are these as other real ones?",
        how=(
            "The Fréchet distance of synthetic and real features, divided by the mean distance "
            "between two halves of the real subjects at the same n. On Inception's features the "
            "distance is the FID."
        ),
        good=(
            "Lower. 1 is as far as one half of the subjects is from the other; below 1 occurs, "
            "since synthetic images mix all heads and halves do not."
        ),
        blind=(
            "Only means and covariances count, so clouds of another shape can score 0. One number "
            "for fidelity and variety: it does not say which is missing. On principal directions "
            "it does not notice blur, noise or checkerboards. Copies of training images score "
            "well."
        ),
        source=(
            "Dowson and Landau 1982; Heusel et al. 2017 for the FID. The ratio to the floor is "
            "ours."
        ),
        family="distances",
        short="FD",
        leads=("random-net", "brain-net"),
        joins=("brain-map", "pca64"),
    ),
    Explanation(
        titles={"frechet_distance": "Fréchet distance", "fid": "FID"},
        question="population",
        word="Fréchet",
        answers="How far apart are real and synthetic images, taken as two Gaussians?",
        how=(
            "Means μ and covariances Σ of the features of both sets give |μ1 − μ2|² + tr(Σ1 + Σ2 − "
            "2 (Σ1 Σ2)^½). FID is its name on Inception's features, and there alone."
        ),
        good="Lower, down to the floor.",
        blind=(
            "It is biased: the fewer images, the larger, often by more than generators differ. So "
            "only equal n and the floor count, and FIDs in papers, of 10,000 images or more, "
            "cannot be compared with these. Distances on different features have different units. "
            "Otherwise as relative FD."
        ),
        source="Dowson and Landau 1982; Heusel et al. 2017.",
    ),
)
