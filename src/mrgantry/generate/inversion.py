"""Real slices as a flow sees them: their noise, and how well it takes noise off them.

The equation that leads from noise to an image leads back too, so every slice has latents, and
from them the flow draws it again. That tells nothing of overfitting, since strangers come back
as well. What tells is the error of the velocity, which training lowers: it is smaller at slices
that were learnt by heart (Carlini et al. 2023 draw on the same).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from mrgantry.data.slices import SliceSet
from mrgantry.generate.flow import FlowSampler
from mrgantry.generate.projected import Projected, project_in_parts
from mrgantry.generate.stop import even_normals
from mrgantry.generate.training import stream_of

LOOKS = 64  # times and noises at which the error of a slice is taken; the same for all slices


@dataclass(frozen=True, eq=False)
class Inversion:
    """The way back from slices to noise, a part at a time.

    Attributes:
        sampler: The trained flow, which says how many steps are taken.
        seed: Of the noise by which errors are taken.
    """

    sampler: FlowSampler
    seed: int

    def go(self, data: SliceSet, codes: Float[Tensor, "n k"], parts: Path) -> Projected:
        """Invert all slices and draw them again, from parts where there are some."""
        device = next(self.sampler.parameters()).device

        def project(block: slice, advance: Callable[[int], None]) -> Projected:
            real = torch.from_numpy(data.images[block]).float().to(device)
            labels = codes[block].to(device)
            latents = self.sampler.invert(real, labels)
            images = self.sampler(torch.cat([latents, labels], 1)).clamp(-1, 1)
            errors = torch.stack([self.error(*pair) for pair in zip(real, labels, strict=True)])
            advance(len(real))
            return Projected(
                latents.cpu().numpy(),
                images.cpu().to(torch.float16).numpy(),
                errors.cpu().numpy(),
            )

        with torch.no_grad():
            return project_in_parts(len(data), 1, parts, project)

    def error(self, image: Float[Tensor, "c h w"], label: Float[Tensor, " k"]) -> Float[Tensor, ""]:
        """Give the error of the velocity at one slice, over times and noises that are fixed."""
        flow = self.sampler.flow
        noise = torch.randn(LOOKS, *image.shape, generator=stream_of(self.seed)).to(image)
        times = flow.draw_times(even_normals(LOOKS)).to(image)
        images, labels = image.expand_as(noise), label.expand(LOOKS, -1)
        return flow.errors(self.sampler.denoise, images, labels, times, noise).mean()
