"""Do drawn label maps look like those of people? Where, how large, in how many parts, how bright.

A map is described by a few numbers, and a set of maps by how these are spread. Two spreads are
compared by the distance that one has to be moved to become the other (Wasserstein), so that a
generator whose tumours all have the average size is found out.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float16, UInt8
from scipy import ndimage
from scipy.stats import wasserstein_distance

from mrgantry.data.label_maps import CONNECTED
from mrgantry.evaluation.cloud import Pair
from mrgantry.evaluation.measures.measure import MAPS, Explanation, Kind, Measure

RING = 3  # pixels round what is mapped, that its brightness is compared with
# Columns of a description; a class's share and a channel's contrast follow, one after the other.
AREA, PARTS, ROW, COLUMN = range(4)
FIXED = 4


def describe_maps(
    images: Float16[np.ndarray, "n c h w"], maps: UInt8[np.ndarray, "n h w"], classes: int
) -> Float[np.ndarray, "n d"]:
    """Describe what is mapped in each image, all classes together where nothing else is said.

    Args:
        images: Intensities in [-1, 1].
        maps: Numbers of classes; 0 is none.
        classes: How many there are.

    Returns:
        Area as the side of a square and place of the middle, both in sides of the image; number
        of parts; each class's share of the area; each channel's mean inside less that of a ring
        round it. Where nothing is mapped, all are not numbers.
    """
    rows = np.full((len(maps), FIXED + classes + images.shape[1]), np.nan)
    for row, image, classes_of_image in zip(rows, images, maps, strict=True):
        mapped = classes_of_image > 0
        if mapped.any():
            counts = np.bincount(classes_of_image[mapped], minlength=classes + 1)[1:]
            middle = (np.argwhere(mapped).mean(0) + 0.5) / mapped.shape
            ring = ndimage.binary_dilation(mapped, CONNECTED, RING) & ~mapped & (image > -1).any(0)
            inside, around = (
                image[:, place].astype(np.float64).mean(1) if place.any() else np.nan
                for place in (mapped, ring)
            )
            parts = ndimage.label(mapped, CONNECTED)[1]
            row[:FIXED] = np.sqrt(mapped.mean()), parts, *middle
            row[FIXED:] = np.concatenate([counts / counts.sum(), inside - around])
    return rows


def map_measure(classes: int) -> Measure:
    """Compare the label maps of two sets.

    Args:
        classes: How many classes the maps tell apart.
    """

    def compute(of: Pair) -> Sequence[float]:
        real, other = of.real.features[MAPS], of.other.features[MAPS]
        shares = [float(np.isfinite(rows[:, AREA]).mean()) for rows in (real, other)]
        by_column = [moved(real[:, column], other[:, column]) for column in range(real.shape[1])]
        contrasts = by_column[FIXED + classes :]
        return (
            abs(shares[0] - shares[1]),
            by_column[AREA],
            by_column[PARTS],
            (by_column[ROW] + by_column[COLUMN]) / 2,
            float(np.mean(by_column[FIXED : FIXED + classes])),
            float(np.mean(contrasts)),
        )

    how = "distance between the spreads of"
    kinds = (
        Kind("map_share", "lower", "difference in the share of images with anything mapped"),
        Kind("map_area", "lower", f"{how} sizes, as the side of a square in sides of the image"),
        Kind("map_parts", "lower", f"{how} numbers of parts"),
        Kind("map_place", "lower", f"{how} middles, down and across, in sides of the image"),
        Kind("map_classes", "lower", f"{how} each class's share of the area, mean over classes"),
        Kind("map_contrast", "lower", f"{how} intensities inside less round it, over channels"),
    )
    return Measure(kinds, MAPS, compute, needs=MAPS)


def moved(real: Float[np.ndarray, " n"], other: Float[np.ndarray, " m"]) -> float:
    """Give how far one spread must be moved to become the other (Wasserstein-1).

    Where only one set has numbers, as far as it reaches from nothing; 0 where none has.
    """
    first, second = (values[np.isfinite(values)] for values in (real, other))
    if not len(first) and not len(second):
        return 0.0
    if not len(first) or not len(second):
        return float(np.abs(np.concatenate([first, second])).mean())
    return float(wasserstein_distance(first, second))


_SHARED = {
    "question": "maps",
    "source": "Ours; the distance is Wasserstein's first.",
    "good": "As the floor shows it: what maps of other real people score.",
}
EXPLANATIONS = (
    Explanation(
        titles={"map_share": "Maps: share"},
        word="how many",
        answers="Does as large a share of the images have something mapped?",
        how="The shares of images whose label map is not empty, subtracted.",
        blind="What is mapped.",
        **_SHARED,  # type: ignore[arg-type]
    ),
    Explanation(
        titles={"map_area": "Maps: size"},
        word="how large",
        answers="Are mapped areas as large, and as variously large, as those of people?",
        how=(
            "The side of a square as large as all that is mapped in an image, in sides of the "
            "image; the distance between its spreads in both sets, over images with a map."
        ),
        blind="Shape; and a size that goes with the wrong place or image.",
        **_SHARED,  # type: ignore[arg-type]
    ),
    Explanation(
        titles={"map_parts": "Maps: parts"},
        word="in how many parts",
        answers="Do mapped areas fall into as many parts?",
        how="The number of parts that do not touch; the distance between its spreads.",
        blind=(
            "How large the parts are. Specks are left out of drawn maps before, and counted; not "
            "out of real ones."
        ),
        **_SHARED,  # type: ignore[arg-type]
    ),
    Explanation(
        titles={"map_place": "Maps: place"},
        word="where",
        answers="Do mapped areas lie where people's do?",
        how="The middle of what is mapped, down and across; the mean of the two distances.",
        blind="What the image shows at that place.",
        **_SHARED,  # type: ignore[arg-type]
    ),
    Explanation(
        titles={"map_classes": "Maps: classes"},
        word="of what",
        answers="Do the classes share the mapped area as they do in people?",
        how="Each class's share of what is mapped in an image; the mean of their distances.",
        blind="Which class lies within which.",
        **_SHARED,  # type: ignore[arg-type]
    ),
    Explanation(
        titles={"map_contrast": "Maps: contrast"},
        word="how bright",
        answers="Does the image show something where its map says so?",
        how=(
            f"The mean intensity of what is mapped less that of a ring of {RING} pixels round it "
            "within the head, in each channel; the mean of their distances."
        ),
        blind="Structure inside. Maps that are moved off what they map are found here.",
        **_SHARED,  # type: ignore[arg-type]
    ),
)
