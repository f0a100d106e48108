"""Multi-scale structural similarity of pairs of images (Wang et al. 2003)."""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mrgantry.evaluation.measures.measure import Explanation, Kind, Measure

PAIRS = 400  # of images, in one draw
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of five scales, fine to coarse
WINDOW, SIGMA = 11, 1.5  # pixels


def scales(size: int) -> int:
    """Give how many scales an image of a size has room for: 3 at 64, 4 at 128, 5 at 256."""
    return max(1, min(len(WEIGHTS), size.bit_length() - 4))


def ms_ssim(
    x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"], span: float = 2.0
) -> Float[Tensor, " n"]:
    """Give the similarity of each pair, 1 for equal images.

    Contrast and structure at every scale, luminance at the coarsest, multiplied with
    the paper's weights, renormalised where there are fewer than five scales. Negative
    terms count as 0. The coarsest scale is only a window or two wide, so it is mirrored
    at its borders; finer ones count where the window fits. (So does torchmetrics.)

    Args:
        x: Images.
        y: As many others.
        span: Range of intensities.
    """
    count = scales(x.shape[-1])
    weights = torch.tensor(WEIGHTS[:count], dtype=x.dtype)
    weights = weights / weights.sum()
    similarity = torch.ones(len(x), dtype=x.dtype)
    for scale in range(count):
        last = scale == count - 1
        if last:
            x, y = (F.pad(images, [WINDOW // 2] * 4, mode="reflect") for images in (x, y))
        luminance, structure = _terms(x, y, span)
        term = structure * luminance if last else structure
        similarity = similarity * term.mean((1, 2, 3)).clamp(min=0) ** weights[scale]
        x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    return similarity


def _terms(
    x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"], span: float
) -> tuple[Float[Tensor, "n c h2 w2"], Float[Tensor, "n c h2 w2"]]:
    """Give luminance and contrast-structure terms (Wang et al. 2004, equation 13)."""
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    moments = _blur(torch.cat([x, y, x * x, y * y, x * y]))
    mean_x, mean_y, square_x, square_y, product = moments.chunk(5)
    covariance = product - mean_x * mean_y
    variances = square_x - mean_x**2 + square_y - mean_y**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return luminance, (2 * covariance + c2) / (variances + c2)


def _blur(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
    """Blur with the Gaussian window where it fits, as two matrix products.

    On a CPU these are many times faster than a convolution of a single channel.
    """
    rows, columns = (_window(side, images.dtype) for side in images.shape[2:])
    return rows.T @ images @ columns


def _window(side: int, dtype: torch.dtype) -> Float[Tensor, "side fits"]:
    """Give the matrix that blurs a line of pixels: one column a place of the window."""
    width = min(WINDOW, side)
    offsets = torch.arange(width, dtype=dtype) - (width - 1) / 2
    kernel = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    matrix = torch.zeros(side, side - width + 1, dtype=dtype)
    for place in range(matrix.shape[1]):
        matrix[place : place + width, place] = kernel / kernel.sum()
    return matrix


def similarity_of_pairs(
    images: Float[np.ndarray, "n c h w"], subjects: np.ndarray, pairs: int, seed: int
) -> float:
    """Give the median similarity among random pairs of different subjects.

    The higher, the less varied: a generator that makes one image scores 1.
    """
    random = np.random.default_rng(seed)
    first, second = random.integers(0, len(images), (2, pairs * 4))
    apart = np.flatnonzero((subjects[first] != subjects[second]) & (first != second))[:pairs]
    if not len(apart):
        return float("nan")
    x = torch.from_numpy(images[first[apart]]).float()
    y = torch.from_numpy(images[second[apart]]).float()
    return float(ms_ssim(x, y).median())


def similarity_measure(size: int) -> Measure:
    """Give the similarity of pairs of images of some size in pixels."""
    method = f"median MS-SSIM ({scales(size)} scales) of {PAIRS} pairs of different subjects"
    return Measure(
        (Kind("ms_ssim_pairs", "real", method),),
        "pixels",
        lambda of: (similarity_of_pairs(of.other.images, of.other.subjects, PAIRS, of.seed),),
        alone=True,
    )


EXPLANATIONS = (
    Explanation(
        titles={"ms_ssim_pairs": "MS-SSIM of pairs"},
        question="plausible",
        word="similarity",
        answers="Are the synthetic images as different from each other as real people are?",
        how=(
            "The multi-scale structural similarity of random pairs of images of different "
            "subjects, and its median."
        ),
        good="As real images. Higher: too little variety; 1 is one image again and again.",
        blind=(
            "Lower than real is no success: noise and broken anatomy differ from each other too. "
            "It minds position and brightness, and sees no single missing kind of patient."
        ),
        source="Wang et al. 2003; for GANs, Odena et al. 2017.",
        family="similarity",
        short="MS-SSIM",
        leads=("pixels",),
    ),
)
