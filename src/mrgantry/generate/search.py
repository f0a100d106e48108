"""The search for the latents of a GAN whose images come nearest to real slices."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mrgantry.common.files import fingerprint
from mrgantry.data.slices import SliceSet
from mrgantry.generate.drawing import draw_images
from mrgantry.generate.latents import Prior, draw_latents, onto_prior
from mrgantry.generate.projected import Projected, project_in_parts
from mrgantry.generate.run import Run
from mrgantry.generate.training import stream_of

SCALES = 3  # of the pyramid: full, half and quarter size
RATE = 0.2  # first step of Adam, in standard deviations of the prior
PULL = 0.01  # of normal latents towards their usual length


@dataclass(frozen=True, eq=False)
class Search:
    """The search for latents, a part at a time.

    Attributes:
        run: Whose latents.
        generator: Its network, in evaluation mode.
        latent: Numbers of a latent, without labels.
        steps: Of Adam for each slice.
        restarts: Random latents that each slice's search starts from.
        seed: Of these.
    """

    run: Run
    generator: nn.Module
    latent: int
    steps: int
    restarts: int
    seed: int

    def go(self, data: SliceSet, codes: Float[Tensor, "n k"], parts: Path) -> Projected:
        """Project all slices; give latents and images, from parts where there are some."""

        def project(block: slice, advance: Callable[[int], None]) -> Projected:
            ids, labels = data.table["id"][block].tolist(), codes[block]
            real = torch.from_numpy(data.images[block]).float()
            latents = self.block(ids, real, labels, partial(advance, len(ids)))
            images = draw_images(self.generator, torch.cat([latents, labels], 1))
            return Projected(latents.numpy(), images, np.zeros(0, np.float32))

        return project_in_parts(len(data), self.steps, parts, project)

    def block(
        self,
        ids: Sequence[str],
        real: Float[Tensor, "n c h w"],
        codes: Float[Tensor, "n k"],
        after_step: Callable[[], None],
    ) -> Float[Tensor, "n z"]:
        """Project a few slices at once: all restarts of all of them are one batch."""
        prior, device = self.run.recipe.prior, next(self.generator.parameters()).device
        shape = (self.restarts, self.latent)
        streams = [stream_of(self.seed, int(fingerprint([name]), 16)) for name in ids]
        starts = torch.cat([draw_latents(prior, shape, random) for random in streams])
        real, codes = (x.repeat_interleave(self.restarts, 0).to(device) for x in (real, codes))
        ends = descend(
            self.generator,
            real,
            codes,
            starts.to(device),
            prior,
            self.steps,
            after_step,
        )
        with torch.no_grad():
            images = self.generator(torch.cat([ends, codes], 1)).clamp(-1, 1)
        errors = (images - real).square().mean((1, 2, 3)).view(len(ids), self.restarts)
        best = torch.arange(len(ids), device=device), errors.argmin(1)
        return ends.view(len(ids), self.restarts, -1)[best].cpu()


def descend(
    generator: nn.Module,
    real: Float[Tensor, "n c h w"],
    codes: Float[Tensor, "n k"],
    starts: Float[Tensor, "n z"],
    prior: Prior,
    steps: int,
    after_step: Callable[[], None] = lambda: None,
) -> Float[Tensor, "n z"]:
    """Move latents by Adam until their images are near the real ones; rows do not mix.

    The step shrinks to nothing along a cosine, and is measured in standard deviations of
    the prior, which for a unit sphere are small.

    Args:
        generator: In evaluation mode; its weights are frozen here.
        real: Where to go.
        codes: One-hot labels behind the latents.
        starts: Where from.
        prior: Of the latents; they are kept where it has its mass.
        steps: How many.
        after_step: Called after each.
    """
    generator.requires_grad_(False)
    spread = {"uniform": 3**-0.5, "unit-sphere": starts.shape[1] ** -0.5}.get(prior, 1.0)
    latents = starts.clone().requires_grad_()
    optimiser = torch.optim.Adam([latents], RATE * spread)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        away = pyramid_difference(generator(torch.cat([latents, codes], 1)), real)
        (away + pull(latents, prior)).sum().backward()
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            latents.copy_(onto_prior(latents, prior))
        after_step()
    return latents.detach()


def pyramid_difference(
    images: Float[Tensor, "n c h w"], real: Float[Tensor, "n c h w"]
) -> Float[Tensor, " n"]:
    """Add the mean squared differences at full, half and quarter size.

    Coarse scales are smooth in the latents, so that large structure finds its place first;
    pixels alone hold the search where a rim of the head has no overlap with the other's.
    """
    difference = images - real
    scales = [difference] + [F.avg_pool2d(difference, 2**k) for k in range(1, SCALES)]
    return torch.stack([scale.square().mean((1, 2, 3)) for scale in scales]).sum(0)


def pull(latents: Float[Tensor, "n z"], prior: Prior) -> Float[Tensor, " n"]:
    """Punish normal latents that are longer or shorter than normal draws are.

    Nothing else bounds them, and far out, where the generator was never trained, they could
    imitate slices that it cannot draw. The other priors have an edge, which `onto_prior` keeps.
    """
    if prior != "normal":
        return torch.zeros(len(latents), device=latents.device)
    return PULL * (latents.square().mean(1).sqrt() - 1).square()
