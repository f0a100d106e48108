"""Grids of images as PNG files, and animations."""

import base64
import io
from collections.abc import Sequence
from math import ceil
from pathlib import Path

import numpy as np
from jaxtyping import Num, UInt8
from PIL import Image
from torch import Tensor

from mrgantry.common.files import whole

GIF_HEIGHT = 256  # pixels that an animation is enlarged to


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


def strip(images: Num[np.ndarray, "n c h w"], tile: int, gap: int) -> Image.Image:
    """Lay images in a row with paper between them, enlarged by a whole factor.

    Args:
        images: Intensities in [-1, 1].
        tile: Pixels that small images are enlarged to.
        gap: Pixels of paper behind each.
    """
    times = max(1, tile // images.shape[-1])
    framed = images.repeat(times, 2).repeat(times, 3)
    framed = np.pad(framed, ((0, 0), (0, 0), (0, 0), (0, gap)), constant_values=1)
    return Image.fromarray(grid(framed, len(images)))


def three_planes(heads: Num[np.ndarray, "n c d h w"]) -> Num[np.ndarray, "m c s s"]:
    """Give the middle axial, coronal and sagittal slice of each head, one after the other.

    Args:
        heads: Intensities, axial slices from bottom to top, each with the front above and the
            patient's right on the left.

    Returns:
        Upright slices in squares of background, 3 a head; in the sagittal one the nose is left.
    """
    depth, height, width = heads.shape[2:]
    upright = heads[:, :, ::-1]
    cuts = (
        heads[:, :, depth // 2],
        upright[:, :, :, height // 2],
        upright[:, :, :, :, width // 2],
    )
    squares = np.stack([_squared(plane, max(heads.shape[2:])) for plane in cuts], 1)
    return squares.reshape(-1, *squares.shape[2:])


def _squared(images: Num[np.ndarray, "n c h w"], side: int) -> Num[np.ndarray, "n c s s"]:
    """Lay images in the middle of squares of background."""
    height, width = images.shape[2:]
    top, left = (side - height) // 2, (side - width) // 2
    around = ((0, 0), (0, 0), (top, side - height - top), (left, side - width - left))
    return np.pad(images, around, constant_values=-1)


def save_grid(path: Path, images: Num[Tensor, "n c h w"], columns: int = 8) -> None:
    """Write a grid as PNG, whole or not at all."""
    with whole(path) as aside:
        Image.fromarray(grid(images.float().numpy(), columns)).save(aside, format="PNG")


def save_gif(path: Path, frames: Sequence[UInt8[np.ndarray, "h w"]], seconds: float) -> None:
    """Write an endless animation, enlarged by a whole factor where it would be tiny.

    A GIF counts in hundredths of a second, and viewers slow down what has less than two.

    Args:
        path: Where to.
        frames: Grey pictures.
        seconds: How long all of them take.
    """
    times = max(1, GIF_HEIGHT // frames[0].shape[0])
    large = [Image.fromarray(frame.repeat(times, 0).repeat(times, 1)) for frame in frames]
    duration = max(20, 10 * round(100 * seconds / len(frames)))  # milliseconds
    with whole(path) as aside:
        large[0].save(
            aside, format="GIF", save_all=True, append_images=large[1:], duration=duration, loop=0
        )


def png(pixels: UInt8[np.ndarray, "h w ..."]) -> str:
    """Give a picture as a data address, to stand within a page."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
