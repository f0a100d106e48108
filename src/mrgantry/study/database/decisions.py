"""What the investigator decides while readers read: pauses, new links, readers who leave.

Each decision is a row that is added; what holds now follows from the last of them. The server
looks at every request, so a decision of another process holds at once.
"""

from typing import Literal

from sqlalchemy import Connection, insert, select

from mrgantry.study.database.tables import decisions

Kind = Literal["pause", "resume", "remove", "relink", "add"]

HALTS = (
    select(decisions.c.kind, decisions.c.at)
    .where(decisions.c.kind.in_(("pause", "resume")))
    .order_by(decisions.c.id)
)
OF_PEOPLE = (
    select(decisions.c.person, decisions.c.kind, decisions.c.at, decisions.c.token_hash)
    .where(decisions.c.kind.in_(("remove", "relink")))
    .order_by(decisions.c.id)
)


def decide(
    connection: Connection,
    kind: Kind,
    at: float,
    *,
    person: str | None = None,
    token_hash: str | None = None,
) -> None:
    """Add a decision.

    Args:
        connection: Open to write.
        kind: What is decided.
        at: When, by the study's clock.
        person: Id of whom it is about; None for the whole study.
        token_hash: With "relink": hash of the new token.
    """
    row = {"kind": kind, "at": at, "person": person, "token_hash": token_hash}
    connection.execute(insert(decisions), row)


def is_halted(connection: Connection) -> bool:
    """Say whether the study is paused now."""
    kinds = [row.kind for row in connection.execute(HALTS)]
    return kinds[-1:] == ["pause"]


def halted(connection: Connection, begin: float, end: float) -> float:
    """Give the seconds of a time in which the study was paused."""
    rows = connection.execute(HALTS).all()
    ends = [row.at for row in rows[1:]] + [end]
    return sum(
        max(0.0, min(until, end) - max(row.at, begin))
        for row, until in zip(rows, ends, strict=False)
        if row.kind == "pause"
    )


def last_of_people(connection: Connection) -> dict[str, tuple[Kind, float, str | None]]:
    """Give the last decision on each person that there is one on: its kind, time and token."""
    rows = connection.execute(OF_PEOPLE)
    return {row.person: (row.kind, row.at, row.token_hash) for row in rows}
