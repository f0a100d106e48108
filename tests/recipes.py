"""The small recipes that tests train: seconds on one core, in the same arithmetic everywhere."""

from mrgantry.generate import FlowRecipe, GanRecipe
from mrgantry.generate.flow import Flow
from mrgantry.generate.losses import (
    Dragan,
    LeastSquares,
    Original,
    Relativistic,
    Wasserstein,
    WassersteinPenalty,
)
from mrgantry.generate.networks import (
    Dcgan,
    DelplaceDcgan,
    KazuhiroDcgan,
    Progressive,
    SrResNet,
    Style,
    UNet,
    UpConv,
    VolumeDcgan,
)
from mrgantry.generate.recipe import Adam, AdamW

SMALL = GanRecipe(
    name="small",
    size=16,
    network=UpConv(width=32, critic_width=32, latent=8),
    loss=Original(),
    optimiser=Adam(),
    images=640,
    batch=8,
    ema=100,
    precision="fp32",  # "auto" depends on the processor
)


def hasty(latent: int) -> GanRecipe:
    """Give a recipe after which latents matter soon, and are not averaged away."""
    return SMALL.model_copy(
        update={
            "network": UpConv(width=16, critic_width=16, latent=latent),
            "optimiser": Adam(lr=5e-3),
            "images": 320,
            "ema": None,
        }
    )


SMALL_FLOW = FlowRecipe(
    name="small-flow",
    size=16,
    network=UNet(patch=2, widths=(16, 32), blocks=1, heads=2),
    optimiser=AdamW(lr=2e-3),
    images=640,
    batch=8,
    ema=100,
    precision="fp32",
    warm_up=80,
    stop=None,
)

# Of 32 pixels or more; each network goes with each loss.
NETWORKS = [
    Dcgan(width=32, latent=8),
    KazuhiroDcgan(width=32, latent=8),
    DelplaceDcgan(width=16, critic_width=8, latent=8),
    SrResNet(width=8, blocks=2, critic_width=4, latent=8),
    Progressive(base=256, widest=16, latent=8),
    Style(base=256, widest=16, latent=8, style=16),
    UpConv(width=32, critic_width=32, latent=8),
]
LOSSES = [
    Original(),
    Original(real_target=0.9, fake_target=0.9),
    Original(r1=1.0, every=2),
    LeastSquares(),
    Wasserstein(),
    WassersteinPenalty(drift=0.001),
    Dragan(points="delplace"),
    Dragan(points="delplace-coded-dcgan", weight=0.25),
    Relativistic(every=4),
]

# Of whole heads; one of 16 x 24 x 16 voxels has as many as 24 images of 16 pixels.
SMALL_VOLUMES = SMALL_FLOW.model_copy(
    update={
        "name": "small-volumes",
        "size": 24,
        "voxels": (16, 24, 16),
        "network": UNet(patch=2, widths=(8, 16), blocks=1, middle=2, heads=2),
        "flow": Flow(gap=0.1),
        "images": 24,
        "batch": 4,
        "ema": 8,
        "warm_up": 4,
    }
)

SMALL_VOLUME_GAN = SMALL.model_copy(
    update={
        "name": "small-volume-gan",
        "size": 24,
        "voxels": (16, 24, 16),
        "network": VolumeDcgan(latent=8, width=16),
        "images": 24,
        "batch": 4,
        "ema": 8,
    }
)
