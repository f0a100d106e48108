"""The penalty of virtual adversarial training, against values computed by hand."""

import math

import pytest
import torch
from torch import nn

from mrgantry.generate.virtual_adversarial import divergence, half_squared, virtual_adversarial

IMAGES = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
START = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(1))
RADIUS = 0.05


def linear(seed=2):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 1), nn.Flatten(0))


class TestOfALinearCritic:
    """It changes most along its weights, by their length."""

    def test_half_the_squared_change_along_the_weights(self):
        critic = linear()
        penalty = virtual_adversarial(critic, IMAGES, critic(IMAGES), START, RADIUS, False)
        slope = critic[1].weight.square().sum().item()
        # A root mean square of RADIUS over 16 pixels is a length of 4 RADIUS.
        assert penalty.item() == pytest.approx((4 * RADIUS) ** 2 * slope / 2, rel=1e-3)

    def test_no_other_direction_changes_it_more(self):
        critic = linear()
        said = critic(IMAGES)
        worst = virtual_adversarial(critic, IMAGES, said, START, RADIUS, False)
        for seed in range(20):
            away = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(seed))
            away = RADIUS * away / away.square().mean((1, 2, 3), keepdim=True).sqrt()
            assert half_squared(said, critic(IMAGES + away)).mean() < worst

    def test_the_divergence_of_probabilities(self):
        critic = linear()
        said = critic(IMAGES)
        penalty = virtual_adversarial(critic, IMAGES, said, START, RADIUS, True)
        step = 4 * RADIUS * critic[1].weight.norm()
        either = torch.stack([divergence(said, said + sign * step) for sign in (1, -1)])
        assert either.min(0).values.mean() * 0.999 <= penalty <= either.max(0).values.mean() * 1.001

    def test_descending_makes_the_critic_flatter(self):
        critic = linear()
        before = critic[1].weight.norm().item()
        adam = torch.optim.SGD(critic.parameters(), 0.1)
        for _ in range(20):
            adam.zero_grad()
            virtual_adversarial(critic, IMAGES, critic(IMAGES), START, 0.2, False).backward()
            adam.step()
        assert critic[1].weight.norm().item() < 0.9 * before


def test_divergence_by_hand():
    p, q = 1 / (1 + math.exp(-1.0)), 1 / (1 + math.exp(0.5))
    by_hand = p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    said, says = torch.tensor([1.0]), torch.tensor([-0.5])
    assert divergence(said, says).item() == pytest.approx(by_hand, rel=1e-5)
    assert divergence(torch.tensor([80.0]), torch.tensor([-80.0])).isfinite().all()
