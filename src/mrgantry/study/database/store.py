"""What the server keeps: who reads, what comes next, what was answered.

A reader's trials are read in order: the only image that can be had is that of the first
trial without an answer, and an answer is committed before the next one is told of. So a
refresh, a second tab or a killed server changes nothing: what is next follows from the table.
"""

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any, Literal
from urllib.parse import unquote

import numpy as np
from jaxtyping import UInt8
from sqlalchemy import Connection, Engine, insert, inspect, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from mrgantry.common.errors import DataError
from mrgantry.study.database.clock import Clock
from mrgantry.study.database.decisions import Kind, decide, halted, is_halted, last_of_people
from mrgantry.study.database.queries import (
    ANSWERED,
    BETWEEN,
    CHOSEN,
    CURRENT,
    EVENTS,
    IN_SESSION,
    LAST,
    OF_TOKEN,
    PARTS,
    PIXELS,
    READERS,
    SENT,
    TRUTH,
)
from mrgantry.study.database.tables import (
    ADDED,
    VERSION,
    answers,
    connect,
    decisions,
    displays,
    endings,
    events,
    facts,
    sendings,
    sessions,
    tables,
)

Role = Literal["reader", "investigator"]
Kept = Literal["kept", "already", "refused"]
TRAVEL = 5.0  # seconds that an image may take to be displayed before its time runs anyway
GRACE = 1.0  # seconds that an answer may travel before it counts as late
SESSION = 7 * 24 * 3600.0  # seconds until a link must be opened again


@dataclass(frozen=True)
class Person:
    """Somebody who has a link."""

    id: str
    role: Role
    name: str


@dataclass(frozen=True)
class Trial:
    """One image that one reader is to judge.

    Attributes:
        id: Opaque, and different for each reader.
        number: Its place in the reader's order, from 1.
        part: 0 for practice, then 1, 2, ... as the reader meets the blocks.
        place: Its place in the part, from 1.
        of: Trials of the part.
        displayed: Whether the reader has been shown it before.
        started: When its time began, by its display or some seconds after it was first sent;
            None if it did not.
    """

    id: str
    number: int
    part: int
    place: int
    of: int
    displayed: bool
    started: float | None

    def end(self, seconds: float | None) -> float:
        """Tell when its time is over; never, without a limit or before it began."""
        if seconds is None or self.started is None:
            return float("inf")
        return self.started + seconds


@dataclass(frozen=True)
class Given:
    """What a reader answered."""

    truth: str
    tumour: str = ""
    confidence: int | None = None
    reason: str = ""
    client_seconds: float | None = None


@dataclass(frozen=True)
class Event:
    """Something that happened, other than an answer."""

    kind: str
    at: float
    detail: dict[str, Any]


def hashed(secret: str) -> str:
    """Give what the database holds of a token: it was random, so one round is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


@dataclass(frozen=True)
class Store:
    """The database of one study, open."""

    engine: Engine
    clock: Clock = field(default_factory=Clock, compare=False)
    _turn: Lock = field(default_factory=Lock, repr=False, compare=False)

    @classmethod
    def open(cls, database: str | Path, study: str, *, to_read: bool = False) -> "Store":
        """Open the database of a study and check that it is that of this one.

        Args:
            database: Path of an SQLite file, or a PostgreSQL URL.
            study: Its id.
            to_read: Whether it is only read: an SQLite file is then not changed, and may lie
                where nothing can be written.

        Raises:
            DataError: It cannot be reached, is damaged, of another version, or of another study.
        """
        if isinstance(database, Path) and not database.is_file():
            raise DataError(f"{database} does not exist; a study keeps its answers there.")
        store = cls(connect(database, to_read=to_read))
        try:
            store._check(study)
        except DataError:
            store.engine.dispose()
            raise
        if not to_read:
            with store.writing() as connection:
                for table in ADDED:
                    table.create(connection, checkfirst=True)
        with store.reading() as connection:
            there = set(inspect(connection).get_table_names())
            last = [connection.execute(LAST[t]).scalar() or 0.0 for t in LAST.keys() & there]
        return replace(store, clock=Clock(max(last)))

    def _check(self, study: str) -> None:
        """Refuse a database that cannot be read, is of another version, or of another study."""
        try:
            with self.reading() as connection:
                exists = inspect(connection).has_table("facts")
                rows = connection.execute(select(facts)).all() if exists else []
                if connection.dialect.name == "sqlite":
                    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
                    if found != "ok":
                        raise DataError(self._unreadable(found))
        except DBAPIError as error:
            raise DataError(self._unreadable(str(error.orig))) from error
        stored = {row.key: row.value for row in rows}
        if stored.get("version") != str(VERSION):
            raise DataError(
                f"The study's database has the version {stored.get('version')}; this mrgantry "
                f"reads {VERSION}. Use the mrgantry that made the study."
            )
        if stored["study"] != study:
            raise DataError(
                "The database holds another study; each needs a database of its own. "
                f"Expected {study}, found {stored['study']}."
            )

    def _unreadable(self, why: str) -> str:
        said = f"The study's database cannot be read: {' '.join(why.split())}."
        if self.engine.dialect.name != "sqlite":
            return said
        path = unquote(str(self.engine.url.database)).removeprefix("file:")
        return (
            f"{said} If {path} is damaged, take a backup of it, as `mrgantry "
            "study backup` writes them: `score --database BACKUP`, or serve it as study.sqlite."
        )

    def reading(self) -> AbstractContextManager[Connection]:
        """Begin to read."""
        return self.engine.begin()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Begin to write; the block's rows are committed together when it ends."""
        # SQLite lets one write at a time and the others try again and again, some of them for
        # seconds. So they wait in line here; other processes are still waited for there.
        turn = self._turn if self.engine.dialect.name == "sqlite" else nullcontext()
        with turn, self.engine.execution_options(writes=True).begin() as connection:
            yield connection

    # People.

    def person_of(self, token: str) -> Person | None:
        """Find whose personal link bears a token; nobody's, if it was replaced or taken back."""
        token_hash = hashed(token)
        with self.reading() as connection:
            row = connection.execute(OF_TOKEN, {"token": token_hash}).first()
            if row is None:
                return None
            kind, _, valid = last_of_people(connection).get(row.id, ("add", 0.0, row.token_hash))
        known = kind != "remove" and valid == token_hash
        return Person(row.id, row.role, row.name) if known else None

    def person_in(self, secret: str) -> Person | None:
        """Find who is in a session that has not run out, nor ended by a decision."""
        since = self.clock.now() - SESSION
        with self.reading() as connection:
            row = connection.execute(IN_SESSION, {"secret": hashed(secret), "since": since}).first()
            if row is None:
                return None
            kind, at, _ = last_of_people(connection).get(row.id, ("add", 0.0, None))
        known = kind != "remove" and row.at >= at
        return Person(row.id, row.role, row.name) if known else None

    def begin_session(self, person: Person) -> str:
        """Begin a session; give the secret for the person's cookie."""
        secret = secrets.token_urlsafe(32)
        with self.writing() as connection:
            # What was decided by a process whose clock is ahead must not end it at once.
            decided = last_of_people(connection).get(person.id, ("add", 0.0, None))[1]
            at = max(self.clock.now(), decided)
            values = {"secret_hash": hashed(secret), "person": person.id, "at": at}
            connection.execute(insert(sessions), values)
        self.record(person, "entered")
        return secret

    def end_session(self, person: Person, secret: str) -> None:
        """End a session: its secret opens nothing any more."""
        with self.writing() as connection:
            row = {"secret_hash": hashed(secret), "at": self.clock.now()}
            connection.execute(insert(endings), row)
        self.record(person, "left")

    # What the investigator decides.

    def decide(self, kind: Kind, person: Person | None = None, token: str | None = None) -> None:
        """Add a decision, with the new token where it is "relink"."""
        about, token_hash = person.id if person else None, hashed(token) if token else None
        with self.writing() as connection:
            decide(connection, kind, self.clock.now(), person=about, token_hash=token_hash)

    def is_halted(self) -> bool:
        """Say whether the investigator has paused the study."""
        with self.reading() as connection:
            return is_halted(connection)

    def removed(self) -> dict[str, float]:
        """Give when each reader who was removed was so, by id."""
        with self.reading() as connection:
            # A backup of before there were decisions is only read, and has none.
            there = inspect(connection).has_table(decisions.name)
            last = last_of_people(connection) if there else {}
        return {person: at for person, (kind, at, _) in last.items() if kind == "remove"}

    # What happened.

    def record(self, person: Person | None, kind: str, **detail: Any) -> None:
        """Add a line to the log of events."""
        values = {
            "person": person.id if person else None,
            "kind": kind,
            "at": self.clock.now(),
            "detail": json.dumps(detail),
        }
        with self.writing() as connection:
            connection.execute(insert(events), values)

    def events(self, person: Person) -> list[Event]:
        """List what happened to a person, in order."""
        with self.reading() as connection:
            rows = connection.execute(EVENTS, {"person": person.id}).all()
        return [Event(row.kind, row.at, json.loads(row.detail)) for row in rows]

    # Reading.

    def parts(self, reader: Person) -> list[tuple[int, int, int]]:
        """Give each part of a reader's study, in order: its number, answered, all trials."""
        with self.reading() as connection:
            return [tuple(row) for row in connection.execute(PARTS, {"reader": reader.id})]

    def current(self, reader: Person) -> Trial | None:
        """Give the first trial without an answer; None when all have one."""
        with self.reading() as connection:
            return _current(connection, reader, self.clock.now())

    def elapsed(self, reader: Person, trial: Trial) -> float:
        """Give the seconds since a trial's image was first shown, pauses left out; 0 before.

        A page that is loaded again has lost its own clock, and goes on counting from here.
        """
        if not trial.displayed or trial.started is None:
            return 0.0
        now = self.clock.now()
        with self.reading() as connection:
            paused = _paused(connection, reader, trial.started, now)
        return max(0.0, now - trial.started - paused)

    def image(self, reader: Person, trial: str, seconds: float | None) -> np.ndarray | None:
        """Give the image of the current trial, while its time lasts.

        Args:
            reader: Who asks.
            trial: Which trial; any but the reader's current one gives None.
            seconds: The time limit.
        """
        with self.writing() as connection:
            now = self.clock.now()
            current = _current(connection, reader, now)
            if current is None or current.id != trial or now > current.end(seconds):
                return None
            connection.execute(insert(sendings), {"trial": trial, "at": now})
            return _pixels(connection, trial)

    def display(self, reader: Person, trial: str) -> Trial | None:
        """Note that the current trial's image stands on the screen: its time begins, once."""
        with self.writing() as connection:
            now = self.clock.now()
            current = _current(connection, reader, now)
            if current is None or current.id != trial:
                return None
            if current.displayed or not connection.execute(SENT, {"trial": trial}).first():
                return current
            connection.execute(insert(displays), {"trial": trial, "at": now})
            return _current(connection, reader, now)

    def choose(self, reader: Person, trial: str, truth: str) -> bool:
        """Note what the first question is answered by, if the trial is the current one.

        Its answer is kept when all questions have one; a time limit is on the first alone.
        """
        with self.writing() as connection:
            now = self.clock.now()
            current = _current(connection, reader, now)
            if current is None or current.id != trial or not current.displayed:
                return False
            detail = json.dumps({"trial": trial, "truth": truth})
            row = {"person": reader.id, "kind": "chosen", "at": now, "detail": detail}
            connection.execute(insert(events), row)
            return True

    def answer(self, reader: Person, trial: str, given: Given, seconds: float | None) -> Kept:
        """Keep an answer to the current trial, if it has been displayed; never change one.

        The page answers "none" by itself when an image's time is over: it is refused before.
        """
        try:
            with self.writing() as connection:
                now = self.clock.now()
                current = _current(connection, reader, now)
                if current is None or current.id != trial or not current.displayed:
                    mine = {"trial": trial, "reader": reader.id}
                    return "already" if connection.execute(ANSWERED, mine).first() else "refused"
                end = current.end(seconds)
                none = given.truth == "none"
                if none and now < end - GRACE:
                    return "refused"
                late = none or (
                    now > end + GRACE and not _chosen_by(connection, reader, current, given, end)
                )
                row = vars(given) | {"trial": trial, "reader": reader.id, "late": late}
                row |= {"started": current.started, "at": now}
                connection.execute(insert(answers), row)
        except IntegrityError:  # two tabs at the same instant, on PostgreSQL
            return "already"
        return "kept"

    def truth(self, reader: Person, trial: str) -> tuple[str, str] | None:
        """Give truth and tumour of an answered trial of a teaching study; None elsewhere."""
        with self.reading() as connection:
            row = connection.execute(TRUTH, {"trial": trial, "reader": reader.id}).first()
        return (row.truth, row.tumour) if row else None

    def readers(self) -> list[Person]:
        """List the readers by name."""
        with self.reading() as connection:
            return [Person(*row) for row in connection.execute(READERS)]


def _current(connection: Connection, reader: Person, now: float) -> Trial | None:
    row = connection.execute(CURRENT, {"reader": reader.id}).first()
    if row is None:
        return None
    displayed = row.displayed is not None
    end = row.displayed if displayed else now
    started = None
    if row.sent is not None:
        # An image that was sent long before its display was reported has been seen meanwhile.
        latest = row.sent + TRAVEL + _paused(connection, reader, row.sent, end)
        latest += halted(connection, row.sent, end)
        started = min(end, latest) if displayed or latest <= now else None
    if started is not None:
        started += halted(connection, started, now)  # no time passes while the study is paused
    place = row.number - row.first + 1
    return Trial(row.id, row.number, row.part, place, row.of, displayed, started)


def _paused(connection: Connection, reader: Person, begin: float, end: float) -> float:
    """Give the seconds of pauses in a time, in which the page shows no image.

    A pause lasts until something else happens: a page that was closed under one says no more.
    """
    during = {"reader": reader.id, "begin": begin, "end": end}
    happened = connection.execute(BETWEEN, during).all()
    ends = [row.at for row in happened[1:]] + [end]
    return sum(
        after - row.at for row, after in zip(happened, ends, strict=False) if row.kind == "pause"
    )


def _chosen_by(
    connection: Connection, reader: Person, trial: Trial, given: Given, end: float
) -> bool:
    """Say whether the first question had this answer in time, whatever the others took."""
    row = connection.execute(CHOSEN, {"reader": reader.id}).first()
    wanted = {"trial": trial.id, "truth": given.truth}
    return row is not None and row.at <= end + GRACE and json.loads(row.detail) == wanted


def _pixels(connection: Connection, trial: str) -> UInt8[np.ndarray, "h w"]:
    row = connection.execute(PIXELS, {"trial": trial}).one()
    return np.frombuffer(row.grey, np.uint8).reshape(row.height, row.width)


def fill(database: str | Path, study: str, rows: Mapping[str, Sequence[dict[str, Any]]]) -> None:
    """Make the tables of a new study and fill them, all or nothing.

    Args:
        database: Path of an SQLite file that does not exist yet, or a PostgreSQL URL.
        study: Its id.
        rows: Rows of each table, by the table's name.

    Raises:
        DataError: The database cannot be reached or already holds a study.
    """
    store = Store(connect(database))
    try:
        with store.writing() as connection:
            if inspect(connection).has_table("facts"):
                raise DataError("The database already holds a study; make one for each study.")
            tables.create_all(connection)
            about = {"version": str(VERSION), "study": study}
            every = {"facts": [{"key": k, "value": v} for k, v in about.items()], **rows}
            for table in tables.sorted_tables:
                if every.get(table.name):
                    connection.execute(insert(table), list(every[table.name]))
    except DBAPIError as error:
        raise DataError(f"The study's database cannot be written: {error.orig}.") from error
    finally:
        store.engine.dispose()
