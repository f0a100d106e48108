"""Our own recipes: what the field has learnt since, for small cohorts and short training.

Chosen by trying, on two cores and at minutes (docs/LOG.md, section 9): an up-sampling
generator, batch norm in both networks, many small steps, a moving average, and a critic
that sees its few images moved, turned, zoomed and dimmed, ever more as it learns them by
heart. At 128 and 256 they are as wide in proportion and have not been compared on a GPU.
"""

from mrgantry.gan.augment import Augment
from mrgantry.gan.losses import Original
from mrgantry.gan.networks import UpConv
from mrgantry.gan.recipe import Adam, Recipe

IMAGES = {64: 200_000, 128: 500_000, 256: 1_000_000}  # 20 minutes on two cores; hours on a GPU


def _gantry(size: int) -> Recipe:
    return Recipe(
        name=f"gantry-{size}",
        size=size,
        # Sixteen channels at full size, whatever that is.
        network=UpConv(latent=64, width=4 * size, critic_width=2 * size),
        loss=Original(),
        optimiser=Adam(lr=2e-4, beta1=0.5),
        images=IMAGES[size],
        batch=16,
        ema=5_000,
        labels=("tumour", "sequence"),
        augment=Augment(ramp=50_000),
    )


RECIPES = tuple(map(_gantry, IMAGES))
