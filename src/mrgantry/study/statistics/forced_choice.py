"""Two-alternative forced choice: two images side by side, and the reader says which is real.

A criterion does not bear on it, as it does where single images are judged: a reader who doubts
everything must still choose. What remains is a leaning to one side, which is told apart here.

Source: Green and Swets 1966, Signal Detection Theory and Psychophysics, chapter 2; Macmillan and
Creelman 2005, Detection Theory, chapter 7 (d' = sqrt(2) z(PC), and the sides).
"""

from math import sqrt

import pandas as pd
from scipy.stats import binomtest, norm

from mrgantry.common.errors import DataError
from mrgantry.study.protocol import SIDES
from mrgantry.study.statistics.contrasts import fisher
from mrgantry.study.statistics.measured import Estimate, ForcedChoice, Interval, Proportion
from mrgantry.study.statistics.proportions import proportion

METHOD = "d' = √2 z(share right) at the value and at both ends of Wilson's interval"
ENDLESS = "All or none of the answers are right, so d' has no finite value or no finite end."


def forced_choice(answers: pd.DataFrame) -> ForcedChoice:
    """Analyse one reader's answers to pairs.

    Args:
        answers: One row a pair, with the columns truth (the side of the real image: "left" or
            "right") and answer (these; "unknown" or "none" where there is none).

    Returns:
        Share right, d' and leaning to a side.

    Raises:
        DataError: A column is missing, or holds what it may not.

    Example:
        >>> pairs = pd.DataFrame({"truth": ["left", "right"] * 50, "answer": ["left"] * 100})
        >>> found = forced_choice(pairs)
        >>> found.right.value, found.d_prime.value, found.said_left.value
        (0.5, 0.0, 1.0)
    """
    for name, allowed in (("truth", SIDES), ("answer", (*SIDES, "unknown", "none"))):
        if name not in answers:
            raise DataError(f"The answers to pairs have no column {name!r}.")
        odd = answers.loc[~answers[name].isin(allowed), name]
        if len(odd):
            raise DataError(
                f"The column {name!r} of the answers to pairs holds {odd.iloc[0]!r}; it must be "
                f"one of {', '.join(allowed)}."
            )
    decided = answers[answers["answer"].isin(SIDES)]
    right = decided["answer"] == decided["truth"]
    found = {side: _share(right[decided["truth"] == side]) for side in SIDES}
    all_of = _share(right)
    return ForcedChoice(
        right=all_of,
        d_prime=d_prime_of(all_of),
        p=float(binomtest(all_of.k, all_of.n).pvalue) if all_of.n else None,
        right_left=found["left"],
        right_right=found["right"],
        said_left=_share(decided["answer"] == "left"),
        side_bias=_side_bias(found["left"], found["right"]),
        p_side=fisher(found["left"].k, found["left"].n, found["right"].k, found["right"].n),
        undecided=len(answers) - len(decided),
    )


def d_prime_of(right: Proportion) -> Estimate:
    """Give d' = sqrt(2) z(share right), with the interval that the share's gives.

    Args:
        right: Share of pairs answered rightly.
    """
    ends = right.wilson
    shares = (right.value, ends.low, ends.high)
    value, low, high = (
        sqrt(2) * float(norm.ppf(share)) if share is not None and 0 < share < 1 else None
        for share in shares
    )
    whole = low is not None and high is not None and value is not None
    return Estimate(
        value=value,
        interval=Interval(
            low=low if whole else None, high=high if whole else None, n=right.n, method=METHOD
        ),
        note="" if whole else ENDLESS if right.n else "There are no answers.",
    )


def _share(yes: pd.Series) -> Proportion:
    return proportion(int(yes.sum()), len(yes))


def _side_bias(left: Proportion, right: Proportion) -> float | None:
    """Give half the difference of the quantiles of both sides' shares right."""
    if not left.n or not right.n:
        return None
    z_left, z_right = (float(norm.ppf((side.k + 0.5) / (side.n + 1))) for side in (left, right))
    return (z_right - z_left) / 2
