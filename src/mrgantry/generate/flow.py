"""Rectified flow: straight lines from noise to images, and the way back along them.

Between an image x and normal noise e lies x_t = (1 - t) x + t e (Liu et al. 2023; Lipman et al.
2023). A network that is shown x_t and t says what x was, on average over all x and e that could
have led there. The velocity e - x follows from it as (x_t - x) / t, and from pure noise at t = 1
an ordinary differential equation with this velocity leads to a new image at t = 0.

All that passes between the functions here is images brought to unit spread, in which black is 0,
as it is beyond an image's edge.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from mrgantry.common.frozen import Frozen
from mrgantry.generate.guess import Guess, LinearGuess
from mrgantry.generate.layers import channels_last

# Noisy images (n, c, h, w), or volumes (n, c, d, h, w), their times (n,) and one-hot labels (n, k)
# to what a network says of them, and to images without noise.
Respond = Callable[[Tensor, Tensor, Tensor], Tensor]
Denoise = Callable[[Tensor, Tensor, Tensor], Tensor]
Share = Annotated[float, Field(ge=0, lt=1)]
# Of steps that are dense at both ends: noise over signal at the first, instead of infinity, and
# at the last but one; and how strongly they are drawn to the latter (rho of Karras et al. 2022).
RATIOS = (80.0, 0.005)
BEND = 7.0


class Flow(Frozen):
    """The path from noise to images, and what the network learns on it.

    Attributes:
        shift: How far times are moved towards noise: t' = shift t / (1 + (shift - 1) t). Where an
            image has more pixels, the same noise hides less of it (Esser et al. 2024,
            equation 23), so this grows with the side: 1 at 64 pixels, 2 at 128.
        predicts: What the network gives. "residual" is what the best linear guess of the image
            lacks, brought to unit spread at every frequency, so that the network is asked for
            about as much at every time (as Karras et al. 2022, table 1, who take all frequencies
            for alike). "velocity" is e - x.
        scale: Spread that images are brought to 1 from, of intensities from -1 to 1.
        gap: How far the faintest grey is held from black while it is learnt, of intensities from
            -1 to 1. Much of a scan is black and nothing but black, while what comes of noise is
            black but for a trace; within the gap, a trace is black in the end.
        logit_mean: Mean of the logit of training times before the shift; 0 is half noise.
        logit_spread: Its standard deviation. Where it is small, the network hardly ever sees the
            last traces of noise, and cannot take them off.
        least: Times below are weighted as this one is.
        unlabelled: Share of training images whose labels are hidden, so that guidance knows both.
    """

    shift: Annotated[float, Field(gt=0)] = 1.0
    predicts: Literal["residual", "velocity"] = "residual"
    scale: Annotated[float, Field(gt=0)] = 0.5
    gap: Annotated[float, Field(ge=0, lt=1)] = 0.0
    logit_mean: float = 0.0
    logit_spread: Annotated[float, Field(gt=0)] = 1.0
    least: Annotated[float, Field(gt=0, lt=1)] = 0.02
    unlabelled: Share = 0.1

    def shifted(self, times: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """Move times towards noise."""
        return self.shift * times / (1 + (self.shift - 1) * times)

    def shifted_time(self, time: float) -> float:
        """Move one time towards noise."""
        return self.shift * time / (1 + (self.shift - 1) * time)

    def draw_times(self, normal: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Give training times, before the shift, from normal numbers (Esser et al. 2024, 3.1)."""
        return torch.sigmoid(self.logit_spread * normal + self.logit_mean)

    def to_unit(self, images: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Bring intensities in [-1, 1] to unit spread, black to 0."""
        return torch.where(images > -1, (images + 1 + self.gap) / self.scale, 0.0)

    def from_unit(self, images: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Bring images of unit spread to intensities; a trace of grey falls below black."""
        return images * self.scale - 1 - self.gap

    def denoiser(self, respond: Respond, guess: Guess) -> Denoise:
        """Give images without noise from what a network says, and a guess that it adds to."""

        def denoise(noisy: Tensor, times: Tensor, labels: Tensor) -> Tensor:
            said = respond(noisy, times, labels)
            t = _column(self.shifted(times), noisy)
            if self.predicts == "velocity":
                return noisy - t * said
            return guess(noisy, said, t)

        return denoise

    def errors(
        self,
        denoise: Denoise,
        images: Float[Tensor, "n c *s"],
        labels: Float[Tensor, "n k"],
        times: Float[Tensor, " n"],
        noise: Float[Tensor, "n c *s"],
        weights: Float[Tensor, " c"] | None = None,
    ) -> Float[Tensor, " n"]:
        """Give the mean squared error of the velocity at each image; training lowers it.

        Args:
            denoise: The network.
            images: Intensities in [-1, 1].
            labels: One-hot.
            times: Before the shift.
            noise: Normal.
            weights: Of the channels, which add up to 1; None weighs all alike.
        """
        clean = self.to_unit(images)
        t = self.shifted(times)
        noisy = torch.lerp(clean, noise, _column(t, clean))
        away = denoise(noisy, times, labels) - clean
        by_channel = away.square().mean(tuple(range(2, away.ndim)))
        error = by_channel.mean(1) if weights is None else by_channel @ weights.to(by_channel)
        return error / t.clamp(min=self.least).square()


def channel_weights(images: int, classes: int) -> Float[Tensor, " c"] | None:
    """Weigh channels so that all classes of label maps together count as one image.

    Edges of maps are sharp, and their errors many times those of images: weighed alike, they would
    be nearly all that a network learns from.

    Args:
        images: Channels of images.
        classes: Channels of classes, which follow; without any, all weigh alike.

    Returns:
        Weights that add up to 1.
    """
    if not classes:
        return None
    return torch.tensor([1.0] * images + [1 / classes] * classes) / (images + 1)


class Sampler(Frozen):
    """How images are drawn from noise.

    Attributes:
        method: "multistep" looks at the network once a step and back at the step before
            (DPM-Solver++ 2M, Lu et al. 2022); "heun" looks twice; "euler" once.
        steps: From noise to image.
        spacing: "ends" sets the steps as densely where there is nearly only noise or nearly none
            as their noise over signal asks for (Karras et al. 2022, equation 5): few steps then
            draw images as sharp as many do. "even" sets them evenly in time.
        guidance: How much further than the labels say an image goes from one without labels
            (Ho and Salimans 2022); 1 takes the labels as they are and looks half as often.
    """

    method: Literal["multistep", "heun", "euler"] = "multistep"
    steps: Annotated[int, Field(ge=1, le=1000)] = 16
    spacing: Literal["ends", "even"] = "ends"
    guidance: Annotated[float, Field(ge=0)] = 1.0

    def go(
        self,
        flow: Flow,
        denoise: Denoise,
        noise: Float[Tensor, "n c *s"],
        labels: Float[Tensor, "n k"],
        backwards: bool = False,
    ) -> Float[Tensor, "n c *s"]:
        """Follow the equation from noise to images, or back from images to their noise.

        Args:
            flow: The path.
            denoise: The network.
            noise: Normal; images in [-1, 1] if `backwards`.
            labels: One-hot.
            backwards: Go from images to noise.

        Returns:
            Images, not clamped; noise if `backwards`.
        """
        if not backwards:
            return flow.from_unit(self.follow(flow, denoise, noise, labels))
        # At an image itself the velocity is 0 / 0; a trace of noise away it is known.
        times = [max(time, flow.least / 10) for time in reversed(self.times())]
        walker = Walker(flow, self.guided(denoise), labels)
        return self._along(times, walker, flow.to_unit(noise))

    def follow(
        self,
        flow: Flow,
        denoise: Denoise,
        noise: Float[Tensor, "n c *s"],
        labels: Float[Tensor, "n k"],
    ) -> Float[Tensor, "n c *s"]:
        """Follow the equation from noise to images of unit spread; see `go`."""
        return self._along(self.times(), Walker(flow, self.guided(denoise), labels), noise)

    def renoise(
        self,
        flow: Flow,
        denoise: Denoise,
        images: Float[Tensor, "n c *s"],
        noise: Float[Tensor, "n c *s"],
        labels: Float[Tensor, "n k"],
        time: float,
    ) -> Float[Tensor, "n c *s"]:
        """Bury images in some noise, and follow the equation back from there.

        What the noise leaves of an image stays, what it hides is drawn anew (Meng et al. 2022,
        algorithm 2).

        Args:
            flow: The path.
            denoise: The network.
            images: In [-1, 1], of whatever origin.
            noise: Normal.
            labels: One-hot.
            time: How much noise, before the shift: 0 none, 1 nothing else.

        Returns:
            Images, not clamped.
        """
        points = torch.lerp(flow.to_unit(images), noise, flow.shifted_time(time))
        times = [time, *(each for each in self.times() if each < time)]
        return flow.from_unit(
            self._along(times, Walker(flow, self.guided(denoise), labels), points)
        )

    def _along(self, times: list[float], walker: "Walker", points: Tensor) -> Tensor:
        """Take a step from each time to the next."""
        move = {"multistep": walker.multistep, "heun": walker.heun, "euler": walker.euler}
        for now, then in pairwise(times):
            points = move[self.method](points, now, then)
        return points

    def times(self) -> list[float]:
        """Give the times of all steps before the shift, from 1 (noise) to 0 (image)."""
        if self.spacing == "even" or self.steps == 1:
            return [step / self.steps for step in range(self.steps, -1, -1)]
        most, least = (ratio ** (1 / BEND) for ratio in RATIOS)
        ratios = [
            (most + step / (self.steps - 1) * (least - most)) ** BEND for step in range(self.steps)
        ]
        return [1.0, *(ratio / (1 + ratio) for ratio in ratios[1:]), 0.0]

    def guided(self, denoise: Denoise) -> Denoise:
        """Go further from what is seen without labels."""

        def further(points: Tensor, times: Tensor, labels: Tensor) -> Tensor:
            conditional = denoise(points, times, labels)
            unconditional = denoise(points, times, torch.zeros_like(labels))
            return unconditional + self.guidance * (conditional - unconditional)

        return denoise if self.guidance == 1 else further


class Walker:
    """Steps along the equation; all images are at the same time.

    Args:
        flow: The path.
        denoise: The network, with guidance.
        labels: One-hot.
    """

    def __init__(self, flow: Flow, denoise: Denoise, labels: Float[Tensor, "n k"]) -> None:
        self.flow, self.denoise, self.labels = flow, denoise, labels
        self.previous: tuple[float, Tensor] | None = None  # time and image of the last look

    def look(self, points: Float[Tensor, "n c *s"], time: float) -> Float[Tensor, "n c *s"]:
        """Give the images that the network sees in points at a time before the shift."""
        return self.denoise(points, points.new_full((len(points),), time), self.labels)

    def euler(self, points: Tensor, now: float, then: float) -> Tensor:
        """Go straight to where the image that is seen would be at that time."""
        return self.towards(self.look(points, now), points, now, then)

    def heun(self, points: Tensor, now: float, then: float) -> Tensor:
        """Go straight, look again, and go by the mean of both velocities."""
        t, u = self.flow.shifted_time(now), self.flow.shifted_time(then)
        velocity = (points - self.look(points, now)) / t
        there = points + (u - t) * velocity
        if u == 0:
            return there
        return points + (u - t) / 2 * (velocity + (there - self.look(there, then)) / u)

    def multistep(self, points: Tensor, now: float, then: float) -> Tensor:
        """Go to where the image would be that both looks together point to.

        The looks are extrapolated in the logarithm of signal over noise, which is infinite at
        both ends: there the last look counts alone.
        """
        seen, image = self.look(points, now), None
        if self.previous is not None:
            time, earlier = self.previous
            ago, ahead = self._clearer(time, now), self._clearer(now, then)
            if math.isfinite(ago) and math.isfinite(ahead):
                image = seen + ahead / ago / 2 * (seen - earlier)
        self.previous = now, seen
        return self.towards(seen if image is None else image, points, now, then)

    def towards(self, images: Tensor, points: Tensor, now: float, then: float) -> Tensor:
        """Keep the noise that points have beside images, and give it its share at another time."""
        t, u = self.flow.shifted_time(now), self.flow.shifted_time(then)
        return u / t * points + (1 - u / t) * images

    def _clearer(self, time: float, later: float) -> float:
        """Say by how much the logarithm of signal over noise grows from one time to another."""
        t, u = self.flow.shifted_time(time), self.flow.shifted_time(later)
        if t in {0, 1} or u in {0, 1}:
            return float("inf")
        return math.log(t / (1 - t)) - math.log(u / (1 - u))


def holding(denoise: Denoise, given: Float[Tensor, "n k *s"]) -> Denoise:
    """See the last channels as what they are given to be, whatever the network says of them.

    Points then keep to the straight line from the noise of these channels to what is given, as
    in training, and the other channels are drawn beside it (as Song et al. 2021, section 5, fill
    images in).

    Args:
        denoise: The network.
        given: Images of unit spread, as all that passes here.
    """

    def held(points: Tensor, times: Tensor, labels: Tensor) -> Tensor:
        seen = denoise(points, times, labels)
        return torch.cat([seen[:, : -given.shape[1]], given], 1)

    return held


class FlowSampler(nn.Module):
    """A trained flow as a generator: latents with labels behind them to images.

    Args:
        network: The denoiser.
        flow: Its path.
        guess: The linear guess that it was trained to add to.
        sampler: How to draw.
        bf16: Whether the network computes in bf16.
        given: How many of the last channels are not drawn: what they show stands behind the
            labels, in [-1, 1].
        shape: Of what is drawn, with its channels; unless given, that of the guess.
    """

    def __init__(
        self,
        network: nn.Module,
        flow: Flow,
        guess: LinearGuess,
        sampler: Sampler,
        bf16: bool = False,
        given: int = 0,
        shape: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        self.given, self.shape = given, shape or guess.shape
        self.network, self.flow, self.guess = network, flow, guess
        self.sampler, self.bf16 = sampler, bf16

    def forward(self, inputs: Float[Tensor, "n z"]) -> Float[Tensor, "n c *s"]:
        """Draw images, given channels among them as they were given."""
        noise, labels, given = self._parted(inputs)
        drawn = self.draw(noise, labels, given)
        return drawn if given is None else torch.cat([drawn[:, : -self.given], given], 1)

    def draw(
        self,
        noise: Float[Tensor, "n c *s"],
        labels: Float[Tensor, "n k"],
        given: Float[Tensor, "n g *s"] | None,
    ) -> Float[Tensor, "n c *s"]:
        """Draw images, the last channels beside what they are given to be."""
        if given is None:
            return self.sampler.go(self.flow, self.denoise, noise, labels)
        denoise = holding(self.denoise, self.flow.to_unit(given))
        return self.sampler.go(self.flow, denoise, noise, labels)

    def invert(
        self, images: Float[Tensor, "n c *s"], labels: Float[Tensor, "n k"]
    ) -> Float[Tensor, "n z"]:
        """Find the latents of images, by the equation backwards."""
        latents = self.sampler.go(self.flow, self.denoise, images, labels, backwards=True)
        return latents.flatten(1)

    def renoise(
        self,
        images: Float[Tensor, "n c *s"],
        noise: Float[Tensor, "n c *s"],
        labels: Float[Tensor, "n k"],
        time: float,
    ) -> Float[Tensor, "n c *s"]:
        """Bury images in some noise, and draw from there; see `Sampler.renoise`."""
        return self.sampler.renoise(self.flow, self.denoise, images, noise, labels, time)

    @property
    def denoise(self) -> Denoise:
        """Give what the network makes of noisy images."""
        return self.flow.denoiser(self.respond, self.guess)

    def respond(self, points: Tensor, times: Tensor, labels: Tensor) -> Tensor:
        """Ask the network, in its arithmetic."""
        with torch.autocast(points.device.type, torch.bfloat16, enabled=self.bf16):
            said: Tensor = self.network(points, times, labels)
        return said.float()

    def _parted(self, inputs: Float[Tensor, "n z"]) -> tuple[Tensor, Tensor, Tensor | None]:
        """Part inputs into noise, one-hot labels and given channels, if there are any."""
        shape = self.shape
        pixels, given_pixels = math.prod(shape), self.given * math.prod(shape[1:])
        end = inputs.shape[1] - given_pixels
        noise = inputs[:, :pixels].reshape(len(inputs), *shape)
        given = inputs[:, end:].reshape(len(inputs), self.given, *shape[1:])
        return (
            channels_last(noise),
            inputs[:, pixels:end],
            given if self.given else None,
        )


def _column(values: Float[Tensor, " n"], images: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
    """Lay a number an image out so that it multiplies the whole image."""
    return values.view(-1, *[1] * (images.ndim - 1))
