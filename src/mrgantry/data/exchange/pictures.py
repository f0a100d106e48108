"""Single images from files of other programs: pictures, arrays, slices in NIfTI."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, Real
from PIL import Image, ImageOps

from mrgantry.common.errors import DataError
from mrgantry.data.cut import ORDER, Frame, fit
from mrgantry.data.formats import naming, read_nifti_slice, times

Limits = tuple[float, float]
PERCENTILES = (0.5, 99.5)
SIDES = (8, 8192)  # pixels; beyond lies no slice
BRIGHTEST = 1e15
COLOURS = 3
NEAR_GREY = 8  # values by which the colours of a grey picture may differ once JPEG stored it


@dataclass(frozen=True, eq=False)
class Picture:
    """The images of one file, or one image whose channels stand in a file each.

    Attributes:
        pixels: As stored, row 0 at the top; it may still lie on disk.
        white: The highest value of an 8- or 16-bit picture; None if values have no
            agreed range.
        affine: (column, row, slice, 1) to scanner mm, where the file tells it.
        plane: The plane by that affine, else "".
        simulated: True if the file says that it was simulated.
    """

    pixels: Real[np.ndarray, "n c h w"]
    white: int | None = None
    affine: Float[np.ndarray, "4 4"] | None = None
    plane: str = ""
    simulated: bool = False


def read_picture(
    files: Sequence[Path],
    channels: int,
    directions: Float[np.ndarray, "3 2"] | None = None,
) -> Picture:
    """Read one image a channel, or one file that holds all channels.

    Args:
        files: As many as channels, or one.
        channels: How many there should be.
        directions: Where columns and rows should run in scanner space; None turns
            NIfTI slices as radiologists see them.

    Raises:
        DataError: A file is missing, damaged or in colour, has not as many channels, or
            the channels do not fit together.
    """
    if len(files) == 1:
        return _read_file(files[0], channels, directions)
    read = [_read_file(file, 1, directions) for file in files]
    first = read[0]
    for file, other in zip(files, read, strict=True):
        if other.pixels.shape != first.pixels.shape or other.white != first.white:
            raise DataError(
                f"{file}: it is not of the same size and type as {files[0].name}, another "
                "channel of the same image."
            )
        here, there = first.affine, other.affine
        if here is not None and there is not None and not np.allclose(here, there, atol=1e-3):
            raise DataError(f"{file}: it lies elsewhere than {files[0].name}.")
    return Picture(
        np.concatenate([picture.pixels for picture in read], axis=1),
        first.white,
        first.affine,
        first.plane,
        any(picture.simulated for picture in read),
    )


def extremes(files: Sequence[Path], pixels: Real[np.ndarray, "n c h w"]) -> tuple[float, float]:
    """Give the lowest and the highest stored value.

    Args:
        files: Where the pixels come from, for the message.
        pixels: As stored.

    Raises:
        DataError: There is NaN, infinity or an absurd value.
    """
    low, high = float(pixels.min()), float(pixels.max())  # NaN passes both
    if not -BRIGHTEST < low <= high < BRIGHTEST:
        bad = int((~np.isfinite(pixels)).sum())
        what = f"{bad:,} pixels that are NaN or infinite" if bad else f"values up to {high:.3g}"
        raise DataError(f"{', '.join(map(str, files))}: it holds {what}.")
    return low, high


def scale(
    pixels: Real[np.ndarray, "n c h w"], limits: Limits | None
) -> Float32[np.ndarray, "n c h w"]:
    """Scale images to [-1, 1]; what lies beyond the limits clips.

    Args:
        pixels: As stored.
        limits: The values that become -1 and 1; None takes each image's own 0.5 and
            99.5 percentiles of what is not its border's background, which becomes -1.
    """
    values = np.asarray(pixels, dtype=np.float32)
    if limits == (-1.0, 1.0):  # exactly, not up to rounding
        return np.clip(values, -1, 1)
    if limits is None:
        scaled = [[_by_percentiles(channel) for channel in image] for image in values]
        return np.array(scaled, dtype=np.float32).reshape(values.shape)
    return _between(values, limits)


def turned(picture: Picture, degrees: int, *, mirror: bool) -> Picture:
    """Turn images clockwise by a multiple of 90 degrees, then exchange left and right."""
    pixels = np.rot90(picture.pixels, -degrees // 90, axes=(2, 3))
    return replace(picture, pixels=pixels[..., ::-1] if mirror else pixels)


def to_square(
    images: Float32[np.ndarray, "n c h w"],
    affine: Float[np.ndarray, "4 4"] | None,
    size: int,
) -> tuple[Float32[np.ndarray, "n c s s"], Float[np.ndarray, "4 4"]]:
    """Pad images with background (-1) to a square in mm and resize them, antialiased.

    Args:
        images: In [-1, 1].
        affine: Tells the sides of a pixel; without it pixels are square.
        size: Height and width to get.

    Returns:
        The images, and the matrix from their (column, row, slice, 1) to that before.
    """
    n, c, h, w = images.shape
    sides = (1.0, 1.0) if affine is None else np.linalg.norm(affine[:3, :2], axis=0)[::-1]
    side = max(h * sides[0], w * sides[1])
    counts = [max(1, round(float(side / mm))) for mm in sides]
    starts = [-((count - have) // 2) for count, have in zip(counts, (h, w), strict=True)]
    frame = Frame((starts[0], counts[0]), (starts[1], counts[1]))
    made = fit(images.reshape(n * c, h, w), frame, size).reshape(n, c, size, size)
    moved = np.eye(4)
    for axis, (start, count) in enumerate((frame.columns, frame.rows)):
        step = count / size
        moved[axis, [axis, 3]] = step, start + (step - 1) / 2
    return made, moved


def _by_percentiles(image: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    background = _background(image)
    inside = image[~background]
    low, high = np.percentile(inside if inside.size else image, PERCENTILES)
    if high <= low:  # the rest is one intensity: a mask, or nothing at all
        return np.where(background | (image < high), -1, 1).astype(np.float32)
    return np.where(background, -1, _between(image, (float(low), float(high))))


def _background(image: Float32[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Find what has the one value that fills most of the image's border, if one does."""
    border = np.concatenate([image[0], image[-1], image[1:-1, 0], image[1:-1, -1]])
    values, counts = np.unique(border, return_counts=True)
    if counts.max() <= border.size / 2:
        return np.zeros(image.shape, dtype=bool)
    return image == values[counts.argmax()]


def _between(values: Float32[np.ndarray, "..."], limits: Limits) -> Float32[np.ndarray, "..."]:
    low, high = limits
    return np.clip((values - low) * (2 / (high - low)) - 1, -1, 1).astype(np.float32)


def _read_file(path: Path, channels: int, directions: Float[np.ndarray, "3 2"] | None) -> Picture:
    """Read one file and check its shape; a large array is not read for that.

    Raises:
        DataError: It cannot be used.
    """
    suffix = suffix_of(path)
    with naming(path):
        if not path.is_file():
            raise DataError("it does not exist")
        if suffix in NIFTI:
            return _checked(_read_nifti(path, directions), channels)
        return _checked(READERS[suffix](path, channels), channels)


def _checked(picture: Picture, channels: int) -> Picture:
    count, have, *sides = picture.pixels.shape
    if not count or not SIDES[0] <= min(sides) <= max(sides) <= SIDES[1]:
        raise DataError(
            f"it holds {count:,} images of {times(sides)} pixels; arrays must be (h, w), (n, h, w) "
            "or (n, c, h, w)"
        )
    if have != channels:
        raise DataError(
            f"it holds {have} channel(s), {channels} expected; name each with --channel"
        )
    return picture


def _read_picture_file(path: Path, channels: int) -> Picture:
    """Read PNG, JPEG or TIFF; of three channels, those of a picture in colour.

    Pillow gives 8- and 16-bit grey and float32 as they are stored, but of 16-bit
    colours the upper 8 bits only.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata; what matters is raised
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path) as image:
            pages = getattr(image, "n_frames", 1)
            if pages > 1:
                raise DataError(
                    f"it holds {pages} pages; save one image a file, or an .npy (n, h, w)"
                )
            array = _without_alpha(ImageOps.exif_transpose(image), image.format)
    white = {"uint8": 255, "uint16": 65535}.get(array.dtype.name)
    if array.ndim == 3 and channels == COLOURS:
        return Picture(array.transpose(2, 0, 1)[None], white)
    return Picture(_grey(array)[None, None], white)


def _without_alpha(image: Image.Image, form: str | None) -> Real[np.ndarray, "h w *colours"]:
    """Give the intensities of a pixel: one, or those of its colours.

    Args:
        image: The right way up.
        form: Of the file.

    Raises:
        DataError: It is partly transparent, or has colours other than red, green and blue.
    """
    if image.mode == "1":
        image = image.convert("L")
    elif image.mode in ("P", "PA"):
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode == "I" and form == "PNG":  # as some versions open 16 bit
        return np.asarray(image).astype(np.uint16)
    array = np.asarray(image)
    if image.mode in ("LA", "RGBA"):
        if array[..., -1].min() < 255:
            raise DataError("it is partly transparent; save it without an alpha channel")
        return array[..., 0] if image.mode == "LA" else array[..., :-1]
    if image.mode not in ("L", "RGB", "F", "I") and not image.mode.startswith("I;16"):
        raise DataError(f"it is in colour ({image.mode}); a slice has one intensity a pixel")
    return array


def _grey(array: Real[np.ndarray, "h w *colours"]) -> Real[np.ndarray, "h w"]:
    """Give the one intensity of a pixel.

    Raises:
        DataError: It is in colour.
    """
    if array.ndim == 2:
        return array
    if (array.max(2).astype(int) - array.min(2)).max() > NEAR_GREY:
        raise DataError(
            "it is in colour (its red, green and blue differ); a slice has one intensity a pixel. "
            "Save it in grey, without colour map or drawings; or, if the colours are three "
            "sequences, name them in the order of red, green and blue, as --channel t1 --channel "
            "flair --channel t1c"
        )
    return array[..., array.shape[2] // 2]


def _read_npy(path: Path, channels: int) -> Picture:
    """Map (h, w), (n, h, w) or (n, c, h, w); of several channels, three axes are (c, h, w)."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.dtype.kind not in "buif":
        raise DataError(f"its values are of the type {array.dtype}, not one intensity each")
    if array.ndim not in (2, 3, 4):
        raise DataError(
            f"it has the shape {times(array.shape)}; expected (h, w), (n, h, w) or (n, c, h, w)"
        )
    if array.ndim == 2:
        array = array[None, None]
    elif array.ndim == 3:
        array = array[None] if channels > 1 else array[:, None]
    if array.dtype == bool:
        array = array.astype(np.float32)
    return Picture(array, 255 if array.dtype == np.uint8 else None)


def _read_nifti(path: Path, directions: Float[np.ndarray, "3 2"] | None) -> Picture:
    """Read a slice and turn it as radiologists see its plane, or as `directions` say."""
    stored = read_nifti_slice(path)
    matrix = stored.affine[:3, :3]
    if not np.isfinite(stored.affine).all() or abs(np.linalg.det(matrix)) < 1e-9:
        raise DataError("it has no usable geometry")
    normal = np.abs(np.cross(matrix[:, 0], matrix[:, 1])).argmax()
    plane = next(name for name, order in ORDER.items() if order[0] == normal)
    target = display_directions(plane) if directions is None else directions
    image, affine = _turn(stored.array[:, :, 0], stored.affine, target)
    return Picture(image[None, None], None, affine, plane, stored.simulated)


def display_directions(plane: str) -> Float[np.ndarray, "3 2"]:
    """Give where columns and rows run in RAS+ on a radiologist's screen."""
    _, down, along = ORDER[plane]
    return -np.eye(3)[:, [along, down]]


def _turn(
    voxels: Real[np.ndarray, "x y"],
    affine: Float[np.ndarray, "4 4"],
    directions: Float[np.ndarray, "3 2"],
) -> tuple[Real[np.ndarray, "h w"], Float[np.ndarray, "4 4"]]:
    """Swap and flip axes until columns and rows run as near to `directions` as they can.

    Returns:
        The image, and the map of its (column, row, slice, 1) to mm.
    """
    along = affine[:3, :2] / np.linalg.norm(affine[:3, :2], axis=0)
    cosines = directions.T @ along  # of column and row, with each axis
    straight, crossed = np.abs(np.diag(cosines)), np.abs(np.diag(cosines[:, ::-1]))
    order = (0, 1) if straight.sum() >= crossed.sum() else (1, 0)
    to_voxel = np.zeros((4, 4))
    to_voxel[[2, 3], [2, 3]] = 1
    for place, axis in enumerate(order):
        to_voxel[axis, place] = 1
        if cosines[place, axis] < 0:
            to_voxel[axis, [place, 3]] = -1, voxels.shape[axis] - 1
            voxels = np.flip(voxels, axis)
    return voxels.transpose(order).T, affine @ to_voxel


READERS: dict[str, Callable[[Path, int], Picture]] = {
    ".png": _read_picture_file,
    ".jpg": _read_picture_file,
    ".jpeg": _read_picture_file,
    ".tif": _read_picture_file,
    ".tiff": _read_picture_file,
    ".npy": _read_npy,
}
NIFTI = (".nii.gz", ".nii")


def suffix_of(path: Path) -> str:
    """Give the ending by which a file's format is known, "" if there is none."""
    name = path.name.lower()
    return next((suffix for suffix in (*READERS, *NIFTI) if name.endswith(suffix)), "")
