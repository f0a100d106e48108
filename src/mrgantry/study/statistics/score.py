"""Score a study: join answers and key, count, test, and write it all down."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import UInt8
from sqlalchemy import select

from mrgantry.common.files import write_text
from mrgantry.common.tables import harmless, write_table
from mrgantry.study.database import tables
from mrgantry.study.database.store import Store
from mrgantry.study.statistics.analysis import DRAWS, analyse
from mrgantry.study.statistics.codebook import codebook
from mrgantry.study.statistics.imrmc import imrmc
from mrgantry.study.statistics.readings import changed_since, read_answers, read_key
from mrgantry.study.statistics.results import Analysis
from mrgantry.study.study import Study


@dataclass(frozen=True, eq=False)
class ScoredStudy:
    """A study, its answers with their truths, what they say, and the images they are of.

    Attributes:
        study: The study.
        answers: With the columns of `readings.COLUMNS`.
        analysis: Of the answers.
        pictures: Of the cases, as readers saw them.
        changed: Sentences on files that are not as they were when the study was made.
    """

    study: Study
    answers: pd.DataFrame
    analysis: Analysis
    pictures: dict[str, UInt8[np.ndarray, "h w"]]
    changed: tuple[str, ...] = ()


def score(
    folder: Path,
    out: Path,
    *,
    key: Path | None = None,
    database: str | Path | None = None,
    seed: int = 0,
    draws: int = DRAWS,
) -> ScoredStudy:
    """Score what has been answered so far, and write answers, statistics and the iMRMC export.

    Args:
        folder: The study.
        out: Folder for `answers.csv` and its `codebook.csv`, `analysis.json` and `imrmc.txt`.
        key: Where the key is kept, if not in the study's folder.
        database: URL of the study's PostgreSQL server, or the path of a backup.
        seed: Of the bootstraps.
        draws: Bootstrap samples.

    Raises:
        DataError: There are no answers, the key is another study's, or it is a teaching study.
    """
    study = Study.open(folder)
    answer_key = read_key(study, key)
    store = study.store(database, to_read=True)
    try:
        answers = read_answers(study, store, answer_key)
        pictures = _pictures(store, set(answers["case"]))
    finally:
        store.engine.dispose()
    protocol = study.about.protocol
    analysis = analyse(answers, protocol.margin, seed, draws, protocol.alternatives)
    write_table(out / "answers.csv", answers.map(harmless))
    write_table(out / "codebook.csv", [row._asdict() for row in codebook(protocol)])
    write_text(out / "analysis.json", analysis.model_dump_json(indent=2) + "\n")
    if not protocol.pairs:  # the program knows readers who judge one image at a time
        write_text(out / "imrmc.txt", imrmc(answers))
    return ScoredStudy(study, answers, analysis, pictures, changed_since(study, key))


def has_answers(study: Study) -> bool:
    """Say whether anybody has answered, practice aside."""
    given = select(tables.answers.c.trial).join(
        tables.trials, tables.trials.c.id == tables.answers.c.trial
    )
    store = study.store(to_read=True)
    try:
        with store.reading() as connection:
            return (
                connection.execute(given.where(tables.trials.c.part > 0).limit(1)).first()
                is not None
            )
    finally:
        store.engine.dispose()


def _pictures(store: Store, wanted: set[str]) -> dict[str, UInt8[np.ndarray, "h w"]]:
    """Read the images of some cases."""
    with store.reading() as connection:
        return {
            row.id: np.frombuffer(row.grey, np.uint8).reshape(row.height, row.width)
            for row in connection.execute(select(tables.cases))
            if row.id in wanted
        }
