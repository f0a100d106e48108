"""From a volume to upright square images: the geometry, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float32, Shaped, UInt8
from scipy import ndimage

from mrgantry.common.errors import DataError
from mrgantry.data.label_maps import from_channels, to_channels
from mrgantry.data.plan import NORMAL, SlicePlan
from mrgantry.data.volume import Volume

# The axes of a RAS+ volume along which upright slices are stacked, and run down and along.
ORDER = {"axial": (2, 1, 0), "coronal": (1, 2, 0), "sagittal": (0, 2, 1)}


def find_brain(volume: Volume) -> tuple[Bool[np.ndarray, "x y z"], str]:
    """Find the brain of a scan that comes without a mask.

    Skull-stripped data have one constant value all round; the brain is the rest,
    with its holes filled. Otherwise the whole head is taken: the largest object
    above Otsu's threshold.

    Returns:
        The mask, and "foreground" or "head", whichever it is.

    Raises:
        DataError: The scan has a single intensity.
    """
    voxels = volume.voxels
    turned = [np.moveaxis(voxels, axis, 0) for axis in range(3)]
    border = np.concatenate([view[end].ravel() for view in turned for end in (0, -1)])
    values, counts = np.unique(border, return_counts=True)
    background = values[counts.argmax()]
    # A stripped brain may touch a face of a tight box, but covers little of it.
    if counts.max() > 0.9 * border.size:
        mask, name = voxels != background, "foreground"
    else:
        mask, name = voxels > _otsu(voxels), "head"
    if not mask.any():
        raise DataError("it has a single intensity everywhere.")
    return _largest_filled(mask), name


def _largest_filled(mask: Bool[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x y z"]:
    """Keep the largest object of a mask and fill its holes.

    Done inside the mask's box, with a rim of background: holes are the background
    that does not touch the rim. This is many times faster than filling by growth.
    """
    box = box_of(mask)
    inside = np.pad(mask[box], 1)
    objects, count = ndimage.label(inside)
    if count > 1:
        inside = objects == 1 + np.bincount(objects.ravel())[1:].argmax()
    outside, _ = ndimage.label(~inside)
    filled = np.zeros_like(mask)
    filled[box] = (outside != outside[0, 0, 0])[1:-1, 1:-1, 1:-1]
    return filled


def plan_limits(
    volume: Volume, brain: Bool[np.ndarray, "x y z"], plan: SlicePlan
) -> tuple[float, float]:
    """Give the intensities of a volume that become -1 and 1 by a plan: its window, or the brain's.

    Raises:
        DataError: The brain has a single intensity.
    """
    return plan.window or brain_limits(volume.voxels, brain, plan.percentiles)


def box_of(mask: Bool[np.ndarray, "x y z"]) -> tuple[slice, slice, slice]:
    """Give the smallest box that holds a mask, which must hold at least one voxel.

    Many times faster than SciPy's `find_objects`, which looks for many labels at once.
    """
    x, y, z = (np.flatnonzero(mask.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1)))
    return slice(x[0], x[-1] + 1), slice(y[0], y[-1] + 1), slice(z[0], z[-1] + 1)


def brain_limits(
    voxels: Float32[np.ndarray, "x y z"],
    brain: Bool[np.ndarray, "x y z"],
    percentiles: tuple[float, float],
) -> tuple[float, float]:
    """Give the intensities of a volume that become -1 and 1.

    MR intensities have no unit: the same tissue differs between scanners, so the
    scale is taken per volume, from brain voxels only.

    Args:
        voxels: Intensities in scanner units.
        brain: True inside the brain; must hold at least one voxel.
        percentiles: Of the brain's intensities, each in [0, 100].

    Raises:
        DataError: The brain has a single intensity.
    """
    low, high = np.percentile(voxels[brain], percentiles)
    if high <= low:
        raise DataError("its brain has a single intensity.")
    return float(low), float(high)


def to_unit(
    stack: Float32[np.ndarray, "n h w"],
    brain: Bool[np.ndarray, "n h w"],
    limits: tuple[float, float],
) -> Float32[np.ndarray, "n h w"]:
    """Scale slices to [-1, 1]; outliers clip, and outside the brain it is exactly -1."""
    low, high = limits
    scaled = np.clip((stack - low) * (2 / (high - low)) - 1, -1, 1)
    return np.where(brain, scaled, -1).astype(np.float32)


def chosen_slices(volume: Volume, brain: Bool[np.ndarray, "x y z"], plan: SlicePlan) -> list[int]:
    """List the slices that a plan takes of a volume, as RAS+ indices, rising.

    Raises:
        DataError: The plan's indices lie outside the volume.
    """
    axis, extent = NORMAL[plan.plane], plan.extent
    count = volume.voxels.shape[axis]
    area = brain.sum(tuple(other for other in range(3) if other != axis))
    if extent.unit == "index":
        if extent.high > count:
            raise DataError(
                f"the slices {plan.slices} do not exist: its {plan.plane} axis has {count}."
            )
        place = np.array([volume.stored_index(axis, index) for index in range(count)])
    elif extent.unit == "mm":
        place = np.array([position_mm(volume, axis, index) for index in range(count)])
    else:
        first, last = np.flatnonzero(area)[[0, -1]]
        place = (np.arange(count) - first + 0.5) / (last + 1 - first)
    inside = np.flatnonzero((place >= extent.low) & (place < extent.high))
    inside = inside[np.argsort(place[inside])][:: extent.step]
    enough = area[inside] >= max(1, plan.min_brain * area.max())
    return [int(index) for index in np.sort(inside[enough])]


def position_mm(volume: Volume, axis: int, index: int) -> float:
    """Give where a slice's centre lies along an anatomical axis, in scanner mm."""
    centre = (np.array(volume.voxels.shape) - 1) / 2
    centre[axis] = index
    return float((volume.affine[:3, :3] @ centre + volume.affine[:3, 3])[axis])


def upright(voxels: Shaped[np.ndarray, "x y z"], plane: str) -> Shaped[np.ndarray, "n h w"]:
    """Turn a RAS+ volume into a stack of slices as radiologists see them.

    Row 0 is the top. Axial: anterior up, the patient's right on the left. Coronal:
    superior up, the patient's right on the left. Sagittal: superior up, the nose to
    the left. The stack runs to the right, anterior or superior.
    """
    flipped = np.flip(voxels, tuple(axis for axis in range(3) if axis != NORMAL[plane]))
    return flipped.transpose(ORDER[plane])


def middle(mask: Bool[np.ndarray, "n h w"]) -> tuple[float, float]:
    """Give the row and column of the middle of what a stack of masks covers."""
    rows = np.flatnonzero(mask.any(axis=(0, 2)))
    columns = np.flatnonzero(mask.any(axis=(0, 1)))
    return float(rows[0] + rows[-1]) / 2, float(columns[0] + columns[-1]) / 2


def pixel_spacing(spacing: Sequence[float], plane: str) -> tuple[float, float]:
    """Give the height and width of a pixel of `upright` slices in mm."""
    x, y, z = spacing
    return {"axial": (y, x), "coronal": (z, x), "sagittal": (z, y)}[plane]


@dataclass(frozen=True)
class Frame:
    """Which rows and columns of upright slices become the image.

    Each is the first and the number of them; what lies outside the slice is background.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]


def frame_of(
    shape: tuple[int, int],
    pixel_mm: tuple[float, float],
    centre: tuple[float, float],
    plan: SlicePlan,
) -> Frame:
    """Choose the part of a slice that a plan's fit and field ask for.

    Args:
        shape: Rows and columns of the upright slices.
        pixel_mm: Height and width of a pixel.
        centre: Row and column of the brain's middle; used if the plan names a field.
        plan: Its fit and field.

    Returns:
        A part as high as wide in mm, unless slices are squashed. Cutting at whole
        voxels makes the sides differ by less than a voxel.
    """
    if plan.fit == "squash" and not plan.field_mm:
        return Frame((0, shape[0]), (0, shape[1]))
    sides = [count * mm for count, mm in zip(shape, pixel_mm, strict=True)]
    side = plan.field_mm or (max(sides) if plan.fit == "pad" else min(sides))
    middle = centre if plan.field_mm else ((shape[0] - 1) / 2, (shape[1] - 1) / 2)
    counts = [max(1, round(side / mm)) for mm in pixel_mm]
    starts = [round(m - (count - 1) / 2) for m, count in zip(middle, counts, strict=True)]
    return Frame((starts[0], counts[0]), (starts[1], counts[1]))


def fit(
    stack: Float32[np.ndarray, "n h w"], frame: Frame, size: int
) -> Float32[np.ndarray, "n s s"]:
    """Cut slices to a frame, pad them with background (-1) and resize, antialiased."""
    for axis, (start, count) in enumerate((frame.rows, frame.columns), start=1):
        have = stack.shape[axis]
        window = [slice(None)] * 3
        window[axis] = slice(max(0, start), max(0, start + count))
        pad = [(0, 0)] * 3
        pad[axis] = (max(0, -start), max(0, start + count - have))
        stack = np.pad(stack[tuple(window)], pad, constant_values=-1)
    tensor = torch.from_numpy(np.ascontiguousarray(stack))[:, None]
    if tensor.shape[2:] != (size, size):
        tensor = F.interpolate(
            tensor, (size, size), mode="bilinear", antialias=True, align_corners=False
        )
    return tensor[:, 0].clamp(-1, 1).numpy()


def fit_classes(
    maps: UInt8[np.ndarray, "n h w"], count: int, frame: Frame, size: int
) -> UInt8[np.ndarray, "n s s"]:
    """Cut, pad and resize label maps as images are: each pixel gets the class it shows most of.

    Args:
        maps: Numbers of classes; 0 is none.
        count: How many classes there are.
        frame: The part of the slices that becomes the image.
        size: Height and width of the image in pixels.
    """
    channels = [fit(channel, frame, size) for channel in to_channels(maps, count)]
    return from_channels(torch.from_numpy(np.stack(channels, 1)))


def image_affine(
    volume: Volume, plane: str, index: int, frame: Frame, size: int
) -> Float[np.ndarray, "4 4"]:
    """Map (column, row, slice, 1) of an image to scanner mm.

    Args:
        volume: What the slice was cut from.
        plane: Axial, coronal or sagittal.
        index: The slice's RAS+ index.
        frame: The part of the slice that became the image.
        size: Height and width of the image in pixels.
    """
    through, down, along = ORDER[plane]
    to_voxel = np.zeros((4, 4))
    to_voxel[3, 3] = 1
    to_voxel[through, [2, 3]] = 1, index
    # Upright slices run against the voxels along both of their axes.
    for axis, place, (start, count) in (
        (along, 0, frame.columns),
        (down, 1, frame.rows),
    ):
        step = count / size
        first = start + (step - 1) / 2
        to_voxel[axis, [place, 3]] = -step, volume.voxels.shape[axis] - 1 - first
    return volume.affine @ to_voxel


def _otsu(voxels: Float32[np.ndarray, "x y z"]) -> float:
    """Give the threshold that splits a histogram best in two (Otsu 1979)."""
    counts, edges = np.histogram(voxels, 256)
    middles = (edges[1:] + edges[:-1]) / 2
    below, total = np.cumsum(counts), counts.sum()
    mass = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = mass / below - (mass[-1] - mass) / (total - below)
    return float(middles[np.nan_to_num(below * (total - below) * means**2).argmax()])
