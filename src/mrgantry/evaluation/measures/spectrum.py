"""Power spectra: what up-sampling in a generator leaves behind (Durall et al. 2020).

Two are kept. By radius, averaged over all directions, a spectrum shows too much or too little
detail of a size. By direction it shows stripes and grids, which lie along the axes and hardly
change an average over rings.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Float16

from mrgantry.evaluation.measures.measure import DIRECTIONS, SPECTRUM, Explanation, Kind, Measure

FLOOR = 1e-8  # of power: below it lies rounding to float16, not an image
BANDS = 8  # of radius, from BAND_START to 0.5 cycles per pixel, for spectra by direction
BAND_START = 0.1  # cycles per pixel: below it the shape of the head decides
ON_AXIS = 0.5  # frequency steps from an axis within which power counts as along it


def radial_spectrum(
    images: Float16[np.ndarray, "n c h w"], block: int = 256
) -> Float[np.ndarray, "n k"]:
    """Give each image's power by spatial frequency, in dB, averaged over rings and channels.

    Args:
        images: Square ones.
        block: How many are transformed at once.

    Returns:
        One column a ring of width 1/size cycles per pixel, from 1/size up to the corner of
        the spectrum at 0.71, less their mean: how bright an image is and how much of it the
        head fills then matters little. The mean intensity, at frequency 0, is left out.
    """
    size = images.shape[-1]
    rings = _rings(size)
    counts = np.bincount(rings.ravel())[1:]
    spectra = []
    for chunk in torch.from_numpy(images).split(block):
        power = torch.fft.fft2(chunk.float(), norm="ortho").abs().square().mean(1)
        sums = torch.zeros(len(chunk), int(rings.max()) + 1).index_add_(
            1, torch.from_numpy(rings.ravel()), power.flatten(1)
        )
        spectra.append(10 * np.log10(sums[:, 1:].double().numpy() / counts + FLOOR))
    decibels = np.concatenate(spectra)
    return decibels - decibels.mean(1, keepdims=True)


def directional_spectrum(
    images: Float16[np.ndarray, "n c h w"], block: int = 256
) -> Float[np.ndarray, "n k"]:
    """Give the power along the axes over that off them, by radius.

    Args:
        images: Square ones.
        block: How many are transformed at once.

    Returns:
        A column a band of radius for patterns that change down the rows (stripes lie flat), then
        for those that change along them.
    """
    size = images.shape[-1]
    masks = torch.from_numpy(_sectors(size)).float()
    spectra = []
    for chunk in torch.from_numpy(images).split(block):
        power = torch.fft.fft2(chunk.float(), norm="ortho").abs().square().mean(1)
        means = power.flatten(1) @ masks.T
        down, along, off = (means + FLOOR).unflatten(1, (3, BANDS)).unbind(1)
        spectra.append(torch.cat([down / off, along / off], 1).double().numpy())
    return np.concatenate(spectra)


def directional_difference(x: Float[np.ndarray, "n k"], y: Float[np.ndarray, "m k"]) -> float:
    """Give the root-mean-square difference of two sets' mean ratios along and off the axes, in dB.

    Few coefficients lie on an axis, so their power is averaged over images before it is put in
    dB: a mean of logarithms would be far too low.
    """
    return float(10 * np.sqrt((np.log10(x.mean(0) / y.mean(0)) ** 2).mean()))


def spectral_difference(x: Float[np.ndarray, "n k"], y: Float[np.ndarray, "m k"]) -> float:
    """Give the root-mean-square difference of two sets' mean spectra, in dB."""
    return float(np.sqrt(((x.mean(0) - y.mean(0)) ** 2).mean()))


def frequencies(size: int) -> Float[np.ndarray, " k"]:
    """Give the rings' frequencies in cycles per pixel."""
    return np.arange(1, int(_rings(size).max()) + 1) / size


def _rings(size: int) -> np.ndarray:
    line = np.fft.fftfreq(size) * size
    return np.rint(np.hypot(line[:, None], line[None])).astype(np.int64)


def _sectors(size: int) -> Float[np.ndarray, "k d"]:
    """Give the weights that average power down the rows, along them and off both, by band."""
    line = np.fft.fftfreq(size)
    y, x = np.meshgrid(line, line, indexing="ij")
    edges = np.linspace(BAND_START, 0.5 + 1e-9, BANDS + 1)
    band = np.digitize(np.hypot(x, y), edges) - 1
    near = ON_AXIS / size
    kinds = [
        (np.abs(x) <= near) & (np.abs(y) > near),
        (np.abs(y) <= near) & (np.abs(x) > near),
        (np.abs(x) > near) & (np.abs(y) > near),
    ]
    masks = np.stack([(kind & (band == k)).ravel() for kind in kinds for k in range(BANDS)])
    return masks / np.maximum(masks.sum(1, keepdims=True), 1)


def spectral_measures() -> tuple[Measure, Measure]:
    """Give the differences of both kinds of spectra."""
    by_radius, by_direction = "mean power by radius", "power along the axes over that off them"
    return (
        spectral_measure("spectral_radius", SPECTRUM, by_radius, spectral_difference),
        spectral_measure("spectral_direction", DIRECTIONS, by_direction, directional_difference),
    )


def spectral_measure(
    name: str, features: str, what: str, difference: Callable[[np.ndarray, np.ndarray], float]
) -> Measure:
    """Give how much the spectra of two sets differ.

    Args:
        name: Of the score.
        features: Which spectra, by their name in a cloud.
        what: The same in words.
        difference: How they are compared.
    """
    kind = Kind(name, "lower", f"root-mean-square difference of {what}, dB")
    return Measure(
        (kind,),
        "pixels",
        lambda of: (difference(of.real.features[features], of.other.features[features]),),
    )


EXPLANATIONS = (
    Explanation(
        titles={"spectral_radius": "Spectrum by radius"},
        question="spectrum",
        word="power, dB",
        answers="Is there too much or too little power at some spatial frequency?",
        how=(
            "The power of each image's Fourier transform is averaged over rings of equal frequency "
            "and put in dB, less the mean over all rings. The score is the root-mean-square "
            "difference of the two sets' mean spectra."
        ),
        good="Lower, down to the floor.",
        blind=(
            "Phases, and so all anatomy: noise with the right spectrum scores 0. Overall "
            "brightness and contrast, which are taken away. It averages over directions, so "
            "stripes hardly show: see the spectrum by direction. The report's curve "
            "shows where the difference lies."
        ),
        source="Durall et al. 2020.",
        family="spectrum",
        short="spectrum, radius",
        leads=("pixels",),
    ),
    Explanation(
        titles={"spectral_direction": "Spectrum by direction"},
        question="spectrum",
        word="axes, dB",
        answers="Are there stripes or grids?",
        how=(
            "Up-sampling in a generator leaves patterns along rows and columns. In eight bands of "
            "frequency from 0.1 to 0.5 cycles per pixel, the power along each axis is set over "
            "that off the axes, in dB. The score is the root-mean-square difference of the two "
            "sets' means."
        ),
        good="Lower, down to the floor.",
        blind=(
            "Patterns that lie along no axis, and all that is not a pattern: noise scores as real."
        ),
        source="Ours, after Durall et al. 2020.",
        family="spectrum",
        short="spectrum, direction",
        leads=("pixels",),
    ),
)
