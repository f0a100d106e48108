"""The classifier two-sample test: can a classifier tell two sets apart?

Its held-out accuracy is 0.5 where it cannot (Lopez-Paz and Oquab 2017). Slices of
one subject are alike, so people and not slices are held out, and the same test of
real against real images stands beside it as control. Several classifiers are asked: one
that sees fine texture often tells any generator, so another sees low-passed images.
"""

from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn.utils import skip_init

from mrgantry.evaluate.cloud import Cloud, half_of_subjects
from mrgantry.evaluate.features import reduced_images

NEIGHBOURS = 5
PATCH = 64  # pixels: the most that the network sees at once; what it looks for is local
WIDTHS = (8, 16, 32)
Images = Float[np.ndarray, "n c h w"]


def c2st_logistic(real: Cloud, other: Cloud, features: str, seed: int) -> float:
    """Give the held-out accuracy of a logistic classifier on features."""
    return _on_features(real, other, features, seed, LogisticRegression(C=0.1, max_iter=500))


def c2st_neighbours(real: Cloud, other: Cloud, features: str, seed: int) -> float:
    """Give the held-out accuracy of the vote of the nearest neighbours in features."""
    return _on_features(real, other, features, seed, KNeighborsClassifier(NEIGHBOURS))


def c2st_cnn(real: Cloud, other: Cloud, seed: int, steps: int = 120) -> float:
    """Give the held-out accuracy of a small convolutional network on pixels.

    It looks at patches of 64 pixels or less, of larger images one at random in each step; the
    mean of its logits over all patches decides on a held-out image.
    """
    return _by_cnn(real, other, (real.images, other.images), seed, steps)


def c2st_low_pass(real: Cloud, other: Cloud, seed: int, steps: int = 120) -> float:
    """Give the same on images that were made small, and so lack their fine texture."""
    small = tuple(reduced_images(cloud.images) for cloud in (real, other))
    return _by_cnn(real, other, (small[0], small[1]), seed, steps)


def _on_features(real: Cloud, other: Cloud, features: str, seed: int, classifier: Any) -> float:
    held = _held_out(real, other, seed)
    x, y = np.concatenate([real.features[features], other.features[features]]), _labels(real, other)
    model = make_pipeline(StandardScaler(), classifier)
    return _accuracy(model.fit(x[~held], y[~held]).predict_proba(x[held])[:, 1], y[held])


def _by_cnn(
    real: Cloud, other: Cloud, pixels: tuple[Images, Images], seed: int, steps: int
) -> float:
    held, y = _held_out(real, other, seed), _labels(real, other)
    images = torch.from_numpy(np.concatenate(pixels))
    rows = torch.from_numpy(held)
    network = _train_cnn(images[~rows], y[~held], steps, seed)
    with torch.no_grad():
        logits = torch.cat([_judge(network, some.float()) for some in images[rows].split(256)])
    return _accuracy(logits.sigmoid().numpy(), y[held])


def _judge(network: nn.Module, images: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """Average the logits of the patches that tile each image."""
    side = min(PATCH, images.shape[-1])
    places = range(0, images.shape[-1] - side + 1, side)
    patches = [images[..., y : y + side, x : x + side] for y in places for x in places]
    return torch.stack([network(_laid_out(patch))[:, 0] for patch in patches]).mean(0)


def _laid_out(images: Tensor) -> Float[Tensor, "n c h w"]:
    return images.contiguous(memory_format=torch.channels_last)


def _train_cnn(
    images: Float[Tensor, "n c h w"], labels: Bool[np.ndarray, " n"], steps: int, seed: int
) -> nn.Module:
    # Tests run side by side, so nothing is drawn from the global generator.
    random = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    widths = [images.shape[1], *WIDTHS]
    side = min(PATCH, images.shape[-1])
    slack = images.shape[-1] - side + 1
    for narrow, wide in pairwise(widths):
        layers += [_drawn(skip_init(nn.Conv2d, narrow, wide, 3, 2, 1), random)]
        layers += [nn.BatchNorm2d(wide), nn.ReLU()]
    layers += [nn.AdaptiveAvgPool2d(4), nn.Flatten()]
    layers += [_drawn(skip_init(nn.Linear, widths[-1] * 16, 1), random)]
    network = nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=1e-2)
    targets = torch.from_numpy(labels).float()
    for _ in range(steps):
        rows = torch.randint(len(images), (64,), generator=random)
        y, x = torch.randint(slack, (2,), generator=random).tolist()
        patches = _laid_out(images[rows, :, y : y + side, x : x + side].float())
        loss = F.binary_cross_entropy_with_logits(network(patches)[:, 0], targets[rows])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return network.eval()


def _drawn(layer: nn.Module, random: torch.Generator) -> nn.Module:
    """Draw a layer's weights."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=random)  # type: ignore[arg-type]
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def _held_out(real: Cloud, other: Cloud, seed: int) -> Bool[np.ndarray, " n"]:
    """Mark half of the subjects of either side."""
    return np.concatenate([half_of_subjects(real, seed), half_of_subjects(other, seed + 1)])


def _labels(real: Cloud, other: Cloud) -> Bool[np.ndarray, " n"]:
    return np.repeat([True, False], [len(real.images), len(other.images)])


def _accuracy(share: Float[np.ndarray, " n"], labels: Bool[np.ndarray, " n"]) -> float:
    """Give the mean of both classes' accuracies, so that unequal n favours neither."""
    correct = (share > 0.5) == labels
    return float((correct[labels].mean() + correct[~labels].mean()) / 2)
