"""What a classifier is trained and judged on: numbered images with their labels.

Nothing is stored but the images themselves: an item is made when a batch asks for it, and
is the same each time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mrgantry.common.errors import DataError
from mrgantry.data.pixels import Pixels
from mrgantry.data.slices import SliceSet
from mrgantry.detection.classical import Classical, balanced_rows
from mrgantry.evaluation.reference import check_finite

CLASSES = {"no": 0, "yes": 1}  # of the column "tumour"
Answer = Int[Tensor, "n *pixels"]  # what a network should say: a class an image, or a pixel
Batch = tuple[Float[Tensor, "n c h w"], Answer]


@runtime_checkable
class ImageSource(Protocol):
    """Items by number, from 0: an image on the device, and what a network should say of it."""

    def __len__(self) -> int:
        """Give the number of items."""

    def batch(self, numbers: Int[Tensor, " n"]) -> Batch:
        """Give some items."""


@dataclass(frozen=True, eq=False)
class Images:
    """Images as they are, real or synthetic.

    Attributes:
        pixels: The images, on the device.
        labels: Class of each: 1 with tumour, 0 without.
    """

    pixels: Pixels
    labels: Int[Tensor, " n"]

    def __post_init__(self) -> None:
        if len(self.pixels) != len(self.labels):
            raise DataError(f"{len(self.pixels)} images cannot have {len(self.labels)} labels.")

    def __len__(self) -> int:
        """Give the number of images."""
        return len(self.labels)

    def batch(self, numbers: Int[Tensor, " n"]) -> Batch:
        """Give some images and their classes."""
        images = self.pixels.batch(numbers)
        return images, self.labels[numbers.to(self.labels.device)].to(images.device)

    @classmethod
    def of(cls, data: SliceSet, device: torch.device) -> "Images":
        """Take the slices of a set whose label is yes or no; unclear ones are left out.

        Raises:
            DataError: No slice has such a label, slices are oblique, or values are not finite.
        """
        words = data.table["tumour"].astype(str)
        labelled = words.isin(list(CLASSES)).to_numpy()
        if not labelled.any() or data.about.poses:
            raise DataError(
                f"{data.folder} has no stored slices with tumour=yes or tumour=no to learn from; "
                "prepare a cohort that has tumour label maps."
            )
        labels = torch.tensor([CLASSES[word] for word in words[labelled]])
        slices = data.where(labelled)
        check_finite(slices)
        return cls(slices.pixels(device), labels)


@dataclass(frozen=True, eq=False)
class Augmented:
    """Classically changed images, equally many of each class.

    Item i is made from the seed and i alone, and every image of a class serves equally often
    up to one.

    Attributes:
        real: The images that are changed.
        classical: How.
        each: Items a class; 100,000 are published.
        seed: Of all items.
    """

    real: Images
    classical: Classical
    each: int = 100_000
    seed: int = 0

    @cached_property
    def rows(self) -> Int[Tensor, " n"]:
        """Give the number of the image of each item."""
        rows = balanced_rows(self.real.labels.cpu().numpy(), self.each, self.seed)
        return torch.from_numpy(rows)

    def __len__(self) -> int:
        """Give the number of items."""
        return len(self.rows)

    def batch(self, numbers: Int[Tensor, " n"]) -> Batch:
        """Make some items."""
        images, labels = self.real.batch(self.rows[numbers])
        return self.classical.draw(images, numbers, self.seed), labels


@dataclass(frozen=True, eq=False)
class Mixture:
    """Several sources one after another, so many items of each.

    Attributes:
        parts: The sources.
        counts: Items of each; a source that has fewer is gone through again.
    """

    parts: Sequence[ImageSource]
    counts: Sequence[int]

    def __post_init__(self) -> None:
        if len(self.parts) != len(self.counts) or not all(map(len, self.parts)):
            raise DataError("A mixture needs a count for each source, and none may be empty.")

    def __len__(self) -> int:
        """Give the number of items."""
        return sum(self.counts)

    def batch(self, numbers: Int[Tensor, " n"]) -> Batch:
        """Give some items, each from its part."""
        ends = np.cumsum([0, *self.counts])
        batches, places = [], []
        for part, (first, last) in zip(self.parts, pairwise(ends), strict=True):
            rows = ((numbers >= first) & (numbers < last)).nonzero()[:, 0]
            if len(rows):
                batches.append(part.batch((numbers[rows] - first) % len(part)))
                places.append(rows)
        back = torch.cat(places).argsort().to(batches[0][0].device)
        images, labels = (torch.cat(pieces)[back] for pieces in zip(*batches, strict=True))
        return images, labels


def shares(total: int, weights: Sequence[float]) -> tuple[int, ...]:
    """Divide a total by weights, such as real to synthetic; the counts add up to it."""
    ends = np.rint(total * np.cumsum([0.0, *weights]) / sum(weights)).astype(int)
    return tuple(int(last - first) for first, last in pairwise(ends))
