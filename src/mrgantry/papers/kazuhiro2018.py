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
from mrgantry.study.printed import Printed, PrintedRow

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

NEURO = "neuroradiologists"  # two, board-certified, of 15 years and more
OTHER = "others"  # two body radiologists of 10 years and more, a resident of 4

PRINTED = Printed(
    study="kazuhiro2018",
    title="Five radiologists, 50 images each, 10 s an image",
    citation="Kazuhiro et al., Generative adversarial networks for the creation of realistic "
    "artificial brain magnetic resonance images, Tomography 4(4), 2018",
    classes=("real", "created"),
    rows_are="reader",
    columns=("TP", "FN", "FP", "TN"),
    unit="percent",
    rows=(
        PrintedRow(label="NR1", counts=(56, 44, 45, 55), accuracy=0.55, group=NEURO),
        PrintedRow(label="NR2", counts=(30, 70, 71, 29), accuracy=0.30, group=NEURO),
        PrintedRow(label="NNR1", counts=(90, 10, 24, 76), accuracy=0.83, group=OTHER),
        PrintedRow(label="NNR2", counts=(83, 17, 40, 60), accuracy=0.72, group=OTHER),
        PrintedRow(label="NNR3", counts=(73, 27, 44, 56), accuracy=0.64, group=OTHER),
    ),
    notes=(
        "Rates are in percent of real and of created images; positive is real.",
        "The printed accuracy is the mean of TP and TN, rounded either way: 0.555, 0.295, 0.83, "
        "0.715 and 0.645 before rounding.",
        "The share of created images was drawn from 40 to 60 % for each session. Sessions of 50 "
        "images fit the rates of NNR1 (21 or 29 real) and NNR2 (30 real), and no other reader's: "
        "the numbers of images are unknown and no interval can be given.",
    ),
)
