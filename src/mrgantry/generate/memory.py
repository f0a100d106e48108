"""Whether training whole heads fits into the memory: said before it begins, not in its midst."""

import torch
from torch import Tensor

from mrgantry.common.device import free_bytes
from mrgantry.common.errors import RecipeError
from mrgantry.data.formats import times
from mrgantry.generate.recipe import AnyRecipe, FlowRecipe

BYTES = 4  # of a number; in bf16 about half of it is needed
BEYOND = 1.5  # what gradients and copies take beside what a step keeps
STEP = 8  # voxels: the sides of heads that are proposed are multiples of it
FEWEST = {"flow": 1, "gan": 2}  # heads of a batch; batch norm needs two
COUNTED = 7  # heads that are counted at once: what is kept of them has this many rows


def refuse_too_large(recipe: AnyRecipe, channels: int, labels: int, device: torch.device) -> None:
    """Refuse to train on heads whose batches do not fit into the memory.

    Args:
        recipe: What would be trained; one of slices, or of heads slice by slice, fits always.
        channels: Of the heads, with those of label maps.
        labels: Length of the one-hot vectors.
        device: Where.

    Raises:
        RecipeError: They do not fit; it names a batch, or a size, that would.
    """
    stacked = isinstance(recipe, FlowRecipe) and recipe.stacked
    free = free_bytes(device) if recipe.voxels and not stacked else None
    if free is None or not recipe.voxels:
        return
    one = bytes_of_step(recipe, channels, labels)
    needed = one * recipe.batch
    if needed <= free:
        return
    fitting = int(free / one)
    fewest = FEWEST[recipe.kind]
    if fitting >= fewest:
        advice = f"take --set batch={fitting}"
    else:
        share = (free / (one * fewest)) ** (1 / 3)
        smaller = [max(STEP, int(side * share) // STEP * STEP) for side in recipe.voxels]
        advice = (
            f"prepare the heads with --size {'x'.join(map(str, smaller))} and larger voxels, and "
            f"take --set 'voxels={smaller}' --set batch={fewest}"
        )
    raise RecipeError(
        f"A batch of {recipe.batch} heads of {times(recipe.voxels)} voxels needs about "
        f"{needed / 1e9:.1f} GB while {recipe.name} is trained, and {free / 1e9:.1f} GB are free; "
        f"{advice}."
    )


def bytes_of_step(recipe: AnyRecipe, channels: int, labels: int) -> float:
    """Estimate what a training step keeps in memory for one head.

    The networks are built without content, and what they keep for the way back is counted.
    """
    kept = 0

    def count(tensor: Tensor) -> Tensor:
        nonlocal kept
        if tensor.ndim and tensor.shape[0] == COUNTED:  # weights are kept too, but not a head
            kept += tensor.numel()
        return tensor

    with torch.device("meta"), torch.autograd.graph.saved_tensors_hooks(count, _as_it_is):
        if isinstance(recipe, FlowRecipe):
            network = recipe.denoiser(channels, labels)
            heads = torch.zeros(COUNTED, channels, *recipe.shape)
            network(heads, torch.zeros(COUNTED), torch.zeros(COUNTED, labels))
        else:
            critic = recipe.critic(channels, labels)
            latents = torch.zeros(COUNTED, recipe.network.latent + labels)
            heads = recipe.generator(channels, labels)(latents)
            for images in (heads, heads.detach()):  # what is made, and what is real
                critic(images)
    return kept / COUNTED * BYTES * BEYOND


def _as_it_is(tensor: Tensor) -> Tensor:
    return tensor
