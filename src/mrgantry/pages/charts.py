"""Charts of scores: bars, fidelity against diversity, power spectra, maps."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.patches import Rectangle

from mrgantry.common.score import Score
from mrgantry.evaluation.explained import title_of
from mrgantry.pages.drawing import REAL, Styles, blank, log_if_wide, svg

CELL = 3.7  # inches: the width of a chart that stands beside others


def score_bars(rows: Sequence[Sequence[Score]], styles: Styles) -> str:
    """Draw a panel a score: each set with its interval, real images as a band.

    Args:
        rows: Scores of one kind of all sets, kind after kind.
        styles: How each set is drawn.
    """
    lanes = max(map(len, rows))
    bar, gap = 0.1 + 0.14 * lanes, 0.42  # inches: a panel, and between two of them
    height = len(rows) * (bar + gap)
    # Placed by hand: to let matplotlib do it takes as long as all the rest of the page.
    figure, panels = blank(CELL, height, rows=len(rows), placed=True)
    figure.subplots_adjust(
        left=0.05, right=0.95, top=1 - 0.2 / height, bottom=0.22 / height, hspace=gap / bar
    )
    for axes, scores in zip(panels, rows, strict=True):
        floor = scores[0]
        axes.axvspan(floor.floor_low, floor.floor_high, color=REAL, alpha=0.2, lw=0)
        axes.axvline(floor.floor, color=REAL, lw=1.4)
        for y, score in enumerate(scores):
            style = styles[score.synthetic]
            axes.plot([score.low, score.high], [y, y], color=style.colour, lw=1.8)
            axes.plot(score.value, y, style.mark, color=style.colour, ms=5, mew=0)
        ends = [end for score in scores for end in (score.low, score.high)]
        log_if_wide(axes, [floor.floor_low, *ends])
        axes.set_ylim(lanes - 0.4, -0.6)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.tick_params(labelsize=7.5, length=2, pad=2)
        if axes.get_xscale() == "linear":
            axes.locator_params(axis="x", nbins=5)
        axes.set_title(
            title_of(floor.name, floor.features), loc="left", fontsize=8.5, pad=3, x=-0.03
        )
    return svg(figure)


def fidelity_against_diversity(
    fidelity: Sequence[Score], diversity: Sequence[Score], styles: Styles
) -> str:
    """Draw each set as a point with both intervals, and real images as a box.

    Args:
        fidelity: Precision or density of all sets.
        diversity: Recall or coverage of the same sets.
        styles: How each set is drawn.
    """
    figure, (axes,) = blank(CELL, 3.2)
    x, y = diversity[0], fidelity[0]
    box = (x.floor_high - x.floor_low, y.floor_high - y.floor_low)
    axes.add_patch(
        Rectangle((x.floor_low, y.floor_low), *box, facecolor=REAL, alpha=0.2, edgecolor="none")
    )
    axes.add_patch(Rectangle((x.floor_low, y.floor_low), *box, fill=False, edgecolor=REAL, lw=0.8))
    axes.plot(x.floor, y.floor, "+", color=REAL, ms=9, mew=1.8)
    by_set = {score.synthetic: score for score in diversity}
    for score in fidelity:
        across, style = by_set[score.synthetic], styles[score.synthetic]
        axes.plot([across.low, across.high], [score.value] * 2, color=style.colour, lw=1.4)
        axes.plot([across.value] * 2, [score.low, score.high], color=style.colour, lw=1.4)
        axes.plot(across.value, score.value, style.mark, color=style.colour, ms=7, mew=0)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, max([1.0, y.floor_high, *(score.high for score in fidelity)]) * 1.02)
    axes.set_xlabel(f"{title_of(x.name)}: how varied →")
    axes.set_ylabel(f"{title_of(y.name)}: how plausible →")
    return svg(figure)


def power_spectra(
    frequencies: Float[np.ndarray, " k"],
    real: Float[np.ndarray, "3 k"],
    sets: Mapping[str, Float[np.ndarray, "3 k"]],
    styles: Styles,
    *,
    difference: bool = False,
) -> str:
    """Draw power by spatial frequency: real images as a band and a line, each set's median.

    Args:
        frequencies: Cycles per pixel.
        real: Percentiles 2.5, 50 and 97.5 of real images, in dB.
        sets: The same of each set.
        styles: How each set is drawn.
        difference: Whether to take the real median away.
    """
    figure, (axes,) = blank(5.4, 3.1)
    base = real[1] if difference else np.zeros_like(frequencies)
    axes.fill_between(frequencies, real[0] - base, real[2] - base, color=REAL, alpha=0.2, lw=0)
    axes.plot(frequencies, real[1] - base, color=REAL, lw=1.8)
    for name, percentiles in sets.items():
        style = styles[name]
        axes.plot(
            frequencies,
            percentiles[1] - base,
            color=style.colour,
            lw=1.5,
            ls=style.dash,
            marker=style.mark,
            ms=4,
            mew=0,
            markevery=max(1, len(frequencies) // 8),
        )
    axes.set_xlabel("spatial frequency, cycles per pixel")
    axes.set_ylabel("power minus real median, dB" if difference else "power, dB")
    axes.set_xlim(0, frequencies[-1])
    return svg(figure)


def map_of_images(
    groups: Mapping[str, Float[np.ndarray, "_ 2"]], styles: Styles, only: Collection[str] = ()
) -> str:
    """Draw images at their places in a t-SNE map.

    Args:
        groups: Places of each group.
        styles: How each group is drawn.
        only: Groups to draw alone, small, at the same places; all unless given.
    """
    figure, (axes,) = blank(CELL, 2.6) if only else blank(8.4, 5.4)
    for name, places in groups.items():
        if not only or name in only:
            style, size = styles[name], 2.8 if only else 4.4
            axes.plot(*places.T, style.mark, color=style.colour, ms=size, mew=0, alpha=0.75)
    everything = np.concatenate(list(groups.values()))
    low, high = everything.min(0), everything.max(0)
    margin = 0.04 * (high - low)
    axes.set_xlim(low[0] - margin[0], high[0] + margin[0])
    axes.set_ylim(low[1] - margin[1], high[1] + margin[1])
    _bare(axes)
    return svg(figure)


def _bare(axes: Any) -> None:
    """Take away scales that mean nothing."""
    axes.set_xticks([])
    axes.set_yticks([])
    for side in ("top", "right"):
        axes.spines[side].set_visible(True)
