"""The residual networks of Delplace (arXiv:2002.02527), after SRResNet (Ledig et al. 2017).

The generator does most of its work in residual blocks at 16x16 and then doubles the size by
pixel shuffling; the discriminator has residual blocks at every size and no batch norm.
"""

from itertools import pairwise
from typing import Annotated, Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from mrgantry.common.frozen import Frozen
from mrgantry.generate.latents import Prior
from mrgantry.generate.layers import Leaky, MinibatchStd, he_init, power_of_two

START = 16  # height and width at which the generator starts
END = 4  # height and width of the critic's last residual blocks, before it halves once more


class SrResNet(Frozen):
    """Residual blocks both ways, with He's initialisation.

    The order of layers, the 9x9 convolution at the end of the generator, the 3x3 one at the
    end of the discriminator and all biases are those of the published code; the paper names
    only the blocks. It makes 256x256 images only. Other sizes have fewer or more doublings
    behind the same blocks at 16x16, and stages before the same 2x2 end; at 256x256 the
    widths are 32 to 1024 and then 2048, at 64x64 they are 32 to 256 and then 512.

    Attributes:
        latent: Length of the latent vector.
        prior: Distribution of latents.
        width: Channels of the generator, at every size.
        blocks: Residual blocks of the generator.
        critic_width: Channels of the discriminator at half the size; they double at every
            halving.
        down_kernel: Height and width of the discriminator's strided convolutions, but for
            its last: 3 as in the paper, or 4 as in its code.
        minibatch_std: Whether a map of the minibatch's spread stands before the
            discriminator's dense layer; the paper has none here.
    """

    kind: Literal["srresnet"] = "srresnet"
    latent: Annotated[int, Field(ge=1)] = 256
    prior: Prior = "unit-sphere"
    width: Annotated[int, Field(ge=1)] = 64
    blocks: Annotated[int, Field(ge=1)] = 16
    critic_width: Annotated[int, Field(ge=1)] = 32
    down_kernel: Literal[3, 4] = 3
    minibatch_std: bool = False

    def generator(self, size: int, channels: int, labels: int = 0) -> nn.Module:
        """Build the generator: (n, latent + labels) to (n, channels, size, size)."""
        width = self.width
        doublings = _doublings(START, size)
        layers: list[nn.Module] = [
            nn.Linear(self.latent + labels, width * START**2),
            nn.Unflatten(1, (width, START, START)),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            self._trunk(),
        ]
        for _ in range(doublings):
            layers += [
                nn.Conv2d(width, 4 * width, 3, 1, 1),
                nn.PixelShuffle(2),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
        layers += [nn.Conv2d(width, channels, 9, 1, 4), nn.Tanh()]
        return nn.Sequential(*layers).apply(he_init)

    def critic(self, size: int, channels: int, labels: int = 0) -> nn.Module:
        """Build the discriminator: (n, channels, size, size) to (n, 1 + labels)."""
        widths = [self.critic_width << stage for stage in range(_doublings(END, size))]
        layers: list[nn.Module] = []
        for narrow, wide in pairwise([channels, *widths]):
            layers += [nn.Conv2d(narrow, wide, self.down_kernel, 2, 1), Leaky()]
            for _ in range(2):
                layers += [_critic_block(wide), Leaky()]
        last = 2 * widths[-1]
        layers += [
            nn.Conv2d(widths[-1], last, 3, 2, 1),
            Leaky(),
            *([MinibatchStd()] if self.minibatch_std else []),
            nn.Flatten(),
            nn.Linear((last + self.minibatch_std) * (END // 2) ** 2, 1 + labels),
        ]
        return nn.Sequential(*layers).apply(he_init)

    def _trunk(self) -> nn.Module:
        """Build the generator's residual blocks, with a skip round all of them."""
        blocks = [_generator_block(self.width) for _ in range(self.blocks)]
        return SkipConnection(*blocks, nn.BatchNorm2d(self.width), nn.ReLU(inplace=True))


class SkipConnection(nn.Module):
    """Add what comes in to what layers make of it."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, inputs: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Run the layers and add."""
        outputs: Tensor = inputs + self.layers(inputs)
        return outputs


def _generator_block(width: int) -> SkipConnection:
    return SkipConnection(
        nn.Conv2d(width, width, 3, 1, 1),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, width, 3, 1, 1),
        nn.BatchNorm2d(width),
    )


def _critic_block(width: int) -> SkipConnection:
    return SkipConnection(
        nn.Conv2d(width, width, 3, 1, 1), Leaky(), nn.Conv2d(width, width, 3, 1, 1)
    )


def _doublings(least: int, size: int) -> int:
    """Count the doublings between the smallest features and the image."""
    power_of_two(size, START, "An SRResNet")
    return (size // least).bit_length() - 1
