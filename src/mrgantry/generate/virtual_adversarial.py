"""Virtual adversarial training of a critic (Miyato et al. 2019), a penalty beside any loss.

A critic that knows its images by heart changes its mind at the smallest change of one. The penalty
looks for the direction in which it does so most, at a distance that the eye would overlook, and
makes it say the same there. Han et al. (2019) name it as what might control divergence.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mrgantry.generate.losses import Critic, Images, Logits, Number

PROBE = 0.01  # spread of the change by which a direction is looked for (xi of the paper)


def virtual_adversarial(
    critic: Critic, images: Images, logits: Logits, start: Images, radius: float, probable: bool
) -> Number:
    """Give by how much the critic's answer changes where it changes most, averaged.

    The direction is bettered once, which the paper finds to be enough (equations 9 to 12).

    Args:
        critic: Gives logits.
        images: That it has just judged.
        logits: What it said of them.
        start: Normal numbers, the direction from which the search begins.
        radius: How far it goes: the root mean square of the change of a pixel, of intensities from
            -1 to 1 (epsilon of the paper, divided by the root of the number of pixels).
        probable: Whether logits are those of a probability: the change is then the divergence of
            both answers (equation 5), otherwise half the squared change of the outputs.
    """
    images, said = images.detach(), logits.detach()
    change = divergence if probable else half_squared
    probe = (PROBE * to_unit_spread(start)).requires_grad_()
    (slope,) = torch.autograd.grad(change(said, critic(images + probe)).sum(), probe)
    return change(said, critic(images + radius * to_unit_spread(slope))).mean()


def divergence(said: Logits, says: Logits) -> Logits:
    """Give the Kullback-Leibler divergence of what is said now from what was said."""
    real = said.sigmoid() * (F.logsigmoid(said) - F.logsigmoid(says))
    return real + (-said).sigmoid() * (F.logsigmoid(-said) - F.logsigmoid(-says))


def half_squared(said: Logits, says: Logits) -> Logits:
    """Give half the squared change of an output that stands for no probability."""
    return (says - said).square() / 2


def to_unit_spread(direction: Float[Tensor, "n c *s"]) -> Float[Tensor, "n c *s"]:
    """Bring each direction to a root mean square of 1."""
    direction = direction.detach().float()
    axes = tuple(range(1, direction.ndim))
    return direction / direction.square().mean(axes, keepdim=True).sqrt().clamp_min(1e-12)
