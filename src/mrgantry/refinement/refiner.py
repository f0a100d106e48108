"""A refiner: a small network that learns to make images look like those of real people.

A critic of patches says where an image looks made; the refiner changes it until the critic cannot
tell, and is held to the anatomy that the image had, by what the brain network sees in it. Source:
Shrivastava et al. (2017), sections 2.1 to 2.3: patches, self-regularisation in a space of
features, and a memory of refined images.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mrgantry.brain.network import BrainNetwork, load_network
from mrgantry.common.device import best_device
from mrgantry.common.errors import RunError
from mrgantry.common.files import whole
from mrgantry.common.frozen import Frozen
from mrgantry.common.progress import progress
from mrgantry.generate.layers import channels_last, lay_out
from mrgantry.generate.losses import Original, squared_gradient
from mrgantry.generate.training import stream_of
from mrgantry.refinement.agreement import tissues

REAL, MADE, MEMORY = range(3)  # random streams of one step
SNAPSHOT = 100  # steps between two states on disk
SLOPE = 0.2  # of leaky ReLU


class Lesson(Frozen):
    """How a refiner is trained.

    Attributes:
        images: That it is shown; this is the length.
        batch: Images a step.
        width: Channels of its layers.
        blocks: Pairs of layers between the first and the last.
        lr: Rate of Adam, of refiner and critic.
        anatomy: Weight of the mean absolute change of what the brain network sees.
        r1: Weight of half the squared gradient of all patches' logits together at a pixel of real
            images. Where it was many times as large, the critic learnt nothing.
        memory: Refined images that the critic is reminded of; half of those it sees are of them.
    """

    images: int = 12_000
    batch: int = 16
    width: int = 32
    blocks: int = 3
    lr: float = 5e-4
    anatomy: float = 20.0
    r1: float = 0.5
    memory: int = 512


class Refiner(nn.Module):
    """Says how an image should change; at first not at all. What is black stays black.

    Args:
        channels: Of the images.
        width: Channels of its layers.
        blocks: Pairs of layers between the first and the last.
    """

    def __init__(self, channels: int, width: int, blocks: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LeakyReLU(SLOPE),
                nn.Conv2d(width, width, 3, padding=1),
                nn.LeakyReLU(SLOPE),
                nn.Conv2d(width, width, 3, padding=1),
            )
            for _ in range(blocks)
        )
        self.last = nn.Conv2d(width, channels, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Give the change of each pixel, of intensities in [-1, 1]."""
        seen = self.first(images)
        for block in self.blocks:
            seen = seen + block(seen) / math.sqrt(len(self.blocks))
        return self.last(seen) * (images > -1)


def patch_critic(channels: int, width: int) -> nn.Sequential:
    """Build a critic that gives a logit for each patch of 22 pixels, every four pixels.

    Args:
        channels: Of the images.
        width: Channels of its first layer.
    """
    return nn.Sequential(
        nn.Conv2d(channels, width, 4, 2, 1),
        nn.LeakyReLU(SLOPE),
        nn.Conv2d(width, 2 * width, 4, 2, 1),
        nn.LeakyReLU(SLOPE),
        nn.Conv2d(2 * width, 2 * width, 3, padding=1),
        nn.LeakyReLU(SLOPE),
        nn.Conv2d(2 * width, 1, 1),
    )


@dataclass
class Learning:
    """A refiner in training.

    Attributes:
        refiner: The network.
        critic: Its critic.
        optimisers: Of both.
        memory: Refined images of before.
        step: Steps taken.
    """

    refiner: Refiner
    critic: nn.Module
    optimisers: tuple[torch.optim.Optimizer, torch.optim.Optimizer]
    memory: Float[Tensor, "m c h w"]
    step: int = 0

    @classmethod
    def begin(
        cls, lesson: Lesson, made: Float[Tensor, "n c h w"], seed: int, device: torch.device
    ) -> "Learning":
        """Draw networks from a seed; the memory holds unrefined images at first.

        Args:
            lesson: How large they are, and how they are trained.
            made: Images to refine.
            seed: Of the weights.
            device: Where the networks lie; images lie on the CPU.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            refiner = Refiner(made.shape[1], lesson.width, lesson.blocks)
            critic = patch_critic(made.shape[1], lesson.width)
        for network in (refiner, critic):
            lay_out(network.to(device))
        adams = tuple(
            torch.optim.Adam(network.parameters(), lesson.lr, (0.5, 0.99), fused=True)
            for network in (refiner, critic)
        )
        rows = torch.randint(len(made), (lesson.memory,), generator=stream_of(seed, 0, MEMORY))
        return cls(refiner, critic, adams, made[rows].clone())  # type: ignore[arg-type]

    def values(self) -> dict[str, object]:
        """Give all that a killed training goes on from."""
        return {
            "refiner": self.refiner.state_dict(),
            "critic": self.critic.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "memory": self.memory,
            "step": self.step,
        }

    def save(self, path: Path) -> None:
        """Write the state, whole or not at all."""
        with whole(path) as aside:
            torch.save(self.values(), aside)

    def load(self, path: Path) -> None:
        """Read a state back.

        Raises:
            RunError: It is damaged.
        """
        try:
            values = torch.load(path, map_location="cpu", weights_only=True)
            self.refiner.load_state_dict(values["refiner"])
            self.critic.load_state_dict(values["critic"])
            for optimiser, state in zip(self.optimisers, values["optimisers"], strict=True):
                optimiser.load_state_dict(state)
            self.memory, self.step = values["memory"], values["step"]
        except (OSError, RuntimeError, EOFError, UnpicklingError, LookupError, ValueError) as error:
            raise RunError(
                f"{path} is damaged ({error}); delete it, and the same command trains anew."
            ) from error


def learn(
    made: Float[Tensor, "n c h w"],
    real: Float[Tensor, "m c h w"],
    lesson: Lesson,
    state: Path,
    seed: int,
) -> Refiner:
    """Train a refiner, or go on with one.

    Args:
        made: Images to refine, in [-1, 1].
        real: Images that they shall look like.
        lesson: How.
        state: File that a killed training goes on from.
        seed: Of weights and of the order of images.

    Raises:
        RunError: The file is damaged.
    """
    device = best_device()
    learning = Learning.begin(lesson, made, seed, device)
    if state.is_file():
        learning.load(state)
    brain = load_network().to(device)
    steps = max(1, lesson.images // lesson.batch)
    with progress("refiner", steps * lesson.batch, learning.step * lesson.batch) as advance:
        while learning.step < steps:
            take_step(learning, brain, made, real, lesson, seed)
            advance(lesson.batch)
            if learning.step == steps or learning.step % SNAPSHOT == 0:
                learning.save(state)
    return learning.refiner.eval().requires_grad_(False)


def take_step(
    learning: Learning,
    brain: BrainNetwork,
    made: Float[Tensor, "n c h w"],
    real: Float[Tensor, "m c h w"],
    lesson: Lesson,
    seed: int,
) -> None:
    """Move the critic once, and the refiner after it.

    Args:
        learning: The refiner in training; changed.
        brain: Says what tissue images show.
        made: Images to refine.
        real: Images that they shall look like.
        lesson: How.
        seed: Of the order of images.
    """
    refiner, critic, half = learning.refiner, learning.critic, lesson.batch // 2
    device = next(refiner.parameters()).device

    def some(count: int, stream: int) -> Tensor:
        return torch.randint(
            count, (lesson.batch,), generator=stream_of(seed, learning.step, stream)
        )

    images = channels_last(made[some(len(made), MADE)].to(device))
    refined = (images + refiner(images)).clamp(-1, 1)

    # The critic, which is also reminded of what the refiner made before.
    shown = channels_last(real[some(len(real), REAL)].to(device))
    remembered = some(len(learning.memory), MEMORY)[:half]
    fakes = torch.cat([refined.detach()[half:], learning.memory[remembered].to(device)])
    loss = Original()
    number = loss.critic(critic(shown).flatten(), critic(fakes).flatten())
    pixels = shown[0].numel()
    number = number + lesson.r1 / 2 * squared_gradient(critic, shown).mean() / pixels
    descend(number, learning.optimisers[1])
    learning.memory[remembered] = refined.detach()[:half].cpu()

    # The refiner, which is held to what the brain network saw before.
    critic.requires_grad_(False)
    anatomy = (tissues(brain, refined) - tissues(brain, images)).abs().mean()
    number = loss.generator(None, critic(refined).flatten()) + lesson.anatomy * anatomy
    descend(number, learning.optimisers[0])
    critic.requires_grad_(True)
    learning.step += 1


def descend(number: Float[Tensor, ""], optimiser: torch.optim.Optimizer) -> None:
    """Take a step down a number."""
    optimiser.zero_grad()
    number.backward()
    optimiser.step()
