"""Whether training images are reconstructed better than held-out ones (Webster et al. 2019)."""

from dataclasses import dataclass
from math import comb

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import mannwhitneyu

VELOCITY = "velocity error"
LEVEL = 0.05  # p-value below which a difference is called one
RESAMPLES = 2000  # of subjects, for the interval


@dataclass(frozen=True)
class Overfitting:
    """Errors of held-out slices against those of training slices.

    Subjects are compared, not slices: slices of one brain resemble each other, and
    counting them one by one makes p-values too small. A subject's error is the mean of that of
    its slices.

    Attributes:
        error: Which error: "RMSE" of a reconstruction, or "velocity error" of a flow.
        train: Median error of the training subjects.
        held_out: Median error of the other subjects.
        ratio: The latter over the former; above 1, held-out slices are worse.
        low: Lower end of the ratio's 95 % interval (percentiles of bootstrapped subjects).
        high: Upper end.
        p: One-sided p-value of the Mann-Whitney test that held-out errors are larger.
        subjects: How many subjects each median is of, training first.
    """

    error: str
    train: float
    held_out: float
    ratio: float
    low: float
    high: float
    p: float
    subjects: tuple[int, int]

    @property
    def verdict(self) -> str:
        """Say in a sentence what follows, and what does not."""
        few, many = sorted(self.subjects)
        evidence = (
            f"median {self.error} {self.held_out:.3f} of {_people(self.subjects[1])} against "
            f"{self.train:.3f} of {_people(self.subjects[0])}, ratio {self.ratio:.2f} (95 % "
            f"interval {self.low:.2f} to {self.high:.2f}), one-sided Mann-Whitney "
            f"p = {self.p:.2g}"
        )
        if 1 / comb(few + many, few) > LEVEL:
            return f"Too few subjects to tell overfitting, whatever the errors: {evidence}."
        better = "denoised" if self.error == VELOCITY else "reconstructed"
        if self.p < LEVEL:
            return (
                f"Held-out slices are {better} worse than training slices, a sign of "
                f"overfitting: {evidence}."
            )
        return (
            f"No sign of overfitting, which {_people(few + many)} would show only if it were "
            f"strong: held-out against training slices, {evidence}."
        )


def overfitting_of(table: pd.DataFrame, column: str = "rmse", seed: int = 0) -> Overfitting:
    """Compare the slices of the split "train" with all others.

    Args:
        table: Rows with `subject`, `split` and errors, of both kinds.
        column: Of the errors: "rmse", or "velocity_error" of a flow.
        seed: Of the bootstrap.
    """
    seen = table["split"] == "train"
    train, held_out = (
        rows.groupby("subject")[column].mean().to_numpy() for rows in (table[seen], table[~seen])
    )
    low, high = np.percentile(_ratios(train, held_out, seed), (2.5, 97.5))
    return Overfitting(
        error="RMSE" if column == "rmse" else VELOCITY,
        train=float(np.median(train)),
        held_out=float(np.median(held_out)),
        ratio=float(np.median(held_out) / np.median(train)),
        low=float(low),
        high=float(high),
        p=float(mannwhitneyu(held_out, train, alternative="greater").pvalue),
        subjects=(len(train), len(held_out)),
    )


def _ratios(
    train: Float[np.ndarray, " n"], held_out: Float[np.ndarray, " m"], seed: int
) -> Float[np.ndarray, " k"]:
    """Draw both groups of subjects with replacement, and give the medians' ratios."""
    random = np.random.default_rng(seed)
    medians = [
        np.median(random.choice(errors, (RESAMPLES, len(errors))), axis=1)
        for errors in (held_out, train)
    ]
    return medians[0] / medians[1]


def _people(count: int) -> str:
    return f"{count} subject{'s' * (count != 1)}"
