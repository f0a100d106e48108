"""The rounds of a GAN: critic steps, and generator steps after them."""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mrgantry.generate.latents import draw_latents, normal
from mrgantry.generate.layers import channels_last
from mrgantry.generate.recipe import GanRecipe
from mrgantry.generate.schedule import Stage, shrink
from mrgantry.generate.state import optimisers_of, update_ema
from mrgantry.generate.training import (
    AUGMENT,
    LATENTS,
    NOISE,
    PENALTY,
    VAT,
    Training,
    stream_of,
)
from mrgantry.generate.virtual_adversarial import virtual_adversarial


class GanTraining(Training):
    """One call's work on a GAN."""

    def prepare(self) -> None:
        """Compile the networks if wanted, and go to the present stage."""
        self.recipe = cast(GanRecipe, self.run.recipe)
        self.critic = cast(nn.Module, self.state.critic)
        self.generate = self._forward(self.state.generator, self.compiled)
        self.criticise = self._forward(self.critic, self.compiled)
        # What a penalty differentiates twice cannot be compiled.
        self.criticise_eagerly = self._forward(self.critic, compiled=False)
        self.steps = self.recipe.steps.fitting(self.recipe.images // self.recipe.batch)
        self.stage = self._stage_at(self.state.begun)
        if self.recipe.schedule:
            self.state.grow(self.stage)

    def round(self) -> dict[str, Tensor]:
        """Take the critic steps of a round, and the generator steps after them."""
        recipe, state, batch = self.recipe, self.state, self.recipe.batch
        self._grow()
        state.begun, steps = state.images, self.steps.of_round(state.rounds)
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
        self, real: Float[Tensor, "n c *s"], fake: Float[Tensor, "n c *s"], labels: Tensor
    ) -> dict[str, Tensor]:
        """Move the critic once."""
        loss, state, recipe = self.recipe.loss, self.state, self.recipe
        real, fake = self.augment(real, 0), self.augment(fake.detach(), 1)
        loss.constrain(self.critic)
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
        if recipe.vat:
            pairs = ((real, real_logits), (fake, fake_logits))
            change = torch.stack([self._change(*pair, labels, k) for k, pair in enumerate(pairs)])
            numbers["vat"] = change.mean().detach()
            number = number + recipe.vat * change.mean()
        self._descend(number, "critic", self.critic)
        if recipe.augment:
            lead = loss.lead(real_logits.detach(), fake_logits.detach())
            sign = self.fabric.all_reduce(lead.sign().mean())
            state.p = recipe.augment.adapt(state.p, cast(Tensor, sign), recipe.batch)
            numbers["augment_p"] = state.p
        return numbers

    def generator_step(
        self,
        real: Float[Tensor, "n c *s"],
        fake: Float[Tensor, "n c *s"],
        labels: Tensor,
        turn: int,
    ) -> dict[str, Tensor]:
        """Move the generator once, for the turn-th time in its round."""
        loss, state = self.recipe.loss, self.state
        # The critic is frozen meanwhile: its gradients would be thrown away.
        self.critic.requires_grad_(False)
        real_logits = None
        if loss.paired:
            real_logits = self.judge(self.augment(real, 2 + 2 * turn), labels)
        fake_logits = self.judge(self.augment(fake, 3 + 2 * turn), labels)
        number = loss.generator(real_logits, fake_logits)
        self._descend(number, "generator", state.generator)
        self.critic.requires_grad_(True)
        return {"generator_loss": number.detach()}

    def judge(
        self, images: Float[Tensor, "n c *s"], labels: Float[Tensor, "n k"], eagerly: bool = False
    ) -> Float[Tensor, " n"]:
        """Give the critic's logits of images with their labels."""
        outputs = (self.criticise_eagerly if eagerly else self.criticise)(images)
        return outputs[:, 0] + (outputs[:, 1:] * labels).sum(1)

    def real(self, first: int) -> tuple[Float[Tensor, "n c *s"], Float[Tensor, "n k"]]:
        """Give this process's part of a batch of real images, and their labels.

        Args:
            first: Number of the batch's first image in the whole training.
        """
        images = self.pixels.batch(self.rows_at(first))
        if self.recipe.schedule:
            images = shrink(images, self.stage)
        return channels_last(images), self.labels_at(first)

    def fakes(
        self, first: int, labels: Float[Tensor, "n k"], turn: int = 0
    ) -> Float[Tensor, "n c *s"]:
        """Draw synthetic images for this process's part of a batch.

        All processes draw the latents of the whole batch and take their part of them, so
        that their number does not matter.
        """
        recipe = self.recipe
        random = stream_of(recipe.seed, first, LATENTS, turn)
        network = recipe.network
        drawn = draw_latents(network.prior, (recipe.batch, network.latent), random)
        latents = self._mine(drawn).to(self.fabric.device, non_blocking=True)
        return self.generate(torch.cat([latents, labels], 1))

    def augment(self, images: Float[Tensor, "n c *s"], turn: int) -> Float[Tensor, "n c *s"]:
        """Change images at random as the recipe says, and lay its noise over them."""
        augment, noise = self.recipe.augment, self.recipe.noise
        if augment is not None:
            images = augment.apply(images, self.state.p, self.uniform(AUGMENT, turn))
        if noise:
            images = images + noise * normal(self.uniform(NOISE, turn), tuple(images.shape[1:]))
        return images

    def _change(
        self,
        images: Float[Tensor, "n c *s"],
        logits: Float[Tensor, " n"],
        labels: Tensor,
        kind: int,
    ) -> Float[Tensor, ""]:
        """Say how much the critic's answer changes by a small change of images.

        Args:
            images: That it has judged.
            logits: What it said.
            labels: Of the images.
            kind: 0 of real images, 1 of synthetic ones: each have random numbers of their own.
        """
        recipe = self.recipe
        return virtual_adversarial(
            lambda points: self.judge(points, labels, eagerly=True),
            images,
            logits,
            normal(self.uniform(VAT, kind), tuple(images.shape[1:])),
            recipe.vat_radius,
            recipe.loss.probable,
        )

    def _stage_at(self, images: int) -> Stage:
        """Say at which stage of growing the training is after so many images."""
        recipe = self.recipe
        if recipe.schedule is None:
            return Stage(recipe.size)
        return recipe.schedule.at(images, recipe.images, recipe.size)

    def _grow(self) -> None:
        """Go to the present stage; in a new phase the optimisers forget."""
        recipe, state = self.recipe, self.state
        now = self._stage_at(state.images)
        if recipe.schedule and now != self.stage:
            if now.phase != self.stage.phase:
                state.optimisers = optimisers_of(recipe, state.generator, self.critic)
                if self.compiled:  # what was compiled for the last phase is of no more use
                    torch.compiler.reset()
            state.grow(now)
            self.stage = now
