"""What a segmenter is trained and judged on: numbered images with their label maps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from mrgantry.data.pixels import Pixels, StoredPixels
from mrgantry.data.slices import SliceSet
from mrgantry.detection.classical import Classical, ClassicalChanges
from mrgantry.detection.sources import Batch
from mrgantry.evaluation.reference import check_finite


@dataclass(frozen=True, eq=False)
class MappedImages:
    """Images as they are, real or synthetic, with their label maps.

    Attributes:
        pixels: The images, on the device.
        maps: Numbers of classes; 0 is none.
    """

    pixels: Pixels
    maps: UInt8[Tensor, "n h w"]

    def __len__(self) -> int:
        """Give the number of images."""
        return len(self.maps)

    def batch(self, numbers: Int[Tensor, " n"]) -> Batch:
        """Give some images and their maps."""
        images = self.pixels.batch(numbers)
        return images, self.maps[numbers.to(self.maps.device)].to(images.device).long()

    @classmethod
    def of(cls, data: SliceSet, device: torch.device) -> "MappedImages":
        """Take all slices of a set.

        Raises:
            DataError: It has no label maps, or values are not finite.
        """
        check_finite(data)
        return cls(data.pixels(device), torch.from_numpy(data.maps))

    @classmethod
    def joined(cls, sets: Sequence[SliceSet], device: torch.device, seed: int) -> "MappedImages":
        """Put the images of several synthetic sets together, in an order drawn once.

        Args:
            sets: With the same classes in the same order.
            device: Where the images shall lie.
            seed: Of the order.
        """
        for data in sets:
            check_finite(data)
        images = torch.from_numpy(np.concatenate([data.images for data in sets]))
        maps = torch.from_numpy(np.concatenate([data.maps for data in sets]))
        order = torch.from_numpy(np.random.default_rng(seed).permutation(len(maps)))
        return cls(StoredPixels(images[order].to(device)), maps[order])


@dataclass(frozen=True, eq=False)
class ChangedImages:
    """Classically changed images, their maps changed alike; each serves equally often up to one.

    Item i is made from the seed and i alone. A map's pixel takes the class that has the largest
    share there, as in a map that is drawn.

    Attributes:
        real: The images that are changed.
        classical: How.
        count: Items.
        seed: Of all items.
    """

    real: MappedImages
    classical: Classical
    count: int
    seed: int

    def __len__(self) -> int:
        """Give the number of items."""
        return self.count

    def batch(self, numbers: Int[Tensor, " n"]) -> Batch:
        """Make some items."""
        images, maps = self.real.batch(numbers % len(self.real))
        changes = self.classical.changes(numbers, self.seed, images.device)
        return self.classical.apply(images, changes), moved(maps, changes, self.classical)


def moved(
    maps: Int[Tensor, "n h w"], changes: ClassicalChanges, classical: Classical
) -> Int[Tensor, "n h w"]:
    """Change label maps as their images are changed.

    Args:
        maps: Numbers of classes.
        changes: What is done to each.
        classical: What does it.
    """
    numbers = range(1, int(maps.max()) + 1)
    if not numbers:
        return maps  # nothing is mapped, so nothing moves
    shares = torch.stack([(maps == number).float() for number in numbers], 1)
    shares = classical.apply(shares, changes, fill=0.0)
    none = 1 - shares.sum(1, keepdim=True)
    return torch.cat([none, shares], 1).argmax(1)
