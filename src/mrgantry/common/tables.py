"""Tables for spreadsheets and programs: CSV with a header, whole or absent."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mrgantry.common.files import whole

Rows = Iterable[Mapping[str, Any]]


def write_table(
    path: Path,
    rows: pd.DataFrame | Rows,
    columns: Sequence[str] | None = None,
    digits: int | None = None,
) -> None:
    """Write a table; what is None or not a number becomes an empty cell.

    Args:
        path: Of the file.
        rows: A frame, or a mapping from columns to values for each row.
        columns: What is written, in this order; None writes the columns that the rows have.
        digits: Decimals of numbers with a fraction; None writes as many as tell them apart.

    Raises:
        DataError: The disk is full or the folder cannot be written.
    """
    wanted = None if columns is None else list(columns)
    if not isinstance(rows, pd.DataFrame):
        # Of any type: whole numbers stay whole where some are None.
        rows = pd.DataFrame(list(rows), columns=wanted, dtype=object)
    fraction = None if digits is None else f"%.{digits}f"
    table = rows if wanted is None else rows[wanted]
    with whole(path) as aside:
        table.to_csv(aside, index=False, float_format=fraction)
