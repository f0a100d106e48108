"""How much images hold at each frequency, and the best linear guess of an image from a noisy one.

Scans hold thousands of times less at fine frequencies than at coarse ones; where they were scanned
coarser than they are drawn, next to nothing. A network that must learn this by itself leaves a
grain for a long time. A linear filter knows it beforehand (Wiener 1949), and the network is asked
only for what the filter cannot know.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Complex, Float, Float16
from torch import Tensor, nn

ENOUGH = 2048  # images, spread over the set, tell its spectrum,
NUMBERS = 64 * 64**2  # so many of them at once
FAINTEST = 1e-7  # of the power of unit noise: what single precision can tell from nothing
Spectrum = tuple[tuple[float, ...], ...]  # of each channel, by whole cycles over an image's side


def spectrum_of(
    images: Float16[np.ndarray, "n c *s"],
    to_unit: Callable[[Tensor], Tensor],
    within: bool = False,
) -> Spectrum:
    """Measure the mean power of images, or of volumes, by frequency.

    Args:
        images: Intensities in [-1, 1].
        to_unit: Brings them to unit spread, black to 0.
        within: Of what is not black alone: a mean over all pixels, of which five in six are black
            in a head, expects too little of the sixth.

    Returns:
        For each channel the power at 0, 1, ... cycles over the longest side, up to the corner of
        the spectrum; noise of unit spread has 1 everywhere.
    """
    chosen = np.linspace(0, len(images) - 1, min(len(images), ENOUGH)).round().astype(int)
    shape = images.shape[2:]
    axes = tuple(range(-len(shape), 0))
    cycles = _cycles(shape)
    power = torch.zeros(images.shape[1], *cycles.shape, dtype=torch.float64)
    shown = torch.zeros(images.shape[1], *[1] * len(shape), dtype=torch.float64)
    at_once = max(1, NUMBERS // math.prod(images.shape[1:]))
    for rows in np.array_split(chosen, math.ceil(len(chosen) / at_once)):
        unit = to_unit(torch.from_numpy(images[rows]).float())
        power += torch.fft.rfftn(unit, dim=axes, norm="ortho").abs().square().sum(0)
        shown += (unit != 0).double().mean(axes, keepdim=True).sum(0)
    if within:
        power = power / (shown / len(chosen)).clamp(min=1 / math.prod(shape))
    counts = torch.bincount(cycles.flatten())
    sums = [torch.bincount(cycles.flatten(), channel.flatten()) for channel in power / len(chosen)]
    return tuple(tuple((ring_sums / counts).nan_to_num().tolist()) for ring_sums in sums)


class LinearGuess(nn.Module):
    """The best linear guess of an image, and how far off it may be at each frequency.

    Args:
        shape: Channels, and height and width of the images; depth before them of volumes.
        spectrum: Of the training images; empty for images like white noise.
    """

    power: Float[Tensor, "c ..."]

    def __init__(self, shape: tuple[int, ...], spectrum: Spectrum = ()) -> None:
        super().__init__()
        self.shape = shape
        self.axes = tuple(range(1 - len(shape), 0))
        cycles = _cycles(shape[1:])
        power = torch.ones(shape[0], *cycles.shape)
        if spectrum:
            power = torch.tensor(spectrum)[:, cycles]
        # Coarse frequencies hold more than noise does. A guess that expects so much there makes
        # the network's least error a bright patch, so no more than noise is expected anywhere.
        self.register_buffer("power", power.clamp(FAINTEST, 1.0), persistent=False)

    def forward(
        self,
        noisy: Float[Tensor, "n c *s"],
        residual: Float[Tensor, "n c *s"],
        t: Float[Tensor, "n ..."],
    ) -> Float[Tensor, "n c *s"]:
        """Guess images of unit spread, and add what a guess lacks.

        Args:
            noisy: (1 - t) image + t noise.
            residual: What the guess lacks, over the spread that this has at each frequency.
            t: Share of the noise.
        """
        noisy_power = (1 - t).square() * self.power + t.square()
        guess = (1 - t) * self.power / noisy_power
        spread = t * (self.power / noisy_power).sqrt()
        waves: Complex[Tensor, "n c *k"] = guess * torch.fft.rfftn(noisy, dim=self.axes)
        waves = waves + spread * torch.fft.rfftn(residual, dim=self.axes)
        return torch.fft.irfftn(waves, s=self.shape[1:], dim=self.axes)


def _cycles(shape: Sequence[int]) -> Tensor:
    """Give the whole number of cycles over the longest side of each place of a half spectrum."""
    longest = max(shape)
    squares = torch.zeros(())
    for axis, length in enumerate(shape):
        last = axis == len(shape) - 1
        along = torch.fft.rfftfreq(length) if last else torch.fft.fftfreq(length)
        squares = squares + (along * longest).square().view(-1, *[1] * (len(shape) - 1 - axis))
    return squares.sqrt().round().long()
