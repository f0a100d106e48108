"""Infarcts: what is left of tissue that an occluded artery fed.

An infarct lies within the territory of one artery of one side: a rough ball at the cortex,
which is a wedge within the brain, or a small one deep in it. An old one is a cavity of fluid
with a rim of gliosis; an acute one is swollen with water. Sizes and frequencies are plausible
choices, not sourced.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mrgantry.simulation.anatomy import GRID, TISSUES, Anatomy, coarse_field
from mrgantry.simulation.fields import normal, refine, uniform

Age = Literal["chronic", "acute"]
Side = Literal["left", "right"]
SWOLLEN = "infarct"  # the tissue of an acute infarct, in `contrast.AVERAGE`
WIDTH = 0.9  # mm, softness of an infarct's border
GLIOSIS = 3.0  # mm that a rim of gliosis reaches beyond a cavity
# Occluded artery: how often, and the range of the infarct's radius in mm.
TERRITORIES: dict[str, tuple[float, float, float]] = {
    "middle cerebral": (0.45, 12.0, 32.0),
    "lenticulostriate": (0.25, 3.0, 7.0),
    "posterior cerebral": (0.15, 10.0, 20.0),
    "anterior cerebral": (0.10, 9.0, 17.0),
    "cerebellar": (0.05, 8.0, 16.0),
}


@dataclass(frozen=True)
class Infarct:
    """One infarct.

    Attributes:
        artery: One of `TERRITORIES`.
        side: "left" or "right".
        age: "chronic", a cavity, or "acute".
        radius: In mm.
        cm3: Volume of lost or swollen tissue.
    """

    artery: str
    side: Side
    age: Age
    radius: float
    cm3: float


@dataclass(frozen=True)
class Stroke:
    """A brain after a stroke.

    Attributes:
        anatomy: With fluid for lost tissue, gliosis round it, and no texture in cavities.
        swollen: Share of each voxel that is acute infarct; the other tissues have what is left.
        infarcts: In the order in which they came.
    """

    anatomy: Anatomy
    swollen: Float[Tensor, " n"]
    infarcts: tuple[Infarct, ...]


def strike(anatomy: Anatomy, generator: torch.Generator) -> Stroke:
    """Draw one or two infarcts; the first is chronic in two of three people.

    Args:
        anatomy: The brain before.
        generator: Where the numbers come from.
    """
    struck = Stroke(anatomy, torch.zeros(len(anatomy.voxels)), ())
    for number in range(1 + (uniform(generator, 0, 1) < 0.35)):
        chronic = uniform(generator, 0, 1) < (0.67 if number == 0 else 0.5)
        artery = _drawn_artery(generator)
        side: Side = "right" if uniform(generator, 0, 1) < 0.5 else "left"
        struck = occlude(struck, artery, side, "chronic" if chronic else "acute", generator)
    return struck


def occlude(
    stroke: Stroke, artery: str, side: Side, age: Age, generator: torch.Generator
) -> Stroke:
    """Add the infarct of one artery.

    Args:
        stroke: The brain before, with the infarcts that it has.
        artery: One of `TERRITORIES`.
        side: Of the artery and its infarct.
        age: "chronic" leaves a cavity, "acute" swollen tissue.
        generator: Where the numbers come from.
    """
    anatomy, swollen = stroke.anatomy, stroke.swollen
    radius, inward = _shape(anatomy, artery, side, generator)
    core = torch.sigmoid(inward / WIDTH) * (1 - anatomy.tissues[TISSUES.index("csf")])
    if age == "chronic":
        anatomy = _cavity(anatomy, core, inward)
    else:
        swollen = torch.maximum(swollen, 0.85 * core)
    cm3 = round(float(core[anatomy.inside].sum()) / 1000, 2)
    infarct = Infarct(artery, side, age, round(radius, 1), cm3)
    return Stroke(anatomy, swollen, (*stroke.infarcts, infarct))


def territory(artery: str, places: Float[Tensor, "3 n"]) -> Bool[Tensor, " n"]:
    """Say which places an artery feeds.

    Args:
        artery: One of `TERRITORIES`.
        places: Right, anterior and superior, each from -1 to 1 over the box round the brain;
            the side is left open.
    """
    x, y, z = places
    across = x.abs()
    below = (z < -0.45) & (y < -0.15)  # cerebellum
    deep = (across > 0.12) & (across < 0.5) & (y > -0.25) & (y < 0.45) & (z > -0.2) & (z < 0.3)
    behind = (y < -0.55) | ((across < 0.5) & (y < -0.25) & (z < 0.0))
    medial = (across < 0.27) & (y > -0.45) & (z > -0.1)
    fed = {
        "cerebellar": below,
        "lenticulostriate": deep & ~below,
        "posterior cerebral": behind & ~below,
        "anterior cerebral": medial & ~behind & ~deep,
    }
    others = torch.stack(list(fed.values())).any(0)
    return ~others if artery == "middle cerebral" else fed[artery]


def places_of(anatomy: Anatomy) -> tuple[Float[Tensor, "3 n"], Float[Tensor, "3 n"]]:
    """Give where voxels are: in mm within the anatomy's box, and from -1 to 1 over the brain."""
    _, height, depth = anatomy.box.size
    plane = height * depth
    mm = torch.stack(
        [
            anatomy.voxels // plane,
            anatomy.voxels % plane // depth,
            anatomy.voxels % depth,
        ]
    ).float()
    inside = mm[:, anatomy.inside]
    low, high = inside.amin(1, keepdim=True), inside.amax(1, keepdim=True)
    return mm, 2 * (mm - low) / (high - low) - 1


def _drawn_artery(generator: torch.Generator) -> str:
    """Draw which artery is occluded."""
    left = uniform(generator, 0, 1)
    for artery, (share, _, _) in TERRITORIES.items():
        left -= share
        if left < 0:
            return artery
    return artery


def _shape(
    anatomy: Anatomy, artery: str, side: Side, generator: torch.Generator
) -> tuple[float, Float[Tensor, " n"]]:
    """Draw a radius in mm, and how far inside the infarct each voxel lies, in mm."""
    _, least, greatest = TERRITORIES[artery]
    middle = math.sqrt(least * greatest)
    radius = min(max(middle * math.exp(normal(generator, 0.0, 0.35)), least), greatest)
    mm, places = places_of(anatomy)
    # Territories of people differ, and meet along no plane.
    own = refine(coarse_field(generator, 9.0, 3), GRID, anatomy.box).flatten(1)
    places = places + 0.10 * own[:, anatomy.voxels]
    fed = territory(artery, places) & ((places[0] > 0) == (side == "right"))
    # Cortical infarcts lie at the surface, small deep ones anywhere in their territory.
    grey = anatomy.tissues[1] > 0.5
    start = fed & anatomy.brain & (grey if artery != "lenticulostriate" else True)
    chosen = torch.nonzero(start)[:, 0]
    place = int(uniform(generator, 0, 1) * (len(chosen) - 1))
    distance = (mm - mm[:, chosen[place], None]).square().sum(0).sqrt()
    noise = coarse_field(generator, max(4.0, radius / 4))
    rough = refine(noise, GRID, anatomy.box).reshape(-1)[anatomy.voxels]
    inward = radius * (1 + 0.25 * rough) - distance
    # A collateral border is no wall: the infarct ends 2 mm or so round it.
    edge = 4.0 * (fed.float() - 0.5)
    return radius, torch.where(fed, inward, torch.minimum(inward, edge - 2))


def _cavity(anatomy: Anatomy, core: Float[Tensor, " n"], inward: Float[Tensor, " n"]) -> Anatomy:
    """Put fluid for lost tissue, and gliosis where white matter is next to it."""
    tissues = anatomy.tissues * (1 - core)
    fluid, glia = TISSUES.index("csf"), TISSUES.index("hyperintensity")
    tissues[fluid] += anatomy.tissues.sum(0) * core
    white = TISSUES.index("white")
    scarred = tissues[white] * torch.exp(inward.clamp(max=0) / GLIOSIS) * 0.8
    tissues[white] -= scarred
    tissues[glia] += scarred
    return replace(anatomy, tissues=tissues, texture=anatomy.texture * (1 - core))
