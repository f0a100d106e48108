"""The training loop: one for all networks, losses, schedules and devices."""

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
from mrgantry.common.picture import save_grid
from mrgantry.common.progress import progress
from mrgantry.data.rows import units_of
from mrgantry.data.slices import Pixels, SliceSet
from mrgantry.gan.latents import Uniform, draw_latents
from mrgantry.gan.run import Run, save_weights
from mrgantry.gan.schedule import Stage, shrink
from mrgantry.gan.state import State, optimisers_of, update_ema

LOG_LINES = 200  # a run's log has this many lines,
LINES_A_SNAPSHOT = 10  # and every so many a grid, weights and a resumable state
GRID = range(64)  # seeds of the pictured samples
# Random streams of one step; each draws from a generator seeded by (seed, images, stream).
ORDER, LATENTS, PENALTY, AUGMENT = range(4)


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
        self.pixels = self.data.pixels(device) if self.loaded is None else self.loaded
        codes = labels.of_rows(units_of(self.data, recipe.labels))
        self.codes = codes.to(self.fabric.device)
        self.generate = self._forward(self.state.generator, self.compiled)
        self.criticise = self._forward(self.state.critic, self.compiled)
        # What a penalty differentiates twice cannot be compiled.
        self.criticise_eagerly = self._forward(self.state.critic, compiled=False)
        self.steps = recipe.steps.fitting(recipe.images // recipe.batch)
        self.stage = self._stage_at(self.state.begun)
        if recipe.schedule:
            self.state.grow(self.stage)

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
                seen.append(self.round())
                advance(state.images - before)
                ended = state.images >= recipe.images
                if ended or state.images // line > before // line:
                    state.seconds = time.monotonic() - began
                    self._write_line(writer, seen)
                    seen = []
                    part = line * LINES_A_SNAPSHOT
                    if ended or state.images // part > before // part:
                        self.snapshot()

    def round(self) -> dict[str, Tensor]:
        """Take the critic steps of a round, and the generator steps after them."""
        recipe, state, batch = self.run.recipe, self.state, self.run.recipe.batch
        self._grow()
        state.begun, steps = state.images, self.steps.before(state.rounds)
        # After a single critic step its fakes serve the generator too, so they keep their
        # graph; after several they are drawn afresh.
        shared = steps == 1
        for _ in range(steps):
            drawn = state.images
            real, labels = self.real(drawn)
            with torch.set_grad_enabled(shared):
                fake = self.fakes(drawn, labels)
            numbers = self.critic_step(real, fake, labels)
            state.images += batch
        for turn in range(self.steps.generator):
            if turn or not shared:
                if self.steps.redraw:
                    drawn = state.images + turn * batch
                    labels = self.labels_at(drawn)
                fake = self.fakes(drawn, labels, turn + 1 if self.steps.redraw else 0)
                if recipe.loss.paired and self.steps.redraw:
                    real, labels = self.real(drawn)
            numbers |= self.generator_step(real, fake, labels, turn)
        state.rounds += 1
        if state.ema and recipe.ema:
            passed = state.images - state.begun
            update_ema(state.ema, state.generator, recipe.ema, passed, state.images)
        return numbers

    def critic_step(
        self, real: Float[Tensor, "n c h w"], fake: Float[Tensor, "n c h w"], labels: Tensor
    ) -> dict[str, Tensor]:
        """Move the critic once."""
        loss, state, recipe = self.run.recipe.loss, self.state, self.run.recipe
        real, fake = self.augment(real, 0), self.augment(fake.detach(), 1)
        loss.constrain(state.critic)
        real_logits, fake_logits = self.judge(real, labels), self.judge(fake, labels)
        number = loss.critic(real_logits, fake_logits)
        numbers = {
            "critic_loss": number.detach(),
            "real_logit": real_logits.detach().mean(),
            "fake_logit": fake_logits.detach().mean(),
        }
        if loss.interval and (state.images // recipe.batch) % loss.interval == 0:
            penalty = loss.penalty(
                lambda points: self.judge(points, labels, eagerly=True),
                real,
                fake,
                self.uniform(PENALTY),
            )
            numbers["penalty"] = penalty.detach()
            number = number + loss.interval * penalty
        self._descend(number, "critic", state.critic)
        if recipe.augment:
            lead = loss.lead(real_logits.detach(), fake_logits.detach())
            sign = self.fabric.all_reduce(lead.sign().mean())
            state.p = recipe.augment.adapt(state.p, cast(Tensor, sign), recipe.batch)
            numbers["augment_p"] = state.p
        return numbers

    def generator_step(
        self,
        real: Float[Tensor, "n c h w"],
        fake: Float[Tensor, "n c h w"],
        labels: Tensor,
        turn: int,
    ) -> dict[str, Tensor]:
        """Move the generator once, for the turn-th time in its round."""
        loss, state = self.run.recipe.loss, self.state
        # The critic is frozen meanwhile: its gradients would be thrown away.
        state.critic.requires_grad_(False)
        real_logits = None
        if loss.paired:
            real_logits = self.judge(self.augment(real, 2 + 2 * turn), labels)
        fake_logits = self.judge(self.augment(fake, 3 + 2 * turn), labels)
        number = loss.generator(real_logits, fake_logits)
        self._descend(number, "generator", state.generator)
        state.critic.requires_grad_(True)
        return {"generator_loss": number.detach()}

    def judge(
        self, images: Float[Tensor, "n c h w"], labels: Float[Tensor, "n k"], eagerly: bool = False
    ) -> Float[Tensor, " n"]:
        """Give the critic's logits of images with their labels."""
        outputs = (self.criticise_eagerly if eagerly else self.criticise)(images)
        return outputs[:, 0] + (outputs[:, 1:] * labels).sum(1)

    def real(self, first: int) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n k"]]:
        """Give this process's part of a batch of real images, and their labels.

        Args:
            first: Number of the batch's first image in the whole training.
        """
        images = shrink(self.pixels.batch(self.rows_at(first)), self.stage)
        images = images.contiguous(memory_format=torch.channels_last)
        return images, self.labels_at(first)

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

    def fakes(
        self, first: int, labels: Float[Tensor, "n k"], turn: int = 0
    ) -> Float[Tensor, "n c h w"]:
        """Draw synthetic images for this process's part of a batch.

        All processes draw the latents of the whole batch and take their part of them, so
        that their number does not matter.
        """
        recipe = self.run.recipe
        random = stream_of(recipe.seed, first, LATENTS, turn)
        network = recipe.network
        drawn = draw_latents(network.prior, (recipe.batch, network.latent), random)
        latents = self._mine(drawn).to(self.fabric.device, non_blocking=True)
        return self.generate(torch.cat([latents, labels], 1))

    def augment(self, images: Float[Tensor, "n c h w"], turn: int) -> Float[Tensor, "n c h w"]:
        """Change images at random as the recipe says."""
        augment = self.run.recipe.augment
        if augment is None:
            return images
        return augment.apply(images, self.state.p, self.uniform(AUGMENT, turn))

    def uniform(self, *stream: int) -> Uniform:
        """Give a source of numbers from U(0, 1) for this process's images of one step.

        All processes draw for the whole batch and take their part.
        """
        recipe, device = self.run.recipe, self.fabric.device
        random = stream_of(recipe.seed, self.state.images, *stream, device=device)

        def draw(shape: tuple[int, ...]) -> Tensor:
            return self._mine(torch.rand((recipe.batch, *shape), generator=random, device=device))

        return draw

    def snapshot(self) -> None:
        """Write a grid, the weights and, last, the state."""
        run, state = self.run, self.state
        if self.fabric.is_global_zero:
            sampler = state.sampler()
            with torch.no_grad(), evaluating(sampler):
                images = sampler(run.inputs(GRID)[0].to(self.fabric.device))
            images = F.interpolate(images, run.recipe.size).clamp(-1, 1)
            save_grid(run.folder / f"samples/{state.images:09d}.png", images.cpu())
            save_weights(run.folder, state.networks(), state.begun)
            state.save(run.folder / "state.pt")
            if self.on_snapshot:
                self.on_snapshot(run, state.images)
        self.fabric.barrier()

    @property
    def _share(self) -> int:
        """Count this process's images of a batch."""
        return self.run.recipe.batch // self.fabric.world_size

    def _mine(self, whole: Float[Tensor, "n ..."]) -> Float[Tensor, "m ..."]:
        """Take this process's part of what was drawn for the whole batch."""
        first = self.fabric.global_rank * self._share
        return whole[first : first + self._share]

    def _stage_at(self, images: int) -> Stage:
        """Say at which stage of growing the training is after so many images."""
        recipe = self.run.recipe
        if recipe.schedule is None:
            return Stage(recipe.size)
        return recipe.schedule.at(images, recipe.images, recipe.size)

    def _grow(self) -> None:
        """Go to the present stage; in a new phase the optimisers forget."""
        recipe, state = self.run.recipe, self.state
        now = self._stage_at(state.images)
        if recipe.schedule and now != self.stage:
            if now.phase != self.stage.phase:
                state.optimisers = optimisers_of(recipe, state.generator, state.critic)
                if self.compiled:  # what was compiled for the last phase is of no more use
                    torch.compiler.reset()
            state.grow(now)
            self.stage = now

    def _forward(self, network: nn.Module, compiled: bool) -> Callable[[Tensor], Tensor]:
        called = torch.compile(network) if compiled else network
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
            self._average_gradients(net)
        optimiser.step()

    def _average_gradients(self, net: nn.Module) -> None:
        """Average gradients over processes, in one message.

        By hand: a wrapper that does it would also watch the frozen critic in the
        generator's step. Layers that have not grown yet have no gradient.
        """
        gradients = [one.grad for one in net.parameters() if one.grad is not None]
        message = torch.cat([one.flatten() for one in gradients])
        message = cast(Tensor, self.fabric.all_reduce(message))
        parts = message.split([one.numel() for one in gradients])
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
        ours = torch.stack([torch.stack(values).mean() for values in keys.values()])
        means = dict(zip(keys, cast(Tensor, self.fabric.all_reduce(ours)).tolist(), strict=True))
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
