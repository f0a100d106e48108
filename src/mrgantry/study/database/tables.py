"""The database of a study: its tables, which only grow.

The same tables on SQLite and on PostgreSQL. Rows are inserted and never changed: triggers
refuse everything else, so that no program error and no second tab can alter an answer.
Nothing here says which image is real, except `truths`, which only a teaching study has.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import psutil
from sqlalchemy import (
    DDL,
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from mrgantry.common.errors import DataError

VERSION = 1  # of the tables
BUSY = 20.0  # seconds that a writer waits for another
AT_ONCE = 40  # connections: one for each thread that the server answers with
NETWORKED = {"afpfs", "cifs", "davfs", "fuse.sshfs", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"}

tables = MetaData()

facts = Table(
    "facts",
    tables,
    Column("key", String(40), primary_key=True),
    Column("value", Text, nullable=False),
)
people = Table(
    "people",
    tables,
    Column("id", String(32), primary_key=True),
    Column("role", String(20), nullable=False),  # reader or investigator
    Column("name", String(200), nullable=False),
    Column("token_hash", String(64), nullable=False, unique=True),
)
sessions = Table(
    "sessions",
    tables,
    Column("secret_hash", String(64), primary_key=True),
    Column("person", ForeignKey("people.id"), nullable=False),
    Column("at", Float, nullable=False),  # seconds since 1970, as all times here
)
# Added, as `decisions` is, to databases that were made before.
endings = Table(
    "endings",
    tables,
    Column("secret_hash", ForeignKey("sessions.secret_hash"), primary_key=True),
    Column("at", Float, nullable=False),
)
cases = Table(
    "cases",
    tables,
    Column("id", String(32), primary_key=True),
    Column("height", Integer, nullable=False),
    Column("width", Integer, nullable=False),
    Column("grey", LargeBinary, nullable=False),  # one byte a pixel, rows from the top
)
trials = Table(
    "trials",
    tables,
    Column("id", String(32), primary_key=True),
    Column("reader", ForeignKey("people.id"), nullable=False),
    Column("number", Integer, nullable=False),  # order of reading, from 1
    Column("part", Integer, nullable=False),  # 0 is practice; blocks follow as the reader has them
    Column("block", Integer, nullable=False),  # number of the block in study.json
    Column("case_id", ForeignKey("cases.id"), nullable=False),
    UniqueConstraint("reader", "number"),
)
sendings = Table(
    "sendings",
    tables,
    Column("id", Integer, primary_key=True),
    Column("trial", ForeignKey("trials.id"), nullable=False, index=True),
    Column("at", Float, nullable=False),
)
displays = Table(
    "displays",
    tables,
    Column("trial", ForeignKey("trials.id"), primary_key=True),
    Column("at", Float, nullable=False),
)
answers = Table(
    "answers",
    tables,
    Column("trial", ForeignKey("trials.id"), primary_key=True),
    Column("reader", ForeignKey("people.id"), nullable=False),
    Column("truth", String(20), nullable=False),
    Column("tumour", String(20), nullable=False),
    Column("confidence", Integer),
    Column("reason", Text, nullable=False),
    Column("late", Boolean, nullable=False),
    Column("started", Float, nullable=False),  # when the image's time began
    Column("at", Float, nullable=False),
    Column("client_seconds", Float),  # display to key, less pauses, by the browser's clock
    UniqueConstraint("reader", "trial"),
)
events = Table(
    "events",
    tables,
    Column("id", Integer, primary_key=True),
    Column("person", ForeignKey("people.id"), index=True),
    Column("kind", String(40), nullable=False),
    Column("at", Float, nullable=False),
    Column("detail", Text, nullable=False),  # JSON
)
# Added to databases that were made before there was it, which lose nothing by it.
decisions = Table(
    "decisions",
    tables,
    Column("id", Integer, primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("at", Float, nullable=False),
    Column("person", ForeignKey("people.id")),  # none where it is about the whole study
    Column("token_hash", String(64), unique=True),
)
truths = Table(
    "truths",
    tables,
    Column("case_id", ForeignKey("cases.id"), primary_key=True),
    Column("truth", String(20), nullable=False),
    Column("tumour", String(20), nullable=False),
)
ADDED = (decisions, endings)


def _as_new(table: Table) -> str:
    """Write that a row has a key of a new one, in any way in which the table's keys are unique."""
    keys = [c for c in table.constraints if isinstance(c, PrimaryKeyConstraint | UniqueConstraint)]
    alike = (
        " AND ".join(f"{column.name} = NEW.{column.name}" for column in key.columns) for key in keys
    )
    return " OR ".join(f"({each})" for each in alike)


for _table in tables.sorted_tables:
    # INSERT OR REPLACE deletes a row without asking the trigger that forbids it.
    event.listen(
        _table,
        "after_create",
        DDL(
            f"CREATE TRIGGER {_table.name}_no_replace BEFORE INSERT ON {_table.name} "
            f"WHEN EXISTS (SELECT 1 FROM {_table.name} WHERE {_as_new(_table)}) "
            f"BEGIN SELECT RAISE(ABORT, '{_table.name} only grows'); END"
        ).execute_if(dialect="sqlite"),
    )
    for _verb in ("UPDATE", "DELETE"):
        event.listen(
            _table,
            "after_create",
            DDL(
                f"CREATE TRIGGER {_table.name}_no_{_verb.lower()} BEFORE {_verb} ON {_table.name} "
                f"BEGIN SELECT RAISE(ABORT, '{_table.name} only grows'); END"
            ).execute_if(dialect="sqlite"),
        )
    event.listen(
        _table,
        "after_create",
        DDL(
            f"CREATE TRIGGER {_table.name}_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON "
            f"{_table.name} FOR EACH STATEMENT EXECUTE FUNCTION mrgantry_only_grows()"
        ).execute_if(dialect="postgresql"),
    )
event.listen(
    tables,
    "before_create",
    DDL(
        "CREATE OR REPLACE FUNCTION mrgantry_only_grows() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the tables of a study only grow'; END $$"
    ).execute_if(dialect="postgresql"),
)


def connect(database: str | Path, *, to_read: bool = False) -> Engine:
    """Open a database: the path of an SQLite file, or the URL of a PostgreSQL server.

    Args:
        database: Which.
        to_read: Whether it is only read.

    Raises:
        DataError: The URL is none, its driver is missing, or the file lies on a network disk
            and would be written.
    """
    if not isinstance(database, Path):
        url = _server(database)
    elif to_read:
        url = _unchanged(database.resolve())
    else:
        refuse_network_disk(database)
        url = URL.create("sqlite", database=str(database.resolve()))
    try:
        busy = {"connect_args": {"timeout": BUSY}} if url.drivername == "sqlite" else {}
        # What a reader wrote stands in no message.
        engine = create_engine(url, pool_size=AT_ONCE, max_overflow=0, hide_parameters=True, **busy)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise DataError(
            f"The database {url.render_as_string()} needs a driver that is not installed "
            f"({error}). Run: pip install 'mrgantry[postgresql]'."
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "begin", _begin)
        if not to_read:
            event.listen(engine, "connect", _settle)
    return engine


def _unchanged(path: Path) -> URL:
    """Give the URL by which an SQLite file is read and stays as it is.

    Raises:
        DataError: It cannot be read without its log, which cannot be read where it lies.
    """
    name, query = f"file:{quote(str(path))}", {"mode": "ro", "uri": "true"}
    try:
        with closing(sqlite3.connect(f"{name}?mode=ro", uri=True)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError as error:
        # SQLite makes files beside one that was served, and cannot do so everywhere.
        log = path.with_name(f"{path.name}-wal")
        if log.is_file() and log.stat().st_size:
            raise DataError(
                f"{path} cannot be read ({error}), and answers that are not in it yet stand in "
                f"{log}. Copy both to a disk that can be written, and score the copy."
            ) from error
        query["immutable"] = "1"
    except sqlite3.DatabaseError:
        pass  # it is none, or damaged: whoever opens it says so
    return URL.create("sqlite", database=name, query=query)


def _server(text: str) -> URL:
    """Read the URL of a PostgreSQL server; its password is never repeated."""
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise DataError(
            "The database must be a URL such as postgresql://user:password@host/name."
        ) from error
    if url.get_backend_name() != "postgresql":
        raise DataError(
            f"The database is of the kind {url.get_backend_name()!r}; a study lies in its own "
            "folder (SQLite), or on postgresql://user:password@host/name."
        )
    return url.set(drivername="postgresql+psycopg")


def _settle(connection, _record) -> None:  # type: ignore[no-untyped-def]
    """Make SQLite safe for many at once, and for a cut of power after each answer."""
    connection.isolation_level = None  # transactions are begun below, not by the driver
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    """Begin at once as a writer where one is to be: a reader that turns writer can fail."""
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def refuse_network_disk(path: Path) -> None:
    """Refuse an SQLite file on a network disk, where its write-ahead log loses answers.

    Raises:
        DataError: The disk is a network's.
    """
    place = path.resolve()
    disks = psutil.disk_partitions(all=True)
    under = [disk for disk in disks if place.is_relative_to(disk.mountpoint)]
    disk = max(under, key=lambda partition: len(partition.mountpoint), default=None)
    if disk and disk.fstype.lower() in NETWORKED:
        raise DataError(
            f"{path} lies on a network disk ({disk.fstype}), where SQLite can lose answers. Put "
            "the study on a disk of this machine, or keep its answers on a server with --database "
            "postgresql://user:password@host/name."
        )


def protect(path: Path) -> None:
    """Let only the owner read a file, where the system knows of that."""
    os.chmod(path, 0o600)  # noqa: PTH101
