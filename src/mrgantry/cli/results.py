"""The verbs for judging: scores, comparisons of recipes, the page, and the demonstration."""

from pathlib import Path
from typing import Annotated

import typer

from mrgantry.cli.options import Features, Seed, Workers
from mrgantry.cli.output import print_table, say, say_next


def evaluate(
    real: Annotated[Path, typer.Argument(help="Set of real slices, with splits.")],
    out: Annotated[Path, typer.Argument(help="Folder to write scores to.")],
    synthetic: Annotated[
        list[Path] | None, typer.Option(help="Set of synthetic slices; repeat for several.")
    ] = None,
    against: Annotated[
        str, typer.Option(help="Split of REAL to compare with: test, validation, train or all.")
    ] = "test",
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Only real slices with column=value, as tumour=yes: what `train --only` or "
            "`sample --label` was told."
        ),
    ] = None,
    features: Features = None,
    groups: Annotated[
        str, typer.Option(help="Column, such as tumour, whose values the t-SNE map shows apart.")
    ] = "",
    maps: Annotated[bool, typer.Option(help="Lay the images out by t-SNE, for the report.")] = True,
    draws: Annotated[
        int | None,
        typer.Option(
            help="Half-samples at most; unless given, 40, or 10 for Delplace's. Fewer are "
            "faster, and intervals rougher.",
            min=2,
        ),
    ] = None,
    seed: Seed = 0,
) -> None:
    """Measure synthetic slices against held-out real ones, each score with its interval.

    First come three answers: can the images be told from real ones, is variety missing, are there
    copies of training images? "Cannot tell" means that there are too few people to say no. Then
    every score, beside what real slices of other subjects score by the same rule. Several sets are
    compared with each other, too.
    """
    from mrgantry.evaluation import evaluate
    from mrgantry.evaluation.differences import differences
    from mrgantry.evaluation.verdict import read_verdicts, sentences

    if not synthetic:
        raise typer.BadParameter("name at least one set with --synthetic")
    scores = evaluate(
        real,
        out,
        synthetic,
        against=against,
        seed=seed,
        only=only or [],
        features=features or [],
        groups=groups,
        maps=maps,
        draws=draws,
    )
    for answers in read_verdicts(out):
        say(f"{answers.set}:")
        for sentence in sentences(answers):
            say(f"  {sentence}")
    for name in dict.fromkeys(score.synthetic for score in scores):
        print_table(
            (name, "of", "synthetic", "95 % interval", "real", "95 % interval", ""),
            [
                (
                    score.name,
                    score.features,
                    f"{score.value:.3g}",
                    f"{score.low:.3g} to {score.high:.3g}",
                    f"{score.floor:.3g}",
                    f"{score.floor_low:.3g} to {score.floor_high:.3g}",
                    "" if score.verdict == "alike" else score.verdict,
                )
                for score in scores
                if score.synthetic == name
            ],
        )
    pairs = differences(scores)
    if pairs:
        clear = [difference for difference in pairs if difference.nearer]
        say(f"{len(clear)} of {len(pairs)} differences between sets are larger than chance:")
        print_table(
            ("score", "of", "nearer to real", "than", "difference", "95 % interval"),
            [
                (
                    difference.score,
                    difference.features,
                    difference.nearer,
                    difference.other if difference.nearer == difference.one else difference.one,
                    f"{abs(difference.value):.3g}",
                    " to ".join(
                        f"{end:.3g}" for end in sorted((abs(difference.low), abs(difference.high)))
                    ),
                )
                for difference in clear
            ],
        )
    say_next("report", "report.html", real, "run", *synthetic, out)


def sensitivity(
    slices: Annotated[Path, typer.Argument(help="Set of real slices, of 12 subjects or more.")],
    out: Annotated[Path, typer.Argument(help="Folder to write the table to.")],
    repeats: Annotated[
        int, typer.Option(help="Random partitions of the subjects that get all faults.", min=1)
    ] = 3,
    halves: Annotated[
        int, typer.Option(help="Random partitions in which nothing is done to the slices.", min=1)
    ] = 20,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="Only this fault, as 'half heads'; repeat for several. All take long."),
    ] = None,
    networks: Annotated[
        int,
        typer.Option(
            help="Partitions in which convolutional networks are trained, too, which takes most of "
            "the time; 0 for none.",
            min=0,
        ),
    ] = 1,
    features: Features = None,
    seed: Seed = 0,
    workers: Workers = None,
) -> None:
    """Make known faults to real slices, and see from which strength measures notice them.

    Missing modes, few people, copies; blur, noise, stripes, grids, grey levels, smooth cortex; half
    heads, two heads in one, bites, filled ventricles; tumours of the wrong texture or in the wrong
    place: each is scored at several strengths as if a generator had drawn it. Interrupted, the same
    command goes on, also with more of --fault or --repeats. All of it takes an hour or two for
    2,000 slices of 64 pixels on two cores, a quarter of that with --networks 0.
    """
    from mrgantry.evaluation import sensitivity
    from mrgantry.pages import write_sensitivity

    result = sensitivity(
        slices,
        out,
        repeats=repeats,
        halves=halves,
        features=features or [],
        faults=fault or [],
        networks=networks,
        seed=seed,
        workers=workers,
    )
    write_sensitivity(out, result)
    say(f"Look at {out / 'sensitivity.svg'}, and read {out / 'sensitivity.md'}.")


def select(
    slices: Annotated[Path, typer.Argument(help="Set of synthetic slices.")],
    out: Annotated[Path, typer.Argument(help="Folder to write the set of kept slices to.")],
    against: Annotated[
        Path, typer.Option(help="Set of real slices; only its split 'train' is used.")
    ],
    keep: Annotated[
        float, typer.Option(help="Share of real slices that the limit of the distance lets pass.")
    ] = 0.95,
    label: Annotated[
        str | None,
        typer.Option(help="Also discard what does not look like its own label: tumour, sequence."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Only real slices with column=value, as tumour=yes: what `train --only` or "
            "`sample --label` was told."
        ),
    ] = None,
    features: Annotated[
        str,
        typer.Option(
            help="What distances are taken on: random-net, brain-map, brain-net, inception, ...; "
            "unless given, both of the first two."
        ),
    ] = "",
    seed: Seed = 0,
) -> None:
    """Discard implausible synthetic slices by a stated rule, and record how many.

    A slice is implausible if it lies farther from real training slices, by how it looks or by where
    tissue is, than 95 % of real ones do from those of other people. Selecting costs variety:
    precision rises, all the more on the same features, and recall and coverage may fall. So
    evaluate both sets. Copies pass.
    """
    from mrgantry.evaluation import select, summary

    selection = select(
        slices,
        out,
        against,
        keep=keep,
        label=label or "",
        only=only or [],
        features=features,
        seed=seed,
    )
    for sentence in summary(selection):
        say(sentence)
    say_next("evaluate", against, "scores", "--synthetic", slices, "--synthetic", out)


def compare(
    slices: Annotated[Path, typer.Argument(help="Set of real slices, with splits.")],
    out: Annotated[Path, typer.Argument(help="Folder to write runs, scores and the page to.")],
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            help="A name that `mrgantry recipes` lists, or one with a change of its own behind it, "
            "as 'han2018-dcgan-64 vat=1'; two or more."
        ),
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
    from mrgantry.workflows.compare import compare

    chosen = [find_recipe(name) for name in recipe or []]
    comparison = compare(
        slices,
        out,
        chosen,
        seeds=seeds,
        minutes=minutes,
        count=count,
        changes=changes or [],
        only=only or [],
        against=against,
        say=say,
    )
    heads, rows = comparison.table()
    print_table(
        ("", *(row[0] for row in rows)),
        [(head, *(row[place] for row in rows)) for place, head in enumerate(heads) if place],
    )
    for run in comparison.outcomes:
        if run.failed:
            say(f"Failed: {run.recipe} seed {run.seed}. {run.failed}")
    say(f"Look at {out / 'comparison.html'}.")


def report(
    out: Annotated[Path, typer.Argument(help="The HTML page to write.")],
    folders: Annotated[
        list[Path],
        typer.Argument(
            help="Cohort, slices, runs, synthetic and selected sets, scores, walks, projections, "
            "experiments of detection and segmentation."
        ),
    ],
) -> None:
    """Put what lies in some folders on one self-contained HTML page."""
    from mrgantry.pages import report

    report(folders, out)
    say(f"{out} is written; open it in a browser.")


def demo(
    out: Annotated[Path, typer.Argument(help="Folder to write everything to.")] = Path("demo"),
) -> None:
    """Do everything, small: simulate, prepare, train, sample, evaluate, report.

    It takes minutes on a laptop, without a GPU and without data.
    """
    from mrgantry.workflows.demo import demo

    page = demo(out, say=say)
    say(f"Open {page} in a browser.")
