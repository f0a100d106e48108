"""What images are described by, as the brain network sees them.

Two descriptions, since one drowns the other: how tissue looks (edges, folds, texture), and where
it is. The former sees blurred folds and means of two heads, the latter missing halves.
"""

from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from sklearn.decomposition import PCA
from torch import Tensor

from mrgantry.brain.network import CLASSES, BrainNetwork, load_network, standard
from mrgantry.common.files import fingerprint
from mrgantry.evaluation.extractors.features import Extractor, Features, Images

BRAIN_NET, BRAIN_MAP = "brain-net", "brain-map"
COMPONENTS = {BRAIN_NET: 48, BRAIN_MAP: 64}
PER_COMPONENT = 4  # training images that a direction needs at least
GRID = 8  # cells a side, in which fractions of tissue are averaged
DULL = 0.1  # of the median spread: what varies less is not brought to variance 1
CHUNK = 16  # images at once: more leave the processor's cache, and take up to twice as long

Rows = Float[np.ndarray, "n d"]
Scale = Callable[[Rows], Float[np.ndarray, "n k"]]


def brain_networks(train: Images) -> Sequence[Extractor]:
    """Describe images by a network that was trained on simulated slices of any contrast.

    `brain-net` is the means and spreads of the responses of its first three stages over the
    image, along 48 principal directions over the training images, each brought to variance 1: a
    direction in which real people hardly differ then counts as much as one in which they do.
    `brain-map` is the fractions of five kinds of tissue in 8 x 8 cells, along 64 principal
    directions in one unit for all. Channels of an image are described one by one.
    """
    described = _responses()
    parts = described(train)
    weights = fingerprint(
        value.numpy().tobytes() for value in described.network.state_dict().values()
    )
    extractors = []
    for name, whiten in ((BRAIN_NET, True), (BRAIN_MAP, False)):
        scale, mark = _fit(parts[name], COMPONENTS[name], whiten=whiten)
        extract = partial(_described, name=name, described=described, scale=scale)
        extractors.append(Extractor(name, extract, fingerprint([weights, mark])))
    return extractors


def _described(images: Images, name: str, described: "_Responses", scale: Scale) -> Features:
    return scale(described(images)[name])


def _fit(rows: Rows, most: int, *, whiten: bool) -> tuple[Scale, str]:
    """Find principal directions of training images' responses; give the map onto them."""
    mean, spread = rows.mean(0), rows.std(0)
    spread = np.maximum(spread, DULL * np.median(spread) + 1e-6)
    count = max(1, min(most, len(rows) // PER_COMPONENT, rows.shape[1]))
    directions = PCA(count, svd_solver="full").fit((rows - mean) / spread)
    variance = directions.explained_variance_
    # Training images that are nearly all alike have directions of no variance at all.
    least = 1e-3 * variance.mean() + 1e-12
    unit = np.sqrt(np.maximum(variance if whiten else variance.mean(), least))

    def scale(of: Rows) -> Float[np.ndarray, "n k"]:
        return directions.transform((of - mean) / spread) / unit

    return scale, fingerprint([directions.components_.astype(np.float32).tobytes()])


class _Responses:
    """What the network says of images, by the name of the description.

    Both descriptions come from one pass, so the responses to the last images, and to those before
    them, which they may mirror, are kept.
    """

    def __init__(self, network: BrainNetwork):
        self.network = network
        self.kept: deque[tuple[Images, dict[str, Rows]]] = deque(maxlen=2)

    def __call__(self, images: Images) -> dict[str, Rows]:
        """Give the responses to some images."""
        for known, rows in self.kept:
            if known is images:
                return rows
        channels = [self._of_channel(images[:, [k]]) for k in range(images.shape[1])]
        rows = {
            name: np.concatenate([of[name] for of in channels], 1)
            for name in (BRAIN_NET, BRAIN_MAP)
        }
        self.kept.append((images, rows))
        return rows

    @torch.no_grad()
    def _of_channel(self, images: Images) -> dict[str, Rows]:
        responses: dict[str, list[Tensor]] = {BRAIN_NET: [], BRAIN_MAP: []}
        for chunk in torch.from_numpy(images).split(CHUNK):
            said = self.network(standard(chunk))
            looks = [(stage.mean((2, 3)), stage.std((2, 3))) for stage in said.stages[:3]]
            responses[BRAIN_NET].append(torch.cat([part for pair in looks for part in pair], 1))
            tissues = said.tissues.softmax(1)
            cells = F.avg_pool2d(tissues, tissues.shape[-1] // GRID)
            responses[BRAIN_MAP].append(cells.flatten(1))
        return {name: torch.cat(rows).double().numpy() for name, rows in responses.items()}


def tissue_fractions(images: Images) -> Float[np.ndarray, "n 5"]:
    """Give the share of each image that is which of `CLASSES`, the mean over its channels."""
    cells = _responses()(images)[BRAIN_MAP].reshape(len(images), images.shape[1], len(CLASSES), -1)
    return cells.mean((1, 3))


@lru_cache(maxsize=1)
def _responses() -> "_Responses":
    return _Responses(load_network())
