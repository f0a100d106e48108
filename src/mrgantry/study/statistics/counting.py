"""Answers checked, counted by truth, and timed."""

from typing import Literal, get_args

import numpy as np
import pandas as pd
from jaxtyping import Float

from mrgantry.common.errors import DataError
from mrgantry.study.statistics.measured import Answer, Confusion, Times, Truth, TumourTable
from mrgantry.study.statistics.proportions import proportion

ANSWERS: tuple[Answer, ...] = get_args(Answer)
TRUTHS: tuple[Truth, ...] = get_args(Truth)
Images = Literal["all", "real", "synthetic"]
DECIDED = TRUTHS  # an answer that is right or wrong
ALLOWED = {
    "truth": TRUTHS,
    "answer": ANSWERS,
    "tumour": ("yes", "no", "unclear", ""),  # "unclear": too small to count as one
    "tumour_answer": ("yes", "no", "unknown", "none", ""),
}
EMPTY = {"answer": "none", "late": False}  # what a missing value means; elsewhere ""
TEXTS = ("reader", "group", "block", "case", *ALLOWED)
NUMBERS = ("years", "confidence", "response_s")


def uses(answers: pd.DataFrame, check: pd.Series) -> np.ndarray:
    """Say what each answer is used for: "counts", "again" or "check".

    Args:
        answers: With reader, block and case, in the order of reading.
        check: Whether a row is the answer to an attention check.

    Returns:
        "check" for attention checks, "again" for a second or later answer of a reader to the same
        image of a block, and "counts" for all others.
    """
    again = answers.duplicated(["reader", "block", "case"]).to_numpy()
    return np.where(check.to_numpy(dtype=bool), "check", np.where(again, "again", "counts"))


def counted(answers: pd.DataFrame) -> pd.DataFrame:
    """Give the answers that count in the rates, with a new index."""
    return answers[answers["use"] == "counts"].reset_index(drop=True)


def checked(answers: pd.DataFrame) -> pd.DataFrame:
    """Give the columns that are analysed, each of one type, with `use`, `right` and `decided`.

    Args:
        answers: One row an answered trial, in the order of reading; a column `use` may say which
            are answers to attention checks.

    Raises:
        DataError: A column is missing, a value is none of those allowed, or an image, a
            reader or a block contradicts itself.
    """
    wanted = [*TEXTS, *NUMBERS, "late"]
    missing = [name for name in wanted if name not in answers]
    if missing:
        raise DataError(
            f"The answers have no column {missing[0]!r}; needed are {', '.join(wanted)}."
        )
    rows = pd.DataFrame(index=pd.RangeIndex(len(answers)))
    for name in TEXTS:
        column = answers[name].astype(object)
        rows[name] = column.where(column.notna(), EMPTY.get(name, "")).astype(str).to_numpy()
    for name in NUMBERS:
        rows[name] = _numbers(answers[name], name)
    late = answers["late"].astype(object)
    rows["late"] = late.where(late.notna(), False).astype(bool).to_numpy()
    _check_values(rows)
    _check_names(rows)
    check = answers["use"] == "check" if "use" in answers else pd.Series(False, rows.index)
    rows["use"] = uses(rows, check)
    rows["decided"] = rows["answer"].isin(DECIDED)
    rows["right"] = rows["answer"] == rows["truth"]
    return rows


def _numbers(column: pd.Series, name: str) -> np.ndarray:
    try:
        values = pd.to_numeric(column).to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"The column {name!r} of the answers must hold numbers: {error}."
        ) from error
    return np.where(np.isfinite(values), values, np.nan)


def _check_values(rows: pd.DataFrame) -> None:
    for name, allowed in ALLOWED.items():
        wrong = rows.loc[~rows[name].isin(allowed), name]
        if len(wrong):
            said = ", ".join(repr(value) for value in allowed)
            raise DataError(
                f"The column {name!r} of the answers holds {wrong.iloc[0]!r} in row "
                f"{wrong.index[0] + 1}; it must be one of {said}."
            )
    wrong = rows.loc[rows["confidence"].notna() & ~rows["confidence"].between(1, 5), "confidence"]
    if len(wrong):
        raise DataError(
            f"The confidence in row {wrong.index[0] + 1} of the answers is {wrong.iloc[0]:g}; it "
            "must lie between 1 and 5, or be empty."
        )


def _check_names(rows: pd.DataFrame) -> None:
    if (rows["reader"] == "").any():
        raise DataError("An answer has no reader; each row needs the name of one.")
    if rows["block"].nunique() > 1 and (rows["block"] == "").any():
        raise DataError("Some answers have no block while others do; name a block in each row.")
    for whose, what in (("case", "truth"), ("reader", "group")):
        values = rows.groupby(whose)[what].nunique()
        if (values > 1).any():
            raise DataError(
                f"The {whose} {values.idxmax()!r} has more than one {what} in the answers; correct "
                "the rows that are wrong."
            )


def confusion(rows: pd.DataFrame) -> Confusion:
    """Count answers by truth.

    Args:
        rows: As `checked` gives them.
    """
    count = rows.groupby(["truth", "answer"]).size().to_dict()
    cells = [int(count.get((truth, answer), 0)) for answer in ANSWERS for truth in TRUTHS]
    names = "rr sr rs ss unknown_real unknown_synthetic none_real none_synthetic"
    return Confusion(**dict(zip(names.split(), cells, strict=True)))


def tumour_tables(rows: pd.DataFrame) -> tuple[TumourTable, ...]:
    """Count answers to "tumour or not" of all, of real and of synthetic images.

    Rows without a clear tumour state or without that question are left out; none are
    given where it was not asked at all.

    Args:
        rows: As `checked` gives them.
    """
    asked = rows[rows["tumour"].isin(("yes", "no")) & (rows["tumour_answer"] != "")]
    if asked.empty:
        return ()
    return (
        _tumour_table("all", asked),
        _tumour_table("real", asked[asked["truth"] == "real"]),
        _tumour_table("synthetic", asked[asked["truth"] == "synthetic"]),
    )


def _tumour_table(images: Images, rows: pd.DataFrame) -> TumourTable:
    def count(tumour: str, *answers: str) -> int:
        return int(((rows["tumour"] == tumour) & rows["tumour_answer"].isin(answers)).sum())

    tt, tn, nt, nn = (
        count(*pair) for pair in (("yes", "yes"), ("yes", "no"), ("no", "yes"), ("no", "no"))
    )
    return TumourTable(
        images=images,
        tt=tt,
        tn=tn,
        nt=nt,
        nn=nn,
        undecided_tumour=count("yes", "unknown", "none"),
        undecided_non=count("no", "unknown", "none"),
        accuracy=proportion(tt + nn, tt + tn + nt + nn),
        sensitivity=proportion(tt, tt + tn),
        specificity=proportion(nn, nt + nn),
    )


def times(rows: pd.DataFrame) -> tuple[Times, ...]:
    """Give the quartiles of the response times by truth and answer, where there are any.

    Args:
        rows: As `checked` gives them.
    """
    timed = rows[rows["response_s"].notna()]
    groups = dict(iter(timed.groupby(["truth", "answer"])["response_s"]))
    return tuple(
        _quartiles(truth, answer, groups[truth, answer].to_numpy())
        for truth in TRUTHS
        for answer in ANSWERS
        if (truth, answer) in groups
    )


def _quartiles(truth: Truth, answer: Answer, seconds: Float[np.ndarray, " n"]) -> Times:
    lower, median, upper = np.percentile(seconds, (25, 50, 75)).tolist()
    return Times(
        truth=truth, answer=answer, n=len(seconds), lower=lower, median=median, upper=upper
    )
