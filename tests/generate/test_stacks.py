"""Heads slice by slice: which slices are shown beside which, and what is made of them."""

import numpy as np
import pytest
import torch

from mrgantry.generate.flow import Flow, Sampler
from mrgantry.generate.guess import LinearGuess
from mrgantry.generate.neighbour_fit import LEAST, fit_neighbours
from mrgantry.generate.spectrum import NeighbourFit
from mrgantry.generate.stacks import (
    CHOICES,
    DISTANCES,
    PLACE,
    SIDES,
    UNSURE,
    Neighbours,
    Shown,
    StackSampler,
    denoiser_beside,
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
    assert beside.slices.shape == (2, SIDES * 3, 4, 4) and beside.kind[1] == 0
    assert (beside.slices[0, :3] == 5).all() and (beside.slices[0, 3:] == 9).all()
    assert not beside.slices[1].any()
    assert (beside.mean[0] == 7).all() and not beside.mean[1].any()


def test_a_slice_a_head_is_learnt_from_with_noise_over_its_neighbours():
    stacks = torch.rand(400, 1, 16, 4, 4) * 2 - 1
    choices = torch.ones(400, CHOICES)
    choices[:, 0] = (torch.arange(400) + 0.5) / 400
    shown = Shown.slices(stacks, choices, FLOW)
    neighbours = Neighbours.of(16)
    places = torch.searchsorted(neighbours.chance, choices[:, 0].contiguous())
    assert torch.equal(shown.images, stacks[torch.arange(400), :, places])
    assert torch.equal(shown.beside.place, neighbours.place[places])
    # Two of sixteen slices are drawn beside the farthest, eight beside the nearest.
    assert int(torch.isin(places, torch.tensor([0, 8])).sum()) == pytest.approx(0.3 * 400, abs=1)
    assert int((places % 2 == 1).sum()) == pytest.approx(0.25 * 400, abs=1)

    # Noise lies where there are neighbours, and nowhere else; how much of it is drawn.
    def noise(*shape):
        return torch.randn(400, *shape)

    sides = shown.beside.sides.bool()
    noisy = Shown.slices(stacks, choices, FLOW, noise)
    assert float((noisy.beside.slices - shown.beside.slices)[sides].std()) == pytest.approx(
        UNSURE, rel=0.05
    )
    assert not noisy.beside.slices[~sides].any() and not sides.all()
    assert torch.equal(noisy.images, shown.images)
    choices[:, 2] = 0
    clean = Shown.slices(stacks, choices, FLOW, noise)
    assert torch.equal(clean.beside.slices, shown.beside.slices)


def test_some_slices_are_learnt_beside_nothing_as_the_first_is_drawn():
    stacks = torch.rand(2, 1, 16, 4, 4)
    choices = torch.tensor([[0.95, 0.0, 1.0], [0.95, 1.0, 1.0]])
    shown = Shown.slices(stacks, choices, FLOW, lambda *shape: torch.randn(2, *shape))
    assert not shown.beside.slices[0].any() and shown.beside.slices[1].any()
    assert shown.beside.sides.tolist() == [[0, 0], [1, 0]]  # the last but one has one below alone
    assert shown.beside.kind[0] == 0 != shown.beside.kind[1]


def test_images_that_are_learnt_whole_have_nothing_beside_them():
    shown = Shown.whole(torch.rand(3, 2, 4, 4))
    beside = shown.beside[torch.tensor([2, 0])]
    assert beside.slices.shape == (2, 0, 4, 4) and beside.place.shape == (2, 0)

    def respond(noisy, times, labels):
        assert noisy.shape[1] == 2 and labels.shape[1] == 0
        return torch.zeros_like(noisy)

    guess = LinearGuess((2, 4, 4))
    denoise = denoiser_beside(FLOW, respond, guess, shown.beside)
    assert denoise(shown.images, torch.ones(3), torch.zeros(3, 0)).shape == (3, 2, 4, 4)


def grey(waves, flow):
    """Give images of unit spread as they are stored, none of them black."""
    return ((waves + 10) * flow.scale - 1).astype(np.float16)


def test_slices_follow_from_their_neighbours_as_regression_says():
    # Odd slices are a multiple of the mean of their neighbours, and noise; others have nothing in
    # common. Neighbours of little power are hidden by the noise that training lays over them.
    waves, flow = np.random.default_rng(0).normal(size=(200, 2, 16, 8, 6)), Flow(scale=0.1)
    waves[:, :, ::2] *= np.sqrt(0.01)
    waves[:, :, 1::2] *= 0.1
    above = np.concatenate([waves[:, :, 2::2], waves[:, :, -2:-1]], 2)  # the last has one below
    mean = (waves[:, :, ::2] + above) / 2
    waves[:, :, 1::2] += np.array([0.5, 0.25])[:, None, None, None] * mean
    spectrum = ((1.0,) * 7,) * 2
    fits = fit_neighbours(grey(waves, flow), flow, spectrum)
    neighbours = Neighbours.of(16)
    assert len(fits) == neighbours.kinds and fits[0].residual_power == spectrum
    gain, left = (
        torch.tensor([getattr(fit, name) for fit in fits])[:, :, 1:6]  # but for the mean grey
        for name in ("gain", "residual_power")
    )
    noise = UNSURE**2 / 3  # its mean power, where the level is anything up to the highest
    for place, power, sides in ((5, 0.005, 2), (15, 0.01, 1)):
        kind = int(neighbours.kind[place])
        share = torch.tensor([0.5, 0.25]) * power / (power + noise / sides)
        torch.testing.assert_close(gain[kind].mean(1), share, atol=0.05, rtol=0)
        expected = 0.01 + torch.tensor([0.5, 0.25]) * power * (torch.tensor([0.5, 0.25]) - share)
        torch.testing.assert_close(left[kind].mean(1), expected, atol=0.001, rtol=0)
    unlike = int(neighbours.kind[6])
    assert float(gain[unlike].abs().max()) < 0.3
    torch.testing.assert_close(left[unlike], torch.full((2, 5), 0.01), atol=0.004, rtol=0)


def test_black_slices_tell_nothing_of_those_that_are_not():
    flow, neighbours = Flow(scale=0.1), Neighbours.of(16)
    images = grey(np.random.default_rng(0).normal(size=(20, 1, 16, 8, 6)), flow)
    spectrum = ((2.0,) * 7,)
    full = fit_neighbours(images, flow, spectrum)
    with_black = np.concatenate([images, np.full_like(images, -1)])
    assert fit_neighbours(with_black, flow, spectrum) == full
    images[LEAST - 1 :, :, 0] = -1  # too few are left at the bottom
    fits = fit_neighbours(images, flow, spectrum)
    assert fits[int(neighbours.kind[0])] == fits[0] != full[int(neighbours.kind[0])]


def test_slices_of_several_calls_are_those_of_one():
    stacks, choices = torch.rand(5, 2, 16, 4, 4) * 2 - 1, torch.rand(5, CHOICES)
    whole = Shown.slices(stacks, choices, FLOW)
    parts = zip(stacks.split(2), choices.split(2), strict=True)
    joined = Shown.joined(Shown.slices(some, each, FLOW) for some, each in parts)
    assert torch.equal(joined.images, whole.images)
    for name in ("slices", "place", "kind"):
        assert torch.equal(getattr(joined.beside, name), getattr(whole.beside, name))


@pytest.mark.parametrize("depth", [16, 64])
def test_slices_of_a_kind_have_as_many_neighbours_as_far_away(depth):
    neighbours = Neighbours.of(depth)
    of_kind = {kind: [] for kind in range(neighbours.kinds)}
    for place in range(depth):
        near = {int(neighbours.below[place]), int(neighbours.above[place])} - {-1}
        of_kind[int(neighbours.kind[place])].append(sorted(abs(place - one) for one in near))
    assert of_kind[0] == [[]]
    for distances in of_kind.values():
        assert all(each == distances[0] for each in distances)
        assert [8] not in distances or len(distances) == 1


def fits_of(depth, gain, left, channels=1, rings=5):
    """Say that all slices but the first follow in the same way from their neighbours."""
    unknown = NeighbourFit(
        gain=((0.0,) * rings,) * channels, residual_power=((1.0,) * rings,) * channels
    )
    known = NeighbourFit(
        gain=tuple((each,) * rings for each in gain),
        residual_power=tuple((each,) * rings for each in left),
    )
    return [unknown, *[known] * (Neighbours.of(depth).kinds - 1)]


def test_the_guess_of_a_slice_begins_with_what_follows_from_its_neighbours():
    gain, left = torch.tensor([0.5, 0.8]), torch.tensor([0.04, 0.25])
    fits = fits_of(16, gain.tolist(), left.tolist(), channels=2)
    guess = LinearGuess((2, 4, 4), ((1.0,) * 5,) * 2, fits)
    stacks, chosen = torch.randn(3, 2, 16, 4, 4), torch.tensor([5, 8, 15])
    beside = Neighbours.of(16).beside(stacks, torch.arange(3), chosen)
    noisy, residual = torch.randn(2, 3, 2, 4, 4)
    t = torch.full((3, 1, 1, 1), 0.4)
    seen = guess.given_neighbours(beside.mean, beside.kind)(noisy, residual, t)
    means = torch.stack([(stacks[0, :, 4] + stacks[0, :, 6]) / 2, stacks[2, :, 14]])
    expected, power = gain[:, None, None] * means, left[:, None, None]
    noisy_power = 0.36 * power + 0.16
    known = (
        expected
        + 0.6 * power / noisy_power * (noisy[[0, 2]] - 0.6 * expected)
        + 0.4 * (power / noisy_power).sqrt() * residual[[0, 2]]
    )
    torch.testing.assert_close(seen[[0, 2]], known, atol=1e-5, rtol=0)
    torch.testing.assert_close(seen[1], guess(noisy, residual, t)[1])


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


def test_slices_that_are_their_neighbours_are_drawn_as_the_first_one():
    class Silent(torch.nn.Module):
        def forward(self, seen, times, told):
            return torch.zeros_like(seen[:, :1])

    guess = LinearGuess((1, 4, 4), ((1.0,) * 5,), fits_of(16, [1.0], [1e-7]))
    sampler = StackSampler(Silent(), FLOW, guess, Sampler(steps=8), shape=(1, 16, 4, 4))
    noise = torch.randn(2, 16 * 16, generator=torch.Generator().manual_seed(0)).abs()
    drawn = sampler(noise)
    first = FLOW.to_unit(drawn[:, :, middle_of(16)])
    assert float(first.mean()) > 0.1
    unit = FLOW.to_unit(drawn)
    torch.testing.assert_close(unit, first[:, :, None].expand_as(unit), atol=0.01, rtol=0)


def test_given_channels_stay_as_they_are_given():
    class Silent(torch.nn.Module):
        def forward(self, seen, times, told):
            return torch.zeros_like(seen[:, :2])

    guess = LinearGuess((2, 4, 4))
    sampler = StackSampler(Silent(), FLOW, guess, Sampler(steps=2), given=1, shape=(2, 16, 4, 4))
    given = (torch.rand(1, 16 * 16) > 0.5).float() * 2 - 1
    drawn = sampler(torch.cat([torch.randn(1, 2 * 16 * 16), given], 1))
    assert torch.equal(drawn[:, 1].flatten(1), given)
