"""Delplace, synthetic MR images with GANs (arXiv:2002.02527): 3 architectures x 5 losses.

11,328 slices of OASIS, 256x256, as 8-bit PNG (`mrgantry import` takes them). The paper finds
that DCGAN is best under DRAGAN, that SRResNet trains only under DRAGAN and ProGAN only under
WGAN-GP; these three are also given as the author's published programs have them ("coded"),
and as those would be without their mistakes ("corrected").
"""

from typing import Literal

from mrgantry.gan.losses import (
    Dragan,
    LeastSquares,
    Loss,
    Original,
    Wasserstein,
    WassersteinPenalty,
)
from mrgantry.gan.networks import DelplaceDcgan, Progressive, SrResNet
from mrgantry.gan.recipe import Adam, Recipe
from mrgantry.gan.schedule import Growing, Steps

SLICES = 11_328
SIZES = (64, 128, 256)  # the paper's is 256
Variant = Literal["published", "coded", "corrected"]
# "D(y) = 0.9" for both networks: what D should say of real images, and G of its own.
SMOOTH = 0.9
Points = Literal["kodali", "delplace", "delplace-coded", "delplace-coded-dcgan"]


def _dragan(points: Points, weight: float) -> Dragan:
    return Dragan(real_target=SMOOTH, fake_target=SMOOTH, points=points, weight=weight)


LOSSES: dict[str, Loss] = {
    "original": Original(real_target=SMOOTH, fake_target=SMOOTH),
    "lsgan": LeastSquares(),
    "wgan": Wasserstein(clip=0.01),  # unsaid; Arjovsky et al.
    "wgangp": WassersteinPenalty(weight=10),  # unsaid; Gulrajani et al.
    "dragan": _dragan("delplace", weight=10),  # unsaid; Kodali et al.
}


def _final(architecture: str, published: Loss, variant: Variant) -> Loss:
    """Give the loss of a final program: as published, as coded, or the latter corrected."""
    if variant == "published":
        return published
    if architecture == "progan":
        return WassersteinPenalty(weight=0.25, drift=0.001)
    if variant == "corrected":
        return _dragan("kodali", weight=0.25)
    coded: Points = "delplace-coded-dcgan" if architecture == "dcgan" else "delplace-coded"
    return _dragan(coded, weight=0.25)


def _name(architecture: str, loss: str, size: int, variant: Variant) -> str:
    suffix = "" if variant == "published" else f"-{variant}"
    return f"delplace2020-{architecture}-{loss}-{size}{suffix}"


def _dcgan(loss: str, size: int, variant: Variant = "published") -> Recipe:
    return Recipe(
        name=_name("dcgan", loss, size, variant),
        variant=variant,
        size=size,
        network=DelplaceDcgan(latent=256, prior="uniform", minibatch_std=True),
        loss=_final("dcgan", LOSSES[loss], variant),
        optimiser=Adam(lr=2e-4, beta1=0.5),
        # As coded, the three generator steps have the latents of the critic step.
        steps=Steps(generator=3, redraw=variant == "published"),
        images=(60 if variant == "published" else 20) * SLICES,  # epochs
        batch=64,
    )


def _srresnet(loss: str, size: int, variant: Variant = "published") -> Recipe:
    return Recipe(
        name=_name("srresnet", loss, size, variant),
        variant=variant,
        size=size,
        network=SrResNet(
            latent=256,
            prior="unit-sphere",  # "Gaussian, normalised"
            down_kernel=3 if variant == "published" else 4,
        ),
        loss=_final("srresnet", LOSSES[loss], variant),
        optimiser=Adam(lr=2e-4, beta1=0.5),
        steps=Steps(generator=2, redraw=variant == "published"),
        images=(60 if variant == "published" else 20) * SLICES,  # epochs
        batch=64,
    )


def _progan(loss: str, size: int, variant: Variant = "published") -> Recipe:
    coded = variant == "coded"
    schedule = Growing()
    drift = {"drift": 0.001} if loss == "wgangp" else {}  # Karras et al., and as coded
    return Recipe(
        name=_name("progan", loss, size, variant),
        variant=variant,
        size=size,
        network=Progressive(
            latent=512,
            prior="unit-sphere" if coded else "sphere",
            base=4096,  # widths 512, 512, 256, 128, 64, 32, 16
            widest=512,
            kernel=5,
            pixel_norm=not coded,
            last_gain=2**0.5 if coded else 1.0,
            output="tanh",
        ),
        loss=_final("progan", LOSSES[loss].model_copy(update=drift), variant),
        optimiser=Adam(lr=1e-3, beta1=0),
        schedule=schedule,
        images=20 * SLICES * schedule.phases(size),  # 20 epochs a stage; 13 stages up to 256
        batch=64,
    )


RECIPES = (
    *(
        make(loss, size)
        for make in (_dcgan, _srresnet, _progan)
        for loss in LOSSES
        for size in SIZES
    ),
    *(
        make(loss, size, variant)
        for make, loss in ((_dcgan, "dragan"), (_srresnet, "dragan"), (_progan, "wgangp"))
        for variant in ("coded", "corrected")
        for size in SIZES
    ),
)
