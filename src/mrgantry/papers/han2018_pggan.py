"""Han et al., infinite brain MR images (2018): a progressive GAN for tumour detection.

T1c of the 220 high-grade patients of BRATS 2016, axial slices 30 to 130, padded from 240 to
256. One network is trained on tumour slices and another on slices without: 5,036 and 3,853
in the training split, so

    mrgantry train slices yes --recipe han2018-pggan-256 --only tumour=yes
    mrgantry train slices no --recipe han2018-pggan-256 --only tumour=no --set images=385300
"""

from typing import Literal

from mrgantry.data.plan import SlicePlan
from mrgantry.detection.classifier import ClassifierTraining
from mrgantry.detection.printed import PrintedCondition, PrintedDetection
from mrgantry.generate.losses import WassersteinPenalty
from mrgantry.generate.networks import Progressive
from mrgantry.generate.recipe import Adam, GanRecipe
from mrgantry.generate.schedule import Growing
from mrgantry.papers.alternative import Alternative, own_epochs
from mrgantry.papers.reproduction import (
    Cohort,
    Experiment,
    ImageType,
    Model,
    ReadingPlan,
    Reproduction,
    Said,
    Scale,
    Seat,
    StudyBlock,
)
from mrgantry.study.printed import Printed, PrintedRow
from mrgantry.study.protocol import Protocol

TUMOUR_SLICES = 5_036
OTHER_SLICES = 3_853  # without a tumour
A_PHASE = 600_000  # images in each phase of Karras et al.
CROP = 224 / 256  # the paper crops 240 pixels to 224; slices here are padded to 256
RATIO = 22.5  # 200,000 synthetic images beside 8,889 real slices


def plan(size: int = 256) -> SlicePlan:
    """Give the paper's slices; 154, 44 and 22 patients are its splits.

    A field of 256 mm pads slices of 240 mm as the paper does, with as much on all sides.
    """
    return SlicePlan(
        sequences=("t1c",),
        plane="axial",
        slices="30:131",
        size=size,
        field_mm=256,
        field_on="image",
        min_brain=0,  # a fixed range: none is left out
        where=("grade=HGG",),
        splits=(0.7, 0.2, 0.1),
    )


def _pggan(size: int, variant: Literal["published", "original"]) -> GanRecipe:
    schedule = Growing()  # Karras et al.
    return GanRecipe(
        name=f"han2018-pggan-{size}" + ("-original" if variant == "original" else ""),
        variant=variant,
        size=size,
        # All of it by Karras et al., whom the paper follows.
        network=Progressive(
            latent=512,
            prior="sphere",
            base=16384,
            widest=512,
            kernel=3,
            pixel_norm=True,
            last_gain=1.0,
            output="linear",
        ),
        loss=WassersteinPenalty(
            weight=10,  # unsaid; Gulrajani et al.
            drift=0.001,  # unsaid; Karras et al.
        ),
        optimiser=Adam(lr=1e-3, beta1=0, beta2=0.99),  # lr as said; betas by Karras et al.
        schedule=schedule,
        # "100 epochs", whose division is unsaid: equal phases; or as long as Karras et al.
        images=100 * TUMOUR_SLICES if variant == "published" else schedule.phases(size) * A_PHASE,
        batch=16,
        ema=11_000,  # unsaid; 0.999 a step in Karras et al. is this half-life at a batch of 16
    )


RECIPES = tuple(
    _pggan(size, variant) for variant in ("published", "original") for size in (64, 128, 256)
)

_CITATION = "Han et al., Infinite brain MR images: PGGAN-based data augmentation, 2018"
_FILTERED = "Only successful synthetic images were shown; how many were left out is unsaid."
_READER = "an expert physician"

PROTOCOL = Protocol(
    name="han2018-pggan",
    cases=200,  # 50 each of real and synthetic, with tumour and without
    share=(0.5, 0.5),
    balance=("tumour",),
    questions=("truth", "tumour"),
    table="initials",
    same_cases=True,  # one reader in the paper
    source="C. Han et al., Infinite brain MR images, 2018",
)

PRINTED = Printed(
    study="han2018-pggan",
    title="Visual Turing test by one expert physician, 100 real and 100 synthetic images, half of "
    "each with a tumour",
    citation=_CITATION,
    classes=("real", "synthetic"),
    rows_are="block",
    columns=("R as R", "R as S", "S as R", "S as S"),
    unit="images",
    rows=(PrintedRow(label="PGGAN", counts=(58, 42, 1, 99), accuracy=0.785),),
    notes=(_FILTERED,),
)

# The same images and the same reader: the other question.
PRINTED_TUMOUR = Printed(
    study="han2018-pggan",
    title="Tumour or not, asked of the same 200 images",
    citation=_CITATION,
    classes=("tumour", "non-tumour"),
    rows_are="images",
    columns=("T as T", "T as N", "N as T", "N as N"),
    unit="images",
    rows=(
        PrintedRow(label="all", counts=(82, 18, 1, 99), accuracy=0.905),
        PrintedRow(label="real", counts=(45, 5, 0, 50), accuracy=None),
        PrintedRow(label="synthetic", counts=(37, 13, 1, 49), accuracy=None),
    ),
    notes=(
        "Printed are the totals, that 5 of the 18 and none of the 1 are real, and that there are "
        "50 images of each kind; the rows of real and synthetic images follow from these.",
        _FILTERED,
    ),
)

PRINTED_DETECTION = PrintedDetection(
    recipes="han2018-pggan",
    title="Tumour detection by a ResNet-50, 1,575 test slices with a tumour and 1,082 without",
    citation=_CITATION,
    columns=("T as T", "T as N", "N as T", "N as N"),
    rows=(
        PrintedCondition(
            label="no augmentation",
            condition="none",
            counts=(1343, 232, 32, 1050),
            accuracy=90.06,
            sensitivity=85.27,
            specificity=97.04,
        ),
        PrintedCondition(
            label="200k classical",
            condition="classical",
            counts=(1397, 178, 69, 1013),
            accuracy=90.70,
            sensitivity=88.70,
            specificity=93.62,
        ),
        PrintedCondition(
            label="200k PGGAN",
            condition="synthetic",
            ratio=RATIO,
            counts=(1574, 1, 1008, 74),
            accuracy=62.02,
            sensitivity=99.94,
            specificity=6.84,
        ),
        PrintedCondition(
            label="200k classical + 200k PGGAN",
            condition="classical+synthetic",
            counts=(1364, 211, 26, 1056),
            accuracy=91.08,
            sensitivity=86.60,
            specificity=97.60,
        ),
    ),
    compared=(
        ("200k classical + 200k PGGAN", "200k classical"),
        ("200k classical + 200k PGGAN", "no augmentation"),
    ),
    notes=(
        "Printed are percentages; the counts are the only whole numbers that give them.",
        "The test set cannot be that of the 22 patients it is said to be of: 22 patients with 101 "
        "slices each are at most 2,222, not 2,657. Validation (44 patients) and test look swapped.",
        "Each condition was trained once, so what another seed would give is not known; and the "
        "intervals take slices for independent, which slices of one patient are not.",
        "“Highly unrealistic” synthetic images were discarded by eye; how many is unsaid. That "
        "25 % failed, by artefacts or without clear features of a tumour, is a share of quality.",
        "Virtual sets are additional to the real training set under every condition.",
    ),
)

STUDY = Reproduction(
    study="han2018-pggan",
    title="Progressive GANs of tumour and non-tumour slices, for tumour detection",
    citation=_CITATION,
    cohort=Cohort(subjects=220, sequences=("t1c",)),
    image_types=(
        ImageType(
            name="t1c",
            label="T1c",
            plan=plan(),
            models=(
                Model(
                    name="tumour",
                    label="PGGAN, tumour",
                    recipe=_pggan(256, "published"),
                    only=("tumour=yes",),
                    epochs=100,
                ),
                Model(
                    name="non-tumour",
                    label="PGGAN, non-tumour",
                    recipe=_pggan(256, "published"),
                    only=("tumour=no",),
                    changes={"images": str(100 * OTHER_SLICES)},
                    epochs=100,
                ),
            ),
        ),
    ),
    samples=10_000,
    reading=ReadingPlan(
        protocol=PROTOCOL,
        blocks=(StudyBlock(name="PGGAN", image_type="t1c", models=("tumour", "non-tumour")),),
        seats=(Seat(paper=_READER),),
        printed=(PRINTED, PRINTED_TUMOUR),
    ),
    selected=True,
    selected_label="tumour",  # failed images also "lack clear tumour features"
    detection=Experiment(
        image_type="t1c",
        training=ClassifierTraining(crop=CROP),
        real_share=0.04,  # 8,889 real slices beside 200,000 changed ones
        ratios=(1.0, RATIO),
        printed=PRINTED_DETECTION,
    ),
    said=Said(
        scans="220 patients with high-grade glioma, BRATS 2016: 154, 44 and 22 for training, "
        "validation and test",
        slices="axial, 30 to 130 of 155, padded to 256 pixels",
        labels="with a tumour and without: 5,036 and 3,853 to train on, 793 and 640 to validate, "
        "1,575 and 1,082 to test. 22 patients of 101 slices have 2,222 at most, so a test set of "
        "2,657 is impossible: validation and test patients look swapped",
        training="100 epochs in batches of 16: 503,600 and 385,300 images",
        time="unsaid",
        samples="200,000 for detection, the highly unrealistic among them discarded by eye, how "
        "many is unsaid; 50 and 50 shown, successful ones alone",
        readers="one expert physician, 100 real and 100 synthetic images, half of each with a "
        "tumour",
    ),
    alternatives=(
        Alternative(
            name="padded-round-the-brain",
            about="Zero-padding from 240 to 256",
            here="as much on all sides of the slice",
            other="round the middle of the brain",
            plan={"field_on": "brain"},
        ),
        Alternative(
            name="drop-small-slices",
            about="Slices 30 to 130 with little brain",
            here="all stay",
            other="those with less than a tenth of the fullest slice's brain are left out",
            plan={"min_brain": 0.1},
        ),
        Alternative(
            name="long-training",
            about="Length of training",
            here="100 epochs in 13 equal phases",
            other="600,000 images in each phase, as Karras et al. have it",
            recipe={"images": str(Growing().phases(256) * A_PHASE)},
        ),
        own_epochs("100 epochs", "the 5,036 and 3,853 slices of the paper's training patients"),
    ),
    notes=(
        "The paper discards real slices that are mislabelled, unclear at the border of the tumour, "
        "or too small or too big; how many, it does not say.",
        "91.08 % against 90.70 % are 10 images of 2,657: the 95 % interval of that difference is "
        "−1.2 to +1.9 points, and of the gain over no augmentation −0.6 to +2.6. So every "
        "condition is repeated with several seeds here.",
        "PGGAN images alone gave 62 %, with a specificity of 7 %: nearly everything was called a "
        "tumour.",
        "About 75 % of the synthetic images looked realistic, says the paper, and 25 % failed: "
        "they had artefacts or lacked clear features of a tumour. That is a share of quality. "
        "Discarded by eye were the “highly unrealistic”; their share is unsaid. Here a stated rule "
        "discards what lies far from real slices or does not look like its label, and the number "
        "stands with the set.",
        "200,000 synthetic images are too many to keep; at the scale of the paper 10,000 of each "
        "kind are drawn. Classifiers see as many synthetic images as others and, as published, "
        "22.5 to each real one, for which each is shown again and again.",
        "An epoch of a classifier here is one pass through as many images as there are real slices "
        "to learn from, under every condition; its patience of 10 epochs counts these. What the "
        "paper's epoch is beside 200,000 images is unsaid.",
        "How 100 epochs are divided over the resolutions is unsaid: equal phases are taken.",
    ),
    scales=(
        Scale(
            name="smoke",
            limits="Two networks of a few channels have seen fewer than a thousand images, and "
            "classifiers a few dozen steps: the run shows that every step works, and no number on "
            "this page says whether synthetic images help.",
            subjects=20,
            sizes={256: 64},
            plan={"slices": "30:131:6", "splits": (0.5, 0.25, 0.25)},
            images=960,
            recipe={"precision": "fp32"},
            networks={"progressive": {"network.base": "512", "network.widest": "32"}},
            samples=80,
            draws=3,
            reading=("cases=20",),
            detection={
                "training": ClassifierTraining(
                    network="small",
                    weights="scratch",
                    crop=CROP,
                    batch=32,
                    epochs=3,
                    precision="fp32",
                ),
                "real_share": 0.5,
                "ratios": (1.0,),
            },
        ),
        Scale(
            name="laptop",
            limits="A quarter of the paper's resolution, a quarter of its channels, a small "
            "classifier and an eighth of its training: whether synthetic images help at that size, "
            "it can show; what they do at the paper's, not.",
            subjects=60,
            sizes={256: 64},
            plan={"splits": (0.6, 0.2, 0.2)},
            images=60_000,
            networks={"progressive": {"network.base": "2048", "network.widest": "128"}},
            samples=2000,
            detection={
                "training": ClassifierTraining(
                    network="small", weights="scratch", crop=CROP, batch=32
                ),
                "real_share": 0.5,
                "ratios": (1.0,),
            },
        ),
        Scale(
            name="paper",
            limits="The paper's sizes and lengths as far as it gives them; each network is trained "
            "with one seed, the classifiers with several.",
        ),
    ),
)
