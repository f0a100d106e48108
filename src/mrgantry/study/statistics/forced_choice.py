"""Two-alternative forced choice: two images side by side, and the reader says which is real.

A criterion does not bear on it, as it does where single images are judged: a reader who doubts
everything must still choose. What remains is a leaning to one side, which is told apart here.

Source: Green and Swets 1966, Signal Detection Theory and Psychophysics, chapter 2; Macmillan and
Creelman 2005, Detection Theory, chapter 7 (d' = sqrt(2) z(PC), and the sides).
"""

from math import sqrt
from typing import Literal

import pandas as pd
from scipy.stats import binomtest, norm

from mrgantry.common.errors import DataError
from mrgantry.common.frozen import Frozen
from mrgantry.study.statistics.contrasts import fisher
from mrgantry.study.statistics.measured import Estimate, Interval, Proportion
from mrgantry.study.statistics.proportions import proportion

Side = Literal["left", "right"]
SIDES: tuple[Side, ...] = ("left", "right")
METHOD = "d' = √2 z(share right) at the value and at both ends of Wilson's interval"
ENDLESS = "All or none of the answers are right, so d' has no finite value or no finite end."


class ForcedChoice(Frozen):
    """One reader's answers to pairs of a real and a synthetic image.

    Attributes:
        right: Share of pairs of which the real image was found.
        d_prime: Sensitivity; 0 if real and synthetic images are not told apart. No value where all
            or no answers are right, and no interval where one of its ends is infinite.
        p: Exact binomial test of the share right against 1/2, two-sided; None without answers.
        right_left: Share right of the pairs whose real image was on the left.
        right_right: The same on the right.
        said_left: Share of answers "left".
        side_bias: Criterion of the sides, (z(right_right) - z(right_left)) / 2 with half an answer
            added to each cell: above 0 if the reader tends to say "right". None if the real image
            was always on one side.
        p_side: Exact test that the real images on the left and on the right were found equally
            often (Fisher); None if there are none on a side.
        undecided: Pairs without an answer.
    """

    right: Proportion
    d_prime: Estimate
    p: float | None
    right_left: Proportion
    right_right: Proportion
    said_left: Proportion
    side_bias: float | None
    p_side: float | None
    undecided: int


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
