"""One architecture a file.

Of a GAN, each file holds a frozen value that describes the pair of networks and builds them:
`generator(size, channels, labels)` maps latents with one-hot labels behind them,
(n, latent + labels), to images (n, channels, size, size), and
`critic(size, channels, labels)` maps images to one number of their own and one for each
label, (n, 1 + labels). Of a flow, it builds the one that there is: `denoiser(shape, channels,
labels)` maps noisy images, their times and one-hot labels to what a flow
makes images without noise of.
"""

from typing import Annotated

from pydantic import Field

from mrgantry.generate.networks.dcgan import Dcgan
from mrgantry.generate.networks.delplace_dcgan import DelplaceDcgan
from mrgantry.generate.networks.kazuhiro2018 import KazuhiroDcgan
from mrgantry.generate.networks.monai_unet import MonaiUNet
from mrgantry.generate.networks.progressive import Progressive
from mrgantry.generate.networks.srresnet import SrResNet
from mrgantry.generate.networks.style import Style
from mrgantry.generate.networks.unet import UNet
from mrgantry.generate.networks.upconv import UpConv
from mrgantry.generate.networks.volume_dcgan import VolumeDcgan

GanNetwork = Annotated[
    Dcgan | KazuhiroDcgan | DelplaceDcgan | SrResNet | Progressive | Style | UpConv | VolumeDcgan,
    Field(discriminator="kind"),
]
DenoisingNetwork = Annotated[UNet | MonaiUNet, Field(discriminator="kind")]

__all__ = [
    "Dcgan",
    "DelplaceDcgan",
    "DenoisingNetwork",
    "GanNetwork",
    "KazuhiroDcgan",
    "MonaiUNet",
    "Progressive",
    "SrResNet",
    "Style",
    "UNet",
    "UpConv",
    "VolumeDcgan",
]
