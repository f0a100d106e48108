import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from conftest import blobs, write_slices
from mrgantry.common.errors import DataError, RecipeError, RunError
from mrgantry.data import SlicePlan, prepare
from mrgantry.data.rows import choose_rows
from mrgantry.generate import Run, sample, train
from mrgantry.generate.adversarial import GanTraining
from mrgantry.generate.losses import Original, Wasserstein
from mrgantry.generate.networks import Dcgan
from mrgantry.generate.recipe import RmsProp
from mrgantry.generate.schedule import Steps
from mrgantry.generate.state import update_ema
from mrgantry.generate.training import stream_of
from recipes import SMALL

BRIEF = SMALL.set(["images=64"])  # where it matters that there is a run, not what it learnt
WGAN = SMALL.model_copy(
    update={
        "network": Dcgan(width=16, latent=8),
        "loss": Wasserstein(),
        "optimiser": RmsProp(),
        "steps": Steps(critic=2, many=4, first=1, every=20),
        "ema": None,
    }
)


def weights(run):
    return {path.name: path.read_bytes() for path in (run / "weights").iterdir()}


def log_of(run):
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{key: row[key] for key in row if key != "seconds"} for row in rows]


class StopHere(Exception):
    pass


def stop_at(images):
    def stop(run, seen):
        if seen >= images:
            raise StopHere

    return stop


@pytest.mark.parametrize("recipe", [SMALL.set(["vat=1"]), WGAN, SMALL.set(["precision=bf16"])])
def test_a_resumed_run_equals_an_uninterrupted_one(slices, tmp_path, recipe):
    train(slices.folder, tmp_path / "whole", recipe)
    for images in (100, 300):
        with pytest.raises(StopHere):
            train(slices.folder, tmp_path / "parts", recipe, on_snapshot=stop_at(images))
    train(slices.folder, tmp_path / "parts", recipe)
    assert weights(tmp_path / "whole") == weights(tmp_path / "parts")
    assert log_of(tmp_path / "whole") == log_of(tmp_path / "parts")


def test_a_run_leaves_what_it_promises(slices, tmp_path):
    seen = []
    run = train(slices.folder, tmp_path / "run", SMALL, on_snapshot=lambda _, n: seen.append(n))
    assert seen[-1] == run.images == 640
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {
        "recipe.json",
        "run.json",
        "log.jsonl",
        "samples",
        "weights",
        "state.pt",
        "tensorboard",
    }
    with Image.open(tmp_path / f"run/samples/{640:09d}.png") as picture:
        assert picture.size == (128, 128)
    assert run.facts.training_subjects == ("s0", "s1", "s2", "s3", "s4")
    assert run.facts.data_fingerprint == slices.about.fingerprint
    assert any((tmp_path / "run/tensorboard").iterdir())


def test_training_moves_images_towards_the_data(slices, tmp_path):
    recipe = SMALL.set(["images=6400", "lr=2e-3"])
    train(slices.folder, tmp_path / "run", recipe)
    made = sample(tmp_path / "run", tmp_path / "out", 64)
    real = slices.images.astype(np.float32).mean(0)
    inputs, _ = Run.open(tmp_path / "run").inputs(range(64))
    untrained = recipe.network.generator(16, 1).eval()(inputs)
    before = np.abs(untrained.detach().numpy().mean(0) - real).mean()
    after = np.abs(made.images.astype(np.float32).mean(0) - real).mean()
    assert after < before / 3


def test_a_changed_recipe_is_refused(slices, tmp_path):
    train(slices.folder, tmp_path / "run", BRIEF)
    with pytest.raises(RunError, match=r"optimiser\.lr was 0\.0002, now 0\.001"):
        train(slices.folder, tmp_path / "run", BRIEF.set(["lr=1e-3"]))


def test_other_data_are_refused(slices, tmp_path):
    train(slices.folder, tmp_path / "run", BRIEF)
    other = write_slices(tmp_path / "other", blobs(8, seed=1), list("aabbccdd"), ["train"] * 8)
    with pytest.raises(RunError, match="are not those it began with"):
        train(other.folder, tmp_path / "run", BRIEF)
    with pytest.raises(RunError, match="only was"):
        train(slices.folder, tmp_path / "run", BRIEF, only=["sequence=t1"])


def test_a_foreign_folder_is_left_alone(slices, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="is not empty and is not a training run"):
        train(slices.folder, tmp_path / "run", SMALL)


def test_the_size_must_fit(slices, tmp_path):
    with pytest.raises(RecipeError, match="images of 32 x 32 pixels, but .* has images of 16 x 16"):
        train(slices.folder, tmp_path / "run", SMALL.set(["size=32"]))


def test_conditions_on_rows(slices):
    assert len(choose_rows(slices, ["subject=s1"])) == 6
    with pytest.raises(DataError, match="no column 'tumor'"):
        choose_rows(slices, ["tumor=yes"])
    with pytest.raises(DataError, match="No test and train slice"):
        choose_rows(slices, ["tumour=yes"])


def test_a_nan_stops_with_the_reason(slices, tmp_path, monkeypatch):
    monkeypatch.setattr(Original, "generator", lambda self, real, fake: fake.mean() * float("nan"))
    with pytest.raises(RunError, match=r"generator_loss became nan by image 8\. Lower"):
        train(slices.folder, tmp_path / "run", SMALL)
    assert not (tmp_path / "run/state.pt").exists()


def test_batch_and_devices_must_fit(slices, tmp_path):
    with pytest.raises(RecipeError, match="cannot be shared by 3"):
        train(slices.folder, tmp_path / "run", SMALL, devices=3)


def test_no_run_and_no_weights_are_said(tmp_path, slices):
    with pytest.raises(DataError, match="is not a training run"):
        Run.open(tmp_path)
    run = train(slices.folder, tmp_path / "run", BRIEF)
    (tmp_path / "run/weights/ema.safetensors").unlink()
    with pytest.raises(RunError, match="has no weights yet"):
        run.generator()


def test_an_image_follows_from_its_seed_alone(slices, tmp_path):
    train(slices.folder, tmp_path / "run", SMALL)
    all_at_once = sample(tmp_path / "run", tmp_path / "a", 20, seed=0)
    later = sample(tmp_path / "run", tmp_path / "b", 5, seed=10, batch=2)
    np.testing.assert_allclose(all_at_once.images[10:15], later.images, atol=2e-3)
    assert list(later.table["id"]) == [f"run_{seed:07d}" for seed in range(10, 15)]
    assert set(later.table["source"]) == {"synthetic"}
    assert later.about.training_subjects == ("s0", "s1", "s2", "s3", "s4")
    assert sample(tmp_path / "run", tmp_path / "a", 20).about.fingerprint == (
        all_at_once.about.fingerprint
    )
    with pytest.raises(RunError, match="seed was 0, now 1"):
        sample(tmp_path / "run", tmp_path / "a", 20, seed=1)


def test_the_average_has_its_half_life():
    ema, new = nn.Linear(1, 1), nn.Linear(1, 1)
    nn.init.constant_(ema.weight, 0.0)
    nn.init.constant_(new.weight, 1.0)
    update_ema(ema, new, half_life=100, images=100, seen=10**9)
    assert ema.weight.item() == pytest.approx(0.5)


def test_a_log_that_a_kill_cut_short_is_read_up_to_there(slices, tmp_path):
    run = train(slices.folder, tmp_path / "run", BRIEF)
    rows = run.log()
    with (tmp_path / "run/log.jsonl").open("a") as file:
        file.write('{"images": 99')
    assert rows and run.log() == rows


def test_what_was_changed_stands_in_the_command(slices, tmp_path):
    run = train(slices.folder, tmp_path / "run", BRIEF)
    assert run.facts.command.endswith("run --recipe small --set images=64")


def test_the_critic_alone_sees_noise(tmp_path, monkeypatch):
    black = np.full((16, 1, 16, 16), -1, np.float16)
    data = write_slices(tmp_path / "slices", black, ["a"] * 16, ["train"] * 16)
    seen, judge = [], GanTraining.judge

    def watched(training, images, *others, **options):
        seen.append(images.detach())
        return judge(training, images, *others, **options)

    monkeypatch.setattr(GanTraining, "judge", watched)
    recipe = SMALL.set(["images=16", "noise=0.5"])
    train(data.folder, tmp_path / "run", recipe)
    real, fake, to_fool = seen[:3]
    noise = real + 1  # the images themselves are black
    assert noise.std().item() == pytest.approx(0.5, rel=0.1) and abs(noise.mean().item()) < 0.1
    assert not torch.equal(fake, to_fool)  # the generator's step has noise of its own
    seen.clear()
    train(data.folder, tmp_path / "plain", SMALL.set(["images=16"]))
    assert (seen[0] == -1).all() and torch.equal(seen[1], seen[2])


def test_random_streams_are_apart():
    drawn = [torch.randn(4, generator=stream_of(*keys)) for keys in [(0, 1, 2), (0, 2, 1), (0, 1)]]
    assert not torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    assert torch.equal(drawn[0], torch.randn(4, generator=stream_of(0, 1, 2)))


def test_a_retrained_run_is_sampled_afresh(slices, tmp_path):
    train(slices.folder, tmp_path / "run", BRIEF)
    sample(tmp_path / "run", tmp_path / "out", 4)
    train(slices.folder, tmp_path / "other", BRIEF.set(["seed=1"]))
    with pytest.raises(RunError, match="weights was "):
        sample(tmp_path / "other", tmp_path / "out", 4)


def test_a_kill_before_the_first_facts_does_not_stop_the_same_command(slices, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/recipe.json").write_text("{}")
    (tmp_path / "run/.123.run.json").write_text("{")
    assert train(slices.folder, tmp_path / "run", BRIEF).images == 64


def test_a_damaged_state_is_said(slices, tmp_path):
    with pytest.raises(StopHere):
        train(slices.folder, tmp_path / "run", SMALL, on_snapshot=stop_at(100))
    state = tmp_path / "run/state.pt"
    state.write_bytes(state.read_bytes()[:5000])
    with pytest.raises(RunError, match="is damaged"):
        train(slices.folder, tmp_path / "run", SMALL)


def test_an_impossible_network_leaves_no_run(tmp_path):
    data = write_slices(tmp_path / "s", blobs(8, 100), list("aabbccdd"), ["train"] * 8)
    with pytest.raises(RecipeError, match="not of 100"):
        train(data.folder, tmp_path / "run", SMALL.set(["size=100"]))
    assert not (tmp_path / "run").exists()


def test_oblique_poses_train_like_slices_and_resume_exactly(cohort, tmp_path):
    plan = SlicePlan(plane="oblique", poses=4, size=16, field_mm=24)
    posed = prepare(cohort, tmp_path / "posed", plan, workers=1)
    recipe = SMALL.model_copy(update={"images": 160})
    whole = train(posed.folder, tmp_path / "whole", recipe)
    assert whole.facts.training_images == 6 * 48510
    assert whole.facts.plane == "oblique"
    with pytest.raises(StopHere):
        train(posed.folder, tmp_path / "cut", recipe, on_snapshot=stop_at(80))
    cut = train(posed.folder, tmp_path / "cut", recipe)
    assert weights(cut.folder) == weights(whole.folder)
    drawn = sample(whole.folder, tmp_path / "synthetic", 3, 0)
    assert drawn.table["pixel_mm"].tolist() == [1.5] * 3
