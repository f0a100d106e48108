"""Faults of anatomy, in some of the images."""

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

from mrgantry.evaluation.faults.head import (
    Image,
    Mask,
    depth_of,
    disc,
    head_of,
    midline,
    on_rim,
    spread,
)
from mrgantry.evaluation.faults.material import Images, Material, Rows, scaled

DEEP = 0.45  # of the greatest depth in the head, from which ventricles are looked for
UNLIKE = 0.5  # of tissue in the deep middle, from which a pixel there is taken for fluid
WIDE = 2.0  # pixels, from which fluid is no furrow
EDGE = 1.5  # pixels around fluid that show a part of it
FROM = 3.0  # pixels: how far around them what ventricles are filled with is taken from
BITE = 4.0, 8.0  # pixels: radii of bites, least and greatest


def half_heads(of: Material, rows: Rows) -> Images:
    """Keep the left half of each head, on black."""
    images = of.images(rows)
    for image in images:
        image[..., int(np.ceil(midline(head_of(image)))) :] = -1
    return images


def means_of_two(of: Material, rows: Rows) -> Images:
    """Give the mean of each head and one of another person at the same level."""
    partners = [partner_of(of, int(row)) for row in rows]
    return (of.images(rows) + of.images(np.array(partners, dtype=int))) / 2


def partner_of(of: Material, row: int) -> int:
    """Draw another subject, and give the row of the slice at the level nearest to a row's."""
    subjects = of.other.subjects
    whose = of.random.choice(np.unique(subjects[subjects != subjects[row]]))
    candidates = np.flatnonzero(subjects == whose)
    return int(candidates[np.abs(of.levels[candidates] - of.levels[row]).argmin()])


def filled_ventricles(of: Material, rows: Rows) -> Images:
    """Put tissue in the place of the fluid in the middle of each head."""
    images = of.images(rows)
    middles = [deep_middle(head_of(image)) for image in images]
    dark = is_fluid_dark(images, middles)
    return np.stack(
        [filled(image, middle, dark) for image, middle in zip(images, middles, strict=True)]
    )


def deep_middle(head: Mask) -> Mask:
    """Mark where ventricles lie: deep in the head, in the middle half of its width."""
    depth = depth_of(head)
    width = np.count_nonzero(head.any(axis=0))
    beside = np.abs(np.arange(head.shape[1]) - midline(head))
    return (depth > DEEP * depth.max()) & (beside <= width / 4)


def is_fluid_dark(images: Images, middles: list[Mask]) -> Bool[np.ndarray, " c"]:
    """Say of each channel whether fluid is darker than tissue: which extreme is farther."""
    inside = [image[:, middle] for image, middle in zip(images, middles, strict=True)]
    ends = np.array([np.percentile(part, (2, 50, 98), axis=1) for part in inside if part.size])
    if not len(ends):
        return np.ones(images.shape[1], dtype=bool)
    low, mid, high = np.median(ends, axis=0)
    return (mid - low) >= (high - mid)


def filled(image: Image, middle: Mask, dark: Bool[np.ndarray, " c"]) -> Image:
    """Fill the fluid of one head from the tissue around it; without fluid leave it as it is."""
    if not middle.any():
        return image
    tissue = np.median(image[:, middle], axis=1)[:, None, None]
    unlike = np.where(dark[:, None, None], tissue - image, image - tissue).max(axis=0) > UNLIKE
    # Furrows on the midline are narrow, ventricles wider.
    width = round(scaled(WIDE, image))
    wide = ndimage.binary_opening(unlike & middle, np.ones((width, width)))
    fluid = ndimage.binary_propagation(wide, mask=unlike & ndimage.binary_dilation(middle))
    edge = ndimage.binary_dilation(fluid, disc(scaled(EDGE, image)))
    near = spread(image, head_of(image) & ~edge & ~unlike, scaled(FROM, image))
    return np.where(edge, near, image)


def bitten(of: Material, rows: Rows) -> Images:
    """Take a round piece out of the rim of each head."""
    images = of.images(rows)
    for image in images:
        centre = on_rim(head_of(image), of.random)
        image[:, within(scaled(of.random.uniform(*BITE), image), centre, image.shape[-1])] = -1
    return images


def within(radius: float, centre: tuple[float, float], side: int) -> Mask:
    """Mark a disc."""
    y, x = np.indices((side, side))
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2
