"""What images are compared by: maps from images (n, c, h, w) to features (n, d).

None needs a download. Distances of different extractors must not be compared with
each other, and none of these is the FID, which is Inception's alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float16
from sklearn.decomposition import PCA
from torch import Tensor, nn

from mrgantry.common.errors import DataError
from mrgantry.common.files import fingerprint

Images = Float16[np.ndarray, "n c h w"]
Features = Float[np.ndarray, "n d"]
REDUCED = 32  # pixels: the side of images whose fine texture does not matter
TINY = 1e-6  # a spread, so that nothing is divided by 0
DULL = 0.03  # of a stage's median spread: what varies less is not brought to variance 1


@dataclass(frozen=True, eq=False)
class Extractor:
    """A named map from images to features.

    Attributes:
        name: Such as "pca64" or "random-net"; stands beside every score.
        extract: The map.
        fingerprint: Changes with its weights.
    """

    name: str
    extract: Callable[[Images], Features]
    fingerprint: str


def flat(images: Float[np.ndarray, "n c h w"]) -> Float[np.ndarray, "n d"]:
    """Lay each image out as one row of pixels, in float32."""
    return images.reshape(len(images), -1).astype(np.float32)


def fit_directions(train: Images, count: int) -> Any:
    """Find the leading principal directions of the real training images.

    Returns:
        scikit-learn's PCA with at most `count` components.

    Raises:
        DataError: There are fewer than three images.
    """
    if len(train) < 3:
        raise DataError(f"Principal directions need 3 training images or more, not {len(train)}.")
    rows = flat(train)
    count = min(count, min(rows.shape) - 1)
    return PCA(count, svd_solver="randomized", random_state=0).fit(rows)


def principal_components(directions: Any) -> Extractor:
    """Describe images by their coordinates along principal directions, in units of pixels.

    One factor for all brings their mean variance over the training images to 1, as kernels
    expect; ratios of distances stay.
    """
    scale = float(np.sqrt(directions.explained_variance_.mean()))

    def extract(images: Images) -> Features:
        blocks = [images[start : start + 1024] for start in range(0, len(images), 1024)]
        rows = np.concatenate([directions.transform(flat(block)) for block in blocks])
        return rows.astype(np.float64) / scale

    components = np.ascontiguousarray(directions.components_, dtype=np.float32)
    name = f"pca{len(components)}"
    return Extractor(name, extract, fingerprint([components.tobytes()]))


def random_network(train: Images, seed: int = 0) -> Extractor:
    """Describe images by the responses of a convolutional network nobody trained.

    Random filters already respond to edges and textures of several sizes, and owe
    nothing to photographs. Each of three stages gives the mean and the spread of
    its channels over the image: 2 x (16 + 32 + 64) features. Each is brought to mean 0 and
    variance 1 over the training images, so that none outweighs the others; but for a channel
    that training images hardly excite, whose rare responses would then drown all else.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        widths = [train.shape[1], 16, 32, 64]
        stages = [nn.Conv2d(wide, narrow, 5, 2, 2, bias=False) for wide, narrow in pairwise(widths)]
        for stage in stages:
            nn.init.kaiming_normal_(stage.weight)
            stage.requires_grad_(False)

    def respond(images: Images) -> Features:
        chunks = torch.from_numpy(images).split(256)
        return torch.cat([_responses(stages, chunk.float()) for chunk in chunks]).double().numpy()

    responses = respond(train)
    mean, spread = responses.mean(0), responses.std(0)
    stage_of = np.repeat(range(len(stages)), [2 * wide for wide in widths[1:]])
    least = np.array([np.median(spread[stage_of == stage]) for stage in range(len(stages))])
    spread = np.maximum(spread, np.maximum(DULL * least, TINY)[stage_of])
    weights = [stage.weight.numpy().tobytes() for stage in stages]
    mark = fingerprint([*weights, mean.tobytes(), spread.tobytes()])
    return Extractor("random-net", lambda images: (respond(images) - mean) / spread, mark)


def reduced_images(images: Images) -> Float[np.ndarray, "n c h2 w2"]:
    """Make images small, 32 pixels or half their size: their anatomy without fine texture."""
    size = min(REDUCED, max(1, images.shape[-1] // 2))
    chunks = torch.from_numpy(images).split(1024)
    small = [
        F.interpolate(chunk.float(), size=(size, size), mode="bilinear", antialias=True)
        for chunk in chunks
    ]
    return torch.cat(small).numpy()


def _responses(stages: list[nn.Conv2d], images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
    responses = []
    for stage in stages:
        images = F.relu(stage(images))
        responses += [images.mean((2, 3)), images.std((2, 3))]
    return torch.cat(responses, 1)
