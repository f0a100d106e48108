"""Are whole heads as large, and made of as much of each tissue, as those of people?

Slices of one head are taken together: what the brain network sees of each tissue on them, times
their area and the way from one to the next, is a volume. Slices are only as good as the head that
they belong to: brains that are all alike, or hold too little fluid, pass slice by slice.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from mrgantry.brain.network import CLASSES
from mrgantry.evaluation.cloud import Pair
from mrgantry.evaluation.measures.maps import moved
from mrgantry.evaluation.measures.measure import HEADS, Explanation, Kind, Measure

FEWEST_SLICES = 8  # of a head that is measured
ONE_HEAD = ["subject", "session", "sequence", "plane"]
WHITE, GREY, FLUID = (CLASSES.index(name) for name in ("white", "grey", "fluid"))
INSIDE = [k for k, name in enumerate(CLASSES) if name != "background"]


def describe_heads(
    table: pd.DataFrame, fractions: Float[np.ndarray, "n k"], side: int
) -> Float[np.ndarray, "n 3"] | None:
    """Describe the head of each slice; all slices of a head are described alike.

    Args:
        table: The rows of the slices, as in `slices.csv`.
        fractions: What share of each image is which of `CLASSES`.
        side: Of the images, in pixels.

    Returns:
        Volume of the brain, on the slices that were cut, in cm3; and the shares of it that are
        grey matter and fluid. None where no head has slices enough, or nobody knows where they lie.
    """
    positions = pd.to_numeric(table["position_mm"], errors="coerce").to_numpy(dtype=float)
    pixel_mm = pd.to_numeric(table["pixel_mm"], errors="coerce").to_numpy(dtype=float)
    described = np.full((len(table), 3), np.nan)
    heads = table.assign(row=np.arange(len(table)))
    for _, of_head in heads[table["subject"] != ""].groupby(ONE_HEAD, dropna=False):
        rows = of_head["row"].to_numpy()
        steps = np.diff(np.sort(positions[rows]))
        if len(rows) < FEWEST_SLICES or not np.isfinite(steps).all():
            continue
        step = float(np.median(steps))
        cm3 = fractions[rows].sum(0) * (side * float(pixel_mm[rows[0]])) ** 2 * step / 1000
        inside = cm3[INSIDE].sum()
        described[rows] = inside, *(cm3[[GREY, FLUID]] / max(inside, 1e-9))
    measured = np.isfinite(described[:, 0]) & (described[:, 0] > 0)
    return described if measured.any() else None


def heads_measure() -> Measure:
    """Compare the heads of two sets of slices."""

    def compute(of: Pair) -> Sequence[float]:
        real, other = (heads_of(cloud.features[HEADS]) for cloud in (of.real, of.other))
        return tuple(moved(real[:, column], other[:, column]) for column in range(3))

    how = "distance between the spreads of"
    kinds = (
        Kind("head_volume", "lower", f"{how} brains' volumes, on the slices that were cut, in cm3"),
        Kind("head_grey", "lower", f"{how} the share of grey matter in them"),
        Kind("head_fluid", "lower", f"{how} the share of fluid in them"),
    )
    return Measure(kinds, HEADS, compute, needs=HEADS)


def heads_of(described: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "m 3"]:
    """Take each head once; no two have the same numbers."""
    return np.unique(described[np.isfinite(described).all(1)], axis=0)


_SHARED = {
    "question": "heads",
    "source": "Ours; the distance is Wasserstein's first.",
    "good": "As the floor shows it: what heads of other real people score.",
}
EXPLANATIONS = (
    Explanation(
        titles={"head_volume": "Heads: volume"},
        word="how large",
        answers="Are brains as large, and as variously large, as those of people?",
        how=(
            "What the brain network takes for brain or fluid on each slice of a head, times the "
            f"way to the next slice, summed; of heads with {FEWEST_SLICES} slices or more. The "
            "distance between its spreads."
        ),
        blind="Shape. Both sets must be cut alike: fewer slices are less brain.",
        **_SHARED,  # type: ignore[arg-type]
    ),
    Explanation(
        titles={"head_grey": "Heads: grey matter"},
        word="how much grey matter",
        answers="Do heads hold as large a share of grey matter as people's?",
        how="The share of a head's volume that the brain network takes for grey matter.",
        blind="Where it is; and it errs alike in both sets, by some hundredths of the volume.",
        **_SHARED,  # type: ignore[arg-type]
    ),
    Explanation(
        titles={"head_fluid": "Heads: fluid"},
        word="how much fluid",
        answers="Do heads hold as large a share of fluid, in ventricles and furrows, as people's?",
        how="The share of a head's volume that the brain network takes for fluid.",
        blind="Whether it is in ventricles or round the brain.",
        **_SHARED,  # type: ignore[arg-type]
    ),
)
