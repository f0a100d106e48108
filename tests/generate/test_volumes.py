"""Whole heads are learnt, drawn as scans, and cut like anybody's."""

import json
import shutil

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from conftest import brain_phantom, tumour_phantom, write_nifti
from mrgantry.common import device
from mrgantry.common.errors import DataError, RecipeError, RunError
from mrgantry.data import SlicePlan, prepare
from mrgantry.data.fitness import check_unseen, people_behind
from mrgantry.data.pixels import StoredPixels
from mrgantry.generate import Run, memory, sample, sample_cohort, train, walk
from mrgantry.generate.cohorts import BRIGHTEST
from mrgantry.generate.flow_training import FlowTraining
from mrgantry.generate.guess import LinearGuess
from mrgantry.generate.networks import MonaiUNet
from mrgantry.generate.spectrum import spectrum_of
from mrgantry.generate.stacks import PLACE
from mrgantry.generate.stop import LOOKS, Stop
from mrgantry.pages import report
from mrgantry.papers import find_recipe
from recipes import LOSSES, SMALL_FLOW, SMALL_VOLUME_GAN, SMALL_VOLUMES

PLAN = SlicePlan(plane="volume", voxels=(16, 24, 16), voxel_mm=1.5, splits=(0.5, 0.25, 0.25))
FEW_STEPS = ["steps=3"]


class StopHere(Exception):
    pass


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Eight people, of whom every other has a tumour."""
    folder = tmp_path_factory.mktemp("volumes") / "scans"
    for number in range(8):
        name = f"BraTS20_Training_{number:03d}"
        write_nifti(folder / name / f"{name}_t1.nii.gz", brain_phantom(number), "LPS")
        labels = tumour_phantom() if number % 2 else np.zeros((24, 28, 20), np.uint8)
        write_nifti(folder / name / f"{name}_seg.nii.gz", labels, "LPS")
    return folder


@pytest.fixture(scope="module")
def heads(scans, tmp_path_factory):
    plan = PLAN.model_copy(update={"label_maps": True})
    return prepare(scans, tmp_path_factory.mktemp("volumes") / "heads", plan)


@pytest.fixture(scope="module")
def run(heads, tmp_path_factory):
    return train(heads.folder, tmp_path_factory.mktemp("volumes") / "run", SMALL_VOLUMES).folder


@pytest.fixture(scope="module")
def cohort(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("volumes") / "cohort"
    return sample_cohort(run, folder, 3, seed=5, how=FEW_STEPS)


def weights(run):
    return {path.name: path.read_bytes() for path in (run / "weights").iterdir()}


def test_a_guess_of_volumes_expects_at_each_frequency_what_heads_hold():
    random = np.random.default_rng(0)
    noise = random.standard_normal((24, 1, 8, 12, 8)).astype(np.float16)
    (power,) = spectrum_of(noise, lambda images: images)
    assert len(power) == 1 + round((3 * 0.5**2) ** 0.5 * 12)  # up to the corner
    assert np.allclose([p for p in power if p][2:-1], 1, atol=0.2)  # the others are few waves
    # What waves along one axis alone tell has that many cycles over the longest side.
    wave = np.cos(2 * np.pi * 3 * np.arange(12) / 12)[None, None, None, :, None]
    (power,) = spectrum_of((wave * np.ones((1, 1, 8, 12, 8))).astype(np.float16), lambda x: x)
    assert int(np.argmax(power)) == 3
    guess = LinearGuess((1, 8, 12, 8), (tuple([1.0] * 12),))
    t = torch.full((2, 1, 1, 1, 1), 0.5)
    noisy = torch.randn(2, 1, 8, 12, 8)
    assert torch.allclose(guess(noisy, torch.zeros_like(noisy), t), noisy, atol=1e-5)


@pytest.mark.parametrize(
    "recipe", [SMALL_VOLUMES, SMALL_VOLUMES.set(["label_maps=true"]), SMALL_VOLUME_GAN]
)
def test_a_resumed_run_equals_an_uninterrupted_one(heads, tmp_path, recipe):
    def stop(run, seen):
        raise StopHere

    train(heads.folder, tmp_path / "whole", recipe)
    with pytest.raises(StopHere):
        train(heads.folder, tmp_path / "parts", recipe, on_snapshot=stop)
    done = train(heads.folder, tmp_path / "parts", recipe)
    assert done.images == recipe.images
    assert weights(tmp_path / "whole") == weights(tmp_path / "parts")


def test_training_lowers_the_error_and_pictures_three_planes(heads, tmp_path):
    recipe = SMALL_VOLUMES.set(["images=1600", "optimiser.lr=0.004"])
    done = train(heads.folder, tmp_path / "run", recipe)
    errors = [row["velocity_error"] for row in done.log()]
    assert np.mean(errors[-40:]) < 0.8 * np.mean(errors[:40])
    picture = sorted((done.folder / "samples").glob("*.png"))[-1]
    # Eight heads of three planes, two heads a row, each in a square of 24 pixels.
    with Image.open(picture) as image:
        assert image.size == (6 * 24, 4 * 24)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.kind)
def test_a_gan_of_heads_takes_every_loss(heads, tmp_path, loss):
    recipe = SMALL_VOLUME_GAN.model_copy(update={"loss": loss, "images": 8})
    done = train(heads.folder, tmp_path / "run", recipe)
    cohort = sample_cohort(done.folder, tmp_path / "cohort", 1)
    assert nib.load(cohort / "synthetic-0000000/synthetic-0000000_t1.nii.gz").shape == (16, 24, 16)


def test_a_gan_of_heads_is_told_from_one_of_slices():
    with pytest.raises(RecipeError, match="makes volumes"):
        SMALL_VOLUME_GAN.set(["network=dcgan"])
    with pytest.raises(RecipeError, match="neither augmentation nor growth"):
        SMALL_VOLUME_GAN.set(['augment={"ramp": 100}'])
    with pytest.raises(RecipeError, match="multiples of 8 voxels, not 16 x 20 x 16"):
        SMALL_VOLUME_GAN.set(["voxels=[16, 20, 16]"]).generator(1, 0)


def test_a_library_s_network_learns_volumes_too(heads, tmp_path):
    pytest.importorskip("monai")
    network = MonaiUNet(widths=(8, 16), attention=(False, True), head=8)
    recipe = SMALL_VOLUMES.model_copy(update={"network": network, "images": 8})
    assert train(heads.folder, tmp_path / "run", recipe).images == 8


def test_a_cohort_is_scans_that_come_back_as_they_were_drawn(run, cohort, tmp_path):
    drawn = Run.open(run)
    table = pd.read_csv(cohort / "cohort.csv")
    assert list(table["seed"]) == [5, 6, 7]
    sampler = drawn.recipe.set([f"sampler.{FEW_STEPS[0]}"]).sampler
    with torch.no_grad():
        images = drawn.generator(sampler=sampler)(drawn.inputs([6])[0]).clamp(-1, 1)
    file = cohort / table["files"][1]
    header = nib.load(file).header
    assert bytes(header["descrip"]).startswith(b"synthetic by mrgantry")
    stored = nib.load(file).get_fdata()  # RAS+: to the left, front and top
    back = stored[::-1, ::-1].transpose(2, 1, 0) / BRIGHTEST * 2 - 1
    assert np.abs(back - images[0, 0].numpy()).max() < 2 / BRIGHTEST  # rounded twice
    assert np.allclose(nib.load(file).affine @ [7.5, 11.5, 7.5, 1], [0, 0, 0, 1])
    assert np.allclose(header.get_zooms(), 1.5)


def test_a_cohort_is_cut_like_any_and_remembers_whom_its_generator_saw(
    scans, heads, cohort, tmp_path
):
    plan = SlicePlan(size=16, slices="0.0:1.0", min_brain=0)
    made = prepare(cohort, tmp_path / "synthetic", plan)
    seen = set(heads.split("train").table["subject"])
    assert made.about.synthetic
    assert set(made.about.training_subjects) == seen
    assert set(made.table["subject"]) == {f"synthetic-{seed:07d}" for seed in (5, 6, 7)}
    assert set(made.table["made_by"]) == {"run (small-volumes)"}
    assert made.about.notes.recipe == "small-volumes"
    # Split otherwise, the real set holds training people in its test split.
    others = plan.model_copy(update={"splits": (0.25, 0.25, 0.5), "seed": 1})
    real = prepare(scans, tmp_path / "real", others)
    assert seen & set(real.split("test").table["subject"])
    with pytest.raises(DataError, match="has seen"):
        check_unseen(people_behind(made), real, made, "so it goes")


def test_without_its_cohort_json_nobody_can_tell_whom_it_saw(cohort, tmp_path):
    copied = shutil.copytree(cohort, tmp_path / "copied")
    (copied / "cohort.json").unlink()
    with pytest.raises(DataError, match=r"cohort.json.*leaks cannot be known"):
        prepare(copied, tmp_path / "slices", SlicePlan(size=16, min_brain=0))


def test_interrupted_or_longer_a_cohort_goes_on(run, cohort, tmp_path):
    copied = shutil.copytree(cohort, tmp_path / "copied")
    lost = copied / "synthetic-0000006/synthetic-0000006_t1.nii.gz"
    lost.unlink()
    sample_cohort(run, copied, 4, seed=5, how=FEW_STEPS)
    # Heads are drawn two at a time, and no head depends on its neighbour.
    assert lost.read_bytes() == (cohort / lost.relative_to(copied)).read_bytes()
    assert (copied / "synthetic-0000008/synthetic-0000008_t1.nii.gz").is_file()
    assert len(pd.read_csv(copied / "cohort.csv")) == 4
    with pytest.raises(RunError, match="begun otherwise"):
        sample_cohort(run, copied, 4, seed=6, how=FEW_STEPS)


def test_label_maps_are_drawn_with_heads(heads, tmp_path):
    done = train(heads.folder, tmp_path / "run", SMALL_VOLUMES.set(["label_maps=true"]))
    cohort = sample_cohort(done.folder, tmp_path / "cohort", 2, how=FEW_STEPS)
    labels = nib.load(
        cohort / "synthetic-0000000/synthetic-0000000_label_tumour.nii.gz"
    ).get_fdata()
    assert labels.shape == (16, 24, 16)
    assert set(np.unique(labels)) <= {0, 1}
    assert json.loads((cohort / "cohort.json").read_text())["classes"] == ["1=tumour"]
    plan = SlicePlan(size=16, min_brain=0, label_maps=True, slices="0.0:1.0")
    assert prepare(cohort, tmp_path / "slices", plan).about.classes == ("tumour",)


def test_heads_are_drawn_for_the_label_maps_of_others(scans, heads, tmp_path):
    recipe = SMALL_VOLUMES.set(["label_maps=true", 'labels=["tumour"]'])
    done = train(heads.folder, tmp_path / "run", recipe)
    given = {"masks": heads.folder, "masks_split": "all", "how": FEW_STEPS}
    cohort = sample_cohort(done.folder, tmp_path / "cohort", 5, **given)
    table = pd.read_csv(cohort / "cohort.csv")
    mapped = heads.where(heads.maps.any((1, 2, 3)))
    assert list(table["map_of"]) == [*mapped.table["id"], mapped.table["id"][0]]
    assert set(table["tumour"]) == {"yes"}
    for number, seed in enumerate(table["seed"]):
        name = f"synthetic-{seed:07d}"
        drawn = nib.load(cohort / f"{name}/{name}_label_tumour.nii.gz").get_fdata()
        upright = drawn[::-1, ::-1].transpose(2, 1, 0)
        assert np.array_equal(upright, mapped.maps[number % len(mapped)])
    # The same seed for another map is another head; whose maps they are is passed on.
    again = sample_cohort(done.folder, tmp_path / "free", 1, how=FEW_STEPS)
    file = "synthetic-0000000/synthetic-0000000_t1.nii.gz"
    assert (again / file).read_bytes() != (cohort / file).read_bytes()
    seen = json.loads((cohort / "cohort.json").read_text())["training_subjects"]
    assert set(seen) == set(heads.split("train").table["subject"]) | set(mapped.table["subject"])
    plan = SlicePlan(size=16, min_brain=0, label_maps=True)
    with pytest.raises(DataError, match="at 16 x 16 pixels.*at 16 x 24 x 16"):
        slices = prepare(scans, tmp_path / "slices", plan)
        sample_cohort(done.folder, tmp_path / "others", 1, masks=slices.folder)


def test_slices_and_volumes_are_not_mistaken_for_each_other(heads, run, tmp_path):
    with pytest.raises(RecipeError, match="volumes of 16 x 24 x 16 voxels"):
        train(heads.folder, tmp_path / "a", SMALL_FLOW)
    with pytest.raises(RecipeError, match="sample_cohort"):
        sample(run, tmp_path / "b", 2)
    with pytest.raises(RecipeError, match="takes runs that draw slices"):
        walk(run, tmp_path / "c", steps=2)


@pytest.mark.parametrize("name", ["gantry-64x72x64", "gantry-128x144x128"])
def test_networks_of_our_recipes_fit_their_heads(name):
    recipe = find_recipe(name)
    with torch.device("meta"):
        network = recipe.denoiser(1, 2)
        seen = torch.zeros(1, 3, *recipe.shape[1:])  # a slice and its neighbours
        said = network(seen, torch.zeros(1), torch.zeros(1, 2 + PLACE))
    assert said.shape[2:] == recipe.shape[1:]


def test_networks_of_our_gan_fit_its_heads():
    recipe = find_recipe("dcgan-64x72x64")
    with torch.device("meta"):
        images = recipe.generator(1, 2)(torch.zeros(2, recipe.network.latent + 2))
        assert images.shape == (2, 1, 64, 72, 64)
        assert recipe.critic(1, 2)(images).shape == (2, 3)


def test_what_does_not_fit_the_memory_is_said_before_it_begins(heads, tmp_path, monkeypatch):
    recipe = find_recipe("dcgan-64x72x64").set(["batch=4"])
    one = memory.bytes_of_step(recipe, 1, 0)
    assert 0.05e9 < one < 5e9
    cpu = torch.device("cpu")
    monkeypatch.setattr(memory, "free_bytes", lambda device: int(3.5 * one))
    with pytest.raises(RecipeError, match=r"A batch of 4 heads of 64 x 72 x 64 .* --set batch=3"):
        memory.refuse_too_large(recipe, 1, 0, cpu)
    memory.refuse_too_large(recipe.set(["batch=3"]), 1, 0, cpu)
    monkeypatch.setattr(memory, "free_bytes", lambda device: int(0.3 * one))
    with pytest.raises(RecipeError, match=r"--size 32x32x32 and larger voxels"):
        memory.refuse_too_large(recipe, 1, 0, cpu)
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1000)
    with pytest.raises(RecipeError, match="needs about"):
        train(heads.folder, tmp_path / "run", SMALL_VOLUME_GAN)
    assert not (tmp_path / "run").exists()
    memory.refuse_too_large(find_recipe("gantry-64x72x64"), 1, 0, cpu)  # a slice at a time
    monkeypatch.setattr(memory, "free_bytes", lambda device: None)
    memory.refuse_too_large(recipe, 1, 0, cpu)  # where nobody tells, it is tried


def test_free_memory_is_what_the_system_tells(tmp_path, monkeypatch):
    told = tmp_path / "meminfo"
    told.write_text("MemTotal: 100 kB\nMemAvailable: 42 kB\n")
    monkeypatch.setattr(device, "MEMORY", told)
    assert device.free_bytes(torch.device("cpu")) == 42 * 1024
    told.unlink()
    assert device.free_bytes(torch.device("cpu")) is None


def test_a_report_shows_heads_and_cohorts(heads, run, cohort, tmp_path):
    page = report([heads.folder, run, cohort], tmp_path / "report.html").read_text()
    for words in (
        "Heads: heads",
        "Synthetic heads, by run (small-volumes)",
        "4 heads of 4 subjects",
    ):
        assert words in page, words
    assert "voxel_mm" in page and "min_brain" not in page
    assert f"mrgantry sample {run}" in page


def test_many_slices_of_each_head_are_looked_at_and_few_heads_read_at_once(
    heads, tmp_path, monkeypatch
):
    looks, read, look, batch = [], [], FlowTraining._looks, StoredPixels.batch

    def looking(self, data):
        monkeypatch.setattr(
            StoredPixels, "batch", lambda pixels, rows: read.append(rows) or batch(pixels, rows)
        )
        looks.append(look(self, data))
        monkeypatch.setattr(StoredPixels, "batch", batch)
        return looks[-1]

    monkeypatch.setattr(FlowTraining, "_looks", looking)
    train(heads.folder, tmp_path / "run", SMALL_VOLUMES.model_copy(update={"stop": Stop()}))
    assert [len(side.images) for side in looks] == [LOOKS, LOOKS]
    assert max(map(len, read)) <= 8 and sum(map(len, read)) == 2 * LOOKS
    for side, people in zip(looks, (2, 4), strict=True):
        assert len(side.shares) == people
        torch.testing.assert_close(side.shares.sum(1), torch.ones(people))
        assert len(side.images.flatten(1).unique(dim=0)) > people
