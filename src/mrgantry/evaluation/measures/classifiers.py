"""The classifiers of the two-sample test: a logistic one of features, and a small network.

Both learn what is real from a task's images, and give logits of being real for those that are
to be judged (`c2st.py` makes the tasks).
"""

import copy
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn.utils import skip_init

from mrgantry.evaluation.cloud import Cloud
from mrgantry.evaluation.extractors.features import reduced_images

PATCH = 64  # pixels: the most that the network sees at once; what it looks for is local
WIDTHS = (16, 32, 64, 64)
SHIFT = 3  # pixels, in which images are moved at random
EACH = 32  # images of either side in a step
MOST_STEPS, CHECKED = 600, 50  # steps of training, and after how many it is looked at
PATIENCE = 4  # looks without gain after which training ends
PERFECT = 0.01  # loss at which nothing is left to gain
INNER = 6  # one in so many people is held back to tell when training no longer gains
AVERAGE = 0.95  # of the weights, that a step keeps
LOOKED_AT = 256  # images of either side at a look

Images = Float[np.ndarray, "n c h w"]


class ClassifierTask(NamedTuple):
    """What a classifier learns from, and what it is to judge.

    Attributes:
        inputs: Images or features.
        real: Which of them are real.
        people: Whom each shows.
        judged: Images or features of the held-out fold.
        seed: Of all that is drawn.
    """

    inputs: np.ndarray
    real: Bool[np.ndarray, " n"]
    people: np.ndarray
    judged: np.ndarray
    seed: int


Learner = Callable[[ClassifierTask], Float[np.ndarray, " k"]]  # gives logits of being real


def pixels_of(cloud: Cloud) -> Images:
    """Give images as they are."""
    return cloud.images


def small_pixels_of(cloud: Cloud) -> Images:
    """Give images that were made small, and so lack their fine texture."""
    return reduced_images(cloud.images).astype(np.float16)


def features_of(cloud: Cloud, name: str) -> np.ndarray:
    """Give the features of a cloud by an extractor's name."""
    return cloud.features[name]


def logistic(task: ClassifierTask) -> Float[np.ndarray, " k"]:
    """Judge features by a logistic classifier that gives both sides equal weight."""
    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.02, max_iter=500, class_weight="balanced")
    )
    return model.fit(task.inputs, task.real).decision_function(task.judged)


def network(task: ClassifierTask, most_steps: int | None = None) -> Float[np.ndarray, " k"]:
    """Judge images by a small convolutional network that is trained until it no longer gains.

    It looks at patches of 64 pixels or less, of larger images one at random in each step; the
    mean of its logits over all patches decides on a held-out image. One in six people is held
    back: training ends when a running mean of the weights no longer judges these better, and
    the best of these means is taken.

    Args:
        task: Images.
        most_steps: Where training ends at the latest.
    """
    random = torch.Generator().manual_seed(task.seed)
    images, real = torch.from_numpy(task.inputs), torch.from_numpy(task.real)
    inner = torch.from_numpy(_held_back(task))
    rows = [torch.nonzero(~inner & (real == side))[:, 0] for side in (True, False)]
    looked_at = [torch.nonzero(inner & (real == side))[:LOOKED_AT, 0] for side in (True, False)]
    model = _build(images.shape[1], random)
    averaged, best = copy.deepcopy(model).eval(), copy.deepcopy(model).eval()
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=1e-2)
    targets = torch.tensor([1.0, 0.0]).repeat_interleave(EACH)
    least, since = float("inf"), 0
    for step in range(1, (most_steps or MOST_STEPS) + 1):
        chosen = [row[torch.randint(len(row), (EACH,), generator=random)] for row in rows]
        patches = _patches(images[torch.cat(chosen)], random)
        loss = F.binary_cross_entropy_with_logits(model(patches)[:, 0], targets)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        _follow(averaged, model, min(AVERAGE, step / (step + 9)))
        if step % CHECKED == 0:
            loss_now = _loss(averaged, [images[places] for places in looked_at])
            since += 1
            if loss_now < least:
                least, since = loss_now, 0
                best.load_state_dict(averaged.state_dict())
            if since >= PATIENCE or least < PERFECT:
                break
    return _judge(best, torch.from_numpy(task.judged)).double().numpy()


def _held_back(task: ClassifierTask) -> Bool[np.ndarray, " n"]:
    """Mark the images of one in six people of either side, at least of one, never of all."""
    random = np.random.default_rng(task.seed)
    back = []
    for side in (True, False):
        names = random.permutation(np.unique(task.people[task.real == side]))
        count = min(max(1, len(names) // INNER), len(names) - 1)
        back += names[:count].tolist()
    return np.isin(task.people, back)


def _build(channels: int, random: torch.Generator) -> nn.Module:
    # Classifiers are trained side by side, so nothing is drawn from the global generator.
    layers: list[nn.Module] = []
    for narrow, wide in pairwise((channels, *WIDTHS)):
        layers += [_drawn(skip_init(nn.Conv2d, narrow, wide, 3, 2, 1), random)]
        layers += [nn.BatchNorm2d(wide), nn.LeakyReLU(0.1)]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    layers += [_drawn(skip_init(nn.Linear, WIDTHS[-1], 1), random)]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _drawn(layer: nn.Module, random: torch.Generator) -> nn.Module:
    """Draw a layer's weights."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=random)  # type: ignore[arg-type]
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def _patches(images: Float[Tensor, "n c h w"], random: torch.Generator) -> Float[Tensor, "n c k k"]:
    """Move images at random by some pixels, and cut one patch out of larger ones."""
    side = min(PATCH, images.shape[-1])
    slack = images.shape[-1] - side + 1
    right, down = torch.randint(-SHIFT, SHIFT + 1, (2,), generator=random).tolist()
    y, x = torch.randint(slack, (2,), generator=random).tolist()
    moved = images.float().roll((down, right), (2, 3))
    return _laid_out(moved[..., y : y + side, x : x + side])


@torch.no_grad()
def _follow(averaged: nn.Module, model: nn.Module, kept: float) -> None:
    for mean, now in zip(averaged.state_dict().values(), model.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(now, 1 - kept)


def _loss(model: nn.Module, sides: list[Tensor]) -> float:
    """Give the mean loss on held-back images (n c h w) of both sides, which count equally."""
    losses = [
        F.softplus(-_judge(model, images) if side == 0 else _judge(model, images)).mean()
        for side, images in enumerate(sides)
    ]
    return float(sum(losses)) / 2


@torch.no_grad()
def _judge(model: nn.Module, images: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """Average the logits of patches that cover each image, with as little overlap as can be."""
    size = images.shape[-1]
    side = min(PATCH, size)
    places = np.linspace(0, size - side, -(-size // side)).round().astype(int).tolist()
    logits = []
    for chunk in images.split(256):
        patches = [chunk[..., y : y + side, x : x + side] for y in places for x in places]
        logits.append(
            torch.stack([model(_laid_out(patch.float()))[:, 0] for patch in patches]).mean(0)
        )
    return torch.cat(logits)


def _laid_out(images: Tensor) -> Float[Tensor, "n c h w"]:
    return images.contiguous(memory_format=torch.channels_last)
