"""The mean image and the ways in which images differ most from it (principal components).

Heads lie alike in their images, so a few hundred numbers say most of what tells one from another.
Where nearly all is noise, the best linear guess from the mean and these ways (Karhunen-Loeve) is
nearer to a head than what a network has learnt in hours: it knows where a head is, how large and
how bright, before a network has seen any.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float16
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mrgantry.common.errors import RunError
from mrgantry.common.files import whole
from mrgantry.generate.spectrum import FAINTEST, rings_of

FILE = "modes.safetensors"
PEOPLE_A_MODE = 4  # fewer, and modes are single people rather than what people have in common
AT_ONCE = 32  # images
MOST_NUMBERS = 1 << 28  # of all images that are looked at: a gigabyte


class Modes(nn.Module):
    """What the mean of images of unit spread and their principal components let one expect.

    Args:
        mean: Of all of them.
        components: Of unit length, at right angles to each other.
        variances: Of the images along each component.
        remainder: Mean power, by frequency (`rings_of`), of what neither the mean nor the
            components say of images, where these are not black.
    """

    mean: Float[Tensor, "c ..."]
    components: Float[Tensor, "k p"]
    variances: Float[Tensor, " k"]
    remainder: Float[Tensor, "c r"]

    def __init__(
        self,
        mean: Float[Tensor, "c ..."],
        components: Float[Tensor, "k p"],
        variances: Float[Tensor, " k"],
        remainder: Float[Tensor, "c r"],
    ) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("components", components)
        self.register_buffer("variances", variances)
        self.register_buffer("remainder", remainder)

    def forward(
        self, noisy: Float[Tensor, "n c *s"], t: Float[Tensor, "n ..."]
    ) -> Float[Tensor, "n c *s"]:
        """Give what one can expect of noisy images.

        Args:
            noisy: (1 - t) image + t noise.
            t: Share of the noise.
        """
        away = (noisy - (1 - t) * self.mean).flatten(1)
        along, column = away @ self.components.T, t.flatten(1)
        rest = (away - along @ self.components).view(noisy.shape)
        powers = (1 - column).square() * self.variances + column.square()
        likely = (along * (1 - column) * self.variances / powers) @ self.components
        axes = tuple(range(2, noisy.ndim))
        power = self.remainder[:, rings_of(noisy.shape[2:]).to(noisy.device)]
        share = (1 - t) * power / ((1 - t).square() * power + t.square())
        rest = torch.fft.irfftn(share * torch.fft.rfftn(rest, dim=axes), noisy.shape[2:], axes)
        expected: Tensor = self.mean + likely.view(noisy.shape) + rest
        return expected

    def save(self, folder: Path) -> None:
        """Write them beside a run's weights."""
        with whole(folder / FILE) as aside:
            save_file(self.state_dict(), aside)

    @classmethod
    def read(cls, folder: Path) -> "Modes":
        """Read what `save` wrote.

        Raises:
            RunError: It is missing or damaged.
        """
        try:
            return cls(**load_file(folder / FILE))
        except (OSError, SafetensorError, TypeError) as error:
            raise RunError(f"{folder / FILE} is missing or damaged ({error}).") from error


def modes_of(
    images: Float16[np.ndarray, "n c *s"],
    to_unit: Callable[[Tensor], Tensor],
    most: int,
    people: int,
) -> Modes:
    """Find the modes of images.

    Args:
        images: Intensities in [-1, 1].
        to_unit: Brings them to unit spread.
        most: How many components at most.
        people: How many people the images show; there is no more than one component for four of
            them.
    """
    count = min(len(images), max(2, MOST_NUMBERS // images[0].size))
    rows = np.linspace(0, len(images) - 1, count).round().astype(int)
    parts = np.array_split(rows, -(-count // AT_ONCE))
    unit = torch.cat([to_unit(torch.from_numpy(images[part]).float()) for part in parts])
    mean = unit.mean(0)
    away = (unit - mean).flatten(1)
    kept = max(1, min(most, people // PEOPLE_A_MODE, count - 1))
    # Of few images with many numbers, the small matrix of their products tells as much.
    powers, mixtures = torch.linalg.eigh((away @ away.T).double())
    strongest = mixtures[:, -kept:].flip(1).float()
    powers = powers[-kept:].flip(0).float().clamp(min=torch.finfo(torch.float32).tiny)
    components = (strongest.T @ away) / powers.sqrt()[:, None]
    # What is left, where an image is not black: elsewhere there is nothing to be guessed.
    rings, axes = rings_of(unit.shape[2:]), tuple(range(1, unit.ndim - 1))
    held = torch.zeros(unit.shape[1], int(rings.max()) + 1, dtype=torch.float64)
    for image, row in zip(unit, away, strict=True):
        rest = (row - row @ components.T @ components).view(image.shape) * (image != 0)
        power = torch.fft.rfftn(rest, dim=axes, norm="ortho").abs().square().double()
        for channel, of_channel in enumerate(power):
            held[channel] += torch.bincount(rings.flatten(), of_channel.flatten())
    shown = (unit != 0).double().mean((0, *range(2, unit.ndim))).clamp(min=1 / unit[0, 0].numel())
    held /= torch.bincount(rings.flatten()).clamp(min=1) * count * shown[:, None]
    return Modes(mean, components, powers / count, held.float().clamp(FAINTEST))
