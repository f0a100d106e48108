"""Augmentation of what the critic sees, for small cohorts.

A critic that knows few images by heart stops teaching. Here it only ever sees images,
real and synthetic alike, that were moved, turned, zoomed and dimmed at random; as long as
some are left alone, the generator still learns the untouched ones (Karras et al. 2020,
ADA). The changes stay within what positioning and scanners do: no flips, no right angles.
"""

import math
from typing import Annotated

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from mrgantry.common.frozen import Frozen
from mrgantry.gan.latents import Uniform

Share = Annotated[float, Field(ge=0, le=1)]


class Augment(Frozen):
    """Random changes of position and brightness, each done to an image with probability p.

    Attributes:
        start: p at the beginning.
        target: p rises while the critic is right about more real images than this, as a
            mean of signs of its logits (ADA: 0.6), and falls otherwise; None keeps p.
        most: p is never more: changes that are certain would be learnt by the generator.
        ramp: Images in which p can go from 0 to 1.
        shift: Greatest movement along each axis, as a share of the side.
        turn: Greatest angle in degrees.
        zoom: Greatest change of size, as a share.
        gain: Greatest change of brightness, as a share; black stays black.
    """

    start: Share = 0.0
    target: Annotated[float, Field(gt=0, lt=1)] | None = 0.6
    most: Share = 0.8
    ramp: Annotated[int, Field(ge=1)] = 100_000
    shift: Share = 0.08
    turn: Annotated[float, Field(ge=0, le=45)] = 8.0
    zoom: Share = 0.1
    gain: Share = 0.1

    def apply(
        self, images: Float[Tensor, "n c h w"], p: Float[Tensor, ""], uniform: Uniform
    ) -> Float[Tensor, "n c h w"]:
        """Change images at random; differentiable once.

        Args:
            images: Intensities in [-1, 1]; beyond their edge all is -1.
            p: Probability of each of two changes: of position, and of brightness.
            uniform: Where random numbers come from.
        """
        drawn = uniform((7,)).to(images)
        moved, dimmed = (drawn[:, :2] < p).to(images).unbind(1)
        right, down, angle, zoom, gain = (2 * drawn[:, 2:] - 1).unbind(1)
        angle, zoom = moved * angle * math.radians(self.turn), 1 + moved * zoom * self.zoom
        cos, sin = angle.cos() * zoom, angle.sin() * zoom
        reach = 2 * self.shift * moved  # the side is 2 long
        rows = torch.stack([cos, -sin, right * reach, sin, cos, down * reach], 1)
        grid = F.affine_grid(rows.reshape(-1, 2, 3), list(images.shape), align_corners=False)
        images = F.grid_sample(images + 1, grid, padding_mode="zeros", align_corners=False) - 1
        return (images + 1) * (1 + dimmed * gain * self.gain)[:, None, None, None] - 1

    def adapt(
        self, p: Float[Tensor, ""], sign: Float[Tensor, ""], images: int
    ) -> Float[Tensor, ""]:
        """Give the next p, from the mean sign of the critic's logits of real images."""
        if self.target is None:
            return p
        return (p + (sign - self.target).sign() * images / self.ramp).clamp(0, self.most)
