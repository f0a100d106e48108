"""Tables for spreadsheets and programs: CSV with a header, whole or absent."""

from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd

from mrgantry.common.errors import DataError
from mrgantry.common.files import whole

Rows = Iterable[Mapping[str, Any]]


# What spreadsheets take for the beginning of a formula; those for Japanese also the wide signs.
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def harmless(value: Any) -> Any:
    """Keep a spreadsheet from running what somebody wrote as a formula: it becomes text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value


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


def read_foreign_table(path: Path) -> pd.DataFrame:
    """Read a table as somebody's program saved it: all values as text, "" where there is none.

    It may be UTF-8 or UTF-16, with or without a byte order mark, or Windows-1252; lines may end
    anyhow, and commas, semicolons or tabs may lie between the columns.

    Raises:
        DataError: It is no table.
    """
    try:
        text = _decoded(path.read_bytes())
        head = text.lstrip("\r\n").splitlines()[0] if text.strip() else ""
        delimiter = max(",;\t", key=head.count)
        table = pd.read_csv(
            StringIO(text, newline=None), sep=delimiter, dtype=str, keep_default_na=False
        )
    except (OSError, ValueError) as error:
        # Pandas says: "Error tokenizing data. C error: Expected 2 fields in line 3, saw 4".
        reason = str(error).strip().rpartition("error: ")[2].rstrip(".")
        raise DataError(f"{path} is not a readable table: {reason}.") from error
    table.columns = [str(name).strip() for name in table.columns]
    return table.apply(lambda column: column.str.strip())


def _decoded(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252")
