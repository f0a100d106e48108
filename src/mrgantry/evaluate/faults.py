"""Known faults, made to real images: what measures must notice, and what they must not."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import ndimage
from sklearn.cluster import KMeans

from mrgantry.evaluate.cloud import Cloud

BACKGROUND = -0.99  # at and below which a pixel is taken for background
LEADING = 16  # principal components in which modes are found
SMOOTH = 8.0  # pixels over which a warp keeps its direction, for images of 64
Images = Float[np.ndarray, "n c h w"]


@dataclass(frozen=True, eq=False)
class Material:
    """What faults are made of: slices of subjects who are not those measured against.

    Attributes:
        other: Of subjects that no extractor has seen.
        train: Of the training subjects.
        random: Of all that is drawn.
    """

    other: Cloud
    train: Cloud
    random: np.random.Generator


@dataclass(frozen=True)
class Fault:
    """A fault with its strengths, weakest first.

    Attributes:
        name: In a word or two.
        text: What is done, with {} for the strength.
        make: Gives images and their subjects.
        strengths: In the units that the text names; a single 0 where there are none.
        expected: What must come out, a sign a family of scores: "+" worse than real images, "0"
            alike, "?" either. The families: FD and KID; precision and density; recall and
            coverage; MS-SSIM of pairs; C2ST; copying; spectrum.
    """

    name: str
    text: str
    make: Callable[[Material, float], tuple[Images, np.ndarray]]
    strengths: tuple[float, ...] = (0.0,)
    expected: str = "0000000"


def nothing(of: Material, _: float) -> tuple[Images, np.ndarray]:
    """Give real images of other subjects as they are."""
    return of.other.images, of.other.subjects


def changed(
    change: Callable[[Images, float, np.random.Generator], Images],
) -> Callable[[Material, float], tuple[Images, np.ndarray]]:
    """Turn a change of images into a fault of other subjects' images."""

    def make(of: Material, strength: float) -> tuple[Images, np.ndarray]:
        images = change(of.other.images.astype(np.float32), strength, of.random)
        return np.clip(images, -1, 1), of.other.subjects

    return make


def blurred(images: Images, sigma: float, _: np.random.Generator) -> Images:
    """Blur with a Gaussian of so many pixels."""
    return ndimage.gaussian_filter(images, (0, 0, sigma, sigma))


def noisy(images: Images, spread: float, random: np.random.Generator) -> Images:
    """Add Gaussian noise of a standard deviation, background included."""
    return images + random.normal(0, spread, images.shape).astype(np.float32)


def checkered(images: Images, height: float, _: np.random.Generator) -> Images:
    """Add a checkerboard of single pixels within the head, as transposed convolutions leave."""
    rows, columns = np.indices(images.shape[2:])
    sign = np.where((rows + columns) % 2, -1, 1).astype(np.float32)
    return images + np.where(images > BACKGROUND, height * sign, np.float32(0))


def brighter(images: Images, shift: float, _: np.random.Generator) -> Images:
    """Make the head brighter."""
    return images + np.where(images > BACKGROUND, np.float32(shift), np.float32(0))


def half_of_modes(of: Material, _: float) -> tuple[Images, np.ndarray]:
    """Keep what lies in one of two clusters of the training images."""
    train, other = (next(iter(cloud.features.values())) for cloud in (of.train, of.other))
    clusters = KMeans(2, n_init=10, random_state=0).fit(train[:, :LEADING])
    kept = of.other.take(clusters.predict(other[:, :LEADING]) == 0)
    return kept.images, kept.subjects


def one_image(of: Material, _: float) -> tuple[Images, np.ndarray]:
    """Repeat one image; each repetition passes for a subject of its own."""
    row = int(of.random.integers(len(of.other)))
    images = np.repeat(of.other.images[row : row + 1], len(of.other), axis=0)
    return images, np.arange(len(images)).astype(str)


def copies(of: Material, _: float) -> tuple[Images, np.ndarray]:
    """Give the training images."""
    return of.train.images, of.train.subjects


def some_copies(of: Material, share: float) -> tuple[Images, np.ndarray]:
    """Put training images among new ones: in each subject's place a share of them."""
    images = of.other.images.copy()
    places = np.flatnonzero(of.random.random(len(images)) < share)
    images[places] = of.train.images[of.random.integers(len(of.train), size=len(places))]
    return images, of.other.subjects


def warped_copies(of: Material, displacement: float) -> tuple[Images, np.ndarray]:
    """Give training images, each bent by a smooth random field."""
    images = of.train.images.astype(np.float32)
    return np.clip(np.stack([warped(one, displacement, of.random) for one in images]), -1, 1), (
        of.train.subjects
    )


def warped(
    image: Float[np.ndarray, "c h w"], displacement: float, random: np.random.Generator
) -> Float[np.ndarray, "c h w"]:
    """Bend an image by so many pixels (root mean square), with cubic interpolation."""
    side = image.shape[-1]
    smooth = SMOOTH * side / 64
    field_ = ndimage.gaussian_filter(random.normal(size=(2, side, side)), (0, smooth, smooth))
    places = np.indices((side, side)) + field_ * displacement / field_.std()
    return np.stack(
        [ndimage.map_coordinates(one, places, order=3, mode="nearest") for one in image]
    )


FAULTS = (
    Fault("none", "real slices of other subjects", nothing),
    Fault(
        "blur",
        "blurred, Gaussian of {} pixels",
        changed(blurred),
        (1.0, 1.4, 1.8),
        "++??+0+",
    ),
    Fault(
        "noise",
        "Gaussian noise, standard deviation {} (black to white is 2)",
        changed(noisy),
        (0.08, 0.12, 0.16),
        "++??+0+",
    ),
    Fault(
        "half of the modes missing",
        "only what lies in one of two clusters (k-means on 16 principal components)",
        half_of_modes,
        expected="+0+++00",
    ),
    Fault("one image repeated", "a single image again and again", one_image, expected="+?+++??"),
    Fault("training copies", "the training images", copies, expected="0000?+0"),
    Fault(
        "some training copies",
        "the training image in place of a share {} of the images",
        some_copies,
        (0.05,),
        "0000?+0",
    ),
    Fault(
        "warped training copies",
        "training images, bent smoothly by {} pixels (root mean square)",
        warped_copies,
        (0.5,),
        "?000?+?",
    ),
    Fault(
        "checkerboard",
        "single pixels lighter and darker by {} in turn, within the head",
        changed(checkered),
        (0.08, 0.16),
        "++??+0+",
    ),
    Fault(
        "intensity shift",
        "the head brighter by {}",
        changed(brighter),
        (0.1, 0.2),
        "++??+0?",
    ),
)
