"""Classical augmentation: images a second, as ratios to libraries that take one at a time.

All do the same to the same images: flips, rotation, shift, shear and zoom by one matrix, linear
interpolation, -1 beyond the edges, drawing of the random numbers included. scikit-image's
`warp` and SciPy's `affine_transform` run in one process; ours in two threads and in one.
Rounds take turns, and each way's best one counts, so that other programs spoil none.
"""

import math
import time
from collections.abc import Callable

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.table import Table
from scipy import ndimage
from skimage.transform import AffineTransform, warp

from mrgantry.detection.classical import Classical

BATCH = 192  # as Han et al. train
SINGLE = 64  # images of a round that takes one at a time: rounds are about equally long
ROUNDS = 30
SIZES = (128, 256)

Way = tuple[Callable[[], object], int]  # what a round does, and to how many images


def matrix(random: np.random.Generator, size: int) -> np.ndarray:
    """Draw one image's matrix, from output to input: (x, y, 1) in pixels from a corner."""
    spec = Classical()
    angle, shear = random.uniform(-1, 1, 2) * (math.radians(spec.turn), spec.shear)
    shift = random.uniform(-spec.shift, spec.shift, 2) * size
    zoom = random.uniform(1 - spec.zoom, 1 + spec.zoom, 2)
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    slant = np.array([[math.cos(shear), 0], [-math.sin(shear), 1]])
    linear = turn @ slant @ np.diag(zoom)
    middle = (size - 1) / 2
    whole = np.eye(3)
    whole[:2, :2] = linear
    whole[:2, 2] = turn @ shift + middle - linear @ (middle, middle)
    return whole


def flipped(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Flip an image at random along each axis."""
    across, along = random.random(2) < 0.5
    image = image[:, ::-1] if across else image
    return image[::-1] if along else image


def by_skimage(images: np.ndarray) -> Way:
    """Take scikit-image's warp, which has its own fast path for such matrices."""
    random = np.random.default_rng(0)

    def work() -> None:
        for image in images[:SINGLE]:
            places = AffineTransform(matrix(random, image.shape[-1]))
            one = flipped(image, random)
            warp(one, places, order=1, mode="constant", cval=-1, preserve_range=True)

    return work, SINGLE


def by_scipy(images: np.ndarray) -> Way:
    """Take what Keras calls; its axes are (y, x)."""
    random = np.random.default_rng(0)

    def work() -> None:
        for image in images[:SINGLE]:
            places = matrix(random, image.shape[-1])[[1, 0, 2]][:, [1, 0, 2]]
            one = flipped(image, random)
            ndimage.affine_transform(one, places, order=1, mode="constant", cval=-1)

    return work, SINGLE


def by_us(images: np.ndarray, threads: int) -> Way:
    """Take a batch at once."""
    batch, classical = torch.from_numpy(images)[:, None], Classical()
    numbers = torch.arange(len(images))

    def work() -> None:
        torch.set_num_threads(threads)
        classical.draw(batch, numbers, 0)

    return work, len(images)


def rates(size: int) -> dict[str, float]:
    """Give images a second of every way, from the best of rounds that take turns."""
    images = np.random.default_rng(0).uniform(-1, 1, (BATCH, size, size)).astype(np.float32)
    ways = {
        "scikit-image, one at a time": by_skimage(images),
        "SciPy, one at a time": by_scipy(images),
        "mrgantry, one thread": by_us(images, 1),
        "mrgantry, two threads": by_us(images, 2),
    }
    shortest = dict.fromkeys(ways, math.inf)
    for turn in range(ROUNDS + 1):
        for name, (work, count) in ways.items():
            began = time.perf_counter()
            work()
            if turn:  # the first warms up
                shortest[name] = min(shortest[name], (time.perf_counter() - began) / count)
    return {name: 1 / seconds for name, seconds in shortest.items()}


def main() -> None:
    """Print one table."""
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("classical augmentation", "images/s", "ratio"):
        table.add_column(name)
    for size in SIZES:
        found = rates(size)
        fastest = max(rate for name, rate in found.items() if not name.startswith("mrgantry"))
        for name, rate in found.items():
            table.add_row(f"{size} pixels, {name}", f"{rate:,.0f}", f"{rate / fastest:.2f}")
    console = Console()
    console.print(table)
    console.print(f"torch {torch.__version__}; ratio to the faster of the two libraries")


if __name__ == "__main__":
    main()
