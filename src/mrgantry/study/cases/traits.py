"""Trivial traits of images: what tells nothing of anatomy, and might tell truth.

Each function gives a group of traits, named in words that end a sentence "... is 3 in
synthetic images". All look at grey values as readers see them.
"""

import zlib
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int, Num, UInt8

Images = UInt8[np.ndarray, "n h w"]
Traits = dict[str, Num[np.ndarray, " n"]]

BINS = 16
PERCENTILES = (1, 25, 50, 75, 99)
BLOCK = 8  # pixels: the side of the blocks in which JPEG quantises
CHUNK = 64  # images at once, so that memory does not grow with their number


def histogram(images: Images) -> Traits:
    """Give the share of pixels in each of 16 ranges of grey values."""
    counts, width = _counts(images), 256 // BINS
    shares = counts.reshape(len(images), BINS, width).sum(2) / counts.sum(1, keepdims=True)
    return {
        f"the share of grey values {width * k} to {width * k + width - 1}": shares[:, k]
        for k in range(BINS)
    }


def grey_range(images: Images) -> Traits:
    """Give the ends of the range of grey values, percentiles, and what was clipped."""
    counts = _counts(images)
    below = np.cumsum(counts, axis=1) / counts.sum(1, keepdims=True)
    return {
        "the least grey value": _first(counts > 0),
        "the greatest grey value": 255 - _first(counts[:, ::-1] > 0),
        "the share of pixels at the greatest possible value, 255": counts[:, 255] / counts.sum(1),
    } | {
        f"percentile {p} of the grey values": _first(below >= p / 100 - 1e-12) for p in PERCENTILES
    }


def quantisation(images: Images) -> Traits:
    """Give traces of rounding: unused grey values, even ones, steps between blocks."""
    counts = _counts(images)
    seen = counts[:, 1:] > 0
    span = 255 - _first(seen[:, ::-1]) - _first(seen)
    lit = np.maximum(counts[:, 1:].sum(1), 1)
    return {
        "the share of even values among those above 0": counts[:, 2::2].sum(1) / lit,
        "the number of unused grey values between the darkest above 0 and the brightest": (
            np.maximum(span - seen.sum(1), 0)
        ),
        "the number of different grey values": (counts > 0).sum(1),
        "the step between blocks of 8 pixels, in steps inside them": _blocks(images),
    }


def border(images: Images) -> Traits:
    """Give the grey values of the outermost rows and columns."""
    sides = {
        "top row": images[:, 0],
        "bottom row": images[:, -1],
        "leftmost column": images[:, :, 0],
        "rightmost column": images[:, :, -1],
    }
    ring = np.concatenate(list(sides.values()), axis=1)
    return {
        "the mean grey value of the four corners": images[:, :: images.shape[1] - 1][
            :, :, :: images.shape[2] - 1
        ].mean((1, 2)),
        "the mean grey value of the outermost rows and columns": ring.mean(1),
        "the greatest grey value of the outermost rows and columns": ring.max(1),
        "the spread (SD) of the outermost rows and columns": ring.std(1),
    } | {f"the mean grey value of the {name}": side.mean(1) for name, side in sides.items()}


def extent(images: Images) -> Traits:
    """Give where the non-black part lies, and what is exactly black."""
    lit = images > 0
    rows, columns = np.asarray(lit.any(2)), np.asarray(lit.any(1))
    top, bottom = _first(rows), _first(rows[:, ::-1])
    left, right = _first(columns), _first(columns[:, ::-1])
    return {
        "the share of pixels that are exactly black": 1 - lit.mean((1, 2)),
        "the number of black pixels between brighter ones on all four sides": _enclosed(lit),
        "the height in pixels of what is not black": np.maximum(rows.shape[1] - top - bottom, 0),
        "the width in pixels of what is not black": np.maximum(columns.shape[1] - left - right, 0),
        "the number of black rows at the top": top,
        "the number of black rows at the bottom": bottom,
        "the number of black columns at the left": left,
        "the number of black columns at the right": right,
    }


def compressibility(images: Images) -> Traits:
    """Give how small a file without loss would be: noise is incompressible, blur is not."""
    steps = np.diff(images, axis=2, prepend=np.uint8(0))  # modulo 256, as PNG's filters
    return {
        "the compressed size in bytes per pixel": _packed(images),
        "the compressed size in bytes per pixel, each row stored as its steps": _packed(steps),
    }


GROUPS: dict[str, Callable[[Images], Traits]] = {
    "histogram": histogram,
    "range": grey_range,
    "quantisation": quantisation,
    "border": border,
    "extent": extent,
    "compressibility": compressibility,
}


def measure(images: Images) -> dict[str, Traits]:
    """Measure all groups of traits, some images at a time."""
    pieces = [images[k : k + CHUNK] for k in range(0, len(images), CHUNK)]
    measured: dict[str, Traits] = {}
    for group, traits in GROUPS.items():
        parts = [traits(piece) for piece in pieces]
        measured[group] = {
            name: np.concatenate([part[name] for part in parts]).astype(np.float64)
            for name in parts[0]
        }
    return measured


def _counts(images: Images) -> Int[np.ndarray, "n 256"]:
    return np.stack([np.bincount(image.ravel(), minlength=256) for image in images])


def _first(marks: np.ndarray) -> Int[np.ndarray, " n"]:
    """Give the place of the first true value of each row; its length where there is none."""
    return np.where(marks.any(1), marks.argmax(1), marks.shape[1])


def _blocks(images: Images) -> Float[np.ndarray, " n"]:
    """Compare the steps at every eighth pixel, at whichever offset they are largest, with others.

    It is 1 where no offset differs, and larger where blocks of 8 x 8 pixels show.
    """
    ratios = []
    for axis in (1, 2):
        steps = np.abs(np.diff(images.astype(np.int16), axis=axis)).mean(axis=3 - axis)
        phases = np.stack([steps[:, k::BLOCK].mean(1) for k in range(BLOCK)])
        typical = np.median(phases, axis=0)
        ratios.append(np.where(typical > 0, phases.max(0) / np.maximum(typical, 1e-6), 1))
    return np.mean(ratios, axis=0)


def _enclosed(lit: np.ndarray) -> Int[np.ndarray, " n"]:
    """Count black pixels that have brighter ones above, below, left and right."""
    inside = ~lit
    for axis in (1, 2):
        for mask in (lit, np.flip(lit, axis)):
            behind = np.logical_or.accumulate(mask, axis=axis)
            inside = inside & (behind if mask is lit else np.flip(behind, axis))
    return inside.sum((1, 2))


def _packed(images: Images) -> Float[np.ndarray, " n"]:
    size = images[0].size
    return np.array([len(zlib.compress(image.tobytes(), 1)) / size for image in images])
