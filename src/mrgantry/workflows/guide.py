"""Look at a folder of scans, and say the whole way for it: commands that fit, and why.

Only names and a few headers are read, so it takes seconds; `inspect` looks at every scan.
"""

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mrgantry.common.device import best_device
from mrgantry.common.errors import DataError
from mrgantry.common.files import AnyPath
from mrgantry.common.frozen import Frozen
from mrgantry.data.subjects import Subject, find_subjects
from mrgantry.data.volume import read_volume

READ = 3  # scans whose voxels are looked at
FEWEST = 4  # people who can be split into those to learn from and those to compare with
FEW, ENOUGH = 10, 30  # people; fewer tell nothing of others, and little
THICK = 2.5  # times thicker than wide: slices are cut where they lie
LOOKED = 2  # steps that make sense with fewer: inspect and prepare
MAPPED = 8  # people with label maps, from which on experiments with a test split make sense
# Of training, in minutes: of gantry-64 on two cores and of gantry-128 on a GPU.
TRAINING = {"gantry-64": "15 to 40 minutes on a laptop", "gantry-128": "tens of minutes on a GPU"}


class Step(Frozen):
    """One command of the way.

    Attributes:
        command: That works when it is pasted.
        why: What it does, and why with these options.
    """

    command: str
    why: str


class Guide(Frozen):
    """The way for a folder of scans.

    Attributes:
        found: What lies there, a sentence each.
        warnings: What will be missing, a sentence each.
        steps: The commands, in order.
    """

    found: tuple[str, ...]
    warnings: tuple[str, ...]
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return repr(self)

    def __repr__(self) -> str:
        lines = [*self.found, *(f"Note: {warning}" for warning in self.warnings), ""]
        for number, step in enumerate(self.steps, 1):
            lines += [f"{number}. {step.why}", f"   {step.command}"]
        return "\n".join(lines)


def guide(scans: AnyPath) -> Guide:
    """Look at a folder of scans, and give the whole way for it.

    Args:
        scans: The folder.

    Raises:
        DataError: There are no scans.
    """
    scans = Path(scans)
    subjects = find_subjects(scans)
    people = sorted({subject.id for subject in subjects})
    sequences = _sequences(subjects)
    mapped = {subject.id for subject in subjects if subject.tumour is not None}
    plane, thick = _plane(subjects, sequences[0])
    with_maps = len(mapped) >= MAPPED
    taken = _taken(sequences, with_maps)
    enough = len(people) >= FEWEST
    return Guide(
        found=tuple(_found(subjects, people, sequences, mapped, plane, thick)),
        warnings=tuple(_warnings(subjects, people, sequences, mapped)),
        steps=tuple(_steps(scans, taken, plane, with_maps))[: None if enough else LOOKED],
    )


def _sequences(subjects: Sequence[Subject]) -> list[str]:
    """List the sequences, those of most people first."""
    count = Counter(name for subject in subjects for name in subject.scans)
    return [name for name, _ in count.most_common()]


def _taken(sequences: Sequence[str], with_maps: bool) -> list[str]:
    """Choose sequences: those that show a tumour where it is mapped, otherwise the first."""
    showing = [name for name in ("flair", "t1c") if name in sequences]
    return showing if with_maps and showing else [sequences[0]]


def _plane(subjects: Sequence[Subject], sequence: str) -> tuple[str, bool]:
    """Find the plane that scans were taken in, and whether their slices are thick."""
    ratios: list[float] = []
    axes: list[int] = []
    for subject in subjects:
        if sequence in subject.scans and len(ratios) < READ:
            try:
                spacing = np.array(read_volume(subject.scans[sequence]).spacing)
            except DataError:
                continue  # `inspect` tells what is wrong with it
            ratios.append(float(spacing.max() / spacing.min()))
            axes.append(int(spacing.argmax()))
    if not ratios or np.median(ratios) < THICK:
        return "axial", False
    across = Counter(axes).most_common(1)[0][0]
    return ("sagittal", "coronal", "axial")[across], True


def _found(
    subjects: Sequence[Subject],
    people: Sequence[str],
    sequences: Sequence[str],
    mapped: set[str],
    plane: str,
    thick: bool,
) -> Iterator[str]:
    """Say what lies there."""
    counts = Counter(name for subject in subjects for name in subject.scans)
    listed = ", ".join(f"{counts[name]} {name.upper()}" for name in sequences)
    visits = f" in {len(subjects)} visits" if len(subjects) > len(people) else ""
    yield f"{_people(len(people))}{visits}: {listed}."
    if mapped:
        yield f"Label maps: of {_people(len(mapped))}."
    if thick:
        yield f"Slices are thick and {plane}: other planes would be blurred."


def _warnings(
    subjects: Sequence[Subject],
    people: Sequence[str],
    sequences: Sequence[str],
    mapped: set[str],
) -> Iterator[str]:
    """Say what will be missing."""
    if len(people) < FEWEST:
        yield (
            f"{_people(len(people))} cannot be split into those to learn from and those to compare "
            f"with; {FEWEST} are the fewest. Slices can be cut and looked at."
        )
    elif len(people) < FEW:
        yield (
            f"{len(people)} people are too few to tell anything of others; it all runs, and "
            "intervals are as wide as they are."
        )
    elif len(people) < ENOUGH:
        yield f"With {len(people)} people, intervals will be wide."
    if 0 < len(mapped) < MAPPED:
        yield (
            f"With label maps of {_people(len(mapped))}, whether images help a classifier or a "
            f"segmenter cannot be tested; {MAPPED} are the fewest."
        )
    lacking = sum(sequences[0] not in subject.scans for subject in subjects)
    if lacking:
        yield f"{lacking} visits have no {sequences[0].upper()}, and are left out."
    if any(subject.remarks for subject in subjects):
        yield "Some files were chosen among several; the first command says which."


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count} people"


def _steps(scans: Path, taken: Sequence[str], plane: str, with_maps: bool) -> Iterator[Step]:
    """Give the commands."""
    folder = shlex.quote(str(scans))
    recipe = "gantry-128" if best_device().type == "cuda" else "gantry-64"
    size = recipe.partition("-")[2]
    yield Step(
        command=f"mrgantry inspect {folder}",
        why="Look at every scan: who is who, which way up, what is left out. Open the sheet.",
    )
    options = [f"--sequence {name}" for name in taken]
    if len(taken) > 1:
        options.append("--channels")
    if plane != "axial":
        options.append(f"--plane {plane}")
    options += ["--slices 0.4:0.6", f"--size {size}"]
    if with_maps:
        options += ["--label-maps", "--splits 0.6:0.15:0.25"]
    yield Step(
        command=f"mrgantry prepare {folder} slices {' '.join(options)}",
        why="Cut slices of the middle of the head, each person in one split. Open the preview.",
    )
    maps = " --set label_maps=true" if with_maps else ""
    yield Step(
        command=f"mrgantry train slices run --recipe {recipe}{maps}",
        why=f"Train a generator on the training people: {TRAINING[recipe]}. It can be stopped.",
    )
    yield Step(command="mrgantry sample run synthetic --count 1000", why="Draw images.")
    yield Step(
        command="mrgantry evaluate slices scores --synthetic synthetic",
        why="Compare them with people the generator has not seen.",
    )
    if with_maps:
        yield Step(
            command="mrgantry segment slices segmentation --synthetic synthetic",
            why="Ask whether they help a segmenter.",
        )
    yield Step(
        command="mrgantry report report.html slices run synthetic scores",
        why="Put all of it on one page.",
    )
    name = "+".join(taken).upper()
    yield Step(
        command=f"mrgantry study create study --block {name}=slices,synthetic --readers AB "
        "--readers CD",
        why="Ask readers whether they can tell.",
    )
