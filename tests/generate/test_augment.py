import numpy as np
import pytest
import torch

from mrgantry.generate import Run, train
from mrgantry.generate.augment import Augment
from mrgantry.generate.recipe import Adam
from recipes import SMALL

IMAGES = torch.full((64, 1, 16, 16), -1.0)
IMAGES[:, :, 5:9, 6:10] = 0.5


def uniform(seed=0):
    random = torch.Generator().manual_seed(seed)
    return lambda shape: torch.rand((64, *shape), generator=random)


def changed(augment, p):
    return augment.apply(IMAGES, torch.tensor(p), uniform())


def test_probability_zero_changes_nothing():
    assert torch.allclose(changed(Augment(), 0.0), IMAGES, atol=1e-5)


def test_a_share_of_p_is_changed():
    moved = changed(Augment(shift=0.2, gain=0), 0.3)
    share = ((moved - IMAGES).abs().amax((1, 2, 3)) > 1e-3).float().mean()
    assert share.item() == pytest.approx(0.3, abs=0.15)


def test_shifts_stay_within_bounds_and_leave_black_behind():
    moved = changed(Augment(shift=0.125, turn=0, zoom=0, gain=0), 1.0)  # two pixels at most
    mass = (moved + 1)[:, 0]
    rows = (mass.sum(2) * torch.arange(16.0)).sum(1) / mass.sum((1, 2))
    assert ((rows - 6.5).abs() <= 2.01).all() and rows.std() > 0.5
    assert moved.min() == -1 and torch.allclose(mass.sum((1, 2)), torch.tensor(24.0), rtol=0.01)


def test_zoom_and_turn_keep_the_middle():
    middle = torch.full((64, 1, 17, 17), -1.0)
    middle[:, :, 8, 8] = 1.0
    for augment in (Augment(shift=0, turn=45, zoom=0, gain=0), Augment(shift=0, turn=0, gain=0)):
        moved = augment.apply(middle, torch.tensor(1.0), uniform())
        assert (moved[:, 0].flatten(1).argmax(1) == 8 * 17 + 8).all()


def test_gain_leaves_black_black():
    dimmed = changed(Augment(shift=0, turn=0, zoom=0, gain=0.2), 1.0)
    assert (dimmed[:, :, 0] == -1).all()
    bright = (dimmed[:, 0, 6, 7] + 1) / 1.5
    assert bright.min() >= 0.8 and bright.max() <= 1.2 and bright.std() > 0.05


def test_it_can_be_descended():
    images = IMAGES.clone().requires_grad_()
    Augment().apply(images, torch.tensor(1.0), uniform()).square().sum().backward()
    assert torch.isfinite(images.grad).all() and images.grad.abs().sum() > 0


def test_p_rises_falls_and_is_clamped():
    augment, p = Augment(ramp=1000, most=0.8), torch.tensor(0.5)
    assert augment.adapt(p, torch.tensor(0.9), 100).item() == pytest.approx(0.6)
    assert augment.adapt(p, torch.tensor(0.1), 100).item() == pytest.approx(0.4)
    assert augment.adapt(p, torch.tensor(0.9), 1000).item() == pytest.approx(0.8)
    assert augment.adapt(torch.tensor(0.05), torch.tensor(0.1), 100).item() == 0
    assert Augment(target=None, start=0.5).adapt(p, torch.tensor(0.9), 100) is p


def test_p_is_logged_and_resumed(slices, tmp_path):
    recipe = SMALL.model_copy(
        update={
            "optimiser": Adam(lr=2e-3),
            "augment": Augment(ramp=500, target=0.1),
            "ema": None,
        }
    )

    def stop(run, images):
        raise KeyboardInterrupt

    run = train(slices.folder, tmp_path / "whole", recipe)
    ps = [row["augment_p"] for row in run.log()]
    assert max(ps) > 0.05 and np.all(np.array(ps) <= 0.8)
    with pytest.raises(KeyboardInterrupt):
        train(slices.folder, tmp_path / "parts", recipe, on_snapshot=stop)
    train(slices.folder, tmp_path / "parts", recipe)
    assert [row["augment_p"] for row in Run.open(tmp_path / "parts").log()] == ps
