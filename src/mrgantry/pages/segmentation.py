"""The page of the segmentation experiment: whether synthetic images with their maps help."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mrgantry.common.files import write_text
from mrgantry.common.picture import png
from mrgantry.data.preview import LIGHTS, outlined
from mrgantry.data.rows import choose_rows
from mrgantry.data.slices import SliceSet
from mrgantry.detection.effects import FEWEST_SEEDS
from mrgantry.detection.findings import Condition
from mrgantry.pages.experiment import answer, effects, headed, learnt, pairs, row, unseen
from mrgantry.pages.experiment_charts import NAMES, curves, scores_of_arms
from mrgantry.pages.rendering import render
from mrgantry.segmentation.findings import Segmentation, SegmenterPart, ShownCase

TABLE = ("dice", "hd95", "lesions_found", "false_lesions")


def write_segmentation(out: Path, segmentation: Segmentation) -> str:
    """Write `segmentation.html`, and give the sentence that it begins with.

    Args:
        out: Folder of the experiment.
        segmentation: What came of it.
    """
    several = {
        over: len({getattr(arm, over) for arm in segmentation.arms} - {None}) > 1
        for over in ("share", "ratio")
    }
    main = segmentation.main
    other = [arm for arm in segmentation.arms if arm not in main]
    main_pairs, other_pairs = (pairs(segmentation, main=first) for first in (True, False))
    classes = segmentation.classes
    of_classes = [f"{measure}_{name}" for measure in ("dice", "hd95") for name in classes]
    said = answer(segmentation)
    page = render(
        "segmentation.html",
        segmentation=segmentation,
        answer=said,
        simulated=segmentation.source == "simulated",
        unseen=unseen(segmentation),
        share=f"{max(arm.share for arm in main):.0%}",
        ratio=next((f"{arm.ratio:g}" for arm in main if arm.ratio is not None), ""),
        titles=[headed(segmentation, name) for name in TABLE],
        rows=[row(segmentation, arm, TABLE) for arm in main],
        other_rows=[row(segmentation, arm, TABLE) for arm in other],
        class_titles=[headed(segmentation, name) for name in of_classes] if classes[1:] else [],
        class_rows=[row(segmentation, arm, of_classes) for arm in main] if classes[1:] else [],
        dots=scores_of_arms(segmentation, TABLE),
        effects=[effects(segmentation, *pair, TABLE) for pair in main_pairs],
        other_effects=[effects(segmentation, *pair, TABLE) for pair in other_pairs],
        family=len(main_pairs),
        fewest_seeds=FEWEST_SEEDS,
        curves=[(over, curves(segmentation, over)) for over, many in several.items() if many],
        obedience=list(obedience(segmentation)),
        cases=list(cases(out, segmentation)),
        keys=[
            {"name": name, "colour": "#" + bytes(LIGHTS[number % len(LIGHTS)].tolist()).hex()}
            for number, name in enumerate(classes)
        ],
        learnt=[learnt(segmentation, arm) for arm in main],
        other_learnt=[learnt(segmentation, arm) for arm in other],
    )
    write_text(out / "segmentation.html", page)
    return said["sentence"]


def obedience(segmentation: Segmentation) -> Iterator[list[str]]:
    """Give the rows of the table of how far images show what their maps say."""
    for score in segmentation.obedience:
        bounds = f" ({score.low:.3f} to {score.high:.3f})" if score.low is not None else ""
        yield [
            score.name or "real test slices",
            NAMES[score.condition],
            f"{score.images:,}",
            f"{score.value:.3f}{bounds}",
            "" if score.share is None else f"{100 * score.share:.0f} %",
            *("" if value is None else f"{value:.3f}" for value in score.classes),
        ]


def cases(out: Path, segmentation: Segmentation) -> Iterator[dict[str, object]]:
    """Show the best, the median and the worst person: what is mapped, and what is drawn.

    Args:
        out: Folder of the experiment.
        segmentation: What came of it.
    """
    test = SliceSet.open(Path(segmentation.real)).split("test")
    test = choose_rows(test, segmentation.choices["only"])
    first = segmentation.seeds[0]
    runs = {
        arm.condition: run
        for arm in segmentation.main
        for run in segmentation.runs
        if (run.cell.condition, run.cell.share, run.cell.ratio, run.cell.seed)
        == (arm.condition, arm.share, arm.ratio, first)
    }
    for case in segmentation.cases:
        yield {
            "title": f"{case.kind.capitalize()}: {case.subject}",
            "dice": f"{case.dice:.3f}",
            "pictures": list(pictures_of(out, test, case, runs)),
        }


def pictures_of(
    out: Path, test: SliceSet, case: ShownCase, runs: dict[Condition, SegmenterPart]
) -> Iterator[dict[str, str]]:
    """Show a slice with its own outlines, and with those of each condition's first segmenter."""
    place = int(np.flatnonzero((test.table["id"] == case.id).to_numpy())[0])
    shown = test.where(np.arange(len(test)) == place)
    images = shown.images
    yield {"name": "as mapped", "picture": png(outlined(images, shown.maps, 1))}
    for run in runs.values():
        with np.load(run.drawn(out)) as stored:
            drawn = stored["maps"][place : place + 1]
        person = run.tested.index(case.subject)
        dice = run.values["dice"][person]
        yield {
            "name": f"{NAMES[run.cell.condition]}, Dice {dice:.2f}",
            "picture": png(outlined(images, drawn, 1)),
        }
