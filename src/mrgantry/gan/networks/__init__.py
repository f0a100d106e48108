"""One architecture a file.

Each file holds a frozen value that describes the pair of networks and builds them:
`generator(size, channels, labels)` maps latents with one-hot labels behind them,
(n, latent + labels), to images (n, channels, size, size), and
`critic(size, channels, labels)` maps images to one number of their own and one for each
label, (n, 1 + labels).
"""

from typing import Annotated

from pydantic import Field

from mrgantry.gan.networks.dcgan import Dcgan
from mrgantry.gan.networks.delplace_dcgan import DelplaceDcgan
from mrgantry.gan.networks.kazuhiro2018 import KazuhiroDcgan
from mrgantry.gan.networks.progressive import Progressive
from mrgantry.gan.networks.srresnet import SrResNet
from mrgantry.gan.networks.upconv import UpConv

Network = Annotated[
    Dcgan | KazuhiroDcgan | DelplaceDcgan | SrResNet | Progressive | UpConv,
    Field(discriminator="kind"),
]

__all__ = [
    "Dcgan",
    "DelplaceDcgan",
    "KazuhiroDcgan",
    "Network",
    "Progressive",
    "SrResNet",
    "UpConv",
]
