"""How well drawn maps meet real ones: Dice, Hausdorff distance, lesions found and made up.

All slices of one scan are looked at together, as a stack, and a person's scans are averaged: a
person is what counts. Empty maps are scored as BRATS does it. Where neither map holds anything,
Dice is 1 and the distance 0; where one does, Dice is 0 and the distance the image's diagonal.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage
from scipy.spatial import KDTree

CROSS = ndimage.generate_binary_structure(2, 1)  # pixels that share a side
TOUCHING = np.ones((3, 3, 3), bool)  # of lesions: pixels that touch at a corner, or one slice on
PERCENTILE = 95


@dataclass(frozen=True, eq=False)
class Stack:
    """The label maps of one scan, in the order of their position.

    Attributes:
        subject: Whose scan it is.
        real: What is mapped: numbers of classes.
        drawn: What a segmenter maps.
        position_mm: Of each slice.
        pixel_mm: Width of a pixel.
    """

    subject: str
    real: UInt8[np.ndarray, "d h w"]
    drawn: UInt8[np.ndarray, "d h w"]
    position_mm: Float[np.ndarray, " d"]
    pixel_mm: float

    @property
    def diagonal_mm(self) -> float:
        """Give the diagonal of an image."""
        return self.pixel_mm * float(np.hypot(*self.real.shape[1:]))


def stacks(
    table: pd.DataFrame, real: UInt8[np.ndarray, "n h w"], drawn: UInt8[np.ndarray, "n h w"]
) -> Iterator[Stack]:
    """Group slices by scan; a slice without a position is a stack of its own.

    Args:
        table: A row a slice, as in `slices.csv`.
        real: The label map of each.
        drawn: What a segmenter maps of each.
    """
    position = table["position_mm"].to_numpy(dtype=np.float64, na_value=np.nan)
    alone = np.where(np.isnan(position), np.arange(len(table)), -1)
    names = ["subject", "session", "sequence", "plane"]
    keys = [table[name].fillna("").astype(str).to_numpy() for name in names]
    scans: dict[tuple[str, ...], list[int]] = {}
    for row, key in enumerate(zip(*keys, alone.astype(str), strict=True)):
        scans.setdefault(tuple(map(str, key)), []).append(row)
    for key, rows in scans.items():
        places = np.array(rows)
        ordered = places[np.argsort(np.nan_to_num(position[places]), kind="stable")]
        yield Stack(
            subject=key[0],
            real=real[ordered],
            drawn=drawn[ordered],
            position_mm=np.nan_to_num(position[ordered]),
            pixel_mm=float(table["pixel_mm"].iloc[int(ordered[0])] or 1.0),
        )


def dice(real: Bool[np.ndarray, "..."], drawn: Bool[np.ndarray, "..."]) -> float:
    """Give twice what both hold, by what each holds.

    Source: Dice 1945, Measures of the amount of ecologic association between species.
    """
    held = int(real.sum()) + int(drawn.sum())
    return 2 * int((real & drawn).sum()) / held if held else 1.0


def hausdorff(
    stack: Stack, real: Bool[np.ndarray, "d h w"], drawn: Bool[np.ndarray, "d h w"]
) -> float:
    """Give the 95 % Hausdorff distance in mm.

    Outlines are those of each slice; from each point of one, the nearest point of the other is
    looked for in the whole stack. Of both ways the larger is taken.

    Args:
        stack: The scan that the maps are of.
        real: Where something is mapped.
        drawn: Where the segmenter maps it.

    Source: Huttenlocher et al. 1993, Comparing images using the Hausdorff distance.
    """
    if not real.any() and not drawn.any():
        return 0.0
    if not real.any() or not drawn.any():
        return stack.diagonal_mm
    first, second = (_outline(stack, mask) for mask in (real, drawn))
    ways = (KDTree(second).query(first)[0], KDTree(first).query(second)[0])
    return max(float(np.percentile(distances, PERCENTILE)) for distances in ways)


def _outline(stack: Stack, mask: Bool[np.ndarray, "d h w"]) -> Float[np.ndarray, "n 3"]:
    """Give the places, in mm, of pixels at the edge of a mask."""
    inside = np.stack([ndimage.binary_erosion(image, CROSS) for image in mask])
    slices, rows, columns = np.nonzero(mask & ~inside)
    across = [stack.pixel_mm * axis.astype(np.float64) for axis in (rows, columns)]
    return np.stack([stack.position_mm[slices], *across], 1)


def lesions(
    real: Bool[np.ndarray, "d h w"], drawn: Bool[np.ndarray, "d h w"]
) -> tuple[int, int, int]:
    """Count lesions: parts of a map that do not touch each other in the stack.

    Returns:
        Real lesions of which at least a pixel is drawn, all real lesions, and drawn ones that meet
        no real one.
    """
    parts, count = ndimage.label(real, TOUCHING)
    found = len(np.unique(parts[drawn & real]))
    drawn_parts, drawn_count = ndimage.label(drawn, TOUCHING)
    met = len(np.unique(drawn_parts[drawn & real]))
    return found, count, drawn_count - met


def measures_of(classes: Sequence[str]) -> dict[str, str]:
    """Name what is measured, with titles; classes one by one where there are several.

    Args:
        classes: What maps tell apart.
    """
    each = classes if len(classes) > 1 else ()
    return {
        "dice": "Dice",
        "hd95": "Hausdorff 95 %, mm",
        "lesions_found": "Lesions found",
        "false_lesions": "False lesions a person",
        **{f"dice_{name}": f"Dice, {name}" for name in each},
        **{f"hd95_{name}": f"Hausdorff 95 %, {name}, mm" for name in each},
    }


def better(measure: str) -> Literal["higher", "lower"]:
    """Say which values of a measure are better."""
    return "lower" if measure.startswith(("hd95", "false")) else "higher"


def score_people(
    scans: Sequence[Stack], classes: Sequence[str]
) -> Mapping[str, Float[np.ndarray, " m"]]:
    """Score each person, in the order of their names.

    Args:
        scans: Of all people.
        classes: What maps tell apart.

    Returns:
        A value a person and measure: the mean over their scans. Of whom no lesion is known, the
        share that was found is not a number.
    """
    values: dict[str, dict[str, list[float]]] = {}
    for stack in scans:
        mine = values.setdefault(stack.subject, {name: [] for name in measures_of(classes)})
        real, drawn = stack.real > 0, stack.drawn > 0
        found, count, false = lesions(real, drawn)
        mine["dice"].append(dice(real, drawn))
        mine["hd95"].append(hausdorff(stack, real, drawn))
        mine["lesions_found"].append(found / count if count else np.nan)
        mine["false_lesions"].append(false)
        for number, name in enumerate(classes, 1):
            if len(classes) > 1:
                of_class = stack.real == number, stack.drawn == number
                mine[f"dice_{name}"].append(dice(*of_class))
                mine[f"hd95_{name}"].append(hausdorff(stack, *of_class))
    return {
        measure: np.array([_mean(values[subject][measure]) for subject in sorted(values)])
        for measure in measures_of(classes)
    }


def _mean(values: Sequence[float]) -> float:
    """Average what is known; not a number where nothing is."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
