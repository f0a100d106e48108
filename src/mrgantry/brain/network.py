"""The brain network: tissue fractions, plane and level of a slice of any contrast.

It has seen simulated slices only, so it owes nothing to patients, and its weights may be shipped.
`evaluation/brain/features.py` describes images by what it has learnt to recognise.
"""

from importlib.resources import files
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from mrgantry.common.errors import DataError

SIDE = 64  # pixels: images of other sizes are brought to it
CLASSES = ("white", "grey", "fluid", "lesion", "background")
PLANES = ("axial", "coronal", "sagittal")
WIDTH = 24
WEIGHTS = "weights.safetensors"
GROUPS = 8  # of channels that are normalised together


class Response(NamedTuple):
    """What the network says of some slices, and how it got there.

    Attributes:
        tissues: Logits of `CLASSES` on a grid of half the side.
        plane: Logits of `PLANES`.
        level: Place along the axis through the brain: 0 its lower or hind end, 1 the other; of
            sagittal slices, the distance from the middle.
        stages: Responses of the encoder, at the full, a half, a quarter and an eighth of the side.
    """

    tissues: Float[Tensor, "n 5 h w"]
    plane: Float[Tensor, "n 3"]
    level: Float[Tensor, " n"]
    stages: tuple[Tensor, Tensor, Tensor, Tensor]


class BrainNetwork(nn.Module):
    """A small U-Net whose encoder also tells plane and level.

    Args:
        width: Channels at full size; deeper stages have two, three and four times as many.
    """

    def __init__(self, width: int = WIDTH):
        super().__init__()
        widths = [width, 2 * width, 3 * width, 4 * width]
        self.full_size = _twice(1, width, stride=1)
        self.half_size = _twice(width, widths[1], stride=2)
        self.quarter_size = _twice(widths[1], widths[2], stride=2)
        self.eighth_size = _twice(widths[2], widths[3], stride=2)
        self.to_quarter = _block(widths[3] + widths[2], widths[2])
        self.to_half = _block(widths[2] + widths[1], widths[1])
        self.tissues = nn.Conv2d(widths[1], len(CLASSES), 1)
        self.place = nn.Linear(widths[3], len(PLANES) + 1)

    def forward(self, images: Float[Tensor, "n 1 h w"]) -> Response:
        """Describe slices of intensities in [-1, 1] whose sides are multiples of 8."""
        first = self.full_size(images)
        half = self.half_size(first)
        quarter = self.quarter_size(half)
        eighth = self.eighth_size(quarter)
        up = self.to_quarter(torch.cat([F.interpolate(eighth, scale_factor=2), quarter], 1))
        up = self.to_half(torch.cat([F.interpolate(up, scale_factor=2), half], 1))
        place = self.place(eighth.mean((2, 3)))
        return Response(
            tissues=self.tissues(up),
            plane=place[:, :-1],
            level=place[:, -1].sigmoid(),
            stages=(first, half, quarter, eighth),
        )


def _block(narrow: int, wide: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(narrow, wide, 3, stride, 1, bias=False), nn.GroupNorm(GROUPS, wide), nn.SiLU()
    )


def _twice(narrow: int, wide: int, stride: int) -> nn.Sequential:
    return nn.Sequential(_block(narrow, wide, stride), _block(wide, wide))


def standard(images: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 s s"]:
    """Bring images to the side that the network knows."""
    small = F.interpolate(images.float(), (SIDE, SIDE), mode="bilinear", antialias=True)
    return small.contiguous(memory_format=torch.channels_last)


def load_network() -> BrainNetwork:
    """Build the network with the weights that come with the package.

    Raises:
        DataError: The weights are missing or damaged.
    """
    path = files("mrgantry.brain") / WEIGHTS
    network = BrainNetwork()
    try:
        tensors = load(path.read_bytes())
        network.load_state_dict({name: value.float() for name, value in tensors.items()})
    except (OSError, SafetensorError, RuntimeError) as error:
        raise DataError(
            f"The weights of the brain network, {path}, cannot be read ({error}); install "
            "mrgantry again."
        ) from error
    network.requires_grad_(False)
    return network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
