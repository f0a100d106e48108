"""Latent vectors from a prior and the ways between them, and plain random numbers."""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

# From a shape to (n, *shape) numbers from U(0, 1), for the n images of a batch.
Uniform = Callable[[tuple[int, ...]], Tensor]
Prior = Literal["normal", "uniform", "sphere", "unit-sphere"]
METHODS = ("spherical", "linear")  # of going from one latent to another
PARALLEL = 1e-4  # radians below which a great circle is a line, or above which it is any


def draw_latents(
    prior: Prior, shape: tuple[int, ...], random: torch.Generator
) -> Float[Tensor, "..."]:
    """Draw latents from a prior with a generator of their own.

    Args:
        prior: "normal"; "uniform" on [-1, 1]; "sphere", a normal draw scaled to the length
            sqrt(z), which is what Karras et al. (2018) do inside their generator; or
            "unit-sphere", scaled to the length 1, as Delplace's code does.
        shape: (n, z), or (z,) for one vector.
        random: Where the numbers come from.
    """
    if prior == "uniform":
        return torch.rand(shape, generator=random) * 2 - 1
    return onto_prior(torch.randn(shape, generator=random), prior)


def normal(uniform: Uniform, shape: tuple[int, ...]) -> Tensor:
    """Draw (n, *shape) numbers from N(0, 1) out of those from U(0, 1).

    Source: the inverse of the normal distribution function, kept from its ends.
    """
    return 2**0.5 * torch.erfinv((2 * uniform(shape) - 1).clamp(-1 + 1e-6, 1 - 1e-6))


def onto_prior(latents: Float[Tensor, "... z"], prior: Prior) -> Float[Tensor, "... z"]:
    """Bring vectors back to where a prior has its mass: onto its sphere, or into its cube."""
    if prior == "normal":
        return latents
    if prior == "uniform":
        return latents.clamp(-1, 1)
    length = 1.0 if prior == "unit-sphere" else float(latents.shape[-1]) ** 0.5
    return latents * (length / latents.norm(dim=-1, keepdim=True).clamp_min(1e-8))


def usual_method(prior: Prior) -> str:
    """Say how to go from one latent to another so that all between are likely ones.

    Normal vectors of many numbers lie near a sphere, as those of the spheres do exactly. A
    straight line cuts through its inside, where the generator was hardly or never trained;
    a great circle stays on it (White 2016). A cube is convex: the line stays inside, and the
    circle would leave it.
    """
    return "linear" if prior == "uniform" else "spherical"


def linear(
    a: Float[Tensor, " z"], b: Float[Tensor, " z"], shares: Float[Tensor, " n"]
) -> Float[Tensor, "n z"]:
    """Go along the straight line: a at share 0, b at share 1."""
    return torch.lerp(a, b, shares[:, None])


def spherical(
    a: Float[Tensor, " z"], b: Float[Tensor, " z"], shares: Float[Tensor, " n"]
) -> Float[Tensor, "n z"]:
    """Go along the great circle at even speed (Shoemake 1985, section 3.3).

    Where both vectors point the same way, it is the line. Where they are opposite, no
    great circle is the shortest, and the line is taken too.
    """
    angle = torch.nn.functional.cosine_similarity(a, b, dim=0).clamp(-1, 1).arccos()
    if angle < PARALLEL or angle > torch.pi - PARALLEL:
        return linear(a, b, shares)
    shares = shares[:, None]
    return (((1 - shares) * angle).sin() * a + (shares * angle).sin() * b) / angle.sin()
