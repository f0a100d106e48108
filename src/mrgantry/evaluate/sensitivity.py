"""Do measures move when they should? Known faults, made to a user's own real slices.

The subjects are shared out at random: a third trains the extractors, a third is compared
with, and the last third, with a fault made to its slices, stands in for a generator's.
Without a fault it is only other subjects, which no measure may call worse.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mrgantry.common.errors import DataError, RunError
from mrgantry.common.files import read_json, whole, write_json
from mrgantry.common.frozen import Frozen
from mrgantry.common.progress import Advance, progress
from mrgantry.common.provenance import command_line, versions
from mrgantry.common.score import Score
from mrgantry.data.slices import SliceSet
from mrgantry.evaluate.faults import FAULTS, Fault, Material
from mrgantry.evaluate.reference import FEWEST, Reference, refer, subjects_of
from mrgantry.evaluate.scoring import Candidate, Floors, score


class Terms(Frozen):
    """What a table depends on; a folder holds one table.

    Attributes:
        fingerprint: Of the slices.
        seed: Of all that is drawn.
        features: Pretrained extractors beside the two that need no download.
    """

    fingerprint: str
    seed: int
    features: tuple[str, ...] = ()


class Cell(Frozen):
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


class Sensitivity(Frozen):
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
        cells: All scores.
    """

    command: str
    versions: dict[str, str]
    slices: str
    source: str
    fingerprint: str
    subjects: int
    repeats: int
    halves: int
    cells: tuple[Cell, ...]


def sensitivity(
    slices: Path,
    out: Path,
    *,
    repeats: int = 3,
    halves: int = 20,
    seed: int = 0,
    features: Sequence[str] = (),
) -> Sensitivity:
    """Make known faults to real slices, and score them as if a generator had drawn them.

    Each scored fault is kept in `out`, so that an interrupted call goes on. Writes
    `sensitivity.json` and `sensitivity.csv`.

    Args:
        slices: A set of real slices; all splits are used, and shared out anew.
        out: Folder to write to.
        repeats: In how many random partitions of the subjects all faults are made.
        halves: In how many other subjects without a fault are scored, at least `repeats`.
        seed: Of all that is drawn.
        features: Pretrained extractors beside the two that need no download.

    Raises:
        DataError: There are too few subjects.
        RunError: The folder holds a table of other slices, seed or features.
    """
    data = SliceSet.open(slices)
    people = np.unique(subjects_of(data).astype(str))
    if len(people) < 3 * FEWEST:
        raise DataError(
            f"{slices} has {len(people)} subject(s); a sensitivity table needs {3 * FEWEST} or "
            "more, since thirds of them are compared."
        )
    halves = max(repeats, halves)
    begin(out, Terms(fingerprint=data.about.fingerprint, seed=seed, features=tuple(features)))
    work = [(turn, FAULTS if turn < repeats else FAULTS[:1]) for turn in range(halves)]
    cells: list[Cell] = []
    total = sum(len(fault.strengths) for _, faults in work for fault in faults)
    with progress("sensitivity", total) as advance:
        for turn, faults in work:
            cells += partition(data, people, out, (seed, turn), faults, features, advance)
    found = Sensitivity(
        command=command_line(
            "sensitivity",
            slices,
            out,
            repeats=repeats,
            halves=halves,
            seed=seed,
            features=tuple(features),
        ),
        versions=versions(),
        slices=data.name,
        source=data.about.source,
        fingerprint=data.about.fingerprint,
        subjects=len(people),
        repeats=repeats,
        halves=halves,
        cells=tuple(cells),
    )
    write_json(out / "sensitivity.json", found.model_dump())
    write_cells(out / "sensitivity.csv", cells)
    return found


def begin(out: Path, terms: Terms) -> None:
    """Start a table, or go on with one on the same terms.

    Raises:
        RunError: The folder holds another table, or other things.
    """
    path = out / "terms.json"
    if path.is_file():
        if Terms.of(read_json(path), f"terms {path}") != terms:
            raise RunError(
                f"{out} holds a table of other slices, seed or features; choose another folder, or "
                "delete this one."
            )
    elif any(one.name[0] != "." for one in out.glob("*")):
        raise RunError(f"{out} is not empty and holds no sensitivity table; choose another folder.")
    else:
        write_json(path, terms.model_dump())


def partition(
    data: SliceSet,
    people: np.ndarray,
    out: Path,
    seed: tuple[int, int],
    faults: Sequence[Fault],
    features: Sequence[str],
    advance: Advance,
) -> Iterator[Cell]:
    """Share the subjects out and score faults, or read back what was scored before."""
    turn = seed[1]
    parts = {
        (fault.name, strength): out / f"parts/{turn:02}-{fault.name}-{strength:g}.json"
        for fault in faults
        for strength in fault.strengths
    }
    scorer: Scorer | None = None
    for fault in faults:
        for strength in fault.strengths:
            path = parts[fault.name, strength]
            if not path.is_file():
                scorer = scorer or Scorer(data, people, seed, features)
                scores = scorer.score(fault, strength)
                write_json(
                    path, [cell_of(one, turn, fault, strength).model_dump() for one in scores]
                )
            yield from (Cell.of(one, f"{path}") for one in read_json(path))
            advance(note=f"{fault.name} {strength or ''}")


class Scorer:
    """One partition of the subjects: what is compared with, and what faults are made of."""

    def __init__(
        self, data: SliceSet, people: np.ndarray, seed: tuple[int, int], features: Sequence[str]
    ):
        thirds = np.array_split(np.random.default_rng(seed).permutation(people), 3)
        owner = subjects_of(data).astype(str)
        train, held, other = (data.where(np.isin(owner, third)) for third in thirds)
        self.seed = seed
        self.reference: Reference = refer(held, train, features)
        self.other = self.reference.cloud(other.images, subjects_of(other))
        self.floors = Floors()

    def score(self, fault: Fault, strength: float) -> list[Score]:
        """Make a fault and measure it."""
        random = np.random.default_rng((*self.seed, 1))
        material = Material(self.other, self.reference.train_cloud, random)
        images, subjects = fault.make(material, strength)
        cloud = self.reference.cloud(images.astype(np.float16), subjects)
        one = Candidate(fault.name, cloud, "")
        return score(self.reference, one, sum(self.seed), self.floors, lambda *_, **__: None)


def cell_of(one: Score, turn: int, fault: Fault, strength: float) -> Cell:
    """Reduce a score to what the table needs."""
    return Cell(
        partition=turn,
        fault=fault.name,
        strength=strength,
        score=one.name,
        features=one.features,
        value=one.value,
        floor=one.floor,
        floor_low=one.floor_low,
        floor_high=one.floor_high,
        verdict=one.verdict,
        excess=excess(one),
        n=one.n_real,
    )


def excess(one: Score) -> float:
    """Say how far a value lies on the worse side, in widths of that side of the interval."""
    out = one.value - one.floor
    width = one.floor_high - one.floor if out > 0 else one.floor - one.floor_low
    outward = abs(out) / max(width, 1e-12)
    if not one.one_sided:
        return outward
    return outward if (out > 0) == (one.better == "lower") else -outward


def write_cells(path: Path, cells: Sequence[Cell]) -> None:
    """Write one row a score, for spreadsheets."""
    with whole(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(Cell.model_fields))
        writer.writeheader()
        writer.writerows(one.model_dump() for one in cells)
