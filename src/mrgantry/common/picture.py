"""Grids of images as PNG files."""

from math import ceil
from pathlib import Path

import numpy as np
from jaxtyping import Num, UInt8
from PIL import Image
from torch import Tensor

from mrgantry.common.files import whole


def to_grey(images: Num[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
    """Turn intensities in [-1, 1] into grey values 0 to 255, rounded to the nearest."""
    return np.rint((np.clip(images, -1, 1).astype(np.float32) + 1) * 127.5).astype(np.uint8)


def grid(images: Num[np.ndarray, "n c h w"], columns: int = 8) -> UInt8[np.ndarray, "h2 w2"]:
    """Lay images out in rows; the channels of one image lie side by side."""
    flat = to_grey(np.concatenate(list(images.transpose(1, 0, 2, 3)), axis=2))
    missing = -len(flat) % columns
    flat = np.concatenate([flat, np.zeros((missing, *flat.shape[1:]), np.uint8)])
    rows = flat.reshape(ceil(len(flat) / columns), columns, *flat.shape[1:])
    return rows.transpose(0, 2, 1, 3).reshape(rows.shape[0] * flat.shape[1], -1)


def save_grid(path: Path, images: Num[Tensor, "n c h w"], columns: int = 8) -> None:
    """Write a grid as PNG, whole or not at all."""
    with whole(path) as aside:
        Image.fromarray(grid(images.float().numpy(), columns)).save(aside, format="PNG")
