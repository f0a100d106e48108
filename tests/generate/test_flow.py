"""The path from noise to images, by a data distribution of which everything is known."""

import pytest
import torch

from mrgantry.generate.flow import Flow, FlowSampler, Sampler

MIDDLE, SPREAD = 0.4, 0.3  # of images whose pixels are all independent and normal
NOISE = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))
NO_LABELS = torch.zeros(64, 0)


def perfect(flow):
    """The mean of all images that could have led to a noisy one: known for normal pixels."""
    middle, variance = MIDDLE / flow.scale, (SPREAD / flow.scale) ** 2

    def denoise(noisy, times, labels):
        t = flow.shifted(times)[:, None, None, None]
        gain = variance * (1 - t) / (variance * (1 - t) ** 2 + t**2)
        return middle + gain * (noisy - (1 - t) * middle)

    return denoise


@pytest.mark.parametrize("shift", [1.0, 2.0])
@pytest.mark.parametrize(
    ("method", "steps", "most"), [("euler", 200, 0.01), ("heun", 40, 0.002), ("multistep", 40, 0.004)]
)
def test_noise_becomes_the_images_that_it_should(method, steps, most, shift):
    flow = Flow(shift=shift)
    images = Sampler(method=method, steps=steps).go(flow, perfect(flow), NOISE, NO_LABELS)
    # Straight lines between normal distributions end at the same quantile.
    assert (images - (MIDDLE + SPREAD * NOISE)).abs().max() < most * 4


def test_two_looks_a_step_and_one_with_memory_are_better_than_one():
    flow = Flow()
    wanted = MIDDLE + SPREAD * NOISE
    away = {
        method: (Sampler(method=method, steps=16).go(flow, perfect(flow), NOISE, NO_LABELS) - wanted)
        .abs()
        .mean()
        for method in ("euler", "heun", "multistep")
    }
    assert away["heun"] < away["euler"] / 4 and away["multistep"] < away["euler"] / 2


@pytest.mark.parametrize("method", ["euler", "heun", "multistep"])
def test_the_way_back_leads_to_the_noise_it_came_from(method):
    flow, sampler = Flow(), Sampler(method=method, steps=100)
    images = MIDDLE + SPREAD * NOISE
    noise = sampler.go(flow, perfect(flow), images, NO_LABELS, backwards=True)
    assert (noise - NOISE).abs().mean() < 0.05
    again = sampler.go(flow, perfect(flow), noise, NO_LABELS)
    assert (again - images).abs().mean() < 0.02


def test_the_error_is_that_of_the_velocity():
    flow = Flow(scale=1.0)
    images, times = torch.full((2, 1, 4, 4), 0.5), torch.tensor([0.5, 0.25])
    noise = torch.ones(2, 1, 4, 4)
    seen = {}

    def denoise(noisy, t, labels):
        seen["noisy"] = noisy
        return torch.zeros_like(noisy)

    errors = flow.errors(denoise, images, torch.zeros(2, 0), times, noise)
    torch.testing.assert_close(seen["noisy"][:, 0, 0, 0], torch.tensor([0.75, 0.625]))
    # True velocity e - x = 0.5; that of an image of zeros is x_t / t.
    torch.testing.assert_close(errors, torch.tensor([(1.5 - 0.5) ** 2, (2.5 - 0.5) ** 2]))


def test_no_denoiser_has_a_smaller_error_than_the_perfect_one():
    flow = Flow()
    random = torch.Generator().manual_seed(1)
    images = MIDDLE + SPREAD * torch.randn(512, 1, 8, 8, generator=random)
    noise = torch.randn(images.shape, generator=random)
    times = torch.rand(512, generator=random)

    def error(by):
        def denoise(noisy, t, labels):
            return perfect(flow)(noisy, t, labels) + by

        return flow.errors(denoise, images, torch.zeros(512, 0), times, noise).mean()

    assert error(0) < error(0.05) and error(0) < error(-0.05)


def test_the_last_trace_of_noise_does_not_outweigh_all_else():
    flow = Flow(least=0.1, scale=1.0)
    images = torch.zeros(2, 1, 4, 4)
    times = torch.tensor([0.1, 1e-6])
    errors = flow.errors(
        lambda noisy, t, labels: torch.ones_like(noisy), images, torch.zeros(2, 0), times, images
    )
    assert errors[0].item() == pytest.approx(errors[1].item(), rel=1e-4)


def test_times_are_moved_towards_noise_and_keep_their_ends():
    times = torch.linspace(0, 1, 11)
    moved = Flow(shift=3.0).shifted(times)
    assert (moved[0], moved[-1]) == (0, 1) and (moved[1:-1] > times[1:-1]).all()
    assert torch.equal(Flow().shifted(times), times)


def test_guidance_goes_further_than_the_labels_say_and_1_looks_once():
    flow, labels, looks = Flow(), torch.ones(64, 1), []

    def denoise(noisy, times, labels):
        looks.append(labels[:, 0].mean().item())
        return labels[:, :, None, None].expand_as(noisy) * 0.2

    plain = Sampler(steps=4).go(flow, denoise, NOISE, labels)
    assert looks == [1.0] * 4
    further = Sampler(steps=4, guidance=3.0).go(flow, denoise, NOISE, labels)
    assert looks[4:] == [1.0, 0.0] * 4
    torch.testing.assert_close(plain, torch.full_like(plain, 0.2 * flow.scale))
    torch.testing.assert_close(further, 3 * plain)


def test_a_sampler_is_a_generator_of_latents_with_labels_behind_them():
    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(()))

        def forward(self, noisy, times, labels):
            assert labels.shape == (3, 2) and noisy.shape == (3, 2, 4, 4)
            return noisy * 0 + self.weight + labels[:, :1, None, None]

    sampler = FlowSampler(Network(), Flow(), Sampler(steps=2), (2, 4, 4))
    inputs = torch.cat([torch.randn(3, 32), torch.eye(3)[:, :2]], 1)
    images = sampler(inputs)
    assert images.shape == (3, 2, 4, 4)
    torch.testing.assert_close(images[:, 0, 0, 0], torch.tensor([0.5, 0.0, 0.0]))


def test_the_path_is_that_of_monai():
    schedulers = pytest.importorskip("monai.networks.schedulers.rectified_flow")
    scheduler = schedulers.RFlowScheduler(num_train_timesteps=1000)
    random = torch.Generator().manual_seed(0)
    images, noise = (torch.randn(2, 1, 4, 4, generator=random) for _ in range(2))
    steps = torch.tensor([250, 700])
    seen = {}

    def denoise(noisy, times, labels):
        seen["noisy"] = noisy
        return noisy

    Flow(scale=1.0).errors(denoise, images, torch.zeros(2, 0), steps / 1000, noise)
    theirs = scheduler.add_noise(images, noise, steps)
    torch.testing.assert_close(seen["noisy"], theirs, atol=2e-3, rtol=0)
