"""What the database keeps, and what it refuses."""

import sqlite3
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import DBAPIError

from mrgantry.common.errors import DataError
from mrgantry.study.database import store as stores
from mrgantry.study.database import tables
from mrgantry.study.database.store import Given, Store, fill, hashed
from servers import new_database, postgresql


def people(count=2):
    return [
        {"id": f"p{i}", "role": "reader", "name": f"R{i}", "token_hash": hashed(f"token{i}")}
        for i in range(count)
    ] + [{"id": "i", "role": "investigator", "name": "I", "token_hash": hashed("boss")}]


@pytest.fixture(scope="module")
def server():
    with postgresql() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    if request.param == "sqlite":
        return tmp_path / "s.sqlite"
    return new_database(request.getfixturevalue("server"), "study")


@pytest.fixture
def store(database):
    yield from filled(database)


@pytest.fixture
def on_sqlite(tmp_path):
    yield from filled(tmp_path / "s.sqlite")


def filled(database):
    cases = [{"id": f"c{i}", "height": 2, "width": 3, "grey": bytes([i] * 6)} for i in range(3)]
    trials = [
        {"id": f"p{r}t{i}", "reader": f"p{r}", "number": i + 1, "part": min(i, 1), "block": 0,
         "case_id": f"c{i}"}
        for r in range(2)
        for i in range(3)
    ]  # fmt: skip
    fill(database, "me", {"people": people(), "cases": cases, "trials": trials})
    opened = Store.open(database, "me")
    yield opened
    opened.engine.dispose()


@pytest.fixture
def reader(store):
    return store.person_of("token0")


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets."""
    one = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(stores.Clock, "now", lambda _: one.now)
    return one


def read(store, reader, seconds=None):
    """Read the current trial as a browser does."""
    trial = store.current(reader).id
    assert store.image(reader, trial, seconds) is not None
    store.display(reader, trial)
    return store.answer(reader, trial, Given("real"), seconds)


def test_trials_come_in_order_and_end(store, reader):
    places = []
    while (one := store.current(reader)) is not None:
        places.append((one.id, one.part, one.place, one.of))
        assert read(store, reader) == "kept"
    assert places == [("p0t0", 0, 1, 1), ("p0t1", 1, 1, 2), ("p0t2", 1, 2, 2)]
    assert store.parts(reader) == [(0, 1, 1), (1, 2, 2)]
    assert store.parts(store.person_of("token1")) == [(0, 0, 1), (1, 0, 2)]


def test_only_the_current_image_of_ones_own_can_be_had(store, reader):
    other = store.person_of("token1")
    assert store.image(reader, "p0t1", None) is None  # comes later
    assert store.image(other, "p0t0", None) is None  # is another's
    assert np.array_equal(store.image(reader, "p0t0", None), np.zeros((2, 3)))
    read(store, reader)
    assert store.image(reader, "p0t0", None) is None  # was answered


def test_no_answer_without_a_display_and_none_twice(store, reader):
    assert store.answer(reader, "p0t0", Given("real"), None) == "refused"
    assert store.display(reader, "p0t0").started is None  # nothing was sent yet
    read(store, reader)
    assert store.answer(reader, "p0t0", Given("synthetic"), None) == "already"
    assert store.answer(store.person_of("token1"), "p0t0", Given("real"), None) == "refused"
    with store.reading() as connection:
        rows = connection.execute(select(tables.answers.c.truth)).all()
    assert rows == [("real",)]


def test_the_time_begins_once_and_the_image_goes(store, reader, clock):
    store.image(reader, "p0t0", 10)
    clock.now += 1
    assert store.display(reader, "p0t0").started == 1001
    clock.now += 5
    assert store.display(reader, "p0t0").started == 1001  # a refresh begins nothing anew
    assert store.image(reader, "p0t0", 10) is not None
    clock.now += 5.5
    assert store.image(reader, "p0t0", 10) is None
    assert store.answer(reader, "p0t0", Given("real"), 10) == "kept"
    with store.reading() as connection:
        assert not connection.execute(select(tables.answers.c.late)).scalar_one()  # on its way


def test_an_answer_after_the_time_is_late(store, reader, clock):
    store.image(reader, "p0t0", 10)
    store.display(reader, "p0t0")
    clock.now += 12
    store.answer(reader, "p0t0", Given("real"), 10)
    with store.reading() as connection:
        assert connection.execute(select(tables.answers.c.late)).scalar_one()


def test_a_display_that_is_reported_late_began_before(store, reader, clock):
    store.image(reader, "p0t0", 10)
    clock.now += 60  # looked at it for a minute, then says that it begins now
    assert store.display(reader, "p0t0").started == 1000 + stores.TRAVEL
    assert store.image(reader, "p0t0", 10) is None


def test_the_first_sending_counts(store, reader, clock):
    """Whoever has the image sent again and again has no more time for it."""
    for _ in range(4):
        assert store.image(reader, "p0t0", 10) is not None
        clock.now += 4.9
    assert store.image(reader, "p0t0", 10) is None  # 19.6 s after the first
    assert store.current(reader).started == 1000 + stores.TRAVEL
    assert store.display(reader, "p0t0").started == 1000 + stores.TRAVEL
    store.answer(reader, "p0t0", Given("real"), 10)
    with store.reading() as connection:
        assert connection.execute(select(tables.answers.c.late)).scalar_one()


def test_a_pause_while_an_image_loads_costs_nothing(store, reader, clock):
    store.image(reader, "p0t0", 10)
    clock.now += 2
    store.record(reader, "pause")
    clock.now += 600
    assert store.current(reader).started is None  # it has not run out, and has not begun
    store.record(reader, "resume")
    clock.now += 1
    assert store.display(reader, "p0t0").started == clock.now
    store.record(reader, "pause")
    clock.now += 60  # once it stands on the screen, its time goes on
    assert store.image(reader, "p0t0", 10) is None


def test_a_pause_that_never_ended_lasts_until_the_page_is_loaded_again(store, reader, clock):
    store.image(reader, "p0t0", 10)
    store.record(reader, "pause")
    clock.now += 3600
    store.record(reader, "screen")
    clock.now += 3
    assert store.image(reader, "p0t0", 10) is not None
    clock.now += 10
    assert store.display(reader, "p0t0").started == 1000 + 3600 + stores.TRAVEL


@pytest.mark.parametrize(
    ("chosen", "given", "late"),
    [
        ([("real", 4)], "real", False),  # the rest took a minute
        ([("synthetic", 4)], "real", True),  # changed after the time
        ([("synthetic", 4), ("real", 2)], "real", False),
        ([("real", 4), ("synthetic", 1)], "real", True),
        ([("real", 20)], "real", True),
        ([], "real", True),
    ],
)
def test_only_the_first_question_has_a_limit(store, reader, clock, chosen, given, late):
    assert not store.choose(reader, "p0t0", "real")  # it has not been displayed
    store.image(reader, "p0t0", 10)
    store.display(reader, "p0t0")
    for word, after in chosen:
        clock.now += after
        assert store.choose(reader, "p0t0", word)
    clock.now += 60
    assert store.answer(reader, "p0t0", Given(given), 10) == "kept"
    assert not store.choose(reader, "p0t0", "real")  # it is not the current one any more
    with store.reading() as connection:
        assert connection.execute(select(tables.answers.c.late)).scalar_one() is late


def test_times_never_run_backwards(database, store, reader, monkeypatch):
    """Somebody sets the machine's clock back, while the server runs and while it does not."""
    read(store, reader)
    wall = time.time()
    monkeypatch.setattr("time.time", lambda: wall - 3600)
    read(store, reader)
    again = Store.open(database, "me")
    read(again, reader)
    with again.reading() as connection:
        times = [row.at for row in connection.execute(select(tables.answers.c.at))]
        started = [row.started for row in connection.execute(select(tables.answers.c.started))]
    again.engine.dispose()
    assert times == sorted(times) and all(s <= a < s + 60 for s, a in zip(started, times))


@pytest.mark.parametrize("name", ["answers", "trials", "cases", "people", "events", "facts"])
def test_rows_are_never_changed_or_removed(store, reader, name):
    read(store, reader)
    store.record(reader, "paused")
    table = tables.tables.tables[name]
    column = next(iter(table.columns))
    for change in (delete(table), update(table).values({column.name: column})):
        with pytest.raises(DBAPIError, match="only grow"), store.writing() as connection:
            connection.execute(change)


@pytest.mark.parametrize("name", ["answers", "trials", "cases", "people", "displays", "facts"])
def test_rows_are_never_replaced(on_sqlite, tmp_path, name):
    """SQLite takes REPLACE for an insertion, and asks no trigger that forbids to delete."""
    read(on_sqlite, on_sqlite.person_of("token0"))
    raw = sqlite3.connect(tmp_path / "s.sqlite")
    before = raw.execute(f"SELECT * FROM {name}").fetchall()
    with pytest.raises(sqlite3.IntegrityError, match="only grows"):
        raw.execute(f"INSERT OR REPLACE INTO {name} SELECT * FROM {name}")
    assert raw.execute(f"SELECT * FROM {name}").fetchall() == before
    raw.close()


def test_a_row_is_not_replaced_by_one_of_another_key(on_sqlite, tmp_path):
    raw = sqlite3.connect(tmp_path / "s.sqlite")
    with pytest.raises(sqlite3.IntegrityError, match="only grows"):
        raw.execute(
            "INSERT OR REPLACE INTO trials SELECT 'new', reader, number, part, block, case_id "
            "FROM trials"
        )
    raw.close()


def test_tokens_and_sessions_are_kept_hashed(on_sqlite, tmp_path):
    store, reader = on_sqlite, on_sqlite.person_of("token0")
    secret = store.begin_session(reader)
    assert store.person_in(secret) == reader and store.person_in("x") is None
    assert store.person_of("token9") is None
    store.engine.dispose()
    raw = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"token0" not in raw and secret.encode() not in raw


def test_a_session_runs_out(store, reader, monkeypatch):
    secret = store.begin_session(reader)
    later = time.time() + stores.SESSION + 1
    monkeypatch.setattr(stores.Clock, "now", lambda _: later)
    assert store.person_in(secret) is None


def test_many_at_once_keep_one_answer(store, reader):
    store.image(reader, "p0t0", None)
    store.display(reader, "p0t0")
    kept = []
    tabs = [
        threading.Thread(
            target=lambda w=word: kept.append(store.answer(reader, "p0t0", Given(w), None))
        )
        for word in ["real", "synthetic"] * 8
    ]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join()
    assert sorted(kept) == ["already"] * 15 + ["kept"]


def test_sqlite_is_safe_for_many_and_for_a_cut_of_power(on_sqlite):
    store = on_sqlite
    with store.reading() as connection:
        pragma = connection.exec_driver_sql
        assert pragma("PRAGMA journal_mode").scalar() == "wal"
        assert pragma("PRAGMA synchronous").scalar() == 2  # full
        assert pragma("PRAGMA foreign_keys").scalar() == 1
    with pytest.raises(DBAPIError), store.writing() as connection:
        connection.execute(insert(tables.displays).values(trial="nobody's", at=0))


def test_another_study_is_refused(database, store):
    with pytest.raises(DataError, match="another study"):
        Store.open(database, "you")
    with pytest.raises(DataError, match="already holds a study"):
        fill(database, "me", {})


def test_another_version_is_refused(tmp_path):
    fill(tmp_path / "new.sqlite", "me", {})
    raw = sqlite3.connect(tmp_path / "new.sqlite")
    raw.execute("DROP TRIGGER facts_no_update")
    raw.execute("UPDATE facts SET value = '99' WHERE key = 'version'")
    raw.commit()
    raw.close()
    with pytest.raises(DataError, match="version 99"):
        Store.open(tmp_path / "new.sqlite", "me")
    with pytest.raises(DataError, match="does not exist"):
        Store.open(tmp_path / "absent.sqlite", "me")
    (tmp_path / "junk.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(DataError, match="cannot be read"):
        Store.open(tmp_path / "junk.sqlite", "me")


def test_a_network_disk_is_refused(tmp_path, monkeypatch):
    disk = type("Disk", (), {"mountpoint": str(tmp_path), "fstype": "nfs4"})
    monkeypatch.setattr(tables.psutil, "disk_partitions", lambda all: [disk])
    with pytest.raises(DataError, match="network disk"):
        tables.connect(tmp_path / "s.sqlite")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("nonsense", "must be a URL"),
        ("mysql://me:secret@host/x", "of the kind 'mysql'"),
        ("postgresql://me:secret@127.0.0.1:1/x", "cannot be read"),
    ],
)
def test_a_database_that_cannot_be_used(url, sentence):
    with pytest.raises(DataError, match=sentence) as found:
        Store.open(url, "me")
    assert "secret" not in str(found.value)
