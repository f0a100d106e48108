"""The DCGAN of Kazuhiro et al. (Tomography 2018): 5x5 kernels, batch norm nearly everywhere.

The generator projects its latents to an image of a sixteenth of the size and doubles it four
times; the discriminator mirrors it.
"""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from mrgantry.common.frozen import Frozen
from mrgantry.generate.latents import Prior
from mrgantry.generate.layers import Leaky, power_of_two, radford_init

DOUBLINGS = 4  # whatever the size of the images: larger ones start larger


class KazuhiroDcgan(Frozen):
    """Strided 5x5 convolutions both ways, with dense layers at the small end.

    The paper gives the generator batch norm in every layer and the discriminator in every
    layer "except at the output". Both are taken by the letter: the discriminator has it after
    its first convolution too, and the generator before its tanh, where Radford et al. (2016)
    leave it out. The paper names neither the size of its images nor the shape of the
    projection; four doublings make it a sixteenth of the image, here in as many channels as
    the first convolution has. Convolutions and dense layers have no bias where batch norm
    follows, which takes it away.

    "256-128-64-32 filters" of the generator's four convolutions can be read as what they take,
    so that the fourth makes the image, or as what they give, so that a layer after them does.

    Attributes:
        latent: Length of the latent vector.
        prior: Distribution of latents.
        width: Channels at a sixteenth of the size, in both networks; they halve at every
            doubling.
        output_norm: Whether the generator has batch norm before its tanh.
        input_norm: Whether the critic has it after its first convolution.
        filters: What the printed numbers of filters are. "inputs" of the generator's four
            convolutions; or their "outputs", and then the projection has twice as many, and a
            fifth convolution, at the full size, makes the image.
    """

    kind: Literal["kazuhiro-dcgan"] = "kazuhiro-dcgan"
    latent: Annotated[int, Field(ge=1)] = 100
    prior: Prior = "uniform"
    width: Annotated[int, Field(ge=8)] = 256
    output_norm: bool = True
    input_norm: bool = True
    filters: Literal["inputs", "outputs"] = "inputs"

    def generator(self, size: int, channels: int, labels: int = 0) -> nn.Module:
        """Build the generator: (n, latent + labels) to (n, channels, size, size)."""
        side, widths = self._start(size)
        last = 2, 2, 1  # stride, padding and output padding of what makes the image
        if self.filters == "outputs":
            widths, last = [2 * self.width, *widths], (1, 2, 0)
        layers: list[nn.Module] = [
            nn.Linear(self.latent + labels, widths[0] * side**2, bias=False),
            nn.Unflatten(1, (widths[0], side, side)),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        ]
        for wide, narrow in pairwise(widths):
            layers += [
                nn.ConvTranspose2d(wide, narrow, 5, 2, 2, 1, bias=False),
                nn.BatchNorm2d(narrow),
                nn.ReLU(inplace=True),
            ]
        bias = not self.output_norm
        layers.append(nn.ConvTranspose2d(widths[-1], channels, 5, *last, bias=bias))
        if self.output_norm:
            layers.append(nn.BatchNorm2d(channels))
        layers.append(nn.Tanh())
        return nn.Sequential(*layers).apply(radford_init)

    def critic(self, size: int, channels: int, labels: int = 0) -> nn.Module:
        """Build the discriminator: (n, channels, size, size) to (n, 1 + labels)."""
        side, widths = self._start(size)
        layers: list[nn.Module] = []
        for number, (narrow, wide) in enumerate(pairwise([channels, *widths[::-1]])):
            normed = number > 0 or self.input_norm
            layers.append(nn.Conv2d(narrow, wide, 5, 2, 2, bias=not normed))
            layers += [nn.BatchNorm2d(wide), Leaky()] if normed else [Leaky()]
        layers += [nn.Flatten(), nn.Linear(widths[0] * side**2, 1 + labels)]
        return nn.Sequential(*layers).apply(radford_init)

    def _start(self, size: int) -> tuple[int, list[int]]:
        """Give the side of the projection, and the channels from there on."""
        power_of_two(size, 2 << DOUBLINGS, "The DCGAN of Kazuhiro et al.")
        return size >> DOUBLINGS, [self.width >> stage for stage in range(DOUBLINGS)]
