"""How networks of an experiment learn: epochs of one length, and the best of them kept.

Classifiers and segmenters differ by their loss and by how they are looked at; all else is here.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn

from mrgantry.common.errors import DivergedError
from mrgantry.common.frozen import Frozen
from mrgantry.common.progress import progress
from mrgantry.detection.sources import Answer, ImageSource
from mrgantry.generate.device import faster_in_bf16
from mrgantry.generate.training import stream_of

Whole = Annotated[int, Field(ge=1)]
# The loss of some images by their right answers, a scalar that can be descended.
LossOf = Callable[[Float[Tensor, "n c h w"], Answer], Float[Tensor, ""]]


class NetworkTraining(Frozen):
    """How a network is trained.

    Attributes:
        batch: Images a step.
        lr: Adam's learning rate; its betas are the usual ones.
        epoch: Images between two looks at the validation images; None is one pass through the
            source. Virtual sets are long, and comparisons want epochs of one length.
        epochs: The most of them.
        patience: Training ends after so many epochs without a lower validation loss.
        precision: "auto" takes bf16 where a short timing shows that it is faster.
        seed: Of the first weights, the order of images, and dropout.
    """

    batch: Annotated[int, Field(ge=2)] = 16
    lr: Annotated[float, Field(gt=0, lt=1)] = 1e-3
    epoch: Whole | None = None
    epochs: Whole = 100
    patience: Whole = 10
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True)
class Epoch:
    """What is known after an epoch.

    Attributes:
        number: Its number, from 1.
        images: Training images seen so far.
        loss: Mean over its training images.
        validation_loss: That of all validation images.
        seconds: Since the beginning.
    """

    number: int
    images: int
    loss: float
    validation_loss: float
    seconds: float


def choose_precision(training: NetworkTraining, device: torch.device) -> Literal["fp32", "bf16"]:
    """Settle "auto", so that all trainings of a comparison compute alike."""
    if training.precision != "auto":
        return training.precision
    return "bf16" if faster_in_bf16(device) else "fp32"


def descend(
    network: nn.Module,
    source: ImageSource,
    training: NetworkTraining,
    loss_of: LossOf,
    validate: Callable[[], float],
) -> tuple[tuple[Epoch, ...], int]:
    """Train, leave the best epoch's weights in the network, and say which it was.

    Args:
        network: What is trained.
        source: What is learnt from.
        training: How.
        loss_of: Asks the network and gives its loss.
        validate: Gives the network's loss on validation images.

    Raises:
        DivergedError: A loss became NaN or infinite.
    """
    optimiser = torch.optim.Adam(network.parameters(), training.lr)
    steps = math.ceil((training.epoch or len(source)) / training.batch)
    order = numbers(len(source), training.batch, training.seed)
    history: list[Epoch] = []
    best = 0
    kept: dict[str, Tensor] = {}
    note = ""
    began = time.monotonic()
    with progress("train", training.epochs * steps * training.batch) as advance:
        while len(history) < min(training.epochs, best + training.patience):
            network.train()
            losses = []
            for _ in range(steps):
                loss = loss_of(*source.batch(next(order)))
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
                losses.append(loss.detach())
                advance(training.batch, note)
            network.eval()
            validation_loss = validate()
            done = len(history) + 1
            mean, seconds = float(torch.stack(losses).mean()), time.monotonic() - began
            seen = done * steps * training.batch
            history.append(Epoch(done, seen, mean, validation_loss, seconds))
            refuse_divergence(history[-1])
            if not kept or validation_loss < history[best - 1].validation_loss:
                best, kept = done, {k: v.clone() for k, v in network.state_dict().items()}
            lowest = history[best - 1].validation_loss
            note = f"epoch {done}, validation loss {validation_loss:.3f}, lowest {lowest:.3f} "
            note += f"in {best}"
    network.load_state_dict(kept)
    network.eval()
    return tuple(history), best


def numbers(count: int, batch: int, seed: int) -> Iterator[Int[Tensor, " {batch}"]]:
    """Go through a source again and again, each time in another order; all batches are full."""
    waiting, turn = torch.empty(0, dtype=torch.int64), 0
    while True:
        while len(waiting) < batch:
            order = torch.randperm(count, generator=stream_of(seed, turn))
            waiting, turn = torch.cat([waiting, order]), turn + 1
        yield waiting[:batch]
        waiting = waiting[batch:]


def refuse_divergence(epoch: Epoch) -> None:
    """Stop at losses that are no numbers.

    Raises:
        DivergedError: One is NaN or infinite.
    """
    for name, loss in (("training", epoch.loss), ("validation", epoch.validation_loss)):
        if not math.isfinite(loss):
            raise DivergedError(
                f"The network's {name} loss became {loss} in epoch {epoch.number}. Lower the "
                "learning rate (--set lr=...) or take fp32 (--set precision=fp32)."
            )


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Let weights and dropout follow from a seed, and leave PyTorch's generators as they were."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
