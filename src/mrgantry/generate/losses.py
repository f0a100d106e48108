"""What the critic and the generator minimise.

A loss is two pure functions of logits: `critic(real, fake)` and `generator(real, fake)`,
(n,) each. Some add a penalty on the critic's gradient, taken at points of their own, and
one bounds the critic's weights by `constrain` before each of its steps.

    original      non-saturating, with optional label smoothing and R1
    lsgan         least squares
    wgan          Wasserstein, weights clipped
    wgangp        Wasserstein, gradients near 1 between real and synthetic images
    dragan        original, gradients near 1 round the real images
    relativistic  pairs of real and synthetic, gradients near 0 at both
"""

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from mrgantry.common.frozen import Frozen
from mrgantry.generate.latents import Uniform

Images = Float[Tensor, "n c *s"]
Logits = Float[Tensor, " n"]
Number = Float[Tensor, ""]
Critic = Callable[[Tensor], Tensor]  # images (n, c, h, w) to logits (n,)
Weight = Annotated[float, Field(ge=0)]
Interval = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, le=1)]


class Plain(Frozen):
    """What a loss does unless it says otherwise: no penalty, and weights left alone."""

    paired: ClassVar[bool] = False  # whether the generator's loss looks at real logits too
    by_image: ClassVar[bool] = False  # whether the penalty needs logits that depend on one image
    probable: ClassVar[bool] = False  # whether logits are those of the probability of being real

    @property
    def interval(self) -> int:
        """Say at every how many-th critic step there is a penalty; 0 is never.

        It is then weighted as much more (lazy regularisation, Karras et al. 2020,
        appendix B). It joins the loss of an ordinary step, so Adam needs no correction.
        """
        return int(getattr(self, "every", 0))

    def penalty(self, critic: Critic, real: Images, fake: Images, uniform: Uniform) -> Number:
        """Give the penalty on the critic's gradient, weighted.

        Args:
            critic: Gives logits; it is differentiated twice.
            real: Real images.
            fake: Synthetic images, as many.
            uniform: Where random numbers come from.
        """
        return real.new_zeros(())

    def constrain(self, critic: nn.Module) -> None:
        """Change the critic's weights before its step."""

    def lead(self, real: Logits, fake: Logits) -> Logits:
        """Say how far real images are on the real side of what the critic is undecided at.

        Where this is positive too often the critic knows its images by heart, and augmentation
        grows (`Augment.adapt`). 0 is undecided for most losses.
        """
        return real


class Logistic(Plain):
    """The original loss in its non-saturating form (Goodfellow et al. 2014, section 3).

    The discriminator is a logistic classifier of real (1) and synthetic (0); the
    generator maximises log D(G(z)). Smoothing makes targets of 1 less (Salimans et al.
    2016, section 3.4).

    Attributes:
        real_target: What the discriminator should say of real images.
        fake_target: What the generator wants it to say of synthetic ones.
    """

    probable: ClassVar[bool] = True
    real_target: Share = 1.0
    fake_target: Share = 1.0

    def critic(self, real: Logits, fake: Logits) -> Number:
        """Give the mean cross entropies of real and of synthetic images, added."""
        return cross_entropy(real, self.real_target) + cross_entropy(fake, 0.0)

    def generator(self, real: Logits | None, fake: Logits) -> Number:
        """Give -log D(G(z)), averaged; with smoothing, the cross entropy."""
        return cross_entropy(fake, self.fake_target)


class Original(Logistic):
    """The original loss, alone or with R1 (Mescheder et al. 2018, equation 9).

    Attributes:
        r1: Weight of half the squared gradient at real images, gamma in the paper; 0 is none.
        every: Penalty at every so many-th critic step, weighted as much more.
        saturating: Whether the generator minimises log(1 - D(G(z))), the minimax loss of
            Goodfellow et al. (2014, equation 1), whose gradient vanishes where the discriminator
            is sure; there is no target of the generator then.
    """

    kind: Literal["original"] = "original"
    r1: Weight = 0.0
    every: Interval = 1
    saturating: bool = False

    def generator(self, real: Logits | None, fake: Logits) -> Number:
        """Give -log D(G(z)), or log(1 - D(G(z))) where it is to saturate, averaged."""
        return -F.softplus(fake).mean() if self.saturating else super().generator(real, fake)

    @property
    def interval(self) -> int:
        """Say at every how many-th critic step there is a penalty."""
        return self.every if self.r1 else 0

    def penalty(self, critic: Critic, real: Images, fake: Images, uniform: Uniform) -> Number:
        """Give r1 / 2 |grad|^2 at real images, averaged."""
        return self.r1 / 2 * squared_gradient(critic, real).mean()


class Dragan(Logistic):
    """DRAGAN (Kodali et al. 2017): the original loss, and a penalty round the real images.

    Attributes:
        points: Where the gradient is held near 1. sigma is the standard deviation of the
            batch (of each process's share); alpha and u are from U(0, 1), alpha once an
            image, u once a pixel.
            "kodali", their code: x + alpha 0.5 sigma u.
            "delplace", as printed there: alpha x + (1 - alpha) 0.5 sigma u.
            "delplace-coded", his SRResNet's code: (1 - alpha) x + alpha 0.5 sigma u, which
            is the same drawn otherwise.
            "delplace-coded-dcgan": his DCGAN's code draws alpha once a pixel, and takes a
            norm for each column of the image instead of one for the image.
        weight: Of (|grad| - 1)^2, lambda in the paper; Delplace's code has 0.25.
        every: Penalty at every so many-th critic step, weighted as much more.
    """

    kind: Literal["dragan"] = "dragan"
    points: Literal["kodali", "delplace", "delplace-coded", "delplace-coded-dcgan"] = "kodali"
    weight: Weight = 10.0
    every: Interval = 1

    def penalty(self, critic: Critic, real: Images, fake: Images, uniform: Uniform) -> Number:
        """Hold the gradient near 1 at the points of the variant."""
        a_pixel, columns = tuple(real.shape[1:]), self.points == "delplace-coded-dcgan"
        alpha = uniform(a_pixel if columns else (1,) * len(a_pixel))
        noise = 0.5 * real.std(correction=0) * uniform(a_pixel)
        if self.points == "kodali":
            places = real + alpha * noise
        elif self.points == "delplace":
            places = alpha * real + (1 - alpha) * noise
        else:
            places = (1 - alpha) * real + alpha * noise
        norms = squared_gradient(critic, places, (2,) if columns else None).sqrt()
        return self.weight * (norms - 1).square().mean()


class LeastSquares(Plain):
    """LSGAN (Mao et al. 2017) without factors of 1/2 (Delplace 2020).

    Attributes:
        real_target: What the critic should say of real images; of synthetic ones it is 0.
        fake_target: What the generator wants it to say of synthetic ones.
        sigmoid: Whether the critic's outputs are probabilities, as under the original loss.
    """

    kind: Literal["lsgan"] = "lsgan"
    real_target: Share = 1.0
    fake_target: Share = 1.0
    sigmoid: bool = False

    def critic(self, real: Logits, fake: Logits) -> Number:
        """Give (c(x) - 1)^2 + c(G(z))^2, averaged; 1 is the target of real images."""
        real, fake = self._outputs(real), self._outputs(fake)
        return (real - self.real_target).square().mean() + fake.square().mean()

    def generator(self, real: Logits | None, fake: Logits) -> Number:
        """Give (c(G(z)) - 1)^2, averaged; 1 is the generator's target."""
        return (self._outputs(fake) - self.fake_target).square().mean()

    def lead(self, real: Logits, fake: Logits) -> Logits:
        """Count from the middle of both targets."""
        return self._outputs(real) - self.real_target / 2

    def _outputs(self, logits: Logits) -> Logits:
        return logits.sigmoid() if self.sigmoid else logits


class EarthMover(Plain):
    """The Wasserstein loss (Arjovsky et al. 2017), without what bounds the critic.

    Attributes:
        drift: Weight of c(x)^2, which keeps logits near 0 (Karras et al. 2018, A.1, who
            take 0.001).
    """

    drift: Weight = 0.0

    def critic(self, real: Logits, fake: Logits) -> Number:
        """Give c(G(z)) - c(x) + drift c(x)^2, averaged."""
        loss = fake.mean() - real.mean()
        return loss + self.drift * real.square().mean() if self.drift else loss

    def generator(self, real: Logits | None, fake: Logits) -> Number:
        """Give -c(G(z)), averaged."""
        return -fake.mean()

    def lead(self, real: Logits, fake: Logits) -> Logits:
        """Count from the middle of both means: this critic's 0 means nothing."""
        return real - (real.mean() + fake.mean()) / 2


class Wasserstein(EarthMover):
    """WGAN: the Wasserstein loss with clipped weights (Arjovsky et al. 2017).

    Clipped before each critic step, as in their code; algorithm 1 clips after it.

    Attributes:
        clip: Bound of every parameter of the critic.
    """

    kind: Literal["wgan"] = "wgan"
    clip: Annotated[float, Field(gt=0)] = 0.01

    @torch.no_grad()
    def constrain(self, critic: nn.Module) -> None:
        """Clip every parameter to [-clip, clip], which bounds the Lipschitz constant."""
        for parameter in critic.parameters():
            parameter.clamp_(-self.clip, self.clip)


class WassersteinPenalty(EarthMover):
    """WGAN-GP (Gulrajani et al. 2017, algorithm 1).

    Attributes:
        weight: Of the two-sided penalty (|grad| - 1)^2, lambda in the paper.
        every: Penalty at every so many-th critic step, weighted as much more.
    """

    by_image: ClassVar[bool] = True
    kind: Literal["wgangp"] = "wgangp"
    weight: Weight = 10.0
    every: Interval = 1

    def penalty(self, critic: Critic, real: Images, fake: Images, uniform: Uniform) -> Number:
        """Hold the gradient near 1 at alpha x + (1 - alpha) G(z), one alpha an image."""
        points = torch.lerp(fake, real, uniform((1,) * (real.ndim - 1)))
        norms = squared_gradient(critic, points).sqrt()
        return self.weight * (norms - 1).square().mean()


class Relativistic(Plain):
    """The relativistic paired loss with R1 and R2 (Huang et al. 2024, R3GAN, section 2).

    The critic says which of a real and a synthetic image is the real one
    (Jolicoeur-Martineau 2019); gradients near zero at both make training converge
    (Mescheder et al. 2018).

    Attributes:
        r1: Weight of half the squared gradient at real images, gamma in the papers.
        r2: The same at synthetic images.
        every: Penalties at every so many-th critic step, weighted as much more.
    """

    paired: ClassVar[bool] = True
    by_image: ClassVar[bool] = True
    kind: Literal["relativistic"] = "relativistic"
    r1: Weight = 1.0
    r2: Weight = 1.0
    every: Interval = 1

    def critic(self, real: Logits, fake: Logits) -> Number:
        """Give -log sigmoid(c(x) - c(G(z))), averaged over pairs."""
        return F.softplus(fake - real).mean()

    def generator(self, real: Logits | None, fake: Logits) -> Number:
        """Give -log sigmoid(c(G(z)) - c(x)), averaged over pairs."""
        if real is None:
            raise ValueError("A paired loss needs the logits of real images too.")
        return F.softplus(real - fake).mean()

    def lead(self, real: Logits, fake: Logits) -> Logits:
        """Compare with the synthetic image of the pair."""
        return real - fake

    def penalty(self, critic: Critic, real: Images, fake: Images, uniform: Uniform) -> Number:
        """Give r1 / 2 |grad|^2 at real and r2 / 2 |grad|^2 at synthetic images, averaged."""
        total = real.new_zeros(())
        for weight, points in ((self.r1, real), (self.r2, fake)):
            if weight:
                total = total + weight / 2 * squared_gradient(critic, points).mean()
        return total


Loss = Annotated[
    Original | LeastSquares | Wasserstein | WassersteinPenalty | Dragan | Relativistic,
    Field(discriminator="kind"),
]


def cross_entropy(logits: Logits, target: float) -> Number:
    """Give the mean binary cross entropy of logits and one target in [0, 1]."""
    if target in {0, 1}:
        return F.softplus(logits if target == 0 else -logits).mean()
    return target * F.softplus(-logits).mean() + (1 - target) * F.softplus(logits).mean()


def squared_gradient(
    critic: Critic, points: Images, over: tuple[int, ...] | None = None
) -> Float[Tensor, "..."]:
    """Give the critic's squared gradient at each image, so that it can be descended.

    Args:
        critic: Gives logits.
        points: Images; the gradient does not go on to what they were made of.
        over: Axes that are summed; None takes all but the batch, which makes one number an image.
    """
    points = points.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
    # The root has no slope at 0, where a critic with dead units can be.
    return gradient.float().square().sum(over or tuple(range(1, points.ndim))) + 1e-12
