"""Do measures move when they should? Known faults, made to a user's own real slices.

The subjects are shared out at random: a third trains the extractors, a third is compared
with, and the last third, with a fault made to its slices, stands in for a generator's.
Without a fault it is only other subjects, which no measure may call worse.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from mrgantry.common import workfolder
from mrgantry.common.display import Display, Displayed
from mrgantry.common.errors import DataError, RunError, unknown
from mrgantry.common.files import AnyPath, read_json, write_json
from mrgantry.common.frozen import Frozen
from mrgantry.common.progress import progress
from mrgantry.common.provenance import command_line, versions
from mrgantry.common.score import Score
from mrgantry.common.tables import write_table
from mrgantry.common.workers import each
from mrgantry.data.slices import SliceSet
from mrgantry.evaluation.faults import FAULTS, Fault, Material
from mrgantry.evaluation.reference import FEWEST, Reference, refer, subjects_of
from mrgantry.evaluation.scoring import Candidate, Floors, score_set

PIXELS = "pixels"  # what networks are trained on


class SensitivityTerms(Frozen):
    """What a table depends on; a folder holds one table.

    Attributes:
        fingerprint: Of the slices.
        seed: Of all that is drawn.
        features: Pretrained extractors beside those that need no download.
        networks: In how many partitions convolutional networks are trained.
    """

    fingerprint: str
    seed: int
    features: tuple[str, ...] = ()
    networks: int = 1


class FaultScore(Frozen):
    """One score of one fault at one strength, in one partition of the subjects.

    Attributes:
        partition: Number of the partition.
        fault: Name of the fault.
        strength: In the fault's own units.
        score: Name of the score.
        features: What it looked at.
        value: The score.
        floor: What real images score.
        floor_low: Lower end of its 95 % interval.
        floor_high: Upper end.
        verdict: Worse than real images, alike, or better.
        excess: How far the value lies on the worse side of the floor, in widths from the floor to
            the end of its interval: beyond 1 is worse, and below 0 is better than the floor.
        n: Images on each side.
    """

    partition: int
    fault: str
    strength: float
    score: str
    features: str
    value: float
    floor: float
    floor_low: float
    floor_high: float
    verdict: str
    excess: float
    n: int


class Sensitivity(Displayed, Frozen):
    """All of a table, as `sensitivity.json` holds it.

    Attributes:
        command: The shell command that makes it again.
        versions: Of the libraries.
        slices: Name of the set.
        source: Where its pixels come from in the end.
        fingerprint: Of the set.
        subjects: How many people there are.
        repeats: Partitions in which all faults were made.
        halves: Partitions in which no fault was made.
        faults: Names of the faults that were made, or that the set has no place for.
        cells: All scores; none of a fault that the set has no place for.
    """

    command: str
    versions: dict[str, str]
    slices: str
    source: str
    fingerprint: str
    subjects: int
    repeats: int
    halves: int
    faults: tuple[str, ...]
    cells: tuple[FaultScore, ...]

    @property
    def display(self) -> Display:
        """Show how many scores take each strength of each fault for worse than real images."""
        cells = pd.DataFrame(
            [(c.fault, c.strength, c.verdict == "worse") for c in self.cells],
            columns=["fault", "strength", "noticed by"],
        )
        table = cells.groupby(["fault", "strength"], sort=False)["noticed by"].mean().reset_index()
        said = (
            f"{len(self.faults)} faults made to {self.slices} ({self.subjects} people); share of "
            "scores that notice each. The whole table is sensitivity.md."
        )
        return Display([said], table)


class FaultTask(Frozen):
    """One piece of work: a fault at one strength in one partition of the subjects.

    Attributes:
        slices: Folder of the set.
        out: Folder to write to.
        terms: What the table depends on.
        turn: Number of the partition.
        fault: Name of the fault.
        strength: In the fault's own units.
    """

    slices: Path
    out: Path
    terms: SensitivityTerms
    turn: int
    fault: str
    strength: float

    @property
    def path(self) -> Path:
        """Name the file of its cells."""
        return self.out / f"parts/{self.turn:02}-{self.fault}-{self.strength:g}.json"


def sensitivity(
    slices: AnyPath,
    out: AnyPath,
    *,
    repeats: int = 3,
    halves: int = 20,
    seed: int = 0,
    features: Sequence[str] = (),
    faults: Sequence[str] = (),
    networks: int = 1,
    workers: int | None = 1,
) -> Sensitivity:
    """Make known faults to real slices, and score them as if a generator had drawn them.

    Each scored fault is kept in `out`, so that an interrupted call goes on. Writes
    `sensitivity.json` and `sensitivity.csv`.

    Args:
        slices: A set of real slices; all splits are used, and shared out anew.
        out: Folder to write to.
        repeats: In how many random partitions of the subjects the faults are made.
        halves: In how many other subjects without a fault are scored, at least `repeats`.
        seed: Of all that is drawn.
        features: Pretrained extractors beside those that need no download.
        faults: Names of the faults to make; all unless given. "none" is always among them.
        networks: In how many of the partitions convolutional networks are trained to tell the
            slices apart, which takes most of the time.
        workers: Processes, with the same results; None is one a core.

    Raises:
        DataError: There are too few subjects.
        RunError: The folder holds a table of other slices, seed or features, or a fault is
            not known.
    """
    slices, out = Path(slices), Path(out)
    data = SliceSet.open(slices)
    people = people_of(data)
    if len(people) < 3 * FEWEST:
        raise DataError(
            f"{slices} has {len(people)} subject(s); a sensitivity table needs {3 * FEWEST} or "
            "more, since thirds of them are compared."
        )
    wanted, halves = chosen(faults), max(repeats, halves)
    terms = SensitivityTerms(
        fingerprint=data.about.fingerprint, seed=seed, features=tuple(features), networks=networks
    )
    workfolder.begin(out, "terms.json", "a sensitivity table", terms.model_dump())
    items = [
        FaultTask(
            slices=slices, out=out, terms=terms, turn=turn, fault=fault.name, strength=strength
        )
        for turn in range(halves)
        for fault in (wanted if turn < repeats else wanted[:1])
        for strength in fault.strengths
    ]
    work_through(items, workers)
    table = Sensitivity(
        command=command_line(
            "sensitivity",
            slices,
            out,
            repeats=repeats,
            halves=halves,
            fault=list(faults),
            networks=networks,
            features=list(features),
            seed=seed,
        ),
        versions=versions(),
        slices=data.name,
        source=data.about.source,
        fingerprint=data.about.fingerprint,
        subjects=len(people),
        repeats=repeats,
        halves=halves,
        faults=tuple(fault.name for fault in wanted),
        cells=tuple(
            FaultScore.of(cell, f"{item.path}") for item in items for cell in read_json(item.path)
        ),
    )
    write_json(out / "sensitivity.json", table.model_dump())
    write_cells(out / "sensitivity.csv", table.cells)
    return table


def people_of(data: SliceSet) -> np.ndarray:
    """List the subjects."""
    return np.unique(subjects_of(data).astype(str))


def chosen(names: Sequence[str]) -> list[Fault]:
    """Look faults up, all where none is named; the first is always that nothing is done.

    Raises:
        RunError: There is no fault of a name.
    """
    existing = [fault.name for fault in FAULTS]
    for name in names:
        if name not in existing:
            raise RunError(unknown("fault", name, existing, "sensitivity table"))
    return [fault for fault in FAULTS if not names or fault.name in names or fault is FAULTS[0]]


def work_through(items: Sequence[FaultTask], workers: int | None) -> None:
    """Score what has not been scored before, in several processes or in this one."""
    left = [item for item in items if not item.path.is_file()]
    try:
        with progress("sensitivity", len(items), len(items) - len(left)) as advance:
            for item, _ in each(score_item, left, workers):
                advance(note=f"{item.fault} {item.strength or ''}")
    finally:
        scorer_of.cache_clear()


def score_item(item: FaultTask) -> None:
    """Score one fault and write its cells: none where the set has no place for it."""
    fault = next(fault for fault in FAULTS if fault.name == item.fault)
    with one_thread():
        scores = scorer_of(item.slices, item.terms, item.turn).score(fault, item.strength)
    cells = [cell_of(score, item.turn, fault, item.strength) for score in scores]
    write_json(item.path, [cell.model_dump() for cell in cells])


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread: how sums are rounded then depends on no number of cores.

    Draws still go side by side in several threads.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


@lru_cache(maxsize=1)
def scorer_of(slices: Path, terms: SensitivityTerms, turn: int) -> "Scorer":
    """Prepare one partition, or give the one that is ready in this process."""
    scorer = Scorer(SliceSet.open(slices), (terms.seed, turn), terms.features)
    return scorer if turn < terms.networks else scorer.without_networks()


class Scorer:
    """One partition of the subjects: what is compared with, and what faults are made of."""

    def __init__(self, data: SliceSet, seed: tuple[int, int], features: Sequence[str]):
        thirds = np.array_split(np.random.default_rng(seed).permutation(people_of(data)), 3)
        owner = subjects_of(data).astype(str)
        train, held, other = (data.where(np.isin(owner, third)) for third in thirds)
        self.seed = seed
        self.reference: Reference = refer(held, train, features)
        self.other = self.reference.cloud(other.images, subjects_of(other))
        self.rows = other.table
        self.floors = Floors()

    def without_networks(self) -> "Scorer":
        """Leave out the classifiers that are trained on pixels."""
        tests = [test for test in self.reference.tests if test.features != PIXELS]
        self.reference = replace(self.reference, tests=tests)
        return self

    def score(self, fault: Fault, strength: float) -> list[Score]:
        """Make a fault and measure it; no scores where there is no place for it."""
        random = np.random.default_rng((*self.seed, 1))
        material = Material(self.other, self.reference.train_cloud, self.rows, random)
        if not fault.applies(material):
            return []
        images, subjects = fault.make(material, strength)
        cloud = self.reference.cloud(images.astype(np.float16), subjects)
        seed, candidate = sum(self.seed), Candidate(fault.name, cloud, "")
        return score_set(self.reference, candidate, seed, self.floors, lambda *_, **__: None)


def cell_of(score: Score, turn: int, fault: Fault, strength: float) -> FaultScore:
    """Reduce a score to what the table needs."""
    return FaultScore(
        partition=turn,
        fault=fault.name,
        strength=strength,
        score=score.name,
        features=score.features,
        value=score.value,
        floor=score.floor,
        floor_low=score.floor_low,
        floor_high=score.floor_high,
        verdict=score.verdict,
        excess=excess(score),
        n=score.n_real,
    )


def excess(score: Score) -> float:
    """Say how far a value lies on the worse side, in widths of that side of the interval."""
    out = score.value - score.floor
    width = score.floor_high - score.floor if out > 0 else score.floor - score.floor_low
    outward = abs(out) / max(width, 1e-12)
    if not score.one_sided:
        return outward
    return outward if (out > 0) == (score.better in ("lower", "half")) else -outward


def write_cells(path: Path, cells: Sequence[FaultScore]) -> None:
    """Write one row a score, for spreadsheets."""
    write_table(path, (cell.model_dump() for cell in cells), list(FaultScore.model_fields))
