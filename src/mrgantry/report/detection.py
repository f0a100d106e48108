"""The page of the detection experiment: whether synthetic images help, and how far that goes."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float16

from mrgantry.common.files import write_text
from mrgantry.data.slices import SliceSet
from mrgantry.detect.effects import BINS, FEWEST_SEEDS, MEASURES, unpaired
from mrgantry.detect.findings import Arm, Condition, Detection, Effect
from mrgantry.detect.gather import arm_of
from mrgantry.detect.maps import read_map
from mrgantry.detect.printed import PrintedDetection
from mrgantry.report import detection_charts as charts
from mrgantry.report import figures
from mrgantry.report.charts import map_of_images
from mrgantry.report.detection_charts import ARM_STYLES, NAMES
from mrgantry.report.rendering import render

TABLE = ("accuracy", "sensitivity", "specificity", "auc", "brier", "ece")
CHOSEN = ("accuracy_youden", "sensitivity_youden", "specificity_youden")
PLAIN = {"auc", "brier", "ece"}  # not in percent
MISSED = 1.43  # of half an interval: (1.96 + 0.84) / 1.96, what is found in 80 % of experiments
UNSPREAD = {"brier", "ece"}  # whose seeds the page leaves to measures.csv
SUBJECT: dict[tuple[Condition, Condition], str] = {
    ("classical+synthetic", "classical"): "Synthetic images beside classical ones",
    ("synthetic", "none"): "Synthetic images",
    ("classical+synthetic", "none"): "Classical and synthetic images",
    ("classical", "none"): "Classically changed images",
    ("synthetic alone", "none"): "Synthetic images in place of real ones",
    ("synthetic", "classical"): "Synthetic images in place of classically changed ones",
    ("classical+synthetic", "synthetic"): "Classically changed images beside synthetic ones",
}
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
        titles=[MEASURES[name].title for name in TABLE],
        chosen=[MEASURES[name].title for name in CHOSEN],
        rows=[row(detection, arm, (*TABLE, *CHOSEN)) for arm in main],
        other_rows=[row(detection, arm, TABLE) for arm in detection.arms if arm not in main],
        dots=charts.scores_of_arms(detection),
        effects=[effects(detection, *pair) for pair in main_pairs],
        other_effects=[effects(detection, *pair) for pair in other_pairs],
        family=len(main_pairs),
        unseen=unseen(detection),
        fewest_seeds=FEWEST_SEEDS,
        curves=[(over, charts.curves(detection, over)) for over, many in several.items() if many],
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
    own = folder / "detection.html"
    return answer(detection) | {
        "name": folder.resolve().name,
        "link": os.path.relpath(own.resolve(), page.resolve().parent),
        "dots": charts.scores_of_arms(detection),
        "seeds": len(detection.seeds),
    }


def points(value: float, sign: bool = True) -> str:
    """Write a share as percentage points, with a true minus."""
    return f"{100 * value:{'+' if sign else ''}.1f}".replace("-", "−")


def shown(value: float | None, measure: str, sign: bool = False) -> str:
    """Write a value of a measure: in percent, or as it is."""
    if value is None:
        return "—"
    if measure in PLAIN:
        return f"{value:{'+' if sign else ''}.3f}".replace("-", "−")
    return points(value, sign)


def answer(detection: Detection) -> dict[str, str]:
    """Say in a sentence what the experiment found, and how sure that is."""
    effect = detection.answer
    if effect is None:
        return {
            "sentence": "No two of these conditions differ by synthetic images alone",
            "more": "",
        }
    what = SUBJECT[effect.one.condition, effect.other.condition]
    words = {
        "helps": "helped",
        "hurts": "hurt",
        "not shown": "were not shown to help or hurt",
        "too few seeds": "were tried with too few seeds to tell",
    }
    half = (effect.high - effect.low) / 2
    more = {
        "helps": "The interval leaves out that they do nothing.",
        "hurts": "The interval leaves out that they do nothing.",
        "not shown": "That is no proof that they do nothing: the interval holds every effect that "
        f"these data agree with. {missable(half)}",
        "too few seeds": f"Another training answers otherwise, and fewer than {FEWEST_SEEDS} do "
        "not tell by how much: run it again with --seeds 3, which adds to these.",
    }
    if effect.verdict == "not shown" and (effect.low > 0 or effect.high < 0):
        more["not shown"] = (
            "The interval leaves 0 out, but where several differences are looked at, chance gives "
            f"one like this too easily: p = {effect.p_holm:.2g} after Holm."
        )
    return {
        "sentence": f"{what} {words[effect.verdict]}: accuracy {points(effect.value)} points, 95 % "
        f"interval {points(effect.low)} to {points(effect.high)}",
        "more": more[effect.verdict],
    }


def missable(half: float) -> str:
    """Say which gains would have been missed, by half of the interval's width."""
    if MISSED * half >= 1:
        return "No gain whatever could have been shown with so few people and seeds."
    return (
        f"A gain of {points(MISSED * half, False)} points would have been missed in one of five "
        "such experiments, a smaller one more often."
    )


def unseen(detection: Detection) -> str:
    """Say who has not seen the people of the test, as far as that is known."""
    if all(synthetic.subjects for synthetic in detection.synthetic):
        return (
            "neither they nor the generator have seen" if detection.synthetic else "they never saw"
        )
    return "they have not seen; whether the generator has is not known"


def name_of(detection: Detection, arm: Arm) -> str:
    """Name an arm, with its share and ratio where it is none of the main ones."""
    name = NAMES[arm.condition]
    if arm in detection.main:
        return name
    if len({each.share for each in detection.arms}) > 1 and arm.condition != "synthetic alone":
        name += f", {arm.share:.0%} of subjects"
    if arm.ratio is not None and len({each.ratio for each in detection.arms} - {None}) > 1:
        name += f", ratio {arm.ratio:g}"
    return name


def learnt(detection: Detection, arm: Arm) -> dict[str, str]:
    """Say what an arm's classifiers have learnt from."""
    runs = [run for run in detection.runs if arm_of(run.cell) == arm]
    share = float(detection.choices["real_share"])
    mix = "real slices as they are"
    if "classical" in arm.condition:
        mix = f"{share:.0%} real slices as they are, {1 - share:.0%} changed"
    if arm.condition == "synthetic alone":
        mix = "synthetic images"
    elif arm.ratio is not None:
        mix += f"; {arm.ratio:g} synthetic to each of these"
    images = sorted({run.images for run in runs})
    best = sorted(run.best for run in runs)
    epochs = sorted(run.epochs for run in runs)
    return {
        "name": name_of(detection, arm),
        "colour": ARM_STYLES[arm.condition].colour,
        "sign": ARM_STYLES[arm.condition].sign,
        "mix": mix,
        "subjects": str(runs[0].subjects),
        "images": span([float(image) for image in images]),
        "seen": span([float(run.seen) for run in runs]),
        "epochs": f"{span(list(map(float, best)))} of {span(list(map(float, epochs)))}",
        "minutes": f"{sum(run.seconds for run in runs) / 60 / len(runs):.1f}",
    }


def span(values: list[float]) -> str:
    """Write the least and the greatest, or the one."""
    low, high = f"{min(values):,.0f}", f"{max(values):,.0f}"
    return low if low == high else f"{low} to {high}"


def row(detection: Detection, arm: Arm, measures: tuple[str, ...]) -> dict[str, Any]:
    """Write all scores of an arm."""
    cells = []
    for name in measures:
        score = detection.score(arm, name)
        cells.append(
            {
                "value": shown(score.value, name),
                "interval": f"{shown(score.low, name)} to {shown(score.high, name)}"
                if score.low is not None
                else "",
                "seeds": " · ".join(shown(value, name) for value in score.seeds)
                if name not in UNSPREAD
                else "",
            }
        )
    return {
        "name": name_of(detection, arm),
        "colour": ARM_STYLES[arm.condition].colour,
        "sign": ARM_STYLES[arm.condition].sign,
        "cells": cells[: len(TABLE)],
        "chosen": cells[len(TABLE) :],
    }


def pairs(detection: Detection, main: bool) -> list[tuple[Arm, Arm]]:
    """Give the arms that are compared, in the main family of differences or in the other."""
    return [
        (difference.one, difference.other)
        for difference in detection.differences_in("accuracy")
        if difference.main == main
    ]


def effects(detection: Detection, arm: Arm, other: Arm) -> dict[str, Any]:
    """Write the differences between two arms."""
    return {
        "one": name_of(detection, arm),
        "other": name_of(detection, other),
        "cells": [
            cell(effect)
            for name in TABLE
            for effect in detection.differences_in(name)
            if (effect.one, effect.other) == (arm, other)
        ],
    }


def cell(effect: Effect) -> dict[str, str]:
    """Write a difference."""
    return {
        "value": shown(effect.value, effect.measure, True),
        "interval": " to ".join(
            shown(end, effect.measure, True) for end in (effect.low, effect.high)
        ),
        "p": p_value(effect, "p = "),
        "verdict": effect.verdict,
        "kind": {"helps": "better", "hurts": "worse"}.get(effect.verdict, "alike"),
    }


def p_value(effect: Effect, prefix: str = "") -> str:
    """Write the adjusted p value; without a verdict there is none."""
    if effect.verdict == "too few seeds":
        return ""
    return f"{prefix}{effect.p_holm:.3f}" if effect.p_holm >= 0.001 else f"{prefix[:2]}< 0.001"


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
