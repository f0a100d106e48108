"""The DCGAN of Radford et al. (2016), in the form of Han et al. (ISBI 2018).

The generator starts from 4x4 and doubles at each strided transposed convolution
while it halves its channels; the discriminator mirrors it.
"""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from mrgantry.common.frozen import Frozen
from mrgantry.generate.latents import Prior
from mrgantry.generate.layers import Leaky, output, power_of_two, radford_init


class Dcgan(Frozen):
    """Strided 4x4 convolutions both ways, with batch norm.

    Attributes:
        latent: Length of the latent vector.
        prior: Distribution of latents.
        width: Channels at 4x4, in both networks.
        critic_activation: "elu" as in Han et al., or "leaky" (slope 0.2).
        critic_norm: Whether the critic has batch norm. A penalty on its gradient at single images
            wants none (Gulrajani et al. 2017, section 4).
        output: "linear" as in Han et al., or "tanh" as in Radford et al.
    """

    kind: Literal["dcgan"] = "dcgan"
    latent: Annotated[int, Field(ge=1)] = 100
    prior: Prior = "normal"
    width: Annotated[int, Field(ge=8)] = 512
    critic_activation: Literal["elu", "leaky"] = "elu"
    critic_norm: bool = True
    output: Literal["linear", "tanh"] = "linear"

    def generator(self, size: int, channels: int, labels: int = 0) -> nn.Module:
        """Build the generator: (n, latent + labels) to (n, channels, size, size)."""
        widths = halvings(self.width, size)
        inputs = self.latent + labels
        layers: list[nn.Module] = [
            nn.Unflatten(1, (inputs, 1, 1)),
            nn.ConvTranspose2d(inputs, widths[0], 4, bias=False),
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
        layers += output(self.output)
        return nn.Sequential(*layers).apply(radford_init)

    def critic(self, size: int, channels: int, labels: int = 0) -> nn.Module:
        """Build the discriminator: (n, channels, size, size) to (n, 1 + labels)."""
        return dcgan_critic(
            self.width, size, channels, labels, self.critic_activation, norm=self.critic_norm
        )


def dcgan_critic(
    width: int,
    size: int,
    channels: int,
    labels: int,
    activation: Literal["elu", "leaky"],
    *,
    norm: bool = True,
) -> nn.Module:
    """Build DCGAN's discriminator; no batch norm at its input and output.

    Args:
        width: Channels at 4x4.
        size: Height and width of the images in pixels.
        channels: Of the images.
        labels: That it is told.
        activation: Of all layers but the last.
        norm: Whether the layers between have batch norm.
    """
    widths = halvings(width, size)[::-1]
    layers: list[nn.Module] = [nn.Conv2d(channels, widths[0], 4, 2, 1), _activation(activation)]
    for narrow, wide in pairwise(widths):
        layers += [
            nn.Conv2d(narrow, wide, 4, 2, 1, bias=not norm),
            nn.BatchNorm2d(wide) if norm else nn.Identity(),
            _activation(activation),
        ]
    layers += [nn.Conv2d(widths[-1], 1 + labels, 4), nn.Flatten()]
    return nn.Sequential(*layers).apply(radford_init)


def halvings(width: int, size: int) -> list[int]:
    """List the channels at 4x4, 8x8, ... up to half the image's size.

    Half of Radford's widths are 512-256-128-64 at 64x64, and one stage more, 32, at
    128x128.

    Raises:
        RecipeError: The size is no power of two from 8 on.
    """
    power_of_two(size, 8, "A DCGAN")
    return [max(1, width >> stage) for stage in range(size.bit_length() - 3)]


def _activation(name: Literal["elu", "leaky"]) -> nn.Module:
    return nn.ELU(inplace=True) if name == "elu" else Leaky()
