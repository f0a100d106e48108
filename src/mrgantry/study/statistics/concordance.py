"""How far readers agree on the same images: Fleiss' kappa and Krippendorff's alpha."""

import krippendorff
import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

from mrgantry.study.statistics.bootstrap import generator, percentiles
from mrgantry.study.statistics.measured import Estimate
from mrgantry.study.statistics.results import Concordance

HANDLED = (
    '"unknown" and no answer count as missing: kappa is of the images that all readers called '
    "real or synthetic, alpha and the observed agreement of all images that two or more did"
)
ONE_KIND = "Undefined: only one answer was given, so agreement by chance is complete."
NO_IMAGES = "Undefined: there are no such images."
Counts = Int[np.ndarray, "images 2"]


def concordance(rows: pd.DataFrame, block: str, seed: int, draws: int) -> Concordance | None:
    """Give the agreement of readers on the images of one block; None if they share none.

    An image that a reader saw twice counts by its first answer.

    Args:
        rows: As `counting.checked` gives them, of this block only.
        block: Its name; "" for all blocks.
        seed: Of the bootstrap.
        draws: Bootstrap samples of the images.
    """
    decided = rows[rows["decided"]].drop_duplicates(["case", "reader"])
    readers = tuple(dict.fromkeys(rows["reader"]))
    table = decided.pivot(index="case", columns="reader", values="answer")
    called = np.stack([(table == kind).sum(axis=1).to_numpy() for kind in ("real", "synthetic")], 1)
    called = called[called.sum(1) >= 2]
    if not len(called):
        return None
    complete = called[called.sum(1) == len(readers)]
    random = generator(seed, "concordance", block)
    times = random.multinomial(len(called), np.full(len(called), 1 / len(called)), draws)
    complete_times = times[:, called.sum(1) == len(readers)]
    agree = float(observed(called, np.ones((1, len(called)), dtype=int))[0])
    return Concordance(
        block=block,
        readers=readers,
        images=len(called),
        complete=len(complete),
        observed=_estimate(agree, observed(called, times), len(called)),
        fleiss=_estimate(library_fleiss(complete), fleiss(complete, complete_times), len(complete)),
        alpha=_estimate(library_alpha(called), alpha(called, times), len(called)),
        missing=int(rows["case"].nunique() * len(readers) - len(decided)),
        note=HANDLED,
    )


def _estimate(value: float, draws: Float[np.ndarray, " b"], images: int) -> Estimate:
    estimate = percentiles(value, draws, images, "images")
    if estimate.value is not None:
        return estimate
    return estimate.model_copy(update={"note": ONE_KIND if images else NO_IMAGES})


def library_fleiss(called: Counts) -> float:
    """Give Fleiss' kappa by statsmodels; NaN if undefined.

    Args:
        called: How many readers called each image real and synthetic; equal sums.
    """
    if not (called.sum(0) > 0).all():
        return float("nan")
    ratings = np.stack([np.repeat((0, 1), counts) for counts in called])
    return float(fleiss_kappa(aggregate_raters(ratings, n_cat=2)[0], method="fleiss"))


def library_alpha(called: Counts) -> float:
    """Give Krippendorff's alpha of nominal data by krippendorff; NaN if undefined.

    Args:
        called: How many readers called each image real and synthetic; each sum at least 2.
    """
    if not (called.sum(0) > 0).all():
        return float("nan")
    return float(krippendorff.alpha(value_counts=called, level_of_measurement="nominal"))


def observed(called: Counts, times: Int[np.ndarray, "b images"]) -> Float[np.ndarray, " b"]:
    """Give the mean share of equal pairs of answers to an image, of each sample of images."""
    m = called.sum(1)
    return times @ ((called * (called - 1)).sum(1) / (m * (m - 1))) / times.sum(1)


def fleiss(called: Counts, times: Int[np.ndarray, "b images"]) -> Float[np.ndarray, " b"]:
    """Give Fleiss' kappa of each sample of images; NaN where undefined.

    Source: Fleiss 1971, Psychological Bulletin 76:378. Written out because the library
    takes one table at a time.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        m = called.sum(1)
        seen = times.sum(1)
        agree = times @ ((called * (called - 1)).sum(1) / (m * (m - 1))) / seen
        shares = times @ called / (times @ m)[:, None]
        chance = (shares**2).sum(1)
        return (agree - chance) / (1 - chance)


def alpha(called: Counts, times: Int[np.ndarray, "b images"]) -> Float[np.ndarray, " b"]:
    """Give Krippendorff's alpha of each sample of images; NaN where undefined.

    Source: Krippendorff 2011, Computing Krippendorff's alpha-reliability, nominal data.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = 2 * called.prod(1) / (called.sum(1) - 1)
        totals = times @ called
        n = totals.sum(1)
        return 1 - (n - 1) * (times @ apart) / (2 * totals.prod(1))
