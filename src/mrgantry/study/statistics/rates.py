"""Hit and false-alarm rates that stay finite as normal quantiles, and how these vary by chance."""

from scipy.stats import norm

from mrgantry.study.statistics.measured import Confusion


def rates(confusion: Confusion) -> tuple[float, float]:
    """Give the hit rate and the false-alarm rate, half an answer added to each cell.

    Source: Hautus 1995, the log-linear correction.
    """
    hit = (confusion.rr + 0.5) / (confusion.real + 1)
    return hit, (confusion.sr + 0.5) / (confusion.synthetic + 1)


def variance(rate: float, n: int) -> float:
    """Give the variance of the normal quantile of a rate of n answers.

    Source: Gourevitch and Galanter 1967, Psychometrika 32:25.
    """
    return rate * (1 - rate) / (n * float(norm.pdf(norm.ppf(rate))) ** 2)
