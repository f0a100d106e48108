"""What the verbs of the reader study share: their options, and names and tables of readers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrgantry.common.errors import DataError

if TYPE_CHECKING:
    from mrgantry.study.study import Reader

Study = Annotated[Path, typer.Argument(help="Folder of the study.")]
Blocks = Annotated[
    list[str] | None,
    typer.Option(
        "--block",
        help="NAME=REAL,SYNTHETIC: a set of real slices and one of synthetic slices, or several "
        "with commas between; repeat for several blocks.",
    ),
]
Database = Annotated[
    str | None,
    typer.Option(
        envvar="MRGANTRY_DATABASE",
        help="postgresql://user:password@host/name, where answers are kept; unless given, in the "
        "study's folder (SQLite).",
    ),
]


@contextmanager
def installed() -> Iterator[None]:
    """Say what to install where the optional part is not."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise DataError(
            f"The reader study needs {error.name}, which is not installed. Run: pip install "
            "'mrgantry[study]'."
        ) from error


def named_readers(words: list[str]) -> "list[Reader]":
    """Take readers by name; a word that ends in .csv is a table of them."""
    from mrgantry.study.study import Reader, read_readers

    readers: list[Reader] = []
    for word in words:
        readers += read_readers(Path(word)) if word.endswith(".csv") else [Reader(name=word)]
    return readers
