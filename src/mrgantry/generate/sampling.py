"""Draw a set of synthetic slices from a run."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float16

from mrgantry.common.device import best_device
from mrgantry.common.errors import DataError, RecipeError
from mrgantry.common.files import AnyPath, fingerprint, read_json, write_json
from mrgantry.common.progress import progress
from mrgantry.common.provenance import command_line, versions
from mrgantry.common.tables import write_table
from mrgantry.data.about import About
from mrgantry.data.label_maps import from_channels, without_specks
from mrgantry.data.making import begin_set, finish
from mrgantry.data.notes import Notes
from mrgantry.data.parts import COLUMNS, MAPS, has_part, write_part
from mrgantry.data.plan import SlicePlan
from mrgantry.data.preview import draw_preview
from mrgantry.data.sections import tumour_word
from mrgantry.data.slices import SliceSet
from mrgantry.generate.drawing import draw_images
from mrgantry.generate.flow import Sampler
from mrgantry.generate.given_maps import read_given_maps
from mrgantry.generate.near import NearLatents, copies_in, facts_of, read_near
from mrgantry.generate.recipe import FlowRecipe
from mrgantry.generate.run import Run

LOG = logging.getLogger(__name__)
BLOCK = 1000  # images a part
SPECK_MM2 = 25.0  # parts of drawn label maps that are smaller are left out, and counted


def sample(
    run: AnyPath,
    out: AnyPath,
    count: int = 1000,
    seed: int = 0,
    batch: int = 100,
    labels: Sequence[str] = (),
    how: Sequence[str] = (),
    masks: AnyPath | None = None,
    masks_split: str = "train",
    near: AnyPath | None = None,
    spread: float = 0.5,
) -> SliceSet:
    """Draw synthetic slices, image i from the seed `seed + i` alone.

    Batch norm uses its running statistics, so an image does not depend on those
    drawn beside it. Where label maps were learnt, each pixel gets the class that is drawn
    strongest, and parts below 25 mm2 are left out and counted. `preview.png` shows some.
    Interrupted, the same call goes on where it stopped.

    Args:
        run: Folder of a trained run.
        out: Folder to write the set to.
        count: How many images.
        seed: Seed of the first.
        batch: Images computed at once.
        labels: Of a conditional generator, such as "tumour=yes"; unless given, they are as
            frequent as in its training set.
        how: Of a flow: how to draw where not as its recipe says, as "steps=40".
        masks: Of a flow that has learnt label maps: folder of a set for whose maps images are
            drawn, in its order and again from the first; `masks.csv` tells which. Their people
            join those whom the generator has seen.
        masks_split: Which of its maps: a split, or "all".
        near: Folder of a projection of real slices by this run: images are drawn near those, one
            slice after the other and again from the first; `near.csv` tells how far from each.
        spread: How far from them: 0 draws the projections themselves, 1 forgets them.

    Raises:
        DataError: The run has no weights or no such label, or the maps or the projection do not
            fit.
        RunError: The folder holds another set, or other things.
        RecipeError: A flow cannot be drawn from in that way, or the run is none.
    """
    run, out = Path(run), Path(out)
    masks, near = (None if path is None else Path(path) for path in (masks, near))
    if count < 1:
        raise DataError(f"The count of images must be at least 1, not {count}.")
    opened = Run.open(run)
    facts = opened.facts
    opened.refuse_volumes()
    sampler = sampler_of(opened, how)
    if opened.unfinished:
        LOG.warning("%s; these are what it draws by now.", opened.unfinished)
    given = read_given_maps(masks, masks_split, opened) if masks else None
    if near and (given or labels):
        raise DataError("Images near slices have the labels of these: leave masks and labels out.")
    around = read_near(near, opened, spread) if near else None
    about = About(
        source=facts.source,
        synthetic=True,
        channels=facts.channels,
        size=opened.recipe.size,
        classes=facts.classes,
        command=command_line(
            "sample",
            run,
            out,
            count=count,
            seed=seed,
            label=tuple(labels),
            set=tuple(how),
            masks=masks,
            masks_split=masks_split if masks else None,
            near=near,
            spread=spread if near else None,
        ),
        choices={
            "weights": fingerprint([opened.weights()]),
            "count": count,
            "seed": seed,
            "labels": tuple(labels),
            **({"sampler": sampler.model_dump()} if sampler else {}),
            **({"masks": given.fingerprint, "masks_split": masks_split} if given else {}),
            **({"near": around.mark, "spread": spread} if around else {}),
        },
        versions=versions(),
        training_subjects=tuple(
            sorted(
                {
                    *facts.training_subjects,
                    *(given.subjects if given else ()),
                    *(around.subjects if around else ()),
                }
            )
        ),
        notes=notes_of(opened),
    )
    facts.labels.only(labels)  # a wrong one is said before anything is written
    begin_set(out, about)
    device = best_device()
    generator = opened.generator(sampler=sampler, given_maps=given is not None).to(device)
    blocks = [range(seed + i, seed + min(i + BLOCK, count)) for i in range(0, count, BLOCK)]
    names = [f"seeds-{block.start:07d}" for block in blocks]
    with progress("sample", count) as advance:
        for name, block in zip(names, blocks, strict=True):
            if not has_part(out, name):
                inputs, values = opened.inputs(block, labels)
                numbers = range(block.start - seed, block.stop - seed)
                if given:
                    inputs, values = given.inputs(opened, inputs, values, numbers)
                if around:
                    inputs, values = around.inputs(opened, inputs, numbers)
                images = draw_images(generator, inputs, batch)
                rows = _rows(opened, block, values)
                _write(out, name, opened, images, rows, SPECK_MM2 if given is None else 0)
            advance(len(block))
    if facts.classes:
        specks = sum(read_json(out / f"{MAPS}/{name}.json")["specks"] for name in names)
        about = about.model_copy(
            update={"notes": about.notes.model_copy(update={"specks": specks})}
        )
    made = finish(out, about, names)
    if around:
        made = _tell_how_near(made, around, names)
    if given:
        sources = [given.ids[row] for row in given.rows_of(range(count))]
        write_table(out / "masks.csv", pd.DataFrame({"id": made.table["id"], "map_of": sources}))
    draw_preview(made)
    return made


def _tell_how_near(made: SliceSet, near: NearLatents, names: list[str]) -> SliceSet:
    """Write how far images are from the slices that they were drawn near, and warn of copies."""
    table = near.compare(made.images, made.table["id"].tolist())
    write_table(made.folder / "near.csv", table, digits=4)
    if copies := copies_in(table):
        LOG.warning(
            "%s of %s images are nearer to the slice that they were drawn near than anybody "
            "else's slice is (near.csv): they show that person rather than somebody new. A larger "
            "spread leads away.",
            f"{copies:,}",
            f"{len(table):,}",
        )
    notes = made.about.notes.model_copy(update={"near": facts_of(near, table)})
    return finish(made.folder, made.about.model_copy(update={"notes": notes}), names)


def _write(
    out: Path,
    name: str,
    run: Run,
    drawn: Float16[np.ndarray, "n c h w"],
    rows: pd.DataFrame,
    speck_mm2: float,
) -> None:
    """Write a part of a set: images, and the label maps that were drawn with them.

    Args:
        out: Folder of the set.
        name: Of the part.
        run: What drew it.
        drawn: Images, and behind them a channel a class.
        rows: Of the images; tumours are told by the maps, where there are any.
        speck_mm2: Parts of maps that are smaller are left out; 0 keeps all.
    """
    facts = run.facts
    if not facts.classes:
        write_part(out, name, drawn, rows)
        return
    images, channels = np.split(drawn, [len(facts.channels)], 1)
    pixel_mm2 = facts.pixel_mm**2
    least = max(2, round(speck_mm2 / pixel_mm2)) if pixel_mm2 else 2
    least = least if speck_mm2 else 0
    maps, specks = without_specks(from_channels(torch.from_numpy(channels)), least)
    if pixel_mm2:
        areas = [round(float(count) * pixel_mm2, 2) for count in (maps > 0).sum((1, 2))]
        words = [tumour_word(area, SlicePlan().tumour_mm2) for area in areas]
        rows = rows.assign(tumour_mm2=areas, tumour=words)
    write_json(out / f"{MAPS}/{name}.json", {"specks": specks})
    write_part(out, name, images, rows, maps)


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
