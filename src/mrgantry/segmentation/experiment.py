"""Does it help? Segmenters trained with and without synthetic images and their label maps.

The conditions are those of `detect`, and every one is judged by the same real test people:

- none: real images alone.
- classical: real images and classically changed ones, `real_share` of them unchanged.
- synthetic: real images and synthetic ones, `ratio` of these to each real one.
- classical+synthetic: the mixture of "classical", and synthetic ones, `ratio` to each of it.
- synthetic alone: no real images but those of validation, which tell when to stop.

All segmenters of one seed begin with the same weights, see as many images an epoch, and may take
as many epochs, at every share.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from mrgantry.common.device import best_device
from mrgantry.common.files import AnyPath, read_json, whole, write_json
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
from mrgantry.detection.findings import NetworkRun
from mrgantry.detection.learning import choose_precision
from mrgantry.detection.options import USUAL, cells_of, changes_of, check, conditions_of, written
from mrgantry.detection.sets import subject_names
from mrgantry.detection.sources import ImageSource
from mrgantry.segmentation.findings import Segmentation, SegmenterPart
from mrgantry.segmentation.gather import gather_segmentation, write_tables
from mrgantry.segmentation.network import SegmenterTraining, draw_maps, train_segmenter
from mrgantry.segmentation.obedience import REAL_ALONE, obeyed, open_judged
from mrgantry.segmentation.overlap import score_people, stacks
from mrgantry.segmentation.sets import MappedReal, open_mapped, open_synthetic_mapped
from mrgantry.segmentation.sources import ChangedImages, MappedImages

CHANGED = 200_000  # classically changed images, as many as of both classes in `detect`


class SegmentationTerms(ExperimentTerms):
    """What was asked for, and how segmenters are trained.

    Attributes:
        training: How segmenters are trained.
        judged: Fingerprints of the sets that are looked at but not learnt from.
    """

    training: SegmenterTraining
    judged: tuple[str, ...] = ()


def segment(
    real: AnyPath,
    out: AnyPath,
    synthetic: Sequence[AnyPath] = (),
    *,
    judged: Sequence[AnyPath] = (),
    conditions: Sequence[str] = USUAL,
    seeds: int = 3,
    shares: Sequence[float] = (1.0,),
    ratios: Sequence[float] = (1.0,),
    training: SegmenterTraining = SegmenterTraining(),  # noqa: B008 - frozen
    classical: Classical = Classical(),  # noqa: B008 - frozen
    real_share: float = 0.5,
    only: Sequence[str] = (),
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> Segmentation:
    """Train segmenters under several conditions, and find out which differ.

    Interrupted, the same call goes on where it stopped; more seeds, conditions, shares and
    ratios can be added, and none left out that was looked at: p values are adjusted for all.
    Writes `segmentation.json`, `measures.csv`, `differences.csv` and `people.csv`.

    Args:
        real: Folder of the real set, with label maps, split by subject.
        out: Folder to write everything to.
        synthetic: Folders of synthetic sets with label maps, which are put together.
        judged: Folders of sets that nothing is learnt from: segmenters that know real images
            alone say, as of the others, whether the images show what their maps say.
        conditions: What is compared; "synthetic alone" can be added.
        seeds: Segmenters of each condition.
        shares: Shares of the training subjects, in (0, 1].
        ratios: Synthetic images to each other one.
        training: How segmenters are trained; its seed is set by the experiment, and an epoch,
            unless it says so, is as many images as the training split has.
        classical: How images are changed.
        real_share: Share of unchanged images beside classically changed ones, in [0, 1].
        only: Conditions on the real rows, such as "sequence=t1c".
        seed: Of the first segmenter; the others have the following ones.
        say: Told which segmenter is about to be trained.

    Raises:
        DataError: A set cannot be used, or a generator has seen people it must not.
        RecipeError: The options cannot be.
        RunError: The folder holds an experiment on other terms, or more than is asked for.
        DivergedError: A segmenter's loss became NaN or infinite.
    """
    real, out = Path(real), Path(out)
    made = tuple(map(Path, synthetic))
    chosen = conditions_of(conditions, bool(made))
    check(seeds, shares, ratios, real_share, training)
    cells = cells_of(chosen, seeds, shares, ratios, seed)
    refuse_leaving_out(out, cells)
    data = open_mapped(real, only)
    sets = open_synthetic_mapped(made, data)
    looked_at = open_judged(tuple(map(Path, judged)), data)
    terms = SegmentationTerms(
        data=data.whole.about.fingerprint,
        synthetic=tuple(slice_set.about.fingerprint for slice_set in sets),
        only=tuple(only),
        training=training,
        judged=tuple(slice_set.about.fingerprint for slice_set in looked_at),
        classical=classical,
        real_share=real_share,
        seed=seed,
    )
    for share, number in {(cell.share, cell.seed) for cell in cells}:
        data.at(share, number)  # refused before anything is trained
    begun = settle(
        out, terms, Begun[SegmentationTerms], lambda: choose_precision(training, best_device())
    )
    if not all(cell.path(out).is_file() for cell in cells):
        run_cells(out, data, sets, looked_at, begun, cells, say)
    parts = [
        SegmenterPart.of(read_json(cell.path(out)), f"part {cell.path(out)}") for cell in cells
    ]
    command = command_line(
        "segment",
        real,
        out,
        synthetic=made,
        judged=tuple(map(Path, judged)),
        condition=tuple(conditions),
        seeds=seeds,
        shares=written(shares),
        ratios=written(ratios),
        set=(*changes_of(training), *changes_of(classical)),
        real_share=f"{real_share:g}",
        only=tuple(only),
        seed=seed,
    )
    choices = terms.model_dump(mode="json") | {"precision": begun.precision}
    shown = [data.test, *sets, *looked_at]
    segmentation = gather_segmentation(data, sets, shown, parts, command, begun.device, choices)
    write_tables(out, segmentation)
    return segmentation


def run_cells(
    out: Path,
    data: MappedReal,
    sets: Sequence[SliceSet],
    looked_at: Sequence[SliceSet],
    begun: Begun[SegmentationTerms],
    cells: Sequence[NetworkRun],
    say: Callable[[str], None],
) -> None:
    """Train and judge one segmenter after another; each leaves its maps, then its scores.

    Args:
        out: Folder of the experiment.
        data: The real set.
        sets: Synthetic sets that are learnt from.
        looked_at: Sets that are not.
        begun: The terms, as they were settled.
        cells: Which segmenters.
        say: Told which is about to be trained.

    Raises:
        DataError: Images hold values that are not finite.
        DivergedError: A segmenter's loss became NaN or infinite.
    """
    where = best_device()
    classes = data.whole.about.classes
    synthetic = MappedImages.joined(sets, where, begun.terms.seed) if sets else None
    validation, test = (MappedImages.of(split, where) for split in (data.validation, data.test))

    @lru_cache(maxsize=1)  # conditions follow each other, and share what they learn from
    def drawn(share: float, seed: int) -> tuple[int, MappedImages]:
        real = data.at(share, seed)
        return len(subject_names(real)), MappedImages.of(real, where)

    for number, cell in enumerate(cells, 1):
        if cell.path(out).is_file():
            continue
        subjects, real = drawn(cell.share, cell.seed)
        say(announced(number, len(cells), cell, subjects, len(real)))
        source = learnt_from(cell, real, synthetic, begun.terms)
        training = training_of(begun.terms.training, cell, begun.precision, len(data.train))
        trained = train_segmenter(source, validation, len(classes), training, where)
        maps = draw_maps(trained.segmenter, test)
        values = score_people(list(stacks(data.test.table, data.test.maps, maps)), classes)
        found = []
        if cell.condition in REAL_ALONE and (sets or looked_at):
            found.append(obeyed(data.test, maps))
            for shown in (*sets, *looked_at):
                drawn_of_set = draw_maps(trained.segmenter, MappedImages.of(shown, where))
                found.append(obeyed(shown, drawn_of_set))
        part = SegmenterPart(
            **facts_of_training(cell, subjects, len(real), trained.history, trained.best),
            tested=tuple(subject_names(data.test)),
            values=known(values),
            obeyed=tuple(found),
        )
        write_maps(part.drawn(out), maps)
        write_json(cell.path(out), part.model_dump())


def known(
    values: Mapping[str, Float[np.ndarray, " m"]],
) -> dict[str, tuple[float | None, ...]]:
    """Write what is not a number as None, for JSON."""
    return {
        name: tuple(None if np.isnan(value) else float(value) for value in of_people)
        for name, of_people in values.items()
    }


def write_maps(path: Path, maps: UInt8[np.ndarray, "n h w"]) -> None:
    """Write the maps that a segmenter has drawn, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as aside, aside.open("wb") as stream:
        np.savez_compressed(stream, maps=maps)


def learnt_from(
    cell: NetworkRun, real: MappedImages, synthetic: MappedImages | None, terms: ExperimentTerms
) -> ImageSource:
    """Make what a segmenter learns from."""

    def changed() -> ImageSource:
        return ChangedImages(real, terms.classical, CHANGED, cell.seed)

    return source_of(cell, real, changed, synthetic, terms.real_share)
