"""The command line: each verb parses its words, calls one function, prints what next.

Nothing heavy is imported here before a verb needs it, so that help comes at once.
"""

import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from mrgantry import __version__
from mrgantry.common.errors import MrgantryError
from mrgantry.common.speaker import speaks

if TYPE_CHECKING:
    from mrgantry.data.inspect import Seen
    from mrgantry.gan.recipe import Recipe

app = typer.Typer(
    name="mrgantry",
    help="Make synthetic brain MR images from your own scans, and find out whether they are "
    "any good.",
    epilog="Try it without any data: mrgantry demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Workers = Annotated[int | None, typer.Option(help="Processes; one a core unless given.", min=1)]
INTERRUPTED = 130  # the exit status of what Ctrl-C has ended
SAID = 12  # lines of one kind that are printed
Cluster = Annotated[
    str | None, typer.Option(help="Address of a Dask scheduler to work on, as tcp://host:8786.")
]
TumourLabels = Annotated[
    str | None,
    typer.Option(
        help="Names of tumour label maps, as '*lesion*'; unless given, those of BRATS layouts."
    ),
]
Person = Annotated[
    str | None,
    typer.Option(
        help="Regular expression whose group finds the person in a scan's path (a second group: "
        "the visit), as '^([^/]+)/'; unless given, names of folders and files tell."
    ),
]
Sequences = Annotated[
    list[str] | None, typer.Option(help="t1, t1c, t2, flair or pd; repeat for several.")
]
Seed = Annotated[int, typer.Option(help="Seed of all draws.", min=0)]


def _example(text: str) -> str:
    return f"Example: {text}"


@app.command(epilog=_example("mrgantry simulate cohort --subjects 50 --visits 2 --twins"))
def simulate(
    cohort: Annotated[Path, typer.Argument(help="Folder to write the cohort to.")],
    subjects: Annotated[int, typer.Option(help="How many people.", min=1)] = 20,
    seed: Seed = 0,
    healthy: Annotated[float, typer.Option(help="Share without tumour.", min=0, max=1)] = 0.0,
    high_grade: Annotated[
        float, typer.Option(help="Share of the tumours that are high grade.", min=0, max=1)
    ] = 0.75,
    sequence: Annotated[
        list[str] | None,
        typer.Option(help="t1, t1c, t2 or flair; repeat for several. All four unless given."),
    ] = None,
    t1: Annotated[
        str | None,
        typer.Option(help="Scan T1 and T1c by mprage, spgr or se. A mixture unless given."),
    ] = None,
    visits: Annotated[
        int,
        typer.Option(
            help="Scan each person so often: same anatomy and labels, other protocol and noise.",
            min=1,
        ),
    ] = 1,
    twins: Annotated[
        bool,
        typer.Option("--twins", help="Scan each person with a tumour once more, without it."),
    ] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda: the same people.")] = "cpu",
    workers: Workers = None,
    cluster: Cluster = None,
) -> None:
    """Simulate a multi-sequence brain tumour cohort in BRATS layout.

    It needs no patient data, tests software and teaches; it is no evidence about patients.
    """
    from mrgantry.simulate import simulate
    from mrgantry.simulate.contrast import SEQUENCES

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
        device=device,
        workers=workers,
        cluster=cluster,
    )
    _say(f"{cohort} holds {subjects} simulated subjects; look at {cohort / 'preview.png'}.")
    _next("prepare", cohort, "slices", "--sequence", "t1")


@app.command(epilog=_example("mrgantry inspect scans"))
def inspect(
    scans: Annotated[Path, typer.Argument(help="Folder of scans: BIDS, BRATS or plain.")],
    out: Annotated[Path, typer.Argument(help="Folder for the table and the contact sheet.")] = Path(
        "inspection"
    ),
    sequence: Sequences = None,
    tumour_labels: TumourLabels = None,
    person: Person = None,
    workers: Workers = None,
    cluster: Cluster = None,
) -> None:
    """Look at a folder of scans: who is there, in what geometry, and what is wrong.

    The contact sheet shows in seconds whether everything is the right way up.
    """
    from mrgantry.data import inspect

    found = inspect(
        scans, out, sequence or (), tumour_labels, person, workers=workers, cluster=cluster
    )
    kinds: dict[tuple[str, ...], list[str]] = {}
    for visit in found.visits:
        kind = (
            " ".join(visit.subject.scans),
            *_common(visit.rows, ("shape", "spacing_mm", "axes", "brain")),
            "yes" if visit.subject.tumour else "",
        )
        kinds.setdefault(kind, []).append(visit.subject.name)
    _table(
        ("visits", "sequences", "shape", "mm", "axes", "brain", "tumour", "as"),
        [(str(len(names)), *kind, names[0]) for kind, names in kinds.items()],
    )
    remarks = [f"{v.subject.name} {told}" for v in found.visits for told in v.subject.remarks]
    problems = [f"{v.subject.name} {told}" for v in found.visits for told in v.problems]
    _say_some("Assumed", remarks, found.table)
    _say_some("Wrong", problems, found.table)
    if found.unused:
        few = ", ".join(str(path.relative_to(scans)) for path in found.unused[:3])
        _say(f"Not used, {len(found.unused)} (names that tell nothing, second copies): {few}.")
    _say(f"{found.table} lists every file.")
    people = len({visit.subject.id for visit in found.visits})
    counts = ", ".join(f"{name} of {count}" for name, count in found.counts.items())
    visits = f"{people} people, {len(found.visits)} visits" if people > 1 else "One person"
    _say(f"{visits}: {counts}. Look at {found.sheet}.")
    _next("prepare", scans, "slices", "--sequence", next(iter(found.counts)))


@app.command(
    epilog=_example(
        "mrgantry prepare scans slices --sequence t1 --plane axial --slices 0.4:0.6 --size 64"
    )
)
def prepare(
    scans: Annotated[Path, typer.Argument(help="Folder of scans: BIDS, BRATS or plain.")],
    slices: Annotated[Path, typer.Argument(help="Folder to write the set of slices to.")],
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
            help="axial, coronal, sagittal, or oblique: training then draws any of 48,510 poses "
            "of each head."
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
        typer.Option(help="Oblique: where heads turn, as 0:-12:4; estimated unless given."),
    ] = None,
    size: Annotated[int, typer.Option(help="Height and width in pixels.")] = 64,
    fit: Annotated[str, typer.Option(help="pad, crop or squash to a square.")] = "pad",
    field_mm: Annotated[
        float | None, typer.Option(help="Side of the square in mm, centred on the brain.")
    ] = None,
    percentiles: Annotated[
        str, typer.Option(help="Percentiles of the brain that become black and white.")
    ] = "0.5:99.5",
    min_brain: Annotated[
        float, typer.Option(help="Leave out slices with less than this share of brain.")
    ] = 0.1,
    resample_to: Annotated[
        str | None,
        typer.Option(help="Read all on one grid: a sequence's, as t1, or cubes, as 1mm."),
    ] = None,
    tumour_labels: TumourLabels = None,
    person: Person = None,
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
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad scan.")] = False,
    workers: Workers = None,
    cluster: Cluster = None,
) -> None:
    """Cut scans into a set of slices, upright, scaled and split by subject.

    Interrupted, the same command goes on. Bad scans are skipped and listed.
    """
    from mrgantry.data import SlicePlan, prepare

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
            "centre_mm": _numbers(centre_mm, "--centre-mm", 3) if centre_mm else None,
            "size": size,
            "fit": fit,
            "field_mm": field_mm,
            "percentiles": _numbers(percentiles, "--percentiles", 2),
            "min_brain": min_brain,
            "resample_to": resample_to,
            "tumour_labels": tumour_labels,
            "person": person,
            "tumour_mm2": tumour_mm2,
            "where": tuple(where or ()),
            "splits": _numbers(splits, "--splits", 3),
            "split_column": split_column,
            "seed": seed,
        },
        "plan",
    )
    made = prepare(scans, slices, plan, strict=strict, workers=workers, cluster=cluster)
    _say_some("Assumed", made.about.notes["assumed"], slices / "about.json")
    _say_some("Skipped", made.about.notes["skipped"], slices / "about.json")
    counts = made.table.groupby("split", sort=False)["subject"].agg(["size", "nunique"])
    parts = [f"{row['size']:,} {split} ({row['nunique']})" for split, row in counts.iterrows()]
    _say(f"{slices} holds {len(made):,} slices (subjects): {', '.join(parts)}.")
    if made.about.poses:
        _say(f"Training draws from {made.split('train').available:,} poses of its subjects.")
    _next("train", slices, "run", "--recipe", "demo")


@app.command(epilog=_example("mrgantry train slices run --recipe demo --set images=20000"))
def train(
    slices: Annotated[Path, typer.Argument(help="Set of slices; its split 'train' is used.")],
    run: Annotated[Path, typer.Argument(help="Folder of the run.")],
    recipe: Annotated[str, typer.Option(help="A name that `mrgantry recipes` lists.")] = "demo",
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a value: images=20000, lr=1e-4, loss=dragan."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Only slices with column=value, as tumour=yes.")
    ] = None,
    devices: Annotated[int, typer.Option(help="Processes, one a GPU.", min=1)] = 1,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the networks; pays on a GPU.")
    ] = False,
) -> None:
    """Train a generative adversarial network on a set of slices.

    The same command resumes a run that was interrupted, exactly where it stopped.
    """
    from mrgantry.gan import train
    from mrgantry.papers import find_recipe

    chosen = find_recipe(recipe).set(changes or [])
    done = train(slices, run, chosen, only=only or [], devices=devices, compiled=compiled)
    _say(f"{run} has seen {done.images:,} images; look at the pictures in {run / 'samples'}.")
    _next("sample", run, "synthetic", "--count", "1000")


@app.command(epilog=_example("mrgantry sample run synthetic --count 1000 --seed 0"))
def sample(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run.")],
    out: Annotated[Path, typer.Argument(help="Folder to write the set of slices to.")],
    count: Annotated[int, typer.Option(help="How many images.", min=1)] = 1000,
    seed: Annotated[int, typer.Option(help="Image i is drawn from seed SEED + i.", min=0)] = 0,
    label: Annotated[
        list[str] | None,
        typer.Option(
            help="Of a conditional run: tumour=yes; as frequent as in training unless given."
        ),
    ] = None,
) -> None:
    """Draw a set of synthetic slices from a run."""
    from mrgantry.gan import sample

    made = sample(run, out, count, seed, labels=label or [])
    _say(f"{out} holds {len(made):,} synthetic slices.")
    _next("evaluate", "slices", "scores", "--synthetic", out)


@app.command(epilog=_example("mrgantry walk run walked --seeds 0 --seeds 1 --steps 20"))
def walk(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run.")],
    out: Annotated[Path, typer.Argument(help="Folder to write pictures to.")],
    seeds: Annotated[
        list[int] | None,
        typer.Option(help="Where to start, pass and end; repeat. 0 and 1 unless given.", min=0),
    ] = None,
    steps: Annotated[
        int, typer.Option(help="Images from one seed to the next, both included.", min=2)
    ] = 20,
    method: Annotated[
        str | None,
        typer.Option(
            help="spherical or linear; unless given, linear where latents are uniform, else "
            "spherical."
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            help="Of a conditional run, as tumour=yes. One label holds for the whole walk: where "
            "several are left, that of the first seed."
        ),
    ] = None,
    gif_seconds: Annotated[
        float, typer.Option(help="How long the animation takes, there and back.", min=0.1)
    ] = 4.0,
) -> None:
    """Walk through latent space from the image of one seed to that of another.

    Smooth changes speak for what was learnt; rests and jumps hint at memorised images.
    """
    from mrgantry.gan import walk

    done = walk(run, out, seeds or (0, 1), steps, method, label or (), gif_seconds)
    _say(
        f"{out} holds {len(done.table)} images of a {done.method} walk; look at "
        f"{out / 'walk.gif'} and {out / 'strip.png'}."
    )
    _say(
        f"The largest change between neighbours is {done.jump:.1f} times the median one; far more "
        "than 1 is a jump."
    )
    _next("project", run, "slices", "projection")


@app.command(epilog=_example("mrgantry project run slices projection --count 8"))
def project(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run.")],
    slices: Annotated[Path, typer.Argument(help="The set of slices that it was trained on.")],
    out: Annotated[Path, typer.Argument(help="Folder to write to.")],
    count: Annotated[
        int, typer.Option(help="Slices of each split, of as many subjects as possible.", min=1)
    ] = 8,
    split: Annotated[
        list[str] | None,
        typer.Option(help="train, validation, test or all; repeat. train and test unless given."),
    ] = None,
    steps: Annotated[int, typer.Option(help="Steps of the search.", min=1)] = 300,
    restarts: Annotated[
        int, typer.Option(help="Random starts for each slice; the best is kept.", min=1)
    ] = 4,
    id: Annotated[
        list[str] | None,
        typer.Option(help="Project this slice, whatever its split; repeat for several."),
    ] = None,
    seed: Seed = 0,
) -> None:
    """Find the latents whose images come nearest to real slices.

    Held-out slices that are reconstructed worse than training slices are a sign of overfitting.
    Interrupted, the same command goes on.
    """
    from mrgantry.gan import project

    splits = split or ("train", "test")
    done = project(run, slices, out, count, splits, steps, restarts, id or (), seed)
    _table(
        ("split", "slices", "subjects", "median RMSE", "median correlation"),
        [
            (name or "none", str(n), str(people), f"{rmse:.3f}", f"{correlation:.3f}")
            for name, n, people, rmse, correlation in done.medians().itertuples()
        ],
    )
    _say(done.verdict)
    _say(f"{out / 'projection.csv'} lists the slices; look at {out / 'project.png'}.")
    _next("walk", run, "walked")


@app.command(epilog=_example("mrgantry export synthetic pictures --format png"))
def export(
    slices: Annotated[Path, typer.Argument(help="A set of slices, real or synthetic.")],
    out: Annotated[Path, typer.Argument(help="Empty folder to write files to.")],
    format: Annotated[
        str,
        typer.Option(
            help="png (8 bit), png16 (16 bit), or float32 in [-1, 1] as tiff, npy or nifti, which "
            "places each slice in scanner mm."
        ),
    ] = "png",
    split: Annotated[str, typer.Option(help="train, validation, test or all.")] = "all",
) -> None:
    """Write every slice as a file named by its id, with a table of their rows.

    `mrgantry import` takes the folder back as it was.
    """
    from mrgantry.data import export

    _say(f"{out} holds {export(slices, out, format, split):,} files; slices.csv describes them.")


@app.command("import", epilog=_example("mrgantry import pictures others --pixel-mm 1"))
def import_(
    folder: Annotated[
        Path, typer.Argument(help="Folder of PNG, JPEG, TIFF, .npy or NIfTI slices.")
    ],
    slices: Annotated[Path, typer.Argument(help="Folder to write the set of slices to.")],
    values: Annotated[
        str,
        typer.Option(
            "--range",
            help="Stored values that become black and white: auto takes pictures by their full "
            "range and floats by what they hold, percentiles scales each image by itself, "
            "0:255 names them.",
        ),
    ] = "auto",
    size: Annotated[
        int | None, typer.Option(help="Pad to a square and resize; as they are unless given.")
    ] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option(help="Join ID_t1.png and ID_flair.png: --channel t1 --channel flair."),
    ] = None,
    sequence: Annotated[str | None, typer.Option(help="What the images show, as t1.")] = None,
    plane: Annotated[
        str | None, typer.Option(help="axial, coronal or sagittal, if the files do not say it.")
    ] = None,
    pixel_mm: Annotated[
        float | None, typer.Option(help="Side of a pixel, if the files do not say it.")
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(
            help="CSV by 'file' or 'id' with subject, split, tumour ...; FOLDER/slices.csv "
            "unless given."
        ),
    ] = None,
    subject: Annotated[
        str | None,
        typer.Option(help="Regular expression whose group finds the subject: '(OAS1_[0-9]+)_'."),
    ] = None,
    real: Annotated[
        bool, typer.Option("--real", help="The images are of people, not of a generator.")
    ] = False,
    simulated: Annotated[
        bool, typer.Option("--simulated", help="They stem from simulated scans.")
    ] = False,
    made_by: Annotated[
        str | None, typer.Option(help="The generator; the folder's name unless given.")
    ] = None,
    turn: Annotated[
        int,
        typer.Option(
            help="Degrees clockwise: 90, 180 or 270. Arrays (x, y) of scans lie on their side: "
            "--turn 270 --mirror if they are RAS, --turn 90 --mirror if LPS."
        ),
    ] = 0,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Exchange left and right, after turning.")
    ] = False,
    splits: Annotated[
        str, typer.Option(help="Shares of subjects to train, validate and test; with --real.")
    ] = "0.6:0.1:0.3",
    seed: Seed = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad file.")] = False,
) -> None:
    """Take images of other generators, or real slices, into a set of slices.

    With --real, each image needs a subject: from a table, from its name, or from the folder that
    it lies in. Bad files are skipped and listed; interrupted, the same command goes on.
    """
    from mrgantry.data import ImportPlan, import_slices

    options = {
        "range": values,
        "size": size,
        "channel": tuple(channel or ()),
        "sequence": sequence,
        "plane": plane,
        "pixel_mm": pixel_mm,
        "table": table,
        "subject": subject,
        "real": real,
        "simulated": simulated,
        "made_by": made_by,
        "turn": turn,
        "mirror": mirror,
        "splits": _numbers(splits, "--splits", 3),
        "seed": seed,
    }
    made = import_slices(folder, slices, ImportPlan.of(options, "import"), strict=strict)
    notes = made.about.notes
    for problem in notes["skipped"]:
        _say(f"Skipped: {problem}")
    for remark in notes["assumed"]:
        _say(f"Note: {remark}")
    _say(f"{slices} holds {len(made):,} slices of {made.about.size} pixels ({notes['range']}).")
    _say(f"See in {slices / 'preview.png'} whether they stand upright and are well lit.")
    if made.about.synthetic:
        _next("evaluate", "slices", "scores", "--synthetic", slices)
    else:
        _next("train", slices, "run", "--recipe", "demo")


@app.command(epilog=_example("mrgantry evaluate slices scores --synthetic synthetic"))
def evaluate(
    real: Annotated[Path, typer.Argument(help="Set of real slices, with splits.")],
    out: Annotated[Path, typer.Argument(help="Folder to write scores to.")],
    synthetic: Annotated[
        list[Path] | None, typer.Option(help="Set of synthetic slices; repeat for several.")
    ] = None,
    against: Annotated[
        str, typer.Option(help="Split of REAL to compare with: test, validation, train or all.")
    ] = "test",
    seed: Seed = 0,
) -> None:
    """Measure synthetic slices against held-out real ones, each score with its interval.

    Beside every score stands its floor: what real slices of other subjects score.
    """
    from mrgantry.evaluate import evaluate

    if not synthetic:
        raise typer.BadParameter("name at least one set with --synthetic")
    scores = evaluate(real, out, synthetic, against=against, seed=seed)
    _table(
        ("score", "of", "synthetic", "95 % interval", "real"),
        [
            (
                one.name,
                one.features,
                f"{one.value:.3g}",
                f"{one.low:.3g} to {one.high:.3g}",
                f"{one.floor:.3g}",
            )
            for one in scores
        ],
    )
    _next("report", "report.html", real, "run", *synthetic, out)


@app.command(
    epilog=_example(
        "mrgantry compare slices comparison --recipe han2018-dcgan-64 --recipe han2018-wgan-64 "
        "--recipe demo --seeds 3 --minutes 10"
    )
)
def compare(
    slices: Annotated[Path, typer.Argument(help="Set of real slices, with splits.")],
    out: Annotated[Path, typer.Argument(help="Folder to write runs, scores and the page to.")],
    recipe: Annotated[
        list[str] | None, typer.Option(help="A name that `mrgantry recipes` lists; two or more.")
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(
            help="Runs of each recipe. One tells little: luck differs as much as recipes do.", min=1
        ),
    ] = 3,
    minutes: Annotated[float, typer.Option(help="Of training for each run.", min=0.01)] = 10.0,
    count: Annotated[int, typer.Option(help="Images to score of each run.", min=2)] = 1000,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Change a value of all recipes: lr=1e-4.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Train on slices with column=value alone, as tumour=yes."),
    ] = None,
    against: Annotated[
        str, typer.Option(help="Split to compare with: test, validation, train or all.")
    ] = "test",
) -> None:
    """Train recipes for equally long, with several seeds each, and compare their scores.

    Each recipe is timed first, and a faster one sees more images. A recipe is called better than
    another only if its worst seed beats the other's best. Interrupted, the same command goes on;
    with a greater --seeds it adds runs. It takes recipes x seeds x (minutes + 1 or 2 to score).
    """
    from mrgantry.papers import find_recipe
    from mrgantry.papers.compare import compare

    chosen = [find_recipe(name) for name in recipe or []]
    found = compare(
        slices,
        out,
        chosen,
        seeds=seeds,
        minutes=minutes,
        count=count,
        changes=changes or [],
        only=only or [],
        against=against,
        say=_say,
    )
    head, rows = found.table()
    _table(head, rows)
    for run in found.outcomes:
        if run.failed:
            _say(f"Failed: {run.recipe} seed {run.seed}. {run.failed}")
    _say(f"Look at {out / 'comparison.html'}.")


@app.command(epilog=_example("mrgantry report report.html slices run synthetic scores"))
def report(
    out: Annotated[Path, typer.Argument(help="The HTML page to write.")],
    folders: Annotated[
        list[Path], typer.Argument(help="Cohort, slices, runs, synthetic sets and scores.")
    ],
) -> None:
    """Put what lies in some folders on one self-contained HTML page."""
    from mrgantry.report import report

    report(out, folders)
    _say(f"{out} is written; open it in a browser.")


@app.command(epilog=_example("mrgantry recipes han2018-dcgan-64"))
def recipes(
    name: Annotated[str | None, typer.Argument(help="Print this one whole.")] = None,
) -> None:
    """List the recipes, or print one whole.

    SIZE stands for one of the sizes, and a variant is written behind it:
    delplace2020-dcgan-dragan-256-coded. `train --set` changes any value: --set loss=wgangp.
    """
    from mrgantry.papers import RECIPES, find_recipe

    if name:
        typer.echo(find_recipe(name).model_dump_json(indent=2))
        return
    families: dict[str, list[Recipe]] = {}
    for one in RECIPES.values():
        family = one.name.partition(f"-{one.size}")[0]
        families.setdefault(family, []).append(one)
    _table(
        ("recipe", "sizes", "variants", "network", "loss", "images", "batch"),
        [
            (
                f"{family}-SIZE" if str(some[0].size) in some[0].name else family,
                " ".join(map(str, dict.fromkeys(one.size for one in some))),
                " ".join(dict.fromkeys(one.variant or "" for one in some)),
                some[0].network.kind,
                some[0].loss.kind,
                f"{max(one.images for one in some if one.variant == some[0].variant):,}",
                str(some[0].batch),
            )
            for family, some in families.items()
        ],
    )


@app.command(epilog=_example("mrgantry demo"))
def demo(
    out: Annotated[Path, typer.Argument(help="Folder to write everything to.")] = Path("demo"),
) -> None:
    """Do everything, small: simulate, prepare, train, sample, evaluate, report.

    It takes minutes on a laptop, without a GPU and without data.
    """
    from mrgantry.papers.demo import demo

    page = demo(out, say=_say)
    _say(f"Open {page} in a browser.")


def _common(rows: "Sequence[Seen]", names: Sequence[str]) -> list[str]:
    """Give what all of a visit's files have in common, or how many kinds there are."""
    values = [{getattr(row, name) for row in rows if getattr(row, name)} for name in names]
    return [found.pop() if len(found) == 1 else f"{len(found)} kinds" for found in values]


def _numbers(text: str, option: str, count: int) -> tuple[float, ...]:
    try:
        numbers = tuple(float(number) for number in text.split(":"))
    except ValueError:
        numbers = ()
    if len(numbers) != count:
        raise typer.BadParameter(f"{option} takes {count} numbers between colons, not {text!r}")
    return numbers


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for name in head:
        # What does not fit goes on, nothing is cut; the first column holds names to copy.
        table.add_column(name, overflow="fold", no_wrap=name == head[0])
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def _say_some(what: str, lines: Sequence[str], where: Path) -> None:
    """Print the first lines of what may be many."""
    for line in lines[:SAID]:
        _say(f"{what}: {line}")
    if len(lines) > SAID:
        _say(f"{what}: {len(lines) - SAID} more, see {where}.")


def _say(text: str) -> None:
    if speaks():
        typer.echo(text, err=True)


def _next(*words: object) -> None:
    _say(f"Next: mrgantry {shlex.join(map(str, words))}")


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> NoReturn:
    """Run the command line; a user's mistake ends in one sentence and status 1."""
    level = logging.WARNING if speaks() else logging.ERROR
    logging.basicConfig(level=level, format="%(message)s")
    try:
        app()
    except MrgantryError as error:
        _say(f"mrgantry: {error}")
        sys.exit(1)
    except SystemExit as error:  # Typer turns an interruption into this
        if error.code == INTERRUPTED:
            _say("mrgantry: stopped. Run the same command again to go on.")
        raise
    sys.exit(0)


if __name__ == "__main__":
    main()
