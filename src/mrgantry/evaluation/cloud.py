"""A cloud: images with the subjects they come from, and draws of half of them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float16, Int, Shaped

MOST_IMAGES = 2000  # of either side in a draw: more people narrow an interval, more slices hardly


@dataclass(frozen=True, eq=False)
class Cloud:
    """Images, their features by name, and the subject of each.

    Synthetic images have no subject in common, so each is a subject of its own.
    """

    images: Float16[np.ndarray, "n c h w"]
    subjects: Shaped[np.ndarray, " n"]
    features: dict[str, Float[np.ndarray, "n d"]]

    def __len__(self) -> int:
        """Give the number of images."""
        return len(self.images)

    def take(self, rows: Bool[np.ndarray, " n"] | Int[np.ndarray, " k"]) -> "Cloud":
        """Keep some rows."""
        features = {name: values[rows] for name, values in self.features.items()}
        return Cloud(self.images[rows], self.subjects[rows], features)


@dataclass(frozen=True, eq=False)
class Pair:
    """What a measure is computed of: two clouds of equal size, and a seed.

    Attributes:
        real: Held-out real images.
        other: What is measured: synthetic images, or for the floor other real ones.
        seed: Of what the measure draws itself.
    """

    real: Cloud
    other: Cloud
    seed: int

    def swapped(self) -> "Pair":
        """Exchange the two."""
        return Pair(self.other, self.real, self.seed)


@dataclass(frozen=True, eq=False)
class Draw:
    """One draw, to be measured twice with the same real images.

    Attributes:
        synthetic: Half of the real subjects, and as many synthetic images.
        floor: The same half, and as many images of the other half.
    """

    synthetic: Pair
    floor: Pair


def draw_half(real: Cloud, synthetic: Cloud, turn: int, seed: int, most: int = 0) -> Draw:
    """Draw half of the real subjects and as many synthetic images.

    Measures are biased by the number of images, so all clouds have as many as the
    smallest. At most half of the synthetic images are drawn at a time, and where they
    have subjects (real images in their place) half of these: their own spread then shows
    in the interval too.

    Args:
        real: Held-out real images.
        synthetic: What is measured.
        turn: Number of the draw.
        seed: Of all draws.
        most: Upper limit to the size, so that several sets are measured alike; 0 for that of
            this module.
    """
    random = np.random.default_rng((seed, turn))
    first = half_of_subjects(real, int(random.integers(2**31)))
    drawn = half_of_subjects(synthetic, int(random.integers(2**31)))
    parts = [np.flatnonzero(rows) for rows in (first, ~first, drawn)]
    size = min(most or MOST_IMAGES, MOST_IMAGES, *map(len, parts))
    half, other, made = (
        cloud.take(np.sort(random.permutation(part)[:size]))
        for cloud, part in zip((real, real, synthetic), parts, strict=True)
    )
    measured = int(random.integers(2**31))
    return Draw(Pair(half, made, measured), Pair(half, other, measured))


def half_of_subjects(cloud: Cloud, seed: int) -> Bool[np.ndarray, " n"]:
    """Mark the rows of a random half of the subjects."""
    names = np.unique(cloud.subjects)
    chosen = np.random.default_rng(seed).permutation(names)[: len(names) // 2]
    return np.isin(cloud.subjects, chosen)
