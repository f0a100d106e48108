"""A DCGAN of whole heads: Radford et al. (2016) with convolutions in three dimensions.

As Wu et al. (2016, "3D-GAN") have carried it over: 4 x 4 x 4 kernels in strides of 2, batch norm in
between. Delplace (2020) announced such a GAN of brains. Heads are no cubes, so the generator begins
at an eighth of each side instead of at 4 x 4 x 4.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from mrgantry.common.errors import RecipeError
from mrgantry.common.frozen import Frozen
from mrgantry.data.formats import times
from mrgantry.generate.latents import Prior
from mrgantry.generate.layers import Leaky, radford_init

HALVINGS = 3  # of each side, both ways


class VolumeDcgan(Frozen):
    """Strided convolutions both ways, with batch norm.

    Attributes:
        latent: Length of the latent vector.
        prior: Distribution of latents.
        width: Channels at an eighth of each side, in both networks.
        critic_norm: Whether the critic has batch norm. A penalty on its gradient at single heads
            wants none (Gulrajani et al. 2017, section 4).
    """

    kind: Literal["volume-dcgan"] = "volume-dcgan"
    latent: Annotated[int, Field(ge=1)] = 128
    prior: Prior = "normal"
    width: Annotated[int, Field(ge=8)] = 128
    critic_norm: bool = True

    def generator(self, shape: Sequence[int], channels: int, labels: int = 0) -> nn.Module:
        """Build the generator: (n, latent + labels) to (n, channels, depth, height, width).

        Raises:
            RecipeError: A side cannot be halved so often.
        """
        coarse, widths = coarsest(shape), self._widths
        layers: list[nn.Module] = [
            nn.Linear(self.latent + labels, widths[0] * prod(coarse), bias=False),
            nn.Unflatten(1, (widths[0], *coarse)),
            nn.BatchNorm3d(widths[0]),
            nn.ReLU(inplace=True),
        ]
        for wide, narrow in pairwise(widths):
            layers += [
                nn.ConvTranspose3d(wide, narrow, 4, 2, 1, bias=False),
                nn.BatchNorm3d(narrow),
                nn.ReLU(inplace=True),
            ]
        layers += [nn.ConvTranspose3d(widths[-1], channels, 4, 2, 1), nn.Tanh()]
        return nn.Sequential(*layers).apply(radford_init)

    def critic(self, shape: Sequence[int], channels: int, labels: int = 0) -> nn.Module:
        """Build the discriminator: (n, channels, depth, height, width) to (n, 1 + labels).

        Raises:
            RecipeError: A side cannot be halved so often.
        """
        coarse, widths = coarsest(shape), self._widths[::-1]
        layers: list[nn.Module] = [nn.Conv3d(channels, widths[0], 4, 2, 1), Leaky()]
        for narrow, wide in pairwise(widths):
            layers += [
                nn.Conv3d(narrow, wide, 4, 2, 1, bias=not self.critic_norm),
                nn.BatchNorm3d(wide) if self.critic_norm else nn.Identity(),
                Leaky(),
            ]
        layers += [nn.Flatten(), nn.Linear(widths[-1] * prod(coarse), 1 + labels)]
        return nn.Sequential(*layers).apply(radford_init)

    @property
    def _widths(self) -> list[int]:
        """List the channels at an eighth, a quarter and a half of each side."""
        return [max(1, self.width >> stage) for stage in range(HALVINGS)]


def coarsest(shape: Sequence[int]) -> tuple[int, ...]:
    """Give the sides at which the generator begins.

    Raises:
        RecipeError: A side is no multiple of 8.
    """
    if any(side % (1 << HALVINGS) for side in shape):
        raise RecipeError(
            f"This DCGAN makes heads whose sides are multiples of {1 << HALVINGS} voxels, not "
            f"{times(tuple(reversed(shape)))}."
        )
    return tuple(side >> HALVINGS for side in shape)
