"""Whole heads on one grid of cubes: what the rows of a set of volumes hold.

A head is stored as its axial slices are shown, one above the other: (depth, height, width). Depth
runs from bottom to top, row 0 is the front and column 0 the patient's right.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Shaped

from mrgantry.common.errors import DataError
from mrgantry.data import cut
from mrgantry.data.parts import COLUMNS
from mrgantry.data.plan import SlicePlan
from mrgantry.data.scan import Scan
from mrgantry.data.sections import Sections, as_text, shared_values, tumour_word
from mrgantry.data.slices import SliceSet
from mrgantry.data.subjects import Subject

MOST_OUTSIDE = 0.005  # of the brain that may lie outside the field
MOST_CUT = 0.25  # of its largest section that may lie at an end of the scan
THICKEST = 2.0  # voxels; slices that are thicker hide what is between them
AXES = ("from right to left", "from front to back", "from bottom to top")
COMPARED_MM = 6.0  # between the axial slices by which people are recognised,
COMPARED_PART = (0.35, 0.75)  # in this part of the field


def keep_head(scan: Scan, subject: Subject, sequences: Sequence[str], plan: SlicePlan) -> Sections:
    """Keep one visit's head, its brain in the middle of the field, with its row but for the split.

    Raises:
        DataError: Slices are too thick, the scan or the field ends within the brain, or the brain
            has a single intensity.
    """
    refuse_incomplete(scan, plan)
    field = field_of(scan, plan)
    first = scan.volumes[0]
    refuse_outside(scan, field, plan)
    stacks = []
    for volume in scan.volumes:
        limits = cut.plan_limits(volume, scan.brain, plan)
        unit = cut.to_unit(volume.voxels, scan.brain, limits)
        stacks.append(cut.upright(cropped(unit, field, -1.0), "axial"))
    images = np.stack(stacks).astype(np.float16)[None]
    maps = None
    if scan.classes is not None:
        maps = cut.upright(cropped(scan.classes, field, 0), "axial")[None]
    area = largest_section(scan.tumour, plan.cube_mm)
    shared = shared_values(scan, subject, sequences, plan)
    row = shared | {
        "index": 0,
        "id": f"{subject.name}_{shared['sequence']}_volume",
        "position_mm": None,
        "pixel_mm": plan.cube_mm,
        "tumour": tumour_word(area, plan.tumour_mm2),
        "tumour_mm2": area,
        "affine": as_text(first.affine @ to_voxels(field)),
    }
    return Sections(images, maps, pd.DataFrame([row], columns=list(COLUMNS)))


def field_of(scan: Scan, plan: SlicePlan) -> tuple[slice, slice, slice]:
    """Give the voxels of a scan that a plan's field holds; they may lie beyond its ends.

    The middle of the brain is the middle of the field. Of a head with its neck, whose lower end is
    wherever the scan ends, the crown lies a voxel below the field's top.
    """
    counts = plan.voxels
    box = cut.box_of(scan.brain)
    starts = [
        round((side.start + side.stop - count) / 2) for side, count in zip(box, counts, strict=True)
    ]
    if scan.brain_from == "head":
        starts[2] = box[2].stop + 1 - counts[2]
    x, y, z = (slice(start, start + count) for start, count in zip(starts, counts, strict=True))
    return x, y, z


def refuse_incomplete(scan: Scan, plan: SlicePlan) -> None:
    """Refuse a scan of thick slices, and one that ends within the brain.

    Raises:
        DataError: It is one.
    """
    if scan.thickness > THICKEST * plan.cube_mm:
        raise DataError(
            f"its slices are {scan.thickness:.3g} mm thick, and what lies between them was not "
            f"scanned; volumes of {plan.cube_mm:g} mm need {THICKEST * plan.cube_mm:g} mm or "
            "less. Cut it into slices instead."
        )
    for axis, name in enumerate(("right or left", "back or front", "bottom or top")):
        areas = scan.brain.sum(tuple(other for other in range(3) if other != axis))
        ends = areas[[0, -1]] if axis < 2 or scan.brain_from != "head" else areas[[-1]]
        if ends.max() > MOST_CUT * areas.max():
            raise DataError(f"it ends within the {_part(scan)} at the {name}: a slab is no head.")


def refuse_outside(scan: Scan, field: tuple[slice, slice, slice], plan: SlicePlan) -> None:
    """Refuse a brain that is larger than the field.

    Raises:
        DataError: It is.
    """
    box, inside = cut.box_of(scan.brain), scan.brain[_within(scan.brain.shape, field)]
    outside = 1 - inside.sum() / scan.brain.sum()
    if scan.brain_from == "head" or outside <= MOST_OUTSIDE:
        return
    lengths = [(side.stop - side.start) for side in box]
    axis = int(np.argmax([have - most for have, most in zip(lengths, plan.voxels, strict=True)]))
    wanted = [max(most, -(-have // 8) * 8) for have, most in zip(lengths, plan.voxels, strict=True)]
    raise DataError(
        f"its {_part(scan)} is {lengths[axis] * plan.cube_mm:.0f} mm long {AXES[axis]}, and the "
        f"field {plan.voxels[axis] * plan.cube_mm:.0f} mm; take --size "
        f"{'x'.join(map(str, wanted))} --voxel-mm {plan.cube_mm:g}, or keep the size with a larger "
        "--voxel-mm."
    )


def cropped(
    voxels: Shaped[np.ndarray, "x y z"], field: tuple[slice, slice, slice], nothing: float
) -> Shaped[np.ndarray, "x2 y2 z2"]:
    """Give the voxels of a field; where the scan ends before it, they show nothing.

    Args:
        voxels: Of the scan.
        field: Voxels of it, or beyond its ends.
        nothing: What nothing looks like.
    """
    shape = tuple(side.stop - side.start for side in field)
    filled = np.full(shape, nothing, voxels.dtype)
    here = _within(voxels.shape, field)
    there = tuple(
        slice(part.start - side.start, part.stop - side.start)
        for part, side in zip(here, field, strict=True)
    )
    filled[there] = voxels[here]
    return filled


def to_voxels(field: tuple[slice, slice, slice]) -> Float[np.ndarray, "4 4"]:
    """Map (column, row, slice, 1) of a stored head to the voxels that it was cut from."""
    x, y, z = field
    return np.array(
        [
            [-1.0, 0, 0, x.stop - 1],
            [0, -1.0, 0, y.stop - 1],
            [0, 0, 1.0, z.start],
            [0, 0, 0, 1],
        ]
    )


def largest_section(tumour: Bool[np.ndarray, "x y z"] | None, voxel_mm: float) -> float | None:
    """Measure the axial section of a head that shows most tumour in mm2; None without a map."""
    if tumour is None:
        return None
    return round(float(tumour.sum((0, 1)).max() * voxel_mm**2), 2)


def axial_slices(heads: SliceSet) -> SliceSet:
    """Give axial slices of a set of volumes, as a set in memory: people are recognised by them."""
    depth = heads.shape[0]
    low, high = (round(part * depth) for part in COMPARED_PART)
    step = max(1, round(COMPARED_MM / float(heads.table["pixel_mm"].median())))
    levels = range(low, high, step)
    images = heads.images[:, :, list(levels)]  # n c levels h w
    table = heads.table.loc[heads.table.index.repeat(len(levels))].reset_index(drop=True)
    places = np.tile(np.array(levels), len(heads))
    table["position_mm"] = places * table["pixel_mm"]
    table["plane"] = "axial"
    table["id"] = [f"{name}_{place:03d}" for name, place in zip(table["id"], places, strict=True)]
    about = heads.about.model_copy(update={"voxels": ()})
    made = replace(heads, table=table, about=about, places=np.arange(len(table)))
    vars(made)["images"] = np.concatenate(list(images.swapaxes(1, 2)))
    return made


def _within(
    shape: tuple[int, ...], field: tuple[slice, slice, slice]
) -> tuple[slice, slice, slice]:
    """Give the part of a field that lies within a scan."""
    x, y, z = (
        slice(min(max(0, side.start), length), max(0, min(side.stop, length)))
        for side, length in zip(field, shape, strict=True)
    )
    return x, y, z


def _part(scan: Scan) -> str:
    """Name what was found in a scan."""
    return "head" if scan.brain_from == "head" else "brain"
