"""One architecture a file.

Each file holds a frozen value that describes the pair of networks and builds them:
`generator(size, channels)` maps latents (n, z) to images (n, c, size, size), and
`critic(size, channels)` maps images to logits (n,).
"""

from typing import Annotated

from pydantic import Field

from mrgantry.gan.networks.dcgan import Dcgan
from mrgantry.gan.networks.upconv import UpConv

Network = Annotated[Dcgan | UpConv, Field(discriminator="kind")]

__all__ = ["Dcgan", "Network", "UpConv"]
