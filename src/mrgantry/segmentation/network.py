"""The segmenter: its settings, its training, the maps that it draws.

A U-Net with residual units (MONAI's), which gives each pixel a class or none, and learns by Dice
and cross-entropy together. The Dice term is taken over all images of a batch at once, so that
slices on which nothing is mapped do not count as mistakes of a whole image.
"""

import importlib
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from pydantic import Field
from torch import Tensor, nn

from mrgantry.common.errors import DataError
from mrgantry.detection.learning import (
    Epoch,
    NetworkTraining,
    Whole,
    choose_precision,
    descend,
    seeded,
)
from mrgantry.detection.sources import ImageSource

JUDGED = 128  # images mapped at once


class SegmenterTraining(NetworkTraining):
    """How a segmenter is trained.

    Attributes:
        width: Channels at full resolution; each of the three steps down doubles them.
        units: Residual units at each resolution.
    """

    width: Annotated[int, Field(ge=4, le=256)] = 16
    units: Whole = 2


class Segmenter(nn.Module):
    """A network with all that is done to images before it.

    Attributes:
        network: Gives the logits of images.
        bf16: Whether it computes in 16 bits.
    """

    def __init__(self, network: nn.Module, bf16: bool) -> None:
        super().__init__()
        self.network, self.bf16 = network, bf16

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k h w"]:
        """Give the logits of images in [-1, 1]; the first channel is that of no class."""
        ready = images.float().contiguous(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.bf16):
            logits: Tensor = self.network(ready)
        return logits.float()


@dataclass(frozen=True, eq=False)
class TrainedSegmenter:
    """A segmenter with the weights of its best epoch.

    Attributes:
        segmenter: In evaluation mode.
        history: All epochs.
        best: Number of the one with the lowest validation loss.
    """

    segmenter: Segmenter
    history: tuple[Epoch, ...]
    best: int


def _of_monai(module: str, name: str) -> Any:
    """Get a class of MONAI, which takes seconds to load and need not be installed."""
    try:
        return getattr(importlib.import_module(f"monai.{module}"), name)
    except ImportError as error:
        raise DataError(
            "Segmenters are networks of MONAI, which is not installed: pip install "
            "'mrgantry[monai]'."
        ) from error


def train_segmenter(
    source: ImageSource,
    validation: ImageSource,
    classes: int,
    training: SegmenterTraining,
    device: torch.device,
) -> TrainedSegmenter:
    """Train until the validation loss falls no more, and keep the best epoch.

    On one machine's CPU, the same call gives the same weights.

    Args:
        source: What is learnt from: images with their label maps.
        validation: What tells when to stop; never part of the source.
        classes: What maps tell apart, besides nothing.
        training: How.
        device: Where.

    Raises:
        DataError: A source is empty, or MONAI is not installed.
        DivergedError: The loss became NaN or infinite.
    """
    if not (len(source) and len(validation)):
        raise DataError("A segmenter needs images to learn from and others to validate it.")
    precision: Literal["fp32", "bf16"] = choose_precision(training, device)
    loss = _of_monai("losses", "DiceCELoss")(
        include_background=False, to_onehot_y=True, softmax=True, batch=True
    )
    with seeded(training.seed, device):
        channels = source.batch(torch.tensor([0]))[0].shape[1]
        segmenter = untrained_segmenter(training, channels, classes, precision == "bf16").to(device)

        def loss_of(
            images: Float[Tensor, "n c h w"], maps: Int[Tensor, "n h w"]
        ) -> Float[Tensor, ""]:
            value: Tensor = loss(segmenter(images), maps[:, None])
            return value

        @torch.no_grad()
        def validate() -> float:
            total = 0.0
            for numbers in torch.arange(len(validation)).split(JUDGED):
                total += float(loss_of(*validation.batch(numbers))) * len(numbers)
            return total / len(validation)

        history, best = descend(segmenter, source, training, loss_of, validate)
    return TrainedSegmenter(segmenter, history, best)


def untrained_segmenter(
    training: SegmenterTraining, channels: int, classes: int, bf16: bool
) -> Segmenter:
    """Make a segmenter as it is before training.

    Args:
        training: Its settings.
        channels: Of the images.
        classes: What maps tell apart, besides nothing.
        bf16: Whether it computes in 16 bits.
    """
    network = _of_monai("networks.nets", "UNet")(
        spatial_dims=2,
        in_channels=channels,
        out_channels=1 + classes,
        channels=[training.width * 2**step for step in range(4)],
        strides=(2, 2, 2),
        num_res_units=training.units,
    )
    segmenter = Segmenter(network, bf16)
    return segmenter.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@torch.no_grad()
def draw_maps(segmenter: Segmenter, source: ImageSource) -> UInt8[np.ndarray, "n h w"]:
    """Give each pixel of all images of a source the likeliest class; 0 is none."""
    segmenter.eval()
    maps = [
        segmenter(source.batch(numbers)[0]).argmax(1).to(torch.uint8).cpu()
        for numbers in torch.arange(len(source)).split(JUDGED)
    ]
    return torch.cat(maps).numpy()
