"""Pictures for the report: PNG for brains, SVG for curves, both inside the page."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float16

from mrgantry.common.picture import grid, png
from mrgantry.evaluation.comparison import Spread
from mrgantry.evaluation.explained import title_of
from mrgantry.pages.drawing import FAINT, INK, REAL, SYNTHETIC, blank, log_if_wide, svg


def png_file(path: Path) -> str:
    """Give a PNG file as a data address, as it is."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def image_grid(images: Float16[np.ndarray, "n c h w"], columns: int = 6) -> str:
    """Give some images as one picture."""
    return png(grid(images, columns))


def facing(above: Float16[np.ndarray, "c h w"], below: Float16[np.ndarray, "c h w"]) -> str:
    """Give one image above another, with a grey line between them; channels side by side."""
    rows = [grid(image[None], 1) for image in (above, below)]
    return png(np.vstack([rows[0], np.full((2, rows[0].shape[1]), 96, np.uint8), rows[1]]))


def training_curves(log: Sequence[Mapping[str, float]]) -> str:
    """Draw losses and logits of a GAN, or the errors of a flow, against the images seen."""
    if log and "velocity_error" in log[0]:
        return flow_curves(log)
    figure, (left, right) = blank(9, 2.6, columns=2)
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
        axes.legend(frameon=False, fontsize=8)
    return svg(figure)


def flow_curves(log: Sequence[Mapping[str, float]]) -> str:
    """Draw the error of the velocity while training, and at the people looked at."""
    figure, (axes,) = blank(9, 2.6)
    for key, label, colour, mark in (
        ("velocity_error", "of each batch", FAINT, ""),
        ("training_error", "at training people", REAL, "."),
        ("held_out_error", "at held-out people", SYNTHETIC, "."),
    ):
        rows = [row for row in log if key in row]
        images = [row["images"] / 1000 for row in rows]
        axes.plot(
            images, [row[key] for row in rows], color=colour, lw=1.2, marker=mark, label=label
        )
    axes.set_yscale("log")
    axes.set_title("Error of the velocity", loc="left", fontsize=9)
    axes.set_xlabel("images seen, thousands")
    axes.legend(frameon=False, fontsize=8)
    return svg(figure)


def walk_changes(
    position: Float[np.ndarray, " n"], change: Float[np.ndarray, " n"], seeds: Sequence[int]
) -> str:
    """Draw how much each image of a walk differs from the one before."""
    figure, (axes,) = blank(7, 1.9)
    axes.bar(position[1:], change[1:], width=0.7 * np.diff(position).min(), color=SYNTHETIC)
    axes.axhline(np.median(change[1:]), color=INK, lw=1, ls="--", label="median")
    axes.set_xticks(range(len(seeds)), [f"seed {seed}" for seed in seeds])
    axes.set_ylabel("change")
    axes.grid(visible=False, axis="x")
    axes.set_axisbelow(True)
    axes.legend(loc="upper right", frameon=False, fontsize=8)
    axes.set_ylim(0, 1.35 * change[1:].max())
    return svg(figure)


def seed_dots(judged: Sequence[Sequence[Spread]], recipes: Sequence[str]) -> str:
    """Draw a panel a score and a row a recipe in it: a dot for each seed, real images as a line."""
    columns = 3
    lines = -(-(len(judged) + 1) // columns)
    figure, panels = blank(
        11.5, lines * (0.24 * len(recipes) + 0.75), rows=lines, columns=columns, sharey=True
    )
    for axes, spreads in zip(panels, judged, strict=False):
        _dots(axes, spreads, recipes)
    for axes in panels[len(judged) :]:
        axes.axis("off")
    handles, labels = panels[0].get_legend_handles_labels()
    panels[-1].legend(handles, labels, loc="center left", frameon=False)
    return svg(figure)


def _dots(axes: Any, spreads: Sequence[Spread], recipes: Sequence[str]) -> None:
    """Draw one panel of `seed_dots`."""
    floor = spreads[0]
    axes.axvspan(floor.floor_low, floor.floor_high, color=REAL, alpha=0.15, lw=0)
    axes.axvline(floor.floor, color=REAL, lw=1.4, label="real images, with 95 % interval")
    for number, spread in enumerate(spreads):
        y = recipes.index(spread.recipe)
        labels = ("one seed", "mean of the seeds") if number == 0 else (None, None)
        axes.plot([spread.low, spread.high], [y, y], color=SYNTHETIC, lw=1, alpha=0.5)
        axes.plot(spread.values, [y] * len(spread.values), "o", color=SYNTHETIC, ms=4.5, alpha=0.8,
                  mew=0, label=labels[0])  # fmt: skip
        axes.plot(spread.mean, y, "|", color=INK, ms=10, mew=1.6, label=labels[1])
    ends = [end for spread in spreads for end in (spread.low, spread.high)]
    log_if_wide(axes, [floor.floor, *ends])
    axes.set_yticks(range(len(recipes)), recipes)
    axes.set_ylim(len(recipes) - 0.5, -0.5)
    axes.set_title(title_of(floor.score, floor.features), loc="left", fontsize=9, weight="bold")
    axes.set_xlabel(floor.direction, fontsize=8)
    axes.tick_params(axis="y", length=0)
