"""When training has learnt what its people can teach.

A flow that goes on learning from few people begins to draw those people. It shows before anyone
sees it in the images: the error at people it was not trained on stops falling and rises again,
while that at training people falls on. So the error at both is taken now and then, with the same
noise each time, the weights that serve the others best are kept, and training ends when they have
not been bettered for long. Copying begins before the error at others rises, so two kinds of gain
are no reason to learn on: one that other held-out people might not have shown, and one of which
training people have had much the larger part, since that was learnt of them and not of brains.
Then training goes back to the best look and lets the rate of learning fall from there, as it would
have fallen at the end of a run of that length: weights that were taken at a high rate still draw
roughly.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from mrgantry.common.frozen import Frozen
from mrgantry.generate.stacks import Beside

LOOKS = 256  # images of either side that are looked at


class Stop(Frozen):
    """When training ends by itself.

    Attributes:
        every: Images between two looks at first; later a tenth of those seen so far.
        patience: Training ends when the best look lies back by this share of the images that
            had been seen at it,
        least: and by so many images at least.
        shared: Held-out people must have gained at least this share of what training people have
            gained since the best look for a look to be a better one.
        cool_down: Then the rate of learning falls from the best look on, for this share of the
            images that had been seen at it. It is short, since copying goes on meanwhile.
    """

    every: Annotated[int, Field(ge=1)] = 2000
    patience: Annotated[float, Field(gt=0)] = 0.5
    least: Annotated[int, Field(ge=0)] = 8000
    shared: Annotated[float, Field(ge=0, le=1)] = 0.5
    cool_down: Annotated[float, Field(gt=0)] = 0.2

    def next_look(self, images: int) -> int:
        """Give the images after which to look again."""
        return images + max(self.every, images // 10)

    def is_over(self, watch: "Watch", images: int) -> bool:
        """Say whether nothing better has come for long."""
        waited = images - watch.best_images
        return waited >= max(self.least, self.patience * watch.best_images)


@dataclass
class Watch:
    """What the looks have shown so far; a resumed run reads it back.

    Attributes:
        due: Images after which to look next.
        best_images: Images seen at the best look; 0 before the first.
        best_errors: The error at each held-out person then,
        best_training: and the mean error at training people.
        lowest: The mean error of the weights that are kept, which may be those of a later look.
        cools: Images between which the rate of learning falls; both 0 before that.
        over: Why training ended by itself; empty while it has not.
    """

    due: int = 0
    best_images: int = 0
    best_errors: list[float] = field(default_factory=list)
    best_training: float = 0.0
    lowest: float = math.inf
    cools: tuple[int, int] = (0, 0)
    over: str = ""

    def note(
        self, errors: Sequence[float], training: float, images: int, shared: float = 0.0
    ) -> bool:
        """Take a look's errors; say whether it is the best so far.

        It is where the mean error at held-out people is smaller by more than one standard error,
        over people, of the difference (as Breiman et al. 1984 choose among trees), and by no less
        than a share of what training people have gained.

        Args:
            errors: At each held-out person.
            training: Mean over training people.
            images: Seen so far.
            shared: That share.
        """
        if self.best_errors:
            gains = np.subtract(self.best_errors, errors)
            doubt = gains.std(ddof=1) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
            if not gains.mean() > doubt or gains.mean() < shared * (self.best_training - training):
                return False
        self.best_errors, self.best_images = list(errors), images
        self.best_training, self.lowest = training, float(np.mean(errors))
        return True

    def note_fallen(self, errors: Sequence[float]) -> bool:
        """Take a look's errors once the rate falls; say whether their mean is the least so far.

        The next look is the last.
        """
        self.due = self.cools[1]
        better = float(np.mean(errors)) < self.lowest
        self.lowest = min(self.lowest, float(np.mean(errors)))
        return better

    @property
    def is_cooling(self) -> bool:
        """Say whether training has gone back to the best look."""
        return self.cools[1] > 0

    def cool(self, first: int, count: int) -> None:
        """Let the rate of learning fall over so many images; look half-way and at the end."""
        self.cools = first, first + max(1, count)
        self.due = first + count // 2

    def cooled(self, images: int) -> float:
        """Give how far the rate of learning has fallen since then, from 0 to 1."""
        first, last = self.cools
        return (images - first) / (last - first)

    def go_on(self) -> None:
        """Forget that the rate of learning has fallen, and that training was over."""
        self.cools, self.over = (0, 0), ""

    def values(self) -> dict[str, Any]:
        """Give all as plain data."""
        return dict(vars(self))


@dataclass(frozen=True, eq=False)
class Looks:
    """Images of one side to look at, always with the same noise.

    Attributes:
        images: Intensities in [-1, 1].
        beside: Of slices of heads, their neighbours.
        labels: Their one-hot vectors.
        times: Spread evenly over those of training.
        noise: Normal.
        shares: What each image counts for in the mean of each person.
    """

    images: Float[Tensor, "n c *s"]
    beside: Beside
    labels: Float[Tensor, "n k"]
    times: Float[Tensor, " n"]
    noise: Float[Tensor, "n c *s"]
    shares: Float[Tensor, "q n"]


def even_normals(count: int) -> Float[Tensor, " n"]:
    """Give normal numbers that are spread as evenly as so many can be."""
    shares = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    return torch.special.ndtri(shares).float()
