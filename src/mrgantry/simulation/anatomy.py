"""One person's brain: the template bent, folded and aged at random.

A backward map sends each voxel of the new brain to a place in the template. It is a
rotation and scaling after the flow of a random velocity field, on a 4 mm grid. The
template's tissue maps are averages of many people and so are blurred; they are
sharpened here, with noise that gives each brain sulci of its own.
"""

import itertools
import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mrgantry.simulation.fields import (
    Box,
    Shape,
    Spectrum,
    band,
    draw_normal,
    exponential,
    jacobian,
    lattice,
    normal,
    power_law,
    random_field,
    refine,
    sample,
    smooth,
)
from mrgantry.simulation.template import SHARP, STEPS, Template

CANVAS: Shape = (193, 225, 153)  # voxels of 1 mm, RAS; holds every brain
GRID = 4  # mm between the points of the coarse grid; divides CANVAS - 1
COARSE: Shape = (49, 57, 39)  # points of the coarse grid
FINE: Shape = (97, 113, 77)  # points of the 2 mm grid
TILE: Shape = (128, 128, 96)  # voxels of 1 mm with a texture and noise of their own
TORUS: Shape = (64, 64, 64)  # coarse fields are cut from it, or edges would move alike
CENTRE = (0.0, -17.0, 6.5)  # MNI coordinates in mm that land in the canvas's middle
TISSUES = ("white", "grey", "csf", "hyperintensity", "blood")

# (smoothing sigma, amplitude an axis) in mm: mean displacement 3.7 mm, as between
# people after affine alignment; four times that looks grotesque. Plausible, not sourced.
WARPS = ((35.0, 1.7), (15.0, 1.4), (8.0, 1.6))


@dataclass(frozen=True)
class HeadShape:
    """How a person differs from the template, before any tumour.

    Attributes:
        velocity: Velocity in mm on the coarse grid of the canvas.
        linear: Rotation and scale from canvas to template.
        shift: Canvas position in mm that lands on the template's centre.
        age: Latent age in standard deviations, 0 the middle of the cohort.
        atrophy: Addition to the log odds of fluid.
        lesions: White-matter hyperintensity load, 0 none.
    """

    velocity: Float[Tensor, "3 i j k"]
    linear: Float[Tensor, "3 3"]
    shift: Float[Tensor, "3"]
    age: float
    atrophy: float
    lesions: float


@dataclass(frozen=True)
class Anatomy:
    """One brain, voxel by voxel, on the canvas.

    Attributes:
        box: The part of the canvas that holds the brain.
        voxels: Flat index in the box of each of the n voxels inside the hull of the brain.
        brain: True in the brain as skull stripping would leave it.
        tissues: Fractions of `TISSUES`; they add up to 1.
        barrier: Near 1 on falx and tentorium.
        texture: Fine unevenness of solid tissue, as a share of its signal.
        tile: Each voxel's place in a tile of shape `TILE` that repeats over the canvas.
        least_jacobian: The smallest local volume ratio of the warp; folds are <= 0.
        age: Latent age in standard deviations.
    """

    box: Box
    voxels: Int[Tensor, " n"]
    brain: Bool[Tensor, " n"]
    tissues: Float[Tensor, "5 n"]
    barrier: Float[Tensor, " n"]
    texture: Float[Tensor, " n"]
    tile: Int[Tensor, " n"]
    least_jacobian: float
    age: float

    @cached_property
    def inside(self) -> Int[Tensor, " m"]:
        """List which of the voxels are brain."""
        return torch.nonzero(self.brain)[:, 0]


def draw_head(template: Template, generator: torch.Generator) -> HeadShape:
    """Draw a head's size, pose, warp and age."""
    velocity = torch.zeros(3, *COARSE)
    for sigma, amplitude in WARPS:
        velocity += amplitude * coarse_field(generator, sigma, 3)
    age = normal(generator)
    linear, shift = _pose(generator)
    # Each sign of age: 0.7 of its variance from age, the rest its own.
    own = [0.84 * age + 0.55 * normal(generator) for _ in range(3)]
    head = HeadShape(
        velocity=velocity,
        linear=linear,
        shift=shift,
        age=age,
        atrophy=0.6 * (0.9 + 0.6 * own[0]),
        lesions=max(0.0, 0.5 + own[1]),
    )
    widening = 3.2 * min(max(0.3 + own[2], -0.9), 2.0)
    return replace(head, velocity=velocity + widening * _from_ventricles(template, head))


def coarse_field(
    generator: torch.Generator, sigma: float, count: int = 1
) -> Float[Tensor, "count i j k"]:
    """Draw noise smoothed by `sigma` mm on the coarse grid of the canvas."""
    i, j, k = COARSE
    return random_field(generator, TORUS, float(GRID), smooth(sigma), count)[:, :i, :j, :k]


def _pose(
    generator: torch.Generator,
) -> tuple[Float[Tensor, "3 3"], Float[Tensor, "3"]]:
    """Draw size (the template is larger than life), proportions, rotation and position."""
    size = normal(generator, 0.90, 0.03) * torch.exp(0.025 * draw_normal(generator, 3))
    turn = draw_normal(generator, 3) * math.radians(2)
    x, y, z = turn.tolist()
    skew = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    linear = torch.linalg.matrix_exp(skew) @ torch.diag(1 / size)
    middle = (torch.tensor(CANVAS) - 1) / 2
    return linear, middle + 1.5 * draw_normal(generator, 3)


def _from_ventricles(template: Template, head: HeadShape) -> Float[Tensor, "3 i j k"]:
    """Give the velocity, peak about 1, that widens the ventricles."""
    distance = sample(template.map("ventricle"), to_template(template, head, None))[0]
    inside = torch.sigmoid(-distance / 5)
    # The map points backward, so towards the inside widens.
    gradient = torch.stack(torch.gradient(inside, spacing=float(GRID)))
    return gradient / 0.05


def to_template(
    template: Template, head: HeadShape, velocity: Float[Tensor, "3 i j k"] | None
) -> Float[Tensor, "3 i j k"]:
    """Send the coarse grid of the canvas to template voxels.

    Args:
        template: Where to.
        head: Size and pose.
        velocity: Flow in mm; None for no warp.
    """
    points = lattice(COARSE, float(GRID))
    if velocity is not None:
        points = points + exponential(velocity, float(GRID))
    centred = points - head.shift.reshape(3, 1, 1, 1)
    turned = torch.einsum("ab,bijk->aijk", head.linear, centred)
    middle = torch.tensor(CENTRE) - torch.tensor(template.origin)
    return turned + middle.reshape(3, 1, 1, 1)


def place(
    template: Template, head: HeadShape, push: Float[Tensor, "3 i j k"] | None = None
) -> tuple[Float[Tensor, "3 i j k"], float]:
    """Send the coarse grid to the template, and give the least local volume ratio.

    A flow cannot fold, but its steps on a grid can, rarely: then the tumour pushes less, so
    that the rest of the brain stays as it was; or the whole flow is weaker.

    Args:
        template: The average brain.
        head: How this brain differs from it.
        push: Velocity in mm by which a tumour pushes tissue aside.
    """
    pushed = () if push is None else (head.velocity + part * push for part in (1, 0.7, 0.4))
    weaker = (0.9**n * head.velocity for n in itertools.count())
    for velocity in itertools.chain(pushed, weaker):
        coarse = to_template(template, head, velocity)
        least = float(jacobian(coarse, float(GRID)).min() / torch.linalg.det(head.linear))
        if least > 0.05:
            break
    return coarse, least


def build_anatomy(
    template: Template,
    head: HeadShape,
    coarse: Float[Tensor, "3 i j k"],
    least: float,
    generator: torch.Generator,
) -> Anatomy:
    """Draw the tissues of one brain at 1 mm.

    Args:
        template: The average brain.
        head: How this brain differs from it.
        coarse: Where the coarse grid lies in the template; see `place`.
        least: Its least local volume ratio.
        generator: For folds, vessels and lesions.
    """
    box, voxels, points, here = _read(template, coarse)
    uneven, patchy = (_noise(generator, box, voxels, band(*b)) for b in ((9.0, 0.25), (12.0, 0.5)))
    sulcus = _sulci(template, points, torch.stack([uneven, patchy, -uneven]), generator)
    # Sulci end 5 to 15 mm deep.
    sulcus = torch.hypot(sulcus, (here["pial"] - 13 - 3 * patchy).clamp(min=0))
    wide = refine(coarse_field(generator, 7.0), GRID, box).reshape(-1)[voxels]
    folia = _folia(template, points, here["depth"], 0.5 * (uneven + patchy)) * here["below"]
    fluid, white = _fluid_and_white(here, head.atrophy, sulcus, wide, folia, uneven)
    lesion = white * _lesions(patchy, here["ventricle"], here["depth"], head.lesions)
    blood = fluid * _vessels(here, uneven, patchy)
    tissues = torch.stack([white - lesion, 1 - fluid - white, fluid - blood, lesion, blood])
    edge = 0.6 + 0.5 * refine(coarse_field(generator, 4.5), GRID, box).reshape(-1)[voxels]
    # Stripping the skull takes most of the fluid on the surface with it.
    brain = here["depth"] - 1.2 * fluid > edge
    tile = _in_tile(box, voxels)
    texture = 0.035 * random_field(generator, TILE, 1.0, power_law(1.1)).view(-1)[tile]
    texture *= 1 - fluid
    return Anatomy(box, voxels, brain, tissues, here["barrier"], texture, tile, least, head.age)


def _fluid_and_white(
    here: dict[str, Float[Tensor, " n"]],
    atrophy: float,
    sulcus: Float[Tensor, " n"],
    wide: Float[Tensor, " n"],
    folia: Float[Tensor, " n"],
    uneven: Float[Tensor, " n"],
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Decide how much of each voxel is fluid, and how much white matter.

    Args:
        here: The template's maps.
        atrophy: Addition to the log odds of fluid.
        sulcus: Distance in mm from a sulcus of this brain's own.
        wide: Addition to the log odds of fluid in sulci.
        folia: Log odds of fluid between the leaves of the cerebellum.
        uneven: Unevenness of the border of white matter.
    """
    cortex = (1 - here["soft"]) * torch.sigmoid((here["ventricle"] - 8) / 2)
    width = 0.5 + 0.4 * atrophy  # mm of fluid to each side of a sulcus
    opening = (4 * (width - sulcus)).clamp(-0.8, 2.0) + wide
    fluid = torch.sigmoid(here["csf"] / 0.38 + atrophy + cortex * opening + 0.5 * folia)
    # Where the average has lost its folds in thick grey matter, this brain's own take over.
    beyond = torch.minimum(here["pial"], sulcus - width / 2) - 2.6  # mm past the cortex
    own = (0.35 + here["thick"]) * (1.8 * beyond).clamp(-3, 3.5)
    # Sharp in the cortex; deep grey matter would speckle.
    sharpness = torch.lerp(torch.tensor(1 / 0.38), torch.tensor(1.0), here["soft"])
    white = here["white"] * sharpness + 0.6 * uneven + cortex * own - folia
    return fluid, torch.sigmoid(white) * (1 - fluid)


def _read(
    template: Template, coarse: Float[Tensor, "3 i j k"]
) -> tuple[Box, Int[Tensor, " n"], Float[Tensor, "3 n"], dict[str, Float[Tensor, " n"]]]:
    """Find the voxels inside the hull of the brain.

    Returns:
        A box round them, their flat indices in it, where they lie in the template, and what
        its maps say there, by their names.
    """
    smooth_maps = sample(template.maps[SHARP:], coarse)
    depth = list(STEPS).index("depth") - SHARP
    inside = torch.nonzero(smooth_maps[depth] > 0)
    low = (inside.amin(0) - 1).clamp(min=0)
    high = torch.minimum(inside.amax(0) + 1, torch.tensor(COARSE) - 1)
    x, y, z = (GRID * low).tolist()
    dx, dy, dz = (GRID * (high - low) + 1).tolist()
    box = Box((x, y, z), (dx, dy, dz))
    fine = refine(smooth_maps, GRID, box).flatten(1)
    voxels = torch.nonzero(fine[depth] > 0)[:, 0]
    points = refine(coarse, GRID, box).flatten(1)[:, voxels]
    sharp = sample(template.maps[:SHARP], points)
    here = dict(zip(STEPS, [*sharp, *fine[:, voxels]], strict=True))
    return box, voxels, points, here


def _in_tile(box: Box, voxels: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
    """Find each voxel's place in a tile that repeats over the canvas.

    Texture and noise hang on the canvas, so that a brain keeps them where a tumour
    changes its outline elsewhere.
    """
    x, y, z = (
        torch.arange(corner, corner + size) % length
        for corner, size, length in zip(box.corner, box.size, TILE, strict=True)
    )
    index = (x[:, None, None] * TILE[1] + y[:, None]) * TILE[2] + z
    return index.view(-1)[voxels]


def _sulci(
    template: Template,
    points: Float[Tensor, "3 n"],
    wave: Float[Tensor, "3 n"],
    generator: torch.Generator,
) -> Float[Tensor, " n"]:
    """Give the distance in mm from the nearest sulcus of this brain's own.

    Sulci are the zeros of a noise: sheets, not blobs. It is constant along rays to the
    surface, so that they stand upright. Each hemisphere has its own rays and noise.
    """
    middle = torch.tensor(CENTRE) - torch.tensor(template.origin)
    x, y, z = points - middle[:, None]
    side = torch.where(x < 0, -1.0, 1.0)
    # Rays start on a line from front to back inside each hemisphere.
    along = y.clamp(-40, 40)
    ray = torch.stack([x - 22 * side, y - along, z - 8])
    length = ray.square().sum(0).sqrt().clamp(min=1)
    ray *= 66 / length
    ray[1] += along
    noise = random_field(generator, (96, 80, 48), 3.0, band(32.0, 0.3))
    slope = torch.stack(torch.gradient(noise[0], spacing=3.0)).square().sum(0)
    distance = noise / (slope + 0.05**2).sqrt()
    position = (ray + 1.5 * wave) / 3 + torch.tensor([[24.0], [40.0], [24.0]])
    position[0] += 24 * (side + 1)
    return sample(distance, position)[0].abs() * (length / 66)


def _folia(
    template: Template,
    points: Float[Tensor, "3 n"],
    depth: Float[Tensor, " n"],
    wave: Float[Tensor, " n"],
) -> Float[Tensor, " n"]:
    """Give the log odds of fluid between the leaves of the cerebellum.

    The leaves are a fan round a line from left to right, 4 to 5 mm apart at the surface.
    """
    _, y, z = points + torch.tensor(template.origin)[:, None]
    angle = torch.atan2(z + 33, -44 - y) + 0.06 * wave
    leaves = torch.cos(40 * angle) - 0.4
    return 2.2 * leaves * torch.sigmoid((12 - depth) / 3) * torch.sigmoid((-50 - y) / 2)


def _vessels(
    here: dict[str, Float[Tensor, " n"]], uneven: Float[Tensor, " n"], patchy: Float[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """Draw how far fluid is blood: thin curves along some of the sulci and through cisterns."""
    pial = here["pial"]
    # A noise is zero on sheets, which cut sulci in curves; in wide fluid two are needed.
    both = uneven**2 + patchy**2 * (-pial / 2).clamp(0, 1)
    vessel = torch.exp(-both / 0.05) * torch.sigmoid(6 * (patchy - 0.3) * (pial > 0))
    return vessel * (1 - here["soft"]) * (here["ventricle"] > 3) * (here["depth"] > 0)


def _noise(
    generator: torch.Generator, box: Box, voxels: Int[Tensor, " n"], spectrum: Spectrum
) -> Float[Tensor, " n"]:
    """Draw a field on a 2 mm grid and read it at the given voxels."""
    field = random_field(generator, FINE, 2.0, spectrum)
    return refine(field, 2, box).reshape(-1)[voxels]


def _lesions(
    patchy: Float[Tensor, " n"],
    ventricle: Float[Tensor, " n"],
    depth: Float[Tensor, " n"],
    load: float,
) -> Float[Tensor, " n"]:
    """Draw white-matter hyperintensities: caps on the ventricles and scattered spots."""
    near = 2.2 * torch.exp(-ventricle.clamp(min=0) / 3)
    inside = torch.sigmoid((depth - 12) / 2)
    return inside * torch.sigmoid(4 * (patchy + near + 0.6 * load - 3.6))
