"""Which differences between synthetic sets are larger than chance."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import combinations
from pathlib import Path

from mrgantry.common.score import Score, interval
from mrgantry.common.tables import write_table


@dataclass(frozen=True)
class ScoreDifference:
    """One score of two sets, subtracted draw by draw.

    Both sets are measured with the same real images in each draw, so what these bring about
    cancels, and a difference can be clear where both intervals overlap.

    Attributes:
        score: Name of the score.
        features: What it looked at.
        one: Name of a set.
        other: Name of another.
        value: Mean of the draws' differences, one minus other.
        low: Lower end of its 95 % interval.
        high: Upper end.
        nearer: The set that is nearer to the best, if the interval leaves 0 out; else "".
    """

    score: str
    features: str
    one: str
    other: str
    value: float
    low: float
    high: float
    nearer: str


def differences(scores: Sequence[Score]) -> list[ScoreDifference]:
    """Compare every pair of sets in every score, by draws that had the same real images."""
    by_kind: dict[tuple[str, str], list[Score]] = {}
    for score in scores:
        by_kind.setdefault((score.name, score.features), []).append(score)
    return [difference for kind in by_kind.values() for difference in _within(kind)]


def _within(scores: Sequence[Score]) -> Iterator[ScoreDifference]:
    for a, b in combinations(scores, 2):
        value, low, high = interval([x - y for x, y in zip(a.values, b.values, strict=True)])
        nearer = ""
        if low > 0 or high < 0:
            here, there = a.distance(a.value), b.distance(b.value)
            if here != there:  # two sets that are both good enough are equally good
                nearer = a.synthetic if here < there else b.synthetic
        yield ScoreDifference(
            a.name, a.features, a.synthetic, b.synthetic, value, low, high, nearer
        )


def write_differences(folder: Path, rows: Sequence[ScoreDifference]) -> None:
    """Write `differences.csv`."""
    columns = [field.name for field in fields(ScoreDifference)]
    write_table(folder / "differences.csv", map(asdict, rows), columns)
