"""Answers as input of iMRMC, the FDA's program for multi-reader multi-case studies.

The file has a free description, the line `BEGIN DATA:`, and then lines of reader, image,
modality and score. Reader -1 gives the truth of each image, once: 0 or 1.

Source: https://github.com/DIDSR/iMRMC, user manual, "Study raw data".
"""

import pandas as pd

from mrgantry.study.statistics.counting import checked
from mrgantry.study.statistics.signal_detection import signed_confidence


def imrmc(answers: pd.DataFrame) -> str:
    """Write answers as an `.imrmc` file; modalities are blocks, and 1 is real.

    The score is signed confidence, from -5 (surely synthetic) to 5 (surely real), or, where a
    row called real or synthetic lacks it, of all rows 0 (synthetic) or 1 (real). Rows
    answered "unknown" or not at all are left out, which the program allows. Readers, images
    and blocks are numbered, as some programs that read the format demand; the description says
    which reader and block has which number.

    Args:
        answers: One row an answered trial.

    Raises:
        DataError: A column is missing or holds what it may not.
    """
    rows = checked(answers)
    rows = rows[rows["decided"] & (rows["use"] == "counts")]
    score = pd.Series(signed_confidence(rows), index=rows.index)
    confident = bool(len(rows)) and bool(score.notna().all())
    if not confident:
        score = (rows["answer"] == "real").astype(float)
    numbers, names = {}, {}
    for what in ("reader", "case", "block"):
        codes, names[what] = pd.factorize(rows[what])
        numbers[what] = codes + 1
    real = (rows["truth"] == "real").astype(int).to_numpy()
    truth = sorted(dict(zip(numbers["case"].tolist(), real.tolist(), strict=True)).items())
    lines = [
        "Reader study: 1 is real, 0 is synthetic; scores are "
        + ("signed confidence" if confident else "0 or 1"),
        *(f"Reader {i} is {_line(name)}" for i, name in enumerate(names["reader"], 1)),
        *(f"Modality {i} is {_line(name)}" for i, name in enumerate(names["block"], 1)),
        f"NR: {len(names['reader'])}",
        f"N0: {sum(kind == 0 for _, kind in truth)}",
        f"N1: {sum(kind == 1 for _, kind in truth)}",
        f"NM: {len(names['block'])}",
        "BEGIN DATA:",
        *(f"-1,{case},0,{kind}" for case, kind in truth),
        *(
            f"{reader},{case},{block},{value:g}"
            for reader, case, block, value in zip(*numbers.values(), score, strict=True)
        ),
    ]
    return "\n".join(lines) + "\n"


def _line(name: str) -> str:
    """Keep a name from ending the line, or from being taken for a line of the format."""
    return " ".join(name.replace(":", " ").split()) or "unnamed"
