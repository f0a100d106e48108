"""Nearest training images: does the generator copy patients?"""

import numpy as np
from jaxtyping import Float, Float16, Int

from mrgantry.evaluate.features import flat


def nearest(
    images: Float16[np.ndarray, "n c h w"], train: Float16[np.ndarray, "m c h w"], block: int = 512
) -> tuple[Float[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Find the nearest training image of each image.

    Returns:
        Root-mean-square differences of pixels, and rows of the training images.
    """
    targets = flat(train)
    lengths = (targets**2).sum(1)
    distances, rows = [], []
    for start in range(0, len(images), block):
        some = flat(images[start : start + block])
        squares = (some**2).sum(1)[:, None] + lengths - 2 * some @ targets.T
        best = squares.argmin(1)
        # The expanded square cancels badly for near copies, so the best is done again.
        exact = ((some - targets[best]) ** 2).mean(1)
        distances.append(np.sqrt(exact))
        rows.append(best)
    return np.concatenate(distances).astype(np.float64), np.concatenate(rows)
