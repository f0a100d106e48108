"""A U-Net that says how to take the noise off an image.

It works on blocks of pixels laid into channels (space to depth), so that images of any size cost
little more than small ones, and its body is the same network at every size. Where blocks are
large, levels outside the body see smaller ones and take the grain off what it draws.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from mrgantry.common.errors import RecipeError
from mrgantry.common.frozen import Frozen
from mrgantry.data.formats import times
from mrgantry.generate.layers import GroupNorm, channels_last

Convolution = nn.Conv2d | nn.Conv3d
CONVOLUTIONS: dict[int, type[Convolution]] = {2: nn.Conv2d, 3: nn.Conv3d}  # by dimensions
GROUPS = 8  # of channels that are normalised together
FREQUENCY = 100.0  # of the fastest of the sines that write a time; the slowest has about 1
WAVES = 4  # along each axis tell a place
DETAILS = ("stem.", "last_norm.", "last.", "outer.")  # what is not of the body
Width = Annotated[int, Field(ge=8, multiple_of=GROUPS)]


# A block of 20 numbers (two sequences and three classes on 2 x 2 pixels) came out grainy and with
# specks from the 64 channels of a body, and smooth with one level more; one of 4 needs none.
MOST_NUMBERS = 8
MORE = (32,)  # channels of that level


class UNet(Frozen):
    """A U-Net of residual blocks with adaptive group norm (Dhariwal and Nichol 2021).

    Attributes:
        patch: Side of the blocks of pixels that become channels.
        widths: Channels of each level; every level after the first has half the side.
        outer: Channels of levels outside these, finest first, whose blocks have half the side of
            the next one's. They begin as if they were not there.
        blocks: Residual blocks of a level, each on the way down and on the way up.
        middle: Residual blocks between the ways, with attention between every two: where the
            side is smallest they cost least, and see the whole image.
        heads: Of the attention.
        places: Whether every level of the body is told where in the image each of its places is.
            Brains lie alike in their images; without being told, a network knows of a place only
            what reaches it from the images' edges, which in a volume are far from most places.
        learns: "details" leaves the body as it was begun with; only the levels outside it and the
            ways in and out of it learn.
    """

    kind: Literal["unet"] = "unet"
    patch: Literal[1, 2, 4, 8] = 2
    widths: tuple[Width, ...] = (64, 128, 192)
    outer: tuple[Width, ...] = ()
    blocks: Annotated[int, Field(ge=1)] = 1
    middle: Annotated[int, Field(ge=1)] = 4
    heads: Annotated[int, Field(ge=1)] = 4
    places: bool = False
    learns: Literal["all", "details"] = "all"

    def suited(self, channels: int) -> "UNet":
        """Give the network with a level outside, if a block holds more than its body can draw.

        Args:
            channels: Of the images, with those of label maps.
        """
        enough = channels * self.patch**2 <= MOST_NUMBERS
        if enough or self.outer or self.patch == 1:
            return self
        return self.model_copy(update={"outer": MORE})

    def denoiser(
        self, shape: Sequence[int], channels: int, labels: int = 0, says: int = 1
    ) -> "Denoiser":
        """Build the network.

        Args:
            shape: Height and width of the images; depth before them of volumes.
            channels: Of the images.
            labels: Length of the one-hot vectors.
            says: Numbers that it gives for each pixel of a channel.

        Raises:
            RecipeError: The images cannot be cut into blocks, or halved so often.
        """
        least = self.patch << (len(self.widths) - 1)
        if any(side % least for side in shape):
            raise RecipeError(
                f"This U-Net needs images whose sides are multiples of {least}, not "
                f"{times(shape)} pixels; change network.patch or network.widths."
            )
        if self.patch >> len(self.outer) < 1:
            raise RecipeError(
                f"Blocks of {self.patch} pixels cannot be halved {len(self.outer)} times; take "
                "fewer levels in network.outer, or a larger network.patch."
            )
        return Denoiser(self, channels, labels, says, len(shape))


class Residual(nn.Module):
    """Two convolutions beside an identity, scaled and shifted by what is known of the image.

    The last convolution starts at zero, so that a new block changes nothing.
    """

    def __init__(self, narrow: int, wide: int, embedding: int, dimensions: int) -> None:
        super().__init__()
        convolution = CONVOLUTIONS[dimensions]
        self.first_norm = GroupNorm(GROUPS, narrow)
        self.first = convolution(narrow, wide, 3, 1, 1)
        self.second_norm = GroupNorm(GROUPS, wide)
        self.second = _zeroed(convolution(wide, wide, 3, 1, 1))
        self.modulation = nn.Linear(embedding, 2 * wide)
        self.skip = convolution(narrow, wide, 1) if narrow != wide else nn.Identity()

    def forward(
        self, inputs: Float[Tensor, "n c *s"], embedding: Float[Tensor, "n k"]
    ) -> Float[Tensor, "n c2 *s"]:
        """Add what the convolutions find."""
        features = self.first(F.silu(self.first_norm(inputs)))
        known = self.modulation(embedding)
        scale, shift = known.view(*known.shape, *[1] * (inputs.ndim - 2)).chunk(2, 1)
        features = self.second_norm(features) * (1 + scale) + shift
        outputs: Tensor = self.skip(inputs) + self.second(F.silu(features))
        return outputs


class Attention(nn.Module):
    """Attention among all places of a small grid, beside an identity."""

    def __init__(self, width: int, heads: int, dimensions: int) -> None:
        super().__init__()
        convolution = CONVOLUTIONS[dimensions]
        self.heads = heads
        self.norm = GroupNorm(GROUPS, width)
        self.queries_keys_values = convolution(width, 3 * width, 1)
        self.mix = _zeroed(convolution(width, width, 1))

    def forward(self, inputs: Float[Tensor, "n c *s"]) -> Float[Tensor, "n c *s"]:
        """Add what other places tell."""
        n, width, *sides = inputs.shape
        shape = (n, 3, self.heads, width // self.heads, math.prod(sides))
        packed = self.queries_keys_values(self.norm(inputs)).reshape(shape)
        if packed.device.type == "cpu" and torch.is_grad_enabled():
            packed = packed.float()  # two to six times as fast there, once gradients are needed
        queries, keys, values = packed.transpose(-1, -2).unbind(1)
        attended = F.scaled_dot_product_attention(queries, keys, values)
        mixed = attended.transpose(-1, -2).reshape(inputs.shape).to(inputs.dtype)
        outputs: Tensor = inputs + self.mix(mixed)
        return outputs


class UNetLevel(nn.Module):
    """Layers one after another, of which the residual ones are told what is known."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(
        self, features: Float[Tensor, "n c *s"], embedding: Float[Tensor, "n k"]
    ) -> Float[Tensor, "n c2 *s"]:
        """Go through all layers."""
        for layer in self.layers:
            conditioned = isinstance(layer, Residual)
            features = layer(features, embedding) if conditioned else layer(features)
        return features


class Outer(nn.Module):
    """A level outside the body: it sees smaller blocks of pixels, and adds to what is said.

    Args:
        wide: Its channels.
        wider: Those of the next level, of half the side.
        pixels: Numbers of a block that it sees, and that it gives.
        embedding: Numbers that describe time and label.
        blocks: Residual blocks each way.
        dimensions: 2 of images, 3 of volumes.
    """

    def __init__(
        self,
        wide: int,
        wider: int,
        pixels: tuple[int, int],
        embedding: int,
        blocks: int,
        dimensions: int,
    ) -> None:
        super().__init__()
        convolution = CONVOLUTIONS[dimensions]
        self.stem = convolution(pixels[0], wide, 3, 1, 1)
        self.down = UNetLevel([Residual(wide, wide, embedding, dimensions) for _ in range(blocks)])
        self.halve = _zeroed(convolution(wide, wider, 3, 2, 1))
        self.narrow = convolution(wider, wide, 1)
        widths = [2 * wide] + [wide] * (blocks - 1)
        self.up = UNetLevel([Residual(width, wide, embedding, dimensions) for width in widths])
        self.last_norm = GroupNorm(GROUPS, wide)
        self.last = _zeroed(convolution(wide, pixels[1], 3, 1, 1))


class Denoiser(nn.Module):
    """The network: noisy images, their times and labels to what a flow makes of it.

    Args:
        plan: Its widths.
        channels: Of the images.
        labels: Length of the one-hot vectors; a vector of zeros is an unknown label.
        says: Numbers that it gives for each pixel of a channel: the first of all channels, then
            the second.
        dimensions: 2 of images, 3 of volumes.
    """

    def __init__(
        self, plan: UNet, channels: int, labels: int, says: int = 1, dimensions: int = 2
    ) -> None:
        super().__init__()
        self.dimensions, convolution = dimensions, CONVOLUTIONS[dimensions]
        self.says = says
        self.patch, first = plan.patch, plan.widths[0]
        embedding, pixels = 4 * first, channels * plan.patch**dimensions

        def residual(narrow: int, wide: int) -> Residual:
            return Residual(narrow, wide, embedding, dimensions)

        self.waves = first // 2
        self.time = nn.Sequential(
            nn.Linear(2 * self.waves, embedding), nn.SiLU(), nn.Linear(embedding, embedding)
        )
        self.label = nn.Linear(labels, embedding, bias=False) if labels else None
        self.stem = convolution(pixels, first, 3, 1, 1)
        self.down, self.halve = nn.ModuleList(), nn.ModuleList()
        for wide, wider in pairwise(plan.widths):
            self.down.append(UNetLevel([residual(wide, wide) for _ in range(plan.blocks)]))
            self.halve.append(convolution(wide, wider, 3, 2, 1))
        width = plan.widths[-1]
        layers: list[nn.Module] = [residual(width, width)]
        for _ in range(plan.middle - 1):
            layers += [Attention(width, plan.heads, dimensions), residual(width, width)]
        self.middle = UNetLevel(layers)
        self.places = nn.ModuleList(
            _zeroed(convolution(2 * WAVES * dimensions, wide, 1))
            for wide in (plan.widths if plan.places else ())
        )
        # Doubled images are mixed with those of the way down at once.
        self.up, self.narrow = nn.ModuleList(), nn.ModuleList()
        for wider, wide in pairwise(reversed(plan.widths)):
            self.narrow.append(convolution(wider, wide, 1))
            widths = [2 * wide] + [wide] * (plan.blocks - 1)
            self.up.append(UNetLevel([residual(width, wide) for width in widths]))
        width = first
        self.last_norm = GroupNorm(GROUPS, width)
        self.last = _zeroed(convolution(width, says * pixels, 3, 1, 1))
        self.outer = nn.ModuleList()
        sides = [plan.patch >> (len(plan.outer) - place) for place in range(len(plan.outer))]
        for side, (wide, wider) in zip(sides, pairwise((*plan.outer, first)), strict=True):
            numbers = channels * side**dimensions
            self.outer.append(
                Outer(wide, wider, (numbers, says * numbers), embedding, plan.blocks, dimensions)
            )
        if plan.learns == "details":
            for name, parameter in self.named_parameters():
                parameter.requires_grad_(name.startswith(DETAILS))

    def forward(
        self,
        images: Float[Tensor, "n c *s"],
        times: Float[Tensor, " n"],
        labels: Float[Tensor, "n k"],
    ) -> Float[Tensor, "n c2 *s"]:
        """Say of noisy images at times in [0, 1] what the flow was told that it says."""
        embedding = self._embed(times, labels)
        outer = [cast(Outer, level) for level in self.outer]
        details: list[Tensor] = []
        finer: Tensor | float = 0.0
        for place, level in enumerate(outer):
            blocks = to_blocks(images, self._side(place))
            details.append(level.down(level.stem(blocks) + finer, embedding))
            finer = level.halve(details[-1])
        features = self._body(self.stem(to_blocks(images, self.patch)) + finer, embedding)
        pixels = self.last(F.silu(self.last_norm(features)))
        said = from_blocks(pixels, self.patch)
        for place, level in reversed(list(enumerate(outer))):
            doubled = F.interpolate(level.narrow(features), scale_factor=2.0)
            features = level.up(torch.cat([doubled, details[place]], 1), embedding)
            pixels = level.last(F.silu(level.last_norm(features)))
            said = said + from_blocks(pixels, self._side(place))
        return said

    def _body(
        self, features: Float[Tensor, "n c *s"], embedding: Float[Tensor, "n e"]
    ) -> Float[Tensor, "n c *s"]:
        """Go down to where the side is smallest and up again."""
        kept = []
        for place, (level, halve) in enumerate(zip(self.down, self.halve, strict=True)):
            features = level(self._placed(features, place), embedding)
            kept.append(features)
            features = halve(features)
        features = self.middle(self._placed(features, len(self.down)), embedding)
        for level, narrow in zip(self.up, self.narrow, strict=True):
            doubled = F.interpolate(narrow(features), scale_factor=2.0)
            features = level(torch.cat([doubled, kept.pop()], 1), embedding)
        return features

    def _placed(self, features: Float[Tensor, "n c *s"], level: int) -> Float[Tensor, "n c *s"]:
        """Tell features of a level where they are."""
        if not self.places:
            return features
        waves = waves_of(features.shape[2:], features.device)
        placed: Tensor = features + self.places[level](waves)
        return placed

    def _side(self, place: int) -> int:
        """Give the side of the blocks that an outer level sees."""
        return self.patch >> (len(self.outer) - place)

    def _embed(
        self, times: Float[Tensor, " n"], labels: Float[Tensor, "n k"]
    ) -> Float[Tensor, "n e"]:
        """Describe time and label in one vector an image."""
        places = torch.arange(self.waves, device=times.device) / self.waves
        angles = times[:, None] * FREQUENCY ** (1 - places)
        embedding = self.time(torch.cat([angles.cos(), angles.sin()], 1))
        if self.label is not None:
            embedding = embedding + self.label(labels)
        return F.silu(embedding)

    def fit(
        self,
        tensors: Mapping[str, Tensor],
        columns: Float[Tensor, "e k"],
        constant: Float[Tensor, " e"],
        classes: int = 0,
    ) -> dict[str, Tensor]:
        """Bring another network's weights to the channels, blocks and labels of this one.

        Args:
            tensors: The other's weights, whose middle must be like this one's.
            columns: What the other knows of each label of this one.
            constant: What it knows of labels that are the same for all images here.
            classes: How many of the last channels are classes of label maps.

        Returns:
            Weights that this network can load. Until it has learnt more, it sees each block of
            pixels as its mean where blocks are larger here, all channels of images alike, and
            neither sees nor draws classes; levels outside the body begin anew where the other's
            are not alike.
        """
        given, own = (
            {k: t for k, t in weights.items() if k.startswith("outer.")}
            for weights in (tensors, self.state_dict())
        )
        same = {k: t.shape for k, t in given.items()} == {k: t.shape for k, t in own.items()}
        body = {k: t for k, t in tensors.items() if k not in given}
        fitted = body | (given if same else own)
        fitted.pop("label.weight", None)
        fitted["time.2.bias"] = tensors["time.2.bias"] + constant
        if self.label is not None:
            fitted["label.weight"] = columns
        pixels, blocks = self.stem.weight.shape[1], tensors["stem.weight"].shape[1]
        if pixels != blocks:
            channels = pixels // self.patch**self.dimensions - classes
            source = _block_places(channels, self.patch, blocks, self.dimensions)
            unseen = classes * self.patch**self.dimensions
            counts = torch.bincount(source, minlength=blocks).to(tensors["stem.weight"])
            stem = (tensors["stem.weight"] / counts.view(-1, *[1] * self.dimensions))[:, source]
            kernel = (0, 0) * self.dimensions  # nothing is laid around it
            fitted["stem.weight"] = F.pad(stem, (*kernel, 0, unseen))
            said = [
                (
                    F.pad(weight[source], (*kernel, 0, 0, 0, unseen)),
                    F.pad(bias[source], (0, unseen)),
                )
                for weight, bias in zip(
                    tensors["last.weight"].split(blocks),
                    tensors["last.bias"].split(blocks),
                    strict=True,
                )
            ]
            fitted["last.weight"], fitted["last.bias"] = map(torch.cat, zip(*said, strict=True))
        return fitted


def waves_of(shape: Sequence[int], device: torch.device) -> Float[Tensor, "1 w *s"]:
    """Write where each place of a grid is: sines and cosines of 1/4 to 2 cycles over each side."""
    waves = []
    for axis, side in enumerate(shape):
        along = (torch.arange(side, device=device) + 0.5) / side * 2 - 1
        angles = along * math.pi / 4 * 2 ** torch.arange(WAVES, device=device)[:, None]
        lain = angles.view(WAVES, *[side if place == axis else 1 for place in range(len(shape))])
        waves += [lain.sin().expand(WAVES, *shape), lain.cos().expand(WAVES, *shape)]
    return torch.cat(waves)[None]


def to_blocks(images: Float[Tensor, "n c *s"], side: int) -> Float[Tensor, "n c2 *s2"]:
    """Lay blocks of pixels, or of voxels, into channels (space to depth)."""
    if images.ndim == 4:
        return F.pixel_unshuffle(images, side)
    if side == 1:
        return images
    n, channels, *sides = images.shape
    depth, height, width = (length // side for length in sides)
    parted = images.reshape(n, channels, depth, side, height, side, width, side)
    blocks = parted.permute(0, 1, 3, 5, 7, 2, 4, 6)
    return channels_last(blocks.reshape(n, channels * side**3, depth, height, width))


def from_blocks(blocks: Float[Tensor, "n c2 *s2"], side: int) -> Float[Tensor, "n c *s"]:
    """Lay channels back into blocks of pixels, or of voxels."""
    if blocks.ndim == 4:
        return F.pixel_shuffle(blocks, side)
    if side == 1:
        return blocks
    n, numbers, depth, height, width = blocks.shape
    parted = blocks.reshape(n, numbers // side**3, side, side, side, depth, height, width)
    images = parted.permute(0, 1, 5, 2, 6, 3, 7, 4)
    return images.reshape(n, numbers // side**3, depth * side, height * side, width * side)


def _block_places(channels: int, patch: int, numbers: int, dimensions: int) -> Tensor:
    """Say which pixel of another network's single-channel block each of ours lies in."""
    side = round(numbers ** (1 / dimensions))
    along = torch.arange(patch) * side // patch
    block = torch.zeros((), dtype=torch.long)
    for axis in range(dimensions):
        block = block * side + along.view(-1, *[1] * (dimensions - 1 - axis))
    return block.flatten().repeat(channels)


def _zeroed(layer: Convolution) -> Convolution:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
