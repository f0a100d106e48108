"""Kazuhiro et al., generative adversarial networks for T1 brain images (Tomography 2018).

DCGAN on 96 T1 volumes of 30 healthy people and 33 patients, 3 T SPGR, turned to the AC-PC
line. Images are not stored slices: each volume gives 48,510 oblique sections through the
basal ganglia (21 x 21 x 11 rotations in steps of 1 degree, five levels, mirrored or not).
Five radiologists were then asked which images are real.
"""

from mrgantry.data.plan import SlicePlan
from mrgantry.gan.losses import Original
from mrgantry.gan.networks import KazuhiroDcgan
from mrgantry.gan.recipe import Adam, Recipe

# 96 volumes of 24,255 poses: the total that the paper states leaves the mirror out.
POSES = 2_328_480


def plan(size: int = 128) -> SlicePlan:
    """Give the oblique sections of the paper; any of them is drawn as training goes on."""
    return SlicePlan(sequences=("t1",), plane="oblique", size=size)


def _dcgan(size: int) -> Recipe:
    return Recipe(
        name=f"kazuhiro2018-dcgan-{size}",
        variant="published",
        size=size,  # unsaid; 128 or 256 are likely
        network=KazuhiroDcgan(
            latent=100,  # "100 uniform inputs"
            prior="uniform",
            width=256,  # "256-128-64-32"; that the projection has 256 too is our reading
        ),
        loss=Original(),  # DCGAN's
        optimiser=Adam(lr=2e-4, beta1=0.5),  # unsaid; Radford et al.
        images=35 * POSES,  # "35 epochs"
        batch=64,  # unsaid; Radford et al. have 128
    )


RECIPES = tuple(map(_dcgan, (64, 128, 256)))
