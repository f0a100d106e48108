"""The page of a repeated study: what the paper printed, and what this run gave."""

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float16

from mrgantry.common.files import write_text
from mrgantry.common.score import Score
from mrgantry.data.slices import SliceSet
from mrgantry.detection.classical import Classical
from mrgantry.detection.findings import Arm, Detection, Effect
from mrgantry.detection.maps import read_map
from mrgantry.detection.printed import PrintedCondition, PrintedDetection
from mrgantry.evaluation.comparison import JUDGED
from mrgantry.evaluation.explained import title_of
from mrgantry.evaluation.stability import RULE
from mrgantry.pages import figures
from mrgantry.pages.charts import map_of_images
from mrgantry.pages.detection import images_of
from mrgantry.pages.detection_charts import styles_of_groups
from mrgantry.pages.latents import walked
from mrgantry.pages.rendering import between, number, render
from mrgantry.pages.reproduced import ModelResult, Reproduced, TypeResult
from mrgantry.pages.reproduction_readers import in_points, readers
from mrgantry.pages.scores import anchor_of, cell, glossary
from mrgantry.pages.study import words
from mrgantry.pages.study.words import TableCell
from mrgantry.study.printed import PrintedValues

SHOWN = 12  # images in a grid
COLUMNS = 6
RATES = ("accuracy", "sensitivity", "specificity")
CORRECTED = ("rho_formula", "sigma", "delta")  # Delplace's measures in their other form


def write_reproduction(out: Path, reproduced: Reproduced) -> None:
    """Write the page; its links are relative, so the folder can be moved.

    Args:
        out: The HTML file.
        reproduced: What it shows.
    """
    scores = [
        score for model in reproduced.models for of_set in model.scores.values() for score in of_set
    ]
    page = render(
        "reproduction.html",
        reproduced=reproduced,
        readers=[readers(printed, reproduced) for printed in reproduced.reading.printed]
        if reproduced.reading
        else [],
        values=measures(reproduced.values, reproduced.models) if reproduced.values else None,
        detected=detection(reproduced.printed_detection, reproduced.detected),
        scores=overview(reproduced.types),
        stability=stability(reproduced.models),
        rule=RULE,
        walks=[
            {"label": model.label} | walked(model.walk) for model in reproduced.models if model.walk
        ],
        galleries=list(galleries(reproduced)),
        figures=list(figures_of_paper(reproduced)),
        panels=panels(reproduced.detection.parent) if reproduced.detection else [],
        changes=changes(reproduced.types),
        links={path: relative(path, out) for path in linked(reproduced)},
        glossary=glossary(
            dict.fromkeys(score.name for score in scores),
            dict.fromkeys(score.features for score in scores),
        ),
    )
    write_text(out, page)


def linked(reproduced: Reproduced) -> Iterator[Path]:
    """List what the page links to."""
    yield from (image_type.page for image_type in reproduced.types)
    if reproduced.detection:
        yield reproduced.detection
    if reproduced.ablated:
        yield reproduced.ablated
    if reproduced.reading:
        yield reproduced.reading.page
        if reproduced.reading.quiz:
            yield reproduced.reading.quiz


def relative(path: Path, out: Path) -> str:
    """Write a link from the page, which lies above all others."""
    return path.relative_to(out.parent).as_posix()


# --- measures -------------------------------------------------------------------------


def measures(printed: PrintedValues, models: Sequence[ModelResult]) -> dict[str, Any]:
    """Lay a printed table of measures out, a row for every model, ours beside."""
    printed_rows = dict(printed.rows)
    names = (*printed.measures, *CORRECTED)
    measured = [model for model in models if by_name(model)]
    rows: list[dict[str, Any]] = []
    if measured:
        floors = by_name(measured[0])
        label = printed.rows[0][0]
        rows.append(
            {
                "label": label,
                "note": "here: held-out real images",
                "printed": printed_rows[label],
                "ours": [floor(floors[name]) for name in names],
            }
        )
    for model in models:
        scores = by_name(model)
        rows.append(
            {
                "label": model.label,
                "note": "diverged" if model.failed else "",
                "printed": printed_rows.get(model.label),
                "ours": [cell(scores[name]) if name in scores else None for name in names],
            }
        )
    return {
        "printed": printed,
        "ours": [title_of(name) for name in names],
        "anchors": [anchor_of(name) for name in names],
        "n": f"{by_name(measured[0])[names[0]].n_synthetic:,}" if measured else "",
        "rows": rows,
    }


def by_name(model: ModelResult) -> dict[str, Score]:
    """Give the scores of a model's first set by name."""
    if not model.sets:
        return {}
    return {score.name: score for score in model.scores.get(model.sets[0][1].name, ())}


def floor(score: Score) -> dict[str, Any]:
    """Write what real images score."""
    return {"value": number(score.floor), "interval": between(score.floor_low, score.floor_high)}


def stability(models: Sequence[ModelResult]) -> list[dict[str, str]]:
    """Say of each model whether it converges in the paper, where that is said, and here."""
    if all(model.converges is None for model in models):
        return []
    said = {True: "converges", False: "does not", None: "–"}
    return [
        {
            "label": model.label,
            "paper": said[model.converges],
            "verdict": model.stability.verdict,
            "why": model.stability.why,
        }
        for model in models
        if model.stability
    ]


def overview(types: Sequence[TypeResult]) -> dict[str, Any]:
    """Lay the main scores of all models out: a row a set, a column a score."""
    kinds: dict[tuple[str, str], None] = {}
    for image_type in types:
        for model in image_type.models:
            for scores in model.scores.values():
                kinds |= dict.fromkeys(kind for kind in map(kind_of, scores) if kind in JUDGED)
    order = [kind for kind in JUDGED if kind in kinds]
    return {
        "columns": [(title_of(*kind), anchor_of(kind[0])) for kind in order],
        "rows": [
            {"label": model.label, "word": word, "failed": model.failed, "page": image_type.page}
            | {"cells": [_cell(model.scores.get(name, ()), kind) for kind in order]}
            for image_type in types
            for model in image_type.models
            for word, name in [(word, folder.name) for word, folder in model.sets] or [("", "")]
        ],
    }


def kind_of(score: Score) -> tuple[str, str]:
    """Name a score; principal components are one kind, however many a small set allows."""
    return score.name, re.sub(r"^pca\d+$", "pca64", score.features)


def _cell(scores: Sequence[Score], kind: tuple[str, str]) -> dict[str, Any] | None:
    for score in scores:
        if kind_of(score) == kind:
            return cell(score) | {"floor": number(score.floor)}
    return None


# --- detection ------------------------------------------------------------------------


def detection(
    printed: PrintedDetection | None, detected: Detection | None
) -> dict[str, Any] | None:
    """Lay the printed table of detection out, ours beside."""
    if printed is None:
        return None
    rows = []
    for row in printed.rows:
        arm = nearest(row, detected) if detected else None
        rows.append(
            {
                "label": row.label,
                "condition": named(arm) if arm else row.condition,
                "printed": (row.accuracy, row.sensitivity, row.specificity),
                "ours": [scored(detected, arm, name) for name in RATES],
            }
        )
    if detected is None:
        return {"made": False, "rows": rows, "effects": [], "notes": printed.notes}
    test = next(split for split in detected.splits if split.split == "test")
    return {
        "made": True,
        "seeds": len(detected.seeds),
        "images": f"{test.tumour + test.none:,}",
        "subjects": test.subjects,
        "rows": rows,
        "effects": [effect(difference) for difference in detected.differences_in("accuracy")],
        "notes": (*printed.notes, *detected.remarks),
    }


def nearest(row: PrintedCondition, detected: Detection) -> Arm | None:
    """Find the arm of a printed condition whose ratio is nearest, at the greatest share."""
    share = max(arm.share for arm in detected.arms)
    arms = [arm for arm in detected.arms if (arm.condition, arm.share) == (row.condition, share)]
    return min(
        arms, key=lambda arm: abs(math.log((arm.ratio or 1.0) / (row.ratio or 1.0))), default=None
    )


def named(arm: Arm) -> str:
    """Name an arm, with its ratio where it mixes."""
    if arm.ratio is None:
        return arm.condition
    return f"{arm.condition}, {arm.ratio:g} synthetic to each other image"


def scored(detected: Detection | None, arm: Arm | None, measure: str) -> TableCell | None:
    """Write a measure of a condition, in percent."""
    if detected is None or arm is None:
        return None
    score = detected.score(arm, measure)
    if score.value is None or score.low is None or score.high is None:
        return None
    return TableCell(f"{100 * score.value:.1f}", f"{100 * score.low:.1f} to {100 * score.high:.1f}")


def effect(difference: Effect) -> dict[str, str]:
    """Write a difference in points."""
    return {
        "one": named(difference.one),
        "other": named(difference.other),
        "points": in_points(difference.value),
        "interval": f"{in_points(difference.low)} to {in_points(difference.high)}",
        "p": words.probability(difference.p_holm),
        "verdict": difference.verdict,
    }


# --- pictures and differences ---------------------------------------------------------


def galleries(reproduced: Reproduced) -> Iterator[dict[str, Any]]:
    """Show held-out real images of each type, and the first ones of each of its models."""
    origin = "Simulated" if reproduced.simulated else "Real"
    for image_type in reproduced.types:
        held = SliceSet.open(image_type.slices).split("test")
        rows = np.sort(np.random.default_rng(0).permutation(len(held))[:SHOWN])
        yield {
            "title": f"{origin}: {image_type.label}",
            "kind": "real",
            "caption": "held out from training",
            "picture": figures.image_grid(images_of(held, rows), COLUMNS),
        }
        for model in image_type.models:
            for word, folder in model.sets:
                data = SliceSet.open(folder)
                shown = np.arange(min(SHOWN, len(data)))
                yield {
                    "title": f"Synthetic: {model.label}",
                    "kind": "synthetic",
                    "caption": " ".join(
                        filter(None, ("the first", word, f"images of {len(data):,}"))
                    ),
                    "picture": figures.image_grid(images_of(data, shown), COLUMNS),
                }


def figures_of_paper(reproduced: Reproduced) -> Iterator[dict[str, str]]:
    """Show a real slice with its classical versions, and what was discarded of each model."""
    if reproduced.classical:
        train = SliceSet.open(reproduced.classical).split("train")
        rows = np.flatnonzero((train.table["tumour"] == "yes").to_numpy())
        if len(rows):
            real = images_of(train, rows[len(rows) // 2 :][:1])
            yield {
                "title": "A slice and its classical versions",
                "kind": "real",
                "caption": "first as it is, then flipped, turned, shifted, slanted and zoomed at "
                "random, as classifiers see it",
                "picture": figures.image_grid(versions(real, SHOWN - 1), COLUMNS),
            }
    for label, folder, words_of in reproduced.discarded:
        yield {
            "title": f"Failed: {label}",
            "kind": "synthetic",
            "caption": f"discarded by the rule, the worst first; {words_of}",
            "picture": figures.png_file(folder / "discarded.png"),
        }


def versions(real: Float16[np.ndarray, "1 c h w"], count: int) -> Float16[np.ndarray, "n c h w"]:
    """Give an image and some of its classical versions, by the published ranges."""
    images = torch.from_numpy(real).float().expand(count, -1, -1, -1)
    changed = Classical().draw(images, torch.arange(count), seed=0)
    return np.concatenate([real, changed.numpy().astype(np.float16)])


def panels(folder: Path) -> list[dict[str, str]]:
    """Draw the map of the detection experiment by source, a panel each, as the paper has it."""
    groups = read_map(folder)
    styles = styles_of_groups(list(groups))
    titles = {"real": "Real", "classical": "Classically changed", "synthetic": "Synthetic"}
    return [
        {"title": title, "picture": map_of_images(groups, styles, only=names)}
        for source, title in titles.items()
        if (names := [name for name in groups if name.partition(", ")[0] == source])
    ]


def changes(types: Sequence[TypeResult]) -> list[tuple[str, list[str]]]:
    """List what differs from the published plans and recipes, and of which models."""
    whose: dict[str, list[str]] = {}
    for image_type in types:
        for change in image_type.changes:
            whose.setdefault(f"slices: {change}", []).append(image_type.label)
        for model in image_type.models:
            for change in model.changes:
                whose.setdefault(f"training: {change}", []).append(model.label)
    return list(whose.items())
