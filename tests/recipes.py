"""The small recipes that tests train: seconds on one core, in the same arithmetic everywhere."""

from mrgantry.generate import FlowRecipe, GanRecipe
from mrgantry.generate.losses import Original
from mrgantry.generate.networks import UNet, UpConv
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
