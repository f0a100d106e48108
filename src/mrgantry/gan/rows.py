"""Which rows of a set are trained on, and which of them are labelled alike."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mrgantry.common.errors import DataError
from mrgantry.data.slices import SliceSet

OF_ONE_POSE = {"id", "index", "position_mm", "tumour", "tumour_mm2", "affine"}


def choose_rows(data: SliceSet, only: Sequence[str]) -> SliceSet:
    """Keep the rows that meet all conditions, each written as `column=value`.

    Raises:
        DataError: A column is unknown, or no row is left.
    """
    rows = np.ones(len(data), dtype=bool)
    for condition in only:
        column, _, value = condition.partition("=")
        if column not in data.table:
            raise DataError(f"{data.folder} has no column {column!r} (in --only {condition}).")
        refuse_column_of_poses(data, column)
        rows &= (data.table[column].astype(str) == value).to_numpy()
    if not rows.any():
        raise DataError(f"No training slice of {data.folder} meets {' and '.join(only)}.")
    return data.where(rows)


def refuse_column_of_poses(data: SliceSet, column: str) -> None:
    """Refuse a column that differs between the poses of one volume.

    Raises:
        DataError: The set is oblique and the column is such a one.
    """
    if data.about.poses and column in OF_ONE_POSE:
        raise DataError(
            f"{data.folder} is oblique: training draws every pose of a volume, and {column!r}, "
            "by which images are to be told apart, differs between poses."
        )


def units_of(data: SliceSet, columns: Sequence[str]) -> pd.DataFrame:
    """Give one row for all that is labelled alike: an image, or a volume with all its poses."""
    for column in columns:
        refuse_column_of_poses(data, column)
    if not data.about.poses:
        return data.table
    _, first = np.unique(data.places // data.about.poses, return_index=True)
    return data.table.iloc[first]
