import math

import pytest
import torch
from torch import nn

from mrgantry.gan.losses import Original, Wasserstein

REAL = torch.tensor([2.0, -1.0], requires_grad=True)
FAKE = torch.tensor([0.5, 0.0], requires_grad=True)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def gradient(loss, logits):
    return torch.autograd.grad(loss, logits)[0].tolist()


def test_original_is_cross_entropy_with_its_gradient():
    loss = Original().critic(REAL, FAKE)
    by_hand = -(math.log(sigmoid(2)) + math.log(sigmoid(-1))) / 2
    by_hand -= (math.log(1 - sigmoid(0.5)) + math.log(1 - sigmoid(0))) / 2
    assert loss.item() == pytest.approx(by_hand, rel=1e-6)
    assert gradient(loss, FAKE) == pytest.approx([sigmoid(0.5) / 2, sigmoid(0) / 2])
    assert gradient(Original().critic(REAL, FAKE), REAL) == pytest.approx(
        [(sigmoid(2) - 1) / 2, (sigmoid(-1) - 1) / 2]
    )


def test_original_generator_is_non_saturating():
    loss = Original().generator(FAKE)
    by_hand = -(math.log(sigmoid(0.5)) + math.log(sigmoid(0))) / 2
    assert loss.item() == pytest.approx(by_hand, rel=1e-6)
    assert gradient(loss, FAKE) == pytest.approx([(sigmoid(0.5) - 1) / 2, (sigmoid(0) - 1) / 2])


def test_original_does_not_overflow():
    far = torch.tensor([1000.0])
    assert Original().critic(far, -far).item() == 0
    assert Original().critic(-far, far).item() == 2000


def test_wasserstein_is_a_difference_of_means():
    loss = Wasserstein().critic(REAL, FAKE)
    assert loss.item() == pytest.approx(0.25 - 0.5)
    assert gradient(loss, FAKE) == [0.5, 0.5]
    assert Wasserstein().generator(FAKE).item() == -0.25


def test_clipping_bounds_every_parameter():
    critic = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 1))
    Wasserstein(clip=0.01).constrain(critic)
    assert max(p.abs().max().item() for p in critic.parameters()) == pytest.approx(0.01)
    before = [p.clone() for p in critic.parameters()]
    Original().constrain(critic)
    assert all((a == b).all() for a, b in zip(before, critic.parameters()))
