"""What faults are made of, and what a fault is."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Shaped

from mrgantry.evaluation.cloud import Cloud
from mrgantry.evaluation.measures.measure import Family

SIDE = 64  # pixels; lengths are given for images of this side, and grow with larger ones
# Planes in whose slices the two halves of a head stand side by side.
HALVED = ("axial", "coronal")
Images = Float[np.ndarray, "n c h w"]
Rows = Int[np.ndarray, " k"]
Made = tuple[Images, Shaped[np.ndarray, " n"]]  # images, and the subject of each


@dataclass(frozen=True, eq=False)
class Material:
    """What faults are made of: slices of subjects who are not those measured against.

    Attributes:
        other: Of subjects that no extractor has seen.
        train: Of the training subjects.
        rows: Those of `other` in the table of the set.
        random: Of all that is drawn, the same for each strength of a fault, so that a
            stronger one changes what a weaker one does, and more.
    """

    other: Cloud
    train: Cloud
    rows: pd.DataFrame
    random: np.random.Generator

    @cached_property
    def tumour_slices(self) -> Bool[np.ndarray, " n"]:
        """Mark the slices that show a tumour, where a head's halves can be compared."""
        halved = self.rows["plane"].isin(HALVED)
        return ((self.rows["tumour"] == "yes") & halved).to_numpy(dtype=bool)

    @cached_property
    def levels(self) -> Float[np.ndarray, " n"]:
        """Give the place of each slice among those of its subject: 0 the first, 1 the last."""
        index = pd.to_numeric(self.rows["index"]).groupby(self.rows["subject"].to_numpy())
        last = index.transform("size") - 1
        return ((index.rank(method="first") - 1) / last.clip(lower=1)).to_numpy(dtype=np.float64)

    def images(self, rows: Rows) -> Images:
        """Give some of the other subjects' images, to be changed."""
        return self.other.images[rows].astype(np.float32)


@dataclass(frozen=True)
class Fault:
    """A fault with its strengths, weakest first.

    Attributes:
        name: In a word or two.
        text: What is done, with {} for the strength.
        make: Gives images and their subjects.
        strengths: In the units that the text names; a single 0 where there are none.
        noticed_by: Families of which one score at least must notice the greatest strength.
        unmoved: Families that must not move at any strength.
        tumours: Whether it needs slices that show a tumour; a set without has no such fault.
    """

    name: str
    text: str
    make: Callable[[Material, float], Made]
    strengths: tuple[float, ...] = (0.0,)
    noticed_by: tuple[Family, ...] = ()
    unmoved: tuple[Family, ...] = ()
    tumours: bool = False

    def applies(self, of: Material) -> bool:
        """Say whether there is anything that it could change."""
        return not self.tumours or bool(of.tumour_slices.any())


def in_all(
    change: Callable[[Images, float, np.random.Generator], Images],
) -> Callable[[Material, float], Made]:
    """Turn a change with a strength into a fault of all of the other subjects' images."""

    def make(of: Material, strength: float) -> Made:
        images = change(of.other.images.astype(np.float32), strength, of.random)
        return np.clip(images, -1, 1), of.other.subjects

    return make


def in_a_share(
    change: Callable[[Material, Rows], Images], tumours: bool = False
) -> Callable[[Material, float], Made]:
    """Turn a change of some images into a fault whose strength is their share.

    Args:
        change: Gives other images for some rows.
        tumours: Whether only slices that show a tumour are changed, and the share is one of
            these.
    """

    def make(of: Material, share: float) -> Made:
        among = np.flatnonzero(of.tumour_slices) if tumours else np.arange(len(of.other))
        order = of.random.permutation(among)
        rows = order[: max(1, round(share * len(order)))]
        images = of.other.images.astype(np.float32)
        images[rows] = np.clip(change(of, rows), -1, 1)
        return images, of.other.subjects

    return make


def scaled(pixels: float, images: Float[np.ndarray, "*k h w"]) -> float:
    """Give a length in the images' own pixels."""
    return pixels * images.shape[-1] / SIDE
