"""Means over several readers, with intervals that speak of other readers and other images.

Readers are drawn with replacement, and so are images, of real and of synthetic ones as many
as there are. Where readers saw the same images, these are drawn once for all of them; else
each reader's own are drawn. Every reader counts alike, however much each answered.

How well the intervals of 95 % cover, by simulated studies of 100 images: 93 to 99.8 % of them
hold the truth with 5 or 10 readers (most where readers hardly differ, since chance in single
answers is counted twice), and 84 to 99.8 % with 2 or 3 (least where readers differ much).

Source: Beiden, Wagner and Campbell 2000 (multiple-reader, multiple-case bootstrap).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from mrgantry.study.statistics.bootstrap import generator, percentiles
from mrgantry.study.statistics.counting import confusion
from mrgantry.study.statistics.measured import Estimate
from mrgantry.study.statistics.results import Design, GroupDifference, ManyReaders
from mrgantry.study.statistics.signal_detection import signed_confidence

Measure = Literal["accuracy", "balanced_accuracy", "fool_rate", "real_recall", "auc"]
Drawn = Float[np.ndarray, "b readers"]
FEW = 5  # readers, below which an interval over readers is remarked
ALONE = "One reader: the interval speaks of other images only; nothing is known of other readers."
DRAWN: dict[Design, str] = {
    "one reader": "images",
    "same cases": "readers and images",
    "own cases": "readers, and of each reader's own images",
}


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
            found: dict[Measure, Float[np.ndarray, " b"]] = {
                "accuracy": times @ right / times.sum(1),
                "balanced_accuracy": (recall + reject) / 2,
                "fool_rate": 1 - reject,
                "real_recall": recall,
            }
            if self.scored:
                found["auc"] = self._auc(times)
        return found

    @cached_property
    def scored(self) -> bool:
        """Say whether there are confidences of both classes."""
        known = np.isfinite(self.score)
        return bool((known & self.real).any() and (known & ~self.real).any())

    def _auc(self, times: Float[np.ndarray, "b n"]) -> Float[np.ndarray, " b"]:
        known = np.isfinite(self.score)
        real, synthetic = known & self.real, known & ~self.real
        apart = self.score[real][:, None] - self.score[synthetic]
        wins = (apart > 0) + 0.5 * (apart == 0)
        ours, theirs = times[:, real], times[:, synthetic]
        return ((ours @ wins) * theirs).sum(1) / (ours.sum(1) * theirs.sum(1))


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

    def mean(
        self, measure: Measure, chosen: Sequence[int], random: np.random.Generator
    ) -> tuple[float, Float[np.ndarray, " b"]]:
        """Give the mean over chosen readers, and that of each sample of readers and images."""
        values = self.values[measure][list(chosen)]
        drawn = self.drawn[measure][:, list(chosen)]
        times = random.multinomial(len(chosen), np.full(len(chosen), 1 / len(chosen)), len(drawn))
        known = np.isfinite(drawn)
        with np.errstate(divide="ignore", invalid="ignore"):
            means = (times * np.where(known, drawn, 0.0)).sum(1) / (times * known).sum(1)
        there = values[np.isfinite(values)]
        return (float(there.mean()) if len(there) else float("nan")), means


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
    whole = [cell.measures(np.ones((1, len(cell.case)))) for cell in cells]
    parts = [one.measures(times) for one, times in zip(cells, each, strict=True)]
    for name in MEASURES:
        values[name] = np.array([part.get(name, np.full(1, np.nan))[0] for part in whole])
        drawn[name] = np.stack([part.get(name, np.full(draws, np.nan)) for part in parts], 1)
    return Panel(cells=cells, design=design, values=values, drawn=drawn)


def _cells(rows: pd.DataFrame) -> tuple[Cells, ...]:
    case = pd.Series(pd.factorize(rows["case"])[0], index=rows.index)
    score = pd.Series(signed_confidence(rows), index=rows.index)
    found = []
    for reader, mine in rows.groupby("reader", sort=False):
        told = mine[mine["decided"]]
        found.append(
            Cells(
                reader=str(reader),
                group=str(mine["group"].iloc[0]),
                case=case[told.index].to_numpy(),
                real=(told["truth"] == "real").to_numpy(),
                right=told["right"].to_numpy(),
                score=score[told.index].to_numpy(),
            )
        )
    return tuple(found)


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
    found = np.zeros((draws, int(cases.max(initial=-1)) + 1))
    for kind in (real, ~real):
        places = np.unique(cases[kind])
        if len(places):
            share = np.full(len(places), 1 / len(places))
            found[:, places] = random.multinomial(len(places), share, draws)
    return found


def many_readers(
    rows: pd.DataFrame, drawn: Panel, group: str, block: str, seed: int
) -> ManyReaders:
    """Give the means over all readers of a block, or over those of a group.

    Args:
        rows: Those of the panel.
        drawn: The samples of images.
        group: Of readers; "" for all.
        block: Name; "" for all blocks.
        seed: Of the samples of readers.
    """
    chosen = [i for i, one in enumerate(drawn.cells) if group in ("", one.group)]
    readers = tuple(drawn.cells[i].reader for i in chosen)
    design: Design = "one reader" if len(chosen) == 1 else drawn.design
    n = sum(len(drawn.cells[i].case) for i in chosen)

    def mean(measure: Measure) -> Estimate:
        random = generator(seed, "readers", block, group)
        value, draws = drawn.mean(measure, chosen, random)
        return percentiles(value, draws, n, DRAWN[design])

    asked = any(drawn.cells[i].scored for i in chosen)
    return ManyReaders(
        group=group,
        block=block,
        readers=readers,
        design=design,
        confusion=confusion(rows[rows["reader"].isin(readers)]),
        accuracy=mean("accuracy"),
        balanced_accuracy=mean("balanced_accuracy"),
        fool_rate=mean("fool_rate"),
        real_recall=mean("real_recall"),
        auc=mean("auc") if asked else None,
        notes=remarks({group: len(chosen)}),
    )


def group_difference(
    drawn: Panel, first: str, second: str, block: str, seed: int
) -> GroupDifference | None:
    """Give the difference of two groups' means; None if one has no reader in this block.

    Images that both groups saw are drawn once for both; readers are drawn within groups.

    Args:
        drawn: The samples of images, for readers of both groups.
        first: Group.
        second: Group.
        block: Name; "" for all blocks.
        seed: Of the samples of readers.
    """
    ours, theirs = (
        [i for i, one in enumerate(drawn.cells) if one.group == group] for group in (first, second)
    )
    if not ours or not theirs:
        return None
    n = sum(len(drawn.cells[i].case) for i in (*ours, *theirs))

    def apart(measure: Measure) -> Estimate:
        random = generator(seed, "groups", block, first, second)
        value, draws = drawn.mean(measure, ours, random)
        other, others = drawn.mean(measure, theirs, random)
        if np.ptp(draws) == 0 or np.ptp(others) == 0:  # the interval would be that of one group
            draws, others = np.zeros_like(draws), np.zeros_like(others)
        return percentiles(value - other, draws - others, n, DRAWN[drawn.design])

    return GroupDifference(
        block=block,
        first=first,
        second=second,
        first_readers=len(ours),
        second_readers=len(theirs),
        accuracy=apart("accuracy"),
        balanced_accuracy=apart("balanced_accuracy"),
        notes=remarks({first: len(ours), second: len(theirs)}),
    )


def remarks(sizes: dict[str, int]) -> tuple[str, ...]:
    """Say of which groups there are too few readers to speak of others.

    Args:
        sizes: Readers of each group; "" is all.
    """
    found = []
    for group, readers in sizes.items():
        where = f"{group}: " if group else ""
        if readers == 1:
            found.append(where + ALONE)
        elif readers < FEW:
            found.append(
                f"{where}{readers} readers are few: an interval that is meant for other readers "
                "is then rough, and can be too narrow."
            )
    return tuple(found)
