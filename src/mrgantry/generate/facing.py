"""A picture of real slices above their projections, with what differs below."""

from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from PIL import Image, ImageDraw, ImageFont

from mrgantry.common.files import whole
from mrgantry.common.picture import strip

SHOWN = 8  # slices of a split
TILE = 128  # pixels that small images are enlarged to
GAP, LINE, MARGIN = 6, 18, 84  # pixels: between images, of a line of text, left of the rows
PAPER, INK = 255, 40  # grey values
CAPTION = (
    "Left the best reconstructed, right the worst.",
    "Difference: black is none, white half of the range.",
)
ROWS = ("real", "projected", "difference")


def save_facing(
    path: Path,
    real: Float[np.ndarray, "n c h w"],
    projected: Float[np.ndarray, "n c h w"],
    table: pd.DataFrame,
) -> None:
    """Draw up to eight slices of each split, from the best reconstructed to the worst.

    Args:
        path: Where to, as PNG.
        real: Intensities in [-1, 1].
        projected: Of the same slices.
        table: Their `split` and `rmse`.
    """
    difference = np.abs(real.astype(np.float32) - projected.astype(np.float32))
    stacks = (real, projected, 2 * difference - 1)  # white is half of the whole range
    blocks = [
        (split, [strip(stack[rows], TILE, GAP) for stack in stacks])
        for split, rows in _shown(table).items()
    ]
    font, y = ImageFont.load_default(12), GAP
    width = max(row.width for _, strips in blocks for row in strips)
    width = max(width, *(round(font.getlength(line)) for line in CAPTION))
    height = sum(LINE + sum(row.height + GAP for row in strips) for _, strips in blocks)
    sheet = Image.new("L", (MARGIN + width + GAP, height + (len(CAPTION) + 1) * LINE), PAPER)
    pen = ImageDraw.Draw(sheet)
    for split, strips in blocks:
        pen.text((MARGIN, y), f"{split or 'no split'}", INK, font)
        y += LINE
        for name, row in zip(ROWS, strips, strict=True):
            pen.text((GAP, y + row.height // 2 - LINE // 2), name, INK, font)
            sheet.paste(row, (MARGIN, y))
            y += row.height + GAP
    for number, line in enumerate(CAPTION):
        pen.text((MARGIN, y + number * LINE), line, INK, font)
    with whole(path) as aside:
        sheet.save(aside, format="PNG")


def _shown(table: pd.DataFrame) -> dict[str, Int[np.ndarray, " k"]]:
    """Choose rows of each split, evenly from the smallest error to the largest."""
    chosen = {}
    for split in table["split"].unique():
        rows = np.flatnonzero(table["split"] == split)
        rows = rows[np.argsort(table["rmse"].to_numpy()[rows], kind="stable")]
        places = np.linspace(0, len(rows) - 1, min(SHOWN, len(rows)))
        chosen[str(split)] = rows[np.rint(places).astype(int)]
    return chosen
