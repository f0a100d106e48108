"""Whole heads slice by slice, from the middle outwards, each beside those drawn already.

A network of slices learns what a slice shows where the nearest known slices below and above are
shown to it (as Peng et al. 2023 condition slices of brains on others). So it learns from slices,
of which a head has dozens, begins with the weights of a network that knows slices, and needs no
more memory than one. What a slice shares with its neighbours linearly, it need not learn
(`LinearGuess.beside`). Drawing begins in the middle, where a slice says most of a head; then
follows every eighth slice outwards, beside the one before; then those midway between two, beside
both; then midway again, until all are drawn.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mrgantry.generate.flow import Denoise, Flow, FlowSampler, Respond, holding
from mrgantry.generate.guess import LinearGuess
from mrgantry.generate.layers import channels_last

DISTANCES = (8, 4, 2, 1)  # slices from one that is drawn to those that it is drawn beside
WAVES = 4  # of each kind write a height
PLACE = 2 * WAVES + len(DISTANCES) + 2  # numbers that tell of a slice where it lies
BESIDE = 2  # slices are shown beside one
KINDS = 1 + BESIDE * len(DISTANCES)  # of slices: beside nothing, and beside one or two so far away
# How often slices are learnt that are drawn beside slices so far away: the first decide what the
# others look like, and there are few of them.
WEIGHTS = {8: 0.3, 4: 0.25, 2: 0.2, 1: 0.25}
HIDDEN = 0.15  # of them are learnt as the first one is drawn, beside nothing
# Up to this spread of noise lies over neighbours while learning: those that are drawn are not
# perfect.
UNSURE = 0.1
NUMBERS = 3  # choose what is learnt: which slice, whether beside nothing, how much noise over it


@dataclass(frozen=True)
class Neighbours:
    """Where the slices of a stack lie, and which are shown beside each.

    Attributes:
        below: Of each slice: the nearest one below that is drawn before it; -1 if there is none.
        above: The same above.
        place: Its height and its distance from them, as the network is told.
        chance: How often each slice is learnt, summed up to it.
    """

    below: Int[Tensor, " d"]
    above: Int[Tensor, " d"]
    place: Float[Tensor, "d k"]
    chance: Float[Tensor, " d"]

    @classmethod
    def of(cls, depth: int, device: torch.device | None = None) -> "Neighbours":
        """Tell the neighbours of all slices of a stack of this depth."""
        middle, distances = middle_of(depth), [distance_of(place) for place in range(depth)]
        below, above = [], []
        for place, distance in enumerate(distances):
            # Every eighth slice is drawn beside that on the side of the middle alone.
            far = distance == DISTANCES[0]
            has_below = place >= distance and not (far and place <= middle)
            has_above = place + distance < depth and not (far and place >= middle)
            below.append(place - distance if has_below else -1)
            above.append(place + distance if has_above else -1)
        height = (torch.arange(depth) + 0.5) / depth * 2 - 1
        angles = height[:, None] * math.pi / 4 * 2 ** torch.arange(WAVES)
        near = [
            [*(float(distance == each) for each in DISTANCES), float(low >= 0), float(high >= 0)]
            for distance, low, high in zip(distances, below, above, strict=True)
        ]
        weights = [WEIGHTS[each] / distances.count(each) for each in distances]
        chance = [sum(weights[: last + 1]) / sum(weights) for last in range(depth)]
        told = torch.cat([angles.sin(), angles.cos(), torch.tensor(near)], 1)
        tensors = (torch.tensor(below), torch.tensor(above), told, torch.tensor(chance))
        return cls(*(tensor.to(device) for tensor in tensors))

    def beside(
        self,
        stacks: Float[Tensor, "n c d h w"],
        rows: Int[Tensor, " m"],
        chosen: Int[Tensor, " m"],
    ) -> Float[Tensor, "m c2 h w"]:
        """Give what is shown beside slices, black where there is none.

        Args:
            stacks: Of unit spread.
            rows: Which stack each slice is of,
            chosen: and which of its slices it is.
        """
        shown = []
        for side in (self.below, self.above):
            places = side[chosen]
            shown.append(stacks[rows, :, places.clamp(min=0)] * (places >= 0).view(-1, 1, 1, 1))
        return channels_last(torch.cat(shown, 1))


def distance_of(place: int) -> int:
    """Give how far from a slice those lie that it is drawn beside."""
    return next(distance for distance in DISTANCES if place % distance == 0)


def middle_of(depth: int) -> int:
    """Give the slice that is drawn first."""
    return depth // (2 * DISTANCES[0]) * DISTANCES[0]


def order_of(depth: int) -> list[range]:
    """Give the slices of a stack in the order in which they are drawn; groups go together."""
    middle, far = middle_of(depth), DISTANCES[0]
    groups = [range(middle, middle + 1)]
    for away in range(far, depth, far):
        below, above = middle - away, middle + away
        if below >= 0 and above < depth:
            groups.append(range(below, above + 1, 2 * away))
        elif below >= 0 or above < depth:
            single = below if below >= 0 else above
            groups.append(range(single, single + 1))
    between = [range(distance, depth, 2 * distance) for distance in DISTANCES[1:]]
    return groups + [group for group in between if group]


def kinds_of(place: Float[Tensor, "n k"]) -> Int[Tensor, " n"]:
    """Give which of the `KINDS` slices are, from what is told of their places.

    0 are those beside nothing; then follow, of each distance, those beside one and beside two.
    """
    distances, sides = place[:, 2 * WAVES : -BESIDE], place[:, -BESIDE:].sum(1).long()
    return torch.where(sides > 0, BESIDE * distances.argmax(1) + sides, 0)


def mean_beside(
    beside: Float[Tensor, "n b h w"], place: Float[Tensor, "n k"]
) -> Float[Tensor, "n c h w"]:
    """Give the mean of the neighbours that there are; black where there is none."""
    sides = place[:, -BESIDE:].sum(1).clamp(min=1)
    return beside.unflatten(1, (BESIDE, -1)).sum(1) / sides.view(-1, 1, 1, 1)


def denoiser_beside(
    flow: Flow,
    respond: Respond,
    guess: LinearGuess,
    beside: Float[Tensor, "n b *s"],
    place: Float[Tensor, "n k"],
) -> Denoise:
    """Give what is seen in noisy slices beside others; in images, with nothing beside them.

    Args:
        flow: The path.
        respond: The network; of slices, it sees more channels and is told more numbers.
        guess: What it adds to.
        beside: What it sees behind the noisy slices.
        place: What it is told behind the labels.
    """
    if not place.shape[1]:
        return flow.denoiser(respond, guess)

    def say(noisy: Tensor, times: Tensor, labels: Tensor) -> Tensor:
        return respond(torch.cat([noisy, beside], 1), times, torch.cat([labels, place], 1))

    return flow.denoiser(say, guess.beside(mean_beside(beside, place), kinds_of(place)))


@dataclass(frozen=True, eq=False)
class Shown:
    """Images to learn from, with what lies beside them.

    Attributes:
        images: Intensities in [-1, 1]; of heads that are drawn slice by slice, a slice a head.
        beside: A slice's neighbours, of unit spread; of other images nothing.
        place: Where a slice lies; of other images nothing.
    """

    images: Float[Tensor, "n c *s"]
    beside: Float[Tensor, "n b *s"]
    place: Float[Tensor, "n k"]

    @classmethod
    def whole(cls, images: Float[Tensor, "n c *s"]) -> "Shown":
        """Show images that are learnt whole."""
        return cls(channels_last(images), images[:, :0], images.new_zeros(len(images), 0))

    @classmethod
    def slices(
        cls,
        stacks: Float[Tensor, "n c d h w"],
        numbers: Float[Tensor, "n 3"],
        flow: Flow,
        normal: Callable[..., Tensor] | None = None,
    ) -> "Shown":
        """Show a slice of each stack.

        Args:
            stacks: Intensities in [-1, 1].
            numbers: From 0 to 1, that tell which slice, whether beside nothing, and how much
                noise lies over what is beside it.
            flow: What they are learnt for.
            normal: Gives noise of a shape, a row a slice, for what lies beside them; None leaves
                that as it is.
        """
        depth = stacks.shape[2]
        neighbours = Neighbours.of(depth, stacks.device)
        which, hidden, unsure = numbers.unbind(1)
        chosen = torch.searchsorted(neighbours.chance, which.contiguous()).clamp(max=depth - 1)
        place = neighbours.place[chosen]
        sides = place[:, -BESIDE:] * (hidden >= HIDDEN).to(stacks)[:, None]
        rows = torch.arange(len(stacks), device=stacks.device)
        beside = neighbours.beside(flow.to_unit(stacks), rows, chosen)
        if normal is not None:
            beside = beside + UNSURE * unsure.view(-1, 1, 1, 1) * normal(*beside.shape[1:])
        beside = beside * sides.repeat_interleave(stacks.shape[1], 1)[:, :, None, None]
        place = torch.cat([place[:, :-BESIDE], sides], 1)
        return cls(channels_last(stacks[rows, :, chosen]), beside, place)


class StackSampler(FlowSampler):
    """A trained flow of slices beside slices as a generator of whole heads."""

    def draw(
        self,
        noise: Float[Tensor, "n c d h w"],
        labels: Float[Tensor, "n k"],
        given: Float[Tensor, "n g d h w"] | None,
    ) -> Float[Tensor, "n c d h w"]:
        """Draw all slices in their order, each group beside those that are drawn."""
        neighbours = Neighbours.of(noise.shape[2], noise.device)
        drawn = torch.zeros_like(noise)
        for group in order_of(noise.shape[2]):
            span = slice(group.start, group.stop, group.step)
            places = torch.arange(group.start, group.stop, group.step, device=noise.device)
            chosen = places.repeat(len(noise))
            rows = torch.arange(len(noise), device=noise.device).repeat_interleave(len(group))
            beside = neighbours.beside(drawn, rows, chosen)
            denoise = denoiser_beside(
                self.flow, self.respond, self.guess, beside, neighbours.place[chosen]
            )
            if given is not None:
                denoise = holding(denoise, _slices(self.flow.to_unit(given), span))
            points = channels_last(_slices(noise, span))
            seen = self.sampler.follow(
                self.flow, denoise, points, labels.repeat_interleave(len(group), 0)
            )
            # What learning shows beside a slice is black where it is black.
            seen = self.flow.to_unit(self.flow.from_unit(seen))
            drawn[:, :, span] = seen.unflatten(0, (-1, len(group))).transpose(1, 2)
        return self.flow.from_unit(drawn)


def _slices(stacks: Float[Tensor, "n c d h w"], span: slice) -> Float[Tensor, "m c h w"]:
    """Take some slices of all stacks, those of a stack one after another."""
    return stacks[:, :, span].transpose(1, 2).flatten(0, 1)
