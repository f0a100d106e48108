"""Modes of known images: what is expected of noisy ones."""

import numpy as np
import pytest
import torch

from mrgantry.common.errors import RunError
from mrgantry.generate.modes import Modes, modes_of

SHAPE = (1, 4, 6, 4)
KNOWN = 3  # ways in which the images differ


def images_of(count, seed, rest=0.05):
    """Images that differ in three ways, of spreads 3, 2 and 1, and a little everywhere."""
    ways = np.linalg.qr(np.random.default_rng(0).standard_normal((96, KNOWN)))[0].T
    random = np.random.default_rng(seed)
    along = random.standard_normal((count, KNOWN)) * (3, 2, 1)
    images = 10 + along @ ways + rest * random.standard_normal((count, 96))
    return images.reshape(count, *SHAPE).astype(np.float16), ways


def known(most=KNOWN, people=400):
    return modes_of(images_of(400, seed=1)[0], lambda unit: unit, most, people)


def test_modes_are_the_ways_in_which_images_differ():
    modes, (_, ways) = known(), images_of(1, 0)
    assert torch.allclose(modes.components @ modes.components.T, torch.eye(KNOWN), atol=1e-3)
    alike = (modes.components @ torch.from_numpy(ways.T).float()).abs()
    assert (alike.diagonal() > 0.97).all()
    assert modes.variances.sqrt().numpy() == pytest.approx([3, 2, 1], rel=0.15)
    assert float(modes.remainder[0, 1:3].mean()) == pytest.approx(0.05**2, rel=0.5)


def test_what_is_expected_is_the_mean_in_noise_and_the_image_without():
    modes = known()
    fresh = torch.from_numpy(images_of(50, seed=2)[0].astype(np.float32))
    noise = torch.randn(fresh.shape, generator=torch.Generator().manual_seed(0))
    errors = {}
    for time in (0.001, 0.5, 1.0):
        t = torch.full((50, 1, 1, 1, 1), time)
        expected = modes(torch.lerp(fresh, noise, time), t)
        errors[time] = float((expected - fresh).square().sum((1, 2, 3, 4)).mean())
    assert errors[0.001] < 0.01
    # Of variance v along a mode and noise of unit spread, v / (v + 1) is left at half noise.
    left = sum(v / (v + 1) for v in (9, 4, 1))
    assert errors[0.5] == pytest.approx(left, rel=0.35)
    assert errors[1.0] == pytest.approx(9 + 4 + 1, rel=0.35)
    at_noise = modes(noise, torch.ones(50, 1, 1, 1, 1))
    assert torch.allclose(at_noise, modes.mean.expand_as(at_noise), atol=1e-4)


def test_there_is_a_mode_for_four_people_at_most():
    assert len(known(most=64, people=20).components) == 5
    assert len(known(most=2, people=400).components) == 2
    assert len(known(most=64, people=1).components) == 1


def test_they_are_read_as_they_were_written(tmp_path):
    modes = known()
    modes.save(tmp_path)
    again = Modes.read(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(modes.buffers(), again.buffers(), strict=True))
    (tmp_path / "modes.safetensors").write_bytes(b"damaged")
    with pytest.raises(RunError, match="missing or damaged"):
        Modes.read(tmp_path)
