"""Where the head lies in an image: its surface, its depth, its midline."""

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from mrgantry.evaluation.faults.material import scaled

BACKGROUND = -0.99  # at and below which a pixel is taken for background
CLOSED = 2.0  # pixels: half the width of furrows that count as inside
Image = Float[np.ndarray, "c h w"]
Mask = Bool[np.ndarray, "h w"]


def head_of(image: Image) -> Mask:
    """Mark the head with all furrows and cavities: its largest piece, closed and filled."""
    reach = round(scaled(CLOSED, image))
    bright = np.pad((image > BACKGROUND).any(axis=0), reach)
    closed = ndimage.binary_closing(bright, disc(reach))[reach:-reach, reach:-reach]
    return ndimage.binary_fill_holes(largest(closed))


def largest(mask: Mask) -> Mask:
    """Keep the largest connected piece."""
    pieces, count = ndimage.label(mask)
    if count < 2:
        return mask
    return pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])


def disc(radius: float) -> Bool[np.ndarray, "d d"]:
    """Mark a disc in a square."""
    reach = int(radius)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return y**2 + x**2 <= radius**2


def depth_of(head: Mask) -> Float[np.ndarray, "h w"]:
    """Give the distance of each pixel inside to the nearest outside, in pixels; 0 outside."""
    return ndimage.distance_transform_edt(np.pad(head, 1))[1:-1, 1:-1]


def midline(head: Mask) -> float:
    """Give the column that halves the head: the mean of the middles of its rows."""
    rows = np.flatnonzero(head.any(axis=1))
    if not len(rows):
        return (head.shape[1] - 1) / 2
    first = head[rows].argmax(axis=1)
    last = head.shape[1] - 1 - head[rows, ::-1].argmax(axis=1)
    return float(np.mean(first + last)) / 2


def on_rim(head: Mask, random: np.random.Generator) -> tuple[int, int]:
    """Draw a pixel of the head's surface, as row and column; the first one without a head."""
    rim = np.argwhere(head & (depth_of(head) <= 1))
    place = int(random.random() * len(rim))  # one number whatever the head
    return (int(rim[place, 0]), int(rim[place, 1])) if len(rim) else (0, 0)


def across(picture: Float[np.ndarray, "*c h w"], middle: float) -> Float[np.ndarray, "*c h w"]:
    """Mirror about a column, to the nearest half; what comes from beyond the edge is -1."""
    width = picture.shape[-1]
    source = round(2 * middle) - np.arange(width)
    inside = (source >= 0) & (source < width)
    return np.where(inside, picture[..., source.clip(0, width - 1)], -1).astype(picture.dtype)


def spread(picture: Image, mask: Mask, sigma: float) -> Image:
    """Smooth with a Gaussian of so many pixels what a mask holds, and nothing else.

    Outside of the mask the values nearest to it go on.
    """
    weight = ndimage.gaussian_filter(mask.astype(np.float64), sigma)
    values = np.where(mask, picture, 0).astype(np.float64)
    smooth = ndimage.gaussian_filter(values, (0, sigma, sigma)) / np.maximum(weight, 1e-12)
    return smooth.astype(picture.dtype)
