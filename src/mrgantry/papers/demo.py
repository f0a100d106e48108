"""The demonstration: everything, small, on a laptop, in minutes."""

from mrgantry.gan.losses import Original
from mrgantry.gan.networks import UpConv
from mrgantry.gan.recipe import Adam, Recipe

RECIPES = (
    Recipe(
        name="demo",
        size=64,
        network=UpConv(),
        loss=Original(),
        optimiser=Adam(lr=2e-4, beta1=0.5),
        images=40_000,
        batch=32,
        ema=5_000,
    ),
)
