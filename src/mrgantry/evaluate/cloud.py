"""A cloud: images with the subjects they come from, and draws of half of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float16, Int, Shaped


@dataclass(frozen=True, eq=False)
class Cloud:
    """Images, their features by name, and the subject of each.

    Synthetic images have no subject in common, so each is a subject of its own.
    """

    images: Float16[np.ndarray, "n c h w"]
    subjects: Shaped[np.ndarray, " n"]
    features: dict[str, Float[np.ndarray, "n d"]]

    def take(self, rows: Bool[np.ndarray, " n"] | Int[np.ndarray, " k"]) -> "Cloud":
        """Keep some rows."""
        features = {name: values[rows] for name, values in self.features.items()}
        return Cloud(self.images[rows], self.subjects[rows], features)


@dataclass(frozen=True, eq=False)
class Draw:
    """Three clouds of equal size: two halves of the real one by subject, a synthetic one."""

    half: Cloud
    other_half: Cloud
    synthetic: Cloud
    seed: int


def draws(real: Cloud, synthetic: Cloud, count: int, seed: int) -> Iterator[Draw]:
    """Draw halves of the real subjects and as many synthetic images, again and again.

    Measures are biased by the number of images, so all three clouds have as many as
    the smallest. At most half of the synthetic images are drawn at a time: their own
    spread then shows in the interval too.
    """
    for turn in range(count):
        random = np.random.default_rng((seed, turn))
        first = half_of_subjects(real, int(random.integers(2**31)))
        rows = np.arange(len(synthetic.images))
        parts = [np.flatnonzero(first), np.flatnonzero(~first), rows]
        size = min(len(parts[0]), len(parts[1]), max(2, len(rows) // 2))
        chosen = [np.sort(random.permutation(part)[:size]) for part in parts]
        half, other, drawn = (
            cloud.take(rows) for cloud, rows in zip((real, real, synthetic), chosen, strict=True)
        )
        yield Draw(half, other, drawn, int(random.integers(2**31)))


def half_of_subjects(cloud: Cloud, seed: int) -> Bool[np.ndarray, " n"]:
    """Mark the rows of a random half of the subjects."""
    names = np.unique(cloud.subjects)
    chosen = np.random.default_rng(seed).permutation(names)[: len(names) // 2]
    return np.isin(cloud.subjects, chosen)
