"""Which rows of a set are meant: conditions such as tumour=yes, and what is labelled alike."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Int

from mrgantry.common.errors import DataError
from mrgantry.data.slices import SliceSet

OF_ONE_POSE = {"id", "index", "position_mm", "tumour", "tumour_mm2", "affine"}


def choose_rows(data: SliceSet, only: Sequence[str]) -> SliceSet:
    """Keep the rows that meet all conditions, each written as `column=value`.

    Raises:
        DataError: A column is unknown, or no row is left.
    """
    for condition in only:
        column = condition.partition("=")[0]
        if column not in data.table:
            raise DataError(f"{data.folder} has no column {column!r} (in --only {condition}).")
        if data.about.poses and column in OF_ONE_POSE:
            raise DataError(
                f"{data.folder} is oblique: training draws every pose of a volume, so --only "
                f"cannot choose by {column!r}, which differs between poses."
            )
    rows = meets(data.table, only)
    if not rows.any():
        splits = " and ".join(sorted(set(data.table["split"])))
        raise DataError(f"No {splits} slice of {data.folder} meets {' and '.join(only)}.")
    return data.where(rows.to_numpy())


def meets(table: pd.DataFrame, only: Sequence[str]) -> "pd.Series[bool]":
    """Mark the rows that meet all conditions."""
    rows = pd.Series(True, index=table.index)
    for condition in only:
        column, _, value = condition.partition("=")
        rows &= table[column].astype(str) == value
    return rows


def units_of(data: SliceSet, columns: Sequence[str]) -> pd.DataFrame:
    """Give one row for all that is labelled alike: an image, or a volume with all its poses.

    Raises:
        DataError: The set is oblique, and a column differs between the poses of a volume.
    """
    if not data.about.poses:
        return data.table
    for column in columns:
        if column in OF_ONE_POSE and data.table[column].nunique() > 1:
            raise DataError(
                f"{data.folder} is oblique: training draws every pose of a volume, so {column!r}, "
                "which differs between poses, cannot be a label. Take others, as with "
                """--set 'labels=["sequence"]'."""
            )
    _, first = np.unique(data.places // data.about.poses, return_index=True)
    return data.table.iloc[first]


def by_turns(people: "pd.Series[str]", random: np.random.Generator) -> Int[np.ndarray, " n"]:
    """Order rows at random, yet so that each person has one before any has two."""
    order = random.permutation(len(people))
    drawn = people.iloc[order]
    turn = drawn.groupby(drawn).cumcount().to_numpy()
    return order[np.argsort(turn, kind="stable")]
