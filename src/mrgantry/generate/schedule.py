"""What changes while a recipe is trained: who steps how often, and how large images are."""

import logging
from dataclasses import dataclass
from typing import Annotated, Literal

import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from mrgantry.common.frozen import Frozen

LOG = logging.getLogger(__name__)
START = 4  # height and width at which growing networks begin
Count = Annotated[int, Field(ge=1)]


class Steps(Frozen):
    """How many critic steps come before how many generator steps.

    Attributes:
        critic: Critic steps of most rounds.
        many: Critic steps of the first rounds and of every so many-th, so that the critic
            is near its optimum (Arjovsky et al. 2017, their code).
        first: How many rounds at the start get many.
        every: And every how many-th round afterwards; 0 is never.
        generator: Generator steps of a round.
        redraw: Whether every generator step draws new latents. After a single critic
            step its own are used first, as in the DCGAN authors' code.
    """

    critic: Count = 1
    many: Count = 1
    first: Annotated[int, Field(ge=0)] = 0
    every: Annotated[int, Field(ge=0)] = 0
    generator: Count = 1
    redraw: bool = True

    def of_round(self, turn: int) -> int:
        """Give the critic steps of round `turn`, counted from 0."""
        often = self.every and turn % self.every == 0
        return self.many if turn < self.first or often else self.critic

    def fitting(self, steps: int) -> "Steps":
        """Shorten the start of a training that has few critic steps in all.

        Twenty-five rounds of a hundred critic steps are half a percent of the original's
        training, and all of a short one; an eighth is kept for them here.
        """
        if self.first * self.many <= steps / 8:
            return self
        many = max(self.critic, int(steps / 8 / self.first))
        LOG.warning(
            "This run is short: its first %d rounds get %d critic steps each instead of %d, "
            "and no later round more than %d.",
            self.first,
            many,
            self.many,
            self.critic,
        )
        return self.model_copy(update={"many": many, "every": 0})


@dataclass(frozen=True)
class Stage:
    """Where a growing training stands.

    Attributes:
        size: Height and width of the images that both networks see now.
        alpha: Share of the newest layers: below 1 they are being faded in.
        phase: Number of the phase, which changes when fading begins and ends.
    """

    size: int
    alpha: float = 1.0
    phase: int = 0


class Growing(Frozen):
    """Progressive growing (Karras et al. 2018, section 2): from 4 pixels to all.

    Training has one phase at 4 pixels, and for each doubling one in which the new layers
    are faded in and one with them alone: 13 up to 256, equally long. The optimisers forget
    at the beginning of each, as in the codes of Karras et al. and of Delplace.
    """

    kind: Literal["growing"] = "growing"

    def phases(self, size: int) -> int:
        """Count the phases up to a size."""
        return 2 * (size // START).bit_length() - 1

    def at(self, images: int, total: int, size: int) -> Stage:
        """Say where the training stands after some of its images."""
        phases = self.phases(size)
        phase, within = divmod(images * phases, total)
        if phase >= phases:
            return Stage(size, 1.0, phases - 1)
        fading = phase % 2 == 1
        return Stage(START << (phase + 1) // 2, within / total if fading else 1.0, phase)


def shrink(
    images: Float[Tensor, "n c h w"], stage: Stage
) -> Float[Tensor, "n c {stage.size} {stage.size}"]:
    """Give real images as a stage shows them: box-averaged, and faded like the synthetic ones."""
    factor = images.shape[-1] // stage.size
    small = F.avg_pool2d(images, factor) if factor > 1 else images
    if stage.alpha == 1:
        return small
    coarse = F.interpolate(F.avg_pool2d(small, 2), scale_factor=2.0)
    return coarse.lerp(small, stage.alpha)
