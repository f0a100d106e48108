"""Augmentation of what the critic sees, for small cohorts.

A critic that knows few images by heart stops teaching. Here it only ever sees images,
real and synthetic alike, that were moved, turned, zoomed and dimmed at random; as long as
some are left alone, the generator still learns the untouched ones (Karras et al. 2020,
ADA). The changes stay within what positioning and scanners do: no flips, no right angles.
"""

import math
from typing import Annotated

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from mrgantry.common import spatial
from mrgantry.common.frozen import Frozen
from mrgantry.generate.latents import Uniform

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
        height, width = images.shape[-2:]
        reach, zoom = self.shift * moved, 1 + moved * zoom * self.zoom
        matrices = spatial.compose(
            spatial.shift(right * reach * width, down * reach * height),
            spatial.turn(moved * angle * math.radians(self.turn)),
            spatial.scale(zoom, zoom),
        )
        images = spatial.sample(images, matrices)
        return (images + 1) * (1 + dimmed * gain * self.gain)[:, None, None, None] - 1

    def adapt(
        self, p: Float[Tensor, ""], sign: Float[Tensor, ""], images: int
    ) -> Float[Tensor, ""]:
        """Give the next p, from the mean sign of the critic's logits of real images."""
        if self.target is None:
            return p
        return (p + (sign - self.target).sign() * images / self.ramp).clamp(0, self.most)
