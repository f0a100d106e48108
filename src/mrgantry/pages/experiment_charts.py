"""Figures that the pages of experiments share: scores of all conditions, and curves."""

from collections.abc import Mapping, Sequence

import numpy as np

from mrgantry.detection.findings import Arm, Condition, Experiment
from mrgantry.pages.drawing import INK, REAL, STYLES, DrawingStyle, blank, svg

ARM_STYLES: Mapping[Condition, DrawingStyle] = {
    "none": DrawingStyle(REAL, "D", "◆"),
    "classical": STYLES[1],
    "synthetic": STYLES[0],
    "classical+synthetic": STYLES[2],
    "synthetic alone": STYLES[4],
}
NAMES: Mapping[Condition, str] = {
    "none": "no augmentation",
    "classical": "classical",
    "synthetic": "synthetic",
    "classical+synthetic": "classical + synthetic",
    "synthetic alone": "synthetic alone",
}
PLAIN = ("auc", "brier", "ece", "dice")  # measures, or how they begin, that are not in percent
COUNTS = ("hd95", "false_lesions")  # those that are no shares


def in_percent(measure: str) -> bool:
    """Say whether a measure is written in percent."""
    return not measure.startswith((*PLAIN, *COUNTS))


def scores_of_arms(experiment: Experiment, measures: Sequence[str]) -> str:
    """Draw a panel a measure and a row an arm: mean, interval over subjects, a dot a seed."""
    arms = experiment.main
    figure, panels = blank(11, 0.34 * len(arms) + 0.9, columns=len(measures), sharey=True)
    for axes, measure in zip(panels, measures, strict=True):
        for y, arm in enumerate(arms):
            score, style = experiment.score(arm, measure), ARM_STYLES[arm.condition]
            if score.value is None:
                continue
            scale = 100 if in_percent(measure) else 1
            if score.low is not None and score.high is not None:
                ends = [scale * score.low, scale * score.high]
                axes.plot(ends, [y, y], color=style.colour, lw=2)
            axes.plot(scale * score.value, y, style.mark, color=style.colour, ms=7, mew=0)
            seeds = scale * np.array(score.seeds)
            axes.plot(seeds, np.full(len(seeds), y + 0.27), "o", color=INK, ms=3, mew=0, alpha=0.7)
        unit = ", %" if in_percent(measure) else ""
        axes.set_title(experiment.title_of(measure) + unit, loc="left", fontsize=9, weight="bold")
        axes.set_yticks(range(len(arms)), [NAMES[arm.condition] for arm in arms])
        axes.set_ylim(len(arms) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.locator_params(axis="x", nbins=4)
    return svg(figure)


def curves(experiment: Experiment, over: str) -> str:
    """Draw what was asked over the share of the subjects, or the ratio of synthetic images.

    Args:
        experiment: What was found.
        over: "share" or "ratio".
    """
    measure = experiment.question
    figure, (axes,) = blank(5.4, 3.6)
    scale = 100 if in_percent(measure) else 1
    lines = lines_of(experiment, over)
    places = sorted({x for line in lines.values() for x, _ in line if len(line) > 1})
    for number, (condition, line) in enumerate(lines.items()):
        style = ARM_STYLES[condition]
        spread = 1 + 0.02 * (number - (len(lines) - 1) / 2)  # so that intervals do not cover others
        scores = [(x * spread, experiment.score(arm, measure)) for x, arm in line]
        points = [(x, score) for x, score in scores if score.value is not None]
        x = [place for place, _ in points]
        y = [scale * (score.value or 0) for _, score in points]
        if len(line) == 1:  # it has no share or ratio: a level
            axes.axhline(y[0], color=style.colour, lw=1.4, ls=(0, (3, 2)), label=NAMES[condition])
            continue
        axes.plot(x, y, color=style.colour, marker=style.mark, ms=6, mew=0, label=NAMES[condition])
        for place, score in points:
            if score.low is not None and score.high is not None:
                ends = [scale * score.low, scale * score.high]
                axes.plot([place, place], ends, color=style.colour, lw=1.1)
    axes.set_xscale("log")
    written = ".0%" if over == "share" else "g"
    axes.set_xticks(places, [format(place, written) for place in places])
    axes.set_xticks([], minor=True)
    what = "share of the training subjects" if over == "share" else "synthetic images to each other"
    axes.set_xlabel(what)
    axes.set_ylabel(experiment.title_of(measure) + (", %" if in_percent(measure) else ""))
    figure.legend(loc="outside upper center", ncols=3, fontsize=8)
    return svg(figure)


def lines_of(experiment: Experiment, over: str) -> dict[Condition, list[tuple[float, Arm]]]:
    """Find the arms of each line: at the main ratio over shares, or the reverse."""
    main = experiment.main
    share = main[0].share
    ratios = {arm.ratio for arm in main} | {None}
    lines: dict[Condition, list[tuple[float, Arm]]] = {}
    for arm in experiment.arms:
        if over == "share" and arm.ratio in ratios:
            lines.setdefault(arm.condition, []).append((arm.share, arm))
        elif over == "ratio" and arm.share == share:
            lines.setdefault(arm.condition, []).append((arm.ratio or 1.0, arm))
    return lines
