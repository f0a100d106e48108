"""How much images hold at each frequency, and the best linear guess of an image from a noisy one.

Scans hold thousands of times less at fine frequencies than at coarse ones; where they were scanned
coarser than they are drawn, next to nothing. A network that must learn this by itself leaves a
grain for a long time. A linear filter knows it beforehand (Wiener 1949), and the network is asked
only for what the filter cannot know.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Complex, Float, Float16
from torch import Tensor, nn

ENOUGH = 2048  # images, spread over the set, tell its spectrum
FAINTEST = 1e-7  # of the power of unit noise: what single precision can tell from nothing
Spectrum = tuple[tuple[float, ...], ...]  # of each channel, by whole cycles over an image's side


def spectrum_of(
    images: Float16[np.ndarray, "n c h h"], to_unit: Callable[[Tensor], Tensor]
) -> Spectrum:
    """Measure the mean power of images by frequency.

    Args:
        images: Intensities in [-1, 1].
        to_unit: Brings them to unit spread.

    Returns:
        For each channel the power at 0, 1, ... cycles over the side, up to the corner of the
        spectrum; noise of unit spread has 1 everywhere.
    """
    chosen = np.linspace(0, len(images) - 1, min(len(images), ENOUGH)).round().astype(int)
    side = images.shape[-1]
    power = torch.zeros(images.shape[1], side, side // 2 + 1, dtype=torch.float64)
    for rows in np.array_split(chosen, math.ceil(len(chosen) / 64)):
        unit = to_unit(torch.from_numpy(images[rows]).float())
        power += torch.fft.rfft2(unit, norm="ortho").abs().square().sum(0)
    cycles = _cycles(side)
    counts = torch.bincount(cycles.flatten())
    sums = [torch.bincount(cycles.flatten(), channel.flatten()) for channel in power / len(chosen)]
    return tuple(tuple((ring_sums / counts).tolist()) for ring_sums in sums)


class LinearGuess(nn.Module):
    """The best linear guess of an image, and how far off it may be at each frequency.

    Args:
        shape: Channels, height and width of the images, which are square.
        spectrum: Of the training images; empty for images like white noise.
    """

    power: Float[Tensor, "c h k"]

    def __init__(self, shape: tuple[int, int, int], spectrum: Spectrum = ()) -> None:
        super().__init__()
        self.shape = shape
        side = shape[-1]
        power = torch.ones(shape[0], side, side // 2 + 1)
        if spectrum:
            power = torch.tensor(spectrum)[:, _cycles(side)]
        # Coarse frequencies hold more than noise does. A guess that expects so much there makes
        # the network's least error a bright patch, so no more than noise is expected anywhere.
        self.register_buffer("power", power.clamp(FAINTEST, 1.0), persistent=False)

    def forward(
        self,
        noisy: Float[Tensor, "n c h w"],
        residual: Float[Tensor, "n c h w"],
        t: Float[Tensor, "n 1 1 1"],
    ) -> Float[Tensor, "n c h w"]:
        """Guess images of unit spread, and add what a guess lacks.

        Args:
            noisy: (1 - t) image + t noise.
            residual: What the guess lacks, over the spread that this has at each frequency.
            t: Share of the noise.
        """
        noisy_power = (1 - t).square() * self.power + t.square()
        guess = (1 - t) * self.power / noisy_power
        spread = t * (self.power / noisy_power).sqrt()
        waves: Complex[Tensor, "n c h k"] = guess * torch.fft.rfft2(noisy)
        waves = waves + spread * torch.fft.rfft2(residual)
        return torch.fft.irfft2(waves, s=self.shape[-2:])


def _cycles(side: int) -> Tensor:
    """Give the nearest whole number of cycles over the side of each place of a half spectrum."""
    down, along = torch.fft.fftfreq(side) * side, torch.fft.rfftfreq(side) * side
    return torch.hypot(down[:, None], along[None]).round().long()
