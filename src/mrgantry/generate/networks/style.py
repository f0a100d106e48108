"""A style-based generator (Karras et al. 2019, 2020) and a residual critic, in plain operations.

A mapping network turns latents into styles, which scale the channels of every convolution; each
convolution also gets noise of its own, from which it may make grain. Sides are doubled by a filter,
(1, 3, 3, 1) / 4, that lets no stripes through.
"""

from itertools import pairwise
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn

from mrgantry.common.frozen import Frozen
from mrgantry.generate.latents import Prior
from mrgantry.generate.layers import (
    EqualConv2d,
    EqualLinear,
    Leaky,
    MinibatchStd,
    power_of_two,
    to_unit_mean_square,
)
from mrgantry.generate.schedule import START

SLOW = 0.01  # speed of learning of the mapping network, over that of the rest (their appendix B)
FAST = 30.0  # radians by which a latent's unit turns a wave that noise is made of, about


class Style(Frozen):
    """Styles, demodulation and skips of the second style-based generator.

    Left out: noise that differs between two images of one latent, so that an image follows from
    its seed; mixing of styles; and the penalty on path lengths.

    Attributes:
        latent: Length of the latent vector; it is brought to unit mean square first.
        prior: Distribution of latents.
        style: Length of a style.
        depth: Dense layers of the mapping network; 8 in the original.
        base: Channels at `side` are base / side, 16384 to 32768 in the original,
        widest: but never more than this; 512 in the original.
    """

    kind: Literal["style"] = "style"
    latent: Annotated[int, Field(ge=1)] = 64
    prior: Prior = "normal"
    style: Annotated[int, Field(ge=1)] = 128
    depth: Annotated[int, Field(ge=1)] = 2
    base: Annotated[int, Field(ge=8)] = 2048
    widest: Annotated[int, Field(ge=4)] = 128

    def widths(self, size: int) -> list[int]:
        """List the channels at 4, 8, 16, ... pixels up to a size."""
        power_of_two(size, 2 * START, "A style-based network")
        sides = [START << level for level in range((size // START).bit_length())]
        return [max(4, min(self.base // side, self.widest)) for side in sides]

    def generator(self, size: int, channels: int, labels: int = 0) -> nn.Module:
        """Build the generator: (n, latent + labels) to (n, channels, size, size)."""
        return StyleGenerator(self, size, channels, labels)

    def critic(self, size: int, channels: int, labels: int = 0) -> nn.Module:
        """Build the critic: (n, channels, size, size) to (n, 1 + labels)."""
        widths = self.widths(size)[::-1]
        last = widths[-1]
        return nn.Sequential(
            EqualConv2d(channels, widths[0], 1),
            Leaky(),
            *(Halving(narrow, wide) for narrow, wide in pairwise(widths)),
            MinibatchStd(),
            EqualConv2d(last + 1, last, 3),
            Leaky(),
            nn.Flatten(),
            EqualLinear(last * START**2, last),
            Leaky(),
            EqualLinear(last, 1 + labels, gain=1.0),
        )


class StyleGenerator(nn.Module):
    """From a constant of 4 x 4 pixels to an image, to which each side adds what it can show.

    Args:
        plan: Lengths and widths.
        size: Of the images.
        channels: Of the images.
        labels: Length of the one-hot vectors.
    """

    def __init__(self, plan: Style, size: int, channels: int, labels: int) -> None:
        super().__init__()
        self.latent = plan.latent
        self.mapping = Mapping(plan, labels)
        widths = plan.widths(size)
        self.constant = nn.Parameter(torch.randn(widths[0], START, START))
        self.levels = nn.ModuleList(
            StyleLevel(plan, number, narrow, wide, channels)
            for number, (narrow, wide) in enumerate(pairwise([widths[0], *widths]))
        )

    def forward(self, inputs: Float[Tensor, "n z"]) -> Float[Tensor, "n c h w"]:
        """Draw images."""
        latents = to_unit_mean_square(inputs[:, : self.latent])
        labels = inputs[:, self.latent :]
        styles = self.mapping(latents, labels)
        features = self.constant.expand(len(inputs), -1, -1, -1)
        images: Tensor | None = None
        for level in self.levels:
            features, shown = level(features, styles, latents)
            images = shown if images is None else doubled(images) + shown
        assert images is not None
        return images


class Mapping(nn.Module):
    """From latents of unit mean square, and labels that are brought to it, to styles."""

    def __init__(self, plan: Style, labels: int) -> None:
        super().__init__()
        self.label = EqualLinear(labels, plan.latent, gain=1.0) if labels else None
        inputs = plan.latent * (2 if labels else 1)
        lengths = [inputs, *[plan.style] * plan.depth]
        self.layers = nn.Sequential()
        for length, following in pairwise(lengths):
            self.layers.extend([EqualLinear(length, following, speed=SLOW), Leaky()])

    def forward(
        self, latents: Float[Tensor, "n z"], labels: Float[Tensor, "n k"]
    ) -> Float[Tensor, "n s"]:
        """Give the style of each row."""
        if self.label is not None:
            latents = torch.cat([latents, to_unit_mean_square(self.label(labels))], 1)
        styles: Tensor = self.layers(latents)
        return styles


class StyleLevel(nn.Module):
    """Two convolutions at one side, and what they show of the image.

    Args:
        plan: Lengths.
        number: Of the level; the side is 4 doubled so often.
        narrow: Channels that come in.
        wide: Channels that go out.
        channels: Of the images.
    """

    def __init__(self, plan: Style, number: int, narrow: int, wide: int, channels: int) -> None:
        super().__init__()
        side = START << number
        self.first = Textured(narrow, wide, side, plan, 2 * number, doubles=number > 0)
        self.second = Textured(wide, wide, side, plan, 2 * number + 1)
        self.shown = Styled(wide, channels, 1, plan.style, demodulated=False)

    def forward(
        self, features: Float[Tensor, "n f h w"], styles: Tensor, latents: Tensor
    ) -> tuple[Float[Tensor, "n f2 h2 w2"], Float[Tensor, "n c h2 w2"]]:
        """Give the features for the next level, and this one's part of the image."""
        features = self.first(features, styles, latents)
        features = self.second(features, styles, latents)
        return features, self.shown(features, styles) + self.shown.bias[:, None, None]


class Textured(nn.Module):
    """A styled convolution, noise, bias and a rectifier.

    The noise follows from the latents, so that an image does too: at each pixel it is a wave along
    a random direction of three latents, so fast that what the mapping network makes of latents
    tells nothing of it.

    Args:
        narrow: Channels that come in.
        wide: Channels that go out.
        side: Height and width.
        plan: Lengths.
        number: What the directions follow from.
        doubles: Whether the side is doubled on the way; what comes in has half of it.
    """

    chosen: Int[Tensor, "3 p"]
    speeds: Float[Tensor, "3 p"]
    phases: Float[Tensor, " p"]

    def __init__(
        self, narrow: int, wide: int, side: int, plan: Style, number: int, doubles: bool = False
    ) -> None:
        super().__init__()
        self.doubles = doubles
        self.convolution = Styled(narrow, wide, 3, plan.style)
        self.strength = nn.Parameter(torch.zeros(()))
        self.leaky = Leaky()
        random = torch.Generator().manual_seed(number)
        chosen = torch.randint(plan.latent, (3, side**2), generator=random)
        speeds = FAST * torch.randn(3, side**2, generator=random)
        phases = 2 * torch.pi * torch.rand(side**2, generator=random)
        for name, values in (("chosen", chosen), ("speeds", speeds), ("phases", phases)):
            self.register_buffer(name, values, persistent=False)

    def forward(
        self, inputs: Float[Tensor, "n c h w"], styles: Tensor, latents: Float[Tensor, "n z"]
    ) -> Float[Tensor, "n c2 h2 w2"]:
        """Convolve, add noise and bias, and rectify."""
        outputs = self.convolution(inputs, styles)
        # Doubled after it is convolved, a quarter of the work; the next one sharpens it.
        outputs = doubled(outputs) if self.doubles else outputs
        noise = self.noise(latents).reshape(len(latents), 1, *outputs.shape[2:])
        # One after the other, so that neither is spread out over all channels and pixels first.
        outputs = outputs + (self.strength * noise).to(outputs.dtype)
        outputs = outputs + self.convolution.bias.to(outputs.dtype)[:, None, None]
        return self.leaky(outputs)

    def noise(self, latents: Float[Tensor, "n z"]) -> Float[Tensor, "n p"]:
        """Give noise of unit spread; computed pixel by pixel, since products in bf16 are coarse."""
        turns = (latents.detach()[:, self.chosen] * self.speeds).sum(1)
        return torch.cos(turns + self.phases) * 2**0.5


class Styled(nn.Module):
    """A convolution whose input channels are scaled by a style; it leaves its bias to its owner.

    Scaling the weights of each image by itself is the same as scaling what goes in and what comes
    out (Karras et al. 2020, equations 1 and 3), and one convolution then serves the whole batch.

    Args:
        narrow: Channels that come in.
        wide: Channels that go out.
        kernel: Height and width.
        style: Length of a style.
        demodulated: Whether outputs are brought to the spread they would have without a style,
            and to sqrt(2) of it, which a rectifier then takes away.
    """

    def __init__(
        self, narrow: int, wide: int, kernel: int, style: int, demodulated: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(wide, narrow, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(wide))
        self.scales = EqualLinear(style, narrow, gain=1.0)
        nn.init.ones_(self.scales.bias)
        self.gain = 1 / (narrow * kernel**2) ** 0.5
        self.demodulated = demodulated

    def forward(
        self, inputs: Float[Tensor, "n c h w"], styles: Float[Tensor, "n s"]
    ) -> Float[Tensor, "n c2 h w"]:
        """Scale, convolve, and scale back."""
        weight, scales = self.weight * self.gain, self.scales(styles)
        outputs = F.conv2d(inputs * scales[:, :, None, None], weight, padding="same")
        if self.demodulated:
            power = scales.float().square() @ weight.float().square().sum((2, 3)).T
            outputs = outputs * (power / 2 + 1e-8).rsqrt()[:, :, None, None].to(outputs.dtype)
        return outputs


class Halving(nn.Module):
    """Two convolutions, the second halving the side, beside a skip (Karras et al. 2020, 4.1)."""

    def __init__(self, narrow: int, wide: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            EqualConv2d(narrow, narrow, 3),
            Leaky(),
            EqualConv2d(narrow, wide, 3, resample="down"),
            Leaky(),
        )
        self.skip = EqualConv2d(narrow, wide, 1, gain=1.0, resample="down")

    def forward(self, inputs: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h2 w2"]:
        """Add both ways, at unit spread."""
        outputs: Tensor = (self.layers(inputs) + self.skip(inputs)) * 0.5**0.5
        return outputs


def doubled(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
    """Double the side with the filter (1, 3, 3, 1) / 4."""
    return F.interpolate(images, scale_factor=2.0, mode="bilinear", align_corners=False)
