"""Our own recipes: what the field has learnt since, for small cohorts and short training."""

from mrgantry.gan.augment import Augment
from mrgantry.gan.losses import Original
from mrgantry.gan.networks import UpConv
from mrgantry.gan.recipe import Adam, Recipe


def _gantry(size: int) -> Recipe:
    return Recipe(
        name=f"gantry-{size}",
        size=size,
        network=UpConv(width=256, critic_width=128),
        loss=Original(),
        optimiser=Adam(lr=2e-4, beta1=0.5),
        images=200_000,
        batch=32,
        ema=5_000,
        labels=("tumour", "sequence"),
        augment=Augment(),
    )


RECIPES = tuple(map(_gantry, (64, 128, 256)))
