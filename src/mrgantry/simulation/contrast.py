"""From tissues to MR images: relaxation, gadolinium, scanner.

Each voxel's signal is the mixture of its tissues' signals, each from the textbook
equation of the sequence. Relaxation times of normal tissue at 3 T lie between those
of Wansapura et al., JMRI 9 (1999) 531 (white 832/79 ms, grey 1331/110 ms) and Stanisz et
al., MRM 54 (2005) 507 (white 1084/69, grey 1820/99); fluid follows Lu et al., JMRI 22
(2005) 13 and Piechnik et al., MRM 61 (2009) 579. Values of lesions are plausible, not sourced.
"""

import math
from dataclasses import asdict, dataclass

import torch
from jaxtyping import Float, Int16
from torch import Tensor

from mrgantry.simulation.anatomy import GRID, TILE, Anatomy, coarse_field
from mrgantry.simulation.fields import (
    draw_normal,
    normal,
    refine,
    uniform,
)

SEQUENCES = ("t1", "t1c", "t2", "flair")
T1_KINDS = ("mprage", "spgr", "se")
# Kazuhiro et al. 2018: sagittal SPGR at 3 T, TR 8.6 ms, TE 1.8 ms, flip angle 8 degrees.
PUBLISHED_SPGR = "kazuhiro2018"
T1_PROTOCOLS = (*T1_KINDS, PUBLISHED_SPGR)
R1, R2 = 4.5, 5.5  # relaxivities of gadolinium chelates, per mM and second


@dataclass(frozen=True)
class Tissue:
    """What a tissue does in a scanner.

    Attributes:
        t1: Longitudinal relaxation time in s.
        t2: Transverse relaxation time in ms.
        density: Proton density, fluid 1.
        gadolinium: Concentration in mM after injection.
        spread: Log standard deviation of t1 and of t2 between subjects.
    """

    t1: float
    t2: float
    density: float
    gadolinium: float
    spread: tuple[float, float] = (0.10, 0.15)


# In the order of anatomy.TISSUES, then tumour.TUMOUR_TISSUES, then what an acute infarct is.
AVERAGE = {
    "white": Tissue(0.85, 72.0, 0.70, 0.008, (0.04, 0.04)),
    "grey": Tissue(1.42, 92.0, 0.82, 0.02, (0.04, 0.04)),
    "csf": Tissue(4.0, 1600.0, 1.0, 0.0, (0.04, 0.04)),
    "hyperintensity": Tissue(1.25, 125.0, 0.77, 0.008),
    "blood": Tissue(1.9, 40.0, 0.60, 0.60, (0.04, 0.15)),  # flowing, so dark before gadolinium
    "necrosis": Tissue(2.1, 220.0, 0.92, 0.01, (0.18, 0.15)),
    "cyst": Tissue(3.0, 500.0, 0.97, 0.004, (0.10, 0.15)),
    "non-enhancing": Tissue(1.6, 170.0, 0.87, 0.015),
    "oedema": Tissue(1.45, 175.0, 0.86, 0.018),
    "enhancing": Tissue(1.50, 130.0, 0.86, 0.20),
    "infarct": Tissue(1.80, 160.0, 0.88, 0.015),  # last, so that all before are drawn as ever
}


@dataclass(frozen=True)
class ScanProtocol:
    """How one sequence of one subject is scanned.

    Attributes:
        sequence: One of `SEQUENCES`; gadolinium was injected for "t1c".
        kind: "mprage", "spgr", "se" (spin echo) or "ir" (inversion recovery spin echo).
        tr: Repetition time in s.
        te: Echo time in ms.
        ti: Inversion time in s, 0 for none.
        flip: Flip angle in degrees.
        slice_mm: Slice thickness before resampling to 1 mm.
        noise: Standard deviation of the noise over the reference tissue's signal.
        bias: Log standard deviation of the receive field.
        gain: Stored value of the reference tissue.
    """

    sequence: str
    kind: str
    tr: float
    te: float
    ti: float
    flip: float
    slice_mm: float
    noise: float
    bias: float
    gain: float

    def describe(self) -> dict[str, float | str]:
        """Give all values but the sequence, rounded, for the manifest."""
        values = {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(self).items()}
        del values["sequence"]
        return values


def draw_tissues(generator: torch.Generator) -> dict[str, Tissue]:
    """Draw one subject's tissues round the average.

    Most of the spread is shared by all tissues, as by temperature, age and field, so
    that grey and white matter keep their contrast.
    """
    shared = [0.9 * normal(generator) for _ in range(2)]
    return {
        name: Tissue(
            t1=tissue.t1 * math.exp(tissue.spread[0] * normal(generator, shared[0], 0.44)),
            t2=tissue.t2 * math.exp(tissue.spread[1] * normal(generator, shared[1], 0.44)),
            density=tissue.density * math.exp(normal(generator, 0.0, 0.015)),
            gadolinium=tissue.gadolinium * math.exp(normal(generator, 0.0, 0.25)),
        )
        for name, tissue in AVERAGE.items()
    }


def draw_protocol(
    sequence: str, fluid: Tissue, generator: torch.Generator, t1_kind: str | None = None
) -> ScanProtocol:
    """Draw a scanner's settings for one sequence.

    Args:
        sequence: One of `SEQUENCES`.
        fluid: The subject's fluid, which FLAIR is tuned to null.
        generator: Where the numbers come from.
        t1_kind: One of `T1_PROTOCOLS` for T1 and T1c; None draws one, as between hospitals.
    """
    weighted = sequence in ("t1", "t1c")
    thickest = 3.0 if weighted else 4.5
    slice_mm = uniform(generator, 1.0, thickest)
    if t1_kind == PUBLISHED_SPGR and weighted:
        slice_mm = 1.0  # its sagittal slices are averaged when the file is written
    noise = 0.012 * uniform(generator, 0.6, 1.8)
    bias = 0.12 * uniform(generator, 0.5, 1.3)
    gain = uniform(generator, 300.0, 900.0)
    kind, tr, te, ti, flip = _timing(sequence, fluid, generator, t1_kind)
    return ScanProtocol(sequence, kind, tr, te, ti, flip, slice_mm, noise, bias, gain)


def _timing(
    sequence: str, fluid: Tissue, generator: torch.Generator, t1_kind: str | None
) -> tuple[str, float, float, float, float]:
    """Draw kind, repetition, echo and inversion time, and flip angle."""
    if sequence == "t2":
        return "se", uniform(generator, 4.0, 6.0), uniform(generator, 85.0, 105.0), 0.0, 90.0
    if sequence == "flair":
        tr = 9.0
        null = fluid.t1 * (math.log(2) - math.log1p(math.exp(-tr / fluid.t1)))
        # 2 % off already leaves some fluid signal; 5 % would leave a third of grey matter's.
        ti = null * uniform(generator, 0.98, 1.02)
        return "ir", tr, uniform(generator, 110.0, 140.0), ti, 90.0
    choice = uniform(generator, 0.0, 1.0)
    # Spin echo is rare after contrast.
    drawn = "mprage" if choice < 0.40 else "se" if choice >= 0.75 and sequence == "t1" else "spgr"
    if t1_kind == PUBLISHED_SPGR:
        return "spgr", 0.0086, 1.8, 0.0, 8.0
    kind = t1_kind or drawn
    if kind == "mprage":
        tr, ti = uniform(generator, 2.0, 2.4), uniform(generator, 0.95, 1.1)
        return kind, tr, 3.0, ti, 9.0
    if kind == "spgr":
        return kind, 0.009, 3.5, 0.0, uniform(generator, 20.0, 30.0)
    return kind, uniform(generator, 0.45, 0.65), uniform(generator, 8.0, 14.0), 0.0, 90.0


def signal(tissue: Tissue, protocol: ScanProtocol) -> float:
    """Give a tissue's signal.

    Source: Bernstein, King and Zhou, Handbook of MRI Pulse Sequences (2004): spoiled
    gradient echo eq. 14.8, inversion recovery eq. 14.33.
    """
    dose = tissue.gadolinium if protocol.sequence == "t1c" else 0.0
    t1 = 1 / (1 / tissue.t1 + R1 * dose)
    t2 = 1 / (1000 / tissue.t2 + R2 * dose)
    relaxed = math.exp(-protocol.tr / t1)
    if protocol.kind == "spgr":
        angle = math.radians(protocol.flip)
        steady = math.sin(angle) * (1 - relaxed) / (1 - relaxed * math.cos(angle))
    elif protocol.kind == "se":
        steady = 1 - relaxed
    else:
        steady = abs(1 - 2 * math.exp(-protocol.ti / t1) + relaxed)
    return tissue.density * steady * math.exp(-protocol.te / 1000 / t2)


def acquire(
    protocol: ScanProtocol,
    tissues: dict[str, Tissue],
    fractions: Float[Tensor, "t n"],
    anatomy: Anatomy,
    generator: torch.Generator,
) -> Int16[Tensor, "x y z"]:
    """Scan one sequence.

    Args:
        protocol: The scanner's settings.
        tissues: The subject's tissues in the order of `fractions`.
        fractions: What each voxel is made of.
        anatomy: Where those voxels are, and which of them are brain.
        generator: For receive field and noise.

    Returns:
        The anatomy's box in scanner units, exactly 0 outside the brain and at least 1 inside.
    """
    signals = [signal(tissue, protocol) for tissue in tissues.values()]
    mixed = torch.tensor(signals[: len(fractions)]) @ fractions
    mixed = torch.addcmul(mixed, mixed, anatomy.texture)
    volume = torch.full(anatomy.box.size, signals[2])
    volume.view(-1)[anatomy.voxels] = mixed
    inside = anatomy.voxels[anatomy.inside]
    clean = _thick_slices(volume, protocol.slice_mm).view(-1)[inside]
    clean *= _receive_field(protocol.bias, anatomy, generator).view(-1)[inside]
    reference = signals[0] if protocol.sequence in ("t1", "t1c") else signals[1]
    noise = draw_normal(generator, 2, math.prod(TILE))[:, anatomy.tile[anatomy.inside]]
    real, imaginary = noise.mul_(protocol.noise * reference)
    noisy = torch.hypot(clean.add_(real), imaginary)  # Rician
    stored = torch.zeros(anatomy.box.size, dtype=torch.int16)
    scaled = noisy.mul_(protocol.gain / reference).round_().clamp_(1, 32767)
    stored.view(-1)[inside] = scaled.to(torch.int16)
    return stored


def _receive_field(
    bias: float, anatomy: Anatomy, generator: torch.Generator
) -> Float[Tensor, "x y z"]:
    """Draw the coil's smooth sensitivity, times 3 % of regional variation."""
    log = bias * coarse_field(generator, 28.0) + 0.03 * coarse_field(generator, 12.0)
    return refine(torch.exp(log), GRID, anatomy.box)[0]


def _thick_slices(volume: Float[Tensor, "x y z"], thickness: float) -> Float[Tensor, "x y z"]:
    """Average along z over a slice of `thickness` mm; past the ends counts as the last voxel."""
    size = volume.shape[2]
    reach = int(thickness / 2 + 0.5)
    weights = torch.zeros(size, size)
    for step in range(-reach, reach + 1):
        overlap = min(max((thickness + 1) / 2 - abs(step), 0.0), 1.0)
        source = (torch.arange(size) + step).clamp(0, size - 1)
        weights[source, torch.arange(size)] += overlap / thickness
    return volume @ weights
