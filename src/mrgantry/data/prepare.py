"""Cut a folder of scans into a set of slices."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float16

from mrgantry.common.errors import DataError, RecipeError
from mrgantry.common.files import fingerprint, read_json, write_json
from mrgantry.common.frozen import Frozen
from mrgantry.common.progress import progress
from mrgantry.common.provenance import command_line, versions
from mrgantry.common.workers import each
from mrgantry.data import cut
from mrgantry.data.plan import NORMAL, SlicePlan
from mrgantry.data.slices import (
    COLUMNS,
    SPLITS,
    About,
    SliceSet,
    begin,
    finish,
    has_part,
    safe_name,
    write_part,
)
from mrgantry.data.subjects import Subject, find_subjects
from mrgantry.data.volume import Volume, read_volume


class Outcome(Frozen):
    """What became of one person: how the brain was found, or why scans were skipped.

    `origin` changes with the person's files and split: another origin is cut afresh.
    """

    origin: str = ""
    brain: str = ""
    simulated: bool = False
    problems: tuple[str, ...] = ()


def prepare(
    scans: Path,
    slices: Path,
    plan: SlicePlan,
    *,
    strict: bool = False,
    workers: int | None = None,
) -> SliceSet:
    """Cut every subject of a folder into slices, in parallel.

    A scan that cannot be used is skipped with its reason; the reasons stand in
    `about.json`. Interrupted, the same call goes on where it stopped.

    Args:
        scans: A BIDS, BRATS or plain folder of scans.
        slices: Folder to write the set to.
        plan: What to cut and how.
        strict: Stop at the first bad scan instead of skipping it.
        workers: Processes; defaults to one a core.

    Raises:
        DataError: No subject can be used, or the folder was made with another plan.
    """
    subjects = choose(find_subjects(scans, plan.sequences), plan, scans)
    about = About(
        channels=plan.channels,
        size=plan.size,
        command=command_line("prepare", scans, slices, **plan.options(), strict=strict),
        choices=plan.model_dump(),
        versions=versions(),
    )
    begin(slices, about)
    people: dict[str, list[Subject]] = {}
    for subject in subjects:
        people.setdefault(subject.id, []).append(subject)
    splits = draw_splits(people, plan)
    names = Counter(safe_name(person).lower() for person in people)
    for person in people:
        if names[safe_name(person).lower()] > 1:
            raise DataError(f"The name of subject {person!r} is too like another's; rename one.")
    origins = {person: _origin(people[person], splits[person]) for person in people}
    todo = [person for person in people if not _known(slices, person, origins[person])]
    work = partial(_prepare_person, people=people, splits=splits, plan=plan, slices=slices)
    with progress("prepare", len(people), len(people) - len(todo)) as advance:
        for person, outcome in each(work, todo, workers):
            if strict and outcome.problems:
                raise DataError(outcome.problems[0])
            done = outcome.model_copy(update={"origin": origins[person]})
            write_json(_outcome_path(slices, person), done.model_dump())
            advance(note=person)
    outcomes = [
        Outcome.of(read_json(_outcome_path(slices, person)), f"outcome of {person}")
        for person in sorted(people)
    ]
    problems = [problem for outcome in outcomes for problem in outcome.problems]
    parts = [safe_name(person) for person in sorted(people) if has_part(slices, safe_name(person))]
    if not parts:
        raise DataError(f"No slice could be cut from {scans}: {problems[0]}")
    simulated = any(outcome.simulated for outcome in outcomes)
    brains = Counter(outcome.brain for outcome in outcomes if outcome.brain)
    notes = {"brain": dict(brains), "skipped": problems}
    update = {"source": "simulated" if simulated else "real", "notes": notes}
    return finish(slices, about.model_copy(update=update), parts)


def choose(subjects: list[Subject], plan: SlicePlan, scans: Path) -> list[Subject]:
    """Keep the subjects that meet the plan's conditions and hold one of its sequences.

    Raises:
        DataError: None is left.
    """
    conditions = [condition.split("=", 1) for condition in plan.where]
    met = [
        subject
        for subject in subjects
        if all(subject.attributes.get(name.lower()) == value for name, value in conditions)
    ]
    if not met:
        known = sorted({name for subject in subjects for name in subject.attributes})
        raise DataError(
            f"No subject of {scans} meets {' and '.join(plan.where)}. "
            f"Known attributes: {', '.join(known) or 'none'}."
        )
    kept = [subject for subject in met if set(subject.scans) & set(plan.sequences)]
    if not kept:
        have = sorted({sequence for subject in met for sequence in subject.scans})
        raise DataError(
            f"No subject of {scans} has {' or '.join(plan.sequences)}; there is {', '.join(have)}."
        )
    return kept


def draw_splits(people: dict[str, list[Subject]], plan: SlicePlan) -> dict[str, str]:
    """Give every person a split: from a column, or by a seeded draw of exact shares.

    Raises:
        RecipeError: The column is missing, or names something else.
    """
    names = sorted(people)
    if plan.split_column:
        column = plan.split_column.lower()
        splits = {name: people[name][0].attributes.get(column, "") for name in names}
        for name, split in splits.items():
            if split not in SPLITS:
                raise RecipeError(
                    f"The column {column!r} gives subject {name} the split {split!r}; "
                    f"it must be one of {', '.join(SPLITS)}."
                )
        return splits
    order = np.random.default_rng(plan.seed).permutation(len(names))
    ends = np.round(np.cumsum(plan.splits) * len(names)).astype(int)
    return {
        names[person]: SPLITS[int(np.searchsorted(ends, rank, side="right"))]
        for rank, person in enumerate(order)
    }


def _prepare_person(
    person: str,
    people: dict[str, list[Subject]],
    splits: dict[str, str],
    plan: SlicePlan,
    slices: Path,
) -> Outcome:
    """Cut all visits of one person and write the part; never raise for a bad scan."""
    images, rows, problems = [], [], []
    brain, simulated = "", False
    for visit in people[person]:
        for sequences in _images_of(plan):
            try:
                scan = read_scan(visit, sequences)
                stack, table = cut_scan(scan, visit, sequences, plan)
            except DataError as error:
                problems.append(f"{visit.name} {'+'.join(sequences)} was skipped: {error}")
                continue
            brain, simulated = scan.brain_from, simulated or scan.volumes[0].simulated
            images.append(stack)
            rows.append(table)
    if images and sum(map(len, images)):
        table = pd.concat(rows)
        table["split"] = splits[person]
        write_part(slices, safe_name(person), np.concatenate(images), table)
    elif not problems:
        problems.append(f"{person} was skipped: no slice holds enough brain.")
    return Outcome(brain=brain, simulated=simulated, problems=tuple(problems))


def _images_of(plan: SlicePlan) -> list[tuple[str, ...]]:
    """List which sequences make one image: all as channels, or each by itself."""
    if plan.combine == "channels":
        return [plan.sequences]
    return [(sequence,) for sequence in plan.sequences]


@dataclass(frozen=True, eq=False)
class Scan:
    """What one image's channels are cut from, on one grid."""

    volumes: Sequence[Volume]
    brain: Bool[np.ndarray, "x y z"]
    brain_from: str
    tumour: Bool[np.ndarray, "x y z"] | None


def read_scan(subject: Subject, sequences: Sequence[str]) -> Scan:
    """Read the sequences of one visit with its brain mask and tumour labels.

    Raises:
        DataError: A sequence is missing, a file is bad, or grids differ.
    """
    for sequence in sequences:
        if sequence not in subject.scans:
            raise DataError(f"it has no {sequence}, only {', '.join(sorted(subject.scans))}.")
    volumes = [read_volume(subject.scans[sequence]) for sequence in sequences]
    for sequence, volume in zip(sequences, volumes, strict=True):
        if not volume.same_grid(volumes[0]):
            raise DataError(
                f"its {sequence} lies on another grid than its {sequences[0]}; as channels "
                "they must share one. Register and resample them first."
            )
    if subject.mask:
        brain, brain_from = _on_grid(subject.mask, volumes[0]) > 0.5, "mask"
    else:
        found = [cut.find_brain(volume) for volume in volumes]
        brain, brain_from = np.logical_or.reduce([mask for mask, _ in found]), found[0][1]
    if not brain.any():
        raise DataError("its brain mask is empty.")
    tumour = _on_grid(subject.tumour, volumes[0]) > 0.5 if subject.tumour else None
    return Scan(volumes, brain, brain_from, tumour)


def _on_grid(path: Path, volume: Volume) -> np.ndarray:
    labels = read_volume(path)
    if not labels.same_grid(volume):
        raise DataError(f"{path.name} lies on another grid than the scan.")
    return labels.voxels


def cut_scan(
    scan: Scan, subject: Subject, sequences: Sequence[str], plan: SlicePlan
) -> tuple[Float16[np.ndarray, "n c h w"], pd.DataFrame]:
    """Cut one visit's slices, with their rows but for the split.

    Raises:
        DataError: The brain is empty or has a single intensity, or indices are off.
    """
    first, axis = scan.volumes[0], NORMAL[plan.plane]
    chosen = cut.chosen_slices(first, scan.brain, plan)
    spacing = cut.pixel_spacing(first.spacing, plan.plane)
    brain = cut.upright(scan.brain, plan.plane)
    fitted = []
    for volume in scan.volumes:
        limits = cut.brain_limits(volume.voxels, scan.brain, plan.percentiles)
        stack = cut.upright(volume.voxels, plan.plane)[chosen]
        unit = cut.to_unit(stack, brain[chosen], limits)
        fitted.append(cut.fit_square(unit, spacing, cut.middle(brain), plan))
    images = np.stack([stack for stack, _ in fitted], axis=1).astype(np.float16)
    areas = _tumour_areas(scan.tumour, chosen, axis, spacing[0] * spacing[1])
    rows = [
        {
            "subject": subject.id,
            "session": subject.session,
            "sequence": "+".join(sequences),
            "plane": plan.plane,
            "index": (stored := first.stored_index(axis, index)),
            "id": f"{subject.name}_{'+'.join(sequences)}_{plan.plane}_{stored:03d}",
            "position_mm": round(cut.position_mm(first, axis, index), 2),
            "pixel_mm": round(fitted[0][1], 4),
            "tumour": tumour_word(area, plan.tumour_mm2),
            "tumour_mm2": area,
            "source": "simulated" if first.simulated else "real",
        }
        for index, area in zip(chosen, areas, strict=True)
    ]
    return images, pd.DataFrame(rows, columns=list(COLUMNS))


def _tumour_areas(
    tumour: Bool[np.ndarray, "x y z"] | None, chosen: list[int], axis: int, pixel_mm2: float
) -> list[float | None]:
    if tumour is None:
        return [None] * len(chosen)
    pixels = tumour.sum(tuple(other for other in range(3) if other != axis))
    return [round(float(pixels[index] * pixel_mm2), 2) for index in chosen]


def tumour_word(area: float | None, enough: float) -> str:
    """Say whether a slice shows tumour: yes, no, unclear, or unknown without a map."""
    if area is None:
        return "unknown"
    if area == 0:
        return "no"
    return "yes" if area >= enough else "unclear"


def _outcome_path(slices: Path, person: str) -> Path:
    return slices / f"parts/{safe_name(person)}.json"


def _origin(visits: list[Subject], split: str) -> str:
    """Give a fingerprint of the files that one person's slices are cut from."""
    files = [
        file
        for visit in visits
        for file in (*visit.scans.values(), visit.mask, visit.tumour)
        if file is not None
    ]
    marks = [f"{file.resolve()} {(s := file.stat()).st_size} {s.st_mtime_ns}" for file in files]
    return fingerprint([split, *sorted(marks)])


def _known(slices: Path, person: str, origin: str) -> bool:
    """Say whether an earlier call has cut all scans of a person, as they are now."""
    path = _outcome_path(slices, person)
    if not has_part(slices, safe_name(person)) or not path.is_file():
        return False
    outcome = Outcome.of(read_json(path), f"outcome of {person}")
    return outcome.origin == origin and not outcome.problems
