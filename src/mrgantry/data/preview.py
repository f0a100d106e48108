"""A first look at a set of slices: a picture of some, and how many show a tumour."""

import numpy as np
import pandas as pd
import torch

from mrgantry.common.picture import save_grid
from mrgantry.data.slices import SliceSet

SHOWN = 32  # images in preview.png
TUMOUR_WORDS = {"yes": "yes", "unclear": "unclear", "no": "no", "unknown": "not known"}


def draw_preview(made: SliceSet) -> None:
    """Draw some images as `preview.png`.

    Whether they stand upright and are well lit, only eyes can tell.
    """
    rows = np.zeros(len(made), dtype=bool)
    rows[np.linspace(0, len(made) - 1, min(len(made), SHOWN)).astype(int)] = True
    images = torch.from_numpy(made.where(rows).images)
    save_grid(made.folder / "preview.png", images, min(8, len(images)))


def tumour_counts(table: pd.DataFrame) -> str:
    """Say how many slices show a tumour, as "12 yes, 3 unclear, 40 no"; "" if nothing is known."""
    counts = table["tumour"].value_counts()
    known = [f"{counts[word]:,} {said}" for word, said in TUMOUR_WORDS.items() if word in counts]
    return "" if set(counts.index) <= {"unknown"} else ", ".join(known)
