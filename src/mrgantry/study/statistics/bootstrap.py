"""Bootstrap samples: their seeds, and the intervals of their percentiles."""

from zlib import crc32

import numpy as np
from jaxtyping import Float

from mrgantry.study.statistics.measured import Estimate, Interval

ALIKE = "All bootstrap samples of a reader group give the same value, so there is no interval."


def generator(seed: int, *what: str) -> np.random.Generator:
    """Give the random numbers of one thing that is drawn, whatever else is drawn."""
    return np.random.default_rng((seed, crc32("\n".join(what).encode())))


def percentiles(value: float, draws: Float[np.ndarray, " b"], n: int, what: str) -> Estimate:
    """Give a value with the central 95 % of its bootstrap samples.

    Samples in which it is undefined are left out, and the method says so. Where all samples
    give one value there is no interval: it would have no width. Otherwise it is
    widened to hold the value, which skewed samples can leave outside.

    Args:
        value: NaN if undefined.
        draws: The value of each sample.
        n: What it rests on.
        what: That was drawn, such as "images".
    """
    finite = draws[np.isfinite(draws)]
    method = f"percentiles of {len(finite)} bootstrap samples of {what}"
    alike = bool(len(finite)) and np.ptp(finite) == 0  # few answers, all the same, prove nothing
    if not np.isfinite(value) or not len(finite) or alike:
        return Estimate(
            value=float(value) if np.isfinite(value) else None,
            interval=Interval(low=None, high=None, n=n, method=method),
            note=ALIKE if alike else "",
        )
    low, high = (float(end) for end in np.percentile(finite, (2.5, 97.5)))
    return Estimate(
        value=float(value),
        interval=Interval(low=min(low, value), high=max(high, value), n=n, method=method),
    )
