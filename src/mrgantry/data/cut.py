"""From a volume to upright square images: the geometry, and nothing else."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float32, Shaped
from scipy import ndimage

from mrgantry.common.errors import DataError
from mrgantry.data.plan import NORMAL, SlicePlan
from mrgantry.data.volume import Volume


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
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    inside = np.pad(mask[box], 1)
    objects, count = ndimage.label(inside)
    if count > 1:
        inside = objects == 1 + np.bincount(objects.ravel())[1:].argmax()
    outside, _ = ndimage.label(~inside)
    filled = np.zeros_like(mask)
    filled[box] = (outside != outside[0, 0, 0])[1:-1, 1:-1, 1:-1]
    return filled


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
    order = {"axial": (2, 1, 0), "coronal": (1, 2, 0), "sagittal": (0, 2, 1)}[plane]
    return flipped.transpose(order)


def middle(mask: Bool[np.ndarray, "n h w"]) -> tuple[float, float]:
    """Give the row and column of the middle of what a stack of masks covers."""
    rows = np.flatnonzero(mask.any(axis=(0, 2)))
    columns = np.flatnonzero(mask.any(axis=(0, 1)))
    return float(rows[0] + rows[-1]) / 2, float(columns[0] + columns[-1]) / 2


def pixel_spacing(spacing: Sequence[float], plane: str) -> tuple[float, float]:
    """Give the height and width of a pixel of `upright` slices in mm."""
    x, y, z = spacing
    return {"axial": (y, x), "coronal": (z, x), "sagittal": (z, y)}[plane]


def fit_square(
    stack: Float32[np.ndarray, "n h w"],
    pixel_mm: tuple[float, float],
    centre: tuple[float, float],
    plan: SlicePlan,
) -> tuple[Float32[np.ndarray, "n s s"], float]:
    """Make slices square, all pixels square too, and resize them with antialiasing.

    Args:
        stack: Slices in [-1, 1].
        pixel_mm: Height and width of a pixel.
        centre: Row and column of the brain's middle; used if the plan names a field.
        plan: Its size, fit and field.

    Returns:
        The images, and the width of their pixels in mm. Cutting at whole voxels
        makes height and width differ by less than a voxel over the whole image.
    """
    height, width = stack.shape[1:]
    sides = (height * pixel_mm[0], width * pixel_mm[1])
    if plan.field_mm or plan.fit != "squash":
        side = plan.field_mm or (max(sides) if plan.fit == "pad" else min(sides))
        middle = centre if plan.field_mm else ((height - 1) / 2, (width - 1) / 2)
        for axis in (0, 1):
            pixels = max(1, round(side / pixel_mm[axis]))
            stack = _window(stack, axis + 1, middle[axis], pixels)
    tensor = torch.from_numpy(np.ascontiguousarray(stack))[:, None]
    if tensor.shape[2:] != (plan.size, plan.size):
        tensor = F.interpolate(
            tensor, (plan.size, plan.size), mode="bilinear", antialias=True, align_corners=False
        )
    images = tensor[:, 0].clamp(-1, 1).numpy()
    return images, stack.shape[2] * pixel_mm[1] / plan.size


def _window(
    stack: Float32[np.ndarray, "n h w"], axis: int, centre: float, pixels: int
) -> Float32[np.ndarray, "n h2 w2"]:
    """Cut `pixels` round a centre along one axis, padding with background (-1)."""
    start = round(centre - (pixels - 1) / 2)
    have = stack.shape[axis]
    before, after = max(0, -start), max(0, start + pixels - have)
    window = [slice(None)] * 3
    window[axis] = slice(max(0, start), max(0, start + pixels))
    pad = [(0, 0)] * 3
    pad[axis] = (before, after)
    return np.pad(stack[tuple(window)], pad, constant_values=-1)


def _otsu(voxels: Float32[np.ndarray, "x y z"]) -> float:
    """Give the threshold that splits a histogram best in two (Otsu 1979)."""
    counts, edges = np.histogram(voxels, 256)
    middles = (edges[1:] + edges[:-1]) / 2
    below, total = np.cumsum(counts), counts.sum()
    mass = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = mass / below - (mass[-1] - mass) / (total - below)
    return float(middles[np.nan_to_num(below * (total - below) * means**2).argmax()])
