"""A rehearsal: simulated readers answer a new study, and it is scored, before anybody reads."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mrgantry.common.errors import DataError, MrgantryError
from mrgantry.study.database.store import fill
from mrgantry.study.protocol import Protocol
from mrgantry.study.statistics.score import score
from mrgantry.study.study import StudyFacts

DRAWS = 10  # bootstrap samples: the rehearsal asks whether there are numbers, not which

Rows = Sequence[dict[str, Any]]


def rehearse(folder: Path, about: StudyFacts, rows: Mapping[str, Rows]) -> None:
    """Let simulated readers answer every image of a study, and score what they said.

    It is done on a copy of the database without the pixels, which is thrown away.

    Args:
        folder: The study, whole but for its database.
        about: What stands in its study.json.
        rows: Of each table of the database, by the table's name.

    Raises:
        DataError: The study could not be scored when it is finished.
    """
    pixel = [{"id": case["id"], "height": 1, "width": 1, "grey": b"\0"} for case in rows["cases"]]
    answered = _answered(about.protocol, rows["trials"], about.seed)
    with tempfile.TemporaryDirectory() as place:
        database = Path(place) / "rehearsal.sqlite"
        fill(database, about.id, {**rows, "cases": pixel, **answered})
        try:
            score(folder, Path(place) / "scored", database=database, draws=DRAWS)
        except MrgantryError as error:
            raise DataError(
                "The study was not made. In its rehearsal, answers of simulated readers could not "
                f"be scored: {error}"
            ) from error


def _answered(protocol: Protocol, trials: Rows, seed: int) -> dict[str, Rows]:
    """Give the rows that readers leave who answer by chance whatever the protocol allows."""
    random = np.random.default_rng((seed, 3))
    allowed = list(protocol.alternatives)
    allowed += ["unknown"] if protocol.unknown else []
    allowed += ["none"] if protocol.late == "no answer" else []
    answers = []
    for trial in trials:
        truth = str(random.choice(allowed))
        sure = protocol.confidence and truth in protocol.alternatives
        asked = "tumour" in protocol.questions
        tumour = ("none" if truth == "none" else str(random.choice(["yes", "no"]))) if asked else ""
        answers.append(
            {
                "trial": trial["id"],
                "reader": trial["reader"],
                "truth": truth,
                "tumour": tumour,
                "confidence": int(random.integers(1, 6)) if sure else None,
                "reason": "=simulated" if protocol.reason else "",
                "late": truth == "none",
                "started": 0.0,
                "at": 1.0,
                "client_seconds": 1.0,
            }
        )
    shown = [{"trial": trial["id"], "at": 0.0} for trial in trials]
    return {"sendings": shown, "displays": shown, "answers": answers}
