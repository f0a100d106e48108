"""Does it help? Classifiers of tumour and none, trained with and without synthetic images.

The conditions, of which every one is judged by the same real test images:

- none: real images alone.
- classical: real images and classically changed ones, `real_share` of them unchanged, one half
  unless told otherwise. Changed images alone do worse on unchanged ones, since interpolation
  smooths them. The published virtual sets of 200,000 are what `real_share` 0 draws from;
  beside the published 8,889 real slices, it would be 0.04.
- synthetic: real images and synthetic ones, `ratio` of these to each real one.
- classical+synthetic: the mixture of "classical", and synthetic ones, `ratio` to each of it.
- synthetic alone: no real images but those of validation, which tell when to stop.

All classifiers of one seed begin with the same weights, see as many images an epoch, and may
take as many epochs, at every share. Each seed draws its own subjects where a share of them is
asked for, the same in all conditions. Validation images are not thinned out.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from mrgantry.common.device import best_device
from mrgantry.common.files import AnyPath, read_json, write_json
from mrgantry.common.provenance import command_line
from mrgantry.data.slices import SliceSet
from mrgantry.detection.begun import (
    Begun,
    ExperimentTerms,
    announced,
    facts_of_training,
    refuse_leaving_out,
    settle,
    source_of,
    training_of,
)
from mrgantry.detection.classical import Classical
from mrgantry.detection.classifier import ClassifierTraining, judge, train_classifier
from mrgantry.detection.effects import youden
from mrgantry.detection.findings import Detection, NetworkRun, Part
from mrgantry.detection.gather import gather_detection, write_tables
from mrgantry.detection.kept import best_of, check_free, write_kept
from mrgantry.detection.learning import choose_precision
from mrgantry.detection.maps import write_map
from mrgantry.detection.options import USUAL, cells_of, changes_of, check, conditions_of, written
from mrgantry.detection.resnet import fetch_published, published
from mrgantry.detection.sets import Real, joined, open_real, open_synthetic, subject_names
from mrgantry.detection.sources import Augmented, Images, ImageSource

VIRTUAL = 100_000  # classically changed images a class, as published


class DetectionTerms(ExperimentTerms):
    """What was asked for, and how classifiers are trained.

    Attributes:
        training: How classifiers are trained.
    """

    training: ClassifierTraining


def detect(
    real: AnyPath,
    out: AnyPath,
    synthetic: Sequence[AnyPath] = (),
    *,
    conditions: Sequence[str] = USUAL,
    seeds: int = 3,
    shares: Sequence[float] = (1.0,),
    ratios: Sequence[float] = (1.0,),
    training: ClassifierTraining = ClassifierTraining(),  # noqa: B008 - frozen
    classical: Classical = Classical(),  # noqa: B008 - frozen
    real_share: float = 0.5,
    only: Sequence[str] = (),
    seed: int = 0,
    keep: AnyPath | None = None,
    say: Callable[[str], None] = print,
) -> Detection:
    """Train classifiers under several conditions, and find out which differ.

    Interrupted, the same call goes on where it stopped; more seeds, conditions, shares and
    ratios can be added, and none left out that was looked at: p values are adjusted for all.
    Writes `detection.json`, `measures.csv`, `differences.csv`, `answers.csv` and `map.csv`.

    Args:
        real: Folder of the real set, split by subject.
        out: Folder to write everything to.
        synthetic: Folders of synthetic sets, which are put together.
        conditions: What is compared; "synthetic alone" can be added.
        seeds: Classifiers of each condition.
        shares: Shares of the training subjects, in (0, 1].
        ratios: Synthetic images to each other one.
        training: How classifiers are trained; its seed is set by the experiment, and an
            epoch, unless it says so, is as many images as the training split has.
        classical: How images are changed.
        real_share: Share of unchanged images beside classically changed ones, in [0, 1].
        only: Conditions on the real rows, such as "sequence=t1c".
        seed: Of the first classifier; the others have the following ones.
        keep: Folder to keep the classifier in that has the lowest validation loss, trained once
            more as it was; see `kept.py`. None keeps none.
        say: Told which classifier is about to be trained.

    Raises:
        DataError: A set cannot be used, or a generator has seen people it must not.
        RecipeError: The options cannot be.
        RunError: The folder holds an experiment on other terms, or more than is asked for.
        DivergedError: A classifier's loss became NaN or infinite.
    """
    real, out = Path(real), Path(out)
    made = tuple(map(Path, synthetic))
    keep = None if keep is None else Path(keep)
    if keep is not None:
        check_free(keep)
    chosen = conditions_of(conditions, bool(made))
    check(seeds, shares, ratios, real_share, training)
    if training.weights == "imagenet":
        published(training.network)
    cells = cells_of(chosen, seeds, shares, ratios, seed)
    refuse_leaving_out(out, cells)
    waiting = not all(cell.path(out).is_file() for cell in cells)
    data = open_real(real, only)
    sets = open_synthetic(made, data)
    if waiting and training.weights == "imagenet":
        fetch_published(training.network)
    terms = DetectionTerms(
        data=data.whole.about.fingerprint,
        synthetic=tuple(slice_set.about.fingerprint for slice_set in sets),
        only=tuple(only),
        training=training,
        classical=classical,
        real_share=real_share,
        seed=seed,
    )
    for share, number in {(cell.share, cell.seed) for cell in cells}:
        data.at(share, number)  # refused before anything is trained
    begun = settle(
        out, terms, Begun[DetectionTerms], lambda: choose_precision(training, best_device())
    )
    if waiting:
        run_cells(out, data, sets, begun, cells, say)
    parts = [Part.of(read_json(cell.path(out)), f"part {cell.path(out)}") for cell in cells]
    command = command_line(
        "detect",
        real,
        out,
        synthetic=made,
        condition=tuple(conditions),
        seeds=seeds,
        shares=written(shares),
        ratios=written(ratios),
        set=(*changes_of(training), *changes_of(classical)),
        real_share=f"{real_share:g}",
        only=tuple(only),
        seed=seed,
        keep=keep,
    )
    choices = terms.model_dump(mode="json") | {"precision": begun.precision}
    detection = gather_detection(data, sets, parts, command, begun.device, choices)
    write_tables(out, detection, data, parts)
    write_map(out, data, sets, classical, seed)
    if keep is not None:
        best = parts[best_of([part.losses for part in parts])].cell
        say(f"Training the classifier to keep once more: {best}")
        keep_classifier(keep, best, data, sets, begun)
    return detection


def keep_classifier(
    folder: Path,
    cell: NetworkRun,
    data: Real,
    sets: Sequence[SliceSet],
    begun: Begun[DetectionTerms],
) -> None:
    """Train one of the classifiers again, as it was trained, and write it to a folder."""
    where = best_device()
    synthetic = joined(sets, where, begun.terms.seed) if sets else None
    real = Images.of(data.at(cell.share, cell.seed), where)
    source = learnt_from(cell, real, synthetic, begun.terms)
    training = training_of(begun.terms.training, cell, begun.precision, len(data.train))
    trained = train_classifier(source, Images.of(data.validation, where), training, where)
    write_kept(folder, trained, training, data, str(cell))


def run_cells(
    out: Path,
    data: Real,
    sets: Sequence[SliceSet],
    begun: Begun[DetectionTerms],
    cells: Sequence[NetworkRun],
    say: Callable[[str], None],
) -> None:
    """Train and ask one classifier after another; each leaves one file, whole or absent.

    Raises:
        DataError: Images hold values that are not finite.
        DivergedError: A classifier's loss became NaN or infinite.
    """
    where = best_device()
    synthetic = joined(sets, where, begun.terms.seed) if sets else None
    validation, test = Images.of(data.validation, where), Images.of(data.test, where)

    @lru_cache(maxsize=1)  # conditions follow each other, and share what they learn from
    def drawn(share: float, seed: int) -> tuple[int, Images]:
        real = data.at(share, seed)
        return len(subject_names(real)), Images.of(real, where)

    for number, cell in enumerate(cells, 1):
        if cell.path(out).is_file():
            continue
        subjects, real = drawn(cell.share, cell.seed)
        say(announced(number, len(cells), cell, subjects, len(real)))
        source = learnt_from(cell, real, synthetic, begun.terms)
        training = training_of(begun.terms.training, cell, begun.precision, len(data.train))
        trained = train_classifier(source, validation, training, where)
        threshold = youden(*(tensor.numpy() for tensor in judge(trained.classifier, validation)))
        probability, _ = judge(trained.classifier, test)
        part = Part(
            **facts_of_training(cell, subjects, len(real), trained.history, trained.best),
            threshold=threshold,
            probability=tuple(probability.tolist()),
        )
        write_json(cell.path(out), part.model_dump())


def learnt_from(
    cell: NetworkRun, real: Images, synthetic: Images | None, terms: ExperimentTerms
) -> ImageSource:
    """Make what a classifier learns from."""

    def changed() -> ImageSource:
        return Augmented(real, terms.classical, VIRTUAL, cell.seed)

    return source_of(cell, real, changed, synthetic, terms.real_share)
