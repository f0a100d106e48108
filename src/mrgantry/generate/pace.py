"""How long recipes take: timed before they are trained, so that they can get equal time.

Growth, learning rates and a resumed run need a length in images that is known beforehand;
a budget in minutes becomes one by this.
"""

import statistics
import time
from collections.abc import Sequence
from math import gcd
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from mrgantry.common.frozen import Frozen
from mrgantry.common.progress import progress
from mrgantry.data.pixels import Pixels
from mrgantry.data.rows import units_of
from mrgantry.data.slices import SliceSet
from mrgantry.generate.device import choose_precision, start_fabric
from mrgantry.generate.labels import Labels
from mrgantry.generate.recipe import AnyRecipe, FlowRecipe, GanRecipe
from mrgantry.generate.run import Facts, Run, describe_data
from mrgantry.generate.state import build
from mrgantry.generate.training import Training
from mrgantry.generate.training_run import training_of

TURNS = 5  # each recipe is timed so often, in each of its phases,
SECONDS = 1.0  # and so long or longer in a turn;
ENOUGH = 8.0  # but a phase that took as long has been timed well enough
NOWHERE = Path("unsaved run")
PLENTY = 10**9  # images of a timed training, so that no phase ends meanwhile


class Pace(Frozen):
    """How fast a recipe trains on this machine.

    Attributes:
        phases: Seconds an image in each phase; a recipe that does not grow has one.
        precision: The arithmetic it was timed in.
        generator: Trained parameters of the generator, or of the denoiser of a flow.
        critic: And of the critic; 0 where there is none.
    """

    phases: tuple[float, ...]
    precision: Literal["fp32", "bf16"]
    generator: int
    critic: int

    @property
    def seconds(self) -> float:
        """Give the seconds an image; phases are equally long in images."""
        return statistics.mean(self.phases)

    def images(self, minutes: float, batch: int) -> int:
        """Give the images that fit into some minutes, in whole batches."""
        return max(1, int(60 * minutes / self.seconds / batch)) * batch


def measure_paces(data: SliceSet, recipes: Sequence[AnyRecipe]) -> list[Pace]:
    """Time recipes on the rows that they will be trained on.

    They take turns, so that a machine that is slower for a moment is so for all, and
    medians are taken.

    Args:
        data: The training rows.
        recipes: What to time; their lengths do not matter.

    Raises:
        RecipeError: A recipe's networks cannot be of its size.
    """
    fabric = start_fabric(recipes[0], 1)
    # Once for all: near the limit, two timings could give two recipes other arithmetic.
    faster = choose_precision(recipes[0].set(["precision=auto"]), NOWHERE, fabric)
    pixels = data.pixels(fabric.device)
    trainings = [
        ready(data, recipe, faster, None if recipe.label_maps else pixels) for recipe in recipes
    ]
    turns = [(t, phase) for t in trainings for phase in range(phases_of(t.run.recipe))]
    timed: list[list[tuple[float, int]]] = [[] for _ in turns]
    with progress("time", TURNS * len(turns)) as advance:
        for _ in range(TURNS):
            for times, (training, phase) in zip(timed, turns, strict=True):
                advance(0, note=training.run.recipe.name)
                if sum(spent for spent, _ in times) < ENOUGH:
                    times.append(time_phase(training, phase))
                advance()
    medians = [statistics.median(spent / images for spent, images in times) for times in timed]
    return [
        Pace(
            phases=tuple(s for s, (t, _) in zip(medians, turns, strict=True) if t is training),
            precision=training.run.facts.precision,
            generator=parameters(training.state.generator),
            critic=parameters(training.state.critic),
        )
        for training in trainings
    ]


def ready(
    data: SliceSet,
    recipe: AnyRecipe,
    faster: Literal["fp32", "bf16"] = "fp32",
    pixels: Pixels | None = None,
) -> Training:
    """Set a training up that has no folder, since it will not be saved.

    Args:
        data: The training rows.
        recipe: What to train.
        faster: The arithmetic for recipes that take what is faster.
        pixels: The images of the rows, if they lie on the device already.
    """
    recipe = recipe.model_copy(update={"images": PLENTY})
    if isinstance(recipe, GanRecipe):
        # More critic steps in some rounds, as at the start, are not what most rounds cost.
        steps = recipe.steps.model_copy(update={"first": 0, "every": 0})
        recipe = recipe.model_copy(update={"steps": steps})
    fabric = start_fabric(recipe, 1)
    labels = Labels.of_table(units_of(data, recipe.labels), recipe.labels)
    facts = Facts(
        **describe_data(data, recipe),
        labels=labels,
        only=(),
        command="",
        versions={},
        precision=faster if recipe.precision == "auto" else recipe.precision,
    )
    recipe = recipe.suited(facts.drawn) if isinstance(recipe, FlowRecipe) else recipe
    state = build(recipe, facts.drawn, labels.width, fabric.device)
    return training_of(Run(NOWHERE, recipe, facts), fabric, state, data, loaded=pixels)


def phases_of(recipe: AnyRecipe) -> int:
    """Count the phases of a recipe; one if it does not grow."""
    grows = isinstance(recipe, GanRecipe) and recipe.schedule
    return grows.phases(recipe.size) if grows else 1


def time_phase(training: Training, phase: int) -> tuple[float, int]:
    """Time rounds in the middle of a phase; give the seconds, and the images in them."""
    recipe, state = training.run.recipe, training.state
    middle = PLENTY * (2 * phase + 1) // (2 * phases_of(recipe)) // recipe.batch * recipe.batch
    state.images = middle
    # The first cycle grows, and finds the caches as another recipe left them; where it is
    # long, that does not matter.
    spent = time_rounds(training, cycle(recipe))
    if spent >= SECONDS:
        return spent, state.images - middle
    first, spent = state.images, 0.0
    while spent < SECONDS:
        spent += time_rounds(training, cycle(recipe))
    return spent, state.images - first


def time_rounds(training: Training, count: int) -> float:
    """Take some rounds; give the seconds."""
    wait_for(training.fabric.device)
    began = time.perf_counter()
    for _ in range(count):
        training.round()
    wait_for(training.fabric.device)
    return time.perf_counter() - began


def cycle(recipe: AnyRecipe) -> int:
    """Count the rounds after which the critic's penalty comes at the same step again."""
    if not isinstance(recipe, GanRecipe):
        return 1
    interval = recipe.loss.interval
    return interval // gcd(interval, recipe.steps.critic) if interval else 1


def wait_for(device: torch.device) -> None:
    """Let a GPU finish what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def parameters(network: nn.Module | None) -> int:
    """Count the trained numbers of a network; there are none where there is no network."""
    if network is None:
        return 0
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
