"""What the critic and the generator minimise: pure functions of logits.

Every loss sees the critic's logits of real and of fake images, (n,) each, and gives
one number for the critic and one for the generator. `constrain` is applied to the
critic's parameters before each of its steps.
"""

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from mrgantry.common.frozen import Frozen


class Original(Frozen):
    """The original loss in its non-saturating form (Goodfellow et al. 2014, section 3).

    The discriminator is a logistic classifier of real (1) and fake (0); the
    generator maximises log D(G(z)).
    """

    kind: Literal["original"] = "original"

    def critic(self, real: Float[Tensor, " n"], fake: Float[Tensor, " n"]) -> Float[Tensor, ""]:
        """Give -log D(x) - log(1 - D(G(z))), averaged."""
        return F.softplus(-real).mean() + F.softplus(fake).mean()

    def generator(self, fake: Float[Tensor, " n"]) -> Float[Tensor, ""]:
        """Give -log D(G(z)), averaged."""
        return F.softplus(-fake).mean()

    def constrain(self, critic: nn.Module) -> None:
        """Leave the critic as it is."""


class Wasserstein(Frozen):
    """The Wasserstein loss with clipped weights (Arjovsky et al. 2017).

    Clipped before each critic step, as in their code; algorithm 1 clips after it.

    Attributes:
        clip: Bound of every parameter of the critic.
    """

    kind: Literal["wasserstein"] = "wasserstein"
    clip: Annotated[float, Field(gt=0)] = 0.01

    def critic(self, real: Float[Tensor, " n"], fake: Float[Tensor, " n"]) -> Float[Tensor, ""]:
        """Give c(G(z)) - c(x), averaged."""
        return fake.mean() - real.mean()

    def generator(self, fake: Float[Tensor, " n"]) -> Float[Tensor, ""]:
        """Give -c(G(z)), averaged."""
        return -fake.mean()

    @torch.no_grad()
    def constrain(self, critic: nn.Module) -> None:
        """Clip every parameter to [-clip, clip], which bounds the Lipschitz constant."""
        for parameter in critic.parameters():
            parameter.clamp_(-self.clip, self.clip)


Loss = Annotated[Original | Wasserstein, Field(discriminator="kind")]
