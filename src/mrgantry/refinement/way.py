"""The two ways from an image to a refined one, and how far they go."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mrgantry.generate.flow import FlowSampler
from mrgantry.generate.training import stream_of

# How far images may be changed, from least to most; the largest that keeps anatomy is taken.
STRENGTHS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
MOST_NOISE, MOST_CHANGE = 0.9, 1.0  # the largest strengths of both ways


@dataclass(frozen=True, eq=False)
class Way:
    """A way to refine images, each by itself.

    Attributes:
        most: The largest strength that it knows.
        refine: Images (n, c, h, w) in [-1, 1], their one-hot labels (n, k), the number of each in
            its set, from which its noise follows, and the strength, to refined images.
    """

    most: float
    refine: Callable[[Tensor, Tensor, list[int], float], Tensor]


def renoising(sampler: FlowSampler, seed: int) -> Way:
    """Bury images in noise, and let a flow that was trained on real ones draw from there.

    The strength is the time that noise goes to: 0 is none and 1 would be nothing else.
    """
    device = next(sampler.parameters()).device

    @torch.no_grad()
    def refine(images: Tensor, labels: Tensor, rows: list[int], strength: float) -> Tensor:
        noise = torch.stack(
            [torch.randn(images.shape[1:], generator=stream_of(seed, row)) for row in rows]
        )
        drawn = sampler.renoise(images.to(device), noise.to(device), labels.to(device), strength)
        return drawn.clamp(-1, 1).cpu()

    return Way(MOST_NOISE, refine)


def changing(refiner: nn.Module) -> Way:
    """Add what a refiner says of images; the strength is the share that is added."""
    device = next(refiner.parameters()).device

    @torch.no_grad()
    def refine(images: Tensor, labels: Tensor, rows: list[int], strength: float) -> Tensor:
        return (images + strength * refiner(images.to(device)).cpu()).clamp(-1, 1)

    return Way(MOST_CHANGE, refine)
