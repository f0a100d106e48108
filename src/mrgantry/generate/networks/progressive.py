"""Networks that can be trained from few pixels to all (Karras et al. 2018).

All layers exist from the start; `grow` says which of them are used. Delplace's ProGAN is
the same with 5x5 kernels, a quarter of the base width and other details, which are fields.
"""

from itertools import pairwise
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from mrgantry.common.frozen import Frozen
from mrgantry.generate.latents import Prior
from mrgantry.generate.layers import (
    EqualConv2d,
    EqualLinear,
    Leaky,
    MinibatchStd,
    PixelNorm,
    output,
    power_of_two,
)
from mrgantry.generate.schedule import START, Stage


class Progressive(Frozen):
    """The progressive GAN: equalised learning rate, pixel norm, minibatch deviation.

    Attributes:
        latent: Length of the latent vector.
        prior: Distribution of latents; Karras et al. normalise normal ones, "sphere".
        base: Channels at `size` are base / size, 512 at 32 and 64 at 256 in the original,
        widest: but never more than this.
        kernel: Height and width of the kernels after the first level; 3 in the original.
        pixel_norm: Whether the generator normalises pixels.
        minibatch_std: Whether a map of the minibatch's spread stands before the critic's last
            convolution.
        last_gain: Of the layers to pixels and to the logit; 1 in the original.
        output: "linear" in the original, or "tanh".
    """

    kind: Literal["progressive"] = "progressive"
    latent: Annotated[int, Field(ge=1)] = 512
    prior: Prior = "sphere"
    base: Annotated[int, Field(ge=8)] = 16384
    widest: Annotated[int, Field(ge=4)] = 512
    kernel: Literal[3, 5] = 3
    pixel_norm: bool = True
    minibatch_std: bool = True
    last_gain: Annotated[float, Field(gt=0)] = 1.0
    output: Literal["linear", "tanh"] = "linear"

    def widths(self, size: int) -> list[int]:
        """List the channels at 4, 8, 16, ... pixels up to a size."""
        power_of_two(size, START, "A progressive network")
        levels = (size // START).bit_length()
        return [max(1, min(self.base // (START << level), self.widest)) for level in range(levels)]

    def generator(self, size: int, channels: int, labels: int = 0) -> nn.Module:
        """Build the generator: (n, latent + labels) to images of its present size."""
        return Generator(self, self.widths(size), channels, self.latent + labels)

    def critic(self, size: int, channels: int, labels: int = 0) -> nn.Module:
        """Build the critic: images of its present size to (n, 1 + labels)."""
        return Critic(self, self.widths(size), channels, 1 + labels)


class GrowingNetwork(nn.Module):
    """What both networks know of their stage.

    alpha is a tensor, so that a compiled network need not be compiled again as it moves.
    """

    alpha: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("alpha", torch.ones(()), persistent=False)
        self.grow(Stage(size))

    def grow(self, stage: Stage) -> None:
        """Use the layers of a stage."""
        self.level = (stage.size // START).bit_length() - 1
        self.fading = stage.alpha < 1
        self.alpha.fill_(stage.alpha)

    def blend(
        self, old: Float[Tensor, "n c h w"], new: Float[Tensor, "n c h w"]
    ) -> Float[Tensor, "n c h w"]:
        """Mix what the older and the newest layers give."""
        return old + (new - old) * self.alpha.to(new.dtype)


class Foot(nn.Module):
    """From latents to 4x4: a dense layer with one bias for each channel, not each pixel.

    Its gain is that of a 4x4 convolution, of which each pixel sees one value.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, width, START, START))
        self.bias = nn.Parameter(torch.zeros(width))
        self.scale = 2**0.5 / START / inputs**0.5

    def forward(self, inputs: Float[Tensor, "n z"]) -> Float[Tensor, "n c 4 4"]:
        """Multiply with the scaled weights."""
        features = inputs @ (self.weight * self.scale).flatten(1)
        return features.unflatten(1, self.weight.shape[1:]) + self.bias[:, None, None]


class Generator(GrowingNetwork):
    """Blocks that double the size, and a layer to pixels at each."""

    def __init__(self, plan: Progressive, widths: list[int], channels: int, inputs: int) -> None:
        super().__init__(START << (len(widths) - 1))
        norm = [PixelNorm()] if plan.pixel_norm else []
        start: list[nn.Module] = [Foot(inputs, widths[0]), Leaky(), *norm]
        start += [EqualConv2d(widths[0], widths[0], 3), Leaky(), *norm]
        self.blocks = nn.ModuleList([nn.Sequential(*start)])
        for wide, narrow in pairwise(widths):
            layers = [EqualConv2d(wide, narrow, plan.kernel, resample="up"), Leaky(), *norm]
            layers += [EqualConv2d(narrow, narrow, plan.kernel), Leaky(), *norm]
            self.blocks.append(nn.Sequential(*layers))
        self.to_pixels = nn.ModuleList(
            [EqualConv2d(width, channels, 1, plan.last_gain) for width in widths]
        )
        self.output = nn.Sequential(*output(plan.output))

    def forward(self, inputs: Float[Tensor, "n z"]) -> Float[Tensor, "n c h w"]:
        """Draw images; the newest layers count for the stage's alpha."""
        features, previous = inputs, inputs
        for block in self.blocks[: self.level + 1]:
            features, previous = block(features), features
        images = self.to_pixels[self.level](features)
        if self.fading:
            coarse = self.to_pixels[self.level - 1](previous)
            images = self.blend(F.interpolate(coarse, scale_factor=2.0), images)
        pixels: Tensor = self.output(images)
        return pixels


class Critic(GrowingNetwork):
    """The generator's mirror: a layer from pixels at each size, and blocks that halve it."""

    def __init__(self, plan: Progressive, widths: list[int], channels: int, outputs: int) -> None:
        super().__init__(START << (len(widths) - 1))
        self.from_pixels = nn.ModuleList(
            [nn.Sequential(EqualConv2d(channels, width, 1), Leaky()) for width in widths]
        )
        spread = [MinibatchStd()] if plan.minibatch_std else []
        first = EqualConv2d(widths[0] + len(spread), widths[0], 3)
        last: list[nn.Module] = [*spread, first, Leaky(), nn.Flatten()]
        last += [EqualLinear(widths[0] * START**2, widths[0]), Leaky()]
        last += [EqualLinear(widths[0], outputs, plan.last_gain)]
        self.blocks = nn.ModuleList([nn.Sequential(*last)])
        for wide, narrow in pairwise(widths):
            layers = [EqualConv2d(narrow, narrow, plan.kernel), Leaky()]
            layers += [EqualConv2d(narrow, wide, plan.kernel, resample="down"), Leaky()]
            self.blocks.append(nn.Sequential(*layers))

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Judge images; the newest layers count for the stage's alpha."""
        features = self.from_pixels[self.level](images)
        for number in range(self.level, 0, -1):
            features = self.blocks[number](features)
            if number == self.level and self.fading:
                coarse = self.from_pixels[number - 1](F.avg_pool2d(images, 2))
                features = self.blend(coarse, features)
        outputs: Tensor = self.blocks[0](features)
        return outputs
