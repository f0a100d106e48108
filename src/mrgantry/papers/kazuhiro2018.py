"""Kazuhiro et al., generative adversarial networks for T1 brain images (Tomography 2018).

DCGAN on 96 T1 volumes of 30 healthy people and 33 patients, 3 T SPGR, turned to the AC-PC
line. Images are not stored slices: each volume gives 48,510 oblique sections through the
basal ganglia (21 x 21 x 11 rotations in steps of 1 degree, five levels, mirrored or not).
Five radiologists were then asked which images are real.
"""

from typing import Literal

from mrgantry.data.plan import SlicePlan
from mrgantry.generate.losses import Original
from mrgantry.generate.networks import KazuhiroDcgan
from mrgantry.generate.recipe import Adam, GanRecipe
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
from mrgantry.study.printed import Printed, PrintedRow
from mrgantry.study.protocol import Protocol

# 96 volumes of 24,255 poses: the total that the paper states leaves the mirror out.
POSES_OF_VOLUME = 24_255
POSES = 96 * POSES_OF_VOLUME
SPLITS = (0.8, 0.0, 0.2)  # nothing here needs people for validation


def plan(size: int = 128) -> SlicePlan:
    """Give the oblique sections of the paper; any of them is drawn as training goes on."""
    return SlicePlan(sequences=("t1",), plane="oblique", size=size, splits=SPLITS)


def _dcgan(size: int, variant: Literal["published", "stable"] = "published") -> GanRecipe:
    """Give the paper's networks, or these without the norms that Radford et al. leave out."""
    published = variant == "published"
    return GanRecipe(
        name=f"kazuhiro2018-dcgan-{size}{'' if published else '-stable'}",
        variant=variant,
        size=size,  # unsaid; 128 or 256 are likely
        network=KazuhiroDcgan(
            latent=100,  # "100 uniform inputs"
            prior="uniform",
            width=256,  # "256-128-64-32"; that the projection has 256 too is our reading
            # "batch normalization ... in every layer", with which it draws on grey here.
            output_norm=published,
            input_norm=published,
        ),
        loss=Original(),  # DCGAN's
        optimiser=Adam(lr=2e-4, beta1=0.5),  # unsaid; Radford et al.
        images=35 * POSES,  # "35 epochs"
        batch=64,  # unsaid; Radford et al. have 128
    )


SIZES = (64, 128, 256)
RECIPES = (*map(_dcgan, SIZES), *(_dcgan(size, "stable") for size in SIZES))

PROTOCOL = Protocol(
    name="kazuhiro2018",
    cases=50,  # "in total, 50"
    share=(0.4, 0.6),  # of created images, drawn for each reader
    synthetic_word="created",
    unknown=True,
    seconds=10,
    late="recorded",  # "answered after the display"; what comes later still counts
    practice=10,
    table="readers",
    same_cases=False,  # readers need not have seen the same images
    source="K. Kazuhiro et al., GANs for the creation of realistic artificial brain MR images, "
    "Tomography 2018",
)

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

STUDY = Reproduction(
    study="kazuhiro2018",
    title="DCGAN of oblique T1 sections, five radiologists",
    citation=PRINTED.citation,
    # 30 healthy people, scanned once, and 33 post-stroke patients, scanned twice: 96 volumes.
    cohort=Cohort(
        subjects=63,
        sequences=("t1",),
        healthy=30 / 63,
        disease="stroke",
        t1="kazuhiro2018",
        visits=2,
        healthy_visits=1,
    ),
    image_types=(
        ImageType(
            name="t1",
            label="T1",
            plan=plan(),
            models=(
                Model(name="dcgan", label="DCGAN", recipe=_dcgan(128), epochs=35),
                Model(
                    name="dcgan-stable",
                    label="Stable DCGAN",
                    recipe=_dcgan(128, "stable"),
                    epochs=35,
                ),
            ),
            poses=POSES_OF_VOLUME,
        ),
    ),
    samples=2000,
    reading=ReadingPlan(
        protocol=PROTOCOL,
        blocks=(StudyBlock(name="T1", image_type="t1", models=("dcgan-stable",)),),
        seats=(
            *[Seat(group=NEURO, paper="a neuroradiologist of 15 years or more")] * 2,
            *[Seat(group=OTHER, paper="a body radiologist of 10 years or more")] * 2,
            Seat(group=OTHER, paper="a resident of 4 years"),
        ),
        printed=(PRINTED,),
        quiz=20,  # figure 1B; how many images it has is unsaid
    ),
    said=Said(
        scans="96 T1 volumes of 30 healthy people and 33 post-stroke patients, who were scanned "
        "twice; 3 T, sagittal SPGR of TR 8.6 ms, TE 1.8 ms, flip angle 8 degrees, 256 x 256 x 124 "
        "voxels of 0.94 x 0.94 x 1.5 mm; each reoriented to the AC-PC line and centred by hand",
        slices="48,510 poses of each volume (21 x 21 x 11 turns, five sections, mirrored or not)",
        training="35 epochs",
        time="unsaid, GTX 1080",
        samples="20 to 30 for each reader",
        readers="2 neuroradiologists, 2 body radiologists and a resident; 50 images each, 10 s an "
        "image, after 10 for practice",
    ),
    alternatives=(
        Alternative(
            name="size-256",
            about="Size of the images, which is unsaid",
            here="128 pixels",
            other="256 pixels, as the scans have",
            plan={"size": 256},
            recipe={"size": "256"},
        ),
        Alternative(
            name="filters-as-outputs",
            about="“256-128-64-32 filters” of the generator's four convolutions",
            here="what they take: the fourth makes the image",
            other="what they give: a layer after them makes the image",
            recipe={"network.filters": "outputs"},
        ),
        own_epochs("35 epochs", "the 2,328,480 images that the paper states"),
    ),
    notes=(
        "The total of 2,328,480 images that the paper states is 96 x 24,255: it leaves the mirror "
        "out, which its count for each volume has.",
        "The paper prints rates, not counts. Sessions of 50 images do not fit those of NR1, NR2 "
        "and NNR3, so the numbers of images are unknown and no interval can be given.",
        "The printed accuracy is the mean of TP and TN, rounded either way.",
        "The paper names no axes for its turns: yaw, pitch and roll about the centre are our "
        "reading; up/down is printed “up / right”. Size of the images, optimiser and batch are "
        "unsaid.",
        "By the letter of the paper both networks have batch norm where Radford et al. leave it "
        "out: before the generator's tanh and after the critic's first convolution. Here such a "
        "pair has drawn brains on a grey ground after 5,000 steps, and noise after fewer; so the "
        "same pair without these two, “stable”, stands beside it, and readers are shown its "
        "images.",
        "The paper mentions no held-out patients. Here subjects are held out, and readers see "
        "theirs.",
    ),
    scales=(
        Scale(
            name="smoke",
            limits="A network of a quarter of the paper's width has seen a few hundred images, and "
            "draws noise: the run shows that every step works, and no number on this page says "
            "anything about the paper's method.",
            subjects=8,
            sizes={128: 64, 256: 128},
            plan={"poses": 12, "splits": (0.5, 0.0, 0.5)},
            images=640,
            recipe={"batch": "16", "precision": "fp32"},
            networks={"kazuhiro-dcgan": {"network.width": "64"}},
            samples=60,
            draws=4,
        ),
        Scale(
            name="laptop",
            limits="Half of a likely resolution, batches of 16, which learn sooner, and less than "
            "a thousandth of the paper's training: readers can be tried on it, the paper's rates "
            "cannot be compared.",
            subjects=40,
            sizes={128: 64, 256: 128},
            images=80_000,
            recipe={"batch": "16"},
            samples=1000,
        ),
        Scale(
            name="paper",
            limits="The paper's length of training, with one seed; size and optimiser are our "
            "choice.",
        ),
    ),
)
