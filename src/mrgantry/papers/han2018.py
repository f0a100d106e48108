"""Han et al., GAN-based synthetic brain MR image generation (ISBI 2018).

DCGAN and WGAN on BRATS 2016: the 220 high-grade patients, T1, T1c, T2 and FLAIR,
sagittal slices 80 to 149 of 240, squashed from 240x155 to 128x128 and 64x64. The
paper's discriminator has ELU, its generator no tanh, both 4x4 kernels and half of
DCGAN's channels; "the same DCGAN architecture" serves WGAN.
"""

from typing import Any, Literal

from mrgantry.data.plan import SlicePlan
from mrgantry.generate.losses import Original, Wasserstein, WassersteinPenalty
from mrgantry.generate.networks import Dcgan
from mrgantry.generate.recipe import Adam, GanRecipe, RmsProp
from mrgantry.generate.schedule import Steps
from mrgantry.papers.alternative import Alternative, own_epochs
from mrgantry.papers.reproduction import (
    Cohort,
    ImageType,
    Model,
    ReadingPlan,
    Reproduction,
    Said,
    Scale,
    Seat,
    StudyBlock,
)
from mrgantry.study.printed import PlannedContrast, Printed, PrintedRow
from mrgantry.study.protocol import Protocol

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
    """Give the slices of one image type; the paper mentions no held-out patients."""
    sequences, size = IMAGE_TYPES[image_type]
    return SlicePlan(
        sequences=sequences,
        combine="pool",
        plane="sagittal",
        slices="80:150",
        min_brain=0,  # 15,400 slices are 70 of each of 220 patients: none is left out
        size=size,
        fit="squash",
        where=("grade=HGG",),
        splits=(0.8, 0.0, 0.2),  # nothing here needs people for validation
    )


def _dcgan(size: int) -> GanRecipe:
    return GanRecipe(
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


def _wgan(size: int, variant: Literal["published", "stable"] = "published") -> GanRecipe:
    """Give the paper's WGAN, or one that bounds its critic by a penalty instead of clipping."""
    if variant == "stable":
        return _dcgan(size).model_copy(
            update={
                "name": f"han2018-wgan-{size}-stable",
                "variant": variant,
                "network": _dcgan(size).network.model_copy(update={"critic_norm": False}),
                "loss": WassersteinPenalty(),
                # Learning rate and beta1 of the paper's DCGAN, since Gulrajani's are no nearer.
                "steps": Steps(critic=2),
            }
        )
    return _dcgan(size).model_copy(
        update={
            "name": f"han2018-wgan-{size}",
            "loss": Wasserstein(clip=0.01),  # unsaid; Arjovsky et al.
            "optimiser": RmsProp(lr=5e-5),
            # Unsaid; Arjovsky et al. and their code.
            "steps": Steps(critic=5, many=100, first=25, every=500),
        }
    )


# Learns sooner, and takes twice as long for an image.
STABLE_AT_LAPTOP = {"images": "30000"}

RECIPES = (
    *(make(size) for make in (_dcgan, _wgan) for size in (64, 128)),
    *(_wgan(size, "stable") for size in (64, 128)),
)

PROTOCOL = Protocol(
    name="han2018",
    cases=100,  # of one image type and GAN: 50 real, 50 synthetic, in random order
    share=(0.5, 0.5),
    balance=("sequence",),  # "Concat" shows the four sequences in equal numbers
    same_cases=True,  # one reader in the paper
    source="C. Han et al., GAN-based synthetic brain MR image generation, ISBI 2018",
)

PRINTED = Printed(
    study="han2018",
    title="Visual Turing test by one expert physician, 50 real and 50 synthetic images a block",
    citation="Han et al., GAN-based synthetic brain MR image generation, ISBI 2018",
    classes=("real", "synthetic"),
    rows_are="block",
    columns=("real as real", "real as synthetic", "synthetic as real", "synthetic as synthetic"),
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
    contrast=PlannedContrast(
        claim="The paper concludes that WGAN deceives the expert significantly better than DCGAN, "
        "except for FLAIR.",
        found="Of the printed counts T1c alone is nominally significant (71 against 55 right of "
        "100, p 0.028), and not after Holm's correction for six comparisons; pooled, 390 of 600 "
        "right answers (DCGAN) against 358 of 600 (WGAN) have p 0.065.",
        first="DCGAN",
        second="WGAN",
        pairs=tuple(
            (f"{kind} DCGAN {size}", f"{kind} WGAN {size}")
            for kind, size in (
                ("T1", 128),
                ("T1c", 128),
                ("T2", 128),
                ("FLAIR", 128),
                ("Concat", 128),
                ("Concat", 64),
            )
        ),
    ),
)


def _image_type(name: str) -> ImageType:
    word = name.partition("-")[0]
    label = word.capitalize() if word in ("t1", "t1c", "t2", "concat") else word.upper()
    size = IMAGE_TYPES[name][1]
    trained: dict[str, Any] = {"epochs": 100, "timed": f"{size} pixels"}
    models = (
        Model(name=f"{name}-dcgan", label=f"{label} DCGAN {size}", recipe=_dcgan(size), **trained),
        Model(name=f"{name}-wgan", label=f"{label} WGAN {size}", recipe=_wgan(size), **trained),
        Model(
            name=f"{name}-wgan-stable",
            label=f"{label} Stable WGAN {size}",
            recipe=_wgan(size, "stable"),
            **trained,
        ),
    )
    return ImageType(name=name, label=f"{label} {size}", plan=plan(name), models=models)


ALTERNATIVES = (
    Alternative(
        name="plain-wgan",
        about="“The same DCGAN architecture” of WGAN",
        here="the networks of this paper's DCGAN: half of the channels, ELU, no tanh",
        other="those of Radford et al.: 1024 channels at 4x4, leaky ReLU, tanh",
        recipe={
            "network.width": "1024",
            "network.critic_activation": "leaky",
            "network.output": "tanh",
        },
        losses=("wgan",),
    ),
    Alternative(
        name="uniform-latents",
        about="Distribution of latents, which is unsaid",
        here="normal, as in the code of Radford et al.",
        other="uniform, as in their paper",
        recipe={"network.prior": "uniform"},
    ),
    Alternative(
        name="saturating-loss",
        about="The generator's part of equation 1",
        here="−log D(G(z)), which is trained with in practice",
        other="log(1 − D(G(z))), as equation 1 has it, whose gradient vanishes early",
        recipe={"loss.saturating": "true"},
        losses=("original",),
    ),
    Alternative(
        name="drop-small-slices",
        about="Slices with little brain",
        here="all 70 of a patient stay, as 15,400 of 220 patients are",
        other="those with less than a tenth of the fullest slice's brain are left out",
        plan={"min_brain": 0.1},
    ),
    own_epochs("100 epochs in our reading of an unsaid length", "the 15,400 slices of a sequence"),
)

_TYPES = tuple(map(_image_type, IMAGE_TYPES))
_PUBLISHED: dict[str, dict[str, str]] = {
    model.name: {}
    for image_type in _TYPES
    for model in image_type.models
    if model.recipe.variant == "published"
}

STUDY = Reproduction(
    study="han2018",
    title="DCGAN and WGAN, six types of images, one reader",
    citation=PRINTED.citation,
    cohort=Cohort(subjects=220, sequences=SEQUENCES),
    image_types=_TYPES,
    samples=5000,  # unsaid; 50 of each model were shown
    reading=ReadingPlan(
        protocol=PROTOCOL,
        # All DCGANs first, as printed.
        blocks=tuple(
            StudyBlock(
                name=image_type.models[gan].label,
                image_type=image_type.name,
                models=(image_type.models[gan].name,),
            )
            for gan in (0, 1)
            for image_type in _TYPES
        ),
        seats=(Seat(paper="an expert physician"),),
        printed=(PRINTED,),
    ),
    said=Said(
        scans="220 patients with high-grade glioma, BRATS 2016",
        slices="70 a patient: 15,400 of each sequence, 61,600 pooled",
        training="unsaid",
        time="2 h (128 pixels) and 1 h (64 pixels) a sequence, GTX 980",
        samples="50 of each model, shown to the reader; nothing else is measured",
        readers="one expert physician, 12 blocks of 50 real and 50 synthetic images",
    ),
    alternatives=ALTERNATIVES,
    notes=(
        "The paper asks one reader and gives accuracy alone. Of 600 real images 352 were called "
        "synthetic, and of 600 synthetic ones 100 real: accuracy near 50 % comes from doubt of "
        "everything here, and no block shows that the reader guesses (equivalence within 10 "
        "points).",
        "The paper mentions no held-out patients. Here subjects are held out, and all real images "
        "that are compared with or shown are theirs.",
        "A WGAN whose critic is clipped learns slowly: here it has drawn outlines full of noise "
        "after 160,000 images. So at the scale “laptop” a WGAN with a penalty on the critic's "
        "gradient (Gulrajani et al. 2017) and without its batch norm, “stable”, stands beside it.",
        "Unsaid in the paper: scaling of intensities, length of training, Adam's beta1, clipping "
        "and critic steps of WGAN. Values of the papers that it follows are taken.",
        "Concat: 50 real images of four sequences in equal parts is not whole; 13, 13, 12 and 12 "
        "by a seeded draw.",
    ),
    scales=(
        Scale(
            name="smoke",
            limits="Networks of a fraction of the paper's width have seen fewer than a thousand "
            "images: the run shows that every step works, and no number on this page says "
            "anything about the paper's methods.",
            subjects=8,
            sizes={128: 64, 64: 32},
            plan={"slices": "80:150:7", "splits": (0.5, 0.0, 0.5)},
            images=960,
            models=_PUBLISHED,
            recipe={"batch": "16", "precision": "fp32"},
            networks={"dcgan": {"network.width": "64"}},
            samples=40,
            draws=3,
            reading=("cases=20",),
        ),
        Scale(
            name="laptop",
            limits="One sequence and all pooled, at half the paper's resolution, in batches of 16, "
            "which learn sooner, and a thirtieth of our reading of its training: the order of the "
            "models may hint at the paper's, its numbers cannot be compared. Of WGAN, readers are "
            "shown the stable one, since the clipped one draws noise at this length.",
            subjects=40,
            sizes={128: 64, 64: 32},
            images=50_000,
            recipe={"batch": "16"},
            models={
                f"{image_type}-{gan}": changes
                for image_type in ("t1-128", "concat-128")
                for gan, changes in (("dcgan", {}), ("wgan", {}), ("wgan-stable", STABLE_AT_LAPTOP))
            },
            samples=1000,
            shown={f"{kind}-wgan": f"{kind}-wgan-stable" for kind in ("t1-128", "concat-128")},
        ),
        Scale(
            name="paper",
            limits="The paper's sizes and lengths as far as it gives them, with one seed a model: "
            "a difference between two models can still be luck.",
            models=_PUBLISHED,
        ),
    ),
)
