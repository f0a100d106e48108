"""Charts of a reader study: shares of right answers, discrimination, response times."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import norm

from mrgantry.pages.drawing import INK, REAL, STYLES, SYNTHETIC, DrawingStyle, blank, styled, svg
from mrgantry.study.statistics.measured import Interval
from mrgantry.study.statistics.results import ALL, Analysis, ManyReaders, Reading

PER_CENT = 100
FAINT_INK = "#6b757d"
WIDTH = 9.6  # inches
GAP = 0.05  # between panels, of the width
LANE = 0.26  # inches: the height of a row
TRUTHS = {"real": REAL, "synthetic": SYNTHETIC}
FEW = 12  # points up to which each bears its name
OUTER, INNER = (10, 90), (25, 75)  # percentiles


class Lane(NamedTuple):
    """A row of the chart of shares: a reader, a block, or a mean.

    Attributes:
        label: At the left.
        accuracy: Value and interval.
        fool_rate: The same.
        real_recall: The same.
        style: How it is drawn.
        mean: Whether it is one over several.
    """

    label: str
    accuracy: tuple[float | None, Interval]
    fool_rate: tuple[float | None, Interval]
    real_recall: tuple[float | None, Interval]
    style: DrawingStyle
    mean: bool


def group_styles(analysis: Analysis) -> dict[str, DrawingStyle]:
    """Give each group of readers its style; without groups all have the same."""
    return styled([*analysis.groups, ""]) if analysis.groups else {"": STYLES[3]}


def lanes(analysis: Analysis, block: str, styles: Mapping[str, DrawingStyle]) -> list[Lane]:
    """Give the rows of one block: its readers by group, then the means."""
    readings = sorted(
        (reading for reading in analysis.readings if reading.block == block),
        key=lambda reading: list(styles).index(reading.group),
    )
    rows = [_lane(reading.reader, reading, styles[reading.group]) for reading in readings]
    if len(readings) < 2:
        return rows
    means = sorted(
        (mean for mean in analysis.means if mean.block == block), key=lambda mean: not mean.group
    )
    return rows + [
        _mean(mean, styles[mean.group] if mean.group else DrawingStyle(INK, "D", "◆"))
        for mean in means
    ]


def lanes_of_blocks(analysis: Analysis) -> list[Lane]:
    """Give a row for each block, of the one reader or of the mean over readers."""
    alone, style = len(analysis.readers) == 1, DrawingStyle(INK, "D", "◆")
    own = {reading.block: reading for reading in (analysis.readings if alone else ())}
    means = {mean.block: mean for mean in analysis.means if not mean.group}
    blocks = (*analysis.blocks, ALL) if len(analysis.blocks) > 1 else analysis.blocks
    if alone:
        return [_lane(block or "all blocks", own[block], style) for block in blocks if block in own]
    return [
        _mean(means[block], style)._replace(label=block or "all blocks")
        for block in blocks
        if block in means
    ]


def _lane(label: str, reading: Reading, style: DrawingStyle) -> Lane:
    accuracy, fool_rate, real_recall = (
        (part.value, part.wilson)
        for part in (reading.accuracy, reading.fool_rate, reading.real_recall)
    )
    return Lane(label, accuracy, fool_rate, real_recall, style, mean=reading.block == ALL)


def _mean(many_readers: ManyReaders, style: DrawingStyle) -> Lane:
    label = f"mean, {many_readers.group}" if many_readers.group else "mean, all readers"
    accuracy, fool_rate, real_recall = (
        (part.value, part.interval)
        for part in (many_readers.accuracy, many_readers.fool_rate, many_readers.real_recall)
    )
    return Lane(label, accuracy, fool_rate, real_recall, style, mean=True)


def shares_chart(panels: Mapping[str, Sequence[Lane]], margin: float, *, rates: bool = True) -> str:
    """Draw accuracy at the left, real recall and fool rate at the right, a row a reader.

    Args:
        panels: Rows of each block; a single one needs no name.
        margin: Of equivalence, drawn as a band round 1/2.
        rates: Whether there is a right side; pairs have none.
    """
    heights = [LANE * len(rows) + 0.15 for rows in panels.values()]
    extra = 0.3 if len(panels) > 1 else 0.0
    total = sum(heights) + extra * len(panels) + 0.6
    # Placed by hand: rows are of one height, however many a panel has.
    figure, axes = blank(WIDTH, total, rows=len(panels), columns=1 + rates, placed=True)
    longest = max(len(lane.label) for rows in panels.values() for lane in rows)
    left = min(0.34, 0.02 + 0.0088 * longest)
    width = (0.96 - left - GAP) / 2
    top = total - 0.3
    for number, ((name, rows), height) in enumerate(zip(panels.items(), heights, strict=True)):
        top -= extra + height
        pair = axes[(1 + rates) * number :][: 1 + rates]
        for side, panel in enumerate(pair):
            place = (left + side * (width + GAP), top / total, width, height / total)
            panel.set_position(place)
        _accuracy_panel(pair[0], rows, margin)
        if rates:
            _rates_panel(pair[1], rows)
        for panel in pair:
            _dress(panel, rows, last=number == len(panels) - 1)
        if rates:
            pair[1].tick_params(labelleft=False)
        if name:
            pair[0].text(0, 1.02, name, transform=pair[0].transAxes, weight="bold", va="bottom")
    _titles(figure, left, width, total, rates)
    return svg(figure)


def _titles(figure: Any, left: float, width: float, total: float, rates: bool) -> None:
    y, right = 1 - 0.2 / total, left + width + GAP
    figure.text(left, y, "Accuracy", weight="bold", fontsize=9.5)
    if not rates:
        return
    figure.text(right, y, "Called real:", weight="bold", fontsize=9.5)
    figure.text(right + 0.1, y, "● real images", color=REAL, fontsize=9.5)
    figure.text(right + 0.22, y, "■ synthetic images", color=SYNTHETIC, fontsize=9.5)


def _accuracy_panel(axes: Any, rows: Sequence[Lane], margin: float) -> None:
    axes.axvspan(50 - PER_CENT * margin, 50 + PER_CENT * margin, color="#8a949c", alpha=0.18, lw=0)
    axes.axvline(50, color=FAINT_INK, lw=1.2, ls=(0, (4, 3)))
    for y, lane in enumerate(rows):
        _mark(axes, y, *lane.accuracy, lane.style.colour, lane.style.mark, 7 if lane.mean else 5.5)


def _rates_panel(axes: Any, rows: Sequence[Lane]) -> None:
    for y, lane in enumerate(rows):
        size = 6.5 if lane.mean else 5
        ends = [value for value, _ in (lane.real_recall, lane.fool_rate) if value is not None]
        if len(ends) == 2:
            axes.plot([PER_CENT * v for v in ends], [y, y], color="#c9d0d5", lw=4, zorder=1)
        _mark(axes, y - 0.17, *lane.real_recall, REAL, "o", size)
        _mark(axes, y + 0.17, *lane.fool_rate, SYNTHETIC, "s", size)


def _mark(
    axes: Any, y: float, value: float | None, ends: Interval, colour: str, mark: str, size: float
) -> None:
    if value is None:
        return
    if ends.low is not None and ends.high is not None:
        axes.plot([PER_CENT * ends.low, PER_CENT * ends.high], [y, y], color=colour, lw=1.5)
    axes.plot(PER_CENT * value, y, mark, color=colour, ms=size, mew=0, zorder=3)


def _dress(axes: Any, rows: Sequence[Lane], *, last: bool) -> None:
    axes.set_xlim(-1, 101)
    axes.set_xticks(range(0, 101, 25))
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g} %")
    axes.tick_params(labelbottom=last, length=0)
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.set_yticks(range(len(rows)), [lane.label for lane in rows])
    for tick, lane in zip(axes.get_yticklabels(), rows, strict=True):
        tick.set_fontweight("bold" if lane.mean else "normal")
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_axisbelow(True)
    for y in range(1, len(rows)):
        if rows[y].mean and not rows[y - 1].mean:
            axes.axhline(y - 0.5, color="#9aa3ab", lw=0.7)


def detection_space(readings: Sequence[Reading], styles: Mapping[str, DrawingStyle]) -> str:
    """Draw each reading by its share of false alarms and of hits, over curves of equal d'."""
    figure, (axes,) = blank(4.6, 4.4)
    alarms = np.linspace(0.001, 0.999, 200)
    for d_prime in (0, 1, 2):
        line = norm.cdf(norm.ppf(alarms) + d_prime)
        axes.plot(PER_CENT * alarms, PER_CENT * line, color="#9aa3ab", lw=1,
                  ls=(0, (4, 3)) if d_prime == 0 else "-")  # fmt: skip
        at = (1 - d_prime) / 2  # up and right of the other diagonal, where points are few
        x, y = PER_CENT * norm.cdf(at), PER_CENT * norm.cdf(at + d_prime)
        axes.annotate(f"d′ = {d_prime}", (x, y), color=FAINT_INK, fontsize=7.5, ha="center",
                      va="center", bbox={"fc": "#fbfcfc", "ec": "none", "pad": 0.8})  # fmt: skip
    for number, reading in enumerate(readings):
        if reading.fool_rate.value is None or reading.real_recall.value is None:
            continue
        style = styles[reading.group]
        x, y = PER_CENT * reading.fool_rate.value, PER_CENT * reading.real_recall.value
        axes.plot(x, y, style.mark, color=style.colour, ms=6.5, mew=0, alpha=0.85)
        if len(readings) <= FEW:
            axes.annotate(str(number + 1), (x, y), (4, 4), textcoords="offset points", fontsize=8)
    for x, y, text in ((101, 103.5, "all called real"), (42, 1.5, "all called synthetic"),
                       (98, 7, "wrong way round")):  # fmt: skip
        axes.text(x, y, text, color=FAINT_INK, fontsize=8, ha="right", style="italic")
    axes.set(xlim=(-2, 102), ylim=(-2, 102), xlabel="synthetic called real, % (fool rate)",
             ylabel="real called real, %")  # fmt: skip
    return svg(figure)


def roc_chart(readings: Sequence[Reading], styles: Mapping[str, DrawingStyle]) -> str:
    """Draw the ROC of signed confidence, a line a reader."""
    figure, (axes,) = blank(4.6, 4.4)
    axes.plot([0, 100], [0, 100], color="#9aa3ab", lw=1, ls=(0, (4, 3)))
    scored = [reading for reading in readings if reading.roc]
    several = len({reading.group for reading in scored}) > 1
    own = styled([reading.reader for reading in scored])
    for reading in scored:
        style = (
            styles[reading.group] if several or len(scored) > len(STYLES) else own[reading.reader]
        )
        assert reading.roc is not None
        x = [PER_CENT * point.false_alarm for point in reading.roc.points]
        y = [PER_CENT * point.hit for point in reading.roc.points]
        axes.plot(x, y, color=style.colour, lw=1.3, ls=own[reading.reader].dash, marker=style.mark,
                  ms=3.5, mew=0, alpha=0.9,
                  label=f"{reading.reader}: {reading.roc.auc.value:.2f}")  # fmt: skip
    if len(scored) <= FEW:
        axes.legend(loc="lower right", fontsize=7.5, title="area under the curve",
                    title_fontsize=7.5, handlelength=3)  # fmt: skip
    axes.set(xlim=(-2, 102), ylim=(-2, 102), xlabel="synthetic called real, %",
             ylabel="real called real, %")  # fmt: skip
    return svg(figure)


def times_chart(answers: pd.DataFrame, word: str, seconds: float | None) -> str:
    """Draw response times by truth and answer: median, quartiles, and the middle 80 %.

    Args:
        answers: With truth, answer and response_s.
        word: What readers call a synthetic image.
        seconds: How long images are shown.
    """
    groups = []
    for truth in TRUTHS:
        for answer, said in (("real", "real"), ("synthetic", word), ("unknown", "unknown")):
            rows = answers[(answers["truth"] == truth) & (answers["answer"] == answer)]
            times = rows["response_s"].dropna().to_numpy(dtype=float)
            if len(times):
                title = "real" if truth == "real" else word
                groups.append((f"{title} called {said} ({len(times)})", truth, times))
    if not groups:
        return ""
    figure, (axes,) = blank(7.4, 0.3 * len(groups) + 0.7)
    for y, (_, truth, times) in enumerate(groups):
        colour = TRUTHS[truth]
        axes.plot(np.percentile(times, OUTER), [y, y], color=colour, lw=1.2)
        axes.plot(np.percentile(times, INNER), [y, y], color=colour, lw=6, alpha=0.45,
                  solid_capstyle="butt")  # fmt: skip
        axes.plot(np.median(times), y, "o", color=colour, ms=6, mew=0)
    if seconds is not None:
        axes.axvline(seconds, color=INK, lw=1, ls=(0, (4, 3)))
        axes.annotate("image vanishes", (seconds, -0.62), (4, 0), textcoords="offset points",
                      fontsize=7.5, va="top")  # fmt: skip
    axes.set_yticks(range(len(groups)), [name for name, *_ in groups])
    axes.set_ylim(len(groups) - 0.4, -0.7)
    axes.set_xlim(left=0)
    axes.grid(visible=False, axis="y")
    axes.tick_params(length=0)
    axes.set_xlabel("response time, s")
    return svg(figure)
