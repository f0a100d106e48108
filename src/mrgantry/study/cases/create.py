"""Make a study: draw its cases, keep the key apart, and hand out personal links."""

import datetime
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mrgantry.common.errors import DataError
from mrgantry.common.files import fingerprint, read_json, write_json, write_text
from mrgantry.common.provenance import command_line, versions
from mrgantry.study.cases.cases import KEY, Cases, Parts, pixels, trials_of, truths_of
from mrgantry.study.cases.cues import CueAudit, audit
from mrgantry.study.cases.draw import Pool, draw_cases, order
from mrgantry.study.cases.pools import Sources, check_names, describe_block, open_pool
from mrgantry.study.cases.rehearsal import rehearse
from mrgantry.study.cases.shown import Stack
from mrgantry.study.database.store import fill, hashed
from mrgantry.study.database.tables import protect
from mrgantry.study.protocol import Protocol
from mrgantry.study.running import write_secret
from mrgantry.study.seal import seals
from mrgantry.study.study import LINKS, Reader, Study, StudyFacts, as_csv, checked_url

Kind = Literal["blinded", "teaching"]
AUDITED = 500  # images of either class that the audit of cues looks at,
AUDITED_HEADS = 100  # or heads
URL = "http://127.0.0.1:8000"


def create(
    out: Path,
    protocol: Protocol,
    blocks: Sequence[Sources],
    readers: Sequence[Reader],
    *,
    kind: Kind = "blinded",
    title: str = "Reading study",
    consent: Path | None = None,
    against: str = "test",
    only: Sequence[str] = (),
    seed: int = 0,
    database: str | None = None,
    url: str = URL,
) -> Study:
    """Draw the cases of a study and write its folder, whole or not at all.

    Before that, simulated readers answer it, and it is scored: what cannot be is not made.

    Args:
        out: The folder; it must not exist yet, since a study is never made over.
        protocol: What is asked, and how.
        blocks: What each block is drawn from.
        readers: Who reads.
        kind: "blinded" keeps the key apart; "teaching" has it within, to tell readers at once.
        title: What readers see at the top.
        consent: A text, in Markdown, that readers must agree to.
        against: Split of the real sets to draw from.
        only: Conditions such as "tumour=yes" for the real slices.
        seed: Of the draw of images. How many are synthetic and in which order they are read is
            drawn without one: it would tell the truth of every position.
        database: URL of a PostgreSQL server; unless given, an SQLite file in the folder.
        url: Address that readers will find the server at, for their links.

    Raises:
        DataError: A set will not do, there are too few images, what readers answer could not be
            scored, or the folder exists.
        RunError: The address will not do.
    """
    check_names([block.name for block in blocks], "block", "--block NAME=REAL,SYNTHETIC")
    check_names([reader.name for reader in readers], "reader", "--readers NAME")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} exists; a study is never made over. Choose another folder.")
    url = checked_url(url)
    agreement = None if consent is None else _read_consent(consent)
    pools = [open_pool(block, protocol, against, only) for block in blocks]
    drawn = _draw_all(pools, protocol, len(readers), seed)
    cases = Cases.of(pools, drawn, protocol)
    cues = {pool.name: audit_of(pool, protocol, seed).model_dump() for pool in pools}
    about = StudyFacts(
        id=secrets.token_hex(8),
        kind=kind,
        title=title,
        protocol=protocol,
        blocks=tuple(describe_block(pool, against) for pool in pools),
        readers=tuple(readers),
        seed=seed,
        simulated=any(pool.real.about.source == "simulated" for pool in pools),
        created=datetime.date.today().isoformat(),
        command=_command(out, protocol, blocks, readers, kind, against, only, seed),
        versions=versions(),
        key_fingerprint="",
        url=url,
        server=database is not None,
        stack=stack_of(pools) if protocol.volumes else None,
    )
    sealed: dict[str, Any] = {"study.json": about.model_dump(), "cues.json": cues}
    sealed |= {} if agreement is None else {"consent.md": agreement}
    key = as_csv(KEY, [*cases.key, *seals(sealed)])
    about = about.model_copy(update={"key_fingerprint": fingerprint([key])})
    aside = out.with_name(f".{os.getpid()}.{out.name}")
    try:
        files = {**sealed, "study.json": about.model_dump(), "key.csv": key}
        _write(aside, about, files, cases, drawn, database)
        if out.exists():
            out.rmdir()
        aside.rename(out)
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error.strerror}.") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return Study.open(out)


def stack_of(pools: Sequence[Pool]) -> Stack:
    """Give the layout of the heads of all blocks.

    Raises:
        DataError: They differ in size or in the number of sequences.
    """
    first, *others = pools
    layout = Stack.of_set(first.real.about)
    for pool in others:
        if Stack.of_set(pool.real.about) != layout:
            raise DataError(
                f"The heads of the blocks {first.name} and {pool.name} differ in size or in the "
                "number of their sequences; prepare them alike, or make two studies."
            )
    return layout


def audited(study: Study) -> list[str]:
    """Say what the audit of trivial cues found, block by block."""
    audits = read_json(study.folder / "cues.json")
    return [
        f"{name}: {sentence}" if len(audits) > 1 else sentence
        for name, values in audits.items()
        for sentence in CueAudit.of(values, f"cues.json of {study.folder}").sentences()
    ]


def _read_consent(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"The text of consent {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"The text of consent {path} is no plain text in UTF-8; save it as such (Markdown)."
        ) from error


def _draw_all(pools: Sequence[Pool], protocol: Protocol, readers: int, seed: int) -> list[Parts]:
    """Give the parts of every reader, in the order of reading."""
    sets = 1 if protocol.same_cases else readers
    # The seed is no secret: study.json has it, and where nobody chose one it is 0.
    secret = secrets.randbits(128)
    picks = [
        draw_cases(pools, protocol, (seed, number), (secret, number, 0)) for number in range(sets)
    ]
    return [
        order(picks[reader % sets], len(pools), protocol, (secret, reader, 1))
        for reader in range(readers)
    ]


def audit_of(pool: Pool, protocol: Protocol, seed: int) -> CueAudit:
    """Ask whether trivial cues tell the images that a block is drawn from."""
    random = np.random.default_rng((seed, 2))
    table, most = pool.rows, AUDITED_HEADS if protocol.volumes else AUDITED
    chosen = {
        truth: np.sort(random.permutation(table.index[table["truth"] == truth])[:most])
        for truth in ("real", "synthetic")
    }
    real, synthetic = (pixels(pool, rows.tolist(), protocol) for rows in chosen.values())
    if protocol.volumes:
        real, synthetic = map(Stack.of_set(pool.real.about).middle, (real, synthetic))
    return audit(real, synthetic, table.loc[chosen["real"], "subject"].tolist(), seed)


def _write(
    folder: Path,
    about: StudyFacts,
    files: Mapping[str, Any],
    cases: Cases,
    drawn: Sequence[Parts],
    database: str | None,
) -> None:
    """Write all files of a study; the database last, since a server's cannot be taken back."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        if name == "key.csv":
            write_secret(folder / name, content)
        elif isinstance(content, str):
            write_text(folder / name, content)
        else:
            write_json(folder / name, content)
    named = [("reader", reader.name) for reader in about.readers]
    people, links = people_and_links([*named, ("investigator", "investigator")], about.url)
    write_secret(folder / "links.csv", as_csv(LINKS, links))
    rows = {
        "people": people,
        "cases": cases.rows,
        "trials": trials_of(people, drawn, cases.ids),
        "truths": truths_of(cases.key) if about.kind == "teaching" else [],
    }
    if about.kind == "blinded":
        rehearse(folder, about, rows)
    fill(database or folder / "study.sqlite", about.id, rows)
    if database is None:
        protect(folder / "study.sqlite")


def people_and_links(
    named: Sequence[tuple[str, str]], url: str
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Give everybody an id and a token: its hash for the database, itself for the link.

    Args:
        named: Role and name of each.
        url: Address that the links lead to.
    """
    people, links = [], []
    for role, name in named:
        token = secrets.token_urlsafe(24)
        people.append(
            {"id": secrets.token_hex(8), "role": role, "name": name, "token_hash": hashed(token)}
        )
        links.append({"name": name, "role": role, "link": f"{url}/enter#{token}"})
    return people, links


def _command(
    out: Path,
    protocol: Protocol,
    blocks: Sequence[Sources],
    readers: Sequence[Reader],
    kind: Kind,
    against: str,
    only: Sequence[str],
    seed: int,
) -> str:
    """Spell the command, as far as it can stand in one line."""
    return command_line(
        "study create",
        out,
        protocol=protocol.name,
        block=[f"{b.name}={','.join(map(str, (b.real, *b.synthetic)))}" for b in blocks],
        set=protocol.changes,
        readers=[reader.name for reader in readers],
        teaching=kind == "teaching",
        against=against,
        only=list(only),
        seed=seed,
    )
