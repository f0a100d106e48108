"""How much images hold at each frequency.

Scans hold thousands of times less at fine frequencies than at coarse ones; where they were scanned
coarser than they are drawn, next to nothing.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Float16, Int
from torch import Tensor

from mrgantry.common.frozen import Frozen

ENOUGH = 2048  # images, spread over the set, tell its spectrum,
NUMBERS = 64 * 64**2  # so many of them at once
FAINTEST = 1e-7  # of the power of unit noise: what single precision can tell from nothing
Spectrum = tuple[tuple[float, ...], ...]  # of each channel, by whole cycles over an image's side


class NeighbourFit(Frozen):
    """The linear regression of slices on the mean of their neighbours, by frequency.

    Attributes:
        gain: By how much the mean is multiplied to come as near to the slice as it can.
        residual_power: Mean power of what is still missing then.
    """

    gain: Spectrum
    residual_power: Spectrum


def spectrum_of(
    images: Float16[np.ndarray, "n c *s"], to_unit: Callable[[Tensor], Tensor]
) -> Spectrum:
    """Measure the mean power of images, or of volumes, by frequency.

    Args:
        images: Intensities in [-1, 1].
        to_unit: Brings them to unit spread, black to 0; it may make slices of volumes.

    Returns:
        For each channel the power at 0, 1, ... cycles over the longest side, up to the corner of
        the spectrum; noise of unit spread has 1 everywhere.
    """
    chosen = np.linspace(0, len(images) - 1, min(len(images), ENOUGH)).round().astype(int)
    channels, *shape = to_unit(torch.from_numpy(images[:1]).float()).shape[1:]
    axes = tuple(range(-len(shape), 0))
    cycles = rings_of(shape)
    power = torch.zeros(channels, *cycles.shape, dtype=torch.float64)
    count = 0
    at_once = max(1, NUMBERS // math.prod(images.shape[1:]))
    for rows in np.array_split(chosen, math.ceil(len(chosen) / at_once)):
        unit = to_unit(torch.from_numpy(images[rows]).float())
        power += torch.fft.rfftn(unit, dim=axes, norm="ortho").abs().square().sum(0)
        count += len(unit)
    return as_spectrum(by_rings(power / max(count, 1), cycles))


def by_rings(values: Float[Tensor, "c ..."], cycles: Int[Tensor, " ..."]) -> Float[Tensor, "c r"]:
    """Give the means of a half spectrum over the places of each ring; 0 where there are none."""
    counts = torch.bincount(cycles.flatten())
    sums = [torch.bincount(cycles.flatten(), channel.flatten()) for channel in values]
    return (torch.stack(sums) / counts).nan_to_num()


def as_spectrum(rings: Float[Tensor, "c r"]) -> Spectrum:
    """Write a spectrum down as numbers, to seven digits."""
    return tuple(tuple(float(f"{value:.7g}") for value in channel) for channel in rings.tolist())


def rings_of(shape: Sequence[int]) -> Tensor:
    """Give the whole number of cycles over the longest side of each place of a half spectrum."""
    longest = max(shape)
    squares = torch.zeros(())
    for axis, length in enumerate(shape):
        last = axis == len(shape) - 1
        along = torch.fft.rfftfreq(length) if last else torch.fft.fftfreq(length)
        squares = squares + (along * longest).square().view(-1, *[1] * (len(shape) - 1 - axis))
    return squares.sqrt().round().long()
