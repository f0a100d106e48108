"""Cut a folder of scans into a set of slices."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mrgantry.common.errors import DataError, RecipeError
from mrgantry.common.files import AnyPath, fingerprint, read_json, write_json
from mrgantry.common.frozen import Frozen
from mrgantry.common.progress import progress
from mrgantry.common.provenance import command_line, versions
from mrgantry.common.workers import each
from mrgantry.data.about import About, read_about
from mrgantry.data.formats import SIDELESS
from mrgantry.data.generated import Generated, read_generated, refuse_unsaid
from mrgantry.data.heads import keep_head
from mrgantry.data.label_maps import class_names, find_classes
from mrgantry.data.making import begin_set, finish, reopen
from mrgantry.data.notes import Notes
from mrgantry.data.parts import has_part, remove_part, safe_name, write_part
from mrgantry.data.plan import SlicePlan
from mrgantry.data.preview import draw_preview
from mrgantry.data.scan import read_scan
from mrgantry.data.sections import Sections, cut_stack, pose_head
from mrgantry.data.settle import settle_repeats
from mrgantry.data.slices import SPLITS, SliceSet
from mrgantry.data.subjects import Subject, find_subjects
from mrgantry.data.volume import parts_of

MAKERS = {"oblique": pose_head, "volume": keep_head}  # all other planes are cut
UNITS = {"index": "indices", "mm": "millimetres", "fraction": "parts of the brain"}


class PersonOutcome(Frozen):
    """What became of one person: how the brain was found, why scans were skipped, what was assumed.

    `origin` changes with the person's files and split: another origin is cut afresh.
    """

    origin: str = ""
    brain: str = ""
    simulated: bool = False
    synthetic: bool = False
    problems: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()


def prepare(
    scans: AnyPath,
    slices: AnyPath,
    plan: SlicePlan,
    *,
    strict: bool = False,
    generated: Generated | None = None,
    label: Callable[[SliceSet], SliceSet] | None = None,
    workers: int | None = None,
    cluster: str | None = None,
) -> SliceSet:
    """Cut every subject of a folder into slices, in parallel.

    A scan that cannot be used is skipped with its reason; the reasons stand in
    `about.json`, and who looks like one person under two names (`find_repeats`).
    `preview.png` shows some slices. Interrupted, the same call goes on where it stopped.

    Scans that `sample` drew, which `cohort.json` beside them says, become a set of synthetic
    slices, without splits.

    Args:
        scans: A BIDS, BRATS or plain folder of scans.
        slices: Folder to write the set to.
        plan: What to cut and how.
        strict: Stop at the first bad scan instead of skipping it.
        generated: The scans are synthetic, drawn by another program's generator.
        label: Labels slices that have no label, as `Labeller.label` of `detect`; the plan then
            says by `tumour_by` where that comes from.
        workers: Processes; defaults to one a core.
        cluster: Address of a Dask scheduler whose workers do the work instead.

    Raises:
        DataError: No subject can be used, or scans are synthetic by their headers and nobody
            says by what.
        RunError: The folder was made with another plan, or the cluster cannot be reached.
    """
    scans, slices = Path(scans), Path(slices)
    subjects_of_folder = find_subjects(
        scans, plan.sequences, plan.tumour_labels, plan.person, plan.series
    )
    subjects = choose(subjects_of_folder, plan, scans)
    generated = read_generated(scans) or generated
    if plan.label_maps and not plan.classes and generated:
        plan = plan.model_copy(update={"classes": generated.classes})
    if plan.label_maps and not plan.classes:
        maps = [subject.tumour for subject in subjects if subject.tumour]
        plan = plan.model_copy(update={"classes": find_classes(maps, workers)})
    about = About(
        channels=plan.channels,
        size=max(plan.voxels) if plan.plane == "volume" else plan.size,
        voxels=plan.voxels if plan.plane == "volume" else (),
        classes=class_names(plan.classes),
        command=command_line(
            "prepare",
            scans,
            slices,
            **plan.options(),
            strict=strict,
            **(generated.options if generated else {}),
        ),
        choices=plan.model_dump() | ({"made_by": generated.made_by} if generated else {}),
        versions=versions(),
        poses=plan.poses if plan.plane == "oblique" else 0,
        field_mm=plan.field if plan.plane == "oblique" else 0.0,
    )
    begin_set(slices, about)
    people: dict[str, list[Subject]] = {}
    for subject in subjects:
        people.setdefault(subject.id, []).append(subject)
    refuse_like_names(people)
    splits = dict.fromkeys(people, "") if generated else draw_splits(people, plan)
    tasks = [
        Task(person, visits, splits[person], _origin(visits, splits[person]))
        for person, visits in people.items()
    ]
    refuse_other_people(slices, people)
    todo = [task for task in tasks if not _known(slices, task)]
    if todo:
        reopen(slices)
    made_by = generated.made_by if generated else ""
    work = partial(_prepare_person, plan=plan, slices=slices, made_by=made_by)
    with progress("prepare", len(tasks), len(tasks) - len(todo)) as advance:
        for task, outcome in each(work, todo, workers, cluster, _lost):
            if outcome.synthetic and not generated:
                refuse_unsaid(scans)
            if strict and outcome.problems:
                raise DataError(outcome.problems[0])
            write_json(_outcome_path(slices, task.person), outcome.model_dump())
            advance(note=task.person)

    def settle(data: SliceSet) -> SliceSet:
        data = label(data) if label else data
        # No two synthetic heads are one person, however alike they are.
        return data if generated else settle_repeats(data, how=plan.repeats, threads=workers)

    about, parts = _joined(scans, slices, about, people)
    made = finish(slices, generated.describe(about) if generated else about, parts, settle)
    draw_preview(made)
    return made


def _joined(
    scans: Path, slices: Path, about: About, people: dict[str, list[Subject]]
) -> tuple[About, list[str]]:
    """Say of the parts of all people what was assumed and skipped, and name the parts.

    Args:
        scans: Where the scans lie.
        slices: The set's folder.
        about: How the set is made.
        people: The visits of each.
    """
    outcomes = [
        PersonOutcome.of(read_json(_outcome_path(slices, person)), f"outcome of {person}")
        for person in sorted(people)
    ]
    problems = [problem for outcome in outcomes for problem in outcome.problems]
    parts = [safe_name(person) for person in sorted(people) if has_part(slices, safe_name(person))]
    if not parts:
        raise DataError(f"No slice could be cut from {scans}: {problems[0]}")
    simulated = any(outcome.simulated for outcome in outcomes)
    brains = Counter(outcome.brain for outcome in outcomes if outcome.brain)
    remarks = [
        f"{visit.name}: {remark}"
        for person in sorted(people)
        for visit in people[person]
        for remark in visit.remarks
    ]
    remarks += [remark for outcome in outcomes for remark in outcome.assumed]
    notes = Notes(brain=dict(brains), skipped=tuple(problems), assumed=tuple(remarks))
    update = {"source": "simulated" if simulated else "real", "notes": notes}
    return about.model_copy(update=update), parts


def refuse_other_people(slices: Path, people: Iterable[str]) -> None:
    """Refuse to replace a finished set by one of other people.

    Raises:
        DataError: None of the set's people is among those of the scans.
    """
    people_of_set, people_of_scans = (
        set(read_about(slices).parts),
        {safe_name(person) for person in people},
    )
    if people_of_set and not people_of_set & people_of_scans:
        raise DataError(
            f"{slices} holds slices of other subjects "
            f"({', '.join(sorted(people_of_set)[:3])}, ...). Choose another folder, or "
            "delete this one."
        )


def refuse_like_names(people: Iterable[str]) -> None:
    """Refuse people whose names would give the same file.

    Raises:
        DataError: There are such.
    """
    names = Counter(safe_name(person).lower() for person in people)
    for person in people:
        if names[safe_name(person).lower()] > 1:
            raise DataError(f"The name of subject {person!r} is too like another's; rename one.")


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
        known: dict[str, set[str]] = {}
        for subject in subjects:
            for name, value in subject.attributes.items():
                known.setdefault(name, set()).add(value)
        known_values = [
            f"{name} ({', '.join(sorted(values))})" if len(values) < 6 else name
            for name, values in sorted(known.items())
        ]
        raise DataError(
            f"No subject of {scans} meets {' and '.join(plan.where)}. "
            f"Known attributes: {', '.join(known_values) or 'none'}."
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


@dataclass(frozen=True)
class Task:
    """One person's work, as it is handed to another process."""

    person: str
    visits: list[Subject]
    split: str
    origin: str


def _prepare_person(task: Task, plan: SlicePlan, slices: Path, made_by: str) -> PersonOutcome:
    """Cut all visits of one person and write the part; never raise for a bad scan.

    Args:
        task: Whose scans.
        plan: What to cut and how.
        slices: Folder of the set.
        made_by: The generator that drew the scans, "" if they are people's.
    """
    remove_part(slices, safe_name(task.person))  # of other files or another split
    sections: list[Sections] = []
    problems = []
    assumed: dict[str, None] = {}
    brain, simulated, synthetic = "", False, False
    for visit in task.visits:
        for sequences in _images_of(plan):
            try:
                scan = read_scan(visit, sequences, plan)
                made = MAKERS.get(plan.plane, cut_stack)(scan, visit, sequences, plan)
            except DataError as error:
                problems.append(f"{visit.name} {'+'.join(sequences)} was skipped: {error}")
                continue
            if scan.assumed:
                assumed[f"{visit.name}: {scan.assumed}"] = None
            for sequence, volume in zip(sequences, scan.volumes, strict=True):
                if volume.assumed and not (plan.vouch_sides and volume.assumed == SIDELESS):
                    assumed[f"{visit.name} {sequence}: {volume.assumed}"] = None
            brain, simulated = scan.brain_from, simulated or scan.volumes[0].simulated
            synthetic |= scan.volumes[0].synthetic
            sections.append(made)
    if sum(len(made.rows) for made in sections):
        table = pd.concat([made.rows for made in sections])
        table["split"] = task.split
        if made_by:
            table = table.assign(source="synthetic", made_by=made_by)
        pixels: list[Any] = [made.images for made in sections]
        maps: list[Any] = [made.maps for made in sections]
        join = list if plan.plane == "oblique" else np.concatenate
        joined = join(maps) if plan.label_maps else None
        write_part(slices, safe_name(task.person), join(pixels), table, joined)
    elif not problems:
        problems.append(
            f"{task.person} was skipped: no slice holds enough brain (the slices {plan.slices} "
            f"are read as {UNITS[plan.extent.unit]})."
        )
    return PersonOutcome(
        origin=task.origin,
        brain=brain,
        simulated=simulated,
        synthetic=synthetic,
        problems=tuple(problems),
        assumed=tuple(assumed),
    )


def _lost(task: Task) -> PersonOutcome:
    """Say of a person whose scans killed the process that read them, that they did."""
    return PersonOutcome(
        origin=task.origin,
        problems=(
            f"{task.person} was skipped: the process that read it died. Its files are damaged, "
            "or memory ran out; try it again with --workers 1.",
        ),
    )


def _images_of(plan: SlicePlan) -> list[tuple[str, ...]]:
    """List which sequences make one image: all as channels, or each by itself."""
    if plan.combine == "channels":
        return [plan.sequences]
    return [(sequence,) for sequence in plan.sequences]


def _outcome_path(slices: Path, person: str) -> Path:
    return slices / f"parts/{safe_name(person)}.json"


def _origin(visits: list[Subject], split: str) -> str:
    """Give a fingerprint of the files that one person's slices are cut from."""
    files = [
        part
        for visit in visits
        for file in (*visit.scans.values(), visit.mask, visit.tumour)
        if file is not None
        for part in parts_of(file)
    ]
    return fingerprint([split, *sorted(map(_mark, files))])


def _mark(file: Path) -> str:
    """Name a file with what changes when it does. A link to nothing is found out when read."""
    if not file.exists():
        return str(file)
    state = file.stat()
    return f"{file.resolve()} {state.st_size} {state.st_mtime_ns}"


def _known(slices: Path, task: Task) -> bool:
    """Say whether an earlier call has cut all scans of a person, as they are now."""
    path = _outcome_path(slices, task.person)
    if not has_part(slices, safe_name(task.person)) or not path.is_file():
        return False
    outcome = PersonOutcome.of(read_json(path), f"outcome of {task.person}")
    return outcome.origin == task.origin and not outcome.problems
