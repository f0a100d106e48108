"""A glioma: where it starts, how it pushes, and what grows round it.

The core is a rough ellipsoid that stops at falx, tentorium and fluid; oedema spreads
from it by diffusion, fast in white matter and slowly in grey. All sizes are plausible
choices that give volumes like those of BRATS; they are not sourced.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from scipy import ndimage
from torch import Tensor

from mrgantry.simulate.anatomy import CANVAS, GRID, Anatomy, Shape3D, to_template
from mrgantry.simulate.fields import (
    band,
    coarse_shape,
    lattice,
    normal,
    random_field,
    sample,
    uniform,
)
from mrgantry.simulate.template import Template

TUMOUR_TISSUES = ("necrosis", "non-enhancing", "oedema", "enhancing")
CELL = 2  # mm, the grid on which a tumour grows


@dataclass(frozen=True)
class Seed:
    """Where a tumour starts and how large it grows.

    Attributes:
        centre: Canvas voxel of its centre.
        radius: Mean radius of the core in mm.
        push: Velocity in mm on the coarse grid by which it moves tissue aside.
        high_grade: Whether it has an enhancing rim and a necrotic centre.
    """

    centre: tuple[float, float, float]
    radius: float
    push: Float[Tensor, "3 i j k"]
    high_grade: bool


@dataclass(frozen=True)
class Tumour:
    """A grown tumour at the n voxels of an `Anatomy`.

    Attributes:
        tissues: Fractions of `TUMOUR_TISSUES`; they replace the brain's own.
        labels: BRATS labels: 1 necrosis and non-enhancing core, 2 oedema, 4 enhancing.
    """

    tissues: Float[Tensor, "4 n"]
    labels: UInt8[Tensor, " n"]


def plant(template: Template, shape: Shape3D, generator: torch.Generator, high_grade: bool) -> Seed:
    """Choose a place in the white matter of the cerebrum, a size and a mass effect."""
    coarse = to_template(template, shape, shape.velocity)
    _, white, depth, ventricle, _, below, _ = sample(template.maps, coarse)
    off_midline = (coarse[0] + template.origin[0]).abs()
    fit = (depth > 12) & (white > 0) & (off_midline > 14) & (below < 0.1) & (ventricle > 3)
    places = torch.nonzero(fit)
    chosen = places[int(torch.randint(len(places), (), generator=generator))]
    centre = GRID * (chosen + torch.rand(3, generator=generator) - 0.5)
    radius = min(max(18 * math.exp(normal(generator, 0, 0.30)), 8), 32)
    strength = uniform(generator, 0.1, 0.45)
    offset = lattice(coarse_shape(CANVAS, GRID), GRID) - centre.reshape(3, 1, 1, 1)
    fall = torch.exp(-offset.square().sum(0) / (2 * (1.5 * radius) ** 2))
    at_hull = torch.sigmoid((depth - 6) / 2)
    x, y, z = centre.tolist()
    return Seed((x, y, z), radius, -strength * offset * fall * at_hull, high_grade)


def grow(seed: Seed, anatomy: Anatomy, generator: torch.Generator) -> Tumour:
    """Grow core and oedema through a brain that the tumour has already pushed aside."""
    corner, speed = _local_speed(seed, anatomy)
    inward = _inward(seed, corner, speed, generator)
    core = torch.sigmoid(inward) * (speed > 0.06)
    wet = _spread(core, speed, int(torch.randint(8, 26, (), generator=generator)))
    texture = random_field(generator, _triple(speed), CELL, band(10.0, 0.5))[0]
    rim = seed.radius * uniform(generator, 0.18, 0.55)
    within = inward - rim * (1 + 0.5 * texture)  # mm past the inner edge of the rim
    fields = torch.stack([core, wet, within, texture])
    core, wet, within, texture = _at_voxels(fields, corner, anatomy)
    fluid = anatomy.tissues[2]
    core = torch.where(wet < 0, 0.0, torch.sigmoid(8 * (core - 0.5)))
    oedema = (1 - core) * (1 - fluid) * torch.sigmoid(30 * (wet - 0.22))
    oedema *= (0.45 + 0.9 * (wet - 0.22)).clamp(0, 1)
    centre = torch.sigmoid(2 * within)
    nothing = torch.zeros_like(core)
    if seed.high_grade:
        tissues = torch.stack([core * centre, nothing, oedema, core * (1 - centre)])
    else:
        tissues = torch.stack([nothing, core, oedema, nothing])
    labels = torch.zeros(core.shape, dtype=torch.uint8)
    labels[(wet > 0.22) & (fluid < 0.5)] = 2
    inner = (within > 0) | torch.tensor(not seed.high_grade)
    labels[core > 0.5] = torch.where(inner, 1, 4).to(torch.uint8)[core > 0.5]
    labels[~anatomy.brain] = 0
    return Tumour(tissues * (labels > 0), labels)


def _triple(volume: Float[Tensor, "x y z"]) -> tuple[int, int, int]:
    x, y, z = volume.shape
    return x, y, z


def _local_speed(
    seed: Seed, anatomy: Anatomy
) -> tuple[tuple[int, int, int], Float[Tensor, "x y z"]]:
    """Give how easily fluid spreads round the tumour, and the first canvas voxel of that box."""
    white, grey, _, hyper = anatomy.tissues
    open_to = (white + hyper + 0.22 * grey) * (1 - anatomy.barrier.clamp(0, 1)) * anatomy.brain
    canvas = torch.zeros(CANVAS).reshape(-1)
    canvas[anatomy.voxels] = open_to
    reach = 1.5 * seed.radius + 36
    start = [max(int(c - reach), 0) for c in seed.centre]
    box = tuple(
        slice(s, min(int(c + reach), n)) for s, c, n in zip(start, seed.centre, CANVAS, strict=True)
    )
    x, y, z = start
    return (x, y, z), F.avg_pool3d(canvas.reshape(CANVAS)[box][None], CELL)[0]


def _inward(
    seed: Seed,
    corner: tuple[int, int, int],
    speed: Float[Tensor, "x y z"],
    generator: torch.Generator,
) -> Float[Tensor, "x y z"]:
    """Give the distance in mm inside the core's surface; far outside where a barrier parts it."""
    shape = _triple(speed)
    place = torch.tensor(seed.centre) - torch.tensor(corner) - (CELL - 1) / 2
    offset = lattice(shape, CELL) - place.reshape(3, 1, 1, 1)
    axes = seed.radius * torch.exp(0.18 * torch.randn(3, generator=generator))
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator))[0]
    scaled = torch.einsum("ab,bxyz->axyz", turn, offset) / axes.reshape(3, 1, 1, 1)
    rough = random_field(generator, shape, CELL, band(1.6 * seed.radius, 0.5))[0]
    inward = seed.radius * (1 - scaled.norm(dim=0) - 0.22 * rough)
    parts, _ = ndimage.label(((inward > 0) & (speed > 0.06)).numpy())
    nearest = np.where(parts > 0, offset.square().sum(0).numpy(), np.inf).argmin()
    other = torch.from_numpy((parts > 0) & (parts != parts.flat[nearest]))
    return torch.where(other, torch.tensor(-99.0), inward)


def _spread(
    core: Float[Tensor, "x y z"], speed: Float[Tensor, "x y z"], steps: int
) -> Float[Tensor, "x y z"]:
    """Let fluid from the core diffuse into the tissue round it."""
    wet = core
    for _ in range(steps):
        mean = F.avg_pool3d(wet[None], 3, stride=1, padding=1)[0]
        wet = torch.maximum(core, torch.lerp(wet, mean, speed))
    return wet


def _at_voxels(
    fields: Float[Tensor, "c x y z"], corner: tuple[int, int, int], anatomy: Anatomy
) -> Float[Tensor, "c n"]:
    """Read fields of the local box at the anatomy's voxels; -1 outside the box."""
    fine = F.interpolate(fields[None], scale_factor=float(CELL), mode="trilinear")[0]
    canvas = torch.full((len(fields), *CANVAS), -1.0)
    x, y, z = corner
    dx, dy, dz = fine.shape[1:]
    canvas[:, x : x + dx, y : y + dy, z : z + dz] = fine
    return canvas.reshape(len(fields), -1)[:, anatomy.voxels]
