"""All that changes while training, and what a resumed run reads back."""

from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from mrgantry.common.errors import RecipeError, RunError
from mrgantry.common.files import whole
from mrgantry.generate.layers import lay_out
from mrgantry.generate.recipe import AnyRecipe, FlowRecipe, GanRecipe
from mrgantry.generate.schedule import Stage
from mrgantry.generate.stop import Watch

COUNTS = ("images", "begun", "rounds", "seconds")


@dataclass
class State:
    """Networks, optimisers and counts of a training.

    Attributes:
        generator: The network that images are drawn with: of a GAN it maps latents to images,
            of a flow it takes noise off images.
        critic: Of a GAN: maps images to logits.
        ema: The generator's moving average, if the recipe keeps one.
        optimisers: Of each network.
        p: Of a GAN: probability of augmentation.
        watch: Of a flow: what looks at held-out people have shown.
        images: Real images shown so far.
        begun: How many were when the last round began, whose stage of growing counts.
        rounds: Rounds taken; a round of a GAN has critic steps and generator steps.
        seconds: Time spent in training.
    """

    generator: nn.Module
    critic: nn.Module | None
    ema: nn.Module | None
    optimisers: dict[str, Optimizer]
    p: Float[Tensor, ""]
    watch: Watch = field(default_factory=Watch)
    images: int = 0
    begun: int = 0
    rounds: int = 0
    seconds: float = 0.0

    def networks(self) -> dict[str, nn.Module]:
        """Name the networks as their files are named."""
        named = {"generator": self.generator, "critic": self.critic, "ema": self.ema}
        return {name: network for name, network in named.items() if network is not None}

    def sampler(self) -> nn.Module:
        """Give the network that images are sampled from."""
        return self.ema or self.generator

    def grow(self, stage: Stage) -> None:
        """Bring all networks to a stage of growing."""
        for network in self.networks().values():
            network.grow(stage)  # type: ignore[operator]

    def save(self, path: Path) -> None:
        """Write the state, whole or not at all."""
        values = {
            "networks": {name: net.state_dict() for name, net in self.networks().items()},
            "optimisers": {name: opt.state_dict() for name, opt in self.optimisers.items()},
            "p": self.p,
            "watch": self.watch.values(),
            "counts": {name: getattr(self, name) for name in COUNTS},
        }
        with whole(path) as aside:
            torch.save(values, aside)

    def load(self, path: Path, device: torch.device) -> None:
        """Read a state back.

        Raises:
            RunError: It is damaged.
        """
        try:
            # Adam counts its steps on the CPU: there they cost a GPU no waiting.
            values = torch.load(path, map_location="cpu", weights_only=True)
            for name, network in self.networks().items():
                network.load_state_dict(values["networks"][name])
            for name, optimiser in self.optimisers.items():
                optimiser.load_state_dict(values["optimisers"][name])
            self.p = values["p"].to(device)
            self.watch = Watch(**values.get("watch", {}))
            for name in COUNTS:
                setattr(self, name, values["counts"][name])
        except (
            OSError,
            RuntimeError,
            EOFError,
            UnpicklingError,
            LookupError,
            TypeError,
            ValueError,
        ) as error:
            raise RunError(f"{path} is damaged ({error}); begin again in a new folder.") from error

    def go_back(self, path: Path, device: torch.device) -> None:
        """Take networks and optimisers from a state of before; time does not go back.

        Raises:
            RunError: It is damaged.
        """
        counts = {name: getattr(self, name) for name in COUNTS}
        watch = self.watch
        self.load(path, device)
        self.watch = watch
        for name, count in counts.items():
            setattr(self, name, count)


def build(recipe: AnyRecipe, channels: int, labels: int, device: torch.device) -> State:
    """Make networks and optimisers with the recipe's seed.

    Args:
        recipe: What will be trained.
        channels: Of the images.
        labels: Length of the one-hot vectors.
        device: Where the networks lie.

    Raises:
        RecipeError: The networks cannot be of this size, or cannot grow though they should.
    """
    critic = None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        if isinstance(recipe, FlowRecipe):
            generator = recipe.denoiser(channels, labels)
        else:
            generator = recipe.generator(channels, labels)
            critic = recipe.critic(channels, labels)
            if recipe.schedule and not hasattr(generator, "grow"):
                raise RecipeError(
                    f"The network {recipe.network.kind!r} cannot grow; leave the schedule out "
                    "(schedule=null) or take network=progressive."
                )
    for network in filter(None, (generator, critic)):
        lay_out(network.to(device))
    ema = deepcopy(generator).requires_grad_(False) if recipe.ema else None
    augment = recipe.augment if isinstance(recipe, GanRecipe) else None
    p = torch.tensor(augment.start if augment else 0.0, device=device)
    return State(generator, critic, ema, optimisers_of(recipe, generator, critic), p)


def optimisers_of(
    recipe: AnyRecipe, generator: nn.Module, critic: nn.Module | None
) -> dict[str, Optimizer]:
    """Make fresh optimisers.

    Args:
        recipe: What they are.
        generator: Trained by one.
        critic: Trained by another, where there is one.
    """
    made = {"generator": recipe.optimiser.build(generator)}
    return made | ({"critic": recipe.optimiser.build(critic)} if critic is not None else {})


@torch.no_grad()
def update_ema(
    ema: nn.Module, generator: nn.Module, half_life: float, images: int, seen: int
) -> None:
    """Move an average of weights and batch norm statistics towards the generator.

    At the start the half-life is a twentieth of the images seen, so that the average
    forgets its random beginning (Karras et al. 2020, their code).

    Args:
        ema: The average; changed in place.
        generator: The network being trained.
        half_life: In images.
        images: Images since the last update.
        seen: Images in all.
    """
    weight = 1 - 0.5 ** (images / min(half_life, max(seen / 20, images)))
    average, newest = ema.state_dict(), generator.state_dict()
    floats = [key for key, tensor in average.items() if tensor.is_floating_point()]
    torch._foreach_lerp_([average[key] for key in floats], [newest[key] for key in floats], weight)
