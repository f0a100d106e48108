"""The classifier of tumour and no tumour: its settings, its training, its answers.

Batches are taken from a source as drawn, not balanced by class: synthetic and classically
changed sets are balanced already, and real ones, as in the paper, are as people's brains are.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn

from mrgantry.common.device import best_device
from mrgantry.common.errors import DataError
from mrgantry.detection.learning import Epoch, NetworkTraining, choose_precision, descend, seeded
from mrgantry.detection.resnet import MEAN, SPREAD, Name, build, load_published
from mrgantry.detection.sources import ImageSource

JUDGED = 256  # images judged at once


class ClassifierTraining(NetworkTraining):
    """How a classifier is trained; what is published is Han et al. 2018 (infinite brain MR).

    Attributes:
        network: Which network; a ResNet-50 is published.
        weights: What it begins with: those of ImageNet, as published, or random ones.
        crop: Share of the side that is kept around the middle: 224 of 240 pixels.
        dropout: Share of the features that the last layer does not see in a step.
        epochs: The most of them (unsaid in the paper).
    """

    network: Name = "resnet50"
    weights: Literal["imagenet", "scratch"] = "imagenet"
    crop: Annotated[float, Field(gt=0, le=1)] = 224 / 240
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    batch: Annotated[int, Field(ge=2)] = 192


class Classifier(nn.Module):
    """A network with all that is done to images before it.

    Attributes:
        network: Gives the logits of normalised images.
        crop: Share of the side that it sees.
        bf16: Whether it computes in 16 bits.
    """

    def __init__(self, network: nn.Module, crop: float, bf16: bool) -> None:
        super().__init__()
        self.network, self.crop, self.bf16 = network, crop, bf16

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Give the logits of whole images in [-1, 1]."""
        middle = centre(images.float(), self.crop)
        ready = ((middle + 1) / 2 - MEAN) / SPREAD
        ready = ready.contiguous(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.bf16):
            logits = self.network(ready)
        return logits.float()


def centre(images: Float[Tensor, "n c h w"], share: float) -> Float[Tensor, "n c i j"]:
    """Cut the same margin from all sides, so that about this share of each is left."""
    top, left = (round(side * (1 - share) / 2) for side in images.shape[-2:])
    height, width = images.shape[-2:]
    return images[..., top : height - top, left : width - left]


@dataclass(frozen=True, eq=False)
class Trained:
    """A classifier with the weights of its best epoch.

    Attributes:
        classifier: In evaluation mode.
        history: All epochs.
        best: Number of the one with the lowest validation loss.
        precision: Of its arithmetic.
    """

    classifier: Classifier
    history: tuple[Epoch, ...]
    best: int
    precision: Literal["fp32", "bf16"]


def train_classifier(
    source: ImageSource,
    validation: ImageSource,
    training: ClassifierTraining,
    device: torch.device | None = None,
) -> Trained:
    """Train until the validation loss falls no more, and keep the best epoch.

    On one machine's CPU, the same call gives the same weights.

    Args:
        source: What is learnt from.
        validation: What tells when to stop; never part of the source.
        training: How.
        device: Where; by default a CUDA device if there is one.

    Raises:
        DataError: A source is empty, or published weights cannot be had.
        RecipeError: The network has no published weights.
        DivergedError: The loss became NaN or infinite.
    """
    if not (len(source) and len(validation)):
        raise DataError("A classifier needs images to learn from and others to validate it.")
    device = device or best_device()
    training = training.model_copy(update={"precision": choose_precision(training, device)})
    with seeded(training.seed, device):
        channels = source.batch(torch.tensor([0]))[0].shape[1]
        classifier = untrained_classifier(training, channels, device)
        history, best = descend(
            classifier,
            source,
            training,
            lambda images, labels: F.cross_entropy(classifier(images), labels),
            lambda: validate(classifier, validation),
        )
    return Trained(
        classifier.eval(), history, best, "bf16" if training.precision == "bf16" else "fp32"
    )


def untrained_classifier(
    training: ClassifierTraining, channels: int, device: torch.device
) -> Classifier:
    """Make a classifier as it is before training."""
    network = build(training.network, channels, dropout=training.dropout)
    if training.weights == "imagenet":
        load_published(network, training.network)
    bf16 = training.precision == "bf16"
    classifier = Classifier(network, training.crop, bf16).to(device)
    return classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def validate(classifier: Classifier, validation: ImageSource) -> float:
    """Give the mean cross-entropy, in nats."""
    probability, labels = judge(classifier, validation)
    own = torch.where(labels == 1, probability, 1 - probability).clamp_min(1e-12)
    return float(-own.log().mean())


def judge(
    classifier: Classifier, source: ImageSource
) -> tuple[Float[Tensor, " n"], Int[Tensor, " n"]]:
    """Give the probability of a tumour of all items of a source, and their classes."""
    batches = [source.batch(numbers) for numbers in torch.arange(len(source)).split(JUDGED)]
    probability = torch.cat([predict(classifier, images) for images, _ in batches])
    return probability, torch.cat([labels.cpu() for _, labels in batches])


@torch.no_grad()
def predict(classifier: Classifier, images: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """Give the probability of a tumour of whole images in [-1, 1]."""
    device = next(classifier.parameters()).device
    classifier.eval()
    logits = [classifier(batch.to(device)) for batch in images.split(JUDGED)]
    return torch.cat(logits).double().softmax(1)[:, 1].cpu()
