"""How a running study is changed: pauses, personal links, readers who leave.

The server need not be stopped: it asks the database at every request.
"""

import csv
import datetime
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import select

from mrgantry.common.errors import DataError, unknown
from mrgantry.common.files import whole
from mrgantry.common.tables import harmless
from mrgantry.study.database import tables
from mrgantry.study.database.store import Event, Person, Store
from mrgantry.study.study import LINKS, Study, as_csv, checked_url


@contextmanager
def opened(study: Study, database: str | None = None) -> Iterator[Store]:
    """Open the database of a study, and close it in the end."""
    store = study.store(database)
    try:
        yield store
    finally:
        store.engine.dispose()


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    with whole(path) as aside:
        aside.touch(mode=0o600)
        tables.protect(aside)
        aside.write_text(text, encoding="utf-8", newline="\n")


def links_of(folder: Path) -> list[dict[str, str]]:
    """Read the personal links that are there; none if they were taken away."""
    path = folder / "links.csv"
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def address_of(study: Study, name: str = "") -> str:
    """Give the address that personal links lead to now, which need not be the study's first.

    Args:
        study: Which.
        name: Whose link is looked at first.
    """
    links = sorted(links_of(study.folder), key=lambda row: row["name"] != harmless(name))
    return links[0]["link"].partition("/enter#")[0] if links else study.about.url


def readdress(folder: Path, url: str) -> int:
    """Write the personal links anew for another address, with the tokens that they have.

    Args:
        folder: The study.
        url: Where readers will find the server.

    Returns:
        How many links there are.

    Raises:
        DataError: The links are not in the study's folder: its database has no token to make them
            from.
        RunError: The address will not do.
    """
    url = checked_url(url)
    links = links_of(Study.open(folder).folder)
    if not links:
        raise DataError(
            f"{folder / 'links.csv'} is not there, and tokens stand nowhere else. Put it back, or "
            "give each reader a new link with `mrgantry study readers relink`."
        )
    new = [row | {"link": f"{url}/enter#{row['link'].partition('#')[2]}"} for row in links]
    write_secret(folder / "links.csv", as_csv(LINKS, new))
    return len(new)


def relink(folder: Path, name: str, *, url: str = "", database: str | None = None) -> str:
    """Give one person a new link; the old one, and whoever is in by it, is shut out.

    A reader who was removed is so let in again.

    Args:
        folder: The study.
        name: Of a reader, or "investigator".
        url: Address that the link leads to; unless given, that of the person's old link.
        database: URL of the study's PostgreSQL server.

    Returns:
        The link, which `links.csv` has now too.

    Raises:
        DataError: Nobody of that name has a link.
    """
    study = Study.open(folder)
    links, named = links_of(folder), harmless(name)
    address = checked_url(url) or address_of(study, name)
    token = secrets.token_urlsafe(24)
    with opened(study, database) as store:
        person = _person(study, store, name)
        row = {"name": name, "role": person.role, "link": f"{address}/enter#{token}"}
        others = [other for other in links if other["name"] != named]
        text = as_csv(LINKS, [*others, row])
        store.decide("relink", person, token)
    write_secret(folder / "links.csv", text)
    return row["link"]


def remove(folder: Path, name: str, *, database: str | None = None) -> int:
    """Shut a reader out for good; give how many answers of theirs stay.

    Args:
        folder: The study.
        name: Of the reader.
        database: URL of the study's PostgreSQL server.

    Raises:
        DataError: There is no such reader, or they were removed before.
    """
    study = Study.open(folder)
    with opened(study, database) as store:
        person = _person(study, store, name)
        if person.role != "reader":
            raise DataError(f"{name} is no reader; only readers are removed.")
        if person.id in store.removed():
            raise DataError(f"{name} was removed before.")
        store.decide("remove", person)
        return sum(answered for _, answered, _ in store.parts(person))


def halt(folder: Path, *, resume: bool = False, database: str | None = None) -> None:
    """Pause a study for all readers, or let it go on.

    Raises:
        DataError: It is paused, or goes on, already.
    """
    with opened(Study.open(folder), database) as store:
        if store.is_halted() != resume:
            raise DataError(f"{folder} is {'not ' if resume else ''}paused; nothing was changed.")
        store.decide("resume" if resume else "pause")


def _person(study: Study, store: Store, name: str) -> Person:
    with store.reading() as connection:
        columns = (tables.people.c.id, tables.people.c.role, tables.people.c.name)
        people = {row.name: Person(*row) for row in connection.execute(select(*columns))}
    if name not in people:
        raise DataError(unknown("reader", name, list(people), f"study {study.folder}"))
    return people[name]


def happened(study: Study, database: str | Path | None = None) -> tuple[str, ...]:
    """Say who was added and removed while a study ran, and whose screen failed its check.

    Args:
        study: Which.
        database: URL of its PostgreSQL server, or the path of a backup.
    """
    said = [
        f"{', '.join(change.added)} {'were' if len(change.added) > 1 else 'was'} added on "
        f"{change.date}, after the study was made."
        for change in study.about.amendments
    ]
    store = study.store(database, to_read=True)
    try:
        removed = store.removed()
        for reader in store.readers():
            if reader.id in removed:
                day = datetime.date.fromtimestamp(removed[reader.id]).isoformat()
                said.append(f"{reader.name} was removed on {day}; answers given before that count.")
            said += _screens(reader.name, store.events(reader))
    finally:
        store.engine.dispose()
    return tuple(said)


def _screens(name: str, events: Sequence[Event]) -> list[str]:
    """Say that a reader's screen failed the display check, and whether another one passed."""
    checks = [event.detail for event in events if event.kind == "display"]
    failed = sum(check.get("passed") is False for check in checks)
    if not failed:
        return []
    later = "; a later one was passed" if checks[-1].get("passed") else ""
    return [
        f"{name} failed {failed} display check{'s' if failed > 1 else ''} (squares of 5 % or 95 % "
        f"grey were not seen, or squares that are not there){later}."
    ]
