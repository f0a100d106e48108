"""What the folders of a reproduction hold, collected for its page."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from mrgantry.common.files import read_json
from mrgantry.common.provenance import command_line, versions
from mrgantry.common.score import Score, read_scores
from mrgantry.data.about import read_about
from mrgantry.data.plan import SlicePlan
from mrgantry.data.slices import SPLITS, SliceSet
from mrgantry.detection.findings import Detection, read_detection
from mrgantry.evaluation.stability import judge_stability
from mrgantry.generate import Run
from mrgantry.pages.page import commands, find
from mrgantry.pages.reproduced import Fact, ModelResult, ReaderStudy, Reproduced, TypeResult
from mrgantry.pages.study import words
from mrgantry.papers import RECIPES, find_study
from mrgantry.papers.reproduction import ImageType, Model, ReadingPlan
from mrgantry.study.cases.create import audited
from mrgantry.study.statistics.results import Analysis
from mrgantry.study.study import Study
from mrgantry.workflows.work import Work, blocks_of, complete, detected_with, folders_of, reason_in


def gather_results(work: Work) -> Reproduced:
    """Collect all that the page shows."""
    study = work.study
    published = find_study(study.study)
    reading = reader_study(work) if study.reading else None
    detected = experiment(work)
    return Reproduced(
        study=study.study,
        title=study.title,
        citation=study.citation,
        scale=study.scale,
        draws=study.draws,
        limits=study.scale_of(study.scale).limits,
        simulated=any(
            read_about(work.slices(image_type)).source == "simulated"
            for image_type in study.image_types
        ),
        facts=tuple(facts(work)),
        types=tuple(
            type_result(work, image_type, published_type)
            for image_type in study.image_types
            for published_type in published.image_types
            if published_type.name == image_type.name
        ),
        reading=reading,
        values=study.values,
        notes=study.notes,
        alternatives=study.alternatives,
        taken=study.taken,
        classical=classical_slices(work),
        discarded=tuple(discarded(work)),
        ablations=ablation_command(work),
        ablated=page if (page := work.ablations / "comparison.html").is_file() else None,
        remarks=tuple(remarks(work)),
        command=command_line(
            "reproduce",
            study.study,
            work.out,
            scans=work.scans,
            slices=work.given,
            scale=study.scale,
            **study.changes.options(),
            alternative=study.taken,
            key=work.key,
        ),
        commands=tuple(commands_of(work, reading, detected)),
        versions=versions(),
        detection=work.detection / "detection.html" if detected else None,
        detected=detected,
        printed_detection=study.detection.printed if study.detection else None,
    )


def classical_slices(work: Work) -> Path | None:
    """Give the slices of the detection experiment, if there is one."""
    return detected_with(work)[0] if work.study.detection else None


def discarded(work: Work) -> Iterator[tuple[str, Path, str]]:
    """Give each selected set that has discarded images, with its model and the counts."""
    for image_type, model in work.study.models():
        folder = work.selected(image_type, model)
        if complete(folder) and (folder / "discarded.png").is_file():
            facts = read_about(folder).notes.selected
            yield (
                model.label,
                folder,
                f"{facts['discarded']:,} of {facts['looked_at']:,}: " + str(facts["reasons"]),
            )


def ablation_command(work: Work) -> str:
    """Give the command that compares the paper's ablations on the slices of this run.

    Recipes are those of the slices' size, or of the least size there is, made smaller.
    """
    if not work.study.ablations:
        return ""
    (image_type,) = work.study.image_types
    size = image_type.plan.size
    there = all(name.format(size=size) in RECIPES for name in work.study.ablations)
    return command_line(
        "compare",
        work.slices(image_type),
        work.ablations,
        recipe=[name.format(size=size if there else 64) for name in work.study.ablations],
        set=() if there else (f"size={size}",),
    )


# --- what was done --------------------------------------------------------------------


def facts(work: Work) -> Iterator[Fact]:
    """Lay what the paper says of its doing beside what this run did."""
    said, study = work.study.said, work.study
    sets = {
        image_type.name: SliceSet.open(work.slices(image_type)) for image_type in study.image_types
    }
    heads = pd.concat([data.table[["subject", "session"]] for data in sets.values()])
    people, visits = heads["subject"].nunique(), len(heads.drop_duplicates())
    own = work.given or work.scans
    origin = f"from {own}" if own else "simulated, not scanned"
    count = f"{people:,} subjects" + (f", {visits:,} visits" if visits > people else "")
    yield Fact("Scans", said.scans, (f"{count}, {origin}",))
    yield Fact(
        "Slices",
        said.slices,
        tuple(counted(image_type, sets[image_type.name]) for image_type in study.image_types),
    )
    if study.detection:
        data = sets[study.detection.image_type]
        yield Fact("Slices by label", said.labels, (labelled(data),))
    lengths = dict.fromkeys(f"{work.recipe(*pair).images:,} images" for pair in study.models())
    yield Fact("Training of each network", said.training, tuple(lengths))
    yield Fact("Time of training", said.time, tuple(times(work)), timed=True)
    yield Fact("Synthetic images", said.samples, (f"{study.samples:,} of each model",))
    if study.reading:
        yield Fact("Readers", said.readers, (readers_to_come(work.out / "study"),))


def times(work: Work) -> Iterator[str]:
    """Say how long training took: in all, and one network of each kind that is listed."""
    spent = {pair[1].name: seconds(work, *pair) for pair in work.study.models()}
    yield f"{lasting(sum(spent.values()))} in all"
    models = [model for _, model in work.study.models()]
    for kind in dict.fromkeys(model.timed for model in models if model.timed):
        of_kind = [spent[model.name] for model in models if model.timed == kind]
        yield f"{kind}: {lasting(sum(of_kind) / len(of_kind))} each"


def lasting(spent: float) -> str:
    """Write seconds as people say them."""
    if spent < 60:
        return words.counted(round(spent), "second")
    return f"{spent / 60:.1f} minutes" if spent < 6000 else f"{spent / 3600:.1f} hours"


def readers_to_come(folder: Path) -> str:
    """Count the places and blocks of the reader study that was made."""
    if not (folder / "study.json").is_file():
        return "none"
    about = Study.open(folder).about
    places = words.counted(len(about.readers), "place")
    blocks = words.counted(len(about.blocks), "block")
    return f"{places} for readers to come, {blocks} of {about.protocol.cases} images"


def labelled(data: SliceSet) -> str:
    """Count the slices with a tumour and without, of each split."""
    rows = pd.crosstab(data.table["split"], data.table["tumour"].astype(str))
    rows = rows.reindex(index=SPLITS, columns=["yes", "no"], fill_value=0)
    uses = zip(rows.itertuples(index=False), ("train on", "validate", "test"), strict=True)
    return "with a tumour and without: " + ", ".join(
        f"{row.yes:,} and {row.no:,} to {use}" for row, use in uses
    )


def counted(image_type: ImageType, data: SliceSet) -> str:
    """Count the slices of a set by their use."""
    train, test = (data.table[data.table["split"] == split] for split in ("train", "test"))
    images = "any pose" if data.about.poses else f"{len(train):,}"
    return (
        f"{image_type.label}, {data.about.size} pixels: {images} of {train['subject'].nunique()} "
        f"subjects to train on, {len(test):,} of {test['subject'].nunique()} others held out"
    )


def seconds(work: Work, image_type: ImageType, model: Model) -> float:
    """Give how long a model was trained."""
    log = Run.open(work.run(image_type, model)).log()
    return float(log[-1]["seconds"]) if log else 0.0


def plan_changes(now: SlicePlan, published: SlicePlan) -> tuple[str, ...]:
    """List in what a plan differs from the paper's."""
    return tuple(
        f"{key} was {getattr(published, key)!r}, now {getattr(now, key)!r}"
        for key in SlicePlan.model_fields
        if getattr(now, key) != getattr(published, key)
    )


# --- what came of it ------------------------------------------------------------------


def type_result(work: Work, image_type: ImageType, published: ImageType) -> TypeResult:
    """Collect what came of one set of slices."""
    scores: dict[str, list[Score]] = {}
    for folder, _, _ in work.scores(image_type):
        for score in read_scores(folder) if (folder / "scores.json").is_file() else ():
            scores.setdefault(score.synthetic, []).append(score)
    return TypeResult(
        label=image_type.label,
        slices=work.slices(image_type),
        page=work.page(image_type),
        models=tuple(
            model_result(work, image_type, model, published_model, scores)
            for model in image_type.models
            for published_model in published.models
            if published_model.name == model.name
        ),
        changes=(f"a set of a user's own, {work.given}",)
        if work.given
        else plan_changes(image_type.plan, published.plan),
    )


def model_result(
    work: Work,
    image_type: ImageType,
    model: Model,
    published: Model,
    scores: dict[str, list[Score]],
) -> ModelResult:
    """Collect what came of one model."""
    sets = tuple(work.sets(image_type, model))
    folder = work.walk(image_type, model)
    of_sets = {place.name: scores.get(place.name, []) for _, place in sets}
    first = of_sets[sets[0][1].name] if sets else []
    failed = work.failed(image_type, model)
    log = [] if failed else Run.open(work.run(image_type, model)).log()
    blocks = work.study.reading.blocks if work.study.reading else ()
    return ModelResult(
        label=model.label,
        block=next((block.name for block in blocks if model.name in block.models), ""),
        sets=sets,
        scores=of_sets,
        failed=failed,
        changes=tuple(work.recipe(image_type, model).differences(published.trained)),
        converges=model.converges,
        stability=judge_stability(failed, log, first),
        walk=folder if (folder / "strip.png").is_file() else None,
    )


def not_trained(work: Work) -> Iterator[str]:
    """Name the paper's models that this scale leaves out."""
    here = {model.name for _, model in work.study.models()}
    models = [model for _, model in find_study(work.study.study).models()]
    if missing := [model.label for model in models if model.name not in here]:
        yield f"Not trained at this scale: {', '.join(missing)}."


def remarks(work: Work) -> Iterator[str]:
    """Say what went otherwise than planned, or than the paper has it."""
    yield from not_trained(work)
    for image_type, model in work.study.models():
        if reason := work.failed(image_type, model):
            yield f"{model.label} diverged and has no images. {reason}"
        if reason := work.unselected(image_type, model):
            yield f"{model.label}: all images are used, none is discarded. {reason}"
    for image_type in work.study.image_types:
        if skipped := read_about(work.slices(image_type)).notes.skipped:
            yield (
                f"{image_type.label}: {len(skipped)} scans were skipped; {work.page(image_type)} "
                "says why. Slices are cut once: after mending scans, begin again in another folder."
            )
        for folder, _, models in work.scores(image_type):
            if reason := reason_in(work.missing(folder)):
                yield f"Not measured: {', '.join(model.label for model in models)}. {reason}"
    if work.study.reading:
        for sources, reason in blocks_of(work):
            if reason:
                yield f"The reader study lacks the block {sources.name}. {reason}"
    made = (("reader study", "study"), ("detection experiment", "detection"), ("quiz", "quiz.html"))
    for what, name in made:
        if reason := reason_in(work.missing(work.out / name)):
            yield f"The {what} was not made. {reason}"


def experiment(work: Work) -> Detection | None:
    """Read what the detection experiment has found, if there is one."""
    if not (work.detection / "detection.json").is_file():
        return None
    return read_detection(work.detection)


def reader_study(work: Work) -> ReaderStudy:
    """Read what the reader study is, and what its answers gave once somebody has read."""
    assert work.study.reading is not None
    folder = work.out / "study"
    ready = (folder / "study.json").is_file()
    unscored = reason_in(work.missing(work.scored))
    return ReaderStudy(
        folder,
        ready,
        work.study.reading.printed,
        None if unscored else analysis_of(work.scored),
        work.scored / "study.html",
        tuple(audited(Study.open(folder))) if ready else (),
        unscored=unscored,
        serve=command_line("study serve", folder),
        seats=tuple(seats(work.study.reading)),
        quiz=work.quiz if work.quiz.is_file() else None,
    )


def analysis_of(scored: Path) -> Analysis | None:
    """Read the statistics of a scored study; None before anybody has answered."""
    path = scored / "analysis.json"
    return Analysis.of(read_json(path), f"analysis {path}") if path.is_file() else None


def seats(reading: ReadingPlan) -> Iterator[str]:
    """Say who is to sit where, as far as the paper tells."""
    for number, seat in enumerate(reading.seats, 1):
        paper = f"in the paper {seat.paper}" if seat.paper else ""
        about = "; ".join(filter(None, (seat.group, paper)))
        if about:
            yield f"R{number}: {about}"


def commands_of(
    work: Work, reading: ReaderStudy | None, detected: Detection | None
) -> Iterator[str]:
    """List the commands that do the same by hand, in order."""
    listed: dict[str, None] = {}
    for image_type in work.study.image_types:
        folders = folders_of(work, image_type)
        listed |= dict.fromkeys(commands(find(folders)))
        listed[command_line("report", work.page(image_type), *folders)] = None
    yield from listed
    if detected:
        yield detected.command
    if reading and reading.ready:
        yield str(read_json(reading.folder / "study.json")["command"])
    if reading and reading.analysis is not None:
        yield command_line("study score", reading.folder, reading.page.parent, key=work.key)
    if work.study.reading and work.quiz.is_file():
        yield quiz_command(work)


def quiz_command(work: Work) -> str:
    """Give the command that makes the quiz."""
    reading = work.study.reading
    assert reading is not None
    blocks = [
        f"{sources.name}={','.join(map(str, (sources.real, *sources.synthetic)))}"
        for sources, reason in blocks_of(work)
        if not reason
    ]
    word = reading.protocol.synthetic_word
    return command_line(
        "study quiz",
        work.quiz,
        block=blocks,
        cases=reading.quiz,
        title=f"Real or {word}?",
        synthetic_word=word,
        against="train",
    )
