"""Sensitivity and bias by signal detection theory, and the ROC of signed confidence.

The signal is real: a hit is a real image called real, a false alarm a synthetic one.
"""

from math import sqrt

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy.optimize import brentq
from scipy.stats import norm
from sklearn.metrics import auc, roc_curve

from mrgantry.study.statistics.measured import (
    Confusion,
    Estimate,
    Interval,
    Roc,
    RocPoint,
    SignalDetection,
)
from mrgantry.study.statistics.proportions import Z
from mrgantry.study.statistics.rates import rates, variance

DELTA = "normal, variance by Gourevitch and Galanter 1967; rates log-linear (Hautus 1995)"
AUC = "Newcombe 2006, method 5 (score-type, variance by Hanley and McNeil 1982)"


def detection(confusion: Confusion) -> SignalDetection:
    """Give d' and the criterion c of a confusion table.

    Half an answer is added to each cell, so that rates of 0 and 1 stay finite: the hit rate is
    (rr + 0.5) / (rr + rs + 1). d' = z(H) - z(F), and c = -(z(H) + z(F)) / 2 is above 0 if the
    reader tends to say "synthetic".

    Source: Hautus 1995 (the correction); Gourevitch and Galanter 1967 (the variance).
    """
    if confusion.real == 0 or confusion.synthetic == 0:
        nothing = Estimate(
            value=None,
            interval=Interval(low=None, high=None, n=confusion.n, method=DELTA),
            note="One class has no answers.",
        )
        return SignalDetection(d_prime=nothing, criterion=nothing)
    hit, alarm = rates(confusion)
    z_hit, z_alarm = float(norm.ppf(hit)), float(norm.ppf(alarm))
    error = sqrt(variance(hit, confusion.real) + variance(alarm, confusion.synthetic))
    return SignalDetection(
        d_prime=_estimate(z_hit - z_alarm, error, confusion.n),
        criterion=_estimate(-(z_hit + z_alarm) / 2, error / 2, confusion.n),
    )


def _estimate(value: float, error: float, n: int) -> Estimate:
    interval = Interval(low=value - Z * error, high=value + Z * error, n=n, method=DELTA)
    return Estimate(value=value, interval=interval)


def signed_confidence(rows: pd.DataFrame) -> Float[np.ndarray, " n"]:
    """Give +confidence of each answer "real", -confidence of "synthetic", NaN of all others."""
    sign = rows["answer"].map({"real": 1.0, "synthetic": -1.0}).to_numpy(dtype=float)
    return sign * rows["confidence"].to_numpy(dtype=float)


def roc(rows: pd.DataFrame) -> Roc | None:
    """Give the ROC of signed confidence; None if a class has no answer with a confidence.

    Args:
        rows: As `counting.checked` gives them.
    """
    scores = signed_confidence(rows)
    finite = np.isfinite(scores)
    real, scores = (rows["truth"] == "real").to_numpy()[finite], scores[finite]
    if not 0 < real.sum() < len(real):
        return None
    points = _points(real, scores)
    area = float(auc([point.false_alarm for point in points], [point.hit for point in points]))
    low, high = auc_interval(area, int(real.sum()), int((~real).sum()))
    return Roc(
        auc=Estimate(value=area, interval=Interval(low=low, high=high, n=len(real), method=AUC)),
        points=points,
        real=int(real.sum()),
        synthetic=int((~real).sum()),
    )


def _points(real: Bool[np.ndarray, " n"], scores: Float[np.ndarray, " n"]) -> tuple[RocPoint, ...]:
    curve = roc_curve(real, scores, drop_intermediate=False)
    return tuple(
        RocPoint(
            threshold=float(threshold) if np.isfinite(threshold) else None,
            false_alarm=float(alarm),
            hit=float(hit),
        )
        for alarm, hit, threshold in zip(*curve, strict=True)
    )


def auc_interval(area: float, real: int, synthetic: int) -> tuple[float, float]:
    """Give the 95 % interval of an area under the ROC curve.

    Its ends are the areas whose own standard error puts the value 1.96 errors away, so it
    does not shrink to a point at 0 or 1.

    Source: Newcombe 2006, Statistics in Medicine 25:559, method 5.
    """

    def excess(true: float) -> float:
        shape = (1 - true) / (2 - true) + true / (1 + true)
        spread = 1 + ((real + synthetic) / 2 - 1) * shape
        return Z**2 * true * (1 - true) * spread / (real * synthetic) - (area - true) ** 2

    edge = 1e-12
    low = brentq(excess, 0.0, min(area, 1 - edge)) if area > edge else 0.0
    high = brentq(excess, max(area, edge), 1.0) if area < 1 - edge else 1.0
    return min(float(low), area), max(float(high), area)
