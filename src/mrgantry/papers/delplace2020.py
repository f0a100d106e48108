"""Delplace, synthetic MR images with GANs (arXiv:2002.02527): 3 architectures x 5 losses.

11,328 slices of OASIS, 256x256; the published program reads them from 8-bit PNG, which
`mrgantry import` takes. The paper finds that DCGAN is best under DRAGAN, that SRResNet trains
only under DRAGAN and ProGAN only under WGAN-GP; these three are also given as the author's
published programs have them ("coded"), and as those would be without their mistakes
("corrected").
"""

from typing import Literal

from mrgantry.data.plan import SlicePlan
from mrgantry.generate.losses import (
    Dragan,
    LeastSquares,
    Loss,
    Original,
    Wasserstein,
    WassersteinPenalty,
)
from mrgantry.generate.networks import DelplaceDcgan, Progressive, SrResNet
from mrgantry.generate.recipe import Adam, GanRecipe
from mrgantry.generate.schedule import Growing, Steps
from mrgantry.papers.alternative import Alternative, own_epochs
from mrgantry.papers.gantry import style_recipe
from mrgantry.papers.reproduction import Cohort, ImageType, Model, Reproduction, Said, Scale
from mrgantry.study.printed import PrintedValues

SLICES = 11_328
SIZES = (64, 128, 256)  # the paper's is 256
SPLITS = (0.8, 0.0, 0.2)  # nothing here needs people for validation
Variant = Literal["published", "coded", "corrected"]
Ablation = Literal["noise", "minibatch", "no-minibatch", "uniform", "normal"]
NOISE = 0.1  # standard deviation in the discriminator; unsaid
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


def _dcgan(loss: str, size: int, variant: Variant = "published") -> GanRecipe:
    return GanRecipe(
        name=_name("dcgan", loss, size, variant),
        variant=variant,
        size=size,
        network=DelplaceDcgan(
            latent=256,
            prior="uniform",
            minibatch_std=True,  # the text has it, the table does not
            dense="table" if variant == "published" else "maps",
        ),
        loss=_final("dcgan", LOSSES[loss], variant),
        optimiser=Adam(lr=2e-4, beta1=0.5),
        # As coded, the three generator steps have the latents of the critic step.
        steps=Steps(generator=3, redraw=variant == "published"),
        images=(60 if variant == "published" else 20) * SLICES,  # epochs
        batch=64,
    )


def _srresnet(loss: str, size: int, variant: Variant = "published") -> GanRecipe:
    return GanRecipe(
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


def _progan(loss: str, size: int, variant: Variant = "published") -> GanRecipe:
    coded = variant == "coded"
    schedule = Growing()
    drift = {"drift": 0.001} if loss == "wgangp" else {}  # Karras et al., and as coded
    return GanRecipe(
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


def _ablated(published: GanRecipe, variant: Ablation) -> GanRecipe:
    """Change one part of a published recipe of which the paper says that it makes no difference."""
    networks: dict[Ablation, dict[str, object]] = {
        "noise": {},
        "minibatch": {"minibatch_std": True},
        "no-minibatch": {"minibatch_std": False},
        "uniform": {"prior": "uniform"},
        "normal": {"prior": "normal"},
    }
    return published.model_copy(
        update={
            "name": f"{published.name}-{variant}",
            "variant": variant,
            "network": published.network.model_copy(update=networks[variant]),
            "noise": NOISE if variant == "noise" else 0.0,
        }
    )


# Each architecture under the loss that the paper finds best for it, and what is changed in it.
BEST = ((_dcgan, "dragan"), (_srresnet, "dragan"), (_progan, "wgangp"))
ABLATIONS: tuple[tuple[Ablation, ...], ...] = (
    ("noise", "no-minibatch", "normal"),
    ("noise", "minibatch", "uniform"),
    ("noise", "no-minibatch", "uniform"),
)


def ablations(size: int) -> tuple[GanRecipe, ...]:
    """List the best recipe of each architecture, each followed by its ablations."""
    return tuple(
        recipe
        for (make, loss), variants in zip(BEST, ABLATIONS, strict=True)
        for recipe in (make(loss, size), *(_ablated(make(loss, size), v) for v in variants))
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
        for make, loss in BEST
        for variant in ("coded", "corrected")
        for size in SIZES
    ),
    *(recipe for size in SIZES for recipe in ablations(size) if recipe.variant != "published"),
)

CITATION = "Delplace, Synthetic MR images with generative adversarial networks, arXiv:2002.02527"

MEASURES = PrintedValues(
    title="Realism, total variation and diversity of the best loss of each architecture",
    citation=CITATION,
    rows_are="model",
    columns=("rho", "sigma", "delta"),
    measures=("rho_coded", "sigma_coded", "delta_coded"),
    rows=(
        ("Training data", (0.739, 409, 15)),
        ("DCGAN, DRAGAN", (0.718, 352, 15)),
        ("SRResNet, DRAGAN", (0.678, 329, 16)),
        ("ProGAN, WGAN-GP", (0.601, 331, 13)),
    ),
    notes=(
        "Rho fits the form that the program has: centred and normalised, which the text is not.",
        "Sigma as coded takes the mean image away and then images as variables, so the program's "
        "number grows with that of the images; ours are brought to the paper's 11,328. The "
        "corrected form is the trace of the covariance of pixels, which grows with their number.",
        "Delta as coded is of the same matrix, and stops at the first small eigenvalue.",
    ),
)

ARCHITECTURES = {
    "dcgan": ("DCGAN", _dcgan),
    "srresnet": ("SRResNet", _srresnet),
    "progan": ("ProGAN", _progan),
}
# 60; and 20 in each of 13 stages of ProGAN.
EPOCHS = {"dcgan": 60, "srresnet": 60, "progan": 20 * 13}
# "Only DRAGAN and WGAN-GP" stabilise; SRResNet and ProGAN converge under one of them alone.
CONVERGING = {"dcgan": ("wgangp", "dragan"), "srresnet": ("dragan",), "progan": ("wgangp",)}
LOSS_NAMES = {
    "original": "original",
    "lsgan": "LSGAN",
    "wgan": "WGAN",
    "wgangp": "WGAN-GP",
    "dragan": "DRAGAN",
}


def plan() -> SlicePlan:
    """Give 32 slices or so of each head; plane and levels are unsaid, 11,328 is 354 x 32."""
    return SlicePlan(sequences=("t1",), plane="axial", slices="0.40:0.63", size=256, splits=SPLITS)


STUDY = Reproduction(
    study="delplace2020",
    title="Three architectures under five losses",
    citation=CITATION,
    cohort=Cohort(subjects=354, sequences=("t1",), healthy=1.0, t1="mprage"),
    image_types=(
        ImageType(
            name="t1",
            label="T1",
            plan=plan(),
            models=(
                *(
                    Model(
                        name=f"{architecture}-{loss}",
                        label=f"{words}, {LOSS_NAMES[loss]}",
                        recipe=make(loss, 256),
                        epochs=EPOCHS[architecture],
                        timed=words,
                        converges=loss in CONVERGING[architecture],
                    )
                    for architecture, (words, make) in ARCHITECTURES.items()
                    for loss in LOSSES
                ),
                Model(
                    name="style",
                    label="Style-based, R1",
                    recipe=style_recipe(256),
                    timed="Style-based",  # announced, so the paper has no time of it
                ),
            ),
        ),
    ),
    samples=SLICES,
    values=MEASURES,
    walks=True,  # as coded, 20 images on a straight line
    ablations=tuple(recipe.name.replace("-256", "-{size}") for recipe in ablations(256)),
    said=Said(
        scans="OASIS",
        slices="11,328 of 256 pixels, scaled to [-1, 1]; from 8-bit PNG in the program",
        training="60 epochs in batches of 64; ProGAN 20 in each of 13 stages",
        time="45 h (DCGAN), 30 h (SRResNet), 58 h (ProGAN), K80",
        samples="11,328 of each model",
    ),
    alternatives=(
        Alternative(
            name="lsgan-smoothed",
            about="Targets of LSGAN, where the text smooths labels",
            here="1 and 0, as its equation has them; 0.9 is of the original loss",
            other="0.9 and 0 for the discriminator, 0.9 for the generator",
            recipe={"loss.real_target": "0.9", "loss.fake_target": "0.9"},
            losses=("lsgan",),
        ),
        Alternative(
            name="lsgan-sigmoid",
            about="Output of the discriminator under LSGAN",
            here="a number without bounds, as Mao et al. have it",
            other="a probability, as its table with a sigmoid says",
            recipe={"loss.sigmoid": "true"},
            losses=("lsgan",),
        ),
        Alternative(
            name="no-drift",
            about="Drift of ProGAN's critic, which equation 4 does not have",
            here="0.001 c(x)², as in Karras et al. and in the program",
            other="none",
            recipe={"loss.drift": "0"},
            networks=("progressive",),
            losses=("wgangp",),
        ),
        Alternative(
            name="lambda-as-coded",
            about="Weight λ of the penalties of WGAN-GP and DRAGAN",
            here="10, as in the papers that they are from",
            other="0.25, as in the program",
            recipe={"loss.weight": "0.25"},
            losses=("wgangp", "dragan"),
        ),
        Alternative(
            name="no-minibatch-layer",
            about="Minibatch layer of DCGAN's discriminator, which Table 2 does not have",
            here="there, as in the text and in the program",
            other="left out",
            recipe={"network.minibatch_std": "false"},
            networks=("delplace-dcgan",),
        ),
        own_epochs("60 epochs, and 20 of each stage of ProGAN", "the paper's 11,328 slices"),
    ),
    notes=(
        "The text and the published program differ in the penalty points and weights of DRAGAN "
        "and WGAN-GP, in the latents and norms of ProGAN and in the kernels of SRResNet. Here "
        "models are as published; variants as coded and corrected are recipes of their own.",
        "As coded, the generator's optimiser of ProGAN also updates part of the discriminator; "
        "that is not repeated. As coded, ProGAN also has a gain of sqrt 2 everywhere and a new "
        "Adam at every stage, of which the paper says nothing.",
        "The paper trains DCGAN and SRResNet for 60 epochs, its program for 20. What the paper "
        "calls a minibatch similarity layer is, as coded, a map of standard deviations over groups "
        "of 4 images. Its table gives the dense layer after it 1024 outputs, the program 1025.",
        "Delta as coded stops at the first failure over unsorted eigenvalues. Sixteen directions, "
        "on which rho rests, explain 55 % of the variance of the paper's data.",
        "The paper finds that noise in the discriminator and the choice of latents make no "
        "difference; how much noise, it does not say (0.1 here).",
        "The paper prints three of its fifteen models, and no interval. It finds that DCGAN is "
        "best under DRAGAN, that SRResNet converges only under DRAGAN and ProGAN only under "
        "WGAN-GP.",
        "A style-based generator is what the paper announces as its next step; the one here is "
        "ours.",
        "Its training data row is of the training images; here it is of held-out real ones, "
        "by the rule and number of images of all other rows.",
    ),
    scales=(
        Scale(
            name="smoke",
            limits="Sixteen networks of a few channels have seen twenty batches each: the run "
            "shows that every architecture trains under every loss, and no number on this page "
            "says which is better.",
            subjects=10,
            sizes={256: 32},
            plan={"slices": "0.40:0.63:3", "splits": (0.5, 0.0, 0.5)},
            images=320,
            recipe={"batch": "16", "precision": "fp32"},
            networks={
                "delplace-dcgan": {"network.width": "16", "network.critic_width": "8"},
                "srresnet": {
                    "network.width": "8",
                    "network.blocks": "1",
                    "network.critic_width": "4",
                },
                "progressive": {"network.base": "256", "network.widest": "32"},
                "style": {"network.base": "256", "network.widest": "16"},
            },
            samples=40,
            draws=2,
        ),
        Scale(
            name="laptop",
            limits="Each architecture under the loss that the paper found best for it, at a "
            "quarter of its resolution, with a half or a quarter of its channels, in batches of "
            "16, which learn sooner, and a few of its epochs: what diverges soon shows, which "
            "model is best in the end does not.",
            subjects=60,
            sizes={256: 64},
            images=40_000,
            recipe={"batch": "16"},
            networks={
                "delplace-dcgan": {"network.width": "128", "network.critic_width": "32"},
                "srresnet": {"network.width": "32", "network.critic_width": "16"},
                "progressive": {"network.base": "1024", "network.widest": "128"},
                # As style-64 has them.
                "style": {"network.base": "1024", "loss.r1": "0.0512"},
            },
            models={"dcgan-dragan": {}, "srresnet-dragan": {}, "progan-wgangp": {}, "style": {}},
            samples=1000,
        ),
        Scale(
            name="paper",
            limits="The paper's size and lengths, with one seed a model: losses often tie, and a "
            "difference between two models can be luck.",
        ),
    ),
)
