"""One visit in memory: the volumes of one image's channels, brain and tumour, on one grid."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from mrgantry.common.errors import DataError
from mrgantry.data import cut
from mrgantry.data.label_maps import classified
from mrgantry.data.plan import SlicePlan
from mrgantry.data.resample import Grid, resample
from mrgantry.data.subjects import Subject
from mrgantry.data.volume import Volume, read_volume

LEAST_BRAIN = 0.1  # of the head that a brain fills; lesions are less, brains a third or more


@dataclass(frozen=True, eq=False)
class Scan:
    """What one image's channels are cut from, on one grid.

    Attributes:
        volumes: One a channel.
        brain: True inside the brain, or the head.
        brain_from: How it was found: "mask", "foreground" or "head".
        tumour: True inside the tumour; None if nobody mapped it.
        assumed: What was taken for granted, "" if nothing was.
        classes: Numbers of the plan's classes, if it asks for label maps.
        thickness: Longest side of a voxel in mm, as it was scanned.
    """

    volumes: Sequence[Volume]
    brain: Bool[np.ndarray, "x y z"]
    brain_from: str
    tumour: Bool[np.ndarray, "x y z"] | None
    assumed: str = ""
    classes: UInt8[np.ndarray, "x y z"] | None = None
    thickness: float = 0.0


def read_scan(subject: Subject, sequences: Sequence[str], plan: SlicePlan) -> Scan:
    """Read the sequences of one visit with its brain mask and tumour labels.

    Raises:
        DataError: A sequence is missing, a file is bad, grids differ or the brain is
            empty.
    """
    for sequence in sequences:
        if sequence not in subject.scans:
            raise DataError(f"it has no {sequence}, only {', '.join(sorted(subject.scans))}.")
    volumes = [read_volume(subject.scans[sequence]) for sequence in sequences]
    thickness = max(max(volume.spacing) for volume in volumes)
    grid = _grid(subject, volumes[0], plan)
    for sequence, volume in zip(sequences, volumes, strict=True):
        if grid is None and not volume.same_grid(volumes[0]):
            raise DataError(
                f"its {sequence} lies on another grid than its {sequences[0]}; as channels they "
                f"must share one. If they are registered, add --resample-to {sequences[0]}."
            )
    mask = _labels(subject.mask, volumes[0], grid) if subject.mask else None
    doubt = doubt_mask(mask, volumes[0]) if mask is not None and grid is None else ""
    if mask is not None and not doubt:
        brain, brain_from = mask, "mask"
    else:  # before resampling, which blurs the edge of a stripped brain into its background
        brains = [cut.find_brain(volume) for volume in volumes]
        masks = [_on_grid(v, mask, grid) for v, (mask, _) in zip(volumes, brains, strict=True)]
        brain, brain_from = np.logical_or.reduce(masks), brains[0][1]
    if grid is not None:
        volumes = [volume if grid.fits(volume) else resample(volume, grid) for volume in volumes]
    if not brain.any():
        raise DataError("its brain mask is empty.")
    tumour = _labels(subject.tumour, volumes[0], grid) if subject.tumour else None
    classes = _classes(subject, volumes[0], grid, plan) if plan.label_maps else None
    if classes is not None and (lies_outside(classes > 0, brain)):
        raise DataError(
            "most of its label map lies outside its brain: it is another person's, or not "
            "registered."
        )
    assumed = [doubt] if doubt else []
    if classes is not None and not classes.any():
        assumed.append("its label map is empty")
    return Scan(volumes, brain, brain_from, tumour, "; ".join(assumed), classes, thickness)


def lies_outside(mapped: Bool[np.ndarray, "x y z"], brain: Bool[np.ndarray, "x y z"]) -> bool:
    """Say whether most of what is mapped lies outside the brain."""
    return int((mapped & ~brain).sum()) > int((mapped & brain).sum())


def _classes(
    subject: Subject, volume: Volume, grid: Grid | None, plan: SlicePlan
) -> UInt8[np.ndarray, "x y z"]:
    """Read the label map of a visit, as numbers of the plan's classes, on the grid of the scan.

    Raises:
        DataError: There is none, it lies on another grid, or holds what has no class.
    """
    if subject.tumour is None:
        raise DataError(
            "it has no label map, which --label-maps asks for; --tumour-labels says how they are "
            "named."
        )
    labels = _read_labels(subject.tumour, volume, grid)
    return classified(labels.voxels, plan.classes)


def doubt_mask(mask: Bool[np.ndarray, "x y z"], volume: Volume) -> str:
    """Say why a mask is not that of the brain; "" if it may be.

    Args:
        mask: The mask, on the grid of the scan.
        volume: The scan. One with a single intensity doubts nothing.
    """
    try:
        head, _ = cut.find_brain(volume)
    except DataError:
        return ""
    share = float(mask.sum()) / float(head.sum())
    if not mask.any() or share > LEAST_BRAIN:
        return ""
    cm3 = float(mask.sum()) * float(np.prod(volume.spacing)) / 1000
    return (
        f"its mask holds {cm3:.1f} cm3, {share:.1%} of what stands out of the background, and was "
        "not taken for one of the brain"
    )


def _grid(subject: Subject, first: Volume, plan: SlicePlan) -> Grid | None:
    """Give the grid that a plan asks for; None leaves scans as they are."""
    if plan.spacing is not None:
        return Grid.of(first).with_spacing(plan.spacing)
    if plan.resample_to is None:
        return None
    if plan.resample_to not in subject.scans:
        raise DataError(f"it has no {plan.resample_to} to take the grid from.")
    return Grid.of(read_volume(subject.scans[plan.resample_to]))


def _on_grid(
    volume: Volume, mask: Bool[np.ndarray, "x y z"], grid: Grid | None
) -> Bool[np.ndarray, "x2 y2 z2"]:
    """Bring a mask of a volume to the grid that all are read on."""
    if grid is None or grid.fits(volume):
        return mask
    labels = replace(volume, voxels=mask.astype(np.float32))
    return resample(labels, grid, "nearest").voxels > 0.5


def _labels(path: Path, volume: Volume, grid: Grid | None) -> Bool[np.ndarray, "x y z"]:
    """Read a mask, or labels that are above 0 inside, on the grid of the scan."""
    return _read_labels(path, volume, grid).voxels > 0.5


def _read_labels(path: Path, volume: Volume, grid: Grid | None) -> Volume:
    """Read labels on the grid of the scan.

    Raises:
        DataError: They lie elsewhere, or on another grid while none was asked for.
    """
    labels = read_volume(path)
    if grid is not None:
        if not grid.overlaps(labels):
            raise DataError(f"{path.name} lies elsewhere than the scan; register it first.")
        return labels if grid.fits(labels) else resample(labels, grid, "nearest")
    if not labels.same_grid(volume):
        raise DataError(
            f"{path.name} lies on another grid than the scan. If they are registered, add "
            "--resample-to 1mm or a sequence."
        )
    return labels
