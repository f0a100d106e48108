"""What a page says of a study as a whole: decided here, and put into words by the report."""

from mrgantry.study.statistics.measured import Confusion, Interval
from mrgantry.study.statistics.proportions import equivalence

LEVEL = 0.05


def told(p: float | None) -> bool:
    """Say whether a test shows that images are told apart."""
    return p is not None and p < LEVEL


def one_answer(counts: Confusion, margin: float) -> bool:
    """Say whether somebody gives one answer so often that nothing shows whether they guess.

    Were even all of the rarer answers right, the accuracy would be within the margin of 1/2.
    """
    return counts.rarer <= margin


def mean_is_guessing(interval: Interval, margin: float) -> bool:
    """Say whether the interval of a mean over readers shows guessing to within a margin.

    From few answers, an interval can be narrow by luck: at least as many are asked for as let
    a half of them right pass the exact test.

    Args:
        interval: Of the mean balanced accuracy.
        margin: In (0, 0.5).
    """
    if interval.low is None or interval.high is None:
        return False
    enough = equivalence(interval.n // 2, interval.n, margin).verdict == "pass"
    return enough and interval.low >= 0.5 - margin and interval.high <= 0.5 + margin
