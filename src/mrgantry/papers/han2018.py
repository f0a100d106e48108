"""Han et al., GAN-based synthetic brain MR image generation (ISBI 2018).

DCGAN and WGAN on BRATS 2016: the 220 high-grade patients, T1, T1c, T2 and FLAIR,
sagittal slices 80 to 149 of 240, squashed from 240x155 to 128x128 and 64x64. The
paper's discriminator has ELU, its generator no tanh, both 4x4 kernels and half of
DCGAN's channels; "the same DCGAN architecture" serves WGAN.
"""

from mrgantry.data.plan import SlicePlan
from mrgantry.gan.losses import Original, Wasserstein
from mrgantry.gan.networks import Dcgan
from mrgantry.gan.recipe import Adam, Recipe, RmsProp
from mrgantry.gan.schedule import Steps
from mrgantry.study.printed import Printed, PrintedRow

SEQUENCES = ("t1", "t1c", "t2", "flair")
# The paper's six image types: each sequence at 128, all pooled ("Concat") at 128 and 64.
IMAGE_TYPES = {
    "t1-128": (("t1",), 128),
    "t1c-128": (("t1c",), 128),
    "t2-128": (("t2",), 128),
    "flair-128": (("flair",), 128),
    "concat-128": (SEQUENCES, 128),
    "concat-64": (SEQUENCES, 64),
}


def plan(image_type: str) -> SlicePlan:
    """Give the slices of one image type; the paper trains on all its patients."""
    sequences, size = IMAGE_TYPES[image_type]
    return SlicePlan(
        sequences=sequences,
        combine="pool",
        plane="sagittal",
        slices="80:150",
        size=size,
        fit="squash",
        where=("grade=HGG",),
    )


def _dcgan(size: int) -> Recipe:
    return Recipe(
        name=f"han2018-dcgan-{size}",
        variant="published",
        size=size,
        network=Dcgan(
            latent=100,  # unsaid; Radford et al.
            prior="normal",  # unsaid; Radford's code (their paper says uniform)
            width=512,  # half of Radford's 1024
            critic_activation="elu",
            output="linear",  # "no tanh"
        ),
        loss=Original(),
        optimiser=Adam(lr=2e-4, beta1=0.5),  # beta1 unsaid; Radford et al.
        images=1_540_000,  # unsaid; 100 epochs of the 15,400 slices of one sequence
        batch=64,
    )


def _wgan(size: int) -> Recipe:
    return _dcgan(size).model_copy(
        update={
            "name": f"han2018-wgan-{size}",
            "loss": Wasserstein(clip=0.01),  # unsaid; Arjovsky et al.
            "optimiser": RmsProp(lr=5e-5),
            # Unsaid; Arjovsky et al. and their code.
            "steps": Steps(critic=5, many=100, first=25, every=500),
        }
    )


RECIPES = tuple(make(size) for make in (_dcgan, _wgan) for size in (64, 128))

PRINTED = Printed(
    study="han2018",
    title="Visual Turing test by one expert physician, 50 real and 50 synthetic images a block",
    citation="Han et al., GAN-based synthetic brain MR image generation, ISBI 2018",
    classes=("real", "synthetic"),
    rows_are="block",
    columns=(
        "real as real",
        "real as synthetic",
        "synthetic as real",
        "synthetic as synthetic",
    ),
    unit="images",
    rows=(
        PrintedRow(label="T1 DCGAN 128", counts=(26, 24, 6, 44), accuracy=0.70),
        PrintedRow(label="T1c DCGAN 128", counts=(24, 26, 3, 47), accuracy=0.71),
        PrintedRow(label="T2 DCGAN 128", counts=(22, 28, 8, 42), accuracy=0.64),
        PrintedRow(label="FLAIR DCGAN 128", counts=(12, 38, 8, 42), accuracy=0.54),
        PrintedRow(label="Concat DCGAN 128", counts=(34, 16, 7, 43), accuracy=0.77),
        PrintedRow(label="Concat DCGAN 64", counts=(13, 37, 9, 41), accuracy=0.54),
        PrintedRow(label="T1 WGAN 128", counts=(20, 30, 6, 44), accuracy=0.64),
        PrintedRow(label="T1c WGAN 128", counts=(13, 37, 8, 42), accuracy=0.55),
        PrintedRow(label="T2 WGAN 128", counts=(19, 31, 11, 39), accuracy=0.58),
        PrintedRow(label="FLAIR WGAN 128", counts=(16, 34, 4, 46), accuracy=0.62),
        PrintedRow(label="Concat WGAN 128", counts=(31, 19, 15, 35), accuracy=0.66),
        PrintedRow(label="Concat WGAN 64", counts=(18, 32, 15, 35), accuracy=0.53),
    ),
    notes=(
        "Low accuracy comes from bias here: the reader called 352 of 600 real images synthetic, "
        "and only 100 of 600 synthetic images real.",
    ),
)
