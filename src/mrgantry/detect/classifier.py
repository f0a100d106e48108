"""The classifier of tumour and no tumour: its settings, its training, its answers.

Batches are taken from a source as drawn, not balanced by class: synthetic and classically
changed sets are balanced already, and real ones, as in the paper, are as people's brains are.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn

from mrgantry.common.device import best_device
from mrgantry.common.errors import DataError, DivergedError
from mrgantry.common.frozen import Frozen
from mrgantry.common.progress import progress
from mrgantry.detect.resnet import MEAN, SPREAD, Name, build, load_published
from mrgantry.detect.sources import ImageSource
from mrgantry.generate.device import faster_in_bf16
from mrgantry.generate.training import stream_of

JUDGED = 256  # images judged at once
Whole = Annotated[int, Field(ge=1)]


class ClassifierTraining(Frozen):
    """How a classifier is trained; what is published is Han et al. 2018 (infinite brain MR).

    Attributes:
        network: Which network; a ResNet-50 is published.
        weights: What it begins with: those of ImageNet, as published, or random ones.
        crop: Share of the side that is kept around the middle: 224 of 240 pixels.
        dropout: Share of the features that the last layer does not see in a step.
        batch: Images a step.
        lr: Adam's learning rate; its betas are the usual ones.
        epoch: Images between two looks at the validation images; None is one pass through the
            source. Virtual sets are long, and comparisons want epochs of one length.
        epochs: The most of them (unsaid in the paper).
        patience: Training ends after so many epochs without a lower validation loss.
        precision: "auto" takes bf16 where a short timing shows that it is faster.
        seed: Of the first weights, the order of images, and dropout.
    """

    network: Name = "resnet50"
    weights: Literal["imagenet", "scratch"] = "imagenet"
    crop: Annotated[float, Field(gt=0, le=1)] = 224 / 240
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    batch: Annotated[int, Field(ge=2)] = 192
    lr: Annotated[float, Field(gt=0, lt=1)] = 1e-3
    epoch: Whole | None = None
    epochs: Whole = 100
    patience: Whole = 10
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: Annotated[int, Field(ge=0)] = 0


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


@dataclass(frozen=True)
class Epoch:
    """What is known after an epoch.

    Attributes:
        number: Its number, from 1.
        images: Training images seen so far.
        loss: Mean cross-entropy of its training images, in nats.
        validation_loss: That of all validation images.
        seconds: Since the beginning.
    """

    number: int
    images: int
    loss: float
    validation_loss: float
    seconds: float


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


def choose_precision(training: ClassifierTraining, device: torch.device) -> ClassifierTraining:
    """Settle "auto", so that all trainings of a comparison compute alike."""
    if training.precision != "auto":
        return training
    return training.model_copy(update={"precision": "bf16" if faster_in_bf16(device) else "fp32"})


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
    training = choose_precision(training, device)
    with seeded(training.seed, device):
        channels = source.batch(torch.tensor([0]))[0].shape[1]
        classifier = untrained_classifier(training, channels, device)
        history, best = descend(classifier, source, validation, training)
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


def descend(
    classifier: Classifier,
    source: ImageSource,
    validation: ImageSource,
    training: ClassifierTraining,
) -> tuple[tuple[Epoch, ...], int]:
    """Train, leave the best epoch's weights in the classifier, and say which it was."""
    optimiser = torch.optim.Adam(classifier.parameters(), training.lr)
    steps = math.ceil((training.epoch or len(source)) / training.batch)
    order = numbers(len(source), training.batch, training.seed)
    history: list[Epoch] = []
    best = 0
    kept: dict[str, Tensor] = {}
    note = ""
    began = time.monotonic()
    with progress("classify", training.epochs * steps * training.batch) as advance:
        while len(history) < min(training.epochs, best + training.patience):
            losses = []
            for _ in range(steps):
                losses.append(step(classifier, optimiser, *source.batch(next(order))))
                advance(training.batch, note)
            loss = validate(classifier, validation)
            done = len(history) + 1
            mean, seconds = float(torch.stack(losses).mean()), time.monotonic() - began
            history.append(Epoch(done, done * steps * training.batch, mean, loss, seconds))
            refuse_divergence(history[-1])
            if not kept or loss < history[best - 1].validation_loss:
                best, kept = done, {k: v.clone() for k, v in classifier.state_dict().items()}
            lowest = history[best - 1].validation_loss
            note = f"epoch {done}, validation loss {loss:.3f}, lowest {lowest:.3f} in {best}"
    classifier.load_state_dict(kept)
    return tuple(history), best


def step(
    classifier: Classifier,
    optimiser: torch.optim.Optimizer,
    images: Float[Tensor, "n c h w"],
    labels: Int[Tensor, " n"],
) -> Float[Tensor, ""]:
    """Take one step, and give the loss before it."""
    classifier.train()
    loss = F.cross_entropy(classifier(images), labels)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    return loss.detach()


def numbers(count: int, batch: int, seed: int) -> Iterator[Int[Tensor, " {batch}"]]:
    """Go through a source again and again, each time in another order; all batches are full."""
    waiting, turn = torch.empty(0, dtype=torch.int64), 0
    while True:
        while len(waiting) < batch:
            order = torch.randperm(count, generator=stream_of(seed, turn))
            waiting, turn = torch.cat([waiting, order]), turn + 1
        yield waiting[:batch]
        waiting = waiting[batch:]


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


def refuse_divergence(epoch: Epoch) -> None:
    """Stop at losses that are no numbers.

    Raises:
        DivergedError: One is NaN or infinite.
    """
    for name, loss in (("training", epoch.loss), ("validation", epoch.validation_loss)):
        if not math.isfinite(loss):
            raise DivergedError(
                f"The classifier's {name} loss became {loss} in epoch {epoch.number}. Lower the "
                "learning rate (--set lr=...) or take fp32 (--set precision=fp32)."
            )


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Let weights and dropout follow from a seed, and leave PyTorch's generators as they were."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
