"""The radial power spectrum: what up-sampling in a generator leaves behind (Durall et al. 2020)."""

import numpy as np
import torch
from jaxtyping import Float, Float16

FLOOR = 1e-8  # of power: below it lies rounding to float16, not an image


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
    found = []
    for chunk in torch.from_numpy(images).split(block):
        power = torch.fft.fft2(chunk.float(), norm="ortho").abs().square().mean(1)
        sums = torch.zeros(len(chunk), int(rings.max()) + 1).index_add_(
            1, torch.from_numpy(rings.ravel()), power.flatten(1)
        )
        found.append(10 * np.log10(sums[:, 1:].double().numpy() / counts + FLOOR))
    decibels = np.concatenate(found)
    return decibels - decibels.mean(1, keepdims=True)


def spectral_difference(x: Float[np.ndarray, "n k"], y: Float[np.ndarray, "m k"]) -> float:
    """Give the root-mean-square difference of two sets' mean spectra, in dB."""
    return float(np.sqrt(((x.mean(0) - y.mean(0)) ** 2).mean()))


def frequencies(size: int) -> Float[np.ndarray, " k"]:
    """Give the rings' frequencies in cycles per pixel."""
    return np.arange(1, int(_rings(size).max()) + 1) / size


def _rings(size: int) -> np.ndarray:
    line = np.fft.fftfreq(size) * size
    return np.rint(np.hypot(line[:, None], line[None])).astype(np.int64)
