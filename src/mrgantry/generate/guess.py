"""The best linear guess of an image from a noisy one, which a network adds to.

A network that must learn by itself how little scans hold at fine frequencies leaves a grain for a
long time. A linear filter knows it beforehand (Wiener 1949), and the network is asked only for
what the filter cannot know.
"""

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from mrgantry.generate.spectrum import FAINTEST, Spectrum, rings_of


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
        cycles = rings_of(shape[1:])
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
