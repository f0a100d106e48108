"""Draw a set of synthetic slices from a run."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float16
from torch import Tensor, nn

from mrgantry.common.device import best_device
from mrgantry.common.errors import DataError, RecipeError
from mrgantry.common.files import fingerprint
from mrgantry.common.progress import progress
from mrgantry.common.provenance import command_line, versions
from mrgantry.data.notes import Notes
from mrgantry.data.preview import draw_preview
from mrgantry.data.slices import COLUMNS, About, SliceSet, begin_set, finish, has_part, write_part
from mrgantry.generate.flow import Sampler
from mrgantry.generate.recipe import FlowRecipe
from mrgantry.generate.run import Run

LOG = logging.getLogger(__name__)
BLOCK = 1000  # images a part


def sample(
    run: Path,
    out: Path,
    count: int = 1000,
    seed: int = 0,
    batch: int = 100,
    labels: Sequence[str] = (),
    how: Sequence[str] = (),
) -> SliceSet:
    """Draw synthetic slices, image i from the seed `seed + i` alone.

    Batch norm uses its running statistics, so an image does not depend on those
    drawn beside it. `preview.png` shows some. Interrupted, the same call goes on where it
    stopped.

    Args:
        run: Folder of a trained run.
        out: Folder to write the set to.
        count: How many images.
        seed: Seed of the first.
        batch: Images computed at once.
        labels: Of a conditional generator, such as "tumour=yes"; unless given, they are as
            frequent as in its training set.
        how: Of a flow: how to draw where not as its recipe says, as "steps=40".

    Raises:
        DataError: The run has no weights or no such label.
        RunError: The folder holds another set, or other things.
        RecipeError: A flow cannot be drawn from in that way, or the run is none.
    """
    if count < 1:
        raise DataError(f"The count of images must be at least 1, not {count}.")
    opened = Run.open(run)
    facts = opened.facts
    sampler = sampler_of(opened, how)
    if opened.unfinished:
        LOG.warning("%s; these are what it draws by now.", opened.unfinished)
    about = About(
        source=facts.source,
        synthetic=True,
        channels=facts.channels,
        size=opened.recipe.size,
        command=command_line(
            "sample", run, out, count=count, seed=seed, label=tuple(labels), set=tuple(how)
        ),
        choices={
            "weights": fingerprint([opened.weights()]),
            "count": count,
            "seed": seed,
            "labels": tuple(labels),
            **({"sampler": sampler.model_dump()} if sampler else {}),
        },
        versions=versions(),
        training_subjects=facts.training_subjects,
        notes=notes_of(opened),
    )
    facts.labels.only(labels)  # a wrong one is said before anything is written
    begin_set(out, about)
    device = best_device()
    generator = opened.generator(sampler=sampler).to(device)
    blocks = [range(seed + i, seed + min(i + BLOCK, count)) for i in range(0, count, BLOCK)]
    names = [f"seeds-{block.start:07d}" for block in blocks]
    with progress("sample", count) as advance:
        for name, block in zip(names, blocks, strict=True):
            if not has_part(out, name):
                inputs, values = opened.inputs(block, labels)
                images = draw_images(generator, inputs, batch)
                write_part(out, name, images, _rows(opened, block, values))
            advance(len(block))
    made = finish(out, about, names)
    draw_preview(made)
    return made


def sampler_of(run: Run, how: Sequence[str]) -> Sampler | None:
    """Give the way to draw from a flow; None where the run is no flow.

    Args:
        run: A trained run.
        how: What to change of its recipe's way, as "steps=40".

    Raises:
        RecipeError: There is no such choice, or the run is no flow.
    """
    if isinstance(run.recipe, FlowRecipe):
        changes = [f"sampler.{change}" for change in how]
        return run.recipe.set(changes).sampler if changes else run.recipe.sampler
    if how:
        raise RecipeError(
            f"{run.folder} is a GAN, which draws in one step: there is nothing to set."
        )
    return None


def notes_of(run: Run) -> Notes:
    """Tell of synthetic images what drew them, and how far it was trained."""
    facts, started = run.facts, run.facts.started_from
    notes: dict[str, Any] = {"recipe": run.recipe.name, "trained_on": facts.data_fingerprint}
    if started:
        notes["started_from"] = started.model_dump(exclude={"training_subjects"})
    if run.unfinished:
        notes["unfinished"] = run.unfinished
    return Notes(**notes)


@torch.no_grad()
def draw_images(
    generator: nn.Module, inputs: Float[Tensor, "n z"], batch: int = 100
) -> Float16[np.ndarray, "n c h w"]:
    """Draw images, some at a time, on the device of the generator."""
    device = next(generator.parameters()).device
    images = [generator(chunk.to(device)).clamp(-1, 1) for chunk in inputs.split(batch)]
    return torch.cat(images).to("cpu", torch.float16).numpy()


def _rows(run: Run, seeds: range, values: list[tuple[str, ...]]) -> pd.DataFrame:
    """Describe synthetic slices: whose they are not is left empty."""
    facts, levels = run.facts, run.facts.labels.levels
    shared = {
        "session": "",
        "subject": "",
        "split": "",
        "sequence": facts.sequence,
        "plane": facts.plane,
        "index": -1,
        "position_mm": None,
        "pixel_mm": facts.pixel_mm,
        "tumour": facts.tumour,
        "tumour_mm2": None,
        "source": "synthetic",
        "made_by": f"{run.name} ({run.recipe.name})",
        "affine": "",
    }
    rows = [
        shared | dict(zip(levels, labels, strict=True)) | {"id": f"{run.name}_{seed:07d}"}
        for seed, labels in zip(seeds, values, strict=True)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))
