"""The two ways from an image to a refined one, and how far they go."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mrgantry.generate.flow import FlowSampler
from mrgantry.generate.training import stream_of

# How far images may be changed, from least to most; the largest that keeps anatomy is taken.
STRENGTHS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@runtime_checkable
class Way(Protocol):
    """A way to refine images.

    Attributes:
        most: The largest strength that it knows.
    """

    most: float

    def refine(
        self,
        images: Float[Tensor, "n c h w"],
        labels: Float[Tensor, "n k"],
        rows: list[int],
        strength: float,
    ) -> Float[Tensor, "n c h w"]:
        """Refine images, each by itself.

        Args:
            images: In [-1, 1].
            labels: One-hot.
            rows: The number of each image in its set, from which its noise follows.
            strength: How far to go.

        Returns:
            Images in [-1, 1].
        """


class Renoising:
    """Bury images in noise, and let a flow that was trained on real ones draw from there.

    The strength is the time that noise goes to: 0 is none and 1 would be nothing else.

    Args:
        sampler: The flow.
        seed: Of the noise.
    """

    most = 0.9

    def __init__(self, sampler: FlowSampler, seed: int) -> None:
        self.sampler, self.seed = sampler, seed

    @torch.no_grad()
    def refine(
        self,
        images: Float[Tensor, "n c h w"],
        labels: Float[Tensor, "n k"],
        rows: list[int],
        strength: float,
    ) -> Float[Tensor, "n c h w"]:
        """Refine images, each by itself."""
        device = next(self.sampler.parameters()).device
        noise = torch.stack(
            [torch.randn(images.shape[1:], generator=stream_of(self.seed, row)) for row in rows]
        )
        refined = self.sampler.renoise(
            images.to(device), noise.to(device), labels.to(device), strength
        )
        return refined.clamp(-1, 1).cpu()


class Refining:
    """Add what a refiner says.

    The strength is the share of it that is added; 1 is all that was learnt.

    Args:
        refiner: Gives the whole change of an image.
    """

    most = 1.0

    def __init__(self, refiner: nn.Module) -> None:
        self.refiner = refiner

    @torch.no_grad()
    def refine(
        self,
        images: Float[Tensor, "n c h w"],
        labels: Float[Tensor, "n k"],
        rows: list[int],
        strength: float,
    ) -> Float[Tensor, "n c h w"]:
        """Refine images, each by itself."""
        device = next(self.refiner.parameters()).device
        changes = self.refiner(images.to(device)).cpu()
        return (images + strength * changes).clamp(-1, 1)
