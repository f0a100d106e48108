"""What all figures share: colours, marks, style, and SVG text to stand in a page."""

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

REAL, SYNTHETIC = "#2f6f9f", "#b4511b"  # the same two colours throughout
TRAINING = "#8fb3cc"  # real images that a generator has seen
INK, FAINT = "#333a40", "#d8dde1"
WIDE = 20  # a ratio of values from which they are drawn on a logarithmic scale
SETTINGS: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
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


class DrawingStyle(NamedTuple):
    """How a set is drawn: colour and mark differ, so that either tells sets apart.

    Attributes:
        colour: Of lines and marks.
        mark: As matplotlib calls it.
        sign: The mark as a character, for keys beside figures.
        dash: Of lines.
    """

    colour: str
    mark: str
    sign: str
    dash: Any = "-"


Styles = Mapping[str, DrawingStyle]  # by the name of what is drawn

# Okabe and Ito's colours (2008), told apart by the colour-blind; blue is kept for real images.
STYLES = (
    DrawingStyle(SYNTHETIC, "o", "●"),
    DrawingStyle("#00916a", "s", "■", (0, (5, 1.5))),
    DrawingStyle("#b0609a", "^", "▲", (0, (1.5, 1))),
    DrawingStyle("#333a40", "D", "◆", (0, (6, 1.5, 1.5, 1.5))),
    DrawingStyle("#d99a00", "v", "▼", (0, (3, 1))),
    DrawingStyle("#48a6dc", "P", "✚", (0, (8, 2))),
    DrawingStyle("#8a4b2a", "X", "✖", (0, (4, 1, 1, 1, 1, 1))),
    DrawingStyle("#7a7f2a", "*", "★", (0, (2, 2))),
)


def styled(names: Sequence[str]) -> dict[str, DrawingStyle]:
    """Give each set its style, in their order; after the eighth, they come again."""
    return {name: STYLES[place % len(STYLES)] for place, name in enumerate(names)}


def blank(
    width: float,
    height: float,
    rows: int = 1,
    columns: int = 1,
    *,
    sharey: bool = False,
    placed: bool = False,
) -> tuple[Figure, Any]:
    """Start a figure, and give it and all its panels in one row.

    Args:
        width: Inches.
        height: Inches.
        rows: Of panels.
        columns: Of panels.
        sharey: Whether all panels have one y axis.
        placed: Whether the caller puts the panels in their places.
    """
    with mpl.rc_context(SETTINGS):
        figure = Figure((width, height), layout=None if placed else "constrained")
        return figure, figure.subplots(rows, columns, squeeze=False, sharey=sharey).ravel()


def svg(figure: Figure) -> str:
    """Give a figure as SVG text to stand in the page.

    Names of groups go, since several figures on a page would have the same ones. What is
    referred to has names made from its content.
    """
    buffer = io.StringIO()
    with mpl.rc_context(SETTINGS):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    return re.sub(r'<g id="[^"]*"', "<g", text)


def log_if_wide(axes: Any, values: Iterable[float]) -> None:
    """Draw x on a logarithmic scale where values of one sign differ by a large factor."""
    numbers = list(values)
    least, most = min(numbers), max(numbers)
    if least > 0 and most > WIDE * least:
        axes.set_xscale("log")
        few = (1, 2, 5) if most < 100 * least else (1, 3) if most < 1000 * least else (1,)
        axes.xaxis.set_major_locator(LogLocator(subs=few, numticks=8))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
