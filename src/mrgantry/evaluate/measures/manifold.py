"""Precision, recall, density and coverage: fidelity apart from diversity.

Around each image of a set lies a ball that reaches to its k-th nearest neighbour in that
set. Improved precision and recall: Kynkaanniemi et al. 2019; density and coverage: Naeem
et al. 2020, equations 6 and 7.

Neighbouring slices of one subject are nearly alike. So only slices of *other* subjects
count as neighbours here: otherwise the balls of real images reach no further than the
next slice of the same head, and images of a new subject, however real, lie outside.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from mrgantry.common.errors import DataError

K = 5  # as Naeem et al.
BLOCK = 1000  # images whose distances are held at a time


class Manifold(NamedTuple):
    """How two clouds cover each other.

    Attributes:
        precision: Share of the synthetic images that lie in some ball of a real image.
        density: In how many balls of real images a synthetic one lies, over k: unlike
            precision it is not fooled by one real outlier, and it may exceed 1.
        recall: Share of the real images that lie in some ball of a synthetic image.
        coverage: Share of the balls of real images that hold a synthetic one.
    """

    precision: float
    density: float
    recall: float
    coverage: float


def manifold(
    real: Float[np.ndarray, "n d"],
    synthetic: Float[np.ndarray, "m d"],
    subjects: tuple[Shaped[np.ndarray, " n"], Shaped[np.ndarray, " m"]],
    k: int = K,
) -> Manifold:
    """Compare two clouds by their neighbourhoods.

    Args:
        real: Features of real images.
        synthetic: Features of synthetic ones; n and m should be equal, since recall and
            coverage rise with m.
        subjects: Whom each image shows, of both; all different gives the printed measures.
        k: Neighbours.

    Raises:
        DataError: An image has fewer than k neighbours of other subjects.
    """
    between = distances(real, synthetic)
    real_reach, synthetic_reach = reach(real, subjects[0], k), reach(synthetic, subjects[1], k)
    in_real = between <= real_reach[:, None]
    return Manifold(
        precision=float(in_real.any(0).double().mean()),
        density=float(in_real.sum(0).double().mean() / k),
        recall=float((between <= synthetic_reach[None]).any(1).double().mean()),
        coverage=float(in_real.any(1).double().mean()),
    )


def reach(
    rows: Float[np.ndarray, "n d"], subjects: Shaped[np.ndarray, " n"], k: int = K
) -> Float[Tensor, " n"]:
    """Give the distance from each row to its k-th nearest row of another subject.

    Raises:
        DataError: A row has fewer than k such neighbours.
    """
    _, numbers, counts = np.unique(subjects, return_inverse=True, return_counts=True)
    if len(rows) - counts.max(initial=0) < k:
        raise DataError(
            f"Precision and recall need {k} neighbours of other subjects around each image, "
            f"but of {len(rows)} images {counts.max(initial=0)} are of one subject."
        )
    apart = distances(rows, rows)
    owner = torch.from_numpy(numbers)
    apart[owner[:, None] == owner[None]] = torch.inf
    return apart.kthvalue(k, dim=1).values


def distances(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> Float[Tensor, "n m"]:
    """Give Euclidean distances.

    The expanded square loses digits far from the origin, so it is taken about the mean.
    """
    centre = y.mean(0)
    a, b = (torch.from_numpy(rows - centre) for rows in (x, y))
    squares = torch.addmm((b**2).sum(1)[None], a, b.T, alpha=-2).add_((a**2).sum(1)[:, None])
    return squares.clamp_(min=0).sqrt_().float()


def kth_nearest(
    rows: Float[np.ndarray, "n d"],
    owners: Int[np.ndarray, " n"],
    real: Float[np.ndarray, "m d"],
    real_owners: Int[np.ndarray, " m"],
    k: int = K,
) -> Float[np.ndarray, " n"]:
    """Give the distance from each row to its k-th nearest real row of another owner.

    Real and synthetic images both go through here, so that they are measured alike; some at a
    time, since all distances within a large training split do not fit into memory.
    """
    found = []
    for start in range(0, len(rows), BLOCK):
        some = slice(start, start + BLOCK)
        apart = distances(rows[some], real)
        apart[torch.from_numpy(owners[some, None] == real_owners[None])] = torch.inf
        found.append(apart.kthvalue(k, dim=1).values)
    return torch.cat(found).double().numpy()
