"""The DCGAN of Delplace (arXiv:2002.02527), as its published code builds it.

The generator keeps its channels while it grows from 8x8, with two convolutions at each
size, and halves them only in its last two doublings. The discriminator ends in a dense
layer that holds four fifths of its 85 million parameters.
"""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from mrgantry.common.frozen import Frozen
from mrgantry.generate.latents import Prior
from mrgantry.generate.layers import Leaky, MinibatchStd, power_of_two, radford_init

START = 8  # height and width of the generator's first features and the critic's last


class DelplaceDcgan(Frozen):
    """Pairs of transposed 5x5 convolutions; five strided ones and two dense layers.

    The paper makes 256x256 images only. Smaller ones leave out stages at the small end of
    the generator, the pairs, and at that of the discriminator, its widest convolutions: both
    still turn at 8x8, and what is next to the image stays as published, 128 and 64 channels
    in the generator, 64 and 128 in the discriminator. Larger ones add such stages. Every
    convolution and dense layer has a bias, also before batch norm, where it does nothing:
    the published parameters count them.

    Attributes:
        latent: Length of the latent vector.
        prior: Distribution of latents.
        width: Channels of the generator up to a quarter of the size; then half, then a
            quarter of them.
        critic_width: Channels of the discriminator at half the size; they double at every
            halving.
        minibatch_std: Whether a map of the minibatch's spread stands before the dense
            layers, as in the published code and the paper's text; its table has none.
        dense: Outputs of the first dense layer. "table": as many as the last convolution has,
            1024 in the paper's table. "maps": one more where the map of the minibatch's
            spread stands before it, 1025 in the published code.
    """

    kind: Literal["delplace-dcgan"] = "delplace-dcgan"
    latent: Annotated[int, Field(ge=1)] = 256
    prior: Prior = "uniform"
    width: Annotated[int, Field(ge=4)] = 256
    critic_width: Annotated[int, Field(ge=1)] = 64
    minibatch_std: bool = True
    dense: Literal["table", "maps"] = "maps"

    def generator(self, size: int, channels: int, labels: int = 0) -> nn.Module:
        """Build the generator: (n, latent + labels) to (n, channels, size, size)."""
        layers: list[nn.Module] = [
            nn.Linear(self.latent + labels, self.width * START**2),
            nn.Unflatten(1, (self.width, START, START)),
            nn.BatchNorm2d(self.width),
            nn.ReLU(inplace=True),
        ]
        pairs = [(self.width, 2), (self.width, 1)] * (_doublings(size) - 2)
        ends = [(self.width // 2, 2), (self.width // 4, 2)]
        inputs = self.width
        for outputs, stride in [*pairs, *ends]:
            layers += [
                nn.ConvTranspose2d(inputs, outputs, 5, stride, 2, stride - 1),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            ]
            inputs = outputs
        layers += [nn.ConvTranspose2d(inputs, channels, 5, 1, 2), nn.Tanh()]
        return nn.Sequential(*layers).apply(radford_init)

    def critic(self, size: int, channels: int, labels: int = 0) -> nn.Module:
        """Build the discriminator: (n, channels, size, size) to (n, 1 + labels)."""
        widths = [self.critic_width << stage for stage in range(_doublings(size))]
        layers: list[nn.Module] = [nn.Conv2d(channels, widths[0], 5, 2, 2), Leaky()]
        for narrow, wide in pairwise(widths):
            layers += [nn.Conv2d(narrow, wide, 5, 2, 2), nn.BatchNorm2d(wide), Leaky()]
        maps = widths[-1]
        if self.minibatch_std:
            layers.append(MinibatchStd(4))
            maps += 1
        dense = widths[-1] if self.dense == "table" else maps
        layers += [
            nn.Flatten(),
            nn.Linear(maps * START**2, dense),
            Leaky(),
            nn.Linear(dense, 1 + labels),
        ]
        return nn.Sequential(*layers).apply(radford_init)


def _doublings(size: int) -> int:
    """Count the doublings between 8x8 and the image; the last two are no pairs."""
    power_of_two(size, 4 * START, "The DCGAN of Delplace")
    return (size // START).bit_length() - 1
