"""Progressive growing: the networks, the schedule, and a training in mid-fade."""

import json

import pytest
import torch
import torch.nn.functional as F

from conftest import blobs, write_slices
from mrgantry.common.errors import RecipeError
from mrgantry.generate import Run, sample, train
from mrgantry.generate.layers import MinibatchStd
from mrgantry.generate.losses import WassersteinPenalty
from mrgantry.generate.networks import Progressive
from mrgantry.generate.recipe import Adam
from mrgantry.generate.schedule import Growing, Stage, Steps, shrink
from mrgantry.papers import find_recipe
from recipes import SMALL

TINY = Progressive(base=128, widest=16, latent=8)
GROWING = SMALL.model_copy(
    update={
        "network": TINY,
        "loss": WassersteinPenalty(drift=0.001),
        "optimiser": Adam(lr=1e-3, beta1=0, beta2=0.99),
        "schedule": Growing(),
    }
)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_map_of_the_minibatchs_spread_can_be_left_out():
    for there in (True, False):
        critic = Progressive(base=128, widest=16, minibatch_std=there).critic(16, 1)
        maps = [m for m in critic.modules() if isinstance(m, MinibatchStd)]
        assert len(maps) == there
        assert critic(torch.zeros(4, 1, 16, 16)).shape == (4, 1)


def test_original_widths():
    assert Progressive().widths(256) == [512, 512, 512, 512, 256, 128, 64]
    delplace = find_recipe("delplace2020-progan-wgangp-256").network
    assert delplace.widths(256) == [512, 512, 256, 128, 64, 32, 16]


@pytest.mark.parametrize("plan", [Progressive(), Progressive(kernel=5, base=4096)])
def test_parameters_at_256_follow_from_the_widths(plan):
    widths, k = plan.widths(256), plan.kernel**2
    with torch.device("meta"):
        generator, critic = plan.generator(256, 1), plan.critic(256, 1)
    ours = 512 * 512 * 16 + 512 + 512 * 512 * 9 + 512  # one bias a channel, at 4x4 too
    ours += sum(a * b * k + b + b * b * k + b for a, b in zip(widths, widths[1:]))
    assert count(generator) == ours + sum(width + 1 for width in widths)
    theirs = 513 * 512 * 9 + 512 + 512 * 16 * 512 + 512 + 512 + 1
    theirs += sum(b * b * k + b + b * a * k + a for a, b in zip(widths, widths[1:]))
    assert count(critic) == theirs + sum(2 * width for width in widths)


@pytest.mark.parametrize("size", [4, 8, 16, 32])
def test_both_networks_work_at_every_size_on_the_way(size):
    generator, critic = TINY.generator(32, 2, 3), TINY.critic(32, 2, 3)
    for alpha in (1.0, 0.5) if size > 4 else (1.0,):
        generator.grow(Stage(size, alpha)), critic.grow(Stage(size, alpha))
        images = generator(torch.randn(5, 11))
        assert images.shape == (5, 2, size, size)
        assert critic(images).shape == (5, 4)


class TestFade:
    """alpha 0 and 1 are the smaller and the larger network."""

    def test_generator(self):
        generator = TINY.generator(16, 1).eval()
        latents = torch.randn(3, 8)
        generator.grow(Stage(8))
        before = F.interpolate(generator(latents), scale_factor=2.0)
        generator.grow(Stage(16, 0.0))
        assert torch.allclose(generator(latents), before)
        generator.grow(Stage(16))
        whole = generator(latents)
        generator.grow(Stage(16, 0.999999))
        assert torch.allclose(generator(latents), whole, atol=1e-4)
        generator.grow(Stage(16, 0.25))
        assert torch.allclose(generator(latents), 0.75 * before + 0.25 * whole, atol=1e-6)

    def test_critic(self):
        critic = TINY.critic(16, 1)
        images = torch.randn(4, 1, 16, 16)
        critic.grow(Stage(8))
        before = critic(F.avg_pool2d(images, 2))
        critic.grow(Stage(16, 0.0))
        assert torch.allclose(critic(images), before, atol=1e-5)
        critic.grow(Stage(16))
        whole = critic(images)
        critic.grow(Stage(16, 0.999999))
        assert torch.allclose(critic(images), whole, atol=1e-4)

    def test_real_images(self):
        images = torch.randn(2, 1, 32, 32)
        coarse = F.interpolate(F.avg_pool2d(images, 4), scale_factor=2.0)
        assert torch.allclose(shrink(images, Stage(16, 0.0)), coarse, atol=1e-6)
        assert torch.allclose(shrink(images, Stage(16)), F.avg_pool2d(images, 2))
        assert torch.equal(shrink(images, Stage(32)), images)


class TestSchedule:
    def test_thirteen_equal_phases_up_to_256(self):
        stages = [Growing().at(i, 1300, 256) for i in range(0, 1300, 100)]
        assert [stage.size for stage in stages] == [
            4,
            8,
            8,
            16,
            16,
            32,
            32,
            64,
            64,
            128,
            128,
            256,
            256,
        ]
        assert [stage.phase for stage in stages] == list(range(13))
        assert [stage.alpha for stage in stages] == [1, 0] * 6 + [1]
        assert Growing().at(150, 1300, 256).alpha == 0.5
        assert Growing().at(1300, 1300, 256) == Stage(256, 1.0, 12)

    def test_the_start_of_a_short_wgan_run_shrinks(self, caplog):
        steps = Steps(critic=5, many=100, first=25, every=500)
        assert steps.fitting(16_000) == Steps(critic=5, many=80, first=25)
        assert "its first 25 rounds get 80 critic steps each instead of 100" in caplog.text
        assert steps.fitting(20_000) is steps
        assert steps.fitting(10).many == 5


@pytest.fixture
def rounds(monkeypatch):
    """Note size, alpha and the age of the critic's optimiser in every round."""
    from mrgantry.generate.adversarial import GanTraining

    seen, plain = [], GanTraining.critic_step

    def noting(self, real, fake, labels):
        assert real.shape == fake.shape
        state = self.state.optimisers["critic"].state.values()
        ages = [int(one["step"]) for one in state] or [0]
        seen.append((real.shape[-1], self.stage.alpha, max(ages)))
        return plain(self, real, fake, labels)

    monkeypatch.setattr(GanTraining, "critic_step", noting)
    return seen


def test_training_grows_and_resets(slices, tmp_path, rounds):
    train(slices.folder, tmp_path / "run", GROWING)
    sizes = [size for size, _, _ in rounds]
    assert sizes == [4] * 16 + [8] * 32 + [16] * 32
    assert [number for number, row in enumerate(rounds) if row[2] == 0] == [0, 16, 32, 48, 64]
    alphas = [alpha for _, alpha, _ in rounds]
    assert alphas[16:32] == [number / 16 for number in range(16)] and set(alphas[32:48]) == {1.0}


@pytest.mark.parametrize("at", [80, 240])
def test_a_run_stopped_between_phases_goes_on_exactly(slices, tmp_path, at):
    """There the optimisers forget, once."""
    recipe = GROWING.set(["images=400"])  # five phases of 80, and a snapshot every 80

    def stop(run, images):
        if images == at:
            raise KeyboardInterrupt

    train(slices.folder, tmp_path / "whole", recipe)
    with pytest.raises(KeyboardInterrupt):
        train(slices.folder, tmp_path / "parts", recipe, on_snapshot=stop)
    train(slices.folder, tmp_path / "parts", recipe)
    assert_same_weights(tmp_path / "whole", tmp_path / "parts")


def assert_same_weights(one, other):
    for name in ("generator", "critic", "ema"):
        path = f"weights/{name}.safetensors"
        assert (one / path).read_bytes() == (other / path).read_bytes()


def test_a_run_stopped_in_mid_fade_goes_on_exactly(slices, tmp_path):
    def stop(run, images):
        if images >= 160:  # in the fading of 8 pixels
            raise KeyboardInterrupt

    train(slices.folder, tmp_path / "whole", GROWING)
    with pytest.raises(KeyboardInterrupt):
        train(slices.folder, tmp_path / "parts", GROWING, on_snapshot=stop)
    assert json.loads((tmp_path / "parts/log.jsonl").read_text().splitlines()[-1])["images"] == 160
    # The log may be ahead of the weights; these are of the fading of 8 pixels.
    with (tmp_path / "parts/log.jsonl").open("a") as file:
        file.write('{"images": 400, "seconds": 1.0}\n')
    made = sample(tmp_path / "parts", tmp_path / "early", 4)
    assert made.images.shape == (4, 1, 16, 16)
    assert (made.images[..., ::2, ::2] == made.images[..., 1::2, 1::2]).all()
    train(slices.folder, tmp_path / "parts", GROWING)
    assert_same_weights(tmp_path / "whole", tmp_path / "parts")


def test_at_full_size_without_a_schedule(slices, tmp_path, rounds):
    train(slices.folder, tmp_path / "run", GROWING.set(["schedule=null", "images=64"]))
    assert {size for size, _, _ in rounds} == {16}
    assert Run.open(tmp_path / "run").generator()(torch.randn(2, 8)).shape == (2, 1, 16, 16)


def test_other_networks_cannot_grow(slices, tmp_path):
    with pytest.raises(RecipeError, match="network 'upconv' cannot grow"):
        train(slices.folder, tmp_path / "run", GROWING.set(["network=upconv"]))


@pytest.mark.parametrize("size", [2, 48])
def test_sizes_that_cannot_be_made(size):
    with pytest.raises(RecipeError, match=f"not of {size}"):
        TINY.generator(size, 1)


def test_real_images_of_several_subjects_train(tmp_path):
    data = write_slices(tmp_path / "s", blobs(8, 8), list("aabbccdd"), ["train"] * 8)
    recipe = GROWING.set(["size=8", "images=96"])
    assert train(data.folder, tmp_path / "run", recipe).images == 96
