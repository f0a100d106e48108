"""What slices of heads share with those beside which they are drawn, measured on training heads."""

import numpy as np
import torch
from jaxtyping import Float16

from mrgantry.generate.flow import Flow
from mrgantry.generate.spectrum import Likeness, Spectrum, as_spectrum, by_rings, rings_of
from mrgantry.generate.stacks import BESIDE, KINDS, UNSURE, Neighbours, kinds_of, mean_beside


def likeness_of(
    stacks: Float16[np.ndarray, "n c d h w"], flow: Flow, spectrum: Spectrum
) -> tuple[Likeness, ...]:
    """Measure what slices share with their neighbours by linear regression at each frequency.

    Args:
        stacks: Intensities in [-1, 1]; all of them are looked at, one after another.
        flow: Brings them to unit spread.
        spectrum: Of all their slices.

    Returns:
        Of each kind (`kinds_of`), what is shared and what is left. Slices beside nothing, and
        those of kinds that stacks of so few slices do not have, share nothing.
    """
    # Sum powers, and products with the neighbours' mean, over all slices of a kind.
    channels, depth = stacks.shape[1:3]
    neighbours, places = Neighbours.of(depth), torch.arange(depth)
    kinds, cycles = kinds_of(neighbours.place), rings_of(stacks.shape[3:])
    own, common, beside = torch.zeros(3, KINDS, channels, *cycles.shape, dtype=torch.float64)
    for stack in stacks:
        unit = flow.to_unit(torch.from_numpy(stack[None]).float())
        shown = neighbours.beside(unit, torch.zeros_like(places), places)
        mean = torch.fft.rfft2(mean_beside(shown, neighbours.place), norm="ortho")
        waves = torch.fft.rfft2(unit[0].transpose(0, 1), norm="ortho")
        own.index_add_(0, kinds, waves.abs().square().double())
        common.index_add_(0, kinds, (waves * mean.conj()).real.double())
        beside.index_add_(0, kinds, mean.abs().square().double())

    # Noise over the neighbours, whose level is anything up to the highest, makes them less alike.
    alike = []
    noise = UNSURE**2 / 3
    for kind, count in enumerate(torch.bincount(kinds, minlength=KINDS).tolist()):
        if kind == 0 or count == 0:
            nothing = tuple((0.0,) * len(channel) for channel in spectrum)
            alike.append(Likeness(shared=nothing, left=spectrum))
            continue
        sides = (kind - 1) % BESIDE + 1
        slices = count * len(stacks)
        power, product, near = (
            by_rings(sums[kind] / slices, cycles) for sums in (own, common, beside)
        )
        shared = (product / (near + noise / sides)).nan_to_num()
        alike.append(
            Likeness(shared=as_spectrum(shared), left=as_spectrum(power - shared * product))
        )
    return tuple(alike)
