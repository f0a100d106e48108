"""The verbs for scans: simulate them, look at them, cut them into slices."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrgantry.cli.options import (
    Classes,
    Cluster,
    LabelMaps,
    Person,
    Repeats,
    Seed,
    Sequences,
    Series,
    TumourLabels,
    Workers,
    numbers,
    plan_size,
)
from mrgantry.cli.output import (
    print_table,
    recipe_for,
    say,
    say_next,
    say_preview,
    say_repeats,
    say_some,
)

if TYPE_CHECKING:
    from mrgantry.data.inspection import Inspection, Seen


def guide(
    scans: Annotated[Path, typer.Argument(help="Folder of scans, in whatever layout.")],
) -> None:
    """Look at a folder of scans, and print the whole way for it, with the options that fit.

    Nothing is written, and only names and a few scans are read: it takes seconds.
    """
    from mrgantry.workflows.guide import guide

    say(repr(guide(scans)))


def simulate(
    cohort: Annotated[Path, typer.Argument(help="Folder to write the cohort to.")],
    subjects: Annotated[int, typer.Option(help="How many people.", min=1)] = 20,
    seed: Seed = 0,
    healthy: Annotated[
        float, typer.Option(help="Share without tumour or stroke.", min=0, max=1)
    ] = 0.0,
    high_grade: Annotated[
        float, typer.Option(help="Share of the tumours that are high grade.", min=0, max=1)
    ] = 0.75,
    sequence: Annotated[
        list[str] | None,
        typer.Option(help="t1, t1c, t2 or flair; repeat for several. All four unless given."),
    ] = None,
    t1: Annotated[
        str | None,
        typer.Option(
            help="Scan T1 and T1c by mprage, spgr or se, or as kazuhiro2018 did, whose voxels all "
            "files then have. A mixture unless given."
        ),
    ] = None,
    visits: Annotated[
        int,
        typer.Option(
            help="Scan each person so often: same anatomy and labels, other protocol and noise.",
            min=1,
        ),
    ] = 1,
    twins: Annotated[
        bool, typer.Option("--twins", help="Scan each person with a tumour once more, without it.")
    ] = False,
    disease: Annotated[
        str,
        typer.Option(help="What the others have: tumour; or stroke, of which infarcts are left."),
    ] = "tumour",
    healthy_visits: Annotated[
        int | None, typer.Option(help="Scan healthy people so often instead.", min=1)
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda: the same people.")] = "cpu",
    workers: Workers = None,
    cluster: Cluster = None,
) -> None:
    """Simulate a multi-sequence brain tumour cohort in BRATS layout.

    It needs no patient data, tests software and teaches; it is no evidence about patients.
    """
    from mrgantry.simulation import simulate
    from mrgantry.simulation.contrast import SEQUENCES

    simulate(
        cohort,
        subjects,
        seed,
        healthy,
        tuple(sequence or SEQUENCES),
        high_grade=high_grade,
        t1=t1,
        visits=visits,
        twins=twins,
        disease=disease,
        healthy_visits=healthy_visits,
        device=device,
        workers=workers,
        cluster=cluster,
    )
    say(f"{cohort} holds {subjects} simulated subjects; look at {cohort / 'preview.png'}.")
    say_next("prepare", cohort, "slices", "--sequence", "t1")


def inspect(
    scans: Annotated[Path, typer.Argument(help="Folder of scans: BIDS, BRATS or plain.")],
    out: Annotated[Path, typer.Argument(help="Folder for the table and the contact sheet.")] = Path(
        "inspection"
    ),
    sequence: Sequences = None,
    tumour_labels: TumourLabels = None,
    person: Person = None,
    series: Series = None,
    workers: Workers = None,
    cluster: Cluster = None,
) -> None:
    """Look at a folder of scans: who is there, in what geometry, and what is wrong.

    The contact sheet shows in seconds whether everything is the right way up.
    """
    from mrgantry.data import inspect

    inspection = inspect(
        scans,
        out,
        sequence or (),
        tumour_labels,
        person,
        series or (),
        workers=workers,
        cluster=cluster,
    )
    kinds: dict[tuple[str, ...], list[str]] = {}
    for visit in inspection.visits:
        kind = (
            " ".join(visit.subject.scans),
            *_common(visit.rows, ("shape", "spacing_mm", "axes", "brain")),
            "yes" if visit.subject.tumour else "",
        )
        kinds.setdefault(kind, []).append(visit.subject.name)
    print_table(
        ("visits", "sequences", "shape", "mm", "axes", "brain", "tumour", "as"),
        [(str(len(names)), *kind, names[0]) for kind, names in kinds.items()],
    )
    remarks = [f"{v.subject.name} {remark}" for v in inspection.visits for remark in v.remarks]
    problems = [f"{v.subject.name} {problem}" for v in inspection.visits for problem in v.problems]
    say_some("Assumed", remarks, inspection.table)
    say_some("Wrong", problems, inspection.table)
    joining = say_copies(inspection, scans)
    if inspection.unused:
        few = ", ".join(str(path.relative_to(scans)) for path in inspection.unused[:3])
        say(f"Not used, {len(inspection.unused)} (names that tell nothing, second copies): {few}.")
    say(f"{inspection.table} lists every file.")
    people = len({visit.subject.id for visit in inspection.visits})
    counts = ", ".join(f"{name} of {count}" for name, count in inspection.counts.items())
    visits = f"{people} people, {len(inspection.visits)} visits" if people > 1 else "One person"
    say(f"{visits}: {counts}. Look at {inspection.sheet}.")
    given = [("--tumour-labels", tumour_labels), ("--person", person or joining)]
    given += [("--series", pattern) for pattern in series or ()]
    options = [part for option in given if option[1] for part in option]
    say_next("prepare", scans, "slices", "--sequence", next(iter(inspection.counts)), *options)


def prepare(
    scans: Annotated[Path, typer.Argument(help="Folder of scans: BIDS, BRATS or plain.")],
    slices: Annotated[
        Path, typer.Argument(help="Folder to write the set of slices or volumes to.")
    ],
    sequence: Sequences = None,
    pool: Annotated[
        bool, typer.Option("--pool", help="Several sequences: each slice shows one of them.")
    ] = False,
    channels: Annotated[
        bool, typer.Option("--channels", help="Several sequences: as channels of one slice.")
    ] = False,
    plane: Annotated[
        str,
        typer.Option(
            help="axial, coronal, sagittal; oblique: training then draws any of 48,510 poses of "
            "each head; or volume: whole heads, for generators of volumes."
        ),
    ] = "axial",
    which: Annotated[
        str,
        typer.Option(
            "--slices",
            help="80:150 counts along the stored axis, -20mm:30mm is in scanner space, 0.4:0.6 is "
            "part of the brain's extent; a third number takes every so many-th.",
        ),
    ] = "0.4:0.6",
    poses: Annotated[
        int, typer.Option(help="Oblique: poses of each head that are used for measuring.")
    ] = 50,
    centre_mm: Annotated[
        str | None,
        typer.Option(
            help="Oblique: where heads turn, as 0:-12:4, or a table of it (subject, x, y, z; and "
            "yaw, pitch, roll in degrees that bring a head to the AC-PC line); estimated for each "
            "head unless given."
        ),
    ] = None,
    size: Annotated[
        str,
        typer.Option(
            help="Height and width in pixels; of volumes, voxels from right to left, front to back "
            "and bottom to top, 64x72x64 unless given."
        ),
    ] = "64",
    voxel_mm: Annotated[
        float | None,
        typer.Option(
            help="Volumes: side of a voxel in mm; unless given, 216 mm over the number from front "
            "to back, as 3 of 64x72x64 and 1.5 of 128x144x128."
        ),
    ] = None,
    fit: Annotated[str, typer.Option(help="pad, crop or squash to a square.")] = "pad",
    field_mm: Annotated[
        float | None, typer.Option(help="Side of the square in mm, as 192.")
    ] = None,
    field_on: Annotated[
        str, typer.Option(help="Where that square is centred: brain or image.")
    ] = "brain",
    percentiles: Annotated[
        str, typer.Option(help="Percentiles of the brain that become black and white.")
    ] = "0.5:99.5",
    window: Annotated[
        str | None,
        typer.Option(help="Intensities that become black and white instead, as 0:80 for CT."),
    ] = None,
    min_brain: Annotated[
        float,
        typer.Option(
            help="Leave out slices with less than this share of brain; 0 leaves none out."
        ),
    ] = 0.1,
    resample_to: Annotated[
        str | None,
        typer.Option(help="Read all on one grid: a sequence's, as t1, or cubes, as 1mm."),
    ] = None,
    tumour_labels: TumourLabels = None,
    tumour_by: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a classifier kept by `mrgantry detect --keep`: it says which slices of "
            "scans without a label map show a tumour, which do not, and which are unclear."
        ),
    ] = None,
    person: Person = None,
    series: Series = None,
    vouch_sides: Annotated[
        bool,
        typer.Option(
            "--vouch-sides", help="Left and right are as stored, though headers do not say so."
        ),
    ] = False,
    label_maps: LabelMaps = False,
    classes: Classes = None,
    tumour_mm2: Annotated[
        float, typer.Option(help="Tumour area from which a slice is a tumour slice.")
    ] = 50.0,
    where: Annotated[
        list[str] | None, typer.Option(help="Only subjects with name=value, as grade=HGG.")
    ] = None,
    splits: Annotated[
        str, typer.Option(help="Shares of subjects to train, validate and test.")
    ] = "0.6:0.1:0.3",
    split_column: Annotated[
        str | None, typer.Option(help="Column of the subjects' table that names the split.")
    ] = None,
    seed: Seed = 0,
    repeats: Repeats = "keep",
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad scan.")] = False,
    synthetic: Annotated[
        bool,
        typer.Option(
            "--synthetic",
            help="Another program's generator drew these scans; ours say so themselves.",
        ),
    ] = False,
    made_by: Annotated[
        str | None, typer.Option(help="And its name; that of the folder unless given.")
    ] = None,
    trained_on: Annotated[
        Path | None,
        typer.Option(
            help="And the set, made by prepare or import, on whose training people it was trained."
        ),
    ] = None,
    workers: Workers = None,
    cluster: Cluster = None,
) -> None:
    """Cut scans into a set of slices or of whole heads, upright, scaled and split by subject.

    Interrupted, the same command goes on. Bad scans are skipped and listed.
    """
    from mrgantry.data import Generated, SlicePlan, prepare

    if pool and channels:
        raise typer.BadParameter("choose one of --pool and --channels")
    if len(sequence or []) > 1 and not (pool or channels):
        raise typer.BadParameter("several sequences need --pool or --channels")
    plan = SlicePlan.of(
        {
            "sequences": tuple(sequence or ["t1"]),
            "combine": "channels" if channels else "pool",
            "plane": plane,
            "slices": which,
            "poses": poses,
            "centre_mm": centre_mm
            if centre_mm is None or Path(centre_mm).is_file()
            else numbers(centre_mm, "--centre-mm", 3),
            **plan_size(size, plane),
            "voxel_mm": voxel_mm,
            "fit": fit,
            "field_mm": field_mm,
            "field_on": field_on,
            "percentiles": numbers(percentiles, "--percentiles", 2),
            "window": numbers(window, "--window", 2) if window else None,
            "min_brain": min_brain,
            "resample_to": resample_to,
            "tumour_labels": tumour_labels,
            "tumour_by": str(tumour_by) if tumour_by else None,
            "person": person,
            "series": tuple(series or ()),
            "vouch_sides": vouch_sides,
            "label_maps": label_maps,
            "classes": tuple(classes.split(",")) if classes else (),
            "tumour_mm2": tumour_mm2,
            "where": tuple(where or ()),
            "splits": numbers(splits, "--splits", 3),
            "split_column": split_column,
            "seed": seed,
            "repeats": repeats,
        },
        "plan",
    )
    if (made_by or trained_on) and not synthetic:
        raise typer.BadParameter("--made-by and --trained-on are said of --synthetic scans")
    label, generated = None, None
    if synthetic:
        generated = Generated.of_others(scans, made_by, trained_on)
    if tumour_by:
        from mrgantry.detection import Labeller

        label = Labeller.open(tumour_by).label
    data = prepare(
        scans,
        slices,
        plan,
        strict=strict,
        generated=generated,
        label=label,
        workers=workers,
        cluster=cluster,
    )
    say_some("Assumed", data.about.notes.assumed, slices / "about.json")
    say_some("Skipped", data.about.notes.skipped, slices / "about.json")
    say_repeats(
        data,
        "if they are one person, leave out one scan, or name both alike, in their folders or by "
        "--person, and make the set again; or say --repeats merge, or drop.",
    )
    what = "volumes" if data.about.voxels else "slices"
    counts = data.table.groupby("split", sort=False)["subject"].agg(["size", "nunique"])
    parts = [f"{row['size']:,} {split} ({row['nunique']})" for split, row in counts.iterrows()]
    if data.about.synthetic:
        heads = data.table["subject"].nunique()
        say(f"{slices} holds {len(data):,} synthetic {what} of {heads} heads.")
    else:
        say(f"{slices} holds {len(data):,} {what} (subjects): {', '.join(parts)}.")
    say_preview(data, "stand upright and are well lit")
    if data.about.poses:
        say(f"Training draws from {data.split('train').available:,} poses of its subjects.")
    if data.about.synthetic:
        say_next("evaluate", "slices", "scores", "--synthetic", slices)
    else:
        say_next("train", slices, "run", *recipe_for(data))


def say_copies(inspection: "Inspection", scans: Path) -> str:
    """Warn of scans of different people that look like one.

    Returns:
        The pattern for `--person` that joins all of them, "" if there is none.
    """
    from mrgantry.data.subjects import joining_pattern

    people = {visit.subject.name: visit.subject.id for visit in inspection.visits}
    subjects = [visit.subject for visit in inspection.visits]
    warnings, patterns = [], set()
    for copy in inspection.copies:
        pattern = joining_pattern(people[copy.first], people[copy.second], subjects, scans)
        patterns.add(pattern)
        remedy = f"join them by --person '{pattern}'" if pattern else "leave out one, or join them"
        warnings.append(f"{copy.first} and {copy.second} ({copy.alike:.2f} alike); {remedy}")
    say_some("Look like one scan of two people", warnings, inspection.sheet)
    return patterns.pop() if len(patterns) == 1 else ""


def _common(rows: "Sequence[Seen]", names: Sequence[str]) -> list[str]:
    """Give what all of a visit's files have in common, or how many kinds there are."""
    values = [{getattr(row, name) for row in rows if getattr(row, name)} for name in names]
    return [value.pop() if len(value) == 1 else f"{len(value)} kinds" for value in values]
