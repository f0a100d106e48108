"""The small recipe that tests train: seconds on one core, in the same arithmetic everywhere."""

from mrgantry.gan import Recipe
from mrgantry.gan.losses import Original
from mrgantry.gan.networks import UpConv
from mrgantry.gan.recipe import Adam

SMALL = Recipe(
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


def hasty(latent: int) -> Recipe:
    """Give a recipe after which latents matter soon, and are not averaged away."""
    return SMALL.model_copy(
        update={
            "network": UpConv(width=16, critic_width=16, latent=latent),
            "optimiser": Adam(lr=5e-3),
            "images": 320,
            "ema": None,
        }
    )
