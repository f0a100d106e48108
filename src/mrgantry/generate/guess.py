"""The best linear guess of an image from a noisy one, which a network adds to.

A network that must learn by itself how little scans hold at fine frequencies leaves a grain for a
long time. A linear filter knows it beforehand (Wiener 1949), and the network is asked only for
what the filter cannot know. Of a slice beside others that are known it expects what they share.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor, nn

from mrgantry.generate.spectrum import FAINTEST, NeighbourFit, Spectrum, rings_of

# Noisy images, what the guess lacks of them, and the share of noise to images.
Guess = Callable[[Tensor, Tensor, Tensor], Tensor]


class LinearGuess(nn.Module):
    """The best linear guess of an image, and how far off it may be at each frequency.

    Args:
        shape: Channels, and height and width of the images; depth before them of volumes.
        spectrum: Of the training images; empty for images like white noise.
        fits: Of slices beside others, of each of their kinds; empty where none were measured.
    """

    power: Float[Tensor, "c ..."]
    gain: Float[Tensor, "q c ..."]
    residual_power: Float[Tensor, "q c ..."]

    def __init__(
        self,
        shape: tuple[int, ...],
        spectrum: Spectrum = (),
        fits: Sequence[NeighbourFit] = (),
    ) -> None:
        super().__init__()
        self.shape = shape
        self.axes = tuple(range(1 - len(shape), 0))
        cycles = rings_of(shape[1:])

        def placed(rings: Spectrum) -> Tensor:
            return torch.tensor(rings)[:, cycles]

        power = placed(spectrum) if spectrum else torch.ones(shape[0], *cycles.shape)
        none = power.new_zeros(0, *power.shape)
        gain = torch.stack([placed(fit.gain) for fit in fits]) if fits else none
        left = torch.stack([placed(fit.residual_power) for fit in fits]) if fits else none
        # Coarse frequencies hold more than noise does. A filter that expects so much there makes
        # the network's least error a bright patch, so it expects no more than noise anywhere.
        self.register_buffer("power", power.clamp(FAINTEST, 1.0), persistent=False)
        self.register_buffer("residual_power", left.clamp(FAINTEST, 1.0), persistent=False)
        self.register_buffer("gain", gain, persistent=False)

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
        return self._filtered(noisy, residual, t, self.power)

    def given_neighbours(
        self, neighbours: Float[Tensor, "n c h w"], kinds: Int[Tensor, " n"]
    ) -> Guess:
        """Give the guess of slices whose neighbours are known; without fits, that of any image.

        Args:
            neighbours: Mean of those beside each slice, of unit spread.
            kinds: Which of the fits holds for each slice.
        """
        if not len(self.gain):
            return self
        waves = self.gain[kinds] * torch.fft.rfftn(neighbours, dim=self.axes)
        return partial(self._from, self._back(waves), self.residual_power[kinds])

    def _from(
        self, expected: Tensor, power: Tensor, noisy: Tensor, residual: Tensor, t: Tensor
    ) -> Tensor:
        """Guess what images have beyond what is expected of them, and add that."""
        return expected + self._filtered(noisy - (1 - t) * expected, residual, t, power)

    def _filtered(self, noisy: Tensor, residual: Tensor, t: Tensor, power: Tensor) -> Tensor:
        """Guess images that have this power; see `forward`."""
        noisy_power = (1 - t).square() * power + t.square()
        guess = (1 - t) * power / noisy_power
        spread = t * (power / noisy_power).sqrt()
        waves: Complex[Tensor, "n c *k"] = guess * torch.fft.rfftn(noisy, dim=self.axes)
        return self._back(waves + spread * torch.fft.rfftn(residual, dim=self.axes))

    def _back(self, waves: Complex[Tensor, "n c *k"]) -> Float[Tensor, "n c *s"]:
        """Give the images that these waves add up to."""
        return torch.fft.irfftn(waves, s=self.shape[1:], dim=self.axes)
