"""One number with all that is needed to believe it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np

from mrgantry.common.errors import DataError
from mrgantry.common.files import read_json, write_text
from mrgantry.common.tables import write_table

# What is better: a lower value, a higher one, a higher one up to real images' and no further, a
# lower one down to 0.5, or one nearer to real images'.
Better = Literal["lower", "higher", "enough", "half", "real"]
Verdict = Literal["worse", "alike", "better"]


@dataclass(frozen=True)
class Score:
    """A measured value with its interval, and what real images score by the same rule.

    Attributes:
        name: The measure, such as "frechet_distance".
        features: What it looked at: "pixels", or an extractor's name.
        synthetic: Name of the synthetic set.
        better: Which values are better.
        value: The score of the synthetic images.
        low: Lower end of the 95 % interval.
        high: Upper end.
        floor: The score of real images in place of the synthetic ones.
        floor_low: Lower end of its interval.
        floor_high: Upper end.
        n_real: Real images at each evaluation.
        n_synthetic: Synthetic images at each evaluation.
        method: How value and interval were obtained, in a sentence.
        seed: Seed of all draws.
        real_fingerprint: Of the real set.
        synthetic_fingerprint: Of the synthetic set.
        values: What each draw gave, or each replicate of the people; number i had the same real
            ones for all sets.
        people: How many real people were compared with.
        p: Probability that images as good as real would score as badly or worse by chance; None
            where nothing tells how much chance does.
        detectable: The value that this score alone would have told from real images' with a
            power of 80 %.
        freedom: Degrees of freedom of the test behind the two.
    """

    name: str
    features: str
    synthetic: str
    better: Better
    value: float
    low: float
    high: float
    floor: float
    floor_low: float
    floor_high: float
    n_real: int
    n_synthetic: int
    method: str
    seed: int
    real_fingerprint: str
    synthetic_fingerprint: str
    values: tuple[float, ...] = ()
    people: int = 0
    p: float | None = None
    detectable: float | None = None
    freedom: float | None = None

    @property
    def verdict(self) -> Verdict:
        """Say whether the images score otherwise than real ones: outside the floor's interval.

        The interval holds 95 % of what half as many real images score against others, so
        real images leave it more rarely than one time in twenty.
        """
        if self.floor_low <= self.value <= self.floor_high:
            return "alike"
        above = self.value > self.floor_high
        if self.better == "half":  # a classifier that does worse than guessing has told nothing
            return "worse" if above else "alike"
        return "better" if above == (self.better != "lower") and self.one_sided else "worse"

    @property
    def chance(self) -> float:
        """Give what the value is compared with: what real images score, or guessing."""
        return max(0.5, self.floor) if self.better == "half" else self.floor

    @property
    def one_sided(self) -> bool:
        """Say whether more, or less, is always better."""
        return self.better != "real"

    def distance(self, value: float) -> float:
        """Say how far a value is from the best there is; only for comparing."""
        match self.better:
            case "lower":
                return value
            case "higher":
                return -value
            case "half":
                return max(0.0, value - 0.5)
            case "enough":
                return max(0.0, self.floor - value)
            case "real":
                return abs(value - self.floor)


def interval(values: Sequence[float] | np.ndarray) -> tuple[float, float, float]:
    """Give the mean and the central 95 % of values from half-samples by subject.

    Halves drawn without replacement vary about as much as the whole sample would
    (half-sampling, McCarthy 1969), and no image stands in one twice, as it does in a
    bootstrap, which would break nearest neighbours and raise Frechet distances.
    """
    low, high = np.percentile(values, (2.5, 97.5))
    return float(np.mean(values)), float(low), float(high)


def write_scores(folder: Path, scores: Sequence[Score]) -> None:
    """Write `scores.json` for programs and `scores.csv` for spreadsheets."""
    rows = [asdict(score) for score in scores]
    columns = [field.name for field in fields(Score) if field.name != "values"]
    write_table(folder / "scores.csv", rows, columns)
    write_text(folder / "scores.json", json.dumps(rows, indent=2) + "\n")


def read_scores(folder: Path) -> list[Score]:
    """Read the scores of a folder.

    Raises:
        DataError: There are none.
    """
    try:
        rows = read_json(folder / "scores.json")
        return [Score(**row | {"values": tuple(row["values"])}) for row in rows]
    except (TypeError, KeyError) as error:
        raise DataError(
            f"{folder / 'scores.json'} does not hold scores as this version writes them; run "
            "evaluate again."
        ) from error
