"""Faults of tumours: their side, their texture, their place.

A set of slices has no outlines of tumours. So a tumour is looked for where the two halves of
a head differ: `lesion_of`. That misses tumours on the midline, and takes other differences of
the halves for one.
"""

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from mrgantry.evaluation.faults.head import (
    Image,
    Mask,
    across,
    depth_of,
    disc,
    head_of,
    largest,
    midline,
    on_rim,
)
from mrgantry.evaluation.faults.material import Images, Material, Rows, scaled

SMOOTHED = 1.5  # pixels of the Gaussian before halves are compared
LEAST = 0.25  # difference of the halves from which there is a lesion
EXTENT = 0.4  # of the greatest difference, down to which the lesion reaches
RIM = 2.0  # pixels below the head's surface where halves differ by their shape
EDGE = 1.5  # pixels around a tumour that show a part of it
SOFT = 0.7  # pixels of the Gaussian that softens edges of what is pasted
GRAIN = 0.2  # standard deviation of the noise in a tumour (black to white is 2)


def lesion_of(image: Image) -> Mask:
    """Find the largest piece where a head differs from its mirror image.

    Of a difference and its mirror image, the one less like the head's median is taken.
    Nothing is marked where the halves are alike.
    """
    head = head_of(image)
    middle = midline(head)
    smooth = ndimage.gaussian_filter(image, (0, *2 * [scaled(SMOOTHED, image)]))
    inside = depth_of(head) > scaled(RIM, image)
    inside &= across(inside.astype(float), middle) > 0
    difference = np.abs(smooth - across(smooth, middle)).max(axis=0) * inside
    if not inside.any() or difference.max() < LEAST:
        return np.zeros(head.shape, dtype=bool)
    tissue = np.median(smooth[:, inside], axis=1)[:, None, None]
    unlike = np.abs(smooth - tissue).max(axis=0)
    own = unlike > across(unlike, middle)
    piece = largest((difference > EXTENT * difference.max()) & own)
    return ndimage.binary_fill_holes(piece) & head


def mirrored(of: Material, rows: Rows) -> Images:
    """Exchange left and right."""
    return of.images(rows)[..., ::-1]


def flat_lesions(of: Material, rows: Rows) -> Images:
    """Give each tumour its mean intensity throughout."""
    images = of.images(rows)
    for image in images:
        lesion = lesion_of(image)
        if lesion.any():
            image[:, lesion] = image[:, lesion].mean(axis=1, keepdims=True)
    return images


def noisy_lesions(of: Material, rows: Rows) -> Images:
    """Add noise within each tumour alone."""
    images = of.images(rows)
    for image in images:
        lesion = lesion_of(image)
        image[:, lesion] += of.random.normal(0, GRAIN, image[:, lesion].shape)
    return images


def astride(of: Material, rows: Rows) -> Images:
    """Move each tumour sideways onto the midline of its head."""
    return np.stack([onto_midline(image) for image in of.images(rows)])


def sticking_out(of: Material, rows: Rows) -> Images:
    """Move each tumour to the rim of its head, half of it outside."""
    return np.stack([onto_rim(image, of.random) for image in of.images(rows)])


def onto_midline(image: Image) -> Image:
    """Move a tumour sideways until its centre lies on the midline."""
    lesion = lesion_of(image)
    if not lesion.any():
        return image
    columns = np.flatnonzero(lesion.any(axis=0))
    step = round(midline(head_of(image)) - float(columns.mean()))
    return moved(image, lesion, (0, step))


def onto_rim(image: Image, random: np.random.Generator) -> Image:
    """Move a tumour until its centre lies on a random place of the head's surface."""
    place, lesion = on_rim(head_of(image), random), lesion_of(image)
    if not lesion.any():
        return image
    down, right = np.round(place - np.argwhere(lesion).mean(axis=0)).astype(int)
    return moved(image, lesion, (int(down), int(right)))


def moved(image: Image, lesion: Mask, step: tuple[int, int]) -> Image:
    """Cut a tumour out, fill its place from the other half of the head, and paste it elsewhere.

    Args:
        image: One slice.
        lesion: Where its tumour is.
        step: Rows down and columns to the right.
    """
    cut = softened(ndimage.binary_dilation(lesion, disc(scaled(EDGE, image))), image)
    healed = image + cut * (across(image, midline(head_of(image))) - image)
    pasted = shifted(softened(lesion, image), step, 0.0)
    return healed + pasted * (shifted(image, step, -1.0) - healed)


def softened(mask: Mask, image: Image) -> Float[np.ndarray, "h w"]:
    """Turn a mask into shares that fade out."""
    return ndimage.gaussian_filter(mask.astype(np.float32), scaled(SOFT, image))


def shifted(
    picture: Float[np.ndarray, "*c h w"], step: tuple[int, int], outside: float
) -> Float[np.ndarray, "*c h w"]:
    """Move a picture by whole pixels; what comes in from outside has one value."""
    steps = (0,) * (picture.ndim - 2) + step
    return ndimage.shift(picture, steps, order=0, mode="constant", cval=outside)
