"""The training loop: one for all networks, losses and devices."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.tensorboard import SummaryWriter

from mrgantry.common.errors import DataError, RecipeError, RunError
from mrgantry.common.files import whole, write_text
from mrgantry.common.picture import save_grid
from mrgantry.common.progress import progress
from mrgantry.common.provenance import command_line, versions
from mrgantry.data.slices import SliceSet
from mrgantry.gan.device import choose_precision, start_fabric
from mrgantry.gan.networks.dcgan import draw_latents
from mrgantry.gan.recipe import Recipe
from mrgantry.gan.run import Facts, Run, describe, latents, save_weights

LOG_LINES = 200  # a run's log has this many lines,
LINES_A_SNAPSHOT = 10  # and every so many a grid, weights and a resumable state
GRID = range(64)  # seeds of the pictured samples
# Random streams of one step; each draws from a generator seeded by (seed, images, stream).
ORDER, LATENTS = range(2)


@dataclass
class State:
    """All that changes while training; what a resumed run reads back.

    Attributes:
        generator: Maps latents to images.
        critic: Maps images to logits.
        ema: The generator's moving average, if the recipe keeps one.
        optimisers: Of critic and generator.
        images: Real images that the critic has seen.
        steps: Generator steps taken.
        seconds: Time spent in training.
    """

    generator: nn.Module
    critic: nn.Module
    ema: nn.Module | None
    optimisers: dict[str, Optimizer]
    images: int = 0
    steps: int = 0
    seconds: float = 0.0

    def networks(self) -> dict[str, nn.Module]:
        """Name the networks as their files are named."""
        named = {"generator": self.generator, "critic": self.critic}
        return named | ({"ema": self.ema} if self.ema else {})

    def sampler(self) -> nn.Module:
        """Give the network that images are sampled from."""
        return self.ema or self.generator

    def save(self, path: Path) -> None:
        """Write the state, whole or not at all."""
        values = {
            "networks": {name: net.state_dict() for name, net in self.networks().items()},
            "optimisers": {name: opt.state_dict() for name, opt in self.optimisers.items()},
            "counts": {"images": self.images, "steps": self.steps, "seconds": self.seconds},
        }
        with whole(path) as aside:
            torch.save(values, aside)

    def load(self, path: Path, device: torch.device) -> None:
        """Read a state back."""
        try:
            values = torch.load(path, map_location=device, weights_only=True)
        except (OSError, RuntimeError, EOFError) as error:
            raise RunError(f"{path} is damaged ({error}); begin again in a new folder.") from error
        for name, network in self.networks().items():
            network.load_state_dict(values["networks"][name])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(values["optimisers"][name])
        self.images = values["counts"]["images"]
        self.steps = values["counts"]["steps"]
        self.seconds = values["counts"]["seconds"]


def train(
    slices: Path,
    run: Path,
    recipe: Recipe,
    *,
    only: Sequence[str] = (),
    devices: int = 1,
    compiled: bool = False,
    on_snapshot: Callable[[Run, int], None] | None = None,
) -> Run:
    """Train a recipe on the training split of a set; the same call resumes.

    On one machine's CPU the weights do not depend on whether the run was interrupted; a
    GPU adds in no fixed order, so there they agree within rounding.

    Args:
        slices: Folder of the set.
        run: Folder of the run.
        recipe: What to train.
        only: Conditions on the rows, such as "tumour=yes".
        devices: Processes, one a GPU where there are GPUs.
        compiled: Compile the networks first; pays on a GPU.
        on_snapshot: Called with the run and the images seen after each snapshot.

    Raises:
        RunError: The folder holds another run, or a loss became NaN.
        RecipeError: The recipe's size is not that of the images.
        DataError: The set cannot be used, or no row meets the conditions.
    """
    data = choose_rows(SliceSet.open(slices).split("train"), only)
    if recipe.size != data.about.size:
        raise RecipeError(
            f"The recipe {recipe.name} makes images of {recipe.size} pixels, but {slices} has "
            f"{data.about.size}. Prepare it again with --size {recipe.size}, or choose a "
            "recipe of that size."
        )
    fabric = start_fabric(recipe, devices)
    facts = Facts(
        **describe(data),
        only=tuple(only),
        command=command_line(
            "train",
            slices,
            run,
            recipe=recipe.name,
            set=recipe.changes,
            only=tuple(only),
            devices=devices if devices > 1 else None,
            compile=compiled,
        ),
        versions=versions(),
        precision=choose_precision(recipe, run, fabric),
    )
    state = build(recipe, len(data.about.channels), fabric.device)
    if fabric.is_global_zero:
        Run.begin(run, recipe, facts)
    fabric.barrier()
    opened = Run.begin(run, recipe, facts)
    if (run / "state.pt").is_file():
        state.load(run / "state.pt", fabric.device)
    if state.images < recipe.images:
        Training(opened, fabric, state, data, compiled, on_snapshot).go()
    return opened


OF_ONE_POSE = {"id", "index", "position_mm", "tumour", "tumour_mm2", "affine"}


def choose_rows(data: SliceSet, only: Sequence[str]) -> SliceSet:
    """Keep the rows that meet all conditions, each written as `column=value`.

    Raises:
        DataError: A column is unknown, or no row is left.
    """
    rows = np.ones(len(data), dtype=bool)
    for condition in only:
        column, _, value = condition.partition("=")
        if column not in data.table:
            raise DataError(f"{data.folder} has no column {column!r} (in --only {condition}).")
        if data.about.poses and column in OF_ONE_POSE:
            raise DataError(
                f"{data.folder} is oblique: training draws every pose of a volume, so --only "
                f"cannot choose by {column!r}, which differs between poses."
            )
        rows &= (data.table[column].astype(str) == value).to_numpy()
    if not rows.any():
        raise DataError(f"No training slice of {data.folder} meets {' and '.join(only)}.")
    return data.where(rows)


def build(recipe: Recipe, channels: int, device: torch.device) -> State:
    """Make networks and optimisers with the recipe's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        generator = recipe.network.generator(recipe.size, channels)
        critic = recipe.network.critic(recipe.size, channels)
    # Convolutions are faster where the channels of a pixel lie side by side.
    for network in (generator, critic):
        network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    ema = deepcopy(generator).requires_grad_(False) if recipe.ema else None
    optimisers = {
        "critic": recipe.optimiser.build(critic),
        "generator": recipe.optimiser.build(generator),
    }
    return State(generator, critic, ema, optimisers)


@dataclass
class Training:
    """One call's work on a run: the loop, and what it writes."""

    run: Run
    fabric: Fabric
    state: State
    data: SliceSet
    compiled: bool = False
    on_snapshot: Callable[[Run, int], None] | None = None
    order: dict[int, Int[Tensor, " n"]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pixels = self.data.pixels(self.fabric.device)
        self.generate = self._forward(self.state.generator)
        self.judge = self._forward(self.state.critic)

    def go(self) -> None:
        """Train to the recipe's end."""
        recipe, state = self.run.recipe, self.state
        line = max(recipe.batch, -(-recipe.images // LOG_LINES))
        seen: list[dict[str, Tensor]] = []
        began = time.monotonic() - state.seconds
        with (
            closing(self._open_log()) as writer,
            progress("train", recipe.images, state.images) as advance,
        ):
            while state.images < recipe.images:
                before = state.images
                seen.append(self.step())
                advance(state.images - before)
                ended = state.images >= recipe.images
                if ended or state.images // line > before // line:
                    state.seconds = time.monotonic() - began
                    self._write_line(writer, seen)
                    seen = []
                    if ended or (state.images // line) % LINES_A_SNAPSHOT == 0:
                        self.snapshot()

    def step(self) -> dict[str, Tensor]:
        """Take one generator step and the critic steps before it."""
        recipe, state = self.run.recipe, self.state
        numbers: dict[str, Tensor] = {}
        before, steps = state.images, recipe.critic_steps.before(state.steps)
        for _ in range(steps):
            fake = self.generate(self.latents())
            recipe.loss.constrain(state.critic)
            real_logits = self.judge(self.real())
            fake_logits = self.judge(fake.detach())
            loss = recipe.loss.critic(real_logits, fake_logits)
            self._descend(loss, "critic", state.critic)
            numbers["critic_loss"] = loss.detach()
            numbers["real_logit"] = real_logits.detach().mean()
            numbers["fake_logit"] = fake_logits.detach().mean()
            state.images += recipe.batch
        # After a single critic step the same fakes serve both networks, as in the DCGAN
        # authors' code; after several they are drawn afresh, as in Arjovsky's.
        if steps > 1:
            fake = self.generate(self.latents())
        # The critic is frozen meanwhile: its gradients would be thrown away.
        state.critic.requires_grad_(False)
        loss = recipe.loss.generator(self.judge(fake))
        self._descend(loss, "generator", state.generator)
        state.critic.requires_grad_(True)
        state.steps += 1
        if state.ema and recipe.ema:
            passed = state.images - before
            update_ema(state.ema, state.generator, recipe.ema, passed, state.images)
        return numbers | {"generator_loss": loss.detach()}

    def real(self) -> Float[Tensor, "n c h w"]:
        """Give this process's part of the next batch of real images."""
        recipe, count = self.run.recipe, len(self.pixels)
        size = recipe.batch // self.fabric.world_size
        first = self.state.images + self.fabric.global_rank * size
        places = [divmod(number, count) for number in range(first, first + size)]
        rows = torch.stack([self._epoch(epoch)[place] for epoch, place in places])
        images = self.pixels.batch(rows)
        return images.contiguous(memory_format=torch.channels_last)

    def latents(self) -> Float[Tensor, "n z"]:
        """Draw this process's latents of the present step."""
        recipe = self.run.recipe
        random = stream_of(recipe.seed, self.state.images, LATENTS, self.fabric.global_rank)
        network, size = recipe.network, recipe.batch // self.fabric.world_size
        drawn = draw_latents(network.prior, (size, network.latent), random)
        return drawn.to(self.fabric.device, non_blocking=True)

    def snapshot(self) -> None:
        """Write a grid, the weights and, last, the state."""
        run, state = self.run, self.state
        if self.fabric.is_global_zero:
            sampler = state.sampler()
            with torch.no_grad(), evaluating(sampler):
                images = sampler(latents(run.recipe, GRID).to(self.fabric.device))
            save_grid(run.folder / f"samples/{state.images:09d}.png", images.clamp(-1, 1).cpu())
            save_weights(run.folder, state.networks())
            state.save(run.folder / "state.pt")
            if self.on_snapshot:
                self.on_snapshot(run, state.images)
        self.fabric.barrier()

    def _forward(self, network: nn.Module) -> Callable[[Tensor], Tensor]:
        called = torch.compile(network) if self.compiled else network
        bf16 = self.run.facts.precision == "bf16"

        def forward(inputs: Tensor) -> Tensor:
            with torch.autocast(self.fabric.device.type, torch.bfloat16, enabled=bf16):
                outputs: Tensor = called(inputs)
            return outputs.float()  # losses and grids are computed in fp32

        return forward

    def _descend(self, loss: Tensor, name: Literal["critic", "generator"], net: nn.Module) -> None:
        optimiser = self.state.optimisers[name]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if self.fabric.world_size > 1:
            # Gradients are averaged by hand: a wrapper that does it would also watch
            # the frozen critic in the generator's step.
            for parameter in net.parameters():
                parameter.grad = cast(Tensor, self.fabric.all_reduce(cast(Tensor, parameter.grad)))
        optimiser.step()

    def _epoch(self, epoch: int) -> Int[Tensor, " n"]:
        """Give the order of the images in one epoch; it follows from the seed alone."""
        if epoch not in self.order:
            random = stream_of(self.run.recipe.seed, epoch, ORDER)
            if len(self.order) > 1:
                self.order.pop(min(self.order))
            self.order[epoch] = torch.randperm(len(self.pixels), generator=random)
        return self.order[epoch]

    def _open_log(self) -> SummaryWriter:
        """Cut the log back to the state, and open TensorBoard's."""
        folder = self.run.folder
        if not self.fabric.is_global_zero:
            return SummaryWriter(folder / "tensorboard" / f"rank{self.fabric.global_rank}")
        kept = [row for row in self.run.log() if row["images"] <= self.state.images]
        write_text(folder / "log.jsonl", "".join(json.dumps(row) + "\n" for row in kept))
        return SummaryWriter(folder / "tensorboard", purge_step=self.state.images)

    def _write_line(self, writer: SummaryWriter, seen: list[dict[str, Tensor]]) -> None:
        """Average what was seen since the last line, check it and write it.

        Raises:
            RunError: A number is NaN or infinite.
        """
        state = self.state
        means = {key: float(torch.stack([row[key] for row in seen]).mean()) for key in seen[0]}
        for key, value in means.items():
            if not np.isfinite(value):
                kept = self.run.folder / "state.pt"
                raise RunError(
                    f"Training stopped: {key} became {value} by image {state.images:,}. "
                    f"{f'The last sound state is kept in {kept}. ' if kept.is_file() else ''}"
                    "Lower the learning rate (--set lr=...) or take fp32 (--set precision=fp32), "
                    "in a new folder."
                )
        if self.fabric.is_global_zero:
            row = {"images": state.images, "steps": state.steps, "seconds": state.seconds} | means
            with (self.run.folder / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            for key, value in means.items():
                writer.add_scalar(key, value, state.images)


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
    ours, theirs = ema.state_dict(), generator.state_dict()
    floats = [key for key, tensor in ours.items() if tensor.is_floating_point()]
    torch._foreach_lerp_([ours[key] for key in floats], [theirs[key] for key in floats], weight)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Let batch norm use its running statistics for a while."""
    was = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was)


def stream_of(*keys: int) -> torch.Generator:
    """Make a generator whose numbers follow from its keys alone."""
    seed = np.random.SeedSequence([key & 0xFFFFFFFFFFFFFFFF for key in keys])
    return torch.Generator().manual_seed(int(seed.generate_state(1, np.uint64)[0]))
