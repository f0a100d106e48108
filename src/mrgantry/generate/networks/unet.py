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
from mrgantry.generate.layers import GroupNorm

GROUPS = 8  # of channels that are normalised together
FREQUENCY = 100.0  # of the fastest of the sines that write a time; the slowest has about 1
UNSEEN = -1  # of channels: another network has none like it
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
        self,
        shape: Sequence[int],
        channels: int,
        labels: int = 0,
        beside: int = 0,
    ) -> "Denoiser":
        """Build the network.

        Args:
            shape: Height and width of the images.
            channels: Of the images.
            labels: Length of the one-hot vectors.
            beside: Channels that it sees behind those of the images, and says nothing of.

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
        return Denoiser(self, channels, labels, beside)


class Residual(nn.Module):
    """Two convolutions beside an identity, scaled and shifted by what is known of the image.

    The last convolution starts at zero, so that a new block changes nothing.
    """

    def __init__(self, narrow: int, wide: int, embedding: int) -> None:
        super().__init__()
        self.first_norm = GroupNorm(GROUPS, narrow)
        self.first = nn.Conv2d(narrow, wide, 3, 1, 1)
        self.second_norm = GroupNorm(GROUPS, wide)
        self.second = _zeroed(nn.Conv2d(wide, wide, 3, 1, 1))
        self.modulation = nn.Linear(embedding, 2 * wide)
        self.skip = nn.Conv2d(narrow, wide, 1) if narrow != wide else nn.Identity()

    def forward(
        self, inputs: Float[Tensor, "n c h w"], embedding: Float[Tensor, "n k"]
    ) -> Float[Tensor, "n c2 h w"]:
        """Add what the convolutions find."""
        features = self.first(F.silu(self.first_norm(inputs)))
        known = self.modulation(embedding)
        scale, shift = known[:, :, None, None].chunk(2, 1)
        features = self.second_norm(features) * (1 + scale) + shift
        outputs: Tensor = self.skip(inputs) + self.second(F.silu(features))
        return outputs


class Attention(nn.Module):
    """Attention among all places of a small grid, beside an identity."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = GroupNorm(GROUPS, width)
        self.queries_keys_values = nn.Conv2d(width, 3 * width, 1)
        self.mix = _zeroed(nn.Conv2d(width, width, 1))

    def forward(self, inputs: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Add what other places tell."""
        n, width, height, across = inputs.shape
        shape = (n, 3, self.heads, width // self.heads, height * across)
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
        self, features: Float[Tensor, "n c h w"], embedding: Float[Tensor, "n k"]
    ) -> Float[Tensor, "n c2 h w"]:
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
    """

    def __init__(
        self,
        wide: int,
        wider: int,
        pixels: tuple[int, int],
        embedding: int,
        blocks: int,
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(pixels[0], wide, 3, 1, 1)
        self.down = UNetLevel([Residual(wide, wide, embedding) for _ in range(blocks)])
        self.halve = _zeroed(nn.Conv2d(wide, wider, 3, 2, 1))
        self.narrow = nn.Conv2d(wider, wide, 1)
        widths = [2 * wide] + [wide] * (blocks - 1)
        self.up = UNetLevel([Residual(width, wide, embedding) for width in widths])
        self.last_norm = GroupNorm(GROUPS, wide)
        self.last = _zeroed(nn.Conv2d(wide, pixels[1], 3, 1, 1))


class Denoiser(nn.Module):
    """The network: noisy images, their times and labels to what a flow makes of it.

    Args:
        plan: Its widths.
        channels: Of the images.
        labels: Length of the one-hot vectors; a vector of zeros is an unknown label.
        beside: Channels that it sees behind those of the images, and says nothing of.
    """

    def __init__(self, plan: UNet, channels: int, labels: int, beside: int = 0) -> None:
        super().__init__()
        self.channels, self.beside = channels, beside
        self.patch, first = plan.patch, plan.widths[0]
        embedding, block = 4 * first, plan.patch**2

        def residual(narrow: int, wide: int) -> Residual:
            return Residual(narrow, wide, embedding)

        self.waves = first // 2
        self.time = nn.Sequential(
            nn.Linear(2 * self.waves, embedding), nn.SiLU(), nn.Linear(embedding, embedding)
        )
        self.label = nn.Linear(labels, embedding, bias=False) if labels else None
        self.stem = nn.Conv2d((channels + beside) * block, first, 3, 1, 1)
        self.down, self.halve = nn.ModuleList(), nn.ModuleList()
        for wide, wider in pairwise(plan.widths):
            self.down.append(UNetLevel([residual(wide, wide) for _ in range(plan.blocks)]))
            self.halve.append(nn.Conv2d(wide, wider, 3, 2, 1))
        width = plan.widths[-1]
        layers: list[nn.Module] = [residual(width, width)]
        for _ in range(plan.middle - 1):
            layers += [Attention(width, plan.heads), residual(width, width)]
        self.middle = UNetLevel(layers)
        # Doubled images are mixed with those of the way down at once.
        self.up, self.narrow = nn.ModuleList(), nn.ModuleList()
        for wider, wide in pairwise(reversed(plan.widths)):
            self.narrow.append(nn.Conv2d(wider, wide, 1))
            widths = [2 * wide] + [wide] * (plan.blocks - 1)
            self.up.append(UNetLevel([residual(width, wide) for width in widths]))
        width = first
        self.last_norm = GroupNorm(GROUPS, width)
        self.last = _zeroed(nn.Conv2d(width, channels * block, 3, 1, 1))
        self.outer = nn.ModuleList()
        sides = [plan.patch >> (len(plan.outer) - place) for place in range(len(plan.outer))]
        for side, (wide, wider) in zip(sides, pairwise((*plan.outer, first)), strict=True):
            pixels = ((channels + beside) * side**2, channels * side**2)
            self.outer.append(Outer(wide, wider, pixels, embedding, plan.blocks))
        if plan.learns == "details":
            for name, parameter in self.named_parameters():
                parameter.requires_grad_(name.startswith(DETAILS))

    def forward(
        self,
        images: Float[Tensor, "n c h w"],
        times: Float[Tensor, " n"],
        labels: Float[Tensor, "n k"],
    ) -> Float[Tensor, "n c2 h w"]:
        """Say of noisy images what the flow was told that it says.

        Args:
            images: Noisy, with what lies beside them.
            times: In [0, 1].
            labels: One-hot.
        """
        embedding = self._embed(times, labels)
        outer = [cast(Outer, level) for level in self.outer]
        details: list[Tensor] = []
        finer: Tensor | float = 0.0
        for place, level in enumerate(outer):
            blocks = F.pixel_unshuffle(images, self._side(place))
            details.append(level.down(level.stem(blocks) + finer, embedding))
            finer = level.halve(details[-1])
        features = self.stem(F.pixel_unshuffle(images, self.patch)) + finer
        features = self._body(features, embedding)
        pixels = self.last(F.silu(self.last_norm(features)))
        said = F.pixel_shuffle(pixels, self.patch)
        for place, level in reversed(list(enumerate(outer))):
            doubled = F.interpolate(level.narrow(features), scale_factor=2.0)
            features = level.up(torch.cat([doubled, details[place]], 1), embedding)
            pixels = level.last(F.silu(level.last_norm(features)))
            said = said + F.pixel_shuffle(pixels, self._side(place))
        return said

    def _body(
        self, features: Float[Tensor, "n c h w"], embedding: Float[Tensor, "n e"]
    ) -> Float[Tensor, "n c h w"]:
        """Go down to where the side is smallest and up again."""
        kept = []
        for level, halve in zip(self.down, self.halve, strict=True):
            features = level(features, embedding)
            kept.append(features)
            features = halve(features)
        features = self.middle(features, embedding)
        for level, narrow in zip(self.up, self.narrow, strict=True):
            doubled = F.interpolate(narrow(features), scale_factor=2.0)
            features = level(torch.cat([doubled, kept.pop()], 1), embedding)
        return features

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
        if self.label is not None:  # what the other was not told comes last, and is learnt
            more = self.label.weight.shape[1] - columns.shape[1]
            fitted["label.weight"] = F.pad(columns, (0, max(more, 0)))
        if self.stem.weight.shape[1] != tensors["stem.weight"].shape[1]:
            fitted |= self._fit_blocks(tensors, classes)
        return fitted

    def _fit_blocks(self, tensors: Mapping[str, Tensor], classes: int) -> dict[str, Tensor]:
        """Bring the ways in and out of another network, of single images, to these channels.

        Args:
            tensors: The other's weights.
            classes: How many of the last channels are classes of label maps.
        """
        images = self.channels - classes
        told = [0] * images + [UNSEEN] * classes
        numbers = len(tensors["last.bias"])  # of the other's block
        has_beside = tensors["stem.weight"].shape[1] > numbers
        sides = self.beside // self.channels
        beside = [
            channel
            for side in range(1, 1 + sides)
            for channel in [side if has_beside else UNSEEN] * images + [UNSEEN] * classes
        ]
        side = math.isqrt(numbers)
        seen_at, told_at = (
            _block_places(channels, self.patch, side) for channels in (told + beside, told)
        )
        counts = torch.bincount(seen_at[seen_at >= 0], minlength=tensors["stem.weight"].shape[1])
        stem = tensors["stem.weight"] / counts.clamp(min=1).view(-1, 1, 1)
        return {
            "stem.weight": _taken(stem, seen_at, 1),
            "last.weight": _taken(tensors["last.weight"], told_at, 0),
            "last.bias": _taken(tensors["last.bias"], told_at, 0),
        }


def _block_places(channels: Sequence[int], patch: int, side: int) -> Tensor:
    """Say which number of another network's block each of ours is taken from.

    Args:
        channels: For each of our channels the other's, or `UNSEEN`.
        patch: Side of our blocks.
        side: Of the other's.
    """
    along = torch.arange(patch) * side // patch
    block = (along[:, None] * side + along).flatten()
    unseen = torch.full_like(block, UNSEEN)
    return torch.cat([unseen if k == UNSEEN else block + k * side**2 for k in channels])


def _taken(weights: Tensor, places: Tensor, axis: int) -> Tensor:
    """Take weights from their places along an axis; zeros where there is none."""
    taken = weights.index_select(axis, places.clamp(min=0))
    seen = (places >= 0).view(-1, *[1] * (weights.ndim - 1 - axis))
    return taken * seen


def _zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
