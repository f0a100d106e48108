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
from PIL import Image

from mrgantry.common.picture import grid, to_grey
from mrgantry.common.score import Score

REAL, SYNTHETIC = "#2f6f9f", "#d1662c"  # the same two colours throughout
INK, FAINT = "#333a40", "#d8dde1"
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


def title_of(one: Score) -> str:
    """Name a score for people."""
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
    name = words.get(one.name, one.name.replace("_", " "))
    return name if one.features == "pixels" else f"{name} ({one.features})"


def _figure(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, Any]:
    with mpl.rc_context(STYLE):
        figure = Figure((width, height), layout="constrained")
        return figure, figure.subplots(rows, columns, squeeze=False).ravel()


def _svg(figure: Figure) -> str:
    """Give a figure as SVG text to stand in the page."""
    buffer = io.StringIO()
    with mpl.rc_context(STYLE):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    text = buffer.getvalue()
    return re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
