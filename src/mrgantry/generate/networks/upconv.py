"""A generator that up-samples and convolves, under DCGAN's discriminator.

Transposed convolutions overlap unevenly and leave checkerboards (Odena et al.,
Distill 2016); nearest-neighbour up-sampling with a plain convolution does not.
"""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from mrgantry.common.frozen import Frozen
from mrgantry.generate.latents import Prior
from mrgantry.generate.layers import output, radford_init
from mrgantry.generate.networks.dcgan import dcgan_critic, halvings


class UpConv(Frozen):
    """Up-sampling generator with batch norm; DCGAN's discriminator.

    Attributes:
        latent: Length of the latent vector.
        prior: Distribution of latents.
        width: Channels of the generator at 4x4; they halve at every doubling.
        critic_width: Channels of the discriminator at 4x4.
        output: "tanh" or "linear".
    """

    kind: Literal["upconv"] = "upconv"
    latent: Annotated[int, Field(ge=1)] = 64
    prior: Prior = "normal"
    width: Annotated[int, Field(ge=8)] = 256
    critic_width: Annotated[int, Field(ge=8)] = 128
    output: Literal["linear", "tanh"] = "tanh"

    def generator(self, size: int, channels: int, labels: int = 0) -> nn.Module:
        """Build the generator: (n, latent + labels) to (n, channels, size, size)."""
        widths = halvings(self.width, size)
        last = max(1, widths[-1] // 2)
        layers: list[nn.Module] = [
            nn.Linear(self.latent + labels, widths[0] * 16, bias=False),
            nn.Unflatten(1, (widths[0], 4, 4)),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        ]
        for wide, narrow in pairwise([*widths, last]):
            layers += [
                nn.Upsample(scale_factor=2),
                nn.Conv2d(wide, narrow, 3, 1, 1, bias=False),
                nn.BatchNorm2d(narrow),
                nn.ReLU(inplace=True),
            ]
        layers.append(nn.Conv2d(last, channels, 3, 1, 1))
        layers += output(self.output)
        return nn.Sequential(*layers).apply(radford_init)

    def critic(self, size: int, channels: int, labels: int = 0) -> nn.Module:
        """Build the discriminator: (n, channels, size, size) to (n, 1 + labels)."""
        return dcgan_critic(self.critic_width, size, channels, labels, "leaky")
