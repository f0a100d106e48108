"""Whether an image looks like its label, by a classifier of real images."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mrgantry.common.errors import DataError
from mrgantry.data.slices import NUMBERS, SliceSet

AGREES = 0.5  # least probability of an image's own label
FOLDS = 5  # and so the fewest subjects of a label
UNLABELLED = ("", "unknown")
UNCLEAR = "unclear"  # too small a tumour to count: neither kind, so it is not judged
DRAWS = 1000  # bootstrap samples of the subjects
ABOVE_CHANCE = 0.1


@dataclass(frozen=True, eq=False)
class Agreement:
    """A classifier of one column, and what it is worth on subjects it has not seen.

    Attributes:
        column: What it tells from images, such as "tumour".
        model: scikit-learn's, fitted on all labelled images.
        accuracy: Share of real images of held-out subjects whose own label has a
            probability of at least `AGREES`, mean over the labels.
        low: Lower end of its 95 % interval: percentiles over bootstrap samples of subjects.
        high: Upper end.
        images: How many were labelled.
        subjects: Whose they are.
    """

    column: str
    model: Any
    accuracy: float
    low: float
    high: float
    images: int
    subjects: int

    @property
    def chance(self) -> float:
        """Give the accuracy of guessing."""
        return 1 / len(self.model.classes_)

    @property
    def weak(self) -> bool:
        """Say whether the accuracy may be that of guessing, or little more."""
        return self.low < self.chance + ABOVE_CHANCE

    def probability(
        self, rows: Float[np.ndarray, "n d"], labels: Shaped[np.ndarray, " n"]
    ) -> Float[np.ndarray, " n"]:
        """Give the probability of each image's own label; not a number where it is unclear."""
        probability = np.full(len(rows), np.nan)
        clear = labels != UNCLEAR
        if clear.any():
            probability[clear] = _own(self.model, rows[clear], labels[clear])
        return probability

    def facts(self) -> dict[str, Any]:
        """Describe it for the record."""
        return {
            "column": self.column,
            "labels": self.model.classes_.tolist(),
            "accuracy": self.accuracy,
            "low": self.low,
            "high": self.high,
            "chance": self.chance,
            "weak": self.weak,
            "images": self.images,
            "subjects": self.subjects,
            "method": "share of real images whose label it agrees with, mean over labels, "
            f"{FOLDS}-fold cross-validation by subject on the training split; 95 % interval by "
            f"{DRAWS} bootstrap samples of subjects",
        }


def fit_agreement(
    rows: Float[np.ndarray, "n d"], data: SliceSet, column: str, seed: int
) -> Agreement:
    """Fit a logistic classifier that gives every label equal weight.

    Its accuracy comes from cross-validation in which no subject stands on both sides; the
    classifier itself is then fitted on all images.

    Args:
        rows: Features of the images.
        data: Real images with their rows; those without a clear label are left out.
        column: The label.
        seed: Of the folds and of the bootstrap.

    Raises:
        DataError: There is no such column, or there are too few labels, or subjects of one.
    """
    labelled = _labelled(data, column)
    x, table = rows[labelled], data.table[labelled]
    labels, people = (table[name].to_numpy(dtype=str) for name in (column, "subject"))
    agrees = _cross_validated(x, labels, people, seed)
    low, high = _interval(agrees, labels, people, seed)
    accuracy = float(np.mean([agrees[labels == label].mean() for label in np.unique(labels)]))
    model = _classifier().fit(x, labels)
    return Agreement(column, model, accuracy, low, high, len(x), len(np.unique(people)))


def _labelled(data: SliceSet, column: str) -> Bool[np.ndarray, " n"]:
    """Mark the images that have a clear label.

    Raises:
        DataError: There is no such column, or there are too few labels, or subjects of one.
    """
    if column not in data.table or column in NUMBERS:
        raise DataError(
            f"{data.folder} has no column {column!r} of labels; there are tumour, sequence "
            "and others."
        )
    labelled = ~data.table[column].isin([*UNLABELLED, UNCLEAR]).to_numpy()
    people = data.table[labelled].groupby(column)["subject"].nunique()
    if len(people) < 2:
        have = f"only {column}={people.index[0]}" if len(people) else f"no {column}"
        raise DataError(
            f"The training images of {data.folder} have {have}; a classifier needs two labels or "
            "more to tell apart. Leave --label out, or prepare subjects of both kinds."
        )
    if people.min() < FOLDS:
        raise DataError(
            f"Only {people.min()} training subject(s) of {data.folder} have images with "
            f"{column}={people.idxmin()}; a classifier that is to be checked on subjects it has "
            f"not seen needs {FOLDS}. Leave --label out, or prepare more subjects."
        )
    return labelled


def _classifier() -> Any:
    return make_pipeline(
        StandardScaler(), LogisticRegression(C=0.1, max_iter=5000, class_weight="balanced")
    )


def _own(
    model: Any, rows: Float[np.ndarray, "n d"], labels: Shaped[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    places = np.searchsorted(model.classes_, labels)
    return model.predict_proba(rows)[np.arange(len(rows)), places]


def _cross_validated(
    rows: Float[np.ndarray, "n d"],
    labels: Shaped[np.ndarray, " n"],
    people: Shaped[np.ndarray, " n"],
    seed: int,
) -> Bool[np.ndarray, " n"]:
    """Say of each image whether a classifier that never saw its subject agrees with its label."""
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    agrees = np.zeros(len(rows), dtype=bool)
    for fit, held in folds.split(rows, labels, people):
        # All subjects of a rare label can fall into one fold: nobody then tells of that label.
        judged = held[np.isin(labels[held], labels[fit])]
        if len(judged) and len(np.unique(labels[fit])) > 1:
            model = _classifier().fit(rows[fit], labels[fit])
            agrees[judged] = _own(model, rows[judged], labels[judged]) >= AGREES
    return agrees


def _interval(
    agrees: Bool[np.ndarray, " n"],
    labels: Shaped[np.ndarray, " n"],
    people: Shaped[np.ndarray, " n"],
    seed: int,
) -> tuple[float, float]:
    """Give the 95 % interval of the accuracy over bootstrap samples of the subjects."""
    (kinds, kind), (names, person) = (np.unique(x, return_inverse=True) for x in (labels, people))
    right, count = np.zeros((2, len(names), len(kinds)))
    np.add.at(right, (person, kind), agrees)
    np.add.at(count, (person, kind), 1)
    random = np.random.default_rng(seed)
    times = random.multinomial(len(names), np.full(len(names), 1 / len(names)), DRAWS)
    seen = times @ count
    complete = (seen > 0).all(1)  # a sample without some label tells nothing of it
    accuracies = ((times @ right)[complete] / seen[complete]).mean(1)
    low, high = np.percentile(accuracies, (2.5, 97.5))
    return float(low), float(high)
