"""What the pages of experiments share: the answer in a sentence, scores, differences, trainings."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mrgantry.detection.effects import FEWEST_SEEDS
from mrgantry.detection.findings import Arm, ArmScore, Condition, Effect, Experiment
from mrgantry.detection.gather import arm_of
from mrgantry.pages.experiment_charts import ARM_STYLES, COUNTS, NAMES, in_percent, scores_of_arms

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


def points(value: float, sign: bool = True) -> str:
    """Write a share as percentage points, with a true minus."""
    return f"{100 * value:{'+' if sign else ''}.1f}".replace("-", "−")


def shown(value: float | None, measure: str, sign: bool = False) -> str:
    """Write a value of a measure: in percent, as it is, or to a tenth where it is no share."""
    if value is None:
        return "—"
    if in_percent(measure):
        return points(value, sign)
    digits = 1 if measure.startswith(COUNTS) else 3
    return f"{value:{'+' if sign else ''}.{digits}f}".replace("-", "−")


def headed(experiment: Experiment, measure: str) -> str:
    """Give what people call a measure, with its unit."""
    return experiment.title_of(measure) + (", %" if in_percent(measure) else "")


def answer(experiment: Experiment) -> dict[str, str]:
    """Say in a sentence what the experiment found, and how sure that is."""
    effect = experiment.answer
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
        f"these data agree with. {missable(half, effect.measure)}",
        "too few seeds": f"Another training answers otherwise, and fewer than {FEWEST_SEEDS} do "
        "not tell by how much: run it again with --seeds 3, which adds to these.",
    }
    if effect.verdict == "not shown" and (effect.low > 0 or effect.high < 0):
        more["not shown"] = (
            "The interval leaves 0 out, but where several differences are looked at, chance gives "
            f"one like this too easily: p = {effect.p_holm:.2g} after Holm."
        )
    unit = " points" if in_percent(effect.measure) else ""
    low, high = (shown(end, effect.measure, True) for end in (effect.low, effect.high))
    return {
        "sentence": f"{what} {words[effect.verdict]}: "
        f"{inside_sentence(experiment.title_of(effect.measure))} "
        f"{shown(effect.value, effect.measure, True)}{unit}, 95 % interval {low} to {high}",
        "more": more[effect.verdict],
    }


def inside_sentence(title: str) -> str:
    """Write a title within a sentence; names of people keep their capital."""
    return title if title.startswith("Dice") else title.lower()


def summarised(
    experiment: Experiment, panels: Sequence[str], page: Path, own: Path
) -> dict[str, Any]:
    """Give what a page of many things says of an experiment.

    Args:
        experiment: What came of it.
        panels: The measures that are drawn.
        page: The page of many things.
        own: The experiment's page, which it links to.
    """
    return answer(experiment) | {
        "name": own.parent.resolve().name,
        "link": os.path.relpath(own.resolve(), page.resolve().parent),
        "dots": scores_of_arms(experiment, panels),
        "seeds": len(experiment.seeds),
    }


def missable(half: float, measure: str) -> str:
    """Say which gains would have been missed.

    Args:
        half: Half of the interval's width.
        measure: What is measured, a share.
    """
    if MISSED * half >= 1:
        return "No gain whatever could have been shown with so few people and seeds."
    unit = " points" if in_percent(measure) else ""
    return (
        f"A gain of {shown(MISSED * half, measure)}{unit} would have been missed in one of five "
        "such experiments, a smaller one more often."
    )


def unseen(experiment: Experiment) -> str:
    """Say who has not seen the people of the test, as far as that is known."""
    if all(synthetic.subjects for synthetic in experiment.synthetic):
        return (
            "neither they nor the generator have seen" if experiment.synthetic else "they never saw"
        )
    return "they have not seen; whether the generator has is not known"


def name_of(experiment: Experiment, arm: Arm) -> str:
    """Name an arm, with its share and ratio where it is none of the main ones."""
    name = NAMES[arm.condition]
    if arm in experiment.main:
        return name
    if len({each.share for each in experiment.arms}) > 1 and arm.condition != "synthetic alone":
        name += f", {arm.share:.0%} of subjects"
    if arm.ratio is not None and len({each.ratio for each in experiment.arms} - {None}) > 1:
        name += f", ratio {arm.ratio:g}"
    return name


def learnt(experiment: Experiment, arm: Arm) -> dict[str, str]:
    """Say what an arm's classifiers have learnt from."""
    runs = [run for run in experiment.trainings if arm_of(run.cell) == arm]
    share = float(experiment.choices["real_share"])
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
        "name": name_of(experiment, arm),
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


def row(experiment: Experiment, arm: Arm, measures: Sequence[str]) -> dict[str, Any]:
    """Write some scores of an arm."""
    return {
        "name": name_of(experiment, arm),
        "colour": ARM_STYLES[arm.condition].colour,
        "sign": ARM_STYLES[arm.condition].sign,
        "cells": [score_cell(experiment.score(arm, name)) for name in measures],
    }


def score_cell(score: ArmScore) -> dict[str, str]:
    """Write a score: its value, its interval, what each seed gives."""
    low, high = (shown(end, score.measure) for end in (score.low, score.high))
    seeds = () if score.measure in UNSPREAD else score.seeds
    return {
        "value": shown(score.value, score.measure),
        "interval": f"{low} to {high}" if score.low is not None else "",
        "seeds": " · ".join(shown(value, score.measure) for value in seeds),
    }


def pairs(experiment: Experiment, main: bool) -> list[tuple[Arm, Arm]]:
    """Give the arms that are compared, in the main family of differences or in the other."""
    return [
        (difference.one, difference.other)
        for difference in experiment.differences_in(experiment.question)
        if difference.main == main
    ]


def effects(
    experiment: Experiment, arm: Arm, other: Arm, measures: Sequence[str]
) -> dict[str, Any]:
    """Write the differences between two arms in some measures."""
    found = {
        effect.measure: effect
        for effect in experiment.effects
        if (effect.one, effect.other) == (arm, other)
    }
    return {
        "one": name_of(experiment, arm),
        "other": name_of(experiment, other),
        "cells": [cell(found[name]) if name in found else None for name in measures],
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
