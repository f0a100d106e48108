"""Moving, turning and stretching batches of images on their device, in one interpolation.

A matrix says where the value of an output pixel is found in the input: it takes (x, y, 1) of
the output to (x, y, 1) of the input. Both are in pixels about the middle of the image, x to
the right and y downwards, so the same matrix fits all square images up to its shift.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

BACKGROUND = -1.0  # of images in [-1, 1]
BLOCK = 1 << 19  # pixels: with their places, about what a processor caches; a GPU takes all

Matrices = Float[Tensor, "n 3 3"]
Numbers = Float[Tensor, " n"]


def shift(x: Numbers, y: Numbers) -> Matrices:
    """Look so many pixels farther right and down: what is seen moves left and up."""
    return _matrices(1, 0, x, 0, 1, y)


def turn(angle: Numbers) -> Matrices:
    """Turn what is seen anticlockwise by an angle in radians."""
    cos, sin = angle.cos(), angle.sin()
    return _matrices(cos, -sin, 0, sin, cos, 0)


def scale(x: Numbers, y: Numbers) -> Matrices:
    """Make what is seen so many times smaller along each axis."""
    return _matrices(x, 0, 0, 0, y, 0)


def shear(angle: Numbers) -> Matrices:
    """Slant horizontal lines by an angle in radians, and keep their length.

    As Keras does it: the columns slide along themselves, by the sine of the angle a column.
    """
    return _matrices(angle.cos(), 0, 0, -angle.sin(), 1, 0)


def compose(first: Matrices, *more: Matrices) -> Matrices:
    """Multiply matrices: the last is the first to meet the output's coordinates."""
    product = first
    for factor in more:
        # Not a matrix product, which autocast and TF32 would round to fewer digits.
        product = (product[:, :, :, None] * factor[:, None]).sum(2)
    return product


def sample(
    images: Float[Tensor, "n c h w"], matrices: Matrices, fill: float = BACKGROUND
) -> Float[Tensor, "n c h w"]:
    """Draw images anew by bilinear interpolation; differentiable once by the images.

    Args:
        images: What is looked at.
        matrices: Where each of them is looked at, from output to input.
        fill: What lies beyond the edges, and what inside equals it stays exactly so.
    """
    _, _, height, width = images.shape
    block = max(1, BLOCK // (height * width)) if images.device.type == "cpu" else len(images)
    if len(images) <= block:
        return _sample(images, matrices, fill)
    drawn = torch.empty_like(images)
    for first in range(0, len(images), block):
        here = slice(first, first + block)
        drawn[here] = _sample(images[here], matrices[here], fill)
    return drawn


def _sample(images: Tensor, matrices: Tensor, fill: float) -> Tensor:
    grid = _grid(matrices.detach(), images.shape[-2], images.shape[-1])
    sampled = F.grid_sample(images - fill, grid, padding_mode="zeros", align_corners=False)
    return sampled.add_(fill)


def _grid(matrices: Matrices, height: int, width: int) -> Float[Tensor, "n h w 2"]:
    """Give the places as `grid_sample` wants them: edges at -1 and 1.

    They are sums of a row and a column, taken as complex numbers x + iy: affine_grid's matrix
    product takes many times as long.
    """
    y, x = (
        torch.arange(side, device=matrices.device, dtype=matrices.dtype) - (side - 1) / 2
        for side in (height, width)
    )
    sides = matrices.new_tensor([2 / width, 2 / height])
    a, b, c = (matrices[:, :2] * sides[:, None]).unbind(2)
    row = torch.view_as_complex((a[:, None] * x[:, None]).contiguous())
    column = torch.view_as_complex((b[:, None] * y[:, None] + c[:, None]).contiguous())
    return torch.view_as_real(row[:, None] + column[:, :, None])


def _matrices(*rows: Numbers | float) -> Matrices:
    """Assemble matrices from the six numbers of their upper rows."""
    like = next(number for number in rows if isinstance(number, Tensor))
    numbers = [
        number if isinstance(number, Tensor) else torch.full_like(like, number)
        for number in (*rows, 0.0, 0.0, 1.0)
    ]
    return torch.stack(numbers, 1).reshape(-1, 3, 3)
