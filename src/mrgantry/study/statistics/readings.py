"""Join answers and key: the one place where they meet, after the reading."""

import io
from contextlib import suppress
from pathlib import Path

import pandas as pd
from sqlalchemy import func, select

from mrgantry.common.errors import DataError
from mrgantry.common.files import fingerprint
from mrgantry.common.tables import read_foreign_table
from mrgantry.study.cases.cases import CHECK
from mrgantry.study.database.store import GRACE, Store
from mrgantry.study.database.tables import answers, displays, people, sendings, trials
from mrgantry.study.seal import SEAL, broken
from mrgantry.study.statistics.counting import uses
from mrgantry.study.study import Study

COLUMNS = (
    "reader",
    "group",
    "years",
    "block",
    "position",
    "case",
    "use",
    "truth",
    "answer",
    "tumour",
    "tumour_answer",
    "confidence",
    "reason",
    "response_s",
    "server_s",
    "late",
    "waited_s",
    "sent",
    "answered",
    "sequence",
    "subject",
    "set",
    "slice",
)

# How often an image was sent, and when first.
SENDINGS = select(sendings.c.trial, func.min(sendings.c.at), func.count()).group_by(
    sendings.c.trial
)


def read_key(study: Study, path: Path | None = None) -> pd.DataFrame:
    """Read the key of a study, without its seals.

    Args:
        study: Whose key.
        path: Where it is kept; unless given, in the study's folder.

    Raises:
        DataError: It is not there, was changed, or is another study's.
    """
    table = _read_key(study, path)
    return table[table["set"] != SEAL].reset_index(drop=True)


def changed_since(study: Study, path: Path | None = None) -> tuple[str, ...]:
    """Say which of the files that the key seals were changed since the study was made.

    Args:
        study: Whose files.
        path: Where the key is kept; unless given, in the study's folder.

    Raises:
        DataError: The key is not there, was changed, or is another study's.
    """
    table = _read_key(study, path)
    sealed = table[table["set"] == SEAL]
    return broken(study.folder, dict(zip(sealed["case"], sealed["slice"], strict=True)))


def _read_key(study: Study, path: Path | None) -> pd.DataFrame:
    path = path or study.folder / "key.csv"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"The key {path} cannot be read ({error.strerror}). Say where it is kept with --key."
        ) from error
    table = _as_made(path, data, study.about.key_fingerprint)
    if table is None:
        raise DataError(
            f"{path} is not the key that {study.folder} was made with: it was changed, or it is "
            "another study's. A spreadsheet that saves a key can change ids that look like "
            "numbers: take a copy that none has saved."
        )
    return table


def _as_made(path: Path, data: bytes, mark: str) -> pd.DataFrame | None:
    """Read a key if it says what it said when the study was made, as its fingerprint tells."""
    with suppress(UnicodeDecodeError):
        text = data.decode("utf-8")
        if fingerprint([text]) == mark:
            return pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    with suppress(DataError):
        # Spreadsheets change the signs between columns and the ends of lines: that is no change.
        table = read_foreign_table(path)
        if fingerprint([table.to_csv(index=False, lineterminator="\n")]) == mark:
            return table
    return None


def read_answers(study: Study, store: Store, key: pd.DataFrame) -> pd.DataFrame:
    """Give one row for each answer to a case that counts, with its truth; practice is left out.

    Raises:
        DataError: The study is a teaching one, or the key lacks a case.
    """
    if study.about.kind == "teaching":
        raise DataError(
            f"{study.folder} is a teaching study: its readers were told the truth as they read, so "
            "their answers cannot be scored as a blinded study."
        )
    answered = _answered(store)
    lost = set(answered["case"]) - set(key["case"])
    if lost:
        raise DataError(f"The key does not know the case {min(lost)}, so it is not this study's.")
    table = answered.merge(key.drop(columns=["block"]), on="case", how="left")
    about = {reader.name: reader for reader in study.about.readers}
    renamed = sorted(set(table["reader"]) - set(about))
    if renamed:
        raise DataError(
            f"The database has answers of {', '.join(renamed)}, and study.json of {study.folder} "
            f"names no such reader; it names {', '.join(about)}. Give readers the names there that "
            "they had when the study was made."
        )
    names = [block.name for block in study.about.blocks]
    table["group"] = [about[name].group for name in table["reader"]]
    table["years"] = [about[name].years for name in table["reader"]]
    table["block"] = [names[number] for number in table["block"]]
    if study.about.protocol.late == "no answer":
        table.loc[table["late"], ["answer"]] = "none"
        table.loc[table["late"] & (table["tumour_answer"] != ""), ["tumour_answer"]] = "none"
    table["years"] = table["years"].astype(float)
    table["confidence"] = table["confidence"].astype(float)
    table["use"] = uses(table, table["set"] == CHECK)
    return table[list(COLUMNS)]


def _answered(store: Store) -> pd.DataFrame:
    """Read the answers in the order of readers and reading."""
    wanted = (
        select(
            people.c.name.label("reader"),
            trials.c.block,
            trials.c.number.label("position"),
            trials.c.case_id.label("case"),
            trials.c.id.label("trial"),
            answers.c.truth.label("answer"),
            answers.c.tumour.label("tumour_answer"),
            answers.c.confidence,
            answers.c.reason,
            (answers.c.at - answers.c.started).label("server_s"),
            answers.c.client_seconds,
            answers.c.late,
            answers.c.at.label("answered"),
            displays.c.at.label("displayed"),
        )
        .join(trials, trials.c.id == answers.c.trial)
        .join(people, people.c.id == answers.c.reader)
        .join(displays, displays.c.trial == answers.c.trial)
        .where(trials.c.part > 0)
        .order_by(people.c.name, trials.c.number)
    )
    with store.reading() as connection:
        table = pd.DataFrame(connection.execute(wanted).mappings().all())
        sent = pd.DataFrame(connection.execute(SENDINGS).all(), columns=["trial", "first", "times"])
    if table.empty:
        raise DataError("Nobody has answered yet; there is nothing to score.")
    sent = sent.set_index("trial").loc[table["trial"]]
    table["sent"] = sent["times"].to_numpy()
    # Long where the connection was lost, or where somebody looked before saying so.
    table["waited_s"] = table["displayed"] - sent["first"].to_numpy()
    table["late"] = table["late"].astype(bool)
    # The browser's clock knows nothing of the network and leaves pauses out; but it is not ours,
    # so it is believed only as far as the server's bears it out.
    own = table["client_seconds"].astype(float)
    table["response_s"] = own.where(own <= table["server_s"] + GRACE, table["server_s"])
    return table
