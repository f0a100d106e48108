import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mrgantry.common.errors import RecipeError
from mrgantry.detection.classical import Classical, balanced_rows

STILL = Classical(horizontal=False, vertical=False, turn=0, shift=0, shear=0, zoom=0)
ITEMS = torch.arange(20_000)


def some_images(count=12, size=20, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.rand((count, 2, size, size), generator=random) * 2 - 1


def test_ranges_of_zero_change_nothing():
    images = some_images()
    assert torch.equal(STILL.draw(images, torch.arange(12), 0), images)


@pytest.mark.parametrize("name, axis", [("horizontal", -1), ("vertical", -2)])
def test_flips_are_exact_and_half_of_all(name, axis):
    images, numbers = some_images(200), torch.arange(200)
    flips = STILL.model_copy(update={name: True})
    drawn = flips.draw(images, numbers, 0)
    same = (drawn == images).flatten(1).all(1)
    other = (drawn == images.flip(axis)).flatten(1).all(1)
    assert (same ^ other).all()
    assert 60 < other.sum() < 140
    assert torch.equal(other, flips.changes(numbers, 0).mirrored[:, 0 if axis == -1 else 1])


def test_flips_and_small_changes_keep_sides(count=40):
    """What a flip does alone, it also does within the whole."""
    images = torch.full((count, 1, 33, 33), -1.0)
    images[:, :, 6:9, 24:27] = 1  # above and right of the middle
    numbers = torch.arange(count)
    drawn = Classical().draw(images, numbers, 0)[:, 0] + 1
    sides = torch.arange(33) - 16.0
    right, down = (drawn.sum(1) * sides).sum(1) > 0, (drawn.sum(2) * sides).sum(1) > 0
    mirrored = Classical().changes(numbers, 0).mirrored
    assert torch.equal(right, ~mirrored[:, 0]) and torch.equal(down, mirrored[:, 1])
    assert 0 < mirrored.sum() < 2 * count


def test_published_ranges_are_reached_and_never_exceeded():
    changes = Classical().changes(ITEMS, 0)
    for value, middle, most in (
        (changes.angle, 0, math.radians(10)),
        (changes.right, 0, 0.08),
        (changes.down, 0, 0.08),
        (changes.shear, 0, 0.08),
        (changes.across, 1, 0.08),
        (changes.along, 1, 0.08),
    ):
        reached = (value - middle).abs().max().item()
        assert 0.999 * most < reached <= most + 1e-7
        assert (value - middle).mean().abs().item() < 0.02 * most
    assert torch.corrcoef(torch.stack([changes.across, changes.along]))[0, 1].abs() < 0.05


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(-8, 8), st.integers(-8, 8), st.integers(0, 5))
def test_a_marked_pixel_lands_where_the_matrix_says(number, x, y, seed):
    size = 41
    image = torch.full((1, 1, size, size), -1.0)
    image[0, 0, 20 + y, 20 + x] = 1
    numbers = torch.tensor([number])
    drawn = Classical().draw(image, numbers, seed)[0, 0] + 1
    changes = Classical().changes(numbers, seed)
    place = changes.matrices(size, size)[0].inverse() @ torch.tensor([x, y, 1.0])
    # Bilinear interpolation spreads it over the pixels around; their centre stays near.
    sides = torch.arange(size) - 20.0
    mass = drawn.sum()
    centre = torch.stack([(drawn.sum(0) * sides).sum(), (drawn.sum(1) * sides).sum()]) / mass
    assert (centre - place[:2]).abs().max() < 0.5
    assert 1.2 < mass < 3  # 2 without zoom


def test_an_item_is_the_same_in_any_batch():
    images, numbers = some_images(64), torch.arange(1000, 1064)
    whole = Classical().draw(images, numbers, 7)
    turned = torch.arange(63, -1, -1)
    parts = [Classical().draw(images[k : k + 1], numbers[k : k + 1], 7) for k in turned]
    assert (torch.cat(parts)[turned] - whole).abs().max() < 1e-6
    assert (whole - Classical().draw(images, numbers, 8)).abs().amax((1, 2, 3)).min() > 0.1


def test_background_stays_background():
    images = torch.full((50, 1, 32, 32), -1.0)
    images[:, :, 12:20, 12:20] = 0.7
    drawn = Classical().draw(images, torch.arange(50), 0)
    assert (drawn[:, :, :4] == -1).all() and (drawn[:, :, -4:] == -1).all()
    assert drawn.min() == -1 and drawn.max() <= 0.7 + 1e-6
    full = Classical(shift=0.5).draw(torch.ones(50, 1, 32, 32), torch.arange(50), 0)
    assert (full == -1).any() and full.min() == -1


def test_every_image_serves_equally_often():
    labels = np.array([0] * 7 + [1] * 3)
    rows = balanced_rows(labels, 100, 0)
    assert len(rows) == 200 and (labels[rows].reshape(-1, 2) == [0, 1]).all()
    for first in (200, 50, 31):
        counts = np.bincount(rows[:first], minlength=10)
        assert np.ptp(counts[:7]) <= 1 and np.ptp(counts[7:]) <= 1
    assert not np.array_equal(rows, balanced_rows(labels, 100, 1))


def test_impossible_ranges_are_refused():
    with pytest.raises(RecipeError, match="'shift' of the augmentation is 1.5"):
        Classical.of({"shift": 1.5}, "augmentation")
