"""Precision, recall, density and coverage: fidelity apart from diversity.

Around each image of a set lies a ball that reaches to its k-th nearest neighbour in that
set. Improved precision and recall: Kynkaanniemi et al. 2019; density and coverage: Naeem
et al. 2020, equations 6 and 7.

Neighbouring slices of one subject are nearly alike. So only slices of *other* subjects
count as neighbours here: otherwise the balls of real images reach no further than the
next slice of the same head, and images of a new subject, however real, lie outside.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from mrgantry.common.errors import DataError
from mrgantry.evaluation.cloud import Pair
from mrgantry.evaluation.measures.measure import Explanation, Kind, Measure

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
    kth = []
    for start in range(0, len(rows), BLOCK):
        chunk = slice(start, start + BLOCK)
        apart = distances(rows[chunk], real)
        apart[torch.from_numpy(owners[chunk, None] == real_owners[None])] = torch.inf
        kth.append(apart.kthvalue(k, dim=1).values)
    return torch.cat(kth).double().numpy()


def manifold_measure(features: str) -> Measure:
    """Give precision, density, recall and coverage on the features of one extractor."""

    def compute(of: Pair) -> Sequence[float]:
        x, y = of.real, of.other
        return manifold(x.features[features], y.features[features], (x.subjects, y.subjects))

    near = f"of the {K}th nearest of other subjects"
    kinds = (
        Kind("precision", "higher", f"synthetic images within reach {near} of a real one"),
        Kind("density", "enough", f"real images within whose reach {near} one lies, over {K}"),
        Kind("recall", "higher", f"real images within reach {near} of a synthetic one"),
        Kind("coverage", "higher", f"real images with a synthetic one within reach {near}"),
    )
    return Measure(kinds, features, compute)


EXPLANATIONS = (
    Explanation(
        titles={"precision": "Precision"},
        question="plausible",
        word="share inside",
        answers="Which share of the synthetic images looks like some real one?",
        how=(
            "Around each real image lies a ball that reaches to its 5th nearest real image of "
            "another subject. Counted are the synthetic images inside any ball."
        ),
        good="Higher, up to the floor or above.",
        blind=(
            "A single odd real image has a huge ball and lets anything pass; density mends that. A "
            "generator that makes one good image again and again has precision 1: look at recall "
            "and coverage."
        ),
        source=(
            "Kynkäänniemi et al. 2019. That neighbours must be other subjects is ours: next slices "
            "of one head would make all balls too small."
        ),
        family="fidelity",
        leads=("random-net",),
        joins=("brain-net", "brain-map"),
    ),
    Explanation(
        titles={"density": "Density"},
        question="plausible",
        word="balls per image",
        beyond="denser",
        answers="Do the synthetic images lie where real ones are dense?",
        how=(
            "The number of real images' balls (as for precision) that a synthetic image lies in, "
            "over 5, averaged."
        ),
        good="As high as the floor, which may exceed 1.",
        blind=(
            "Images that crowd at the middle of the real cloud, blurred averages for instance, "
            "exceed 1: far above the floor is a sign of missing variety, not of quality. It says "
            "nothing about what is missing."
        ),
        source="Naeem et al. 2020, equation 6.",
    ),
    Explanation(
        titles={"recall": "Recall"},
        question="plausible",
        word="share reached",
        answers="Which share of the real images could the generator have made?",
        how=(
            "As precision with the sets exchanged: balls around synthetic images, and the real "
            "images inside any of them are counted."
        ),
        good="Higher, up to the floor.",
        blind=(
            "A few scattered bad images have large balls that reach far, so bad generators can "
            "have high recall; coverage does not have this fault. It rises with n."
        ),
        source="Kynkäänniemi et al. 2019.",
        family="variety",
        leads=("random-net",),
        joins=("brain-net", "brain-map"),
    ),
    Explanation(
        titles={"coverage": "Coverage"},
        question="plausible",
        word="balls hit",
        answers="Which share of the real variety do the synthetic images reach?",
        how=(
            "The share of the real images' balls (as for precision) that hold at least one "
            "synthetic image."
        ),
        good="Higher, up to the floor.",
        blind=(
            "It rises with n, so only equal n counts. One image in a ball is enough, so rare kinds "
            "made far too rarely, or far too often, pass. Copies of training images cover well."
        ),
        source="Naeem et al. 2020, equation 7.",
        family="variety",
        leads=("random-net",),
        joins=("brain-net", "brain-map"),
    ),
)
