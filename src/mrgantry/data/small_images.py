"""Small images of anatomy, by which people are recognised: `data/repeats.py` compares them.

Two kinds: of intensities, band-passed, and of the tissue that the brain network sees in a slice,
which another contrast hardly changes.
"""

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from torch import Tensor

from mrgantry.brain import network as brain

SIDE = 32  # pixels of the small images
HALF_WIDTH = 2.2  # of a small image, in root-mean-square radii of what it shows
ENOUGH = 64  # pixels; larger images are averaged down first
SHOWN_FROM = 0.1  # of the bright end: the rest is background
FINE, COARSE = 0.7, 2.0  # pixels of a small image: detail between the two is compared
FAINT, FAINT_TISSUE = 1e-3, 0.02  # contrast that is no detail, of intensities and of fractions
TISSUES = ("white", "fluid")  # compared; grey matter is what lies between
AT_ONCE = 16  # images: 64 at once leave the processor's cache, and take a quarter longer


def shrink(images: Float[Tensor, "n 1 h w"]) -> Float32[Tensor, "n d"]:
    """Give small images of anatomy, as vectors of length 1 whose product is a correlation.

    They are centred on what is shown, and as large as it; detail coarser than `COARSE`
    pixels is taken away and its contrast is made equal everywhere, and with it gain and
    bias. An image of a single intensity gives 0.
    """
    images = F.avg_pool2d(images, max(1, min(images.shape[2:]) // ENOUGH))
    low = images.amin((1, 2, 3), keepdim=True)
    flat = images.flatten(1)
    high = flat.kthvalue(max(1, round(0.99 * flat.shape[1])), dim=1).values.view(-1, 1, 1, 1)
    values = (images - low) / (high - low).clamp(min=1e-6)
    shown = (values > SHOWN_FROM).float()
    return _detail(_resized(torch.cat([values * shown, shown], 1), shown), FAINT)


@torch.no_grad()
def shrink_tissues(images: Float[Tensor, "n 1 h w"]) -> Float32[Tensor, "n d"]:
    """Give small images of white matter and of fluid, side by side, as vectors of length 1.

    Like those of intensities they are centred on the head, and as large as it. An image in which
    the brain network sees neither gives 0.
    """
    small = images.float()
    if images.shape[2:] != (brain.SIDE, brain.SIDE):
        small = F.interpolate(small, (brain.SIDE, brain.SIDE), mode="bilinear", antialias=True)
    seen = torch.cat([_network()(block).tissues for block in small.split(AT_ONCE)]).softmax(1)
    head = 1 - seen[:, [brain.CLASSES.index("background")]]
    shown = (head > 0.5).float()
    parts = [
        _detail(_resized(torch.cat([seen[:, [place]], head], 1), shown), FAINT_TISSUE)
        for place in map(brain.CLASSES.index, TISSUES)
    ]
    return F.normalize(torch.cat(parts, 1), dim=1, eps=1e-6)


def mirrored(small: Float32[Tensor, "n d"]) -> Float32[Tensor, "n d"]:
    """Give the small images of the same slices with left and right exchanged."""
    return small.unflatten(1, (-1, SIDE)).flip(2).flatten(1)


@lru_cache(maxsize=1)
def _network() -> brain.BrainNetwork:
    return brain.load_network()


def _detail(images: Float32[Tensor, "n 2 s s"], faint: float) -> Float32[Tensor, "n d"]:
    """Give a small image's detail of equal contrast, where its second channel shows anything."""
    values, shown = _blurred(images, FINE).split(1, 1)
    near = _blurred(shown, COARSE).clamp(min=1e-3)
    detail = values - shown * _blurred(values, COARSE) / near
    contrast = torch.sqrt(_blurred(detail**2, COARSE) / near)
    even = (shown * detail / contrast.clamp(min=faint)).flatten(1)
    return F.normalize(even - even.mean(1, keepdim=True), dim=1, eps=1e-6)


def _resized(
    images: Float32[Tensor, "n 2 h w"], head: Float32[Tensor, "n 1 h w"]
) -> Float32[Tensor, "n 2 s s"]:
    """Cut a square about each image's head, and average it down."""
    shown = head[:, 0]
    rows, columns = (torch.arange(length) + 0.5 for length in shown.shape[1:])
    mass = shown.sum((1, 2)).clamp(min=1)
    y, x = (shown.sum(2) * rows).sum(1) / mass, (shown.sum(1) * columns).sum(1) / mass
    squares = (rows - y[:, None])[:, :, None] ** 2 + (columns - x[:, None])[:, None] ** 2
    half = HALF_WIDTH * torch.sqrt((shown * squares).sum((1, 2)) / mass).clamp(min=1)
    down, across = _weights(rows, y, half), _weights(columns, x, half)
    return down[:, None] @ images @ across[:, None].mT


def _weights(
    places: Float[Tensor, " k"], centre: Float[Tensor, " n"], half: Float[Tensor, " n"]
) -> Float[Tensor, "n s k"]:
    """Weigh the pixels of a line for each small pixel: 1 at its centre, 0 at its neighbours'."""
    steps = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
    wanted = centre[:, None] + half[:, None] * steps
    reach = (2 * half / SIDE).clamp(min=1)[:, None, None]
    return (1 - (places - wanted[:, :, None]).abs() / reach).clamp(min=0) / reach


def _blurred(images: Float32[Tensor, "n c s s"], width: float) -> Float32[Tensor, "n c s s"]:
    """Blur by a Gaussian of a standard deviation in pixels, with 0 outside."""
    steps = torch.arange(SIDE)
    weights = torch.exp(-((steps[:, None] - steps) ** 2) / (2 * width**2))
    weights = weights / (width * (2 * np.pi) ** 0.5)
    return weights @ images @ weights
