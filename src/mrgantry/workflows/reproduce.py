"""A whole published study by one command, in steps that the other verbs do as well.

Every step leaves a folder (`work.py` lists them), and one that was done is not done again.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mrgantry.common.errors import DataError, DivergedError, RecipeError, RunError
from mrgantry.common.files import AnyPath
from mrgantry.common.provenance import command_line
from mrgantry.data import prepare
from mrgantry.data.about import read_about
from mrgantry.detection import detect
from mrgantry.detection.findings import read_detection
from mrgantry.evaluation import evaluate, select
from mrgantry.evaluation.record import read_evaluation
from mrgantry.generate import sample, train, walk
from mrgantry.pages import report, write_detection
from mrgantry.pages.reproduction import write_reproduction
from mrgantry.pages.study import write_study
from mrgantry.pages.study.words import counted
from mrgantry.papers.reproduction import ImageType, Model, Reproduction
from mrgantry.simulation import simulate
from mrgantry.study.cases.create import create
from mrgantry.study.lesson import make_quiz
from mrgantry.study.statistics.score import has_answers, score
from mrgantry.study.study import Reader, Study
from mrgantry.workflows.begin import (
    check_options,
    check_slices,
    claim_folder,
    fetch_weights,
    look_at_scans,
)
from mrgantry.workflows.results import gather_results
from mrgantry.workflows.work import Work, blocks_of, complete, detected_with, folders_of, noted

BYTES = 2  # a pixel of a stored set
WALK = 20  # images of a walk, as Delplace's program has


@dataclass(frozen=True)
class Step:
    """One call of a public function: what it is, whether it was done, the call, and what holds."""

    words: str
    done: Callable[[], bool]
    go: Callable[[], object]
    check: Callable[[], object] = lambda: None


def reproduce(
    study: Reproduction,
    out: AnyPath,
    *,
    scans: AnyPath | None = None,
    slices: AnyPath | None = None,
    key: AnyPath | None = None,
    say: Callable[[str], None] = print,
) -> Path:
    """Repeat a published study and give the page; the same call goes on where it stopped.

    Args:
        study: At the scale that is wanted, as `STUDY.at("smoke")`.
        out: Folder to write everything to.
        scans: A folder of scans; None simulates a cohort.
        slices: A set of slices in place of scans, such as `import` makes of pictures.
        key: Where the key of the reader study is kept, once it was moved away.
        say: Told what is about to be done, with its number.

    Raises:
        RunError: The folder holds another reproduction, or other things.
        DataError: The scans cannot be used, or give too few slices for what follows.
        RecipeError: The study has no use for a change.
    """
    out = Path(out)
    scans = None if scans is None else Path(scans)
    slices = None if slices is None else Path(slices)
    key = None if key is None else Path(key)
    work = Work(study, out, scans, key, slices)
    check_options(work)
    look_at_scans(work)  # before anything is written, as the next
    fetch_weights(work)
    claim_folder(out, study, scans, slices)
    todo = list(steps(work, say))
    if not todo[0].done():
        say(amount(study))
    for number, step in enumerate(todo, 1):
        if not step.done():
            say(f"{number}/{len(todo) + 1}  {step.words}")
            step.go()
        step.check()
    page = out / "report.html"
    say(f"{len(todo) + 1}/{len(todo) + 1}  Writing {page}")
    write_reproduction(page, gather_results(work))
    return page


def amount(study: Reproduction) -> str:
    """Say how much is going to be trained and drawn, before it is."""
    models = study.models()
    ordered = sorted((model for _, model in models), key=lambda model: model.trained.images)
    ends = (ordered[0], ordered[-1])
    lengths = dict.fromkeys(length_of(study, model) for model in ends)
    each = " to ".join(lengths).replace(" images to ", " to ")  # the unit is said once
    plans = [image_type.plan for image_type, _ in models]
    pixels = study.samples * sum(len(plan.channels) * plan.size**2 for plan in plans)
    few, size = counted(len(models), "network"), pixels * BYTES / 1e9
    return (
        f"{few} to train on {each}{' each' if len(models) > 1 else ''}, and "
        f"{f'{size:.1f}' if size >= 0.1 else 'less than 0.1'} GB of images to draw"
    )


def length_of(study: Reproduction, model: Model) -> str:
    """Say how long a model is trained, before its slices are cut."""
    if study.own_epochs and model.epochs:
        return f"{model.epochs} epochs"
    return f"{model.trained.images:,} images"


# --- steps ----------------------------------------------------------------------------


def steps(work: Work, say: Callable[[str], None]) -> Iterator[Step]:
    """List all that is to be done, in order; long steps say what they are at."""
    if work.scans is None and work.given is None:
        subjects = work.study.cohort.subjects
        yield Step(
            f"Simulating {subjects} subjects in {work.cohort}",
            (work.cohort / "preview.png").is_file,
            partial(simulate_scans, work),
        )
    for image_type in work.study.image_types:
        slices = work.slices(image_type)
        yield Step(
            f"Cutting {image_type.label} into {slices}",
            # A user's own set is there, or was refused.
            partial(complete, slices),
            partial(prepare, work.cohort, slices, image_type.plan),
            partial(check_slices, work, image_type),
        )
    for image_type in work.study.image_types:
        for model in image_type.models:
            yield from steps_of(work, image_type, model)
        for folder, only, models in work.scores(image_type):
            yield Step(
                f"Measuring {', '.join(model.label for model in models)}",
                partial(measured, work, image_type, folder, models),
                partial(measure, work, image_type, folder, only, models),
            )
        yield Step(
            f"Writing {work.page(image_type)}",
            partial(written, work, image_type),
            partial(write_page, work, image_type),
        )
    yield from last_steps(work, say)


def last_steps(work: Work, say: Callable[[str], None]) -> Iterator[Step]:
    """List what needs the images of all models."""
    if work.study.detection:
        yield Step(
            f"Training classifiers of tumours in {work.detection}",
            partial(experimented, work),
            partial(experiment, work, say),
        )
    if work.study.reading:
        yield Step(
            f"Drawing the cases of the reader study in {work.out / 'study'}",
            (work.out / "study/study.json").is_file,
            partial(make_reader_study, work),
        )
        yield Step(
            f"Scoring what readers have answered, in {work.scored}",
            partial(unread, work),
            partial(score_answers, work),
        )
    if work.study.reading and work.study.reading.quiz:
        yield Step(
            f"Writing a quiz with its answers to {work.quiz}",
            work.quiz.is_file,
            partial(write_quiz, work, work.study.reading.quiz),
        )


def steps_of(work: Work, image_type: ImageType, model: Model) -> Iterator[Step]:
    """List what is to be done for one model."""
    run, synthetic = work.run(image_type, model), work.synthetic(image_type, model)
    yield Step(
        f"Training {model.label}: {length_of(work.study, model)}",
        lambda: complete(synthetic) or bool(work.failed(image_type, model)),
        partial(train_model, work, image_type, model),
    )
    yield Step(
        f"Drawing {work.study.samples:,} images of {model.label}",
        lambda: complete(synthetic) or bool(work.failed(image_type, model)),
        lambda: sample(run, synthetic, work.study.samples),
    )
    if work.study.walks:
        folder = work.walk(image_type, model)
        yield Step(
            f"Walking from one image of {model.label} to another",
            lambda: (folder / "strip.png").is_file() or bool(work.failed(image_type, model)),
            lambda: walk(run, folder, steps=WALK, method="linear"),
        )
    if work.study.selected:
        yield Step(
            f"Discarding implausible images of {model.label}",
            lambda: (
                complete(work.selected(image_type, model))
                or work.rejected(image_type, model).is_file()
                or bool(work.failed(image_type, model))
            ),
            partial(select_images, work, image_type, model),
        )


def simulate_scans(work: Work) -> None:
    """Simulate the cohort."""
    options: dict[str, Any] = work.study.cohort.model_dump()
    simulate(work.cohort, options.pop("subjects"), **options)


def train_model(work: Work, image_type: ImageType, model: Model) -> None:
    """Train a model; one that diverges is noted and not tried again."""
    with noted(work.failure(image_type, model), DivergedError):
        recipe = work.recipe(image_type, model)
        train(work.slices(image_type), work.run(image_type, model), recipe, only=model.only)


def select_images(work: Work, image_type: ImageType, model: Model) -> None:
    """Discard implausible images; where that cannot be, note it: all are used then."""
    with noted(work.rejected(image_type, model), DataError):
        select(
            work.synthetic(image_type, model),
            work.selected(image_type, model),
            work.slices(image_type),
            label=work.study.selected_label,
            only=model.only,
        )


def measured(work: Work, image_type: ImageType, folder: Path, models: list[Model]) -> bool:
    """Say whether the scores are there, and are those of these images."""
    marks = [read_about(place).fingerprint for m in models for _, place in work.sets(image_type, m)]
    if not marks:
        return all(work.failed(image_type, model) for model in models)
    if not (folder / "scores.json").is_file():
        return False
    scored = read_evaluation(folder).synthetic
    return [record.fingerprint for record in scored] == marks


def measure(
    work: Work, image_type: ImageType, folder: Path, only: tuple[str, ...], models: list[Model]
) -> None:
    """Measure all sets of some models; where that cannot be, note why."""
    with noted(work.missing(folder), DataError, RunError):
        evaluate(
            work.slices(image_type),
            folder,
            [place for model in models for _, place in work.sets(image_type, model)],
            only=only,
            maps=False,
            draws=work.study.draws,
        )


def written(work: Work, image_type: ImageType) -> bool:
    """Say whether the page is there, and younger than the scores that it shows."""
    page = work.page(image_type)
    scores = [folder / "scores.json" for folder, _, _ in work.scores(image_type)]
    return page.is_file() and all(
        path.stat().st_mtime_ns <= page.stat().st_mtime_ns for path in scores if path.is_file()
    )


def write_page(work: Work, image_type: ImageType) -> None:
    """Write the page of one type of images."""
    report(folders_of(work, image_type), work.page(image_type))


# --- detection ------------------------------------------------------------------------


def experimented(work: Work) -> bool:
    """Say whether the detection experiment is done, with these images."""
    if not (work.detection / "detection.html").is_file():
        return False
    marks = [read_about(place).fingerprint for place in detected_with(work)[1]]
    sets = read_detection(work.detection).synthetic
    return [synthetic.fingerprint for synthetic in sets] == marks


def experiment(work: Work, say: Callable[[str], None]) -> None:
    """Train classifiers with and without synthetic images; where it cannot be, note why."""
    plan = work.study.detection
    assert plan is not None
    real, synthetic = detected_with(work)
    missing = work.missing(work.detection)
    with noted(missing, DataError, RecipeError, RunError):
        detection = detect(
            real,
            work.detection,
            synthetic,
            seeds=plan.seeds,
            training=plan.training,
            real_share=plan.real_share,
            ratios=plan.ratios,
            say=lambda text: say(f"  {text}"),
        )
    if not missing.is_file():
        write_detection(work.detection, detection, plan.printed)


# --- readers --------------------------------------------------------------------------


def make_reader_study(work: Work) -> None:
    """Draw the cases for readers to come; where that cannot be, the page says why."""
    reading = work.study.reading
    assert reading is not None
    # Years of experience are those of people, who are not known yet.
    readers = [
        Reader(name=f"R{number}", group=seat.group) for number, seat in enumerate(reading.seats, 1)
    ]
    blocks = [sources for sources, reason in blocks_of(work) if not reason]
    with noted(work.missing(work.out / "study"), DataError):
        if not blocks:
            raise DataError("None of its blocks can be read.")
        create(
            work.out / "study",
            reading.protocol,
            blocks,
            readers,
            title=f"Reading study after {work.study.study}",
        )


def unread(work: Work) -> bool:
    """Say that there is nothing to score: no study, or nobody has answered yet."""
    folder = work.out / "study"
    return not (folder / "study.json").is_file() or not has_answers(Study.open(folder))


def score_answers(work: Work) -> None:
    """Score what was answered and write its page; where that cannot be, note why."""
    assert work.study.reading is not None
    folder, missing = work.out / "study", work.missing(work.scored)
    with noted(missing, DataError):  # the key lies elsewhere, or is another study's
        scored = score(folder, work.scored, key=work.key)
    if missing.is_file():
        return
    write_study(
        work.scored,
        scored.study,
        scored.answers,
        scored.analysis,
        work.study.reading.printed,
        pictures=scored.pictures,
        changed=scored.changed,
        command=command_line("study score", folder, work.scored, key=work.key),
    )


def write_quiz(work: Work, cases: int) -> None:
    """Write a quiz of real images that no reader of the study gets; or note why there is none."""
    assert work.study.reading is not None
    blocks = [sources for sources, reason in blocks_of(work) if not reason]
    with noted(work.missing(work.quiz), DataError):
        word = work.study.reading.protocol.synthetic_word
        title = f"Real or {word}?"
        make_quiz(work.quiz, blocks, cases=cases, against="train", title=title, synthetic_word=word)
