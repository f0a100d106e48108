"""Classical augmentation, as Han et al. (infinite brain MR images, 2018) list it.

They name the changes and not the program; the words and the ranges are those of Keras's
ImageDataGenerator, so its conventions are taken:

- An image is looked at through rotation, then shift, shear, zoom and flips (as a product of
  matrices in this order, from output to input), all about its middle.
- Shear is an angle in radians, as early versions of Keras read it; those since 2018 read
  degrees, in which 0.08 would change nothing. Horizontal lines slant by it, so a column
  slides by at most 8 % of its distance from the middle.
- Zoom is drawn for width and height apart, so proportions change too, from 0.92 to 1.08 times
  as many pixels seen.

Values are interpolated linearly, which smooths noise: a classifier that has seen changed images
alone can fail on unchanged ones. So train on a mixture with the real images.
"""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from mrgantry.common import spatial
from mrgantry.common.draws import uniform
from mrgantry.common.frozen import Frozen

DRAWS = 8  # numbers that an item needs: two flips, six changes
Range = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True, eq=False)
class ClassicalChanges:
    """What is done to some images, one entry each.

    Attributes:
        mirrored: Whether left and right, and top and bottom, change places.
        angle: Of the rotation, in radians.
        right: How far the view is shifted, as a share of the width.
        down: The same as a share of the height.
        shear: Of horizontal lines, in radians.
        across: How many times as much of the width is seen.
        along: The same of the height.
    """

    mirrored: Bool[Tensor, "n 2"]
    angle: Float[Tensor, " n"]
    right: Float[Tensor, " n"]
    down: Float[Tensor, " n"]
    shear: Float[Tensor, " n"]
    across: Float[Tensor, " n"]
    along: Float[Tensor, " n"]

    def matrices(self, height: int, width: int) -> spatial.Matrices:
        """Give the matrices, from output to input."""
        left, up = (1 - 2 * self.mirrored.float()).unbind(1)
        return spatial.compose(
            spatial.turn(self.angle),
            spatial.shift(self.right * width, self.down * height),
            spatial.shear(self.shear),
            spatial.scale(self.across * left, self.along * up),
        )


class Classical(Frozen):
    """Ranges of random changes; beyond the edges of an image all is background, -1.

    Attributes:
        horizontal: Flip left and right with probability one half.
        vertical: Flip top and bottom with probability one half.
        turn: Greatest angle in degrees, either way.
        shift: Greatest shift along each axis, as a share of the side.
        shear: Greatest slant of horizontal lines, as an angle in radians.
        zoom: Greatest change of size along each axis, as a share.
    """

    horizontal: bool = True
    vertical: bool = True
    turn: Annotated[float, Field(ge=0, le=180)] = 10.0
    shift: Range = 0.08
    shear: Range = 0.08
    zoom: Range = 0.08

    def changes(
        self, numbers: Int[Tensor, " n"], seed: int, device: torch.device | None = None
    ) -> ClassicalChanges:
        """Give what is done to items, each from the seed and its own number alone."""
        drawn = torch.from_numpy(uniform(seed, numbers.cpu().numpy(), DRAWS))
        flips = (drawn[:, :2] < 0.5) & torch.tensor([self.horizontal, self.vertical])
        ranges = [math.radians(self.turn), self.shift, self.shift, self.shear, self.zoom, self.zoom]
        moved = (2 * drawn[:, 2:] - 1) * torch.tensor(ranges, dtype=torch.float64)
        moved[:, 4:] += 1
        return ClassicalChanges(flips.to(device), *moved.float().to(device).unbind(1))

    def draw(
        self, images: Float[Tensor, "n c h w"], numbers: Int[Tensor, " n"], seed: int
    ) -> Float[Tensor, "n c h w"]:
        """Change images as items of these numbers, on the device where they lie.

        An item is the same whatever batch it stands in; flips alone are exact.

        Args:
            images: The real image of each item, in [-1, 1].
            numbers: Of the items.
            seed: Of all items.
        """
        return self.apply(images, self.changes(numbers, seed, images.device))

    def apply(
        self,
        images: Float[Tensor, "n c h w"],
        changes: ClassicalChanges,
        fill: float = spatial.BACKGROUND,
    ) -> Float[Tensor, "n c h w"]:
        """Change images as they are told; flips alone are exact.

        Args:
            images: One for each change.
            changes: What is done to each.
            fill: What lies beyond the edges.
        """
        if self.turn or self.shift or self.shear or self.zoom:
            return spatial.sample(images, changes.matrices(*images.shape[-2:]), fill)
        for flip, axis in zip(changes.mirrored.unbind(1), (-1, -2), strict=True):
            images = torch.where(flip[:, None, None, None], images.flip(axis), images)
        return images


def balanced_rows(labels: Int[np.ndarray, " n"], each: int, seed: int) -> Int[np.ndarray, " m"]:
    """Choose the real image of every item of a set with as many items of each class.

    Classes take turns, and within one its images do, in an order drawn once: so any first
    part of the set is balanced too, and no image stands in it twice more often than another.

    Args:
        labels: Class of each real image.
        each: Items a class.
        seed: Of the order.
    """
    classes = np.unique(labels)
    random = np.random.default_rng(seed)
    orders = [random.permutation(np.flatnonzero(labels == label)) for label in classes]
    turns = np.arange(each)
    return np.stack([order[turns % len(order)] for order in orders], 1).reshape(-1)
