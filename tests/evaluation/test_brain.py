"""The brain network: what it knows, what it is described by, and that it comes with the package."""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from conftest import blobs
from mrgantry.brain import network as brain
from mrgantry.common.errors import DataError
from mrgantry.evaluation.brain.features import BRAIN_MAP, BRAIN_NET, brain_networks
from mrgantry.evaluation.brain.slices import SimulatedSlices, draw_images, simulated_slices
from mrgantry.evaluation.brain.train import examine, train_network
from mrgantry.generate.start import SHIPPED

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "src/mrgantry/brain/weights.safetensors"
STARTS = ROOT / "src/mrgantry/generate/starts"


@pytest.fixture(scope="module")
def heads():
    """Three planes of two simulated heads that the network has not seen."""
    return simulated_slices(2, seed=5, slices=12)


def images_of(heads, seed):
    """Draw every slice once, unturned, in a random contrast."""
    materials = torch.nn.functional.interpolate(
        heads.fractions.float() / 255, (brain.SIDE, brain.SIDE), mode="bilinear", antialias=True
    )
    random = torch.Generator().manual_seed(seed)
    return draw_images(materials, random).half().numpy()


def test_it_knows_tissue_and_plane_of_new_heads_in_any_contrast(heads):
    """0.76 and 0.97 on the heads kept from its training; guessing gives about 0.45 and 0.33."""
    found = examine(brain.load_network(), heads, 256)
    assert found["tissue"] > 0.62 and found["plane"] > 0.8 and found["level_error"] < 0.15


def test_slices_are_upright_and_add_up(heads):
    assert heads.fractions.shape[1:] == (10, 96, 96) and set(heads.planes.tolist()) == {0, 1, 2}
    total = heads.fractions.float().sum(1) / 255
    assert 0.99 < total.max() < 1.02 and total[:, 0].max() == 0
    lesson = heads.lesson(4, torch.Generator().manual_seed(0))
    assert lesson.images.shape == (4, 1, 64, 64) and lesson.fractions.shape == (4, 5, 32, 32)
    assert lesson.images.abs().max() <= 1
    torch.testing.assert_close(lesson.fractions.sum(1), torch.ones(4, 32, 32), atol=0.02, rtol=0)


def test_where_tissue_is_matters_and_contrast_does_not(heads):
    """The same slices in two contrasts lie nearer to each other than to other slices."""
    one, two = images_of(heads, 1), images_of(heads, 2)
    of = {extractor.name: extractor for extractor in brain_networks(one)}[BRAIN_MAP]
    here, there = of.extract(one), of.extract(two)
    apart = np.linalg.norm(here[:, None] - there[None], axis=2)
    assert np.mean(apart.argmin(1) == np.arange(len(one))) > 0.5  # 1 in 24 by chance


def test_missing_halves_are_far_out_and_brightness_is_not(heads):
    images = images_of(heads, 3)
    halves, brighter = images.copy(), np.where(images > -0.99, images + np.float16(0.05), images)
    halves[..., 32:] = -1
    for extractor in brain_networks(images):
        plain = extractor.extract(images)
        moved = [
            np.linalg.norm(extractor.extract(other) - plain, axis=1).mean()
            for other in (halves, brighter.clip(-1, 1))
        ]
        assert moved[0] > 3 * moved[1], extractor.name


@pytest.mark.parametrize("size", [16, 64, 256])
def test_images_of_any_size_and_number_of_channels_are_described(size):
    images = np.concatenate([blobs(24, size, seed) for seed in (0, 1)], axis=1)
    net, tissue = brain_networks(images)
    again = [brain_network.fingerprint for brain_network in brain_networks(images)]
    assert [net.fingerprint, tissue.fingerprint] == again
    assert (net.name, tissue.name) == (BRAIN_NET, BRAIN_MAP)
    for extractor in (net, tissue):
        rows = extractor.extract(images)
        assert rows.shape == (24, 6) and np.isfinite(rows).all()
        np.testing.assert_allclose(extractor.extract(images[:5].copy()), rows[:5], atol=1e-3)
    assert net.extract(images).var(0) == pytest.approx(1, rel=0.1)  # n against n - 1, of 24


def test_training_learns_and_is_the_same_again():
    random = torch.Generator().manual_seed(0)
    fractions = torch.zeros(20, 10, 96, 96, dtype=torch.uint8)
    fractions[:, 0, 24:72, 24:72] = 255
    slices = SimulatedSlices(
        fractions,
        fractions.sum(1) > 0,
        torch.randint(3, (20,), generator=random),
        torch.rand(20, generator=random),
        torch.arange(20),
    )
    first, again = (train_network(slices, steps=12, batch=8) for _ in range(2))
    for one, other in zip(first.state_dict().values(), again.state_dict().values()):
        torch.testing.assert_close(one, other)
    untrained = examine(brain.BrainNetwork(), slices, 32)
    assert examine(first, slices, 32)["tissue"] > untrained["tissue"] + 0.1


def test_the_weights_are_small_and_carry_their_notice():
    assert WEIGHTS.stat().st_size < 1_000_000
    with safe_open(WEIGHTS, "pt") as file:
        assert "Montreal Neurological Institute" in file.metadata()["notice"]
        assert all(file.get_tensor(name).dtype == torch.float16 for name in file.keys())  # noqa: SIM118


def test_damaged_weights_are_refused_in_a_sentence(monkeypatch, tmp_path):
    (tmp_path / brain.WEIGHTS).write_bytes(WEIGHTS.read_bytes()[:1000])
    monkeypatch.setattr(brain, "files", lambda _: tmp_path)
    with pytest.raises(DataError, match="weights of the brain network.*install mrgantry again"):
        brain.load_network()
    (tmp_path / brain.WEIGHTS).unlink()
    with pytest.raises(DataError, match="cannot be read"):
        brain.load_network()


@pytest.mark.slow
def test_a_built_wheel_holds_all_weights(tmp_path):
    """An editable install reads the folder itself, and would hide a missing file."""
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    subprocess.run([*command, "-w", tmp_path, ROOT], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        assert file.read("mrgantry/brain/weights.safetensors") == WEIGHTS.read_bytes()
        for start in SHIPPED.values():
            assert file.read(f"mrgantry/generate/starts/{start}") == (STARTS / start).read_bytes()
        assert any(name.endswith("licenses/NOTICE") for name in file.namelist())
