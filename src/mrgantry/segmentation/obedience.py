"""Whether images show what their label maps say: segmenters that learnt from real images look.

An image drawn for a given map, or together with one, obeys its map if a segmenter that has only
ever seen real images finds the same there. It finds no more than it finds in real images of people
it has not seen, so that is what its score is held against.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from mrgantry.common.errors import DataError
from mrgantry.common.frozen import Frozen
from mrgantry.data.slices import SliceSet
from mrgantry.detection.findings import Condition
from mrgantry.segmentation.overlap import dice
from mrgantry.segmentation.sets import MappedReal, mapped_rows, open_alike

REAL_ALONE: tuple[Condition, ...] = (
    "none",
    "classical",
)  # conditions whose segmenters have seen no synthetic image


class Obeyed(Frozen):
    """How far one segmenter finds again what is mapped, image by image.

    Attributes:
        fingerprint: Of the set; that of the real one for its test slices.
        values: Dice of each image on which something is mapped, all classes as one.
        classes: The mean Dice of each class over the images on which it is mapped; None where it
            is on none.
    """

    fingerprint: str
    values: tuple[float, ...]
    classes: tuple[float | None, ...]


def open_judged(folders: Sequence[Path], real: MappedReal) -> list[SliceSet]:
    """Open sets whose images are looked at but not learnt from.

    Their maps may be those of test people: segmenters have seen neither.

    Raises:
        DataError: One does not fit, or has no maps or those of other classes.
    """
    sets = open_alike(folders, real)
    for data in sets:
        if not data.maps.any():
            raise DataError(f"Nothing is mapped on any image of {data.folder}.")
    return sets


def obeyed(data: SliceSet, drawn: UInt8[np.ndarray, "n h w"]) -> Obeyed:
    """Score what a segmenter draws of images against their own maps."""
    maps = data.maps
    rows = np.flatnonzero(mapped_rows(data))
    values = tuple(dice(maps[row] > 0, drawn[row] > 0) for row in rows)
    of_classes = []
    for number in range(1, len(data.about.classes) + 1):
        shown = np.flatnonzero((maps == number).any((1, 2)))
        each = [dice(maps[row] == number, drawn[row] == number) for row in shown]
        of_classes.append(float(np.mean(each)) if each else None)
    return Obeyed(fingerprint=data.about.fingerprint, values=values, classes=tuple(of_classes))


def by_person(data: SliceSet, values: Sequence[float]) -> Float[np.ndarray, " m"]:
    """Average the scores of each person's slices; of a synthetic set each image counts alone.

    Args:
        data: The set.
        values: Of its images on which something is mapped.
    """
    if data.about.synthetic:
        return np.array(values)
    people = data.table["subject"].to_numpy()[mapped_rows(data)]
    scores = np.array(values)
    return np.array([scores[people == person].mean() for person in sorted(set(people))])
