"""Differences of accuracies: between blocks, and between readers of the same images."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from math import sqrt

import numpy as np
import pandas as pd
from scipy.stats import fisher_exact
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import confint_proportions_2indep

from mrgantry.study.statistics.measured import Estimate, Interval
from mrgantry.study.statistics.mrmc import Panel, block_difference
from mrgantry.study.statistics.proportions import Z, holm
from mrgantry.study.statistics.results import ALL, BlockDifference, ReaderDifference

UNPAIRED = "Newcombe 1998, hybrid of two Wilson intervals"
PAIRED = "Agresti and Min 2005, paired, half an image added to each cell"


def block_differences(rows: pd.DataFrame, panels: Mapping[str, Panel]) -> list[BlockDifference]:
    """Compare all pairs of blocks, of each reader who read several and of the mean over readers.

    Args:
        rows: As `counting.checked` gives them.
        panels: Each block's readers, with bootstrap samples of its images; needed where several
            readers read several blocks.
    """
    counts = _right_and_all(rows)
    differences = []
    for reader, mine in counts.items():
        differences += _blocks_of(reader, mine, None)
    if len(counts) > 1:
        together = {
            block: _added(mine.get(block, (0, 0)) for mine in counts.values())
            for block in dict.fromkeys(rows["block"])
        }
        differences += _blocks_of(ALL, together, panels)
    return differences


def _added(parts: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Add up pairs of counts."""
    right, answers = zip(*parts, strict=True)
    return sum(right), sum(answers)


def _right_and_all(rows: pd.DataFrame) -> dict[str, dict[str, tuple[int, int]]]:
    """Count right answers and all, of each reader in each block that was read."""
    counts: dict[str, dict[str, tuple[int, int]]] = {}
    # Whoever only said "unknown" in a block has read it, and has no answer there.
    places = zip(rows["reader"], rows["block"], rows["right"], rows["decided"], strict=True)
    for reader, block, right, decided in places:
        k, n = counts.setdefault(reader, {}).get(block, (0, 0))
        counts[reader][block] = (k + bool(right and decided), n + bool(decided))
    return counts


def _blocks_of(
    reader: str, counts: dict[str, tuple[int, int]], panels: Mapping[str, Panel] | None
) -> list[BlockDifference]:
    """Compare the blocks of one reader, or of the mean over readers where there are panels."""
    return compare_blocks(reader, counts, list(combinations(counts, 2)), panels)


def compare_blocks(
    reader: str,
    counts: Mapping[str, tuple[int, int]],
    pairs: Sequence[tuple[str, str]],
    panels: Mapping[str, Panel] | None = None,
) -> list[BlockDifference]:
    """Compare pairs of blocks, corrected by Holm over these pairs.

    Args:
        reader: Name; "" for all readers.
        counts: Right answers and answers of each block.
        pairs: Names of the two blocks of each comparison: the family that is corrected for.
        panels: Each block's readers; None compares the counts alone, by Fisher's exact test.
    """
    if panels is None:
        tested = [
            (unpaired(*counts[first], *counts[second]), fisher(*counts[first], *counts[second]))
            for first, second in pairs
        ]
    else:
        tested = [block_difference(panels[first], panels[second]) for first, second in pairs]
    ps = [p for _, p in tested]
    return [
        BlockDifference(
            reader=reader,
            first=first,
            second=second,
            first_k=counts[first][0],
            first_n=counts[first][1],
            second_k=counts[second][0],
            second_n=counts[second][1],
            difference=difference,
            p=p,
            p_holm=corrected,
            family=sum(p is not None for p in ps),
            note=difference.note,
        )
        for (first, second), (difference, p), corrected in zip(pairs, tested, holm(ps), strict=True)
    ]


def fisher(k1: int, n1: int, k2: int, n2: int) -> float | None:
    """Test that two shares of different images are equal; None if one has no answers."""
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
    # Of each reader: 1 where right, 0 where wrong, NaN where there is no such answer.
    right = table[readers].to_numpy(dtype=float).T if readers else np.empty((0, 0))
    pairs, cells = [], []
    for (first, a), (second, b) in combinations(zip(readers, right, strict=True), 2):
        counts = [
            int(both.sum())
            for both in ((a * b) == 1, (a == 1) & (b == 0), (a == 0) & (b == 1), (a + b) == 0)
        ]
        if sum(counts):
            pairs.append((first, second))
            cells.append(counts)
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
