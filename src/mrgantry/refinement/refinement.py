"""Refine a set of slices: nearer to real images, with the anatomy and the labels that it has.

OUT gets the set, and beside its slices:

strengths.csv       what each strength that was tried leaves of anatomy
strengths.png       some slices at each of them
refiner.pt          the refiner, and all that a killed training goes on from
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from mrgantry.common.device import best_device
from mrgantry.common.errors import DataError, RecipeError
from mrgantry.common.files import AnyPath, fingerprint
from mrgantry.common.progress import progress
from mrgantry.common.provenance import command_line, versions
from mrgantry.common.tables import write_table
from mrgantry.data.about import About
from mrgantry.data.fitness import check_alike, check_shape, people_behind, values_of
from mrgantry.data.making import begin_set, finish
from mrgantry.data.parts import has_part, write_part
from mrgantry.data.preview import draw_preview
from mrgantry.data.slices import SliceSet
from mrgantry.generate.flow import FlowSampler
from mrgantry.generate.labels import Labels
from mrgantry.generate.projection import codes_of
from mrgantry.generate.recipe import FlowRecipe
from mrgantry.generate.run import Run
from mrgantry.refinement.agreement import TWO_VISITS
from mrgantry.refinement.refiner import Lesson, learn
from mrgantry.refinement.strength import (
    Trial,
    largest,
    refined_images,
    save_trials,
    table_of,
    trials,
)
from mrgantry.refinement.way import MOST_CHANGE, MOST_NOISE, Way, changing, renoising

BLOCK = 500  # images a part
FEWEST = 20  # real images that a refiner can learn from


def refine(
    slices: AnyPath,
    out: AnyPath,
    towards: AnyPath | None = None,
    *,
    run: AnyPath | None = None,
    strength: float | None = None,
    images: int | None = None,
    seed: int = 0,
) -> SliceSet:
    """Make images of a set look more like real ones, and leave in place what they show.

    A refiner is trained towards the training split of a real set; or a flow that was trained on
    real images draws anew what a share of noise hides. How far either goes is chosen: as far as
    tissue and lesions, as the brain network sees them, stay as they do between two visits of one
    person. Ids, labels and label maps stay. Interrupted, the same call goes on.

    Args:
        slices: Folder of the set: simulated slices, or what a generator drew.
        out: Folder to write the refined set to.
        towards: Folder of a real set; a refiner learns from its training split.
        run: Instead, folder of a flow that was trained on real images of that kind.
        strength: How far to go, from 0 to 1; unless given, it is chosen.
        images: That a refiner is shown; 12,000 unless given.
        seed: Of the noise, and of the refiner.

    Raises:
        DataError: The sets or the run do not fit each other, or no strength keeps anatomy.
        RecipeError: The run is a GAN, or learnt label maps.
        RunError: The folder holds another set, or other things; or the run has no weights.
    """
    slices, out = Path(slices), Path(out)
    towards, run = (None if path is None else Path(path) for path in (towards, run))
    images = Lesson().images if images is None else images
    refuse_wrong_numbers(towards, run, strength, images)
    data = SliceSet.open(slices)
    if data.about.poses:
        raise DataError(f"{slices} holds oblique poses; refine slices of one plane.")
    opened = Run.open(run) if run else None
    real = SliceSet.open(towards).split("train") if towards else None
    labels = check_run(data, opened) if opened else Labels()
    if real is not None:
        check_real(data, real)
    about = describe(data, real, opened, strength, images, seed, out)
    begin_set(out, about)
    way = way_of(data, real, opened, images, seed, out)
    if strength is None:
        strength, facts = chosen_strength(way, data, labels, out)
    else:
        facts = {"strength": strength, "chosen": False}
    names = write_parts(way, data, labels, strength, about, out)
    notes = data.about.notes.model_copy(update={"refined": facts})
    made = finish(out, about.model_copy(update={"notes": notes}), names)
    draw_preview(made)
    return made


def refuse_wrong_numbers(
    towards: Path | None, run: Path | None, strength: float | None, images: int
) -> None:
    """Refuse what no refinement can be made of.

    Raises:
        DataError: Neither or both of real images and a run are named, or a number is out of range.
    """
    if (towards is None) == (run is None):
        raise DataError(
            "Name either real slices to learn from (--towards SLICES) or a flow that was trained "
            "on such (--run RUN)."
        )
    most = MOST_NOISE if run else MOST_CHANGE
    if strength is not None and not 0 < strength <= most:
        raise DataError(f"The strength must be above 0 and at most {most:g}, not {strength:g}.")
    if images < 1:
        raise DataError(f"A refiner must be shown at least 1 image, not {images}.")


def check_run(data: SliceSet, run: Run) -> Labels:
    """Refuse a run that cannot draw such images; give its labels.

    Raises:
        DataError: Its images are of another kind or size, or it knows no such labels.
        RecipeError: It is a GAN, or draws label maps.
    """
    run.refuse_volumes()
    if not isinstance(run.recipe, FlowRecipe):
        raise RecipeError(
            f"{run.folder} is a GAN, which cannot begin from an image; take a flow, as gantry-64, "
            "or let a refiner learn with --towards SLICES."
        )
    if run.facts.classes:
        raise RecipeError(
            f"{run.folder} draws label maps with its images; take a flow of images alone."
        )
    wanted = len(run.facts.channels), run.recipe.size
    check_shape(data, wanted, f"what {run.folder} draws", "prepare slices of that kind")
    for column, of_run in (("plane", run.facts.plane), ("sequence", run.facts.sequence)):
        shown, known = values_of(data, column), set(of_run.split("+"))
        if shown and not shown & known:
            raise DataError(
                f"{data.folder} has the {column} {', '.join(sorted(shown))}, but {run.folder} was "
                f"trained on {of_run}; a flow refines images of the kind that it knows."
            )
    codes_of(run, data)
    return run.facts.labels


def check_real(data: SliceSet, real: SliceSet) -> None:
    """Refuse real images that a refiner cannot learn from.

    Raises:
        DataError: They are of another kind or size, synthetic, or too few.
    """
    check_alike(real, data)
    if real.about.synthetic:
        raise DataError(f"{real.folder} is synthetic; refine towards real images.")
    if len(real) < FEWEST:
        raise DataError(
            f"The training split of {real.folder} has {len(real)} images; a refiner needs at "
            f"least {FEWEST}."
        )


def describe(
    data: SliceSet,
    real: SliceSet | None,
    run: Run | None,
    strength: float | None,
    images: int,
    seed: int,
    out: Path,
) -> About:
    """Say what the refined set will be, before it is made.

    Args:
        data: What is refined.
        real: What a refiner learns from, or None.
        run: The flow, or None.
        strength: How far; None if it is chosen.
        images: That a refiner is shown.
        seed: Of what is drawn.
        out: Folder of the refined set.
    """
    if run is not None:
        told, source = run.facts.training_subjects, run.facts.source
        learnt_from: dict[str, Any] = {"weights": fingerprint([run.weights()])}
    else:
        assert real is not None
        told, source = tuple(real.table["subject"].astype(str)), real.about.source
        learnt_from = {"towards": real.about.fingerprint, "images": images}
    own = people_behind(data)  # refined images of a person still tell of that person
    options = {"run": run.folder if run else None, "strength": strength, "seed": seed}
    if real is not None and images != Lesson().images:
        options["images"] = images
    words = [data.folder, out]
    return data.about.model_copy(
        update={
            "complete": False,
            "source": source,
            "synthetic": True,
            "command": command_line(
                "refine", *words, towards=real.folder if real is not None else None, **options
            ),
            "choices": {
                "refined_from": data.about.fingerprint,
                **learnt_from,
                "strength": strength,
                "seed": seed,
            },
            "versions": versions(),
            "training_subjects": tuple(sorted({*told, *own} - {""})),
            "parts": (),
            "rows": (),
            "fingerprint": "",
            "table_fingerprint": "",
        }
    )


def way_of(
    data: SliceSet, real: SliceSet | None, run: Run | None, images: int, seed: int, out: Path
) -> Way:
    """Prepare the way from images to refined ones; a refiner is trained now.

    Args:
        data: What is refined.
        real: What a refiner learns from, or None.
        run: The flow, or None.
        images: That a refiner is shown.
        seed: Of what is drawn.
        out: Folder of the refined set.
    """
    if run is not None:
        return renoising(cast(FlowSampler, run.generator().to(best_device())), seed)
    assert real is not None
    made, looks = (torch.from_numpy(of.images).float() for of in (data, real))
    return changing(learn(made, looks, Lesson(images=images), out / "refiner.pt", seed))


def chosen_strength(
    way: Way, data: SliceSet, labels: Labels, out: Path
) -> tuple[float, dict[str, Any]]:
    """Try strengths, write what came of it, and take the largest that keeps anatomy.

    Raises:
        DataError: None does.
    """
    before, made = trials(way, data, labels)
    write_table(out / "strengths.csv", table_of(made), digits=4)
    holding = [trial.strength for trial in made if trial.holds]
    save_trials(out / "strengths.png", before, made, max(holding, default=0.0))
    strength = largest(made, data.folder)
    taken: Trial = next(trial for trial in made if trial.strength == strength)
    return strength, {
        "strength": strength,
        "chosen": True,
        "kept": {name: number(value) for name, value in taken.kept._asdict().items()},
        "two_visits": TWO_VISITS._asdict(),
    }


def number(value: float) -> float | None:
    """Give a number as JSON can hold it."""
    return None if np.isnan(value) else round(value, 4)


def write_parts(
    way: Way, data: SliceSet, labels: Labels, strength: float, about: About, out: Path
) -> Sequence[str]:
    """Refine all images, a part at a time; parts that are there stay.

    Args:
        way: How.
        data: What is refined.
        labels: What the way is told of images.
        strength: How far.
        about: Of the refined set.
        out: Its folder.
    """
    names = []
    with progress("refine", len(data)) as advance:
        for first in range(0, len(data), BLOCK):
            name = f"rows-{first:07d}"
            block = data.where(np.arange(len(data)) // BLOCK == first // BLOCK)
            if not has_part(out, name):
                rows = block.table.assign(source="synthetic", made_by=f"refined {data.name}")
                maps = block.maps if about.classes else None
                write_part(out, name, refined_images(way, block, labels, strength), rows, maps)
            names.append(name)
            advance(len(block))
    return names
