"""Train a recipe on a set of slices, from the beginning or from where it stopped."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import nn

from mrgantry.common.errors import RecipeError
from mrgantry.common.provenance import command_line, versions
from mrgantry.data.rows import choose_rows, units_of
from mrgantry.data.slices import SliceSet
from mrgantry.gan.device import choose_precision, start_fabric
from mrgantry.gan.labels import Labels
from mrgantry.gan.recipe import Recipe
from mrgantry.gan.run import Facts, Run, describe
from mrgantry.gan.state import build
from mrgantry.gan.training import Training

LOG = logging.getLogger(__name__)
BATCH_NORM = nn.BatchNorm1d | nn.BatchNorm2d


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
    labels = Labels.of_table(units_of(data, recipe.labels), recipe.labels)
    facts = Facts(
        **describe(data),
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
    state = build(recipe, len(data.about.channels), labels.width, fabric.device)
    warn_of(recipe, state.critic)
    if fabric.is_global_zero:
        Run.begin(run, recipe, facts)
    fabric.barrier()
    opened = Run.begin(run, recipe, facts)
    if (run / "state.pt").is_file():
        state.load(run / "state.pt", fabric.device)
    if state.images < recipe.images:
        Training(opened, fabric, state, data, compiled, on_snapshot).go()
    return opened


def warn_of(recipe: Recipe, critic: nn.Module) -> None:
    """Warn of a pair of loss and network that is known not to work, and say why."""
    normed = any(isinstance(module, BATCH_NORM) for module in critic.modules())
    if normed and recipe.loss.kind in {"wgangp", "relativistic"}:
        LOG.warning(
            "The critic of %s has batch norm, which makes the gradient at one image depend on "
            "the others of its batch; the penalty of the loss %s then means little (Gulrajani "
            "et al. 2017, section 4). Networks without it: srresnet, progressive.",
            recipe.network.kind,
            recipe.loss.kind,
        )
