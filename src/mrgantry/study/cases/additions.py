"""Add readers to a study, also while others read.

What is drawn for a new reader follows the rules that the study was made by, and is sealed as its
first cases were: the key and `study.json` are written anew together. Nothing that was answered
changes.
"""

import datetime
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from sqlalchemy import insert, select

from mrgantry.common.errors import DataError
from mrgantry.common.files import fingerprint, read_json, write_text
from mrgantry.study.cases.cases import CHECK, KEY, Cases, Parts, trials_of, truths_of
from mrgantry.study.cases.create import people_and_links
from mrgantry.study.cases.draw import Image, Pick, draw_cases, order
from mrgantry.study.cases.pools import Sources, check_names, describe_block, open_pool
from mrgantry.study.database import tables
from mrgantry.study.database.decisions import decide
from mrgantry.study.database.store import Store
from mrgantry.study.running import address_of, links_of, opened, write_secret
from mrgantry.study.seal import seals
from mrgantry.study.statistics.readings import changed_since, read_key
from mrgantry.study.study import LINKS, Amendment, Reader, Study, StudyFacts, as_csv

STAGED = ".amendment.json"  # what is being written, until all of it is


def add_readers(
    folder: Path,
    readers: Sequence[Reader],
    *,
    block: Sequence[Sources] = (),
    only: Sequence[str] = (),
    key: Path | None = None,
    database: str | None = None,
    command: str = "",
) -> Study:
    """Add readers to a study that may be running, with cases drawn by its rules.

    Where all readers see the same images, so do the new ones, each in an order of their own.
    Else new images are drawn from the sets that the study was drawn from.

    Args:
        folder: The study.
        readers: Who is added.
        block: The sets of every block, where each reader has images of their own.
        only: Conditions that the study was made with.
        key: Where the key is kept; unless given, in the study's folder. It is written anew.
        database: URL of the study's PostgreSQL server.
        command: What `study.json` tells of how they were added.

    Raises:
        DataError: The key is another study's, a sealed file was changed, a name is taken, the
            sets are not those that the study was drawn from, or a file cannot be written.
    """
    study = Study.open(folder)
    with opened(study, database) as store:
        study = recover(study, store)
        check_names([r.name for r in (*study.about.readers, *readers)], "reader", "NAME")
        if not readers:
            raise DataError("Name at least one reader to add: mrgantry study readers add STUDY AB.")
        if changed := changed_since(study, key):
            raise DataError(f"No reader is added to a study that was changed: {changed[0]}")
        known = read_key(study, key)
        drawn = _drawn(study, store, readers, block, only, known)
        about = study.about.model_copy(
            update={
                "readers": (*study.about.readers, *readers),
                "amendments": (*study.about.amendments, _amendment(readers, command)),
            }
        )
        named = [("reader", reader.name) for reader in readers]
        people, links = people_and_links(named, address_of(study))
        rows = {
            "people": people,
            "cases": drawn.cases.rows,
            "trials": trials_of(people, drawn.parts, drawn.cases.ids),
            "truths": truths_of(drawn.cases.key) if about.kind == "teaching" else [],
        }
        files = _sealed(study, about, [*_rows(known), *drawn.cases.key], key)
        files[folder / "links.csv"] = as_csv(LINKS, [*links_of(folder), *links])
        _amend(study, store, rows, files)
    return Study.open(folder)


@dataclass(frozen=True)
class _Drawn:
    """New cases, and what each new reader reads."""

    cases: Cases
    parts: list[Parts]


def _drawn(
    study: Study,
    store: Store,
    readers: Sequence[Reader],
    block: Sequence[Sources],
    only: Sequence[str],
    key: pd.DataFrame,
) -> _Drawn:
    """Draw for new readers as `create` has for the first ones."""
    protocol, blocks = study.about.protocol, study.about.blocks
    secret = secrets.randbits(128)
    if protocol.same_cases:
        picks, ids = _shared_picks(store, key)
        sets = [picks] * len(readers)
        cases = Cases(ids, [], [])
    else:
        pools = [
            open_pool(sources, protocol, facts.split, only)
            for sources, facts in zip(_in_order(study, block), blocks, strict=True)
        ]
        for pool, facts in zip(pools, blocks, strict=True):
            if describe_block(pool, facts.split) != facts:
                raise DataError(
                    f"The sets of the block {facts.name!r} are not those that the study was drawn "
                    "from: their fingerprints or their numbers of images differ. Give the same "
                    "sets as to `study create`, with the same --only."
                )
        first = len(study.about.readers)
        sets = [
            draw_cases(pools, protocol, (study.about.seed, first + n), (secret, n, 0))
            for n in range(len(readers))
        ]
        known: dict[tuple[str, ...], str] = {
            (row["block"], row["set"], row["slice"]): row["case"] for row in _rows(key)
        }
        cases = Cases.of(pools, [[picks] for picks in sets], protocol, known)
    parts = [order(picks, len(blocks), protocol, (secret, n, 1)) for n, picks in enumerate(sets)]
    return _Drawn(cases, list(parts))


def _rows(table: pd.DataFrame) -> list[dict[str, str]]:
    return [{str(k): str(v) for k, v in row.items()} for row in table.to_dict("records")]


def _shared_picks(store: Store, key: pd.DataFrame) -> tuple[list[Pick], dict[Image, str]]:
    """Give the images that all readers see, and their ids in the database."""
    checks = set(key.loc[key["set"] == CHECK, "case"])
    wanted = select(tables.trials.c.block, tables.trials.c.case_id).distinct()
    with store.reading() as connection:
        rows = sorted(tuple(row) for row in connection.execute(wanted))
    picks = [
        Pick(block, 0, number, check=case in checks) for number, (block, case) in enumerate(rows)
    ]
    return picks, {pick.image: case for pick, (_, case) in zip(picks, rows, strict=True)}


def _in_order(study: Study, block: Sequence[Sources]) -> list[Sources]:
    """Give the sets of each block of a study, in its order."""
    given = {sources.name: sources for sources in block}
    names = [facts.name for facts in study.about.blocks]
    if set(given) != set(names):
        raise DataError(
            "Each reader of this study has images of their own, which are drawn from its sets. "
            f"Name them as to `study create`: --block NAME=REAL,SYNTHETIC for {', '.join(names)}."
        )
    return [given[name] for name in names]


def _amendment(readers: Sequence[Reader], command: str) -> Amendment:
    return Amendment(
        added=tuple(reader.name for reader in readers),
        date=datetime.date.today().isoformat(),
        command=command,
    )


def _sealed(
    study: Study, about: StudyFacts, cases: Sequence[Mapping[str, Any]], key: Path | None
) -> dict[Path, str]:
    """Write the key with new seals, and `study.json` with the key's new mark."""
    contents: dict[str, Any] = {"study.json": about.model_dump()}
    contents["cues.json"] = read_json(study.folder / "cues.json")
    contents |= {"consent.md": study.consent} if (study.folder / "consent.md").is_file() else {}
    ordered = sorted(map(dict, cases), key=lambda row: row["case"])
    text = as_csv(KEY, [*ordered, *seals(contents)])
    about = about.model_copy(update={"key_fingerprint": fingerprint([text])})
    facts = json.dumps(about.model_dump(), indent=2, ensure_ascii=False) + "\n"
    return {key or study.folder / "key.csv": text, study.folder / "study.json": facts}


# Written together.


def _amend(
    study: Study, store: Store, rows: Mapping[str, Sequence[dict[str, Any]]], files: dict[Path, str]
) -> None:
    """Add rows to the database and write files anew, all or nothing, whenever it is killed.

    What is to be written lies aside first; from the moment that the database has the rows, it is
    written, now or by `recover`.
    """
    for path in files:
        if not os.access(path.resolve().parent, os.W_OK):
            raise DataError(f"{path} is to be written anew, and its folder cannot be written.")
    mark = rows["people"][0]["id"]
    contents = {str(path.resolve()): text for path, text in files.items()}
    staged = study.folder / STAGED
    write_secret(staged, json.dumps({"person": mark, "files": contents}))
    with store.writing() as connection:
        for table in tables.tables.sorted_tables:
            if rows.get(table.name):
                connection.execute(insert(table), list(rows[table.name]))
        decide(connection, "add", store.clock.now(), person=mark)
    _finish(staged, contents)


def _finish(staged: Path, contents: Mapping[str, str]) -> None:
    for path, text in contents.items():
        write = write_text if Path(path).name == "study.json" else write_secret
        write(Path(path), text)
    staged.unlink()


def recovered(folder: Path, database: str | None = None) -> None:
    """Finish, or take back, the adding of readers to a study if it was killed before its end."""
    study = Study.open(folder)
    if (folder / STAGED).is_file():
        with opened(study, database) as store:
            recover(study, store)


def recover(study: Study, store: Store) -> Study:
    """Finish, or take back, the adding of readers that was killed before its end."""
    staged = study.folder / STAGED
    if not staged.is_file():
        return study
    values = read_json(staged)
    with store.reading() as connection:
        wanted = select(tables.people.c.id).where(tables.people.c.id == values["person"])
        there = connection.execute(wanted).first()
    if there is None:
        staged.unlink()
    else:
        _finish(staged, values["files"])
    return Study.open(study.folder)
