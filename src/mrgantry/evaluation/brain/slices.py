"""Simulated slices to learn from: what each pixel is made of, and images of any contrast.

Tissue fractions of a simulated head are stored once; intensities, pose, receive field, blur,
noise and the faults of skull stripping are drawn anew each time that a slice is looked at, so
that the network relies on none of them.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from mrgantry.brain.network import CLASSES, PLANES, SIDE
from mrgantry.common import spatial
from mrgantry.common.progress import progress
from mrgantry.common.workers import each
from mrgantry.simulation.anatomy import TISSUES
from mrgantry.simulation.patient import draw_patient
from mrgantry.simulation.template import load_template
from mrgantry.simulation.tumour import TUMOUR_TISSUES

FIELD_MM = 192  # side of a stored slice
STORED = 96  # its pixels, of 2 mm
MATERIALS = (*TISSUES, *TUMOUR_TISSUES)
LEVELS = (0.2, 0.9)  # of the brain's extent, between which slices are cut
GRADES = ("healthy", "HGG", "healthy", "LGG")  # of one person after the other
# Which class each material belongs to; blood is told apart by no contrast here.
CLASS_OF = {"white": "white", "grey": "grey", "csf": "fluid", "blood": "fluid"}
# Usual intensities of white matter, grey matter, fluid and hyperintensity; black to white is 0
# to 1. Roughly what T1, T2, FLAIR and proton density scans show.
ORDERS = {
    "t1": (0.85, 0.60, 0.20, 0.55),
    "t2": (0.40, 0.55, 1.00, 0.75),
    "flair": (0.50, 0.65, 0.10, 0.95),
    "pd": (0.60, 0.75, 0.90, 0.85),
}


class LabelledSlices(NamedTuple):
    """Images and what they are made of.

    Attributes:
        images: In [-1, 1].
        fractions: Of `CLASSES` in each pixel of a grid of half the side.
        planes: Index in `PLANES`.
        levels: Place along the axis, from 0 to 1.
    """

    images: Float[Tensor, "n 1 h w"]
    fractions: Float[Tensor, "n 5 k k"]
    planes: Int[Tensor, " n"]
    levels: Float[Tensor, " n"]


@dataclass(frozen=True, eq=False)
class SimulatedSlices:
    """Slices of simulated heads, by what they are made of.

    Attributes:
        fractions: Of `MATERIALS`, in 255ths.
        brain: True where a skull stripper would see brain.
        planes: Index in `PLANES`.
        levels: Place along the axis, from 0 to 1; of sagittal ones, distance from the middle.
        people: Number of the head.
    """

    fractions: UInt8[Tensor, "n 10 s s"]
    brain: Bool[Tensor, "n s s"]
    planes: Int[Tensor, " n"]
    levels: Float[Tensor, " n"]
    people: Int[Tensor, " n"]

    def take(self, rows: Bool[Tensor, " n"]) -> "SimulatedSlices":
        """Keep some slices."""
        return SimulatedSlices(
            self.fractions[rows],
            self.brain[rows],
            self.planes[rows],
            self.levels[rows],
            self.people[rows],
        )

    def lesson(self, count: int, random: torch.Generator) -> LabelledSlices:
        """Draw some slices in a random pose and contrast."""
        rows = torch.randint(len(self.fractions), (count,), generator=random)
        maps = torch.cat([self.fractions[rows].float() / 255, self.brain[rows, None].float()], 1)
        maps = _posed(maps, random)
        materials = _stripped(maps[:, :-1], maps[:, -1:], random)
        images = draw_images(materials, random)
        small = F.avg_pool2d(materials, 2)
        return LabelledSlices(images, _classes(small), self.planes[rows], self.levels[rows])


def simulated_slices(people: int, seed: int, slices: int = 24) -> SimulatedSlices:
    """Cut slices of three planes out of simulated heads, using all cores.

    Args:
        people: How many heads.
        seed: Of the cohort; head k of a seed is the same whatever `people` is.
        slices: Of each head.
    """
    load_template()  # prepared once, before several processes want it
    heads: dict[int, tuple[np.ndarray, ...]] = {}
    with progress("heads", people) as advance:
        for number, cut in each(partial(_cut_head, seed=seed, slices=slices), range(1, people + 1)):
            heads[number] = cut
            advance()
    columns = zip(*(heads[number] for number in sorted(heads)), strict=True)
    fractions, brain, planes, levels = (
        torch.from_numpy(np.concatenate(column)) for column in columns
    )
    owners = torch.arange(1, people + 1).repeat_interleave(slices)
    return SimulatedSlices(fractions, brain, planes, levels, owners)


def _cut_head(number: int, seed: int, slices: int) -> tuple[np.ndarray, ...]:
    """Cut one head: fractions, brain mask, plane and level of each slice."""
    patient = draw_patient(load_template(), seed, number, GRADES[number % len(GRADES)])
    anatomy, size = patient.anatomy, patient.anatomy.box.size
    head = torch.zeros(len(MATERIALS) + 1, math.prod(size))
    head[: len(patient.fractions), anatomy.voxels] = patient.fractions
    head[-1, anatomy.voxels] = anatomy.brain.float()
    head = head.view(-1, *size)
    random = torch.Generator().manual_seed(seed * 1_000_003 + number)
    maps, planes, levels = [], [], []
    for turn in range(slices):
        plane = turn % len(PLANES)
        axis = 3 - plane  # axial slices lie across z, coronal ones across y, sagittal across x
        filled = torch.nonzero(head[-1].sum([d for d in range(3) if d != axis - 1]) > 0)[:, 0]
        level = LEVELS[0] + (LEVELS[1] - LEVELS[0]) * float(torch.rand((), generator=random))
        place = int(filled[0] + level * (filled[-1] - filled[0]))
        maps.append(_laid_out(head.select(axis, place)))
        planes.append(plane)
        # Left and right look alike, so a sagittal slice's place is its distance from the middle.
        levels.append(abs(2 * level - 1) if PLANES[plane] == "sagittal" else level)
    stored = torch.stack(maps)
    fractions = (stored[:, :-1] * 255).round().to(torch.uint8).numpy()
    return (
        fractions,
        (stored[:, -1] > 0.5).numpy(),
        np.array(planes),
        np.array(levels, np.float32),
    )


def _laid_out(section: Float[Tensor, "c a b"]) -> Float[Tensor, "c s s"]:
    """Bring a section of 1 mm into a square, as a set of slices shows it.

    Axial slices have anterior at the top, the others superior; the patient's right, or the nose,
    is on the left.
    """
    square = section.new_zeros(len(section), FIELD_MM, FIELD_MM)
    inner, outer = [], []
    for length in section.shape[1:]:
        kept = min(length, FIELD_MM)
        start = (length - kept) // 2
        inner.append(slice(start, start + kept))
        outer.append(slice((FIELD_MM - kept) // 2, (FIELD_MM - kept) // 2 + kept))
    square[:, outer[0], outer[1]] = section[:, inner[0], inner[1]]
    upright = square.transpose(1, 2).flip(1, 2)
    return F.avg_pool2d(upright, FIELD_MM // STORED)


def _posed(maps: Float[Tensor, "n c s s"], random: torch.Generator) -> Float[Tensor, "n c h w"]:
    """Turn, shift, zoom and mirror at random, and bring to the network's size."""
    count, side = len(maps), maps.shape[-1]

    def spread(scale: float) -> Tensor:
        return scale * torch.randn(count, generator=random)

    mirrored = torch.where(torch.rand(count, generator=random) < 0.5, -1.0, 1.0)
    zoom = spread(0.16).exp()
    matrices = spatial.compose(
        spatial.shift(spread(0.04) * side, spread(0.04) * side),
        spatial.turn(spread(0.12)),
        spatial.scale(mirrored * zoom * spread(0.04).exp(), zoom),
    )
    return F.interpolate(
        spatial.sample(maps, matrices, fill=0.0), (SIDE, SIDE), mode="bilinear", antialias=True
    )


def _stripped(
    materials: Float[Tensor, "n 10 h w"], brain: Float[Tensor, "n 1 h w"], random: torch.Generator
) -> Float[Tensor, "n 10 h w"]:
    """Take away what a skull stripper might: the outer fluid, and in some slices a bite."""
    count = len(materials)
    tight = torch.rand(count, 1, 1, 1, generator=random) < 0.6
    kept = torch.where(tight, (brain > 0.5).float(), torch.ones_like(brain))
    bitten = torch.rand(count, 1, 1, 1, generator=random) < 0.15
    bites = (field(count, SIDE, 8, random) > 1.6) & bitten
    return materials * kept * ~bites


def draw_images(
    materials: Float[Tensor, "n 10 h w"], random: torch.Generator
) -> Float[Tensor, "n 1 h w"]:
    """Draw images of random contrast in [-1, 1] from what their pixels are made of."""
    count = len(materials)

    def share(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=random)

    def normal(*shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=random)

    # Intensities of the materials, texture within them, and remains of what surrounds the brain.
    intensities = _intensities(count, random)
    inside = materials.sum(1, keepdim=True)
    values = (materials * intensities[:, :, None, None]).sum(1, keepdim=True)
    values = values * (1 + 0.05 * normal(1, 1, 1).abs() * field(count, SIDE, SIDE, random))
    values = values + 0.03 * share(1, 1, 1) * field(count, SIDE, SIDE // 2, random) * inside
    rim = (F.max_pool2d(inside, 5, 1, 2) - inside).clamp(min=0)
    remains = (field(count, SIDE, 8, random) > 0.5) & (share(1, 1, 1) < 0.2)
    values = values + rim * remains * share(1, 1, 1)
    # The receive field, blur along rows and columns, and the scale that percentiles give.
    values = values * (0.15 * field(count, SIDE, 4, random)).exp()
    values = _blurred(values, 0.05 + 0.9 * share())
    bright = values.flatten(1).quantile(0.995, dim=1).clamp(min=1e-3)[:, None, None, None]
    values = (values / bright).clamp(min=0) ** (0.25 * normal(1, 1, 1)).exp()
    # Noise, within the head or everywhere.
    everywhere = share(1, 1, 1) < 0.2
    noise = 0.05 * share(1, 1, 1) * normal(1, SIDE, SIDE)
    shown = (inside > 0.02) | everywhere
    return (2 * (values + 0.5 * noise * shown) - 1).clamp(-1, 1)


def _intensities(count: int, random: torch.Generator) -> Float[Tensor, "n 10"]:
    """Draw an intensity for each material: half of the images near a usual sequence."""
    drawn = torch.rand(count, len(MATERIALS), generator=random)
    ordered = torch.full((len(ORDERS), len(MATERIALS)), torch.nan)
    ordered[:, :4] = torch.tensor(list(ORDERS.values()))
    chosen = ordered[torch.randint(len(ORDERS), (count,), generator=random)]
    chosen = chosen + 0.08 * torch.randn(count, len(MATERIALS), generator=random)
    ordinary = torch.rand(count, 1, generator=random) < 0.5
    return torch.where(ordinary & ~chosen.isnan(), chosen, drawn).clamp(0, 1)


def field(count: int, side: int, points: int, random: torch.Generator) -> Float[Tensor, "n 1 h w"]:
    """Draw smooth fields of about unit spread.

    Args:
        count: How many.
        side: Of the fields, in pixels.
        points: Of the coarse grid that they are interpolated from, a side.
        random: Where numbers come from.
    """
    coarse = torch.randn(count, 1, points, points, generator=random)
    if points == side:
        return coarse
    return F.interpolate(coarse, (side, side), mode="bicubic")


def _blurred(
    images: Float[Tensor, "n 1 h w"], spread: Float[Tensor, " n"]
) -> Float[Tensor, "n 1 h w"]:
    """Blur each image by a Gaussian of its own standard deviation in pixels."""
    steps = torch.arange(-2, 3).float()
    kernel = (-(steps**2) / (2 * spread[:, None] ** 2)).exp()
    kernel = kernel / kernel.sum(1, keepdim=True)
    rows = images.transpose(0, 1)
    rows = F.conv2d(rows, kernel[:, None, None, :], padding=(0, 2), groups=len(images))
    rows = F.conv2d(rows, kernel[:, None, :, None], padding=(2, 0), groups=len(images))
    return rows.transpose(0, 1)


def _classes(materials: Float[Tensor, "n 10 h w"]) -> Float[Tensor, "n 5 h w"]:
    """Add up the materials of each class; what is missing to 1 is background."""
    classes = [CLASS_OF.get(name, "lesion") for name in MATERIALS]
    sums = [
        materials[:, [place for place, name in enumerate(classes) if name == wanted]].sum(1)
        for wanted in CLASSES[:-1]
    ]
    sums.append((1 - materials.sum(1)).clamp(0, 1))
    return torch.stack(sums, 1)
