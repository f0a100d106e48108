"""What images are described by, as the brain network sees them: where is which tissue?"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from sklearn.decomposition import PCA
from torch import Tensor

from mrgantry.common.files import fingerprint
from mrgantry.evaluate.brain.network import SIDE, BrainNetwork, load_network
from mrgantry.evaluate.features import Extractor, Features, Images

NAME = "brain-net"
COMPONENTS = 64
GRID = 8  # cells a side, in which fractions of tissue are averaged
CORNERS = 2  # cells a side for the deepest stage
DULL = 0.1  # of the median spread: what varies less is not brought to variance 1
CHUNK = 128  # images at once


def brain_network(train: Images) -> Extractor:
    """Describe images by a network that was trained on simulated slices of any contrast.

    Fractions of tissue in 8 x 8 cells and the deepest stage in 2 x 2 say what is where; the means
    and spreads of three stages say how edges and textures look. Each is brought to mean 0 and
    variance 1 over the training images; what counts are 64 principal directions of theirs, in one
    unit for all, whose mean variance over the training images is 1. Channels of an image are
    described one by one, by the same network.
    """
    network = _shipped()
    usual = responses(network, train)
    mean, spread = usual.mean(0), usual.std(0)
    spread = np.maximum(spread, DULL * np.median(spread) + 1e-6)
    rows = (usual - mean) / spread
    count = min(COMPONENTS, min(rows.shape) - 1)
    directions = PCA(count, svd_solver="full").fit(rows)
    scale = float(np.sqrt(directions.explained_variance_.mean()))

    def extract(images: Images) -> Features:
        return directions.transform((responses(network, images) - mean) / spread) / scale

    weights = [value.numpy().tobytes() for value in network.state_dict().values()]
    mark = fingerprint([*weights, directions.components_.astype(np.float32).tobytes()])
    return Extractor(NAME, extract, mark)


@lru_cache(maxsize=1)
def _shipped() -> BrainNetwork:
    return load_network()


def responses(network: BrainNetwork, images: Images) -> Float[np.ndarray, "n d"]:
    """Give all responses that the features are made of."""
    return np.concatenate([_of_channel(network, images[:, [k]]) for k in range(images.shape[1])], 1)


@torch.no_grad()
def _of_channel(network: BrainNetwork, images: Images) -> Float[np.ndarray, "n d"]:
    chunks = torch.from_numpy(images).split(CHUNK)
    return torch.cat([_responses(network, standard(chunk)) for chunk in chunks]).double().numpy()


def standard(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c s s"]:
    """Bring images to the side that the network knows."""
    resized: Callable[..., Tensor] = F.interpolate
    small = resized(images.float(), size=(SIDE, SIDE), mode="bilinear", antialias=True)
    return small.contiguous(memory_format=torch.channels_last)


def _responses(network: BrainNetwork, images: Float[Tensor, "n 1 s s"]) -> Float[Tensor, "n d"]:
    said = network(images)
    tissues = said.tissues.softmax(1)
    cell = tissues.shape[-1] // GRID
    *early, deepest = said.stages
    found = [4 * F.avg_pool2d(tissues, cell).flatten(1)]
    found += [F.avg_pool2d(deepest, deepest.shape[-1] // CORNERS).flatten(1)]
    for stage in early:
        found += [stage.mean((2, 3)), stage.std((2, 3))]
    return torch.cat(found, 1)
