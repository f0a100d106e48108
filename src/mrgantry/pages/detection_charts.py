"""Figures of the detection experiment: scores, curves, sizes, calibration."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mrgantry.detection.effects import SIZES
from mrgantry.detection.findings import Detection
from mrgantry.pages.drawing import INK, REAL, STYLES, DrawingStyle, blank, svg
from mrgantry.pages.experiment_charts import ARM_STYLES, NAMES


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
