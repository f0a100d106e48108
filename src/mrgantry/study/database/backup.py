"""Copy a study's database while it is in use."""

from pathlib import Path

from sqlalchemy import insert, inspect, select
from sqlalchemy.exc import DBAPIError

from mrgantry.common.errors import DataError
from mrgantry.common.files import whole
from mrgantry.study.database.store import Store
from mrgantry.study.database.tables import connect, protect, tables
from mrgantry.study.study import Study

AT_ONCE = 500  # rows


def backup(folder: Path, out: Path, database: str | None = None) -> int:
    """Write all that the database holds at one instant into an SQLite file; give its answers.

    Works alike for a study on SQLite and on PostgreSQL, while readers read. The copy can be
    scored, and, as study.sqlite in the study's folder, be served.

    Args:
        folder: The study.
        out: The file; it must not exist yet.
        database: URL of the PostgreSQL server, if the study is on one.

    Raises:
        DataError: The database cannot be read, or the file exists or cannot be written.
    """
    if out.exists():
        raise DataError(f"{out} exists; a backup is never written over. Choose another name.")
    store = Study.open(folder).store(database, to_read=True)
    try:
        with whole(out) as aside:
            aside.touch(mode=0o600)
            protect(aside)
            return _copy(store, aside)
    except DBAPIError as error:
        raise DataError(
            f"{out} cannot be written, or the study's database not be read: {error.orig}."
        ) from error
    finally:
        store.engine.dispose()


def _copy(store: Store, out: Path) -> int:
    target = Store(connect(out))
    # One transaction that sees one instant: what is answered meanwhile is not half in the copy.
    source = store.engine
    if source.dialect.name == "postgresql":
        source = source.execution_options(isolation_level="REPEATABLE READ")
    count = 0
    try:
        with source.begin() as reading, target.writing() as writing:
            tables.create_all(writing)
            there = set(inspect(reading).get_table_names())
            for table in (table for table in tables.sorted_tables if table.name in there):
                for partition in reading.execute(select(table)).mappings().partitions(AT_ONCE):
                    writing.execute(insert(table), [dict(row) for row in partition])
                    count += len(partition) if table.name == "answers" else 0
        with target.engine.connect() as connection:  # all into one file, to be carried away
            connection.exec_driver_sql("COMMIT")
            connection.exec_driver_sql("PRAGMA journal_mode=DELETE")
    finally:
        target.engine.dispose()
    return count
