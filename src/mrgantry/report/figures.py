"""Pictures for the report: PNG for brains, SVG for curves, both inside the page."""

import base64
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, Float16, UInt8
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter
from PIL import Image

from mrgantry.common.picture import grid, to_grey
from mrgantry.common.score import Score
from mrgantry.evaluate.comparison import DIRECTIONS, Spread

REAL, SYNTHETIC = "#2f6f9f", "#d1662c"  # the same two colours throughout
INK, FAINT = "#333a40", "#d8dde1"
WIDE = 20  # a ratio of values from which they are drawn on a logarithmic scale
STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.edgecolor": "#9aa3ab",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "mrgantry",  # the same figure gives the same bytes
}


def png(pixels: UInt8[np.ndarray, "h w"]) -> str:
    """Give a picture as a data address."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def image_grid(images: Float16[np.ndarray, "n c h w"], columns: int = 6) -> str:
    """Give some images as one picture."""
    return png(grid(images, columns))


def pair_strip(above: Float16[np.ndarray, "n c h w"], below: Float16[np.ndarray, "n c h w"]) -> str:
    """Give pairs as one picture of two rows: synthetic above, training below."""
    rows = [
        np.hstack([np.vstack(list(to_grey(image))) for image in images])
        for images in (above, below)
    ]
    return png(np.vstack([rows[0], np.full((2, rows[0].shape[1]), 96, np.uint8), rows[1]]))


def training_curves(log: Sequence[Mapping[str, float]]) -> str:
    """Draw losses and logits against the images seen."""
    figure, (left, right) = _figure(9, 2.6, columns=2)
    images = [row["images"] / 1000 for row in log]
    for axes, kind, title in ((left, "loss", "Loss"), (right, "logit", "Critic's mean logit")):
        for key, label, colour in (
            (f"critic_{kind}", "critic", REAL),
            (f"generator_{kind}", "generator", SYNTHETIC),
            (f"real_{kind}", "of real images", REAL),
            (f"fake_{kind}", "of synthetic images", SYNTHETIC),
        ):
            if log and key in log[0]:
                axes.plot(images, [row[key] for row in log], color=colour, lw=1.2, label=label)
        axes.set_title(title, loc="left", fontsize=9)
        axes.set_xlabel("images seen, thousands")
        axes.legend()
    return _svg(figure)


def feature_map(
    real: Float[np.ndarray, "n 2"], synthetic: Mapping[str, Float[np.ndarray, "m 2"]]
) -> str:
    """Draw all images at their first two principal coordinates."""
    figure, (axes,) = _figure(4.6, 3.6)
    axes.scatter(*real.T, s=9, color=REAL, alpha=0.55, lw=0, label="real, held out")
    for number, (name, places) in enumerate(synthetic.items()):
        colour = SYNTHETIC if number == 0 else f"C{number + 1}"
        shown = places[:: max(1, len(places) // max(len(real), 1))]
        axes.scatter(*shown.T, s=9, color=colour, alpha=0.55, lw=0, label=name)
    axes.set_xlabel("first principal coordinate")
    axes.set_ylabel("second")
    axes.legend(markerscale=2)
    return _svg(figure)


def score_bars(scores: Sequence[Score]) -> str:
    """Draw each score and its floor with their intervals, every row on its own scale."""
    figure, rows = _figure(5.2, 0.4 * len(scores) + 0.25, rows=len(scores))
    for axes, one in zip(rows, scores, strict=True):
        for y, value, low, high, colour in (
            (1, one.floor, one.floor_low, one.floor_high, REAL),
            (0, one.value, one.low, one.high, SYNTHETIC),
        ):
            axes.plot([low, high], [y, y], color=colour, lw=4, alpha=0.35, solid_capstyle="butt")
            axes.plot(value, y, "o", color=colour, ms=4)
        axes.set_ylim(-0.8, 1.8)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.tick_params(labelsize=7, length=2)
        axes.locator_params(axis="x", nbins=5)
        axes.set_ylabel(f"{title_of(one)}", rotation=0, ha="right", va="center", fontsize=8.5)
    return _svg(figure)


def seed_dots(judged: Sequence[Sequence[Spread]], recipes: Sequence[str]) -> str:
    """Draw a panel a score and a row a recipe in it: a dot for each seed, real images as a line."""
    columns = 3
    lines = -(-(len(judged) + 1) // columns)
    figure, panels = _figure(
        11.5, lines * (0.24 * len(recipes) + 0.75), rows=lines, columns=columns, sharey=True
    )
    for axes, spreads in zip(panels, judged, strict=False):
        _dots(axes, spreads, recipes)
    for axes in panels[len(judged) :]:
        axes.axis("off")
    handles, labels = panels[0].get_legend_handles_labels()
    panels[-1].legend(handles, labels, loc="center left", frameon=False)
    return _svg(figure)


def _dots(axes: Any, spreads: Sequence[Spread], recipes: Sequence[str]) -> None:
    """Draw one panel of `seed_dots`."""
    floor = spreads[0]
    axes.axvspan(floor.floor_low, floor.floor_high, color=REAL, alpha=0.15, lw=0)
    axes.axvline(floor.floor, color=REAL, lw=1.4, label="real images, with 95 % interval")
    for number, one in enumerate(spreads):
        y = recipes.index(one.recipe)
        labels = ("one seed", "mean of the seeds") if number == 0 else (None, None)
        axes.plot([one.low, one.high], [y, y], color=SYNTHETIC, lw=1, alpha=0.5)
        axes.plot(one.values, [y] * len(one.values), "o", color=SYNTHETIC, ms=4.5, alpha=0.8,
                  mew=0, label=labels[0])  # fmt: skip
        axes.plot(one.mean, y, "|", color=INK, ms=10, mew=1.6, label=labels[1])
    if max(one.high for one in spreads) > WIDE * abs(min(one.low for one in spreads)):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=6))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yticks(range(len(recipes)), recipes)
    axes.set_ylim(len(recipes) - 0.5, -0.5)
    axes.set_title(title_of(spreads[0]), loc="left", fontsize=9, weight="bold")
    axes.set_xlabel(DIRECTIONS[floor.score], fontsize=8)
    axes.tick_params(axis="y", length=0)


def title_of(one: Score | Spread) -> str:
    """Name a score for people."""
    score = one.name if isinstance(one, Score) else one.score
    words = {
        "relative_fd": "Relative FD",
        "frechet_distance": "Fréchet distance",
        "c2st_logistic": "C2ST, logistic",
        "c2st_cnn": "C2ST, CNN",
        "ms_ssim_pairs": "MS-SSIM of pairs",
        "nearest_training_ratio": "Nearest training, ratio",
        "rho_formula": "ρ, formula",
        "rho_coded": "ρ, coded",
        "sigma": "σ",
        "sigma_coded": "σ, coded",
        "delta": "δ",
    }
    name = words.get(score, score.replace("_", " "))
    return name if one.features == "pixels" else f"{name} ({one.features})"


def _figure(
    width: float, height: float, rows: int = 1, columns: int = 1, sharey: bool = False
) -> tuple[Figure, Any]:
    with mpl.rc_context(STYLE):
        figure = Figure((width, height), layout="constrained")
        return figure, figure.subplots(rows, columns, squeeze=False, sharey=sharey).ravel()


def _svg(figure: Figure) -> str:
    """Give a figure as SVG text to stand in the page."""
    buffer = io.StringIO()
    with mpl.rc_context(STYLE):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    text = buffer.getvalue()
    return re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
