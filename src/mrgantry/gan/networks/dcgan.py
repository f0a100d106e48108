"""The DCGAN of Radford et al. (2016), in the form of Han et al. (ISBI 2018).

The generator starts from 4x4 and doubles at each strided transposed convolution
while it halves its channels; the discriminator mirrors it.
"""

from itertools import pairwise
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from mrgantry.common.errors import RecipeError
from mrgantry.common.frozen import Frozen


class Dcgan(Frozen):
    """Strided 4x4 convolutions both ways, with batch norm.

    Attributes:
        latent: Length of the latent vector.
        prior: Distribution of latents: "normal", or "uniform" on [-1, 1].
        width: Channels at 4x4, in both networks.
        critic_activation: "elu" as in Han et al., or "leaky" (slope 0.2).
        output: "linear" as in Han et al., or "tanh" as in Radford et al.
    """

    kind: Literal["dcgan"] = "dcgan"
    latent: Annotated[int, Field(ge=1)] = 100
    prior: Literal["normal", "uniform"] = "normal"
    width: Annotated[int, Field(ge=8)] = 512
    critic_activation: Literal["elu", "leaky"] = "elu"
    output: Literal["linear", "tanh"] = "linear"

    def generator(self, size: int, channels: int) -> nn.Module:
        """Build the generator: (n, latent) to (n, channels, size, size)."""
        widths = halvings(self.width, size)
        layers: list[nn.Module] = [
            nn.Unflatten(1, (self.latent, 1, 1)),
            nn.ConvTranspose2d(self.latent, widths[0], 4, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        ]
        for wide, narrow in pairwise(widths):
            layers += [
                nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False),
                nn.BatchNorm2d(narrow),
                nn.ReLU(inplace=True),
            ]
        layers.append(nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1))
        if self.output == "tanh":
            layers.append(nn.Tanh())
        return nn.Sequential(*layers).apply(radford_init)

    def critic(self, size: int, channels: int) -> nn.Module:
        """Build the discriminator: (n, channels, size, size) to logits (n,)."""
        return dcgan_critic(self.width, size, channels, self.critic_activation)


def dcgan_critic(
    width: int, size: int, channels: int, activation: Literal["elu", "leaky"]
) -> nn.Module:
    """Build DCGAN's discriminator; no batch norm at its input and output."""
    widths = halvings(width, size)[::-1]
    layers: list[nn.Module] = [nn.Conv2d(channels, widths[0], 4, 2, 1), _activation(activation)]
    for narrow, wide in pairwise(widths):
        layers += [
            nn.Conv2d(narrow, wide, 4, 2, 1, bias=False),
            nn.BatchNorm2d(wide),
            _activation(activation),
        ]
    layers += [nn.Conv2d(widths[-1], 1, 4), nn.Flatten(0)]
    return nn.Sequential(*layers).apply(radford_init)


def halvings(width: int, size: int) -> list[int]:
    """List the channels at 4x4, 8x8, ... up to half the image's size.

    Half of Radford's widths are 512-256-128-64 at 64x64, and one stage more, 32, at
    128x128.

    Raises:
        RecipeError: The size is no power of two from 8 on.
    """
    stages = size.bit_length() - 3
    if size < 8 or size & (size - 1):
        raise RecipeError(f"A DCGAN makes images of 8, 16, 32, ... pixels, not of {size}.")
    return [max(1, width >> stage) for stage in range(stages)]


@torch.no_grad()
def radford_init(module: nn.Module) -> None:
    """Draw weights from N(0, 0.02) and batch norm scales from N(1, 0.02)."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1, 0.02)


def _activation(name: Literal["elu", "leaky"]) -> nn.Module:
    return nn.ELU(inplace=True) if name == "elu" else nn.LeakyReLU(0.2, inplace=True)


def draw_latents(
    prior: Literal["normal", "uniform"], shape: tuple[int, ...], random: torch.Generator
) -> Float[Tensor, "..."]:
    """Draw latents from a prior with a generator of their own."""
    if prior == "normal":
        return torch.randn(shape, generator=random)
    return torch.rand(shape, generator=random) * 2 - 1
