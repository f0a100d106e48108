"""Train a recipe on a set of slices, from the beginning or from where it stopped."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lightning_fabric import Fabric
from torch import Tensor, nn

from mrgantry.common.errors import DataError, RecipeError
from mrgantry.common.files import AnyPath
from mrgantry.common.provenance import command_line, versions
from mrgantry.data.formats import times
from mrgantry.data.pixels import Pixels
from mrgantry.data.rows import choose_rows, units_of
from mrgantry.data.slices import SliceSet
from mrgantry.generate.adversarial import GanTraining
from mrgantry.generate.device import choose_precision, start_fabric
from mrgantry.generate.flow_training import FlowTraining
from mrgantry.generate.labels import Labels
from mrgantry.generate.memory import refuse_too_large
from mrgantry.generate.neighbour_fit import fit_neighbours
from mrgantry.generate.networks.unet import UNet
from mrgantry.generate.recipe import AnyRecipe, FlowRecipe, GanRecipe
from mrgantry.generate.run import Facts, Run, describe_data
from mrgantry.generate.spectrum import spectrum_of
from mrgantry.generate.start import Start, find_start
from mrgantry.generate.state import State, build
from mrgantry.generate.training import Training

LOG = logging.getLogger(__name__)
MEASURED = 128  # heads tell the spectrum
BATCH_NORM = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


def train(
    slices: AnyPath,
    run: AnyPath,
    recipe: AnyRecipe,
    *,
    only: Sequence[str] = (),
    devices: int = 1,
    compiled: bool = False,
    on_snapshot: Callable[[Run, int], None] | None = None,
) -> Run:
    """Train a recipe on the training split of a set; the same call resumes.

    A recipe with more images makes a run longer. A flow looks at the validation split, where
    there is one, to tell when to stop; nothing is learnt from it.

    On one machine's CPU the weights do not depend on whether the run was interrupted; a
    GPU adds in no fixed order, so there they agree within rounding. Several processes do
    what one does with the whole batch, but for statistics over images, which each takes of
    its share: batch norm, minibatch deviation across its groups, DRAGAN's sigma.

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
        RecipeError: The recipe's size is not that of the images, or its start does not fit.
        DataError: The set cannot be used, has no label maps for a recipe that draws them, or no
            row meets the conditions.
    """
    slices, run = Path(slices), Path(run)
    all_slices = SliceSet.open(slices, volumes=True)
    data = choose_rows(all_slices.split("train"), only)
    refuse_other_shape(recipe, data)
    network = recipe.network
    if isinstance(network, UNet) and network.learns == "details" and not recipe.start:
        raise RecipeError(
            "network.learns=details leaves the body of the network as it is begun with, so it "
            "needs weights to begin with: name them with --start."
        )
    fabric = start_fabric(recipe, devices)
    table = units_of(data, recipe.labels)
    labels = Labels.of_table(table, recipe.labels)
    described = describe_data(data, recipe)
    channels = len(described["channels"]) + len(described["classes"])
    recipe = recipe.suited(channels) if isinstance(recipe, FlowRecipe) else recipe
    refuse_too_large(recipe, channels, labels.width, fabric.device)
    state = build(recipe, channels, labels.width, fabric.device)
    facts = Facts(
        **described,
        labels=labels,
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
    if isinstance(recipe, FlowRecipe):
        facts = facts.model_copy(update=expected_of(recipe, data))
    begun = (run / "state.pt").is_file()
    if recipe.start and not begun:
        facts = begin_with(find_start(recipe.start), state, facts, table)
    if isinstance(recipe, GanRecipe):
        warn_of(recipe, state.critic)
    if fabric.is_global_zero:
        Run.begin(run, recipe, facts)
    fabric.barrier()
    opened = Run.begin(run, recipe, facts)
    if begun:
        state.load(run / "state.pt", fabric.device)
    watch = state.watch
    longer = watch.is_cooling and state.images >= watch.cools[1] and not watch.over
    if isinstance(recipe, FlowRecipe) and (recipe.stop is None or longer):
        watch.go_on()
    if state.images < recipe.images and not state.watch.over:
        held_out = held_out_people(all_slices, only, recipe)
        training_of(opened, fabric, state, data, held_out, compiled, on_snapshot).go()
    return opened


def refuse_other_shape(recipe: AnyRecipe, data: SliceSet) -> None:
    """Refuse images of another size than the recipe's, or volumes in the place of slices.

    Raises:
        RecipeError: They are.
    """
    if recipe.shape == data.shape:
        return
    made, have = (
        f"{'volumes' if len(shape) == 3 else 'images'} of {times(shape[::-1])} "
        f"{'voxels' if len(shape) == 3 else 'pixels'}"
        for shape in (recipe.shape, data.shape)
    )
    plane = ""
    if bool(recipe.voxels) != bool(data.about.voxels):
        plane = f"--plane {'volume' if recipe.voxels else 'axial'} "
    raise RecipeError(
        f"The recipe {recipe.name} makes {made}, but {data.folder} has {have}. Prepare it again "
        f"with {plane}--size {recipe.size_name}, or choose a recipe of that size."
    )


def spread_over(data: SliceSet) -> SliceSet:
    """Choose volumes that tell the spectrum of all; of slices, take the whole set."""
    if not data.about.voxels:
        return data
    rows = np.zeros(len(data), dtype=bool)
    rows[np.linspace(0, len(data) - 1, min(len(data), MEASURED)).round().astype(int)] = True
    return data.where(rows)


def expected_of(recipe: FlowRecipe, data: SliceSet) -> dict[str, Any]:
    """Measure what is known of images before a flow learns: of `Facts`, spectrum and neighbours.

    Args:
        recipe: The flow, of images, or of slices of volumes.
        data: Its training rows.
    """

    def slices(volumes: Tensor) -> Tensor:
        unit = recipe.flow.to_unit(volumes).transpose(1, 2).flatten(0, 1)
        return unit[(unit != 0).flatten(1).any(1)]

    images = spread_over(data).drawn(with_maps=recipe.label_maps)
    if not recipe.stacked:
        return {"spectrum": spectrum_of(images, recipe.flow.to_unit)}
    spectrum = spectrum_of(images, slices)
    fits = fit_neighbours(images, recipe.flow, spectrum)
    return {"spectrum": spectrum, "neighbour_fits": fits}


def begin_with(start: Start, state: State, facts: Facts, table: pd.DataFrame) -> Facts:
    """Give networks the weights they start from; give the facts with what that means.

    Args:
        start: The weights.
        state: Networks before their first step; changed in place.
        facts: Of the run, without the start.
        table: The training rows.
    """
    if set(table["plane"]) == {"volume"}:
        table = table.assign(plane="axial")  # as slices of heads are, for what begins with slices
    adapted = start.give(state, facts.labels, table, len(facts.classes))
    for sentence in adapted:
        LOG.warning("Of the weights of %s, %s.", start.facts.name, sentence)
    people = {*facts.training_subjects, *start.facts.training_subjects}
    return facts.model_copy(
        update={
            "started_from": start.facts.model_copy(update={"adapted": adapted}),
            "training_subjects": tuple(sorted(people)),
        }
    )


def held_out_people(data: SliceSet, only: Sequence[str], recipe: AnyRecipe) -> SliceSet | None:
    """Give the people by whom a flow tells when to stop; None where there are none.

    Args:
        data: The whole set.
        only: Conditions on the rows.
        recipe: What is trained.
    """
    if not isinstance(recipe, FlowRecipe) or recipe.stop is None:
        return None
    try:
        return choose_rows(data.split("validation"), only)
    except DataError:
        LOG.warning(
            "%s holds nobody back for validation, so training cannot tell when it begins to copy "
            "its people, and goes on to its end.",
            data.folder,
        )
        return None


def training_of(
    run: Run,
    fabric: Fabric,
    state: State,
    data: SliceSet,
    held_out: SliceSet | None = None,
    compiled: bool = False,
    on_snapshot: Callable[[Run, int], None] | None = None,
    loaded: Pixels | None = None,
) -> Training:
    """Set up the training of a recipe's kind.

    Args:
        run: What is trained.
        fabric: Where.
        state: Its networks.
        data: The training rows.
        held_out: Of a flow: people by whom it tells when to stop.
        compiled: Compile the networks.
        on_snapshot: Called with the run and the images seen after each snapshot.
        loaded: The images of the rows, if they lie on the device already.
    """
    if isinstance(run.recipe, GanRecipe):
        return GanTraining(run, fabric, state, data, compiled, on_snapshot, loaded)
    training = FlowTraining(run, fabric, state, data, compiled, on_snapshot, loaded)
    training.watch_over(held_out)
    return training


def warn_of(recipe: GanRecipe, critic: nn.Module | None) -> None:
    """Warn of a pair of loss and network that is known not to work, and say why."""
    modules = critic.modules() if critic is not None else ()
    normed = any(isinstance(module, BATCH_NORM) for module in modules)
    if normed and recipe.loss.by_image:
        LOG.warning(
            "The critic of %s has batch norm, which makes the gradient at one image depend on "
            "the others of its batch; the penalty of the loss %s then means little (Gulrajani "
            "et al. 2017, section 4). Networks without it: srresnet, progressive.",
            recipe.network.kind,
            recipe.loss.kind,
        )
