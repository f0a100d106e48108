"""The classifier two-sample test: can a classifier tell two sets apart?

Its held-out accuracy is 0.5 where it cannot (Lopez-Paz and Oquab 2017). Slices of
one subject are alike, so people and not slices are held out, and the same test of
real against real images stands beside it as control.
"""

from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from mrgantry.evaluate.cloud import Cloud, half_of_subjects


def c2st_logistic(real: Cloud, other: Cloud, features: str, seed: int) -> float:
    """Give the held-out accuracy of a logistic classifier on features."""
    held_real, held_other = half_of_subjects(real, seed), half_of_subjects(other, seed + 1)
    x = np.concatenate([real.features[features], other.features[features]])
    y, held = _labels(real, other), np.concatenate([held_real, held_other])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
    return _accuracy(model.fit(x[~held], y[~held]).predict_proba(x[held])[:, 1], y[held])


def c2st_cnn(real: Cloud, other: Cloud, seed: int, steps: int = 120) -> float:
    """Give the held-out accuracy of a small convolutional network on pixels."""
    held_real, held_other = half_of_subjects(real, seed), half_of_subjects(other, seed + 1)
    images = torch.from_numpy(np.concatenate([real.images, other.images])).float()
    y, held = _labels(real, other), np.concatenate([held_real, held_other])
    images = images.contiguous(memory_format=torch.channels_last)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _train_cnn(images[torch.from_numpy(~held)], y[~held], steps, seed)
    with torch.no_grad():
        logits = network(images[torch.from_numpy(held)])[:, 0]
    return _accuracy(logits.sigmoid().numpy(), y[held])


def _train_cnn(
    images: Float[Tensor, "n c h w"], labels: Bool[np.ndarray, " n"], steps: int, seed: int
) -> nn.Module:
    layers: list[nn.Module] = []
    widths = [images.shape[1], 16, 32, 64]
    for narrow, wide in pairwise(widths):
        layers += [nn.Conv2d(narrow, wide, 3, 2, 1), nn.BatchNorm2d(wide), nn.ReLU()]
    layers += [nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Dropout(0.2), nn.Linear(64 * 16, 1)]
    network = nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=1e-2)
    targets = torch.from_numpy(labels).float()
    random = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        rows = torch.randint(len(images), (64,), generator=random)
        loss = F.binary_cross_entropy_with_logits(network(images[rows])[:, 0], targets[rows])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return network.eval()


def _labels(real: Cloud, other: Cloud) -> Bool[np.ndarray, " n"]:
    return np.repeat([True, False], [len(real.images), len(other.images)])


def _accuracy(share: Float[np.ndarray, " n"], labels: Bool[np.ndarray, " n"]) -> float:
    """Give the mean of both classes' accuracies, so that unequal n favours neither."""
    correct = (share > 0.5) == labels
    return float((correct[labels].mean() + correct[~labels].mean()) / 2)
