"""Shares of answers with intervals, tests against guessing, and equivalence to it."""

from collections.abc import Sequence
from functools import lru_cache
from math import sqrt

import numpy as np
from scipy.stats import binomtest, fisher_exact, norm
from statsmodels.stats.proportion import (
    binom_tost,
    binom_tost_reject_interval,
    power_binom_tost,
    proportion_confint,
)

from mrgantry.common import statistics
from mrgantry.common.errors import RecipeError
from mrgantry.study.statistics.measured import (
    ChanceTest,
    Confusion,
    Equivalence,
    Estimate,
    Interval,
    Proportion,
    Verdict,
)

Z = float(norm.ppf(0.975))
LEVEL = 0.05
POWER = 0.80
UNEQUAL = 0.1  # difference of the classes, as a share of all answers, that is remarked
WILSON = "Wilson"
EXACT = "Clopper-Pearson, exact"
MOVER = "square-and-add (MOVER) of two Wilson intervals"
TOST = "two one-sided exact binomial tests"
ALARM = (
    "accuracy below 1/2 by the exact binomial test (one-sided p < 0.025, by Holm over all readers "
    "and blocks), and the interval of "
    "the balanced accuracy wholly below 1/2, which a share of real images other than 1/2 alone "
    "does not bring about"
)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Correct a family of p values by Holm's method; undefined ones do not count."""
    corrected = iter(statistics.holm([p for p in ps if p is not None]))
    return [None if p is None else next(corrected) for p in ps]


def proportion(k: int, n: int) -> Proportion:
    """Give k of n with both intervals; with n = 0 all of it is undefined."""
    return Proportion(
        k=k,
        n=n,
        value=k / n if n else None,
        wilson=_interval(k, n, "wilson", WILSON),
        exact=_interval(k, n, "beta", EXACT),
    )


def _interval(k: int, n: int, method: str, name: str) -> Interval:
    if n == 0:
        return Interval(low=None, high=None, n=0, method=name)
    low, high = proportion_confint(k, n, LEVEL, method)
    # Rounding may put an end on the wrong side of 0, of 1 or of the value.
    return Interval(
        low=max(0.0, min(float(low), k / n)),
        high=min(1.0, max(float(high), k / n)),
        n=n,
        method=name,
    )


def balanced_accuracy(confusion: Confusion) -> Estimate:
    """Give the mean of real recall and of the share of synthetic images called so.

    Source: Zou and Donner 2008 for the interval (variance recovered from those of two shares).
    """
    parts = proportion(confusion.rr, confusion.real), proportion(confusion.ss, confusion.synthetic)
    if confusion.real == 0 or confusion.synthetic == 0:
        nothing = Interval(low=None, high=None, n=confusion.n, method=MOVER)
        return Estimate(value=None, interval=nothing, note="One class has no answers.")
    values = np.array([part.k / part.n for part in parts])
    low = np.array([part.wilson.low for part in parts])
    high = np.array([part.wilson.high for part in parts])
    value = float(values.mean())
    below, above = (sqrt(((values - end) ** 2).sum()) / 2 for end in (low, high))
    interval = Interval(
        low=max(0.0, value - below), high=min(1.0, value + above), n=confusion.n, method=MOVER
    )
    return Estimate(value=value, interval=interval)


def chance_test(confusion: Confusion) -> ChanceTest:
    """Test whether a reader guesses, and whether classes are told apart but interchanged."""
    k, n = confusion.right, confusion.n
    if n == 0:
        return ChanceTest(
            k=0, n=0, p=None, p_below=None, p_independent=None, below_chance=False, rule=ALARM
        )
    below = float(binomtest(k, n, alternative="less").pvalue)
    top = balanced_accuracy(confusion).interval.high
    table = [[confusion.rr, confusion.rs], [confusion.sr, confusion.ss]]
    return ChanceTest(
        k=k,
        n=n,
        p=float(binomtest(k, n).pvalue),
        p_below=below,
        p_independent=float(fisher_exact(table).pvalue),
        below_chance=below < LEVEL / 2 and top is not None and top < 0.5,
        rule=ALARM,
        note=_unequal(confusion),
    )


def corrected(tests: Sequence[ChanceTest]) -> list[ChanceTest]:
    """Correct tests that a page shows side by side for how many they are, by Holm's method.

    Of ten readers who guess, four in ten studies would else show one who tells images apart.

    Args:
        tests: Of readings that are looked at together, as `chance_test` gives them.
    """
    apart, below = (
        holm([getattr(test, name) for test in tests]) for name in ("p_independent", "p_below")
    )
    return [
        test.model_copy(
            update={
                "p_independent_holm": p,
                "below_chance": test.below_chance and p_below is not None and p_below < LEVEL / 2,
                "family": len(tests),
            }
        )
        for test, p, p_below in zip(tests, apart, below, strict=True)
    ]


def _unequal(confusion: Confusion) -> str:
    if abs(confusion.real - confusion.synthetic) <= confusion.n * UNEQUAL:
        return ""
    most = max(confusion.real, confusion.synthetic)
    answer = "real" if confusion.real == most else "synthetic"
    return (
        f"Of {confusion.n} answers {confusion.real} are on real images: whoever always says "
        f"{answer!r} has an accuracy of {most / confusion.n:.2f}, so the balanced accuracy says "
        "more."
    )


def equivalence(k: int, n: int, margin: float = 0.10) -> Equivalence:
    """Say whether an accuracy is 1/2 to within a margin.

    Args:
        k: Right answers.
        n: Answers.
        margin: In (0, 0.5).

    Raises:
        RecipeError: The margin is out of range.
    """
    needed = least_n(margin)
    low, high = 0.5 - margin, 0.5 + margin
    p = float(binom_tost(k, n, low, high)[0]) if n else None
    return Equivalence(
        margin=margin,
        k=k,
        n=n,
        p=p,
        verdict=_verdict(p, proportion(k, n).exact, low, high),
        power=float(power(np.array([n]), margin)[0]) if n else 0.0,
        needed=needed,
        rule="pass: p < 0.05; fail: the exact 95 % interval lies wholly outside "
        f"[{low:g}, {high:g}]; else inconclusive",
        method=TOST,
    )


def _verdict(p: float | None, exact: Interval, low: float, high: float) -> Verdict:
    if p is None or exact.low is None or exact.high is None:
        return "inconclusive"
    if p < LEVEL:
        return "pass"
    return "fail" if exact.high < low or exact.low > high else "inconclusive"


def power(n: np.ndarray, margin: float) -> np.ndarray:
    """Give the chance that a reader who guesses passes the test of equivalence.

    Args:
        n: Numbers of answers, each at least 1.
        margin: In (0, 0.5).
    """
    low, high = 0.5 - margin, 0.5 + margin
    least, most = binom_tost_reject_interval(low, high, n, LEVEL)
    # Where few answers can never pass, the library's two ends cross and its power is below 0.
    return np.where(most < least, 0.0, power_binom_tost(low, high, n, 0.5, LEVEL))


@lru_cache
def least_n(margin: float) -> int:
    """Give the least number of answers from which on the power stays above 80 %.

    The power of an exact test goes up and down with n; what counts is its last fall.

    Raises:
        RecipeError: The margin is out of range.
    """
    if not 0.005 <= margin < 0.5:
        raise RecipeError(
            f"The margin of equivalence is {margin:g}; it must be at least 0.005 and less than 0.5."
        )
    # By the normal approximation about 2.14 / margin^2 are needed; saw teeth end well below twice.
    tried = np.arange(1, int(5 / margin**2) + 40)
    short = np.flatnonzero(power(tried, margin) <= POWER)
    return int(tried[short[-1]]) + 1 if len(short) else 1
