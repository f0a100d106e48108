"""What slices of heads share with those beside which they are drawn, measured on training heads."""

import numpy as np
import torch
from jaxtyping import Float16

from mrgantry.generate.flow import Flow
from mrgantry.generate.spectrum import (
    NeighbourFit,
    Spectrum,
    as_spectrum,
    by_rings,
    rings_of,
)
from mrgantry.generate.stacks import SIDES, UNSURE, Neighbours

LEAST = 8  # slices that a fit of their kind rests on


def fit_neighbours(
    stacks: Float16[np.ndarray, "n c d h w"], flow: Flow, spectrum: Spectrum
) -> tuple[NeighbourFit, ...]:
    """Regress slices on the mean of their neighbours, at each frequency by itself.

    Black slices do not count, as they do not in the spectrum.

    Args:
        stacks: Intensities in [-1, 1]; all of them are looked at, one after another.
        flow: Brings them to unit spread.
        spectrum: Of all their slices that show anything.

    Returns:
        One of each kind of slices (`Neighbours.kind`). Of slices beside nothing, and of kinds of
        which hardly any slice shows anything, it expects nothing.
    """
    # Sum powers, and products with the neighbours' mean, over all slices of a kind.
    channels, depth = stacks.shape[1:3]
    neighbours, places = Neighbours.of(depth), torch.arange(depth)
    cycles = rings_of(stacks.shape[3:])
    sums = torch.zeros(3, neighbours.kinds, channels, *cycles.shape, dtype=torch.float64)
    counts = torch.zeros(neighbours.kinds)
    for stack in stacks:
        unit = flow.to_unit(torch.from_numpy(stack[None]).float())
        bright = places[(unit[0] != 0).any(0).flatten(1).any(1)]
        if not len(bright):
            continue
        beside = neighbours.beside(unit, torch.zeros_like(bright), bright)
        near = torch.fft.rfft2(beside.mean, norm="ortho")
        waves = torch.fft.rfft2(unit[0].transpose(0, 1)[bright], norm="ortho")
        products = (waves.abs().square(), (waves * near.conj()).real, near.abs().square())
        sums.index_add_(1, beside.kind, torch.stack(products).double())
        counts += torch.bincount(beside.kind, minlength=neighbours.kinds)

    # Noise over the neighbours, whose level is anything up to the highest, makes them less alike.
    noise_of = UNSURE**2 / 3 / neighbours.place[:, -SIDES:].sum(1)
    unknown = tuple((0.0,) * len(channel) for channel in spectrum)
    fits = []
    for kind, count in enumerate(counts.tolist()):
        if kind == 0 or count < LEAST:
            fits.append(NeighbourFit(gain=unknown, residual_power=spectrum))
            continue
        own, common, near = (by_rings(each[kind] / count, cycles) for each in sums)
        gain = common / (near + float(noise_of[neighbours.kind == kind][0]))
        left = as_spectrum(own - gain * common)
        fits.append(NeighbourFit(gain=as_spectrum(gain), residual_power=left))
    return tuple(fits)
