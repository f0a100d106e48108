"""A study: a folder with a database, and a key that the server never opens.

study.json   what is asked, of whom, from which sets; nothing about any single image
study.sqlite people, images, answers (or a PostgreSQL server has them)
consent.md   the investigator's text, if there is one
cues.json    whether trivial cues tell real images from synthetic ones
links.csv    the personal links: secrets, to be sent one by one
key.csv      which image is real, and seals on study.json, cues.json and consent.md: to be kept
             from the readers and from the server
"""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import pandas as pd
from pydantic import Field

from mrgantry.common.errors import DataError, RunError
from mrgantry.common.files import read_json
from mrgantry.common.frozen import Frozen
from mrgantry.common.tables import harmless
from mrgantry.study.cases.shown import Stack
from mrgantry.study.database.store import Store
from mrgantry.study.protocol import Protocol

FORMAT = 1
LINKS = ("name", "role", "link")  # columns of links.csv


class Reader(Frozen):
    """Somebody who reads.

    Attributes:
        name: As it stands in tables; initials or a code will do.
        group: Readers of one group are compared with those of others.
        years: Of experience.
    """

    name: Annotated[str, Field(min_length=1, max_length=200)]
    group: str = ""
    years: Annotated[float, Field(ge=0, le=100)] | None = None


class BlockSource(Frozen):
    """A set of slices that cases were drawn from.

    Attributes:
        name: Of its folder.
        fingerprint: Of its pixels and rows.
        images: That could be drawn.
        subjects: Whom they show; 0 for synthetic ones.
        made_by: What drew synthetic images.
        generated: Synthetic images before any were discarded.
        filter: The rule by which synthetic images were discarded; empty if none were.
        training_subjects: How many subjects the generator has seen.
    """

    name: str
    fingerprint: str
    images: int
    subjects: int
    made_by: str = ""
    generated: int = 0
    filter: str = ""
    training_subjects: int = 0


class Block(Frozen):
    """One comparison of a set of real slices with synthetic ones.

    Attributes:
        name: As it stands in tables; readers see only that there is a next part.
        real: Where real cases are from.
        split: The split of the real set that they are from.
        synthetic: Where synthetic cases are from.
    """

    name: str
    real: BlockSource
    split: str
    synthetic: tuple[BlockSource, ...]


class Amendment(Frozen):
    """What was changed in a study after it was made.

    Attributes:
        added: Names of the readers who were added.
        date: As 2026-01-31.
        command: The shell command that did it.
    """

    added: tuple[str, ...]
    date: str
    command: str = ""


class StudyFacts(Frozen):
    """What `study.json` tells. The server reads it, so it says nothing about single images.

    Attributes:
        format: Version of the layout of the folder.
        id: Random; key and database bear it too.
        kind: A blinded study has its key apart; a teaching one within, and is never scored.
        title: What readers see at the top.
        protocol: What is asked, and how.
        blocks: What is compared.
        readers: Who reads.
        seed: Of the draw of images; orders have none that could be told.
        simulated: Whether the "real" images stem from simulated scans.
        created: Date, as 2026-01-31.
        command: The shell command that made the study.
        versions: Of the libraries.
        key_fingerprint: Of key.csv.
        url: Address that the links lead to.
        server: Whether the database is on a server, and not in the folder.
        amendments: What was changed since, in order.
        stack: Of whole heads: how they are laid out as pictures.
    """

    format: Literal[1] = 1
    id: str
    kind: Literal["blinded", "teaching"]
    title: str
    protocol: Protocol
    blocks: tuple[Block, ...]
    readers: tuple[Reader, ...]
    seed: int
    simulated: bool
    created: str
    command: str
    versions: dict[str, str]
    key_fingerprint: str
    url: str = "http://127.0.0.1:8000"
    server: bool = False
    amendments: tuple[Amendment, ...] = ()
    stack: Stack | None = None


def read_readers(path: Path) -> list[Reader]:
    """Read readers from a CSV file with the columns name, group and years; the last two may lack.

    Spreadsheets write semicolons and decimal commas where a country does: both are taken.

    Raises:
        DataError: The file cannot be read, or a column or value will not do.
    """
    try:
        head = path.read_text(encoding="utf-8-sig").partition("\n")[0]
        sign = ";" if ";" in head else ","
        table = pd.read_csv(path, sep=sign, encoding="utf-8-sig", dtype=str, keep_default_na=False)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not in UTF-8: save it from the spreadsheet as 'CSV UTF-8'."
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a readable table of readers: {error}.") from error
    odd = set(table.columns) - {"name", "group", "years"}
    if "name" not in table or odd:
        raise DataError(
            f"{path} must have the columns name, group and years (the last two may lack); it has "
            f"{', '.join(table.columns)}."
        )
    rows = table.to_dict("records")
    values = [{str(k): v.strip() for k, v in row.items() if v.strip()} for row in rows]
    if sign == ";":
        values = [
            {k: v.replace(",", ".") if k == "years" else v for k, v in row.items()}
            for row in values
        ]
    # A spreadsheet also writes rows that have been emptied.
    return [Reader.of(dict(row), f"row {i} of {path}") for i, row in enumerate(values, 1) if row]


def as_csv(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    """Write a table as text, in which a spreadsheet finds no formula."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: harmless(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def checked_url(url: str) -> str:
    """Check a public address; it has a scheme and a name, and may have a path.

    Raises:
        RunError: It will not do.
    """
    parts = urlsplit(url.rstrip("/"))
    odd = not re.fullmatch(r"(/[\w.~-]+)*", parts.path, re.ASCII) or parts.query or parts.fragment
    if url and (parts.scheme not in ("http", "https") or not parts.hostname or odd):
        raise RunError(
            f"The public address {url!r} must read like https://study.example.org or, behind a "
            "proxy, https://example.org/study."
        )
    return url.rstrip("/")


@dataclass(frozen=True)
class Study:
    """A study that lies in a folder."""

    folder: Path
    about: StudyFacts

    @classmethod
    def open(cls, folder: Path) -> "Study":
        """Open a study.

        Raises:
            DataError: The folder is no study, or of another version.
        """
        if not (folder / "study.json").is_file():
            raise DataError(
                f"{folder} is not a reader study (it has no study.json). Make one with "
                "`mrgantry study create`."
            )
        values: Any = read_json(folder / "study.json")
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise DataError(f"{folder / 'study.json'} is not of the version that this one reads.")
        return cls(folder, StudyFacts.of(values, f"study.json of {folder}"))

    def database(self, url: str | Path | None = None) -> str | Path:
        """Tell where the answers are: where it is said, else in the folder.

        Args:
            url: Of a PostgreSQL server, or the path of an SQLite file, such as a backup.

        Raises:
            DataError: The study's database is on a server, and no URL is given.
        """
        if url:
            return url
        if self.about.server:
            raise DataError(
                f"The answers of {self.folder} are on a database server. Name it with --database "
                "postgresql://user:password@host/name, or in the variable MRGANTRY_DATABASE."
            )
        return self.folder / "study.sqlite"

    def store(self, url: str | Path | None = None, *, to_read: bool = False) -> Store:
        """Open the database.

        Args:
            url: As for `database`.
            to_read: Whether it is only read: then nothing of it changes.

        Raises:
            DataError: It cannot be opened, or is another study's.
        """
        return Store.open(self.database(url), self.about.id, to_read=to_read)

    @property
    def consent(self) -> str:
        """Give the investigator's text of consent; empty if there is none."""
        path = self.folder / "consent.md"
        return path.read_text(encoding="utf-8") if path.is_file() else ""
