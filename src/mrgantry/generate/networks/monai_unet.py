"""The diffusion U-Net of MONAI, a library that reviewers know, as a baseline for comparisons."""

import importlib
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from mrgantry.common.errors import RecipeError
from mrgantry.common.frozen import Frozen
from mrgantry.data.formats import times

TIMES = 1000.0  # its time embedding is made for steps counted from 0 to here


class MonaiUNet(Frozen):
    """MONAI's `DiffusionModelUNet`; needs the extra `monai`.

    Attributes:
        widths: Channels of each level.
        blocks: Residual blocks of a level.
        attention: Which levels, from the first to the last, have attention.
        head: Channels of an attention head.
    """

    kind: Literal["monai-unet"] = "monai-unet"
    widths: tuple[Annotated[int, Field(ge=8, multiple_of=8)], ...] = (64, 128, 256)
    blocks: Annotated[int, Field(ge=1)] = 2
    attention: tuple[bool, ...] = (False, False, True)
    head: Annotated[int, Field(ge=8)] = 64

    def denoiser(self, shape: Sequence[int], channels: int, labels: int = 0) -> nn.Module:
        """Build the network; the arguments are the first of `UNet.denoiser`.

        Raises:
            RecipeError: MONAI is not installed, or the images cannot be halved so often.
        """
        least = 1 << (len(self.widths) - 1)
        if any(side % least for side in shape):
            raise RecipeError(
                f"This U-Net needs images whose sides are multiples of {least}, not "
                f"{times(shape)} pixels; change network.widths."
            )
        try:
            nets = importlib.import_module("monai.networks.nets.diffusion_model_unet")
        except ImportError as error:
            raise RecipeError(
                f"The network monai-unet needs the extra `monai` ({error}): "
                "pip install 'mrgantry[monai]'."
            ) from error
        unet = nets.DiffusionModelUNet(
            spatial_dims=len(shape),
            in_channels=channels + labels,
            out_channels=channels,
            num_res_blocks=self.blocks,
            channels=self.widths,
            attention_levels=self.attention,
            norm_num_groups=8,
            num_head_channels=self.head,
        )
        return Labelled(unet)


class Labelled(nn.Module):
    """A U-Net of MONAI that is told labels as further channels of a single value each."""

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet

    def forward(
        self,
        images: Float[Tensor, "n c *s"],
        times: Float[Tensor, " n"],
        labels: Float[Tensor, "n k"],
    ) -> Float[Tensor, "n c2 *s"]:
        """Say something of noisy images at times in [0, 1]."""
        single = labels.view(*labels.shape, *[1] * (images.ndim - 2))
        maps = single.expand(-1, -1, *images.shape[2:])
        said: Tensor = self.unet(torch.cat([images, maps.to(images)], 1), times * TIMES)
        return said
