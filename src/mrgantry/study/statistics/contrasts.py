"""Differences of accuracies: between blocks, and between readers of the same images."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import sqrt

import pandas as pd
from scipy.stats import fisher_exact
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import confint_proportions_2indep

from mrgantry.common import statistics
from mrgantry.study.statistics.measured import Estimate, Interval
from mrgantry.study.statistics.proportions import Z
from mrgantry.study.statistics.results import ALL, BlockDifference, ReaderDifference

UNPAIRED = "Newcombe 1998, hybrid of two Wilson intervals"
PAIRED = "Agresti and Min 2005, paired, half an image added to each cell"
POOLED = (
    "Answers of several readers are pooled as if each were of another image and reader; where "
    "readers saw the same images the interval is too narrow."
)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Correct a family of p values by Holm's method; undefined ones do not count."""
    corrected = iter(statistics.holm([p for p in ps if p is not None]))
    return [None if p is None else next(corrected) for p in ps]


def block_differences(rows: pd.DataFrame) -> list[BlockDifference]:
    """Compare all pairs of blocks, of each reader who read several and of all pooled.

    Args:
        rows: As `counting.checked` gives them.
    """
    readers = list(dict.fromkeys(rows["reader"]))
    differences = []
    for reader in [*readers, ALL] if len(readers) > 1 else readers:
        mine = rows if reader == ALL else rows[rows["reader"] == reader]
        differences += _blocks_of(reader, mine)
    return differences


def _blocks_of(reader: str, rows: pd.DataFrame) -> list[BlockDifference]:
    decided = rows[rows["decided"]]
    counts = {
        block: (int(part["right"].sum()), len(part))
        for block, part in (
            (b, decided[decided["block"] == b]) for b in dict.fromkeys(rows["block"])
        )
    }
    pairs = list(combinations(counts, 2))
    return compare_blocks(reader, counts, pairs, note=POOLED if reader == ALL else "")


def compare_blocks(
    reader: str,
    counts: Mapping[str, tuple[int, int]],
    pairs: Sequence[tuple[str, str]],
    note: str = "",
) -> list[BlockDifference]:
    """Compare pairs of blocks by Fisher's exact test, corrected by Holm over these pairs.

    Args:
        reader: Name; "" for all readers pooled.
        counts: Right answers and answers of each block.
        pairs: Names of the two blocks of each comparison: the family that is corrected for.
        note: What the numbers take for granted.
    """
    tests = [_fisher(*counts[first], *counts[second]) for first, second in pairs]
    family = sum(p is not None for p in tests)
    return [
        BlockDifference(
            reader=reader,
            first=first,
            second=second,
            first_k=counts[first][0],
            first_n=counts[first][1],
            second_k=counts[second][0],
            second_n=counts[second][1],
            difference=unpaired(*counts[first], *counts[second]),
            p=p,
            p_holm=corrected,
            family=family,
            note=note,
        )
        for (first, second), p, corrected in zip(pairs, tests, holm(tests), strict=True)
    ]


def _fisher(k1: int, n1: int, k2: int, n2: int) -> float | None:
    if n1 == 0 or n2 == 0:
        return None
    return float(fisher_exact([[k1, n1 - k1], [k2, n2 - k2]]).pvalue)


def unpaired(k1: int, n1: int, k2: int, n2: int) -> Estimate:
    """Give the difference of two shares of different images, first minus second."""
    if n1 == 0 or n2 == 0:
        nothing = Interval(low=None, high=None, n=n1 + n2, method=UNPAIRED)
        return Estimate(value=None, interval=nothing, note="One of the two has no answers.")
    value = k1 / n1 - k2 / n2
    low, high = confint_proportions_2indep(k1, n1, k2, n2, method="newcomb", compare="diff")
    return _difference(value, float(low), float(high), n1 + n2, UNPAIRED)


def paired(first_only: int, second_only: int, n: int) -> Estimate:
    """Give the difference of two shares of the same images, first minus second.

    Source: Agresti and Min 2005, Statistics in Medicine 24:729.

    Args:
        first_only: Images that only the first got right.
        second_only: Images that only the second got right.
        n: Images, at least 1.
    """
    apart = first_only - second_only
    middle = apart / (n + 2)
    half = Z * sqrt(first_only + second_only + 1 - apart**2 / (n + 2)) / (n + 2)
    return _difference(apart / n, middle - half, middle + half, n, PAIRED)


def _difference(value: float, low: float, high: float, n: int, method: str) -> Estimate:
    interval = Interval(
        low=max(-1.0, min(low, value)), high=min(1.0, max(high, value)), n=n, method=method
    )
    return Estimate(value=value, interval=interval)


def reader_differences(rows: pd.DataFrame) -> list[ReaderDifference]:
    """Compare all pairs of readers on the images that both called real or synthetic.

    An image that a reader saw twice counts by its first answer.

    Args:
        rows: As `counting.checked` gives them.
    """
    differences = []
    for block in dict.fromkeys(rows["block"]):
        mine = rows[(rows["block"] == block) & rows["decided"]]
        table = mine.drop_duplicates(["case", "reader"]).pivot(
            index="case", columns="reader", values="right"
        )
        differences += _readers_of(block, table, list(dict.fromkeys(mine["reader"])))
    return differences


def _readers_of(block: str, table: pd.DataFrame, readers: list[str]) -> list[ReaderDifference]:
    pairs, cells = [], []
    for first, second in combinations(readers, 2):
        both = table[[first, second]].dropna().astype(bool)
        if len(both):
            a, b = both[first], both[second]
            pairs.append((first, second))
            cells.append([int(x.sum()) for x in (a & b, a & ~b, ~a & b, ~a & ~b)])
    tests = [float(mcnemar([four[:2], four[2:]], exact=True).pvalue) for four in cells]
    return [
        ReaderDifference(
            block=block,
            first=first,
            second=second,
            both=four[0],
            first_only=four[1],
            second_only=four[2],
            neither=four[3],
            difference=paired(four[1], four[2], sum(four)),
            p=min(1.0, p),
            p_holm=corrected,
            family=len(pairs),
        )
        for (first, second), four, p, corrected in zip(
            pairs, cells, tests, holm(tests), strict=True
        )
    ]
