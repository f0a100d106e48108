"""`repeats.png`: who looks like one person under two names, each pair with names to read."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mrgantry.common.files import whole
from mrgantry.common.picture import to_grey
from mrgantry.data.notes import Repeat
from mrgantry.data.slices import SliceSet

SIDE = 256  # pixels of an image in the picture
GAP, LINE, LETTERS = 16, 20, 15  # pixels between images, of a line, and of its letters
LINES = 6  # under an image: two of the subject, one of the split, three of the slice
PAPER, INK, FAINT, WRONG = (14, 15, 18), (222, 226, 232), (150, 158, 170), (245, 130, 105)
FEW = 2  # pairs that stand one below the other; more stand in two columns
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw_repeats(path: Path, data: SliceSet, repeats: Sequence[Repeat]) -> None:
    """Draw the two most alike slices of each pair, with subject, split and id of the slice.

    The splits are red where they differ. Of several channels the first is shown, by which
    people are compared.

    Args:
        path: Where to.
        data: The set that the pairs stand in.
        repeats: At least one.
    """
    columns = 1 if len(repeats) <= FEW else 2
    width, height = 2 * SIDE + 3 * GAP, SIDE + (LINES + 2) * LINE + GAP
    rows = -(-len(repeats) // columns)
    sheet = Image.new("RGB", (columns * width, rows * height + GAP), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(LETTERS)
    for number, repeat in enumerate(repeats):
        row, column = divmod(number, columns)
        x, y = column * width + GAP, row * height + GAP
        pen.text((x, y), f"{number + 1}. {_how_alike(repeat)}", FAINT, font)
        split = INK if repeat.split == repeat.other_split else WRONG
        for place, (subject, name, slice_id) in enumerate(
            (
                (repeat.subject, repeat.split, repeat.id),
                (repeat.other, repeat.other_split, repeat.other_id),
            )
        ):
            left = x + place * (SIDE + GAP)
            sheet.paste(_picture_of(data, slice_id), (left, y + LINE + 4))
            lines = [(line, INK) for line in _folded(f"subject {subject}", 2, font)]
            lines += [(f"split {name}", split)]
            lines += [(line, FAINT) for line in _folded(f"slice {slice_id}", LINES - 3, font)]
            for below, (line, colour) in enumerate(lines):
                pen.text((left, y + SIDE + (below + 1) * LINE + 8), line, colour, font)
    with whole(path) as aside:
        sheet.save(aside, format="PNG")


def _how_alike(repeat: Repeat) -> str:
    """Say by what a pair was found, and how much nearer its members are than third people."""
    if repeat.ratio is None:
        return f"alike by {repeat.by}: {repeat.distance:.3f} apart"
    return f"alike by {repeat.by}: {repeat.ratio:.2f} of the distance to others"


def _picture_of(data: SliceSet, slice_id: str) -> Image.Image:
    """Enlarge an image so that it fills its place, with its pixels as they are."""
    row = int(np.argmax(data.table["id"] == slice_id))
    image = data.where(np.arange(len(data)) == row).images[0, 0]
    return Image.fromarray(to_grey(image)).resize((SIDE, SIDE), Image.Resampling.BILINEAR)


def _folded(text: str, most: int, font: Font) -> list[str]:
    """Break a text into lines of an image's width; what is more than `most` ends in dots."""
    lines = [""]
    for letter in text:
        if font.getlength(lines[-1] + letter) > SIDE:
            lines.append("")
        lines[-1] += letter
    if len(lines) > most:
        lines = [*lines[: most - 1], lines[most - 1][:-1] + "…"]
    return lines
