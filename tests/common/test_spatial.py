import math

import pytest
import torch
import torch.nn.functional as F

from mrgantry.common import spatial

ONE = torch.ones(1)


def dot(size, x, y):
    """One bright pixel, so many right of and below the middle pixel of an odd side."""
    images = torch.full((1, 1, size, size), -1.0)
    images[0, 0, size // 2 + y, size // 2 + x] = 1
    return images


def seen_at(images):
    place = int(images.argmax())
    size = images.shape[-1]
    return place % size - size // 2, place // size - size // 2


def test_a_shift_looks_farther_right_and_down():
    moved = spatial.sample(dot(33, 5, 7), spatial.shift(3 * ONE, 4 * ONE))
    assert seen_at(moved) == (2, 3)
    assert moved.max() == pytest.approx(1, abs=1e-4)


def test_a_turn_goes_anticlockwise():
    turned = spatial.sample(dot(33, 10, 0), spatial.turn(ONE * math.pi / 2))
    assert seen_at(turned) == (0, -10)  # from the right to the top


def test_a_scale_of_two_halves_what_is_seen():
    assert seen_at(spatial.sample(dot(33, 10, 6), spatial.scale(2 * ONE, 2 * ONE))) == (5, 3)
    assert seen_at(spatial.sample(dot(33, 10, 6), spatial.scale(2 * ONE, ONE))) == (5, 6)


def test_a_shear_slides_columns():
    slanted = spatial.sample(dot(33, 10, 0), spatial.shear(ONE * math.asin(0.5)))
    # Column x sees what lies x cos right of the middle, so 10 is seen at 10 / cos = 11.5.
    assert seen_at(slanted)[0] in (11, 12)
    assert seen_at(slanted)[1] == 6  # and slid down by half of it


def test_the_last_matrix_meets_the_output_first():
    shift, scale = spatial.shift(3 * ONE, 0 * ONE), spatial.scale(2 * ONE, 2 * ONE)
    output = torch.tensor([1.0, 1.0, 1.0])
    assert (spatial.compose(shift, scale)[0] @ output).tolist() == [5, 2, 1]
    assert (spatial.compose(scale, shift)[0] @ output).tolist() == [8, 2, 1]


@pytest.mark.parametrize("shape", [(5, 2, 16, 16), (3, 1, 15, 20), (70, 1, 64, 64)])
def test_as_pytorch_samples(shape):
    random = torch.Generator().manual_seed(0)
    images = torch.rand(shape, generator=random) * 2 - 1
    some = torch.rand((6, shape[0]), generator=random)
    matrices = spatial.compose(
        spatial.turn(some[0]), spatial.shift(9 * some[1], -7 * some[2]), spatial.shear(some[3])
    )
    side = torch.diag(torch.tensor([2 / shape[3], 2 / shape[2], 1.0]))
    grid = F.affine_grid(
        (side @ matrices @ side.inverse())[:, :2], list(shape), align_corners=False
    )
    expected = F.grid_sample(images + 1, grid, align_corners=False) - 1
    assert (spatial.sample(images, matrices) - expected).abs().max() < 1e-4


def test_beyond_the_edge_is_exactly_the_fill():
    images = torch.rand((1, 1, 16, 16))
    far = spatial.shift(40 * ONE, 0 * ONE)
    assert (spatial.sample(images, far) == -1).all()
    assert (spatial.sample(images, far, fill=0.25) == 0.25).all()


def test_background_stays_exact_under_any_matrix():
    images = torch.full((9, 1, 20, 20), -1.0)
    angles = torch.linspace(0.1, 3, 9)
    assert (spatial.sample(images, spatial.turn(angles)) == -1).all()


def test_images_can_be_descended_and_blocks_do_not_matter(monkeypatch):
    random = torch.Generator().manual_seed(0)
    angles = torch.rand(6, generator=random)
    images = torch.rand((6, 1, 8, 8), generator=random).requires_grad_()
    whole = spatial.sample(images, spatial.turn(angles))
    whole.square().sum().backward()
    gradient = images.grad.clone()
    images.grad = None
    monkeypatch.setattr(spatial, "BLOCK", 100)
    parts = spatial.sample(images, spatial.turn(angles))
    parts.square().sum().backward()
    assert torch.equal(whole, parts) and torch.equal(gradient, images.grad)
    assert gradient.abs().sum() > 0
