"""Faults of texture and intensity, in all images alike."""

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from mrgantry.evaluation.faults.head import BACKGROUND, Image, depth_of, head_of, spread
from mrgantry.evaluation.faults.material import Images, scaled

RIM = 7.0  # pixels below the head's surface that hold the cortex with its furrows
FADING = 2.0  # of these, the innermost, over which its smoothing ends


def blurred(images: Images, sigma: float, _: np.random.Generator) -> Images:
    """Blur with a Gaussian of so many pixels."""
    sigma = scaled(sigma, images)
    return ndimage.gaussian_filter(images, (0, 0, sigma, sigma))


def noisy(images: Images, spread: float, random: np.random.Generator) -> Images:
    """Add Gaussian noise of a standard deviation, background included."""
    return images + random.normal(0, spread, images.shape).astype(np.float32)


class Pattern:
    """Add a pattern of some height to the head, as transposed convolutions leave it.

    Its period is in the images' own pixels, since that is how networks make it.
    """

    def __init__(self, kind: str, period: int):
        self.kind, self.period = kind, period

    def __call__(self, images: Images, height: float, _: np.random.Generator) -> Images:
        """Add it within the head; its mean is 0, its light and dark differ by twice the height."""
        pattern = self.draw(images.shape[-1]) * np.float32(height)
        return images + np.where(images > BACKGROUND, pattern, np.float32(0))

    def draw(self, side: int) -> Float[np.ndarray, "h w"]:
        """Draw it with a height of 1."""
        rows, columns = np.indices((side, side)) % self.period
        light = {
            "stripes": rows < self.period // 2,
            "checkerboard": (rows < self.period // 2) == (columns < self.period // 2),
            "grid": (rows == 0) | (columns == 0),
        }[self.kind]
        return (2 * (light - light.mean())).astype(np.float32)


def brighter(images: Images, shift: float, _: np.random.Generator) -> Images:
    """Make the head brighter."""
    return images + np.where(images > BACKGROUND, np.float32(shift), np.float32(0))


def quantised(images: Images, levels: float, _: np.random.Generator) -> Images:
    """Round to so many grey levels from black to white."""
    steps = levels - 1
    return (np.round((images + 1) / 2 * steps) / steps * 2 - 1).astype(np.float32)


def smooth_cortex(images: Images, sigma: float, _: np.random.Generator) -> Images:
    """Smooth the rim of the head alone, so that gyri and furrows run together."""
    return np.stack([without_gyri(image, scaled(sigma, images)) for image in images])


def without_gyri(image: Image, sigma: float) -> Image:
    """Smooth the rim of one head, background left out; deeper pixels stay as they are."""
    head = head_of(image)
    depth, rim, fading = depth_of(head), scaled(RIM, image), scaled(FADING, image)
    share = np.where(head, np.clip((rim - depth) / fading, 0, 1), 0)
    mixed = image + share * (spread(image, head, sigma) - image)
    return np.where(share > 0, mixed, image).astype(image.dtype)
