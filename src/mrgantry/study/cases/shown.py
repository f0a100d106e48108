"""How a slice becomes what a reader sees: one quantiser, one floor, one kind of file.

Readers must not tell images apart by how they are stored. A generator's background is
never exactly black, a smooth image makes a smaller file than a noisy one, and a saved
picture can carry remarks. So both classes pass through here, and nowhere else.
"""

import io

import numpy as np
from jaxtyping import Float16, UInt8
from PIL import Image

from mrgantry.common.errors import DataError
from mrgantry.common.frozen import Frozen
from mrgantry.common.picture import to_grey
from mrgantry.data.about import About

PIECES = 4  # a side of an image whose pieces are shuffled
FLOOR = -0.92  # intensity, of [-1, 1]: in the darkest 4 % a generator's background lies


def shown(
    images: Float16[np.ndarray, "n c h w"], floor: float = FLOOR
) -> UInt8[np.ndarray, "n h cw"]:
    """Turn intensities in [-1, 1] into the grey values that readers see.

    Args:
        images: Slices, real or synthetic; what lies outside [-1, 1] is clipped.
        floor: What is at or below this intensity becomes exactly 0.

    Returns:
        Grey values 0 to 255, the channels of one slice side by side.

    Raises:
        DataError: An intensity is not a finite number, or the floor is not in [-1, 1).
    """
    if not -1 <= floor < 1:
        raise DataError(f"The floor is {floor:g}; it must be in [-1, 1), as intensities are.")
    broken = np.flatnonzero(~np.isfinite(images).all(axis=(1, 2, 3)))
    if len(broken):
        raise DataError(
            f"{len(broken)} of {len(images)} images hold intensities that are not finite numbers "
            f"(first: number {broken[0]}); leave them out, or make the set again."
        )
    grey = np.where(images <= floor, np.uint8(0), to_grey(images))
    n, c, h, w = grey.shape
    return grey.transpose(0, 2, 1, 3).reshape(n, h, c * w)


class Stack(Frozen):
    """How whole heads are laid out as one picture, which the readers' pages take apart again.

    A column of squares for each pane: of each channel axial slices from bottom to top, coronal ones
    from back to front, sagittal ones from right to left.

    Attributes:
        side: Of a square, in pixels.
        slices: How many slices each of the three planes has.
        channels: How many channels there are, each with its three panes.
    """

    side: int
    slices: tuple[int, int, int]
    channels: int

    @classmethod
    def of_set(cls, about: About) -> "Stack":
        """Give the layout of a set of volumes."""
        width, height, depth = about.voxels or (0, 0, 0)
        return cls(
            side=max(width, height, depth),
            slices=(depth, height, width),
            channels=len(about.channels),
        )

    @property
    def canvas(self) -> tuple[int, int]:
        """Give the height and width of all panes together, in pixels."""
        return self.side * self.channels, self.side * len(self.slices)

    def middle(self, pictures: UInt8[np.ndarray, "n h w"]) -> UInt8[np.ndarray, "n side w"]:
        """Give the middle slice of each pane, side by side."""
        side = self.side
        panes = []
        for pane in range(self.channels * len(self.slices)):
            place = self.slices[pane % len(self.slices)] // 2
            rows, columns = (slice(k * side, (k + 1) * side) for k in (place, pane))
            panes.append(pictures[:, rows, columns])
        return np.concatenate(panes, 2)


def shown_heads(
    heads: Float16[np.ndarray, "n c d h w"], floor: float = FLOOR
) -> UInt8[np.ndarray, "n rows columns"]:
    """Turn whole heads into the pictures that readers scroll through, as `Stack` lays them out.

    Args:
        heads: Intensities in [-1, 1], real or synthetic.
        floor: What is at or below this intensity becomes exactly 0.

    Raises:
        DataError: An intensity is not a finite number, or the floor is not in [-1, 1).
    """
    n, c, *lengths = heads.shape
    grey = shown(heads.reshape(n * c, 1, lengths[0], -1), floor).reshape(heads.shape)
    side = most = max(lengths)
    upright = grey[:, :, ::-1]
    planes = (
        grey,
        upright.transpose(0, 1, 3, 2, 4)[:, :, ::-1],
        upright.transpose(0, 1, 4, 2, 3),
    )
    laid_out = np.zeros((n, most, side, c, len(planes), side), np.uint8)
    for pane, slices in enumerate(planes):
        count, height, width = slices.shape[2:]
        top, left = (side - height) // 2, (side - width) // 2
        where = np.s_[:, :count, top : top + height, :, pane, left : left + width]
        laid_out[where] = slices.transpose(0, 2, 3, 1, 4)
    return laid_out.reshape(n, most * side, -1)


def beside(
    left: UInt8[np.ndarray, "h w"], right: UInt8[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w2"]:
    """Put two images side by side, a black strip of an eighth of their height between them."""
    strip = np.zeros((left.shape[0], max(4, left.shape[0] // 8)), np.uint8)
    return np.concatenate([left, strip, right], axis=1)


def shuffled(image: UInt8[np.ndarray, "h w"], seed: int) -> UInt8[np.ndarray, "h w"]:
    """Cut an image into 4 x 4 pieces and put these back in another order.

    It has the grey values and the noise of the image, and no anatomy: whoever looks sees that it
    is no real one. What is left over at the right and below stays.

    Args:
        image: As readers see images; at least 4 pixels a side.
        seed: Of the order.
    """
    height, width = (side // PIECES for side in image.shape)
    whole = image[: height * PIECES, : width * PIECES]
    tiles = whole.reshape(PIECES, height, PIECES, width).swapaxes(1, 2).reshape(-1, height, width)
    tiles = tiles[np.random.default_rng((seed, PIECES)).permutation(len(tiles))]
    again = image.copy()
    again[: height * PIECES, : width * PIECES] = (
        tiles.reshape(PIECES, PIECES, height, width).swapaxes(1, 2).reshape(whole.shape)
    )
    return again


def png(image: UInt8[np.ndarray, "h w"]) -> bytes:
    """Write a PNG file whose length depends on height and width alone.

    It is not compressed, and it holds the chunks IHDR, IDAT and IEND and no others: no
    time, colour profile or remark.
    """
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", compress_level=0)
    return buffer.getvalue()
