"""Slices as picture files for other programs."""

from pathlib import Path

from PIL import Image

from mrgantry.common.files import whole
from mrgantry.common.picture import to_grey
from mrgantry.common.progress import progress
from mrgantry.data.slices import SliceSet


def export_png(slices: Path, out: Path) -> int:
    """Write every slice as an 8-bit PNG named by its id; return how many.

    A slice of several channels becomes one file a channel. The rows are written
    beside them as `slices.csv`.

    Raises:
        DataError: The folder is no complete set of slices.
    """
    chosen = SliceSet.open(slices)
    several = len(chosen.about.channels) > 1
    with progress("export", len(chosen)) as advance:
        for image, name in zip(chosen.images, chosen.table["id"], strict=True):
            for channel, grey in zip(chosen.about.channels, to_grey(image), strict=True):
                stem = f"{name}_{channel}" if several else str(name)
                with whole(out / f"{stem}.png") as aside:
                    Image.fromarray(grey).save(aside, format="PNG")
            advance()
    with whole(out / "slices.csv") as aside:
        chosen.table.to_csv(aside, index=False)
    return len(chosen) * len(chosen.about.channels)
