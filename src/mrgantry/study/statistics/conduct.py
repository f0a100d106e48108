"""How readers answered, apart from what is right: with care, alike again, at a human pace.

All of it is reported and nothing is left out for it: who is left out after the answers are known
can be chosen to suit. Attention checks and second answers to an image count in no other number.
"""

from collections.abc import Iterator, Mapping
from itertools import groupby

import numpy as np
import pandas as pd
from statsmodels.stats.inter_rater import cohens_kappa

from mrgantry.study.statistics.measured import Proportion
from mrgantry.study.statistics.proportions import proportion
from mrgantry.study.statistics.results import Conduct, SelfAgreement

FAST = 0.3  # seconds: nobody sees an image, decides and presses a key sooner (Thorpe et al. 1996)
OFTEN_FAST = 0.05  # share of such answers that is remarked
RARE = 0.05  # share of the rarer answer, up to which one answer was given nearly always
ENOUGH = 20  # answers, from which on that is remarked
ATTENTIVE = 0.8  # share of attention checks answered rightly, below which it is remarked
UNLIKELY = 0.001  # probability of a row of equal answers, below which it is remarked


def conducts(rows: pd.DataFrame, names: Mapping[str, str] | None = None) -> Iterator[Conduct]:
    """Describe how each reader answered.

    Args:
        rows: As `counting.checked` gives them, in the order of reading.
        names: What answers are called, if not by their own names.
    """
    for reader, mine in rows.groupby("reader", sort=False):
        counts = mine[mine["use"] == "counts"]
        decided = counts.loc[counts["decided"], "answer"]
        most = str(decided.mode().iloc[0]) if len(decided) else ""
        timed = mine["response_s"].dropna()
        checks = mine[mine["use"] == "check"]
        conduct = Conduct(
            reader=str(reader),
            most_given=(names or {}).get(most, most),
            most=proportion(int((decided == most).sum()), len(decided)),
            longest_run=max((len(list(run)) for _, run in groupby(decided)), default=0),
            fast=proportion(int((timed < FAST).sum()), len(timed)),
            checks=proportion(int(checks["right"].sum()), len(checks)),
            with_oneself=self_agreement(mine[mine["use"] != "check"]),
        )
        yield conduct.model_copy(update={"remarks": tuple(_remarks(conduct))})


def self_agreement(rows: pd.DataFrame) -> SelfAgreement | None:
    """Compare one reader's first and second answers to the same images; None without any.

    Args:
        rows: Of one reader, in the order of reading, without attention checks.
    """
    keys = ["block", "case"]
    wanted = [*keys, "answer", "decided"]
    first = rows.loc[rows["use"] == "counts", wanted]
    second = rows.loc[rows["use"] == "again", wanted].drop_duplicates(keys)
    if second.empty:
        return None
    pairs = first.merge(second, on=keys, suffixes=("", "_again"))
    both = pairs[pairs["decided"] & pairs["decided_again"]]
    kinds = ("real", "synthetic")
    table = np.array(
        [
            [int(((both["answer"] == a) & (both["answer_again"] == b)).sum()) for b in kinds]
            for a in kinds
        ]
    )
    return SelfAgreement(
        images=len(pairs),
        same=proportion(int(np.trace(table)), len(both)),
        kappa=_kappa(table),
    )


def _kappa(table: np.ndarray) -> float | None:
    """Give Cohen's kappa; None where one answer alone was given, and chance agrees completely."""
    chance = float((table.sum(0) * table.sum(1)).sum())
    if table.sum() == 0 or chance == table.sum() ** 2:
        return None
    return float(cohens_kappa(table, return_results=False))


def chance_of_run(length: int, answers: int, share: float) -> float:
    """Bound the probability of so long a row of one answer, if answers come in a random order.

    It is a bound from above: the expected number of places where such a row begins.

    Args:
        length: Of the row, at least 1.
        answers: In all.
        share: Of that answer.
    """
    starts = 1 + (answers - length) * (1 - share)
    return min(1.0, starts * share**length)


def _remarks(conduct: Conduct) -> Iterator[str]:
    """Say what in a reader's answers makes one doubt that images were looked at."""
    most = conduct.most
    if most.value is not None and most.n >= ENOUGH and most.value >= 1 - RARE:
        yield f"{most.k} of {most.n} answers are “{conduct.most_given}”"
    elif most.value is not None:
        # Of either answer, by the share of the commoner one: the longest of both counts.
        chance = chance_of_run(conduct.longest_run, most.n, most.value)
        if chance < UNLIKELY:
            yield f"{conduct.longest_run} equal answers in a row"
    if _share(conduct.fast) > OFTEN_FAST:
        yield f"{conduct.fast.k} of {conduct.fast.n} answers came within {FAST:g} s"
    if conduct.checks.n and _share(conduct.checks) < ATTENTIVE:
        yield f"{conduct.checks.k} of {conduct.checks.n} attention checks are right"


def _share(part: Proportion) -> float:
    return part.value or 0.0
