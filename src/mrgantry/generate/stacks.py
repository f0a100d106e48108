"""Whole heads slice by slice, from the middle outwards, each beside those drawn already.

A network of slices learns what a slice shows where the nearest known slices below and above are
shown to it (as Peng et al. 2023 condition slices of brains on others). So it learns from slices,
of which a head has dozens, begins with the weights of a network that knows slices, and needs no
more memory than one. What a slice shares with its neighbours linearly, it need not learn
(`LinearGuess.given_neighbours`). Drawing begins in the middle, where a slice says most of a head;
then follows every eighth slice outwards, beside the one before; then those midway between two,
beside both; then midway again, until all are drawn.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mrgantry.generate.flow import Denoise, Flow, FlowSampler, Respond, holding
from mrgantry.generate.guess import LinearGuess
from mrgantry.generate.layers import channels_last

DISTANCES = (8, 4, 2, 1)  # slices from one that is drawn to those that it is drawn beside
FAR = DISTANCES[0]
SIDES = 2  # of a slice: below and above
WAVES = 4  # of each kind write a height
PLACE = 2 * WAVES + len(DISTANCES) + SIDES  # numbers that tell of a slice where it lies
# Shares of the slices that are learnt, by how far their neighbours are. Those far apart are few
# in a head and decide what the others look like, so they are learnt more often than they occur.
WEIGHTS = {8: 0.3, 4: 0.25, 2: 0.2, 1: 0.25}
HIDDEN = 0.15  # of all slices are learnt beside nothing, as the first one of a head is drawn
# Up to this spread of noise lies over neighbours while learning: those that are drawn are not
# perfect.
UNSURE = 0.1
CHOICES = 3  # random numbers choose what is learnt of a head: see `Shown.slices`


@dataclass(frozen=True, eq=False)
class Beside:
    """What is known of slices before they are drawn; of images that are drawn whole, nothing.

    Attributes:
        slices: Their neighbours below and above, of unit spread, black where there is none.
        place: Where they lie, as the network is told: waves of the height, which of `DISTANCES`
            the neighbours have, and whether there is one below and one above.
        kind: Which of `Neighbours.kinds` they are.
    """

    slices: Float[Tensor, "n b *s"]
    place: Float[Tensor, "n k"]
    kind: Int[Tensor, " n"]

    @classmethod
    def nothing(cls, images: Float[Tensor, "n c *s"]) -> "Beside":
        """Say that images are drawn whole."""
        return cls(
            images[:, :0], images.new_zeros(len(images), 0), images.new_zeros(len(images)).long()
        )

    def __getitem__(self, rows: Int[Tensor, " m"]) -> "Beside":
        """Take some of the slices."""
        return Beside(self.slices[rows], self.place[rows], self.kind[rows])

    @property
    def sides(self) -> Float[Tensor, "n 2"]:
        """Say where there is a neighbour: 1 or 0 below and above."""
        return self.place[:, -SIDES:]

    @property
    def mean(self) -> Float[Tensor, "n c *s"]:
        """Give the mean of the neighbours that there are; black where there is none."""
        count = self.sides.sum(1).clamp(min=1).view(-1, *[1] * (self.slices.ndim - 1))
        return self.slices.unflatten(1, (SIDES, -1)).sum(1) / count

    def without(self, hidden: Bool[Tensor, " n"]) -> "Beside":
        """Hide the neighbours of some slices, as if these were drawn first."""
        sides = self.sides * ~hidden[:, None]
        return replace(
            self,
            slices=self.slices * ~hidden.view(-1, 1, 1, 1),
            place=torch.cat([self.place[:, :-SIDES], sides], 1),
            kind=self.kind * ~hidden,
        )

    def noisy(self, noise: Float[Tensor, "n b *s"]) -> "Beside":
        """Add noise to the neighbours, where there are any."""
        each = self.slices.shape[1] // SIDES
        there = self.sides.repeat_interleave(each, 1)[:, :, None, None]
        return replace(self, slices=self.slices + noise * there)


@dataclass(frozen=True)
class Neighbours:
    """Where the slices of a stack lie, and which are shown beside each.

    Attributes:
        below: Of each slice: the nearest one below that is drawn before it; -1 if there is none.
        above: The same above.
        place: See `Beside`.
        kind: 0 is the slice that is drawn first, beside nothing. Each slice that is drawn beside
            one far away is a kind of its own, since towards the ends of a head less and less is
            left. Of the others, those at the same distance from one neighbour are of one kind,
            and those from two.
        kinds: How many there are.
        chance: How often each slice is learnt, summed up to it.
    """

    below: Int[Tensor, " d"]
    above: Int[Tensor, " d"]
    place: Float[Tensor, "d k"]
    kind: Int[Tensor, " d"]
    kinds: int
    chance: Float[Tensor, " d"]

    @classmethod
    def of(cls, depth: int, device: torch.device | None = None) -> "Neighbours":
        """Tell the neighbours of all slices of a stack of this depth."""
        middle, distances = middle_of(depth), [distance_of(place) for place in range(depth)]
        far = [place for place in range(0, depth, FAR) if place != middle]
        below, above, kind = [], [], []
        for place, distance in enumerate(distances):
            # Slices far apart are drawn beside that on the side of the middle alone.
            has_below = place >= distance and not (distance == FAR and place <= middle)
            has_above = place + distance < depth and not (distance == FAR and place >= middle)
            below.append(place - distance if has_below else -1)
            above.append(place + distance if has_above else -1)
            if distance == FAR:
                kind.append(0 if place == middle else 1 + far.index(place))
            else:
                first = 1 + len(far) + SIDES * (DISTANCES.index(distance) - 1)
                kind.append(first + has_below + has_above - 1)
        height = (torch.arange(depth) + 0.5) / depth * 2 - 1
        angles = height[:, None] * math.pi / 4 * 2 ** torch.arange(WAVES)
        near = [
            [*(float(distance == each) for each in DISTANCES), float(low >= 0), float(high >= 0)]
            for distance, low, high in zip(distances, below, above, strict=True)
        ]
        weights = [WEIGHTS[each] / distances.count(each) for each in distances]
        chance = [sum(weights[: last + 1]) / sum(weights) for last in range(depth)]
        told = torch.cat([angles.sin(), angles.cos(), torch.tensor(near)], 1)
        return cls(
            below=torch.tensor(below).to(device),
            above=torch.tensor(above).to(device),
            place=told.to(device),
            kind=torch.tensor(kind).to(device),
            kinds=1 + len(far) + SIDES * (len(DISTANCES) - 1),
            chance=torch.tensor(chance).to(device),
        )

    def beside(
        self,
        stacks: Float[Tensor, "n c d h w"],
        rows: Int[Tensor, " m"],
        chosen: Int[Tensor, " m"],
    ) -> Beside:
        """Give what is known of slices beside which others are drawn already.

        Args:
            stacks: Of unit spread.
            rows: Which stack each slice is of,
            chosen: and which of its slices it is.
        """
        shown = []
        for side in (self.below, self.above):
            places = side[chosen]
            shown.append(stacks[rows, :, places.clamp(min=0)] * (places >= 0).view(-1, 1, 1, 1))
        slices = channels_last(torch.cat(shown, 1))
        return Beside(slices, self.place[chosen], self.kind[chosen])


def distance_of(place: int) -> int:
    """Give how far from a slice those lie that it is drawn beside."""
    return next(distance for distance in DISTANCES if place % distance == 0)


def middle_of(depth: int) -> int:
    """Give the slice that is drawn first."""
    return depth // (2 * FAR) * FAR


def order_of(depth: int) -> list[range]:
    """Give the slices of a stack in the order in which they are drawn; groups go together."""
    middle = middle_of(depth)
    groups = [range(middle, middle + 1)]
    for away in range(FAR, depth, FAR):
        below, above = middle - away, middle + away
        if below >= 0 and above < depth:
            groups.append(range(below, above + 1, 2 * away))
        elif below >= 0 or above < depth:
            single = below if below >= 0 else above
            groups.append(range(single, single + 1))
    between = [range(distance, depth, 2 * distance) for distance in DISTANCES[1:]]
    return groups + [group for group in between if group]


def denoiser_beside(flow: Flow, respond: Respond, guess: LinearGuess, beside: Beside) -> Denoise:
    """Give the denoiser of slices that are shown their neighbours; of whole images, the plain one.

    Args:
        flow: The path from noise to images.
        respond: The network; of slices, it sees their neighbours behind them, and is told their
            places behind the labels.
        guess: What it adds to.
        beside: What is known of them.

    Returns:
        Noisy slices, times and labels to slices without noise.
    """
    if not beside.place.shape[1]:
        return flow.denoiser(respond, guess)

    def say(noisy: Tensor, times: Tensor, labels: Tensor) -> Tensor:
        seen, told = torch.cat([noisy, beside.slices], 1), torch.cat([labels, beside.place], 1)
        return respond(seen, times, told)

    return flow.denoiser(say, guess.given_neighbours(beside.mean, beside.kind))


@dataclass(frozen=True, eq=False)
class Shown:
    """Images to learn from, with what is known of them before.

    Attributes:
        images: Intensities in [-1, 1]; of heads that are drawn slice by slice, a slice a head.
        beside: Of slices, their neighbours.
    """

    images: Float[Tensor, "n c *s"]
    beside: Beside

    @classmethod
    def whole(cls, images: Float[Tensor, "n c *s"]) -> "Shown":
        """Show images that are learnt whole."""
        return cls(channels_last(images), Beside.nothing(images))

    @classmethod
    def slices(
        cls,
        stacks: Float[Tensor, "n c d h w"],
        choices: Float[Tensor, "n 3"],
        flow: Flow,
        normal: Callable[..., Tensor] | None = None,
    ) -> "Shown":
        """Show a slice of each stack.

        Args:
            stacks: Intensities in [-1, 1].
            choices: Random from 0 to 1: which slice, whether beside nothing, and how much noise
                lies over what is beside it.
            flow: What they are learnt for.
            normal: Gives noise of a shape, a row a slice, for what lies beside them; None leaves
                that as it is.
        """
        depth = stacks.shape[2]
        neighbours = Neighbours.of(depth, stacks.device)
        which, hidden, unsure = choices.unbind(1)
        chosen = torch.searchsorted(neighbours.chance, which.contiguous()).clamp(max=depth - 1)
        rows = torch.arange(len(stacks), device=stacks.device)
        beside = neighbours.beside(flow.to_unit(stacks), rows, chosen).without(hidden < HIDDEN)
        if normal is not None:
            noise = normal(*beside.slices.shape[1:])
            beside = beside.noisy(UNSURE * unsure.view(-1, 1, 1, 1) * noise)
        return cls(channels_last(stacks[rows, :, chosen]), beside)

    @classmethod
    def joined(cls, parts: Iterable["Shown"]) -> "Shown":
        """Put what several calls show one behind another."""
        known = list(parts)
        beside = [part.beside for part in known]
        return cls(
            channels_last(torch.cat([part.images for part in known])),
            Beside(
                channels_last(torch.cat([each.slices for each in beside])),
                torch.cat([each.place for each in beside]),
                torch.cat([each.kind for each in beside]),
            ),
        )


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
            denoise = denoiser_beside(self.flow, self.respond, self.guess, beside)
            if given is not None:
                denoise = holding(denoise, _slices(self.flow.to_unit(given), span))
            points = channels_last(_slices(noise, span))
            seen = self.sampler.follow(
                self.flow, denoise, points, labels.repeat_interleave(len(group), 0)
            )
            # Learning shows nothing darker than black or brighter than white beside a slice.
            seen = self.flow.to_unit(self.flow.from_unit(seen).clamp(max=1.0))
            drawn[:, :, span] = seen.unflatten(0, (-1, len(group))).transpose(1, 2)
        return self.flow.from_unit(drawn)


def _slices(stacks: Float[Tensor, "n c d h w"], span: slice) -> Float[Tensor, "m c h w"]:
    """Take some slices of all stacks, those of a stack one after another."""
    return stacks[:, :, span].transpose(1, 2).flatten(0, 1)
