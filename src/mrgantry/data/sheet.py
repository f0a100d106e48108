"""A contact sheet of scans: a person sees in seconds whether they are the right way up."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from mrgantry.common.files import whole

TILE = 128  # pixels
GAP, LINE = 10, 15
PAPER, INK, FAINT, WRONG = (14, 15, 18), (214, 218, 224), (120, 170, 230), (240, 110, 90)
# What must be at the top and at the left of an upright slice.
LETTERS = {"axial": ("A", "R"), "coronal": ("S", "R"), "sagittal": ("S", "A")}


@dataclass(frozen=True, eq=False)
class Tile:
    """One picture of the sheet: a slice of a sequence, or black if it could not be read."""

    sequence: str
    plane: str
    picture: UInt8[np.ndarray, "h w 3"]


Block = tuple[str, Sequence[Tile], Sequence[str]]  # title, tiles, problems


def write_sheet(path: Path, blocks: Sequence[Block]) -> None:
    """Draw the blocks, one a visit, in as many columns as make the sheet about square.

    The letters say where anterior (A), superior (S) and the patient's right (R) must
    be: if the anatomy disagrees, the file's header is wrong.
    """
    width = max(len(tiles) for _, tiles, _ in blocks) * TILE
    height = TILE + 2 * LINE
    columns = max(1, min(len(blocks), round(sqrt(len(blocks) * height / width * 1.5))))
    rows = ceil(len(blocks) / columns)
    size = (columns * (width + GAP) + GAP, rows * (height + GAP) + GAP + LINE + GAP)
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    for number, (title, tiles, problems) in enumerate(blocks):
        row, column = number % rows, number // rows
        x, y = GAP + column * (width + GAP), GAP + row * (height + GAP)
        pen.text((x, y), _shorten(title, width, font), INK, font)
        for place, tile in enumerate(tiles):
            _draw(sheet, pen, (x + place * TILE, y + LINE), tile, font)
        pen.text((x, y + LINE + TILE), _shorten("; ".join(problems), width, font), WRONG, font)
    legend = "A, S, R: where anterior, superior and right must be."
    pen.text((GAP, size[1] - LINE - GAP // 2), _shorten(legend, size[0], font), FAINT, font)
    with whole(path) as aside:
        sheet.save(aside, format="PNG")


def _draw(
    sheet: Image.Image,
    pen: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    tile: Tile,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    x, y = corner
    sheet.paste(Image.fromarray(tile.picture), corner)
    pen.text((x + 3, y + TILE - LINE), tile.sequence, INK, font)
    if tile.plane:
        top, left = LETTERS[tile.plane]
        pen.text((x + TILE // 2 - 4, y), top, FAINT, font)
        pen.text((x + 3, y + TILE // 2 - 7), left, FAINT, font)


def _shorten(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Cut a text to a width in pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
