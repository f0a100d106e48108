"""Faults of what is there: heads that are missing, repeated, or copied from training images."""

import numpy as np
from scipy import ndimage
from sklearn.cluster import KMeans

from mrgantry.evaluation.faults.head import Image
from mrgantry.evaluation.faults.material import Images, Made, Material, Rows, scaled

LEADING = 16  # principal components in which modes are found
SMOOTH = 8.0  # pixels over which a warp keeps its direction


def nothing(of: Material, _: float) -> Made:
    """Give real images of other subjects as they are."""
    return of.other.images, of.other.subjects


def half_of_modes(of: Material, _: float) -> Made:
    """Keep what lies in one of two clusters of the training images."""
    train, other = (next(iter(cloud.features.values())) for cloud in (of.train, of.other))
    clusters = KMeans(2, n_init=10, random_state=0).fit(train[:, :LEADING])
    kept = of.other.take(clusters.predict(other[:, :LEADING]) == 0)
    return kept.images, kept.subjects


def one_image(of: Material, _: float) -> Made:
    """Repeat one image; each repetition passes for a subject of its own."""
    row = int(of.random.integers(len(of.other)))
    images = np.repeat(of.other.images[row : row + 1], len(of.other), axis=0)
    return images, np.arange(len(images)).astype(str)


def copies(of: Material, _: float) -> Made:
    """Give the training images."""
    return of.train.images, of.train.subjects


def few_people(of: Material, count: float) -> Made:
    """Give slices of a few people only, each as often as needed.

    As with a generator's images, each passes for a subject of its own.
    """
    chosen = of.random.permutation(np.unique(of.other.subjects))[: int(count)]
    rows = np.flatnonzero(np.isin(of.other.subjects, chosen))
    images = of.other.images[np.resize(rows, len(of.other))]
    return images, np.arange(len(images)).astype(str)


def copied(of: Material, rows: Rows) -> Images:
    """Give training images in the place of others."""
    return of.train.images[of.random.integers(len(of.train), size=len(rows))]


def warped_copies(of: Material, displacement: float) -> Made:
    """Give training images, each bent by a smooth random field."""
    images = of.train.images.astype(np.float32)
    return np.clip(np.stack([warped(image, displacement, of.random) for image in images]), -1, 1), (
        of.train.subjects
    )


def warped(image: Image, displacement: float, random: np.random.Generator) -> Image:
    """Bend an image by so many pixels (root mean square), with cubic interpolation."""
    side, smooth = image.shape[-1], scaled(SMOOTH, image)
    field_ = ndimage.gaussian_filter(random.normal(size=(2, side, side)), (0, smooth, smooth))
    places = np.indices((side, side)) + field_ * scaled(displacement, image) / field_.std()
    return np.stack(
        [ndimage.map_coordinates(channel, places, order=3, mode="nearest") for channel in image]
    )
