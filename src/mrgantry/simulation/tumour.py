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
from jaxtyping import Bool, Float, Int, UInt8
from scipy import ndimage
from torch import Tensor

from mrgantry.simulation.anatomy import COARSE, GRID, Anatomy, HeadShape, to_template
from mrgantry.simulation.fields import (
    Box,
    Shape,
    band,
    draw_normal,
    lattice,
    normal,
    power_law,
    random_field,
    sample,
    uniform,
)
from mrgantry.simulation.template import Template

TUMOUR_TISSUES = ("necrosis", "cyst", "non-enhancing", "oedema", "enhancing")
CELL = 2  # mm, the grid on which a tumour grows
REACH = 36  # mm that oedema can spread beyond the core's farthest surface
SHUT = 0.06  # speed below which a cell is fluid or barrier
EDGE = 0.05  # concentration at which oedema becomes visible in white matter


@dataclass(frozen=True)
class Focus:
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

    tissues: Float[Tensor, "5 n"]
    labels: UInt8[Tensor, " n"]


def plant(
    template: Template, head: HeadShape, generator: torch.Generator, high_grade: bool
) -> Focus:
    """Choose a place in the white matter of the cerebrum, a size and a mass effect."""
    coarse = to_template(template, head, head.velocity)
    _, white, _, depth, _, ventricle, _, below, _ = sample(template.maps, coarse)
    off_midline = (coarse[0] + template.origin[0]).abs()
    fit = (depth > 12) & (white > 0) & (off_midline > 14) & (below < 0.1) & (ventricle > 3)
    places = torch.nonzero(fit)
    chosen = places[_randint(generator, 0, len(places))]
    centre = GRID * (chosen + torch.rand(3, generator=generator, device="cpu") - 0.5)
    radius = min(max(18 * math.exp(normal(generator, 0.0, 0.30)), 8.0), 32.0)
    strength = uniform(generator, 0.1, 0.45)
    offset = lattice(COARSE, float(GRID)) - centre.reshape(3, 1, 1, 1)
    # Even the largest leaves the far side of the brain where it was.
    reach = min(1.5 * radius, 30.0)
    fall = torch.exp(-offset.square().sum(0) / (2 * reach**2))
    at_hull = torch.sigmoid((depth - 10) / 4)
    x, y, z = centre.tolist()
    return Focus((x, y, z), radius, -strength * offset * fall * at_hull, high_grade)


def grow(focus: Focus, anatomy: Anatomy, generator: torch.Generator) -> Tumour:
    """Grow core and oedema through a brain that the tumour has already pushed aside."""
    box = _surroundings(focus, anatomy)
    speed = _speed(anatomy, box)
    inward = _inward(focus, anatomy, box, speed, generator)
    core = torch.sigmoid(inward) * (speed > SHUT)
    wet = _spread(core, speed, _randint(generator, 30, 150))
    uneven = random_field(generator, _triple(speed), float(CELL), band(0.9 * focus.radius, 0.5))[0]
    rim = focus.radius * uniform(generator, 0.15, 0.48)
    past_rim = inward - rim * (1 + 0.4 * uneven)  # mm
    patchy = random_field(generator, _triple(speed), float(CELL), power_law(1.6))[0]
    cystic = 3 * (patchy - uniform(generator, -0.5, 2.0))
    fields = torch.stack([core, wet, past_rim, patchy, cystic])
    here, fields = _at_voxels(*_cropped(fields, wet > EDGE / 2, box), anatomy)
    # Grey matter swells only near the core, so oedema reaches out in white fingers.
    fields[1] -= 0.3 * anatomy.tissues[1, here]
    tissues, labels = _tissues_and_labels(fields, anatomy.tissues[2, here], focus.high_grade)
    seen = anatomy.brain[here]
    all_tissues = torch.zeros(len(TUMOUR_TISSUES), len(anatomy.voxels))
    all_tissues[:, here] = tissues * (labels > 0)
    all_labels = torch.zeros(len(anatomy.voxels), dtype=torch.uint8)
    all_labels[here] = labels * seen
    return Tumour(all_tissues, all_labels)


def _tissues_and_labels(
    fields: Float[Tensor, "5 m"], fluid: Float[Tensor, " m"], high_grade: bool
) -> tuple[Float[Tensor, "5 m"], UInt8[Tensor, " m"]]:
    """Turn what grew into fractions of `TUMOUR_TISSUES` and BRATS labels.

    Args:
        fields: Share of core, 0 to 1; concentration of oedema, visible above `EDGE`; distance
            in mm inwards from the inner edge of the enhancing rim; unevenness of everything,
            standard deviation 1; log odds that dead tissue is a cyst.
        fluid: Share of cerebrospinal fluid, which oedema leaves alone.
        high_grade: Whether there is an enhancing rim.
    """
    core, wet, past_rim, patchy, cystic = fields
    core = torch.sigmoid(8 * (core - 0.5))
    oedema = (1 - core) * (1 - fluid) * torch.sigmoid(30 * (wet - EDGE))
    # More water near the core, and never the same everywhere.
    oedema *= (0.3 + 0.85 * (wet - EDGE) + 0.18 * patchy).clamp(0.1, 1)
    labels = torch.where((wet > EDGE) & (fluid < 0.5), 2, 0)
    if high_grade:
        centre, cyst = core * torch.sigmoid(2 * past_rim), torch.sigmoid(cystic)
        rim, full = core - centre, (0.92 + 0.15 * patchy).clamp(0.5, 1)
        tissues = [centre * (1 - cyst), centre * cyst, rim * (1 - full), oedema, rim * full]
        labels = torch.where(core > 0.5, torch.where(past_rim > 0, 1, 4), labels)
    else:
        dense, nothing = core * (0.85 + 0.12 * patchy).clamp(0.5, 1), torch.zeros_like(core)
        tissues = [nothing, nothing, dense, oedema, nothing]
        labels = torch.where(core > 0.5, 1, labels)
    return torch.stack(tissues), labels.to(torch.uint8)


def _triple(volume: Float[Tensor, "x y z"]) -> Shape:
    x, y, z = volume.shape
    return x, y, z


def _surroundings(focus: Focus, anatomy: Anatomy) -> Box:
    """Cut out what the tumour may reach, in coordinates of the anatomy's box."""
    reach = 1.5 * focus.radius + REACH
    corner, size = [], []
    for middle, start, length in zip(
        focus.centre, anatomy.box.corner, anatomy.box.size, strict=True
    ):
        low = max(int(middle - start - reach), 0)
        high = min(int(middle - start + reach), length)
        corner.append(low)
        size.append((high - low) // CELL * CELL)
    return Box((corner[0], corner[1], corner[2]), (size[0], size[1], size[2]))


def _speed(anatomy: Anatomy, box: Box) -> Float[Tensor, "x y z"]:
    """Give how easily oedema spreads, 0 to 1, in cells of 2 mm."""
    white, grey, _, hyper, _ = anatomy.tissues
    both = torch.zeros(2, *anatomy.box.size)
    both.view(2, -1)[0, anatomy.voxels] = (white + hyper + 0.22 * grey) * anatomy.brain
    both.view(2, -1)[1, anatomy.voxels] = anatomy.barrier
    x, y, z = box.slices()
    local = both[:, x, y, z]
    # The thin barrier must not leak, so a cell that touches it is shut.
    shut = F.max_pool3d(local[1:], CELL)[0] > 0.5
    return F.avg_pool3d(local[:1], CELL)[0] * ~shut


def _inward(
    focus: Focus,
    anatomy: Anatomy,
    box: Box,
    speed: Float[Tensor, "x y z"],
    generator: torch.Generator,
) -> Float[Tensor, "x y z"]:
    """Give the distance in mm inside the core's surface; far outside where a barrier parts it."""
    shape = _triple(speed)
    origin = [a + b for a, b in zip(anatomy.box.corner, box.corner, strict=True)]
    place = torch.tensor(focus.centre) - torch.tensor(origin) - (CELL - 1) / 2
    offset = lattice(shape, float(CELL)) - place.reshape(3, 1, 1, 1)
    axes = focus.radius * torch.exp(0.18 * draw_normal(generator, 3))
    turn = _turn(generator).to(axes.device)
    scaled = torch.einsum("ab,bxyz->axyz", turn, offset) / axes.reshape(3, 1, 1, 1)
    rough = random_field(generator, shape, float(CELL), band(1.6 * focus.radius, 0.5))[0]
    inward = focus.radius * (1 - scaled.square().sum(0).sqrt() - 0.22 * rough)
    parts, _ = ndimage.label(((inward > 0) & (speed > SHUT)).cpu().numpy())
    nearest = np.where(parts > 0, offset.square().sum(0).cpu().numpy(), np.inf).argmin()
    other = torch.from_numpy((parts > 0) & (parts != parts.flat[nearest])).to(inward.device)
    return torch.where(other, torch.tensor(-99.0), inward)


def _spread(
    core: Float[Tensor, "x y z"], speed: Float[Tensor, "x y z"], steps: int
) -> Float[Tensor, "x y z"]:
    """Let fluid from the core diffuse into the tissue round it."""
    wet = core
    for _ in range(steps):
        wet = torch.maximum(core, torch.lerp(wet, _neighbourhood(wet), speed))
    return wet


def _neighbourhood(volume: Float[Tensor, "x y z"]) -> Float[Tensor, "x y z"]:
    """Average each cell with its 26 neighbours, one axis at a time; outside counts as 0."""
    for axis, length in enumerate(volume.shape):
        total = volume.clone()
        total.narrow(axis, 1, length - 1).add_(volume.narrow(axis, 0, length - 1))
        total.narrow(axis, 0, length - 1).add_(volume.narrow(axis, 1, length - 1))
        volume = total.div_(3)
    return volume


def _cropped(
    fields: Float[Tensor, "c x y z"], wanted: Bool[Tensor, "x y z"], box: Box
) -> tuple[Float[Tensor, "c i j k"], Box]:
    """Cut fields and their box down to the cells that are wanted, and one more all round."""
    cells = torch.nonzero(wanted)
    low = (cells.amin(0) - 1).clamp(min=0).tolist()
    high = torch.minimum(cells.amax(0) + 2, torch.tensor(wanted.shape)).tolist()
    x, y, z = (slice(a, b) for a, b in zip(low, high, strict=True))
    cx, cy, cz = (c + CELL * a for c, a in zip(box.corner, low, strict=True))
    sx, sy, sz = (CELL * (b - a) for a, b in zip(low, high, strict=True))
    return fields[:, x, y, z], Box((cx, cy, cz), (sx, sy, sz))


def _randint(generator: torch.Generator, low: int, high: int) -> int:
    return int(torch.randint(low, high, (), generator=generator, device="cpu"))


def _turn(generator: torch.Generator) -> Float[Tensor, "3 3"]:
    """Draw a rotation on the CPU: other libraries give its columns other signs."""
    turn: Tensor = torch.linalg.qr(torch.randn(3, 3, generator=generator, device="cpu"))[0]
    return turn


def _at_voxels(
    fields: Float[Tensor, "c x y z"], box: Box, anatomy: Anatomy
) -> tuple[Int[Tensor, " m"], Float[Tensor, "c m"]]:
    """Read fields of the local box at those of the anatomy's voxels that lie in it."""
    fine = F.interpolate(fields[None], scale_factor=float(CELL), mode="trilinear")[0]
    position = torch.full(anatomy.box.size, -1, dtype=torch.int32)
    position.view(-1)[anatomy.voxels] = torch.arange(len(anatomy.voxels), dtype=torch.int32)
    local = position[box.slices()].reshape(-1)
    return local[local >= 0].long(), fine.reshape(len(fields), -1)[:, local >= 0]
