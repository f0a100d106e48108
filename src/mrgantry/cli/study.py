"""The verbs of the reader study: plan, create, serve, score, quiz, back up, pause and resume."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrgantry.cli import study_readers
from mrgantry.cli.options import Seed
from mrgantry.cli.output import print_table, say, say_next
from mrgantry.cli.study_options import Blocks, Database, Study, installed, named_readers
from mrgantry.common.provenance import command_line

if TYPE_CHECKING:
    from mrgantry.study.statistics.measured import Proportion
    from mrgantry.study.statistics.results import Analysis

Against = Annotated[
    str, typer.Option(help="Split of REAL to draw from: test, validation, train or all.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a value of the protocol: confidence=true, seconds=20."),
]


def create(
    study: Study,
    protocol: Annotated[
        str,
        typer.Option(
            help="han2018, han2018-pggan, kazuhiro2018, two-alternative (pairs: which is real?), "
            "or a JSON file with a protocol's keys."
        ),
    ] = "han2018",
    block: Blocks = None,
    readers: Annotated[
        list[str] | None,
        typer.Option(help="Name of a reader, repeated; or a CSV file with name, group, years."),
    ] = None,
    changes: Changes = None,
    teaching: Annotated[
        bool,
        typer.Option(
            "--teaching", help="Tell readers the truth after each answer; cannot be scored."
        ),
    ] = False,
    title: Annotated[str, typer.Option(help="What readers see at the top.")] = "Reading study",
    consent: Annotated[
        Path | None, typer.Option(help="Markdown file with a text that readers must agree to.")
    ] = None,
    against: Against = "test",
    only: Annotated[
        list[str] | None, typer.Option(help="Only real slices with column=value.")
    ] = None,
    url: Annotated[
        str, typer.Option(help="Address that readers will find the server at, for their links.")
    ] = "http://127.0.0.1:8000",
    database: Database = None,
    seed: Seed = 0,
) -> None:
    """Draw the cases of a reader study and write its folder, its key and a link for each reader.

    Cases come in equal proportions, from as many subjects as there are. An audit says whether
    something trivial, such as a background that is not quite black, would give the answers away.
    """
    with installed():
        from mrgantry.papers import find_protocol
        from mrgantry.study.cases.create import audited, create
        from mrgantry.study.cases.pools import Sources

        made = create(
            study,
            find_protocol(protocol).set(changes or []),
            [Sources.parse(text) for text in block or []],
            named_readers(readers or []),
            kind="teaching" if teaching else "blinded",
            title=title,
            consent=consent,
            against=against,
            only=only or [],
            seed=seed,
            database=database,
            url=url,
        )
        for line in audited(made):
            say(line)
    count = len(made.about.readers)
    say(f"{study} is ready for {count} reader{'s' if count > 1 else ''}.")
    say(f"{study / 'links.csv'} holds a personal link for each, and yours: send them one by one.")
    if not teaching:
        say(f"{study / 'key.csv'} tells which images are real: move it where no reader can see it.")
    say_next("study", "serve", study)


def plan(
    out: Annotated[Path, typer.Argument(help="Folder to write the plan to.")],
    goal: Annotated[
        str,
        typer.Option(
            help="equivalence: to show that readers guess, to within the margin. told: to show "
            "that they tell images apart, at the accuracy."
        ),
    ] = "equivalence",
    protocol: Annotated[
        str,
        typer.Option(
            help="han2018, han2018-pggan, kazuhiro2018, two-alternative (pairs: which is real?), "
            "or a JSON file with a protocol's keys."
        ),
    ] = "han2018",
    margin: Annotated[
        float, typer.Option(help="How far from 1/2 an accuracy may be and count as guessing.")
    ] = 0.10,
    accuracy: Annotated[
        float, typer.Option(help="Balanced accuracy that is expected, for the goal told.")
    ] = 0.65,
    power: Annotated[float, typer.Option(help="Wished chance of reaching the goal.")] = 0.80,
    readers: Annotated[
        list[int] | None,
        typer.Option(help="Number of readers to try, repeated; 1, 3, 5, 8 and 12 unless given."),
    ] = None,
    images: Annotated[
        list[int] | None,
        typer.Option(help="Images of each reader, repeated; 50, 100, 200 and 400 unless given."),
    ] = None,
    choose: Annotated[
        str | None,
        typer.Option(help="READERSxIMAGES, as 8x200: take this size, whatever its power."),
    ] = None,
    spread: Annotated[
        list[str] | None,
        typer.Option(
            "--spread",
            help="Change how readers and images vary: d_prime_sd=0.5, criterion_sd=0.3, "
            "criterion=0, image_sd=0.4; unless given, as in the published studies.",
        ),
    ] = None,
    studies: Annotated[int, typer.Option(help="Simulated studies of each size.")] = 500,
    title: Annotated[str, typer.Option(help="Name of the study.")] = "Reading study",
    seed: Seed = 0,
) -> None:
    """Plan how many readers and images a study needs, and write a text to register beforehand.

    Studies are simulated with readers and images that differ as the published ones did, and are
    judged by the rules of the page of a scored study. What is written: a table, a picture, the
    protocol with the numbers chosen, and a pre-registration that freezes it and the analysis.
    """
    with installed():
        from mrgantry.pages.study.plan import write_plan
        from mrgantry.papers import find_protocol, reading_population
        from mrgantry.study.planning import StudyPlan, choose_size, simulate_plan

        asked = find_protocol(protocol)
        population = reading_population()
        population = (population.in_pairs() if asked.pairs else population).set(spread or [])
        values = {
            "goal": goal,
            "margin": margin,
            "accuracy": accuracy,
            "power": power,
            "studies": studies,
            "seed": seed,
        }
        values |= {"readers": readers} if readers else {}
        values |= {"images": images} if images else {}
        wished = _size(choose) if choose else None
        study_plan = StudyPlan.of(values, "plan")
        sizes = simulate_plan(study_plan, population)
        chosen = choose_size(study_plan, sizes, wished)
        command = command_line(
            "study plan",
            out,
            goal=goal,
            protocol=protocol,
            margin=margin,
            accuracy=accuracy,
            power=power,
            readers=readers,
            images=images,
            choose=choose,
            spread=spread,
            studies=studies,
            title=title,
            seed=seed,
        )
        write_plan(out, study_plan, population, asked, sizes, chosen, title=title, command=command)
    rows: list[tuple[str, ...]] = [
        (
            str(size.readers),
            str(size.images),
            f"{size.answers:,}",
            _share(size.power),
            "chosen" if size == chosen else "",
        )
        for size in sizes
    ]
    print_table(("readers", "images", "answers", "power", ""), rows)
    if chosen is None:
        say(
            f"No size reaches the goal in {power:.0%} of studies; see {out / 'plan.md'} for what "
            "to do."
        )
        return
    say(f"Fill in and register {out / 'preregistration.md'} before the first reader begins.")
    say(f"Look at {out / 'plan.md'} and {out / 'plan.png'}.")
    say_next(
        "study", "create", "study", "--protocol", out / "protocol.json", "--block",
        "NAME=REAL,SYNTHETIC", "--readers", "readers.csv",
    )  # fmt: skip


def serve(
    study: Study,
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port; those below 1024 need rights.", min=1, max=65535)
    ] = 8000,
    database: Database = None,
    certificate: Annotated[
        Path | None, typer.Option(help="Certificate (PEM), to serve by https.")
    ] = None,
    private_key: Annotated[Path | None, typer.Option(help="Its private key (PEM).")] = None,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="A proxy of yours on this machine does https.")
    ] = False,
    url: Annotated[
        str, typer.Option(help="Public address; unless given, the one the links were made with.")
    ] = "",
) -> None:
    """Let readers read, in their browsers, until Ctrl-C.

    It can be stopped, killed and started again at any time: no answer is lost, and readers go on
    where they were. The key is never opened.
    """
    with installed():
        from mrgantry.study.server.serve import serve

        serve(
            study,
            host=host,
            port=port,
            database=database,
            certificate=certificate,
            private_key=private_key,
            behind_proxy=behind_proxy,
            url=url,
            say=say,
        )
    say_next("study", "score", study, "scored")


def score(
    study: Study,
    out: Annotated[Path, typer.Argument(help="Folder to write statistics and the page to.")],
    key: Annotated[
        Path | None, typer.Option(help="Where the key is kept; unless given, STUDY/key.csv.")
    ] = None,
    database: Database = None,
    seed: Seed = 0,
) -> None:
    """Join answers and key, and write all statistics, tables and figures on one page.

    It can be done at any time, on what has been answered so far; --database also takes a backup.
    """
    with installed():
        from mrgantry.pages.study import write_study
        from mrgantry.papers import printed
        from mrgantry.study.cases.additions import recovered
        from mrgantry.study.running import happened
        from mrgantry.study.statistics.score import score

        recovered(study, database)
        scored = score(study, out, key=key, database=_place(database), seed=seed)
        write_study(
            out,
            scored.study,
            scored.answers,
            scored.analysis,
            printed(scored.study.about.protocol.name),
            pictures=scored.pictures,
            changed=scored.changed,
            happened=happened(scored.study, _place(database)),
            command=command_line("study score", study, out, key=key, seed=seed),
        )
    for sentence in scored.changed:
        say(f"Warning: {sentence}")
    head, rows = _summary(scored.analysis)
    print_table(head, rows)
    say(
        f"Look at {out / 'study.html'}; every answer stands in {out / 'answers.csv'}, whose "
        f"columns {out / 'codebook.csv'} explains."
    )


def quiz(
    out: Annotated[Path, typer.Argument(help="The HTML page to write.")],
    block: Blocks = None,
    cases: Annotated[int, typer.Option(help="Images of each block.", min=2)] = 20,
    tumour: Annotated[
        bool, typer.Option("--tumour", help="Also ask whether the slice shows a tumour.")
    ] = False,
    title: Annotated[str, typer.Option(help="Heading of the page.")] = "Real or synthetic?",
    synthetic_word: Annotated[
        str, typer.Option(help="What the page calls a synthetic image, as created.")
    ] = "synthetic",
    against: Against = "test",
    seed: Seed = 0,
) -> None:
    """Write a quiz with its answer key on one HTML page, for teaching or for print."""
    with installed():
        from mrgantry.study.cases.pools import Sources
        from mrgantry.study.lesson import make_quiz

        blocks = [Sources.parse(text) for text in block or []]
        count = make_quiz(
            out,
            blocks,
            cases=cases,
            tumour=tumour,
            title=title,
            synthetic_word=synthetic_word,
            against=against,
            seed=seed,
        )
    say(f"{out} asks about {count} images, and holds the answers; it can be printed.")


def backup(
    study: Study,
    out: Annotated[Path, typer.Argument(help="The SQLite file to write.")],
    database: Database = None,
) -> None:
    """Copy all answers into one file, also while readers read.

    The copy can be scored with --database FILE; as study.sqlite in the study's folder it can be
    served.
    """
    with installed():
        from mrgantry.study.database.backup import backup

        count = backup(study, out, database)
    say(f"{out} holds {count:,} answers.")


def pause(study: Study, database: Database = None) -> None:
    """Pause a study for all its readers, who see a page that says so; no time passes for them.

    Whoever looks at an image may still answer it.
    """
    with installed():
        from mrgantry.study.running import halt

        halt(study, database=database)
    say(f"{study} is paused for all its readers.")
    say_next("study", "resume", study)


def resume(study: Study, database: Database = None) -> None:
    """Let the readers of a paused study go on where they were."""
    with installed():
        from mrgantry.study.running import halt

        halt(study, resume=True, database=database)
    say(f"{study} goes on.")


# Each with the example that ends its help, as in the list of all verbs.
VERBS: dict[str, tuple[Callable[..., None], str]] = {
    "plan": (plan, "mrgantry study plan plan --goal equivalence --margin 0.1 --power 0.8"),
    "create": (
        create,
        "mrgantry study create study --protocol kazuhiro2018 --block T1=slices,synthetic "
        "--readers AB --readers CD",
    ),
    "serve": (serve, "mrgantry study serve study"),
    "score": (score, "mrgantry study score study scored"),
    "quiz": (quiz, "mrgantry study quiz quiz.html --block T1=slices,synthetic"),
    "backup": (backup, "mrgantry study backup study monday.sqlite"),
    "pause": (pause, "mrgantry study pause study"),
    "resume": (resume, "mrgantry study resume study"),
}

app = typer.Typer(
    help="The blinded reader study: can radiologists tell synthetic slices from real ones?",
    no_args_is_help=True,
)
for _name, (_verb, _example) in VERBS.items():
    app.command(_name, epilog=f"Example: {_example}")(_verb)
app.add_typer(study_readers.app, name="readers")


def _size(text: str) -> tuple[int, int]:
    """Read READERSxIMAGES, or refuse it as wrong usage of the option."""
    readers, _, images = text.lower().partition("x")
    try:
        return int(readers), int(images)
    except ValueError as error:
        raise typer.BadParameter(
            f"--choose takes readers and images, as 8x200, not {text!r}"
        ) from error


def _place(database: str | None) -> str | Path | None:
    """Tell a backup's path from a server's URL."""
    return database if database is None or "://" in database else Path(database)


def _summary(analysis: "Analysis") -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Lay out the first table of the page."""
    from mrgantry.pages.study.words import finding

    rows: list[tuple[str, ...]] = []
    for reading in analysis.readings:
        if reading.block == "" and len(analysis.blocks) > 1:
            continue
        sensitivity = reading.detection.d_prime.value
        rows.append(
            (
                reading.reader,
                reading.block,
                f"{reading.accuracy.k}/{reading.accuracy.n}",
                _share(reading.fool_rate),
                _share(reading.real_recall),
                "" if sensitivity is None else f"{sensitivity:.2f}",
                finding(reading).word,
            )
        )
    head = (
        "reader",
        "block",
        "right",
        "synthetic called real",
        "real called real",
        "d'",
        "finding",
    )
    return head, rows


def _share(proportion: "Proportion") -> str:
    value, ends = proportion.value, proportion.wilson
    if value is None or ends.low is None or ends.high is None:
        return "none"
    return f"{value:.0%} ({ends.low:.0%} to {ends.high:.0%})"
