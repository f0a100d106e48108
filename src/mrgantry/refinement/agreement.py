"""Whether refined images still show the anatomy that they had.

The brain network says what tissue each place of an image shows, whatever its contrast. Two scans
of one head do not get quite the same answer: scanner, protocol and noise differ. What refinement
may change of an image is what such a second visit would.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float16
from torch import Tensor

from mrgantry.brain.network import CLASSES, BrainNetwork, standard

LESION = CLASSES.index("lesion")
BACKGROUND = CLASSES.index("background")  # the last
CHUNK = 16  # images at once: more leave the processor's cache
LEAST_LESION = 4.0  # places, of 32 x 32, that a lesion must fill to be followed
LOWEST = 5  # percentile that stands for the worst slices


class Kept(NamedTuple):
    """How much of what images show is the same in two versions of them; 1 is all.

    Attributes:
        tissue: Of all tissue, the median of the images.
        tissue_low: And the fifth percentile.
        lesion: Of lesions alone, the median of the images that may show one.
        lesion_low: And the fifth percentile; both are not a number where no image shows any.
    """

    tissue: float
    tissue_low: float
    lesion: float
    lesion_low: float

    def holds(self, limit: "Kept") -> bool:
        """Say whether at least as much is kept as a limit says, wherever there is something."""
        return all(not value < least for value, least in zip(self, limit, strict=True))


# Two visits of simulated people, whose heads lie where they lay: scanner, protocol and noise are
# others. Found by `python benchmarks/visits.py`.
TWO_VISITS = Kept(tissue=0.958, tissue_low=0.935, lesion=0.894, lesion_low=0.775)


def kept_of(
    before: Float[np.ndarray, "n c k h w"],
    after: Float[np.ndarray, "n c k h w"],
    tumours: Sequence[str],
) -> Kept:
    """Compare the tissue maps of two versions of some images.

    Args:
        before: As `tissue_maps` gives them.
        after: Of the other version, in the same order.
        tumours: What the rows say of a tumour; where "no", what looks like one is none.
    """
    tissue = shared(before, after, (1, 2, 3, 4))
    lesions, lesions_after = before[:, :, LESION], after[:, :, LESION]
    shown = (lesions.sum((2, 3)).max(1) >= LEAST_LESION) & (np.array(tumours) != "no")
    lesion = shared(lesions[shown], lesions_after[shown], (1, 2, 3))
    return Kept(*middle_and_low(tissue), *middle_and_low(lesion))


def shared(
    before: Float[np.ndarray, "n ..."], after: Float[np.ndarray, "n ..."], axes: tuple[int, ...]
) -> Float[np.ndarray, " n"]:
    """Give twice what two maps have in common over what they have together: Dice's, of shares."""
    common = np.minimum(before, after).sum(axes)
    return 2 * common / np.maximum(before.sum(axes) + after.sum(axes), 1e-6)


def middle_and_low(values: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """Give the median and the fifth percentile; of nothing, no numbers."""
    if not len(values):
        return float("nan"), float("nan")
    return float(np.median(values)), float(np.percentile(values, LOWEST))


@torch.no_grad()
def tissue_maps(
    network: BrainNetwork, images: Float16[np.ndarray, "n c h w"]
) -> Float[np.ndarray, "n c k h2 w2"]:
    """Say how much of each tissue there is at each place of images.

    Args:
        network: The brain network.
        images: Intensities in [-1, 1].

    Returns:
        Shares of white and grey matter, fluid and lesion, of each channel, on a grid of 32 x 32.
    """
    maps = [tissues(network, chunk).numpy() for chunk in torch.from_numpy(images).split(CHUNK)]
    return np.concatenate(maps)


def tissues(
    network: BrainNetwork, images: Float[Tensor, "n c h w"]
) -> Float[Tensor, "n c k h2 w2"]:
    """Say the same of a few images, so that it can be descended."""
    said = network(standard(images.flatten(0, 1)[:, None])).tissues.softmax(1)[:, :BACKGROUND]
    return said.unflatten(0, images.shape[:2])
