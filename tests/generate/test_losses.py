"""Every loss, its gradient and its penalty against values computed by hand."""

import math

import pytest
import torch
from torch import nn

from mrgantry.generate.losses import (
    Dragan,
    LeastSquares,
    Original,
    Relativistic,
    Wasserstein,
    WassersteinPenalty,
    cross_entropy,
)

REAL = torch.tensor([2.0, -1.0], requires_grad=True)
FAKE = torch.tensor([0.5, 0.0], requires_grad=True)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def gradient(loss, logits):
    return torch.autograd.grad(loss, logits, retain_graph=True)[0].tolist()


def uniform_of(*values):
    """Give sources of 'random' numbers that are these constants, call by call."""
    left = list(values)

    def draw(shape):
        value = left.pop(0)
        return torch.full((2, *shape), value) if isinstance(value, float) else value

    return draw


class TestOriginal:
    def test_critic_is_cross_entropy_with_its_gradient(self):
        loss = Original().critic(REAL, FAKE)
        by_hand = -(math.log(sigmoid(2)) + math.log(sigmoid(-1))) / 2
        by_hand -= (math.log(1 - sigmoid(0.5)) + math.log(1 - sigmoid(0))) / 2
        assert loss.item() == pytest.approx(by_hand, rel=1e-6)
        assert gradient(loss, FAKE) == pytest.approx([sigmoid(0.5) / 2, sigmoid(0) / 2])
        assert gradient(loss, REAL) == pytest.approx([(sigmoid(2) - 1) / 2, (sigmoid(-1) - 1) / 2])

    def test_generator_is_non_saturating(self):
        loss = Original().generator(None, FAKE)
        by_hand = -(math.log(sigmoid(0.5)) + math.log(sigmoid(0))) / 2
        assert loss.item() == pytest.approx(by_hand, rel=1e-6)
        assert gradient(loss, FAKE) == pytest.approx([(sigmoid(0.5) - 1) / 2, (sigmoid(0) - 1) / 2])

    def test_no_overflow(self):
        far = torch.tensor([1000.0])
        assert Original().critic(far, -far).item() == 0
        assert Original().critic(-far, far).item() == 2000

    def test_smoothing_moves_two_targets_of_three(self):
        """D is to say 0.9 of real images, the generator wants 0.9; synthetic stay at 0."""
        smooth = Original(real_target=0.9, fake_target=0.9)
        loss = smooth.critic(REAL, FAKE)
        assert gradient(loss, REAL) == pytest.approx(
            [(sigmoid(2) - 0.9) / 2, (sigmoid(-1) - 0.9) / 2]
        )
        assert gradient(loss, FAKE) == pytest.approx([sigmoid(0.5) / 2, sigmoid(0) / 2])
        loss = smooth.generator(None, FAKE)
        assert gradient(loss, FAKE) == pytest.approx(
            [(sigmoid(0.5) - 0.9) / 2, (sigmoid(0) - 0.9) / 2]
        )
        best = torch.tensor([math.log(9)], requires_grad=True)  # sigmoid gives 0.9
        assert gradient(cross_entropy(best, 0.9), best) == pytest.approx([0], abs=1e-7)


def test_least_squares():
    loss = LeastSquares().critic(REAL, FAKE)
    assert loss.item() == pytest.approx((1 + 4) / 2 + 0.25 / 2)
    assert gradient(loss, REAL) == pytest.approx([1, -2])
    assert gradient(loss, FAKE) == pytest.approx([0.5, 0])
    loss = LeastSquares().generator(None, FAKE)
    assert loss.item() == pytest.approx((0.25 + 1) / 2)
    assert gradient(loss, FAKE) == pytest.approx([-0.5, -1])


def test_least_squares_with_targets_of_nine_tenths():
    loss = LeastSquares(real_target=0.9, fake_target=0.9)
    assert loss.critic(REAL, FAKE).item() == pytest.approx((1.1**2 + 1.9**2) / 2 + 0.25 / 2)
    assert loss.generator(None, FAKE).item() == pytest.approx((0.4**2 + 0.9**2) / 2)
    assert loss.lead(REAL, FAKE).tolist() == pytest.approx([1.55, -1.45])


def test_least_squares_of_probabilities():
    loss = LeastSquares(sigmoid=True)
    right = [(sigmoid(2) - 1) ** 2 + sigmoid(0.5) ** 2, (sigmoid(-1) - 1) ** 2 + 0.25]
    assert loss.critic(REAL, FAKE).item() == pytest.approx(sum(right) / 2)
    number = loss.generator(None, FAKE)
    slopes = [(sigmoid(x) - 1) * sigmoid(x) * (1 - sigmoid(x)) for x in (0.5, 0)]
    assert gradient(number, FAKE) == pytest.approx(slopes)


def test_the_minimax_loss_saturates():
    loss = Original(saturating=True)
    number = loss.generator(None, FAKE)
    chance = [1 - sigmoid(0.5), 1 - sigmoid(0)]
    assert number.item() == pytest.approx(sum(map(math.log, chance)) / 2)
    assert gradient(number, FAKE) == pytest.approx([-sigmoid(0.5) / 2, -sigmoid(0) / 2])
    sure = torch.tensor([-20.0], requires_grad=True)  # the discriminator knows a synthetic image
    assert abs(gradient(loss.generator(None, sure), sure)[0]) < 1e-8
    assert gradient(Original().generator(None, sure), sure) == pytest.approx([-1])
    assert loss.critic(REAL, FAKE).item() == Original().critic(REAL, FAKE).item()


@pytest.mark.parametrize("loss", [Wasserstein(), WassersteinPenalty()])
def test_wasserstein_is_a_difference_of_means(loss):
    number = loss.critic(REAL, FAKE)
    assert number.item() == pytest.approx(0.25 - 0.5)
    assert gradient(number, FAKE) == [0.5, 0.5]
    assert gradient(number, REAL) == [-0.5, -0.5]
    assert loss.generator(None, FAKE).item() == -0.25
    drifting = loss.model_copy(update={"drift": 0.001}).critic(REAL, FAKE)
    assert drifting.item() == pytest.approx(-0.25 + 0.001 * (4 + 1) / 2)


def test_clipping_bounds_every_parameter():
    critic = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 1))
    Wasserstein(clip=0.01).constrain(critic)
    assert max(p.abs().max().item() for p in critic.parameters()) == pytest.approx(0.01)
    before = [p.clone() for p in critic.parameters()]
    Original().constrain(critic)
    assert all((a == b).all() for a, b in zip(before, critic.parameters()))


def test_relativistic_looks_at_pairs():
    loss = Relativistic().critic(REAL, FAKE)
    by_hand = -(math.log(sigmoid(1.5)) + math.log(sigmoid(-1))) / 2
    assert loss.item() == pytest.approx(by_hand, rel=1e-6)
    assert gradient(loss, REAL) == pytest.approx([(sigmoid(1.5) - 1) / 2, (sigmoid(-1) - 1) / 2])
    loss = Relativistic().generator(REAL, FAKE)
    by_hand = -(math.log(sigmoid(-1.5)) + math.log(sigmoid(1))) / 2
    assert loss.item() == pytest.approx(by_hand, rel=1e-6)
    assert gradient(loss, FAKE) == pytest.approx([(sigmoid(-1.5) - 1) / 2, (sigmoid(1) - 1) / 2])
    with pytest.raises(ValueError, match="real images too"):
        Relativistic().generator(None, FAKE)


class Linear(nn.Module):
    """c(x) = <w, x>: its gradient is w everywhere, so penalties are known in closed form."""

    def __init__(self, scale=3.0):
        super().__init__()
        self.w = nn.Parameter(torch.full((1, 2, 2), scale / 2))  # of norm `scale`
        self.seen = None

    def forward(self, images):
        self.seen = images.detach()
        return (images * self.w).sum((1, 2, 3))


IMAGES = torch.arange(8.0).reshape(2, 1, 2, 2) / 4 - 1
OTHERS = -IMAGES


class TestPenalties:
    @pytest.mark.parametrize("loss", [WassersteinPenalty(weight=10), Dragan(weight=10)])
    def test_two_sided_of_a_linear_critic(self, loss):
        critic = Linear(3.0)
        penalty = loss.penalty(critic, IMAGES, OTHERS, uniform_of(0.5, 0.5))
        assert penalty.item() == pytest.approx(10 * (3 - 1) ** 2)
        penalty.backward()  # d/dw of 10 (|w| - 1)^2 is 20 (|w| - 1) w / |w|
        assert critic.w.grad.flatten().tolist() == pytest.approx([20 * 2 * 0.5] * 4)

    def test_zero_centred_of_a_linear_critic(self):
        critic = Linear(3.0)
        penalty = Relativistic(r1=1, r2=0.5).penalty(critic, IMAGES, OTHERS, uniform_of())
        assert penalty.item() == pytest.approx(1 / 2 * 9 + 0.5 / 2 * 9)
        penalty.backward()  # d/dw of gamma/2 |w|^2 is gamma w
        assert critic.w.grad.flatten().tolist() == pytest.approx([1.5 * 1.5] * 4)
        assert Relativistic(r1=0, r2=0).penalty(critic, IMAGES, OTHERS, uniform_of()).item() == 0

    def test_a_critic_without_slope_has_a_gradient(self):
        critic = Linear(0.0)
        WassersteinPenalty().penalty(critic, IMAGES, OTHERS, uniform_of(0.5)).backward()
        assert torch.isfinite(critic.w.grad).all()

    def test_wgangp_looks_between_real_and_synthetic_with_one_alpha_an_image(self):
        critic = Linear()
        alpha = torch.tensor([0.25, 1.0]).reshape(2, 1, 1, 1)
        WassersteinPenalty().penalty(critic, IMAGES, OTHERS, uniform_of(alpha))
        assert torch.allclose(critic.seen[0], 0.25 * IMAGES[0] + 0.75 * OTHERS[0])
        assert torch.allclose(critic.seen[1], IMAGES[1])

    @pytest.mark.parametrize(
        ("points", "expected"),
        [
            ("kodali", lambda x, sigma: x + 0.25 * 0.5 * sigma * 0.8),
            ("delplace", lambda x, sigma: 0.25 * x + 0.75 * 0.5 * sigma * 0.8),
            ("delplace-coded", lambda x, sigma: 0.75 * x + 0.25 * 0.5 * sigma * 0.8),
            ("delplace-coded-dcgan", lambda x, sigma: 0.75 * x + 0.25 * 0.5 * sigma * 0.8),
        ],
    )
    def test_where_dragan_looks(self, points, expected):
        critic = Linear()
        Dragan(points=points).penalty(critic, IMAGES, OTHERS, uniform_of(0.25, 0.8))
        sigma = IMAGES.flatten().std(correction=0)
        assert torch.allclose(critic.seen, expected(IMAGES, sigma))

    def test_delplaces_dcgan_draws_alpha_a_pixel_and_norms_columns(self):
        shapes = []

        def draw(shape):
            shapes.append(shape)
            return torch.rand(2, *shape)

        loss = Dragan(points="delplace-coded-dcgan", weight=0.25)
        penalty = loss.penalty(Linear(3.0), IMAGES, OTHERS, draw)
        assert shapes == [(1, 2, 2), (1, 2, 2)]
        assert penalty.item() == pytest.approx(0.25 * (1.5 * 2**0.5 - 1) ** 2)
        Dragan().penalty(Linear(), IMAGES, OTHERS, draw)
        assert shapes[2:] == [(1, 1, 1), (1, 2, 2)]

    def test_the_gradient_does_not_reach_the_generator(self):
        fake = OTHERS.clone().requires_grad_()
        penalty = WassersteinPenalty().penalty(Linear(), IMAGES, fake, uniform_of(0.5))
        assert torch.autograd.grad(penalty, fake, allow_unused=True) == (None,)

    def test_intervals(self):
        assert [Original().interval, Wasserstein().interval] == [0, 0]
        assert [WassersteinPenalty(every=4).interval, Dragan().interval] == [4, 1]
