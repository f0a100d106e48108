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

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

from mrgantry.common.claims import refuse_changes, refuse_others
from mrgantry.common.device import best_device, device_name
from mrgantry.common.errors import RecipeError
from mrgantry.common.files import read_json, write_json
from mrgantry.common.frozen import Frozen, unknown
from mrgantry.common.provenance import command_line
from mrgantry.data.slices import SliceSet
from mrgantry.detect.classical import Classical
from mrgantry.detect.classifier import Training, choose_precision, judge, train_classifier
from mrgantry.detect.detection import Cell, Condition, Detection, Part, nearest_to_one
from mrgantry.detect.effects import youden
from mrgantry.detect.gather import PAIRS, gather, write_tables
from mrgantry.detect.maps import write_map
from mrgantry.detect.resnet import published
from mrgantry.detect.sets import Real, joined, open_real, open_synthetic, subjects_of
from mrgantry.detect.sources import Augmented, Images, Mixture, Source
from mrgantry.detect.sources import shares as divide

USUAL: tuple[Condition, ...] = ("none", "classical", "synthetic", "classical+synthetic")
VIRTUAL = 100_000  # classically changed images a class, as published


class Terms(Frozen):
    """What was asked for; the same for all classifiers of an experiment.

    Attributes:
        data: Fingerprint of the real set.
        synthetic: Those of the synthetic sets.
        only: Conditions on the real rows, such as ("sequence=t1c",).
        training: How classifiers are trained.
        classical: How images are changed.
        real_share: Share of unchanged ones beside classically changed ones.
        seed: Of all draws.
    """

    data: str
    synthetic: tuple[str, ...]
    only: tuple[str, ...]
    training: Training
    classical: Classical
    real_share: float
    seed: int


class Begun(Frozen):
    """What `experiment.json` holds.

    Attributes:
        terms: What was asked for.
        precision: Arithmetic that was found faster, or asked for.
        device: What the first classifier was trained on.
    """

    terms: Terms
    precision: Literal["fp32", "bf16"]
    device: str

    @property
    def training(self) -> Training:
        """Give the training with its arithmetic settled."""
        return self.terms.training.model_copy(update={"precision": self.precision})


def detect(
    real: Path,
    out: Path,
    synthetic: Sequence[Path] = (),
    *,
    conditions: Sequence[str] = USUAL,
    seeds: int = 3,
    shares: Sequence[float] = (1.0,),
    ratios: Sequence[float] = (1.0,),
    training: Training = Training(),  # noqa: B008 - frozen
    classical: Classical = Classical(),  # noqa: B008 - frozen
    real_share: float = 0.5,
    only: Sequence[str] = (),
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> Detection:
    """Train classifiers under several conditions, and find out which differ.

    Interrupted, the same call goes on where it stopped; more seeds, conditions, shares and
    ratios can be added. Writes `detection.json`, `measures.csv`, `differences.csv`,
    `answers.csv` and `map.csv`.

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
        say: Told which classifier is about to be trained.

    Raises:
        DataError: A set cannot be used, or a generator has seen people it must not.
        RecipeError: The options cannot be.
        RunError: The folder holds an experiment on other terms.
        DivergedError: A classifier's loss became NaN or infinite.
    """
    chosen = conditions_of(conditions, bool(synthetic))
    check(seeds, shares, ratios, real_share, training)
    data = open_real(real, only)
    sets = open_synthetic(synthetic, data)
    terms = Terms(
        data=data.whole.about.fingerprint,
        synthetic=tuple(one.about.fingerprint for one in sets),
        only=tuple(only),
        training=training,
        classical=classical,
        real_share=real_share,
        seed=seed,
    )
    cells = cells_of(chosen, seeds, shares, ratios, seed)
    for share, number in {(one.share, one.seed) for one in cells}:
        data.at(share, number)  # refused before anything is trained
    begun = settle(out, terms)
    if not all(one.path(out).is_file() for one in cells):
        run_cells(out, data, sets, begun, cells, say)
    parts = [Part.of(read_json(one.path(out)), f"part {one.path(out)}") for one in cells]
    command = command_line(
        "detect",
        real,
        out,
        synthetic=tuple(synthetic),
        condition=tuple(conditions),
        seeds=seeds,
        shares=":".join(f"{one:g}" for one in shares),
        ratios=":".join(f"{one:g}" for one in ratios),
        set=(*changes_of(training), *changes_of(classical)),
        real_share=f"{real_share:g}",
        only=tuple(only),
        seed=seed,
    )
    choices = terms.model_dump(mode="json") | {"precision": begun.precision}
    found = gather(data, sets, parts, command, begun.device, choices)
    write_tables(out, found, data, parts)
    write_map(out, data, sets, classical, seed)
    return found


def conditions_of(words: Sequence[str], synthetic: bool) -> tuple[Condition, ...]:
    """Read the names of conditions.

    Args:
        words: Two names or more.
        synthetic: Whether there are synthetic images.

    Raises:
        RecipeError: One is unknown, or stands there twice, or needs images that are not there.
    """
    known: dict[str, Condition] = {one: one for one in get_args(Condition)}
    for one in words:
        if one not in known:
            raise RecipeError(unknown("condition", one, list(known), "list of conditions"))
        if "synthetic" in one and not synthetic:
            raise RecipeError(
                f"The condition {one!r} needs synthetic images: name a set with --synthetic, or "
                "take --condition none --condition classical."
            )
    if len(set(words)) < max(2, len(words)):
        raise RecipeError("An experiment compares two or more conditions, each named once.")
    if not any({one, other} <= set(words) for one, other in PAIRS):
        raise RecipeError(
            f"{' and '.join(words)} are not compared with each other; add --condition none."
        )
    return tuple(known[one] for one in words)


def check(
    seeds: int,
    shares: Sequence[float],
    ratios: Sequence[float],
    real_share: float,
    training: Training,
) -> None:
    """Refuse numbers that cannot be, before anything is read.

    Raises:
        RecipeError: One of them.
    """
    if seeds < 1:
        raise RecipeError(f"An experiment needs 1 seed or more, not {seeds}.")
    if not shares or not all(0 < one <= 1 for one in shares):
        raise RecipeError(f"Shares of the training subjects lie in (0, 1], not {tuple(shares)}.")
    if not ratios or not all(0 < one < 1e6 for one in ratios):
        raise RecipeError(f"Ratios of synthetic images are greater than 0, not {tuple(ratios)}.")
    if not 0 <= real_share <= 1:
        raise RecipeError(f"The share of real images lies in [0, 1]; it is {real_share:g}.")
    if training.weights == "imagenet":
        published(training.network)
    if training.seed:
        raise RecipeError("The training's seed is not yours to set here; take --seed instead.")


def change(changes: Sequence[str]) -> tuple[Training, Classical]:
    """Give training and classical changes with some values changed, each as `key=value`.

    Raises:
        RecipeError: A key is unknown, or its value will not do.
    """
    given: dict[str, dict[str, str | None]] = {"training": {}, "classical": {}}
    for one in changes:
        key, sign, text = one.partition("=")
        if not sign:
            raise RecipeError(f"The change {one!r} must read key=value.")
        if key in (*Training.keys(), *Classical.keys()):
            kind = "training" if key in Training.keys() else "classical"  # noqa: SIM118
            given[kind][key] = None if text == "null" else text
        else:
            known = [*Training.keys(), *Classical.keys()]
            raise RecipeError(unknown("key", key, known, "detection"))
    return (
        Training.of(dict(given["training"]), "training"),
        Classical.of(dict(given["classical"]), "classical changes"),
    )


def changes_of(value: Frozen) -> tuple[str, ...]:
    """Write what differs from the usual as `key=value`."""
    usual = type(value)().model_dump()
    words = {True: "true", False: "false"}
    return tuple(
        f"{key}={words[now] if isinstance(now, bool) else now}"
        for key, now in value.model_dump().items()
        if now != usual[key]
    )


def cells_of(
    conditions: Sequence[Condition],
    seeds: int,
    shares: Sequence[float],
    ratios: Sequence[float],
    first: int = 0,
) -> list[Cell]:
    """List what is to be trained, seed after seed: what is stopped is smaller, and as fair.

    Shares and ratios are taken in rising order, each once. What has no real images to draw a
    share of, or nothing to add in a ratio, is trained once. Where there are several of both, the
    shares have the ratio nearest to 1, and the other ratios the greatest share: a curve of each.
    """
    shares, ratios = sorted(set(shares)), sorted(set(ratios))
    nearest = nearest_to_one(ratios)
    cells = []
    for number in range(first, first + seeds):
        for share in shares:
            for condition in conditions:
                if condition == "synthetic alone":
                    if share == shares[-1]:
                        cells.append(Cell(condition=condition, share=share, seed=number))
                elif "synthetic" not in condition:
                    cells.append(Cell(condition=condition, share=share, seed=number))
                else:
                    cells += [
                        Cell(condition=condition, share=share, ratio=ratio, seed=number)
                        for ratio in (ratios if share == shares[-1] else [nearest])
                    ]
    return cells


def settle(out: Path, terms: Terms) -> Begun:
    """Begin an experiment, or go on with one on the same terms.

    Raises:
        RunError: The folder holds one on other terms, or other things.
    """
    path = out / "experiment.json"
    if any((out / "parts").glob("*.json")):
        begun = Begun.of(read_json(path), f"experiment {path}")
        refuse_changes(out, vars(begun.terms), vars(terms))
        return begun
    refuse_others(out, path.name, "an experiment")
    precision = choose_precision(terms.training, best_device()).precision
    assert precision != "auto"
    begun = Begun(terms=terms, precision=precision, device=device_name())
    write_json(path, begun.model_dump())
    return begun


def run_cells(
    out: Path,
    data: Real,
    sets: Sequence[SliceSet],
    begun: Begun,
    cells: Sequence[Cell],
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
        return len(subjects_of(real)), Images.of(real, where)

    for number, cell in enumerate(cells, 1):
        if cell.path(out).is_file():
            continue
        subjects, real = drawn(cell.share, cell.seed)
        alone = cell.condition == "synthetic alone"
        what = "no real slices" if alone else f"{subjects} subjects, {len(real)} slices"
        say(f"{number}/{len(cells)}  {cell}: {what}")
        source = source_of(cell, real, synthetic, begun.terms)
        training = begun.training.model_copy(
            update={"seed": cell.seed, "epoch": begun.training.epoch or len(data.train)}
        )
        trained = train_classifier(source, validation, training, where)
        threshold = youden(*(one.numpy() for one in judge(trained.classifier, validation)))
        probability, _ = judge(trained.classifier, test)
        part = Part(
            cell=cell,
            subjects=0 if alone else subjects,
            images=0 if alone else len(real),
            epochs=len(trained.history),
            best=trained.best,
            seen=trained.history[-1].images,
            seconds=trained.history[-1].seconds,
            device=device_name(),
            losses=tuple(one.validation_loss for one in trained.history),
            threshold=threshold,
            probability=tuple(probability.tolist()),
        )
        write_json(cell.path(out), part.model_dump())


def source_of(cell: Cell, real: Images, synthetic: Images | None, terms: Terms) -> Source:
    """Make what a classifier learns from.

    Counts say how often each kind comes; sets are gone through again where they are shorter.
    """
    source: Source = real
    if "classical" in cell.condition:
        changed = Augmented(real, terms.classical, VIRTUAL, cell.seed)
        kinds = (terms.real_share, 1 - terms.real_share)
        source = Mixture([real, changed], divide(2 * VIRTUAL, kinds))
    if synthetic is None or "synthetic" not in cell.condition:
        return source
    if cell.ratio is None:
        return synthetic
    # So often that every synthetic image has its turn.
    count = math.ceil(len(synthetic) / (cell.ratio * len(source))) * len(source)
    return Mixture([source, synthetic], (count, max(1, round(cell.ratio * count))))
