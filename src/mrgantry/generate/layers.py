"""Layers that several architectures share."""

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mrgantry.common.errors import RecipeError

MANY_PLACES = 1024  # of an image: from here on PyTorch takes another way through group norm
SLOPE = 0.2  # of leaky ReLU below 0, in all four studies


class Leaky(nn.Module):
    """Leaky ReLU, with slope 0.2 below 0, whose second derivative is not computed.

    It is 0 nearly everywhere, but PyTorch's own layer does not know that: under a gradient
    penalty it sends zeros once more through the whole network, a third of the penalty's
    cost.
    """

    def forward(self, inputs: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Keep what is positive and shrink what is negative."""
        outputs: Tensor = _Leaky.apply(inputs)
        return outputs


class _Leaky(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:
        outputs = F.leaky_relu(inputs, SLOPE)
        ctx.save_for_backward(outputs)
        return outputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (outputs,) = ctx.saved_tensors
        # The sign of the output is that of the input.
        return torch.ops.aten.leaky_relu_backward(gradient, outputs.detach(), SLOPE, True)


def channels_last(images: Float[Tensor, "n c *s"]) -> Float[Tensor, "n c *s"]:
    """Lay the channels of each pixel, or voxel, side by side: convolutions are faster so."""
    return images.contiguous(memory_format=_FORMATS[images.ndim])


def lay_out(network: nn.Module) -> nn.Module:
    """Lay the weights of a network out as `channels_last` lays out what it convolves."""
    in_space = any(isinstance(module, VOLUME_LAYERS) for module in network.modules())
    laid_out: nn.Module = network.to(memory_format=_FORMATS[5 if in_space else 4])  # type: ignore[call-overload]
    return laid_out


VOLUME_LAYERS = nn.Conv3d | nn.ConvTranspose3d
_FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


class GroupNorm(nn.GroupNorm):
    """Group norm (Wu and He 2018) whose gradient is computed in single precision on a CPU.

    There PyTorch's own needs three to four times as long in bfloat16 as in single precision, once
    an image has as many places as `MANY_PLACES`; of whole heads that was a fifth of a step.
    """

    def forward(self, input: Float[Tensor, "n c *s"]) -> Float[Tensor, "n c *s"]:
        """Bring the channels of each group to zero mean and unit variance, scale and shift them."""
        many = math.prod(input.shape[2:]) >= MANY_PLACES
        if many and input.device.type == "cpu" and input.dtype == torch.bfloat16:
            outputs: Tensor = _GroupNorm.apply(
                input, self.weight, self.bias, self.num_groups, self.eps
            )
            return outputs
        return super().forward(input)


class _GroupNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float
    ) -> Tensor:
        n, channels, *sides = inputs.shape
        places = math.prod(sides)
        ctx.shape = n, channels, places, groups
        outputs, mean, inverse_spread = torch.native_group_norm(
            inputs, weight, bias, n, channels, places, groups, eps
        )
        ctx.save_for_backward(inputs, weight, mean, inverse_spread)
        return outputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs, *others = ctx.saved_tensors
        weight, mean, inverse_spread = (each.float() for each in others)
        # Both must be laid out alike: nothing checks it.
        values, gradient = channels_last(inputs.float()), channels_last(gradient.float())
        of_inputs, of_weight, of_bias = torch.ops.aten.native_group_norm_backward(
            gradient, values, mean, inverse_spread, weight, *ctx.shape, [True] * 3
        )
        return of_inputs.to(inputs.dtype), of_weight, of_bias, None, None


class PixelNorm(nn.Module):
    """Scale the channels of each pixel to unit mean square (Karras et al. 2018, section 4.2)."""

    def forward(self, inputs: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Divide by the root mean square over channels."""
        return to_unit_mean_square(inputs)


def to_unit_mean_square(values: Float[Tensor, "n c *shape"]) -> Float[Tensor, "n c *shape"]:
    """Scale the channels of each row, or of each pixel, to unit mean square."""
    return values * (values.square().mean(1, keepdim=True) + 1e-8).rsqrt()


class MinibatchStd(nn.Module):
    """Append a map that tells how much images of a group differ (Karras et al. 2018, section 3).

    The standard deviation of each feature over a group of images, averaged over features
    and pixels, is one number a group. It is 0 where all images are the same, so a critic
    sees mode collapse. Groups are neighbours in the batch.

    Args:
        group: Images a group; fewer where the batch cannot be divided by it, and the whole
            batch where nothing divides it. Each of several processes has groups of its own.
    """

    def __init__(self, group: int = 4) -> None:
        super().__init__()
        self.group = group

    def forward(self, inputs: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h w"]:
        """Give the inputs with one channel more."""
        n = len(inputs)
        size = next(size for size in (*range(self.group, 1, -1), n) if n % size == 0)
        groups = inputs.float().reshape(n // size, size, *inputs.shape[1:])
        variance = groups.var(1, correction=0)
        # The root has no slope at 0: equal images, as at the start, must give 0 and not NaN.
        spread = torch.where(variance > 0, (variance + 1e-8).sqrt(), 0.0).mean((1, 2, 3))
        maps = spread.to(inputs.dtype).repeat_interleave(size).reshape(n, 1, 1, 1)
        return torch.cat([inputs, maps.expand(n, 1, *inputs.shape[2:])], 1)


class EqualConv2d(nn.Module):
    """A convolution whose weights are N(0, 1) and scaled when used (Karras et al. 2018, 4.1).

    All weights then have the same dynamic range, and so the same speed of learning under
    Adam, whatever the fan-in of their layer.

    Doubling (nearest) before it, or halving (mean) after it, is done in the same step by a
    kernel one pixel larger: the same images at less than half of the cost.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        kernel: Height and width, odd; the padding keeps the size.
        gain: Of He's initialisation; sqrt(2) before a rectifier, 1 at an output.
        resample: "up" doubles the size first, "down" halves it afterwards.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        gain: float = 2**0.5,
        resample: Literal["up", "down"] | None = None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = gain / (inputs * kernel**2) ** 0.5
        self.padding = kernel // 2
        self.resample = resample

    def forward(self, inputs: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h2 w2"]:
        """Convolve with the scaled weights."""
        weight = self.weight * (self.scale / 4 if self.resample == "down" else self.scale)
        inputs = channels_side_by_side(inputs)
        if self.resample == "up":
            weight = sum_of_shifts(weight.flip(2, 3)).transpose(0, 1)
            return F.conv_transpose2d(inputs, weight, self.bias, 2, self.padding)
        if self.resample == "down":
            return F.conv2d(inputs, sum_of_shifts(weight), self.bias, 2, self.padding)
        return F.conv2d(inputs, weight, self.bias, padding=self.padding)


def channels_side_by_side(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Say of images with one channel that they lie as convolutions want them.

    They lie both ways, and a convolution of single pixels would take the other, and all that
    follows would be laid out anew.
    """
    if images.shape[1] > 1:
        return images
    return images.reshape(len(images), *images.shape[2:], 1).permute(0, 3, 1, 2)


def sum_of_shifts(kernels: Float[Tensor, "o i k k"]) -> Float[Tensor, "o i k+1 k+1"]:
    """Convolve kernels with a square of 2 x 2 ones."""
    padded = F.pad(kernels, (1, 1, 1, 1))
    rows = padded[..., 1:, :] + padded[..., :-1, :]
    return rows[..., 1:] + rows[..., :-1]


class EqualLinear(nn.Module):
    """A dense layer with weights N(0, 1) that are scaled when used; see `EqualConv2d`.

    Args:
        inputs: Length of what comes in.
        outputs: Length of what goes out.
        gain: Of He's initialisation; sqrt(2) before a rectifier, 1 at an output.
        speed: Of learning, over that of other layers: weights are begun larger, and scaled down.
    """

    def __init__(self, inputs: int, outputs: int, gain: float = 2**0.5, speed: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / speed)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = speed * gain / inputs**0.5
        self.speed = speed

    def forward(self, inputs: Float[Tensor, "n d"]) -> Float[Tensor, "n e"]:
        """Multiply with the scaled weights."""
        return F.linear(inputs, self.weight * self.scale, self.bias * self.speed)


@torch.no_grad()
def radford_init(module: nn.Module) -> None:
    """Draw weights from N(0, 0.02) and batch norm scales from N(1, 0.02)."""
    if isinstance(
        module, nn.Conv2d | nn.ConvTranspose2d | nn.Conv3d | nn.ConvTranspose3d | nn.Linear
    ):
        nn.init.normal_(module.weight, 0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
        nn.init.normal_(module.weight, 1, 0.02)


@torch.no_grad()
def he_init(module: nn.Module) -> None:
    """Draw weights from N(0, 2 / fan-in) (He et al. 2015)."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def output(kind: Literal["tanh", "linear"]) -> list[nn.Module]:
    """Give the layers that end a generator."""
    return [nn.Tanh()] if kind == "tanh" else []


def power_of_two(size: int, least: int, what: str) -> None:
    """Refuse a size of images that an architecture cannot make.

    Raises:
        RecipeError: The size is no power of two, or less than `least`.
    """
    if size < least or size & (size - 1):
        raise RecipeError(
            f"{what} makes images of {least}, {least * 2}, {least * 4}, ... pixels, not of {size}."
        )
