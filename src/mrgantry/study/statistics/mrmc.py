"""Means over several readers, with intervals that speak of other readers and other images.

Images are drawn with replacement, of real and of synthetic ones as many as there are: once for
all readers where these saw the same images, else each reader's own. How readers' values go
together over these samples, and how readers differ, gives the interval of their mean. Every
reader counts for what was answered.

How well the intervals of 95 % cover, by simulated studies of 200 and 400 images and readers who
vary as printed ones did: docs/READER_STATISTICS.md.

Source: Hillis 2007, as `hillis` has it; Beiden, Wagner and Campbell 2000 (bootstrap of images).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from mrgantry.study.statistics.bootstrap import ALIKE, generator, percentiles
from mrgantry.study.statistics.counting import confusion
from mrgantry.study.statistics.hillis import FEW, ReaderMean, half_width
from mrgantry.study.statistics.measured import Estimate, Interval
from mrgantry.study.statistics.results import Design, GroupDifference, ManyReaders
from mrgantry.study.statistics.signal_detection import signed_confidence
from mrgantry.study.statistics.together import told_apart

Measure = Literal["accuracy", "balanced_accuracy", "fool_rate", "real_recall", "auc"]
Drawn = Float[np.ndarray, "b readers"]
ALONE = "One reader: the interval speaks of other images only; nothing is known of other readers."
TOO_FEW = "One reader says nothing of others of the group, so the difference has no interval."
NOT_BOTH = "Fewer than two readers read both blocks, so nothing is said of other readers."
RANDOM = (
    "for other readers and images: Obuchowski-Rockette with Hillis' degrees of freedom, "
    "covariances of {draws} bootstrap samples of images"
)


@dataclass(frozen=True, eq=False)
class Cells:
    """One reader's answers "real" and "synthetic".

    Attributes:
        reader: Name.
        group: Of readers.
        case: Place of each image among all images.
        real: Whether it is real.
        right: Whether the answer is.
        score: Signed confidence; NaN where there is none.
    """

    reader: str
    group: str
    case: Int[np.ndarray, " n"]
    real: Bool[np.ndarray, " n"]
    right: Bool[np.ndarray, " n"]
    score: Float[np.ndarray, " n"]

    def measures(self, times: Float[np.ndarray, "b n"]) -> dict[Measure, Float[np.ndarray, " b"]]:
        """Give each measure of samples of the images; NaN where undefined.

        Args:
            times: How often each sample holds each answer.
        """
        real, right = self.real.astype(float), self.right.astype(float)
        with np.errstate(divide="ignore", invalid="ignore"):
            recall = times @ (real * right) / (times @ real)
            reject = times @ ((1 - real) * right) / (times @ (1 - real))
            values: dict[Measure, Float[np.ndarray, " b"]] = {
                "accuracy": times @ right / times.sum(1),
                "balanced_accuracy": (recall + reject) / 2,
                "fool_rate": 1 - reject,
                "real_recall": recall,
            }
            if self.scored:
                values["auc"] = self._auc(times)
        return values

    @cached_property
    def scored(self) -> bool:
        """Say whether there are confidences of both classes."""
        finite = np.isfinite(self.score)
        return bool((finite & self.real).any() and (finite & ~self.real).any())

    def _auc(self, times: Float[np.ndarray, "b n"]) -> Float[np.ndarray, " b"]:
        finite = np.isfinite(self.score)
        real, synthetic = finite & self.real, finite & ~self.real
        apart = self.score[real][:, None] - self.score[synthetic]
        wins = (apart > 0) + 0.5 * (apart == 0)
        x, y = times[:, real], times[:, synthetic]
        return ((x @ wins) * y).sum(1) / (x.sum(1) * y.sum(1))


@dataclass(frozen=True, eq=False)
class Panel:
    """Several readers of one block, with bootstrap samples of their images.

    Attributes:
        cells: One a reader.
        design: Whether they saw the same images.
        values: Each measure of each reader.
        drawn: The same of each sample of the images.
    """

    cells: tuple[Cells, ...]
    design: Design
    values: dict[Measure, Float[np.ndarray, " readers"]]
    drawn: dict[Measure, Drawn]

    @property
    def draws(self) -> int:
        """Give the number of samples."""
        return len(self.drawn["accuracy"])

    def mean(self, measure: Measure, chosen: Sequence[int]) -> ReaderMean | None:
        """Give the mean over chosen readers; None unless two of them have a value."""
        there = [i for i in chosen if np.isfinite(self.values[measure][i])]
        if len(there) < 2:
            return None
        weights = np.array([float(len(self.cells[i].case)) for i in there])
        return ReaderMean.of(
            self.values[measure][there], weights, self.covariance(measure, there, there)
        )

    def covariance(
        self, measure: Measure, first: Sequence[int], second: Sequence[int]
    ) -> Float[np.ndarray, "first second"]:
        """Give how values of two lots of readers go together over other images."""
        drawn = self.drawn[measure]
        whole = np.isfinite(drawn[:, [*first, *second]]).all(1)
        apart = [drawn[whole][:, list(lot)] for lot in (first, second)]
        apart = [each - each.mean(0) for each in apart if len(each)]
        if not apart:
            return np.zeros((len(first), len(second)))
        return apart[0].T @ apart[1] / max(1, len(apart[0]) - 1)


MAIN: Measure = "accuracy"  # by which blocks are compared
MEASURES: tuple[Measure, ...] = ("accuracy", "balanced_accuracy", "fool_rate", "real_recall", "auc")


def panel(rows: pd.DataFrame, seed: int, block: str, draws: int) -> Panel:
    """Draw the images of one block for all its readers.

    Args:
        rows: As `counting.checked` gives them, of this block only; not empty.
        seed: Of the samples.
        block: Name, from which the samples follow with the seed.
        draws: Number of samples.
    """
    cells = _cells(rows)
    design = _design(cells)
    random = generator(seed, "images", block)
    each = _samples(cells, design, draws, random)
    values, drawn = {}, {}
    observed = [cell.measures(np.ones((1, len(cell.case)))) for cell in cells]
    parts = [cell.measures(times) for cell, times in zip(cells, each, strict=True)]
    for name in MEASURES:
        values[name] = np.array([part.get(name, np.full(1, np.nan))[0] for part in observed])
        drawn[name] = np.stack([part.get(name, np.full(draws, np.nan)) for part in parts], 1)
    return Panel(cells=cells, design=design, values=values, drawn=drawn)


def _cells(rows: pd.DataFrame) -> tuple[Cells, ...]:
    case = pd.Series(pd.factorize(rows["case"])[0], index=rows.index)
    score = pd.Series(signed_confidence(rows), index=rows.index)
    cells = []
    for reader, mine in rows.groupby("reader", sort=False):
        decided = mine[mine["decided"]]
        cells.append(
            Cells(
                reader=str(reader),
                group=str(mine["group"].iloc[0]),
                case=case[decided.index].to_numpy(),
                real=(decided["truth"] == "real").to_numpy(),
                right=decided["right"].to_numpy(),
                score=score[decided.index].to_numpy(),
            )
        )
    return tuple(cells)


def _design(cells: Sequence[Cells]) -> Design:
    if len(cells) == 1:
        return "one reader"
    several = np.concatenate([np.unique(cell.case) for cell in cells])
    return "same cases" if len(np.unique(several)) < len(several) else "own cases"


def _samples(
    cells: Sequence[Cells], design: Design, draws: int, random: np.random.Generator
) -> list[Float[np.ndarray, "b _"]]:
    """Say of each reader how often each sample holds each of the answers."""
    if design != "same cases":
        return [_times([cell], draws, random)[:, cell.case] for cell in cells]
    shared = _times(cells, draws, random)
    return [shared[:, cell.case] for cell in cells]


def _times(
    cells: Sequence[Cells], draws: int, random: np.random.Generator
) -> Float[np.ndarray, "b cases"]:
    """Draw as many real and as many synthetic images as readers answered, with replacement."""
    cases = np.concatenate([cell.case for cell in cells])
    real = np.concatenate([cell.real for cell in cells])
    drawn = np.zeros((draws, int(cases.max(initial=-1)) + 1))
    for kind in (real, ~real):
        places = np.unique(cases[kind])
        if len(places):
            share = np.full(len(places), 1 / len(places))
            drawn[:, places] = random.multinomial(len(places), share, draws)
    return drawn


def many_readers(
    rows: pd.DataFrame, drawn: Panel, group: str, block: str, seed: int
) -> ManyReaders:
    """Give the means over all readers of a block, or over those of a group.

    Args:
        rows: Those of the panel.
        drawn: The samples of images.
        group: Of readers; "" for all.
        block: Name; "" for all blocks.
        seed: Of the permutations.
    """
    chosen = [i for i, cell in enumerate(drawn.cells) if group in ("", cell.group)]
    readers = tuple(drawn.cells[i].reader for i in chosen)
    design: Design = "one reader" if len(chosen) == 1 else drawn.design
    n = sum(len(drawn.cells[i].case) for i in chosen)

    def mean(measure: Measure) -> Estimate:
        several = drawn.mean(measure, chosen)
        if several is not None:
            return _estimate(several.value, n, drawn, several.common, several)
        values = drawn.values[measure]
        [one, *_] = sorted(chosen, key=lambda i: not np.isfinite(values[i]))
        return percentiles(float(values[one]), drawn.drawn[measure][:, one], n, "images")

    asked = any(drawn.cells[i].scored for i in chosen)
    mine = rows[rows["reader"].isin(readers)]
    return ManyReaders(
        group=group,
        block=block,
        readers=readers,
        design=design,
        confusion=confusion(mine),
        accuracy=mean("accuracy"),
        balanced_accuracy=mean("balanced_accuracy"),
        fool_rate=mean("fool_rate"),
        real_recall=mean("real_recall"),
        auc=mean("auc") if asked else None,
        together=told_apart(mine, seed, block, group, drawn.draws),
        notes=remarks({group: len(chosen)}),
    )


def group_difference(drawn: Panel, first: str, second: str, block: str) -> GroupDifference | None:
    """Give the difference of two groups' means; None if one has no reader in this block.

    Images that both groups saw are drawn once for both.

    Args:
        drawn: The samples of images, for readers of both groups.
        first: Group.
        second: Group.
        block: Name; "" for all blocks.
    """
    of_first, of_second = (
        [i for i, cell in enumerate(drawn.cells) if cell.group == group]
        for group in (first, second)
    )
    if not of_first or not of_second:
        return None
    n = sum(len(drawn.cells[i].case) for i in (*of_first, *of_second))

    def apart(measure: Measure) -> Estimate:
        means = [drawn.mean(measure, lot) for lot in (of_first, of_second)]
        one, other = means
        if one is None or other is None:
            value = _plain(drawn, measure, of_first) - _plain(drawn, measure, of_second)
            nothing = Interval(low=None, high=None, n=n, method=RANDOM.format(draws=drawn.draws))
            return Estimate(
                value=value if np.isfinite(value) else None, interval=nothing, note=TOO_FEW
            )
        finite = [
            [i for i in lot if np.isfinite(drawn.values[measure][i])]
            for lot in (of_first, of_second)
        ]
        across = one.shares @ drawn.covariance(measure, *finite) @ other.shares
        common = max(0.0, one.common + other.common - 2 * float(across))
        return _estimate(one.value - other.value, n, drawn, common, one, other, least=-1.0)

    return GroupDifference(
        block=block,
        first=first,
        second=second,
        first_readers=len(of_first),
        second_readers=len(of_second),
        accuracy=apart("accuracy"),
        balanced_accuracy=apart("balanced_accuracy"),
        notes=remarks({first: len(of_first), second: len(of_second)}),
    )


def block_difference(first: Panel, second: Panel) -> tuple[Estimate, float | None]:
    """Give the mean over readers of their differences in accuracy between two blocks.

    A reader who read one of the blocks alone says nothing of the difference. Images of two blocks
    differ, so what they add to it is added up.

    Args:
        first: The samples of images of the first block.
        second: The samples of images of the second block.

    Returns:
        The difference with its interval, and the two-sided p value of no difference; both without
        a number where fewer than two readers answered in both blocks.
    """
    places = [
        {cell.reader: i for i, cell in enumerate(each.cells) if np.isfinite(each.values[MAIN][i])}
        for each in (first, second)
    ]
    both = [reader for reader in places[0] if reader in places[1]]
    lots = [[place[reader] for reader in both] for place in places]
    sizes = [
        np.array([float(len(each.cells[i].case)) for i in lot])
        for each, lot in zip((first, second), lots, strict=True)
    ]
    n = int(sum(size.sum() for size in sizes))
    if len(both) < 2:
        nothing = Interval(low=None, high=None, n=n, method=RANDOM.format(draws=first.draws))
        return Estimate(value=None, interval=nothing, note=NOT_BOTH), None
    apart = first.values[MAIN][lots[0]] - second.values[MAIN][lots[1]]
    covariance = first.covariance(MAIN, lots[0], lots[0])
    covariance = covariance + second.covariance(MAIN, lots[1], lots[1])
    mean = ReaderMean.of(apart, sizes[0] + sizes[1], covariance)
    estimate = _estimate(mean.value, n, first, mean.common, mean, least=-1.0)
    width = half_width(mean.common, mean)
    return estimate, width.p(mean.value) if width else None


def _plain(drawn: Panel, measure: Measure, lot: Sequence[int]) -> float:
    """Give the mean of readers who may be one."""
    values = drawn.values[measure][list(lot)]
    weights = np.array([len(drawn.cells[i].case) for i in lot]) * np.isfinite(values)
    return float(np.nansum(values * weights) / weights.sum()) if weights.any() else float("nan")


def _estimate(
    value: float, n: int, drawn: Panel, common: float, *means: ReaderMean, least: float = 0.0
) -> Estimate:
    """Give a mean, or a difference, with its interval.

    Args:
        value: The mean or the difference.
        n: Answers that it rests on.
        drawn: The samples of images.
        common: Variance that comes of images in common.
        means: One, or the two that are subtracted.
        least: What the interval does not go below: 0 for a share, -1 for a difference.
    """
    method = RANDOM.format(draws=drawn.draws)
    width = half_width(common, *means)
    if width is None:
        nothing = Interval(low=None, high=None, n=n, method=method)
        return Estimate(value=value, interval=nothing, note=ALIKE)
    interval = Interval(
        low=max(least, value - width.half), high=min(1.0, value + width.half), n=n, method=method
    )
    return Estimate(value=value, interval=interval)


def remarks(sizes: dict[str, int]) -> tuple[str, ...]:
    """Say of which groups there are too few readers to speak of others.

    Args:
        sizes: Readers of each group; "" is all.
    """
    sentences = []
    for group, readers in sizes.items():
        where = f"{group}: " if group else ""
        if readers == 1:
            sentences.append(where + ALONE)
        elif readers < FEW:
            sentences.append(
                f"{where}{readers} readers are few: they hardly tell how much others would differ, "
                "so an interval that is meant for other readers is wide."
            )
    return tuple(sentences)
