"""A first look at a set of slices: a picture of some, and how many show a tumour."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float16, UInt8
from PIL import Image

from mrgantry.common.files import whole
from mrgantry.common.picture import grid, save_grid
from mrgantry.data.label_maps import outlines
from mrgantry.data.slices import SliceSet

SHOWN = 32  # images in preview.png,
HEADS = 10  # or heads, in three planes
OUTLINED = 256  # pixels that an image with outlines is enlarged to
# Of classes: apart from each other for most colour-blind people, too (Okabe and Ito 2008).
COLOURS = {
    "orange": (230, 159, 0),
    "blue": (86, 180, 233),
    "yellow": (240, 228, 66),
    "red": (213, 94, 0),
    "green": (0, 158, 115),
}
LIGHTS = np.array(list(COLOURS.values()))
TUMOUR_WORDS = {"yes": "yes", "unclear": "unclear", "no": "no", "unknown": "not known"}


def draw_preview(made: SliceSet) -> None:
    """Draw some images as `preview.png`.

    Whether they stand upright and are well lit, only eyes can tell.
    """
    rows = np.zeros(len(made), dtype=bool)
    most, columns = (HEADS, 6) if made.about.voxels else (SHOWN, 8)
    rows[np.linspace(0, len(made) - 1, min(len(made), most)).astype(int)] = True
    shown = made.where(rows)
    columns = min(columns, len(shown.pictures))
    if made.about.classes:
        with whole(made.folder / "preview.png") as aside:
            picture = Image.fromarray(outlined(shown.pictures, shown.picture_maps, columns))
            picture.save(aside, format="PNG")
    else:
        save_grid(made.folder / "preview.png", torch.from_numpy(shown.pictures), columns)


def outlined(
    images: Float16[np.ndarray, "n c h w"], maps: UInt8[np.ndarray, "n h w"], columns: int
) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Lay out images, enlarged, each class of their label maps outlined in its colour.

    Args:
        images: Intensities in [-1, 1]; channels lie side by side.
        maps: Numbers of classes.
        columns: Images in a row.
    """
    times = max(1, OUTLINED // images.shape[-1])
    large = images.repeat(times, 2).repeat(times, 3)
    edges = outlines(maps, times)[:, None].repeat(images.shape[1], 1)
    lights = [
        np.where(edges > 0, LIGHTS[(edges - 1) % len(LIGHTS), light] / 127.5 - 1, large)
        for light in range(3)
    ]
    return np.stack([grid(light, columns) for light in lights], -1)


def colours_of(classes: Sequence[str]) -> str:
    """Say in which colour each class is outlined, as "core (orange), oedema (blue)"."""
    names = list(COLOURS)
    return ", ".join(f"{name} ({names[k % len(names)]})" for k, name in enumerate(classes))


def tumour_counts(table: pd.DataFrame) -> str:
    """Say how many slices show a tumour, as "12 yes, 3 unclear, 40 no"; "" if nothing is known."""
    counts = table["tumour"].value_counts()
    known = [f"{counts[word]:,} {said}" for word, said in TUMOUR_WORDS.items() if word in counts]
    return "" if set(counts.index) <= {"unknown"} else ", ".join(known)
