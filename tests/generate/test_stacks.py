"""Heads slice by slice: which slices are shown beside which, and what is made of them."""

import numpy as np
import pytest
import torch

from mrgantry.generate.flow import Flow, Sampler
from mrgantry.generate.guess import LinearGuess
from mrgantry.generate.likeness import likeness_of
from mrgantry.generate.spectrum import Likeness
from mrgantry.generate.stacks import (
    BESIDE,
    DISTANCES,
    KINDS,
    NUMBERS,
    PLACE,
    UNSURE,
    Neighbours,
    Shown,
    StackSampler,
    denoiser_beside,
    kinds_of,
    mean_beside,
    middle_of,
    order_of,
)

FLOW = Flow(gap=0.1)


@pytest.mark.parametrize("depth", [8, 16, 20, 64, 128])
def test_each_slice_is_drawn_once_beside_what_is_drawn_before_it(depth):
    neighbours, seen = Neighbours.of(depth), set()
    assert list(order_of(depth)[0]) == [middle_of(depth)]
    for group in order_of(depth):
        for place in group:
            near = {int(neighbours.below[place]), int(neighbours.above[place])} - {-1}
            assert near <= seen
            assert near or place == middle_of(depth)
            assert all(abs(place - other) in DISTANCES for other in near)
        seen |= set(group)
    assert seen == set(range(depth))
    # Every slice is told something else, since all of them lie elsewhere.
    apart = torch.cdist(neighbours.place, neighbours.place) + torch.eye(depth)
    assert neighbours.place.shape == (depth, PLACE) and apart.min() > 0.01


def test_neighbours_are_shown_and_black_where_there_are_none():
    stacks = torch.arange(16.0).view(1, 1, 16, 1, 1).expand(2, 3, 16, 4, 4) + 1
    chosen = torch.tensor([6, 8])  # between 4 and 8; the middle, which is drawn first
    beside = Neighbours.of(16).beside(stacks, torch.arange(2), chosen)
    assert beside.shape == (2, BESIDE * 3, 4, 4)
    assert (beside[0, :3] == 5).all() and (beside[0, 3:] == 9).all()
    assert not beside[1].any()


def test_a_slice_a_head_is_learnt_from_with_noise_over_its_neighbours():
    stacks = torch.rand(400, 1, 16, 4, 4) * 2 - 1
    numbers = torch.ones(400, NUMBERS)
    numbers[:, 0] = (torch.arange(400) + 0.5) / 400
    shown = Shown.slices(stacks, numbers, FLOW)
    neighbours = Neighbours.of(16)
    places = torch.searchsorted(neighbours.chance, numbers[:, 0].contiguous())
    assert torch.equal(shown.images, stacks[torch.arange(400), :, places])
    assert torch.equal(shown.place, neighbours.place[places])
    # Two of sixteen slices are drawn beside the farthest, eight beside the nearest.
    assert int(torch.isin(places, torch.tensor([0, 8])).sum()) == pytest.approx(0.3 * 400, abs=1)
    assert int((places % 2 == 1).sum()) == pytest.approx(0.25 * 400, abs=1)

    # Noise lies where there are neighbours, and nowhere else; how much of it is drawn.
    def noise(*shape):
        return torch.randn(400, *shape)

    sides = shown.place[:, -BESIDE:].bool()
    noisy = Shown.slices(stacks, numbers, FLOW, noise)
    assert float((noisy.beside - shown.beside)[sides].std()) == pytest.approx(UNSURE, rel=0.05)
    assert not noisy.beside[~sides].any() and not sides.all()
    assert torch.equal(noisy.images, shown.images)
    numbers[:, 2] = 0
    assert torch.equal(Shown.slices(stacks, numbers, FLOW, noise).beside, shown.beside)


def test_some_slices_are_learnt_beside_nothing_as_the_first_is_drawn():
    stacks = torch.rand(2, 1, 16, 4, 4)
    numbers = torch.tensor([[0.95, 0.0, 1.0], [0.95, 1.0, 1.0]])
    shown = Shown.slices(stacks, numbers, FLOW, lambda *shape: torch.randn(2, *shape))
    assert not shown.beside[0].any() and shown.beside[1].any()
    assert shown.place[:, -2:].tolist() == [[0, 0], [1, 0]]  # the last but one has one below alone


def test_images_that_are_learnt_whole_have_nothing_beside_them():
    shown = Shown.whole(torch.rand(3, 2, 4, 4))
    assert shown.beside.shape == (3, 0, 4, 4) and shown.place.shape == (3, 0)

    def respond(noisy, times, labels):
        assert noisy.shape[1] == 2 and labels.shape[1] == 0
        return torch.zeros_like(noisy)

    guess = LinearGuess((2, 4, 4))
    denoise = denoiser_beside(FLOW, respond, guess, shown.beside, shown.place)
    assert denoise(shown.images, torch.ones(3), torch.zeros(3, 0)).shape == (3, 2, 4, 4)


def test_slices_share_what_regression_says():
    # Odd slices are half the mean of their neighbours and noise; others have nothing in common.
    waves = np.random.default_rng(0).normal(size=(200, 2, 16, 8, 6))
    waves[:, :, 1:-1:2] *= 0.1
    waves[:, :, 1:-1:2] += (waves[:, :, :-2:2] + waves[:, :, 2::2]) / 4
    flow = Flow(scale=0.1)
    images = ((waves + 10) * flow.scale - 1).astype(np.float16)  # grey, so that nothing is black
    spectrum = ((1.0,) * 7,) * 2
    found = likeness_of(images, flow, spectrum)
    assert len(found) == KINDS and found[0].left == spectrum
    shared, left = (
        torch.tensor([getattr(kind, name) for kind in found])[:, :, 1:6]  # but for the mean grey
        for name in ("shared", "left")
    )
    between = 2 * DISTANCES.index(1) + 2
    torch.testing.assert_close(shared[between], torch.full((2, 5), 0.498), atol=0.01, rtol=0)
    torch.testing.assert_close(left[between], torch.full((2, 5), 0.01), atol=0.002, rtol=0)
    others = torch.arange(KINDS) != between
    assert float(shared[others].abs().max()) < 0.25
    torch.testing.assert_close(left[others], torch.ones(KINDS - 1, 2, 5), atol=0.4, rtol=0)


@pytest.mark.parametrize("depth", [16, 64])
def test_kinds_tell_how_far_the_neighbours_are(depth):
    neighbours = Neighbours.of(depth)
    kinds = kinds_of(neighbours.place)
    assert (kinds == 0).nonzero().flatten().tolist() == [middle_of(depth)]
    for place in range(depth):
        near = [int(side[place]) for side in (neighbours.below, neighbours.above)]
        near = [other for other in near if other >= 0]
        if near:
            distance = DISTANCES.index(abs(place - near[0]))
            assert kinds[place] == BESIDE * distance + len(near)
    assert int(kinds.max()) < KINDS


def test_the_guess_of_a_slice_is_what_it_shares_with_those_beside_it():
    kind = 2 * DISTANCES.index(1) + 2
    likeness = [Likeness(shared=((0.0,) * 5,), left=((1.0,) * 5,))] * KINDS
    likeness[kind] = Likeness(shared=((0.5,) * 5,), left=((1e-4,) * 5,))
    guess = LinearGuess((1, 4, 4), ((1.0,) * 5,), likeness)
    below, above = torch.randn(2, 3, 1, 4, 4)
    place = Neighbours.of(16).place[[5, 8, 7]]
    beside = torch.cat([below, above], 1) * place[:, -BESIDE:, None, None]
    mean = mean_beside(beside, place)
    torch.testing.assert_close(mean[0], (below[0] + above[0]) / 2)
    noisy, nothing = torch.randn(2, 3, 1, 4, 4)
    nothing, t = torch.zeros_like(nothing), torch.full((3, 1, 1, 1), 0.5)
    seen = guess.beside(mean, kinds_of(place))(noisy, nothing, t)
    # Beside two that tell nearly all, noise is believed hardly; beside nothing, by half.
    torch.testing.assert_close(seen[0], mean[0] / 2, atol=1e-3, rtol=0)
    torch.testing.assert_close(seen[1], noisy[1], atol=1e-5, rtol=0)
    torch.testing.assert_close(seen[1], guess(noisy, nothing, t)[1])


class Copying(torch.nn.Module):
    """A network that draws its neighbour below, one above, or what it is told where none is."""

    def forward(self, seen, times, told):
        noisy, below, above = seen.split(1, 1)
        height = told[:, -PLACE].view(-1, 1, 1, 1)
        known = below.abs().amax((1, 2, 3), keepdim=True) > 0
        image = torch.where(known, below, above)
        alone = image.abs().amax((1, 2, 3), keepdim=True) == 0
        self.heights = height if alone.any() else getattr(self, "heights", None)
        image = torch.where(alone, torch.ones_like(image), image)
        t = times.view(-1, 1, 1, 1)
        spread = (1 - t) ** 2 + t**2
        return (image - (1 - t) / spread * noisy) / (t / spread**0.5)


def test_what_is_drawn_first_is_seen_by_all_that_follows():
    guess = LinearGuess((1, 4, 4))
    sampler = StackSampler(Copying(), FLOW, guess, Sampler(steps=4), shape=(1, 16, 4, 4))
    drawn = sampler(torch.randn(2, 16 * 16, generator=torch.Generator().manual_seed(0)))
    assert drawn.shape == (2, 1, 16, 4, 4)
    expected = FLOW.from_unit(torch.ones(1))
    torch.testing.assert_close(drawn, expected.expand_as(drawn), atol=1e-3, rtol=0)


def test_given_channels_stay_as_they_are_given():
    class Silent(torch.nn.Module):
        def forward(self, seen, times, told):
            return torch.zeros_like(seen[:, :2])

    guess = LinearGuess((2, 4, 4))
    sampler = StackSampler(Silent(), FLOW, guess, Sampler(steps=2), given=1, shape=(2, 16, 4, 4))
    given = (torch.rand(1, 16 * 16) > 0.5).float() * 2 - 1
    drawn = sampler(torch.cat([torch.randn(1, 2 * 16 * 16), given], 1))
    assert torch.equal(drawn[:, 1].flatten(1), given)
