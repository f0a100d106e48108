"""Figures of the detection experiment: scores, curves, sizes, calibration."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mrgantry.detect.effects import MEASURES, SIZES
from mrgantry.detect.findings import Arm, Condition, Detection
from mrgantry.report.drawing import INK, REAL, STYLES, DrawingStyle, blank, svg

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
PANELS = ("accuracy", "sensitivity", "specificity", "auc")


def scores_of_arms(detection: Detection) -> str:
    """Draw a panel a measure and a row an arm: mean, interval over subjects, a dot a seed."""
    arms = detection.main
    figure, panels = blank(11, 0.34 * len(arms) + 0.9, columns=len(PANELS), sharey=True)
    for axes, measure in zip(panels, PANELS, strict=True):
        for y, arm in enumerate(arms):
            score, style = detection.score(arm, measure), ARM_STYLES[arm.condition]
            if score.value is None:
                continue
            scale = 1 if measure == "auc" else 100
            if score.low is not None and score.high is not None:
                ends = [scale * score.low, scale * score.high]
                axes.plot(ends, [y, y], color=style.colour, lw=2)
            axes.plot(scale * score.value, y, style.mark, color=style.colour, ms=7, mew=0)
            seeds = scale * np.array(score.seeds)
            axes.plot(seeds, np.full(len(seeds), y + 0.27), "o", color=INK, ms=3, mew=0, alpha=0.7)
        unit = "" if measure == "auc" else ", %"
        axes.set_title(MEASURES[measure].title + unit, loc="left", fontsize=9, weight="bold")
        axes.set_yticks(range(len(arms)), [NAMES[arm.condition] for arm in arms])
        axes.set_ylim(len(arms) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.locator_params(axis="x", nbins=4)
    return svg(figure)


def curves(detection: Detection, over: str, measure: str = "accuracy") -> str:
    """Draw a measure over the share of the subjects, or over the ratio of synthetic images.

    Args:
        detection: The experiment.
        over: "share" or "ratio".
        measure: What is drawn.
    """
    figure, (axes,) = blank(5.4, 3.6)
    scale = 1 if measure == "auc" else 100
    lines = lines_of(detection, over)
    places = sorted({x for line in lines.values() for x, _ in line if len(line) > 1})
    for number, (condition, line) in enumerate(lines.items()):
        style = ARM_STYLES[condition]
        spread = 1 + 0.02 * (number - (len(lines) - 1) / 2)  # so that intervals do not cover others
        scores = [(x * spread, detection.score(arm, measure)) for x, arm in line]
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
    axes.set_ylabel(MEASURES[measure].title + ("" if measure == "auc" else ", %"))
    figure.legend(loc="outside upper center", ncols=3, fontsize=8)
    return svg(figure)


def lines_of(detection: Detection, over: str) -> dict[Condition, list[tuple[float, Arm]]]:
    """Find the arms of each line: at the main ratio over shares, or the reverse."""
    main = detection.main
    share = main[0].share
    ratios = {arm.ratio for arm in main} | {None}
    lines: dict[Condition, list[tuple[float, Arm]]] = {}
    for arm in detection.arms:
        if over == "share" and arm.ratio in ratios:
            lines.setdefault(arm.condition, []).append((arm.share, arm))
        elif over == "ratio" and arm.share == share:
            lines.setdefault(arm.condition, []).append((arm.ratio or 1.0, arm))
    return lines


def by_size(detection: Detection) -> str:
    """Draw the sensitivity to small, medium and large tumours."""
    figure, (axes,) = blank(5.4, 3.6)
    arms = detection.main
    for number, arm in enumerate(arms):
        style = ARM_STYLES[arm.condition]
        x = np.arange(len(SIZES)) + 0.13 * (number - (len(arms) - 1) / 2)
        for place, size in zip(x, SIZES, strict=True):
            score = detection.score(arm, f"sensitivity_{size}")
            if score.value is None:  # tumours of one area leave a third empty
                continue
            if score.low is not None and score.high is not None:
                ends = [100 * score.low, 100 * score.high]
                axes.plot([place, place], ends, color=style.colour, lw=1.6)
            axes.plot(place, 100 * score.value, style.mark, color=style.colour, ms=6, mew=0)
        axes.plot([], [], style.mark, color=style.colour, ms=6, mew=0, label=NAMES[arm.condition])
    low, high = detection.limits or (0, 0)
    words = [f"up to {low:,.0f} mm²", f"to {high:,.0f} mm²", f"over {high:,.0f} mm²"]
    axes.set_xticks(range(3), [f"{size}\n{word}" for size, word in zip(SIZES, words, strict=True)])
    axes.set_ylabel("Sensitivity, %")
    axes.grid(visible=False, axis="x")
    figure.legend(loc="outside upper center", ncols=3, fontsize=8)
    return svg(figure)


def calibration(detection: Detection) -> str:
    """Draw the share of tumours over the mean probability of each bin, larger with more images."""
    figure, (axes,) = blank(5.4, 3.6)
    axes.plot([0, 1], [0, 1], color=INK, lw=1, ls=(0, (3, 2)))
    main = detection.main
    for curve in detection.calibration:
        if curve.arm not in main:
            continue
        style = ARM_STYLES[curve.arm.condition]
        bins = [
            (x, y, n)
            for x, y, n in zip(curve.mean, curve.tumours, curve.counts, strict=True)
            if x is not None
        ]
        x, y, counts = (np.array(values, dtype=np.float64) for values in zip(*bins, strict=True))
        axes.plot(x, y, color=style.colour, lw=1.1, ls=style.dash)
        sizes = 8 + 90 * counts / counts.sum()
        axes.scatter(x, y, s=sizes, color=style.colour, marker=style.mark, lw=0,
                     label=NAMES[curve.arm.condition])  # fmt: skip
    axes.set_xlabel("mean probability of a tumour")
    axes.set_ylabel("share that has one")
    figure.legend(loc="outside upper center", ncols=3, fontsize=8)
    _square(axes)
    return svg(figure)


def styles_of_groups(groups: Sequence[str]) -> dict[str, DrawingStyle]:
    """Give the groups of the map their styles: a mark a source, dark with a tumour."""
    marks = {"real": ("o", "●"), "classical": ("s", "■"), "synthetic": ("^", "▲")}
    dark = {"real": REAL, "classical": STYLES[1].colour, "synthetic": STYLES[0].colour}
    pale = {"real": "#9cc0d8", "classical": "#8ccfbb", "synthetic": "#efb795"}
    styles = {}
    for name in groups:
        source, _, word = name.partition(", ")
        colour = (dark if word == "tumour" else pale)[source]
        styles[name] = DrawingStyle(colour, *marks[source])
    return styles


def _square(axes: Any) -> None:
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.03, 1.03)
