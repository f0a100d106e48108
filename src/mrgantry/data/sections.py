"""From one visit's scan to images and their rows: stacks of slices, or heads to pose."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float16, UInt8

from mrgantry.common.errors import DataError
from mrgantry.data import cut, oblique
from mrgantry.data.centres import read_centre
from mrgantry.data.label_maps import class_names, to_channels
from mrgantry.data.parts import COLUMNS
from mrgantry.data.plan import NORMAL, SlicePlan
from mrgantry.data.scan import Scan
from mrgantry.data.subjects import Subject

LEAST_SHOWN = 0.02  # of the pixels of all poses: a brain fills a fifth or more


class Sections(NamedTuple):
    """What one image's channels of one visit become.

    Attributes:
        images: Slices, a whole head, or the volume to draw slices from.
        maps: Their label maps, or the volume to draw these from, a channel a class; None if the
            plan asks for none.
        rows: Their rows, but for the split.
    """

    images: Float16[np.ndarray, "n c *s"] | oblique.StoredHead
    maps: UInt8[np.ndarray, "n ..."] | oblique.StoredHead | None
    rows: pd.DataFrame


def cut_stack(scan: Scan, subject: Subject, sequences: Sequence[str], plan: SlicePlan) -> Sections:
    """Cut one visit's slices, with their rows but for the split.

    Raises:
        DataError: The brain has a single intensity, or indices are off.
    """
    first, axis = scan.volumes[0], NORMAL[plan.plane]
    chosen = cut.chosen_slices(first, scan.brain, plan)
    spacing = cut.pixel_spacing(first.spacing, plan.plane)
    brain = cut.upright(scan.brain, plan.plane)
    height, width = brain.shape[1:]
    frame = cut.frame_of((height, width), spacing, cut.middle(brain), plan)
    fitted = []
    for volume in scan.volumes:
        limits = cut.plan_limits(volume, scan.brain, plan)
        stack = cut.upright(volume.voxels, plan.plane)[chosen]
        fitted.append(cut.fit(cut.to_unit(stack, brain[chosen], limits), frame, plan.size))
    images = np.stack(fitted, axis=1).astype(np.float16)
    maps = None
    if scan.classes is not None:
        classes = cut.upright(scan.classes, plan.plane)[chosen]
        maps = cut.fit_classes(classes, len(class_names(plan.classes)), frame, plan.size)
    areas = _tumour_areas(scan.tumour, chosen, axis, spacing[0] * spacing[1])
    shared = shared_values(scan, subject, sequences, plan)
    shared["pixel_mm"] = round(frame.columns[1] * spacing[1] / plan.size, 4)
    rows = [
        shared
        | {
            "index": (stored := first.stored_index(axis, index)),
            "id": f"{subject.name}_{shared['sequence']}_{plan.plane}_{stored:03d}",
            "position_mm": round(cut.position_mm(first, axis, index), 2),
            "tumour": tumour_word(area, plan.tumour_mm2),
            "tumour_mm2": area,
            "affine": as_text(cut.image_affine(first, plan.plane, index, frame, plan.size)),
        }
        for index, area in zip(chosen, areas, strict=True)
    ]
    return Sections(images, maps, pd.DataFrame(rows, columns=list(COLUMNS)))


def pose_head(scan: Scan, subject: Subject, sequences: Sequence[str], plan: SlicePlan) -> Sections:
    """Keep one visit's volume for drawing, with rows of some of its poses.

    Raises:
        DataError: The brain has a single intensity.
    """
    first = scan.volumes[0]
    units = []
    for volume in scan.volumes:
        limits = cut.plan_limits(volume, scan.brain, plan)
        units.append(cut.to_unit(volume.voxels, scan.brain, limits))
    affine = first.affine
    if isinstance(plan.centre_mm, str):
        centre, turned = read_centre(Path(plan.centre_mm), subject.id, subject.session)
        affine = turned @ affine
    else:
        centre = np.array(plan.centre_mm or oblique.basal_level(scan.brain, first), dtype=float)
    stored = oblique.StoredHead(np.stack(units).astype(np.float16), affine, centre)
    shared = shared_values(scan, subject, sequences, plan)
    pixel_mm = plan.field / plan.size
    shared["pixel_mm"] = round(pixel_mm, 4)
    name = f"{subject.name}_{shared['sequence']}"
    indices = oblique.drawn_for(name, plan.poses, plan.seed)
    _refuse_empty_poses(stored, indices, plan)
    areas = _posed_areas(scan, stored, indices, plan)
    rows = [
        shared
        | {
            "index": index,
            "id": f"{name}_oblique_{index:05d}",
            "position_mm": round(float(centre[2]) + (pose := oblique.Pose.at(index)).section, 2),
            "tumour": tumour_word(area, plan.tumour_mm2),
            "tumour_mm2": area,
            "affine": as_text(oblique.placed(pose, pixel_mm, plan.size, centre)),
        }
        for index, area in zip(indices, areas, strict=True)
    ]
    maps = None
    if scan.classes is not None:
        channels = to_channels(scan.classes, len(class_names(plan.classes))).astype(np.float16)
        maps = oblique.StoredHead(channels, stored.affine, stored.centre)
    return Sections(stored, maps, pd.DataFrame(rows, columns=list(COLUMNS)))


def tumour_word(area: float | None, enough: float) -> str:
    """Say whether a slice shows tumour: yes, no, unclear, or unknown without a map."""
    if area is None:
        return "unknown"
    if area == 0:
        return "no"
    return "yes" if area >= enough else "unclear"


def as_text(affine: Float[np.ndarray, "4 4"]) -> str:
    """Write the first three rows of an affine for a table: twelve numbers."""
    return " ".join(f"{number:.7g}" for number in (affine[:3] + 0.0).ravel())


def from_text(text: str) -> Float[np.ndarray, "4 4"]:
    """Read what `as_text` has written.

    Raises:
        ValueError: The text is something else.
    """
    affine = np.eye(4)
    affine[:3] = np.array([float(number) for number in text.split()]).reshape(3, 4)
    return affine


def shared_values(
    scan: Scan, subject: Subject, sequences: Sequence[str], plan: SlicePlan
) -> dict[str, object]:
    """Give what all rows of one scan have in common."""
    return {
        "subject": subject.id,
        "session": subject.session,
        "sequence": "+".join(sequences),
        "plane": plan.plane,
        "source": "simulated" if scan.volumes[0].simulated else "real",
    }


def _tumour_areas(
    tumour: Bool[np.ndarray, "x y z"] | None, chosen: list[int], axis: int, pixel_mm2: float
) -> list[float | None]:
    if tumour is None:
        return [None] * len(chosen)
    pixels = tumour.sum(tuple(other for other in range(3) if other != axis))
    return [round(float(pixels[index] * pixel_mm2), 2) for index in chosen]


def _refuse_empty_poses(stored: oblique.StoredHead, indices: list[int], plan: SlicePlan) -> None:
    """Refuse a volume of which poses show next to nothing.

    Raises:
        DataError: They do.
    """
    poses = [(0, pose) for pose in map(oblique.Pose.at, indices)]
    images = oblique.draw_poses([stored.lay_out()], poses, plan.size, plan.field)
    if float((images > -1).float().mean()) < LEAST_SHOWN:
        centre = ":".join(f"{mm:.0f}" for mm in stored.centre)
        raise DataError(
            f"its poses, which turn round {centre} mm, show no brain there. The scan does not "
            "reach that far, or lies askew; name the basal ganglia's place with --centre-mm."
        )


def _posed_areas(
    scan: Scan, stored: oblique.StoredHead, indices: list[int], plan: SlicePlan
) -> list[float | None]:
    """Measure the tumour in poses by drawing its map as they are drawn."""
    if scan.tumour is None:
        return [None] * len(indices)
    labels = 2 * scan.tumour[None].astype(np.float16) - 1
    head = oblique.StoredHead(labels, stored.affine, stored.centre).lay_out()
    poses = [(0, pose) for pose in map(oblique.Pose.at, indices)]
    shares = (oblique.draw_poses([head], poses, plan.size, plan.field) + 1) / 2
    areas = shares.sum((1, 2, 3)) * (plan.field / plan.size) ** 2
    return [round(float(area), 2) for area in areas]
