"""Our own recipes: what the field has learnt since, for small cohorts and short training.

gantry-SIZE is a rectified flow that begins with weights learnt from simulated heads;
gantry-gan-SIZE is the GAN that stood in its place before, style-SIZE a style-based generator, and
monai-rflow-SIZE a flow with the network of a library that reviewers know. All were chosen by
trying, on two cores and at minutes (docs/LOG.md).
"""

from mrgantry.generate.augment import Augment
from mrgantry.generate.flow import Flow, Sampler
from mrgantry.generate.losses import Original
from mrgantry.generate.networks import MonaiUNet, Style, UNet, UpConv, VolumeDcgan
from mrgantry.generate.recipe import Adam, AdamW, FlowRecipe, GanRecipe
from mrgantry.study.protocol import Protocol

SIZES = (64, 128, 256)
VOLUMES = ((64, 72, 64), (128, 144, 128))  # voxels, of 3 mm and of 1.5 mm
# What twenty minutes on two cores, or hours on a GPU, take.
GAN_IMAGES = {64: 200_000, 128: 500_000, 256: 1_000_000}
STYLE_BATCH = 16
OUTER = {64: (), 128: (32,), 256: (32,)}  # channels of levels that see blocks of half the side
# Where pixels are smaller than what was scanned, tissue is smooth, and the last traces of noise
# show: at 128 pixels and more, times scatter so widely that the network meets these.
TIMES = {64: (0.2, 1.3), 128: (0.0, 1.8), 256: (0.0, 1.8)}
STARTED = ((64, 72, 64),)  # of which weights of whole heads come with mrgantry
STARTS = {64: "heads-64", 128: "heads-128", 256: "heads-64"}
FLOW_IMAGES = {64: 60_000, 128: 60_000, 256: 200_000}


def gantry_recipe(size: int) -> FlowRecipe:
    """Give our flow at a size in pixels."""
    mean, spread = TIMES[size]
    return FlowRecipe(
        name=f"gantry-{size}",
        size=size,
        # Always 32 x 32 blocks: the body of the network is the same at every size.
        network=UNet.model_validate({"patch": size // 32, "outer": OUTER[size]}),
        # Times all over, since the shape of a head is settled under much noise, and its grain
        # under little.
        flow=Flow(shift=size / 64, gap=0.1, logit_mean=mean, logit_spread=spread),
        optimiser=AdamW(lr=1e-3),
        images=FLOW_IMAGES[size],
        batch=32,
        ema=10_000,
        warm_up=640,
        labels=("tumour", "sequence"),
        start=STARTS[size],
    )


def _gantry_gan(size: int) -> GanRecipe:
    return GanRecipe(
        name=f"gantry-gan-{size}",
        size=size,
        # Sixteen channels at full size, whatever that is.
        network=UpConv(latent=64, width=4 * size, critic_width=2 * size),
        loss=Original(),
        optimiser=Adam(lr=2e-4, beta1=0.5),
        images=GAN_IMAGES[size],
        batch=16,
        ema=5_000,
        labels=("tumour", "sequence"),
        augment=Augment(ramp=50_000),
    )


def style_recipe(size: int) -> GanRecipe:
    """Give the style-based generator at a size in pixels."""
    return GanRecipe(
        name=f"style-{size}",
        size=size,
        network=Style(base=16 * size),  # sixteen channels at full size, whatever that is
        # By the rule of Karras et al. (2020, adaptive augmentation): 0.0002 pixels / batch.
        loss=Original(r1=2e-4 * size**2 / STYLE_BATCH, every=8),
        optimiser=Adam(lr=2e-3, beta1=0, beta2=0.99),
        images=GAN_IMAGES[size],
        batch=STYLE_BATCH,
        ema=10_000,
        labels=("tumour", "sequence"),
        augment=Augment(ramp=50_000),
    )


def _monai(size: int) -> FlowRecipe:
    return FlowRecipe(
        name=f"monai-rflow-{size}",
        size=size,
        network=MonaiUNet(),
        # As their `RFlowScheduler` does: times from noise to image alike, and thirty even steps.
        flow=Flow(predicts="velocity"),
        sampler=Sampler(method="euler", steps=30, spacing="even"),
        optimiser=AdamW(lr=1e-4, beta2=0.999),
        images=FLOW_IMAGES[size],
        batch=16,
        ema=10_000,
        labels=("tumour", "sequence"),
    )


def volume_recipe(voxels: tuple[int, int, int]) -> FlowRecipe:
    """Give our flow of whole heads, at a number of voxels from right to left, front to back and up.

    It is that of slices of the same pixels, which draws a head slice by slice, each beside those
    that are drawn already, and begins with what is known of simulated heads, or of slices where
    no such weights come with mrgantry. An image is a slice here.
    """
    slices, size = gantry_recipe(voxels[0]), "x".join(map(str, voxels))
    changes = {"name": f"gantry-{size}", "size": max(voxels), "voxels": voxels}
    started = {"start": f"heads-{size}"} if voxels in STARTED else {}
    return slices.model_copy(update=changes | started)


# Delplace (2020) announced three-dimensional GANs; this one follows Wu et al. (2016).
VOLUME_GAN = GanRecipe(
    name="dcgan-64x72x64",
    size=72,
    voxels=(64, 72, 64),
    network=VolumeDcgan(),
    loss=Original(),
    optimiser=Adam(lr=2e-4, beta1=0.5),
    images=40_000,
    batch=16,
    ema=1_000,
    labels=("tumour", "sequence"),
)

# That of the demonstration, as long as a minute or two allow: it begins with brains.
DEMO = gantry_recipe(64).model_copy(update={"name": "demo", "images": 4_000, "labels": ()})

RECIPES = (
    DEMO,
    *map(volume_recipe, VOLUMES),
    VOLUME_GAN,
    *(make(size) for make in (gantry_recipe, _gantry_gan, style_recipe, _monai) for size in SIZES),
)

VOLUME = Protocol(
    name="volume",
    volumes=True,
    cases=40,
    confidence=True,
    source="Ours: of whole heads readers also see whether neighbouring slices belong together",
)

# A criterion does not bear on pairs: whoever doubts every image must still choose one of two.
TWO_ALTERNATIVE = Protocol(
    name="two-alternative",
    pairs=True,
    cases=100,
    source="Green and Swets 1966, Signal Detection Theory and Psychophysics, chapter 2",
)
