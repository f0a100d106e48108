"""The path from noise to images, by a data distribution of which everything is known."""

import pytest
import torch

from mrgantry.generate.flow import Flow, FlowSampler, Sampler, channel_weights
from mrgantry.generate.guess import LinearGuess

MIDDLE, SPREAD = 0.4, 0.3  # of images whose pixels are all independent and normal
NOISE = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))
NO_LABELS = torch.zeros(64, 0)


def denoiser(flow, respond, side=8):
    return flow.denoiser(respond, LinearGuess((1, side, side)))


def perfect(flow, by=0.0, spread=SPREAD):
    """A network that sees the mean of all images that could have led to a noisy one.

    For normal pixels that mean is known; `by` is added to it.
    """
    middle, variance = (MIDDLE + 1) / flow.scale, (spread / flow.scale) ** 2

    def respond(noisy, times, labels):
        t = flow.shifted(times)[:, None, None, None]
        gain = variance * (1 - t) / (variance * (1 - t) ** 2 + t**2)
        return said_by(flow, noisy, t, middle + gain * (noisy - (1 - t) * middle) + by)

    return denoiser(flow, respond)


def said_by(flow, noisy, t, image):
    """What a network says that sees an image in a noisy one."""
    if flow.predicts == "velocity":
        return (noisy - image) / t
    spread = (1 - t) ** 2 + t**2
    return (image - (1 - t) / spread * noisy) / (t / spread**0.5)


@pytest.mark.parametrize("predicts", ["residual", "velocity"])
@pytest.mark.parametrize("shift", [1.0, 2.0])
@pytest.mark.parametrize(
    ("method", "steps", "most"),
    [("euler", 200, 0.01), ("heun", 40, 0.002), ("multistep", 40, 0.004)],
)
def test_noise_becomes_the_images_that_it_should(method, steps, most, shift, predicts):
    flow = Flow(shift=shift, predicts=predicts)
    images = Sampler(method=method, steps=steps).go(flow, perfect(flow), NOISE, NO_LABELS)
    # Straight lines between normal distributions end at the same quantile.
    assert (images - (MIDDLE + SPREAD * NOISE)).abs().max() < most * 4


@pytest.mark.parametrize("shift", [1.0, 2.0])
@pytest.mark.parametrize("time", [0.1, 0.5, 0.9])
def test_images_in_some_noise_become_those_at_their_quantile(time, shift):
    flow = Flow(shift=shift)
    strangers = torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(1)) - 0.5
    sampler = Sampler(method="heun", steps=80)
    images = sampler.renoise(flow, perfect(flow), strangers, NOISE, NO_LABELS, time)
    t = flow.shifted_time(time)
    middle, spread = (MIDDLE + 1) / flow.scale, SPREAD / flow.scale
    points = (1 - t) * flow.to_unit(strangers) + t * NOISE
    quantiles = (points - (1 - t) * middle) / ((1 - t) ** 2 * spread**2 + t**2) ** 0.5
    assert (images - (MIDDLE + SPREAD * quantiles)).abs().max() < 0.02


def test_two_looks_a_step_and_one_with_memory_are_better_than_one():
    flow = Flow()
    wanted = MIDDLE + SPREAD * NOISE
    away = {
        method: (
            Sampler(method=method, steps=16).go(flow, perfect(flow), NOISE, NO_LABELS) - wanted
        )
        .abs()
        .mean()
        for method in ("euler", "heun", "multistep")
    }
    assert away["heun"] < away["euler"] / 4 and away["multistep"] < away["euler"] / 2


def test_steps_dense_at_both_ends_leave_images_their_sharpness():
    # Pixels of little spread, as fine detail has: even steps smooth it away.
    flow = Flow()
    detail = {}
    for spacing in ("even", "ends"):
        sampler = Sampler(steps=16, spacing=spacing)
        images = sampler.go(flow, perfect(flow, spread=0.02), NOISE, NO_LABELS)
        detail[spacing] = float(images.std()) / 0.02
    assert abs(detail["ends"] - 1) < abs(detail["even"] - 1) / 2, detail


@pytest.mark.parametrize("spacing", ["even", "ends"])
@pytest.mark.parametrize("steps", [1, 2, 16])
def test_steps_go_from_noise_to_an_image(steps, spacing):
    times = Sampler(steps=steps, spacing=spacing).times()
    assert len(times) == steps + 1 and times[0] == 1 and times[-1] == 0
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize("method", ["euler", "heun", "multistep"])
def test_the_way_back_leads_to_the_noise_it_came_from(method):
    flow, sampler = Flow(), Sampler(method=method, steps=100)
    images = MIDDLE + SPREAD * NOISE
    noise = sampler.go(flow, perfect(flow), images, NO_LABELS, backwards=True)
    assert (noise - NOISE).abs().mean() < 0.05
    again = sampler.go(flow, perfect(flow), noise, NO_LABELS)
    assert (again - images).abs().mean() < 0.02


@pytest.mark.parametrize("predicts", ["residual", "velocity"])
def test_the_error_is_that_of_the_velocity(predicts):
    flow = Flow(scale=1.0, predicts=predicts)
    images, times = torch.full((2, 1, 4, 4), -0.5), torch.tensor([0.5, 0.25])
    noise = torch.ones(2, 1, 4, 4)
    seen = {}

    def respond(noisy, t, labels):
        seen["noisy"] = noisy
        return said_by(flow, noisy, t[:, None, None, None], torch.zeros_like(noisy))

    denoise = denoiser(flow, respond, side=4)
    errors = flow.errors(denoise, images, torch.zeros(2, 0), times, noise)
    # Half grey is 0.5 above black.
    torch.testing.assert_close(seen["noisy"][:, 0, 0, 0], torch.tensor([0.75, 0.625]))
    # True velocity e - x = 0.5; that of an image of zeros is x_t / t.
    torch.testing.assert_close(errors, torch.tensor([(1.5 - 0.5) ** 2, (2.5 - 0.5) ** 2]))


def test_classes_of_maps_count_together_as_one_image():
    assert channel_weights(2, 0) is None
    weights = channel_weights(2, 4)
    torch.testing.assert_close(weights, torch.tensor([1 / 3, 1 / 3, *[1 / 12] * 4]))

    flow = Flow(scale=1.0, predicts="velocity")
    images, times = torch.zeros(1, 3, 4, 4), torch.tensor([0.5])
    wrong = torch.tensor([1.0, 2.0, 3.0])[None, :, None, None]

    def denoise(noisy, t, labels):
        return flow.to_unit(images) + wrong * 0.5

    plain = flow.errors(denoise, images, torch.zeros(1, 0), times, torch.ones(1, 3, 4, 4))
    assert float(plain) == pytest.approx((1 + 4 + 9) / 3)
    weighed = flow.errors(
        denoise, images, torch.zeros(1, 0), times, torch.ones(1, 3, 4, 4), channel_weights(1, 2)
    )
    assert float(weighed) == pytest.approx(1 / 2 + (4 + 9) / 4)


def test_nothing_has_a_smaller_error_than_the_perfect_network():
    flow = Flow()
    random = torch.Generator().manual_seed(1)
    images = MIDDLE + SPREAD * torch.randn(512, 1, 8, 8, generator=random)
    noise = torch.randn(images.shape, generator=random)
    times = 0.05 + 0.9 * torch.rand(512, generator=random)

    def error(by):
        return flow.errors(perfect(flow, by), images, torch.zeros(512, 0), times, noise).mean()

    assert error(0) < error(0.05) and error(0) < error(-0.05)


def test_a_trace_of_grey_is_black_and_all_other_greys_come_back():
    flow = Flow(gap=0.1)
    images = torch.tensor([-1.0, -0.999, -0.5, 1.0])
    unit = flow.to_unit(images)
    torch.testing.assert_close(unit, torch.tensor([0.0, 0.202, 1.2, 4.2]))
    torch.testing.assert_close(flow.from_unit(unit).clamp(-1, 1), images)
    assert (flow.from_unit(unit[:1] + torch.tensor([-0.15, 0.15])).clamp(-1, 1) == -1).all()


def test_times_are_spread_as_told():
    normals = torch.tensor([-1.0, 0.0, 1.0])
    logits = torch.logit(Flow(logit_mean=0.5, logit_spread=2.0).draw_times(normals))
    torch.testing.assert_close(logits, torch.tensor([-1.5, 0.5, 2.5]))


def test_times_are_moved_towards_noise_and_keep_their_ends():
    times = torch.linspace(0, 1, 11)
    moved = Flow(shift=3.0).shifted(times)
    assert (moved[0], moved[-1]) == (0, 1) and (moved[1:-1] > times[1:-1]).all()
    assert torch.equal(Flow().shifted(times), times)


def test_guidance_goes_further_than_the_labels_say_and_1_looks_once():
    flow, labels, looks = Flow(scale=1.0), torch.ones(64, 1), []

    def respond(noisy, times, labels):
        looks.append(labels[:, 0].mean().item())
        image = labels[:, :, None, None].expand_as(noisy) * 0.2
        return said_by(flow, noisy, flow.shifted(times)[:, None, None, None], image)

    denoise = denoiser(flow, respond)
    plain = Sampler(steps=4).go(flow, denoise, NOISE, labels)
    assert looks == [1.0] * 4
    further = Sampler(steps=4, guidance=3.0).go(flow, denoise, NOISE, labels)
    assert looks[4:] == [1.0, 0.0] * 4
    torch.testing.assert_close(plain, torch.full_like(plain, 0.2 - 1))
    torch.testing.assert_close(further, torch.full_like(plain, 3 * 0.2 - 1))


def test_a_sampler_is_a_generator_of_latents_with_labels_behind_them():
    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(()))

        def forward(self, noisy, times, labels):
            assert labels.shape == (3, 2) and noisy.shape == (3, 2, 4, 4)
            image = labels[:, :1, None, None].expand_as(noisy) + self.weight
            return (noisy - image) / times[:, None, None, None]

    flow = Flow(predicts="velocity", scale=0.5)
    sampler = FlowSampler(Network(), flow, LinearGuess((2, 4, 4)), Sampler(steps=2))
    images = sampler(torch.cat([torch.randn(3, 32), torch.eye(3)[:, :2]], 1))
    assert images.shape == (3, 2, 4, 4)
    torch.testing.assert_close(images[:, 0, 0, 0], torch.tensor([-0.5, -1.0, -1.0]))


def test_the_path_is_that_of_monai():
    schedulers = pytest.importorskip("monai.networks.schedulers.rectified_flow")
    scheduler = schedulers.RFlowScheduler(num_train_timesteps=1000)
    random = torch.Generator().manual_seed(0)
    images, noise = 2 * torch.rand(2, 1, 4, 4, generator=random), torch.randn(2, 1, 4, 4)
    steps = torch.tensor([250, 700])
    seen = {}

    def respond(noisy, times, labels):
        seen["noisy"] = noisy
        return noisy

    flow = Flow(scale=1.0)
    denoise = denoiser(flow, respond, side=4)
    flow.errors(denoise, images - 1, torch.zeros(2, 0), steps / 1000, noise)
    theirs = scheduler.add_noise(images, noise, steps)
    torch.testing.assert_close(seen["noisy"], theirs, atol=2e-3, rtol=0)
