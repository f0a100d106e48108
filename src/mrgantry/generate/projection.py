"""Latents whose images come nearest to real slices, and what they tell of overfitting.

Of a GAN they are searched for (`search.py`), of a flow they are found by going back
(`inversion.py`).

A generator that draws a slice of a patient whom it never saw has learnt anatomy. One that
reconstructs its training slices better than held-out ones has memorised some of them
(Webster et al. 2019). Han et al. (2018) name the way from images back to latents as
future work.

projection.csv          a row a slice: how well it is reconstructed
latents.npy             their latents, in the order of the rows
project.png             real, projected, and the difference
project.json            medians, overfitting and verdict; how it was made
parts/*.npz             what an interrupted projection goes on from
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float16
from torch import Tensor

from mrgantry.common.device import best_device
from mrgantry.common.display import Display, Displayed
from mrgantry.common.errors import DataError
from mrgantry.common.files import AnyPath, fingerprint, whole
from mrgantry.common.provenance import command_line
from mrgantry.common.tables import write_table
from mrgantry.data.fitness import check_shape
from mrgantry.data.rows import by_turns, meets
from mrgantry.data.slices import SliceSet
from mrgantry.generate.facing import save_facing
from mrgantry.generate.flow import FlowSampler
from mrgantry.generate.inversion import Inversion
from mrgantry.generate.overfitting import Overfitting, overfitting_of
from mrgantry.generate.projected import Projected
from mrgantry.generate.recipe import FlowRecipe
from mrgantry.generate.results import begin_results, finish_results
from mrgantry.generate.run import Run
from mrgantry.generate.search import Search

SEARCH_STEPS, INVERSION_STEPS = 300, 50  # unless others are asked for
ERROR = "velocity_error"  # column of a flow's tables
NOTHING_COMPARED = (
    "Nothing is compared: that takes training slices and held-out ones, of the set that the run "
    "was trained on."
)


@dataclass(frozen=True, eq=False, repr=False)
class Projection(Displayed):
    """What a projection has left.

    Attributes:
        folder: Where it lies.
        table: One row a slice: `id`, `subject`, `split`, `rmse` of intensities in [-1, 1],
            and the `correlation` of pixels, between the slice and its projection; of a flow
            also its `velocity_error` at the slice.
        overfitting: Of held-out with training slices, if both were projected.
        verdict: What follows, in a sentence.
    """

    folder: Path
    table: pd.DataFrame
    overfitting: Overfitting | None
    verdict: str

    @property
    def display(self) -> Display:
        """Show the verdict, the picture, and the median errors of each split."""
        return Display([self.verdict], self.medians().reset_index(), self.folder / "project.png")

    def medians(self) -> pd.DataFrame:
        """Give, for each split, how many slices and subjects, and the median errors."""
        return self.table.groupby("split", sort=False).agg(
            slices=("id", "size"),
            subjects=("subject", "nunique"),
            rmse=("rmse", "median"),
            correlation=("correlation", "median"),
            **({ERROR: (ERROR, "median")} if ERROR in self.table else {}),
        )


def project(
    run: AnyPath,
    slices: AnyPath,
    out: AnyPath,
    count: int = 8,
    splits: Sequence[str] = ("train", "test"),
    steps: int | None = None,
    restarts: int = 4,
    ids: Sequence[str] = (),
    seed: int = 0,
) -> Projection:
    """Find the latents whose images come nearest to real slices.

    A slice's latents follow from its id and the seed, so they do not depend on what else is
    projected. Interrupted, the same call goes on where it stopped.

    Args:
        run: Folder of a trained run.
        slices: Folder of the set; the one that the run was trained on, if training slices
            are to be compared with held-out ones.
        out: Folder to write to.
        count: Slices of each split, of as many subjects as possible.
        splits: Which splits.
        steps: Of a GAN: of Adam for each slice, 300 unless given. Of a flow: of the way back and
            forth, 50 unless given.
        restarts: Of a GAN: random latents that each slice's search starts from; the best end
            is kept.
        ids: Project these slices instead, whatever their split.
        seed: Of the choice of slices, and of the starts.

    Raises:
        DataError: The slices do not fit the run, they were not its training slices, or there
            is no such slice.
        RunError: The run has no weights yet, or the folder holds something else.
    """
    run, slices, out = Path(run), Path(slices), Path(out)
    opened, data = Run.open(run), SliceSet.open(slices)
    opened.refuse_volumes()
    flow = isinstance(opened.recipe, FlowRecipe)
    steps = (INVERSION_STEPS if flow else SEARCH_STEPS) if steps is None else steps
    for name, value in {"count": count, "steps": steps, "restarts": restarts}.items():
        if value < 1:
            raise DataError(f"The number of {name} must be at least 1, not {value}.")
    refuse_unfit(opened, data)
    if "train" in splits and not ids:
        refuse_unseen(opened, data)
    chosen = find(data, ids) if ids else choose(data, splits, opened.facts.only, count, seed)
    codes = codes_of(opened, chosen)
    which = {"id": tuple(ids)} if ids else {"count": count, "split": tuple(splits)}
    how = {"steps": steps, "restarts": restarts, "seed": seed}
    asked = which | how
    made_of = {"weights": fingerprint([opened.weights()]), "slices": data.about.fingerprint}
    command = command_line("project", run, slices, out, **asked)
    begin_results(out, "project.json", command, made_of | asked)
    projected = way_of(opened, steps, restarts, seed).go(chosen, codes, out / "parts")
    return write(out, opened, chosen, projected)


def way_of(run: Run, steps: int, restarts: int, seed: int) -> Search | Inversion:
    """Give the way from slices to latents that a run's kind has.

    Args:
        run: Whose latents.
        steps: Of the search, or of the way back.
        restarts: Of the search.
        seed: Of what is drawn.
    """
    recipe, device = run.recipe, best_device()
    if isinstance(recipe, FlowRecipe):
        # The way back must be gone as exactly as the way forth.
        how = recipe.sampler.model_copy(update={"steps": steps, "method": "heun", "guidance": 1.0})
        return Inversion(cast(FlowSampler, run.generator(sampler=how).to(device)), seed)
    # This layout of memory took 30 % off the time of convolutions on a CPU.
    generator = run.generator().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Search(run, generator, recipe.network.latent, steps, restarts, seed)


def refuse_unfit(run: Run, data: SliceSet) -> None:
    """Refuse slices that the run's generator cannot draw.

    Raises:
        DataError: Their size or their number of channels is another, or it draws label maps, too.
    """
    if run.facts.classes:
        raise DataError(
            f"{run.folder} draws label maps with its images, so what it makes of an image alone "
            "cannot be found. Take a run that draws images alone."
        )
    wanted = len(run.facts.channels), run.recipe.size
    check_shape(data, wanted, f"what {run.folder} draws", "prepare slices of that kind")


def refuse_unseen(run: Run, data: SliceSet) -> None:
    """Refuse another set than the run was trained on, whose split "train" it has not seen.

    Raises:
        DataError: It is another.
    """
    if data.about.fingerprint != run.facts.data_fingerprint:
        raise DataError(
            f"{data.folder} is not the set that {run.folder} was trained on (that was "
            f"{run.facts.data}), so the run has not seen its split 'train'. Take that set, or "
            "only held-out slices with --split test."
        )


def find(data: SliceSet, ids: Sequence[str]) -> SliceSet:
    """Keep the slices of some ids.

    Raises:
        DataError: There is no such slice.
    """
    missing = set(ids) - set(data.table["id"])
    if missing:
        raise DataError(
            f"{data.folder} has no slice {min(missing)!r}; its slices.csv lists all ids."
        )
    return data.where(data.table["id"].isin(ids).to_numpy())


def choose(
    data: SliceSet, splits: Sequence[str], only: Sequence[str], count: int, seed: int
) -> SliceSet:
    """Choose some slices of each split, of as many subjects as possible.

    Args:
        data: The whole set.
        splits: Where to choose.
        only: Conditions of the training, as "tumour=yes", which all must meet: what it left
            out was not seen.
        count: How many of each split; all, where it has fewer.
        seed: Of the choice.

    Raises:
        DataError: A split has no such slice.
    """
    kept = np.zeros(len(data), dtype=bool)
    for split in splits:
        candidates = data.split(split)
        candidates = candidates.where(meets(candidates.table, only).to_numpy())
        if not len(candidates):
            raise DataError(
                f"The split {split!r} of {data.folder} has no slice with {' and '.join(only)}, "
                "which the run was trained on alone. Choose another --split."
            )
        rows = by_turns(candidates.table["subject"], np.random.default_rng(seed))
        kept[candidates.places[rows[:count]]] = True
    return data.where(kept)


def codes_of(run: Run, data: SliceSet) -> Float[Tensor, "n k"]:
    """Encode the labels of slices for a conditional generator.

    Raises:
        DataError: A slice has labels that no training slice had.
    """
    labels = run.facts.labels
    seen = {combination for combination, _ in labels.seen}
    rows = data.table[list(labels.levels)].astype(str).itertuples(index=False, name=None)
    for name, row in zip(data.table["id"], rows if labels.levels else (), strict=False):
        if row not in seen:
            values = ", ".join(
                f"{key}={value}" for key, value in zip(labels.levels, row, strict=True)
            )
            combinations = "; ".join(", ".join(combination) for combination in sorted(seen))
            raise DataError(
                f"The slice {name} of {data.folder} has {values}, which the run was never told (it "
                f"knows {combinations}). Name other slices with --id."
            )
    return labels.of_rows(data.table)


def write(out: Path, run: Run, data: SliceSet, projected: Projected) -> Projection:
    """Measure the projections, compare the splits and write all of it.

    Args:
        out: Folder to write to.
        run: Whose generator it was.
        data: The real slices.
        projected: What was found of them.
    """
    held_out_last = (data.table["split"] != "train").to_numpy()
    order = np.argsort(held_out_last, kind="stable")
    real, projected = data.images[order], projected.ordered(order)
    table = data.table.loc[order, ["id", "subject", "split"]].reset_index(drop=True)
    table = table.assign(**errors_of(real, projected.images))
    if len(projected.velocity_errors):
        table[ERROR] = projected.velocity_errors
    held_out = table["split"] != "train"
    # Whether its split "train" was seen, all of what was chosen of it.
    seen = (
        data.about.fingerprint == run.facts.data_fingerprint
        and not (~held_out & ~meets(data.table.loc[order], run.facts.only).to_numpy()).any()
    )
    both = seen and held_out.any() and not held_out.all()
    column = ERROR if ERROR in table else "rmse"
    overfitting = overfitting_of(table, column) if both else None
    verdict = overfitting.verdict if overfitting else NOTHING_COMPARED
    done = Projection(out, table, overfitting, verdict)
    write_table(out / "projection.csv", table, digits=6)
    with whole(out / "latents.npy") as aside, aside.open("wb") as file:
        np.save(file, projected.latents)
    save_facing(out / "project.png", real, projected.images, table)
    medians = done.medians().reset_index().to_dict("records")
    facts = {
        "source": data.about.source,
        "slices": str(data.folder.resolve()),
        "recipe": run.recipe.name,
        "prior": run.recipe.prior,
        "medians": medians,
        "overfitting": asdict(overfitting) if overfitting else None,
        "verdict": verdict,
    }
    finish_results(out, "project.json", facts)
    return done


def errors_of(
    real: Float16[np.ndarray, "n c h w"], images: Float16[np.ndarray, "n c h w"]
) -> dict[str, Float[np.ndarray, " n"]]:
    """Give the root mean squared difference and the correlation of pixels of each pair.

    The correlation with an image of a single grey value is 0.
    """
    x, y = (stack.reshape(len(stack), -1).astype(np.float64) for stack in (real, images))
    rmse = np.sqrt(((x - y) ** 2).mean(1))
    x, y = (rows - rows.mean(1, keepdims=True) for rows in (x, y))
    lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    return {"rmse": rmse, "correlation": (x * y).sum(1) / np.maximum(lengths, 1e-12)}
