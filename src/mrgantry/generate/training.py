"""The training loop: one for all kinds of recipes, networks and devices.

What a round is, the subclass for the kind of recipe says: `adversarial.py`, `flow_training.py`.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from mrgantry.common.errors import DivergedError
from mrgantry.common.files import write_text
from mrgantry.common.picture import save_grid, three_planes
from mrgantry.common.progress import progress
from mrgantry.data.pixels import Pixels
from mrgantry.data.rows import units_of
from mrgantry.data.slices import SliceSet
from mrgantry.generate.latents import Uniform
from mrgantry.generate.run import Run, save_weights
from mrgantry.generate.state import State

LOG_LINES = 200  # a run's log has this many lines,
LINES_A_SNAPSHOT = 10  # and every so many a grid, weights and a resumable state
GRID = range(64)  # seeds of the pictured samples,
GRID_COLUMNS = 8
HEADS = range(8)  # and of heads, in three planes
HEAD_COLUMNS = 6
# Random streams of one step; each draws from a generator seeded by (seed, images, stream).
ORDER, LATENTS, PENALTY, AUGMENT, NOISE, LOOK, VAT = range(7)


@dataclass
class Training:
    """One call's work on a run: the loop, and what it writes."""

    run: Run
    fabric: Fabric
    state: State
    data: SliceSet
    compiled: bool = False
    on_snapshot: Callable[[Run, int], None] | None = None
    loaded: Pixels | None = None  # the images of the data, if they lie on the device already
    order: dict[int, Int[Tensor, " n"]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        recipe, labels = self.run.recipe, self.run.facts.labels
        device = self.fabric.device
        self.pixels = self.loaded or self.data.pixels(device, with_maps=recipe.label_maps)
        codes = labels.of_rows(units_of(self.data, recipe.labels))
        self.codes = codes.to(self.fabric.device)
        self.prepare()

    def prepare(self) -> None:
        """Make what the rounds need."""
        raise NotImplementedError

    def round(self) -> dict[str, Tensor]:
        """Show the networks some images and move them; give what the log is told."""
        raise NotImplementedError

    def after_round(self) -> dict[str, Tensor]:
        """Look at how training stands; give what the log is told."""
        return {}

    def preview(self, final: bool) -> Float[Tensor, "n c *s"]:
        """Draw the images of a snapshot; `final` is the last one."""
        sampler = self.state.sampler()
        seeds = HEADS if self.run.recipe.voxels else GRID
        with torch.no_grad(), evaluating(sampler):
            return sampler(self.run.inputs(seeds)[0].to(self.fabric.device))

    @property
    def is_over(self) -> bool:
        """Say whether training has come to its end, or ended by itself."""
        return self.state.images >= self.run.recipe.images or bool(self.state.watch.over)

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
            while not self.is_over:
                previous = state.images
                seen.append(self.round() | self.after_round())
                advance(state.images - previous)
                ended = self.is_over
                if ended or state.images // line > previous // line:
                    state.seconds = time.monotonic() - began
                    self._write_line(writer, seen)
                    seen = []
                    part = line * LINES_A_SNAPSHOT
                    if ended or state.images // part > previous // part:
                        self.snapshot(ended)

    def rows_at(self, first: int) -> Int[Tensor, " n"]:
        """Give the rows of this process's part of a batch."""
        count, size = len(self.pixels), self._share
        first += self.fabric.global_rank * size
        places = [divmod(number, count) for number in range(first, first + size)]
        return torch.stack([self._epoch(epoch)[place] for epoch, place in places])

    def labels_at(self, first: int) -> Float[Tensor, "n k"]:
        """Give the labels of this process's part of a batch."""
        if not self.codes.shape[1]:
            return self.codes[:1].expand(self._share, 0)
        alike = len(self.pixels) // len(self.codes)  # poses of a volume
        return self.codes[(self.rows_at(first) // alike).to(self.codes.device)]

    def uniform(self, *stream: int) -> Uniform:
        """Give a source of numbers from U(0, 1) for this process's images of one step.

        All processes draw for the whole batch and take their part.
        """
        recipe, device = self.run.recipe, self.fabric.device
        random = stream_of(recipe.seed, self.state.images, *stream, device=device)

        def draw(shape: tuple[int, ...]) -> Tensor:
            return self._mine(torch.rand((recipe.batch, *shape), generator=random, device=device))

        return draw

    def snapshot(self, final: bool = False) -> None:
        """Write a grid, the weights and, last, the state."""
        run, state = self.run, self.state
        if self.fabric.is_global_zero:
            images, heads = self.preview(final).clamp(-1, 1).cpu(), bool(run.recipe.voxels)
            if heads:
                images = torch.from_numpy(three_planes(images.numpy()))
            else:
                images = F.interpolate(images, run.recipe.size)
            columns = HEAD_COLUMNS if heads else GRID_COLUMNS
            save_grid(run.folder / f"samples/{state.images:09d}.png", images, columns)
            save_weights(run.folder, state.networks(), state.begun)
            state.save(run.folder / "state.pt")
            if self.on_snapshot:
                self.on_snapshot(run, state.images)
        self.fabric.barrier()

    @property
    def _share(self) -> int:
        """Count this process's images of a batch."""
        return self.run.recipe.batch // self.fabric.world_size

    def _mine(self, batch: Float[Tensor, "n ..."]) -> Float[Tensor, "m ..."]:
        """Take this process's part of what was drawn for the whole batch."""
        first = self.fabric.global_rank * self._share
        return batch[first : first + self._share]

    def _forward(self, network: nn.Module, compiled: bool) -> Callable[..., Tensor]:
        called = torch.compile(network) if compiled else network
        bf16 = self.run.facts.precision == "bf16"

        def forward(*inputs: Tensor) -> Tensor:
            with torch.autocast(self.fabric.device.type, torch.bfloat16, enabled=bf16):
                outputs: Tensor = called(*inputs)
            return outputs.float()  # losses and grids are computed in fp32

        return forward

    def _descend(
        self,
        loss: Tensor,
        name: Literal["critic", "generator"],
        network: nn.Module,
        longest: float | None = None,
    ) -> None:
        """Take a step of an optimiser.

        Args:
            loss: What is lowered.
            name: Of the optimiser.
            network: What it moves.
            longest: Length that the gradient is shortened to where it is longer.
        """
        optimiser = self.state.optimisers[name]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if self.fabric.world_size > 1:
            self._average_gradients(network)
        if longest is not None:
            nn.utils.clip_grad_norm_(network.parameters(), longest)
        optimiser.step()

    def _average_gradients(self, net: nn.Module) -> None:
        """Average gradients over processes, in one message.

        By hand: a wrapper that does it would also watch the frozen critic in the
        generator's step. Layers that have not grown yet have no gradient.
        """
        gradients = [parameter.grad for parameter in net.parameters() if parameter.grad is not None]
        message = torch.cat([gradient.flatten() for gradient in gradients])
        message = cast(Tensor, self.fabric.all_reduce(message))
        parts = message.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))

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
            DivergedError: A number is NaN or infinite.
        """
        state = self.state
        keys = {key: [row[key] for row in seen if key in row] for row in seen for key in row}
        own = torch.stack([torch.stack(values).mean() for values in keys.values()])
        means = dict(zip(keys, cast(Tensor, self.fabric.all_reduce(own)).tolist(), strict=True))
        for key, value in means.items():
            if not np.isfinite(value):
                kept = self.run.folder / "state.pt"
                raise DivergedError(
                    f"Training stopped: {key} became {value} by image {state.images:,}. "
                    f"{f'The last sound state is kept in {kept}. ' if kept.is_file() else ''}"
                    "Lower the learning rate (--set lr=...) or take fp32 (--set precision=fp32), "
                    "in a new folder."
                )
        if self.fabric.is_global_zero:
            row = {"images": state.images, "rounds": state.rounds, "seconds": state.seconds} | means
            with (self.run.folder / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            for key, value in means.items():
                writer.add_scalar(key, value, state.images)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Let batch norm use its running statistics for a while."""
    was = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was)


def stream_of(*keys: int, device: torch.device | None = None) -> torch.Generator:
    """Make a generator whose numbers follow from its keys alone, on one kind of device."""
    seed = np.random.SeedSequence([key & 0xFFFFFFFFFFFFFFFF for key in keys])
    return torch.Generator(device or "cpu").manual_seed(int(seed.generate_state(1, np.uint64)[0]))
