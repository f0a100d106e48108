"""The page of the detection experiment: whether synthetic images help, and how far that goes."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float16

from mrgantry.common.files import write_text
from mrgantry.data.slices import SliceSet
from mrgantry.detection.effects import BINS, FEWEST_SEEDS, unpaired
from mrgantry.detection.findings import Detection
from mrgantry.detection.maps import read_map
from mrgantry.detection.printed import PrintedDetection
from mrgantry.pages import detection_charts as charts
from mrgantry.pages import figures
from mrgantry.pages.charts import map_of_images
from mrgantry.pages.experiment import (
    answer,
    effects,
    headed,
    learnt,
    pairs,
    points,
    row,
    summarised,
    unseen,
)
from mrgantry.pages.experiment_charts import curves, scores_of_arms
from mrgantry.pages.rendering import render

TABLE = ("accuracy", "sensitivity", "specificity", "auc", "brier", "ece")
PANELS = ("accuracy", "sensitivity", "specificity", "auc")
CHOSEN = ("accuracy_youden", "sensitivity_youden", "specificity_youden")
KINDS = {
    "missed by all": "Missed under every condition",
    "found with synthetic": "Found only with synthetic images",
    "lost with synthetic": "Found only without synthetic images",
}


def write_detection(
    out: Path, detection: Detection, printed: PrintedDetection | None = None
) -> str:
    """Write `detection.html`, and give the sentence that it begins with.

    Args:
        out: Folder of the experiment.
        detection: What came of it.
        printed: A paper's table to stand beside it.
    """
    groups = read_map(out)
    styles = charts.styles_of_groups(list(groups))
    several = {
        over: len({getattr(arm, over) for arm in detection.arms} - {None}) > 1
        for over in ("share", "ratio")
    }
    main = detection.main
    main_pairs, other_pairs = pairs(detection, main=True), pairs(detection, main=False)
    page = render(
        "detection.html",
        detection=detection,
        answer=answer(detection),
        simulated=detection.source == "simulated",
        learnt=[learnt(detection, arm) for arm in main],
        other_learnt=[learnt(detection, arm) for arm in detection.arms if arm not in main],
        share=f"{max(arm.share for arm in main):.0%}",
        ratio=next((f"{arm.ratio:g}" for arm in main if arm.ratio is not None), ""),
        titles=[headed(detection, name) for name in TABLE],
        chosen=[headed(detection, name) for name in CHOSEN],
        rows=[row(detection, arm, TABLE) for arm in main],
        chosen_rows=[row(detection, arm, CHOSEN) for arm in main],
        other_rows=[row(detection, arm, TABLE) for arm in detection.arms if arm not in main],
        dots=scores_of_arms(detection, PANELS),
        effects=[effects(detection, *pair, TABLE) for pair in main_pairs],
        other_effects=[effects(detection, *pair, TABLE) for pair in other_pairs],
        family=len(main_pairs),
        unseen=unseen(detection),
        fewest_seeds=FEWEST_SEEDS,
        curves=[(over, curves(detection, over)) for over, many in several.items() if many],
        sizes=charts.by_size(detection) if detection.limits else "",
        calibration=charts.calibration(detection),
        bins=BINS,
        galleries=list(galleries(detection)),
        printed=printed,
        gains=list(gains(printed)) if printed else [],
        map=map_of_images(groups, styles) if groups else "",
        keys=[{"name": name, "colour": style.colour, "sign": style.sign} for name, style in
              styles.items()],
    )  # fmt: skip
    write_text(out / "detection.html", page)
    return answer(detection)["sentence"]


def summary(detection: Detection, page: Path, folder: Path) -> dict[str, Any]:
    """Give what a page of many things says of an experiment.

    Args:
        detection: What came of it.
        page: The page, which links to the experiment's own.
        folder: Of the experiment.
    """
    return summarised(detection, PANELS, page, folder / "detection.html")


def galleries(detection: Detection) -> Iterator[dict[str, str]]:
    """Show tumours by who finds them."""
    test = SliceSet.open(Path(detection.real)).split("test")
    ids = test.table["id"].astype(str).to_numpy()
    for example in detection.examples:
        rows = [int(np.flatnonzero(ids == name)[0]) for name in example.ids]
        yield {
            "title": KINDS[example.kind],
            "caption": f"{example.count:,} slice{'' if example.count == 1 else 's'}"
            + (f"; the largest tumour of each of {len(example.ids)} people" if example.ids else ""),
            "picture": figures.image_grid(images_of(test, rows), 4) if rows else "",
        }


def images_of(data: SliceSet, rows: Sequence[int] | np.ndarray) -> Float16[np.ndarray, "n c h w"]:
    """Read some images, in the order of the rows."""
    kept = np.isin(np.arange(len(data)), rows)
    return data.where(kept).images[np.argsort(np.argsort(rows))]


def gains(printed: PrintedDetection) -> Iterator[str]:
    """Say how large the printed differences are, with unpaired intervals."""
    rows = {row.label: row for row in printed.rows}
    for label, other in printed.compared:
        value, low, high = unpaired(rows[label].right, rows[other].right, rows[label].n)
        yield (
            f"{label} minus {other}: {points(value)} points ({rows[label].right:,} against "
            f"{rows[other].right:,} of {rows[label].n:,}), 95 % interval {points(low)} to "
            f"{points(high)}, as if unpaired"
        )
