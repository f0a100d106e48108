"""The rounds of a flow, and its looks at people it was not trained on."""

from typing import cast

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from mrgantry.common.files import write_json
from mrgantry.data.rows import by_turns, units_of
from mrgantry.data.slices import SliceSet
from mrgantry.generate.flow import Denoise, Respond, channel_weights
from mrgantry.generate.recipe import LEAST_RATE, FlowRecipe
from mrgantry.generate.run import BEST, KEPT, STOPPED, save_weights
from mrgantry.generate.stacks import CHOICES, Beside, Shown, denoiser_beside
from mrgantry.generate.state import update_ema
from mrgantry.generate.stop import LOOKS, Looks, even_normals
from mrgantry.generate.training import GRID, HEADS, LOOK, NOISE, Training, evaluating, stream_of

LONGEST = 1.0  # a gradient
HEADS_LOOKED_AT = 32  # of either side: each holds as much as many slices
BATCH = 8  # heads are read at once where a slice of each is looked at
PREVIEW = range(24)  # seeds of the pictures on the way,
PREVIEW_STEPS = 8  # and their steps: they cost training time


class FlowTraining(Training):
    """One call's work on a flow."""

    def prepare(self) -> None:
        """Compile the network if wanted, and choose what is looked at."""
        self.recipe = cast(FlowRecipe, self.run.recipe)
        self.guess = self.run.guess.to(self.fabric.device)
        self.respond = self._forward(self.state.generator, self.compiled)
        self.sides: list[Looks] = []
        facts = self.run.facts
        images, classes = len(facts.channels), len(facts.classes)
        self.weights = channel_weights(images, classes)
        of_images = torch.tensor([1 / images] * images + [0.0] * classes)
        self.image_weights = of_images if classes else None

    def watch_over(self, held_out: SliceSet | None) -> None:
        """Look at these people now and then; None trains to the recipe's end."""
        labels = self.run.facts.labels
        if held_out is not None and not labels.knows(units_of(held_out, self.recipe.labels)).any():
            held_out = None
        if self.recipe.stop is not None and held_out is not None:
            self.sides = [self._looks(data) for data in (held_out, self.data)]
            self.state.watch.due = max(self.state.watch.due, 1)
            if not (self.run.folder / BEST).is_file():
                self.state.watch.best_errors = []  # the next look is what can be gone back to

    def round(self) -> dict[str, Tensor]:
        """Take one step down the error of the velocity."""
        recipe, state, device = self.recipe, self.state, self.fabric.device
        state.begun = state.images
        images = self.pixels.batch(self.rows_at(state.images))
        labels = self.labels_at(state.images)
        # All processes draw for the whole batch and take their part.
        random = stream_of(recipe.seed, state.images, NOISE, device=device)

        def normal(*shape: int) -> Tensor:
            return self._mine(torch.randn(recipe.batch, *shape, generator=random, device=device))

        shown = Shown.whole(images)
        if recipe.stacked:
            choices = torch.rand(recipe.batch, CHOICES, generator=random, device=device)
            shown = Shown.slices(images, self._mine(choices), recipe.flow, normal)
        times, noise = recipe.flow.draw_times(normal()), normal(*shown.images.shape[1:])
        told = torch.rand(recipe.batch, 1, generator=random, device=device)
        labels = labels * (self._mine(told) >= recipe.flow.unlabelled)
        denoise = self._denoiser(self.respond, shown.beside)
        errors = recipe.flow.errors(denoise, shown.images, labels, times, noise, self.weights)
        error = errors.mean()
        for group in state.optimisers["generator"].param_groups:
            group["lr"] = recipe.optimiser.lr * self._rate()
        self._descend(error, "generator", state.generator, LONGEST)
        state.images += recipe.batch
        state.rounds += 1
        if state.ema and recipe.ema:
            update_ema(state.ema, state.generator, recipe.ema, recipe.batch, state.images)
        return {"velocity_error": error.detach()}

    def after_round(self) -> dict[str, Tensor]:
        """Look at held-out and training people if it is time, and keep the better weights."""
        state, watch = self.state, self.state.watch
        at_end = state.images >= self.recipe.images
        if not self.sides or not (at_end or state.images >= watch.due):
            return {}
        held_out, training = (self._errors(state.sampler(), side) for side in self.sides)
        self._judge(held_out.tolist(), float(training.mean()))
        return {"held_out_error": held_out.mean(), "training_error": training.mean()}

    def snapshot(self, final: bool = False) -> None:
        """Write a snapshot; once training has ended by itself nobody goes back any more."""
        super().snapshot(final)
        if self.state.watch.over and self.fabric.is_global_zero:
            (self.run.folder / BEST).unlink(missing_ok=True)

    def _judge(self, errors: list[float], training: float) -> None:
        """Keep the weights that a look speaks for, or go back, or end.

        Args:
            errors: At each held-out person.
            training: Mean over training people.
        """
        recipe, state, watch, stop = self.recipe, self.state, self.state.watch, self.recipe.stop
        if stop is None:
            return
        left = recipe.images - state.images
        if watch.is_cooling or left <= 0:  # the rate falls: there is no more to wait for
            if watch.note_fallen(errors):
                self._keep()
            if watch.is_cooling and watch.cools[1] <= state.images < recipe.images:
                self._end()
            return
        better = watch.note(errors, training, state.images, stop.shared)
        count = int(stop.cool_down * watch.best_images)
        watch.due = stop.next_look(state.images)
        if left > count:  # and in time for the rate to fall
            watch.due = min(watch.due, recipe.images - count)
        if better:
            self._keep()
            if self.fabric.is_global_zero:
                state.save(self.run.folder / BEST)
        elif left <= count or stop.is_over(watch, state.images):
            self.fabric.barrier()
            state.go_back(self.run.folder / BEST, self.fabric.device)
            watch.cool(state.images, min(count, left))

    def _end(self) -> None:
        """End training, and say why."""
        state, watch = self.state, self.state.watch
        watch.over = (
            f"Training ended by itself after {state.images:,} images: since "
            f"{watch.best_images:,} it had learnt little that holds for other people than those "
            "it trains on, so the weights of then were taken up again and the rate of learning "
            f"was lowered (error at held-out people {np.mean(watch.best_errors):.4f} then, "
            f"{watch.lowest:.4f} now). Going on would draw the training people themselves; "
            "--set stop=null goes on all the same."
        )
        if self.fabric.is_global_zero:
            write_json(self.run.folder / STOPPED, {"reason": watch.over})

    def _keep(self) -> None:
        """Keep the weights of now to sample from."""
        if self.fabric.is_global_zero:
            save_weights(self.run.folder, {KEPT: self.state.sampler()}, self.state.images)

    def preview(self, final: bool) -> Float[Tensor, "n c *s"]:
        """Draw few images in few steps on the way, and at the end as `sample` does."""
        recipe = self.recipe
        if final:
            sampler = self.run.generator(self.state.sampler()).to(self.fabric.device)
            seeds = HEADS if recipe.voxels else GRID
        else:
            network, seeds = self.state.sampler(), HEADS[:4] if recipe.voxels else PREVIEW
            how = recipe.sampler.model_copy(update={"steps": PREVIEW_STEPS})
            sampler = self.run.flow_sampler(network, how).to(self.fabric.device)
        with torch.no_grad(), evaluating(sampler):
            return sampler(self.run.inputs(seeds)[0].to(self.fabric.device))

    def _rate(self) -> float:
        """Give the rate of learning, as a share of the optimiser's."""
        recipe, watch = self.recipe, self.state.watch
        if not watch.is_cooling:
            return recipe.rate(self.state.images)
        left = 1 - watch.cooled(self.state.images)
        return recipe.rate(watch.best_images) * max(left, LEAST_RATE)

    def _denoiser(self, respond: Respond, beside: Beside) -> Denoise:
        """Give what a network makes of noisy images beside what is known of them."""
        return denoiser_beside(self.recipe.flow, respond, self.guess, beside)

    def _looks(self, data: SliceSet) -> Looks:
        """Choose images of as many people as possible, with noise that stays the same."""
        with_maps = self.recipe.label_maps
        pixels = (
            self.pixels
            if data is self.data
            else data.pixels(self.fabric.device, with_maps=with_maps)
        )
        units = units_of(data, self.recipe.labels)
        alike = len(pixels) // len(units)  # poses of a volume
        labelled = np.flatnonzero(self.run.facts.labels.knows(units))
        random = np.random.default_rng(self.recipe.seed)
        whole_heads = self.recipe.voxels and not self.recipe.stacked
        most = HEADS_LOOKED_AT if whole_heads else LOOKS
        chosen = by_turns(units["subject"].iloc[labelled], random)[:most]
        if self.recipe.stacked:  # a slice of each head is few: look at several of each
            chosen = np.resize(chosen, LOOKS)
        rows = np.sort(labelled[chosen])
        places = torch.from_numpy(rows * alike + random.integers(alike, size=len(rows)))
        if self.recipe.stacked:  # heads are read few at a time, since all would fill the memory
            choices = torch.from_numpy(random.random((len(rows), CHOICES)).astype(np.float32))
            shown = Shown.joined(
                Shown.slices(pixels.batch(some), each.to(self.fabric.device), self.recipe.flow)
                for some, each in zip(places.split(BATCH), choices.split(BATCH), strict=True)
            )
        else:
            shown = Shown.whole(pixels.batch(places))
        images = shown.images
        codes = self.run.facts.labels.of_rows(units.iloc[rows])
        stream = stream_of(self.recipe.seed, LOOK)
        people = pd.get_dummies(units["subject"].iloc[rows]).to_numpy(np.float32)
        return Looks(
            images=images,
            beside=shown.beside,
            labels=codes.to(images.device),
            times=self.recipe.flow.draw_times(even_normals(len(rows))).to(images.device),
            noise=torch.randn(images.shape, generator=stream).to(images.device),
            shares=torch.from_numpy((people / people.sum(0)).T).to(images),
        )

    def _errors(self, network: torch.nn.Module, side: Looks) -> Float[Tensor, " p"]:
        """Give the mean error of the velocity at the images of each person of one side.

        Of label maps nothing counts here: whether a person's image is known by heart is asked.
        """
        respond = self._forward(network, compiled=False)
        errors = []
        with torch.no_grad():
            for rows in torch.arange(len(side.images)).split(self.recipe.batch):
                denoise = self._denoiser(respond, side.beside[rows])
                errors.append(
                    self.recipe.flow.errors(
                        denoise,
                        side.images[rows],
                        side.labels[rows],
                        side.times[rows],
                        side.noise[rows],
                        self.image_weights,
                    )
                )
        return side.shares @ torch.cat(errors)
