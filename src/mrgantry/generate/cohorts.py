"""Draw whole heads from a run, as a cohort of scans.

What takes scans takes them: `prepare` cuts them into slices of any plane, and measures, detection,
segmentation and reader study follow.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float16, Integer

from mrgantry.common import workfolder
from mrgantry.common.device import best_device
from mrgantry.common.errors import DataError, RecipeError
from mrgantry.common.files import AnyPath, fingerprint, read_json, write_json
from mrgantry.common.picture import save_grid, three_planes
from mrgantry.common.progress import progress
from mrgantry.common.provenance import command_line, versions
from mrgantry.common.tables import write_table
from mrgantry.common.version import VERSION
from mrgantry.data.formats import write_nifti
from mrgantry.data.generated import COHORT, Generated
from mrgantry.data.label_maps import from_channels, without_specks
from mrgantry.data.names import SEQUENCES
from mrgantry.data.volume import read_volume
from mrgantry.generate.drawing import draw_images
from mrgantry.generate.given_maps import read_given_maps
from mrgantry.generate.run import Run
from mrgantry.generate.sampling import notes_of, sampler_of

LOG = logging.getLogger(__name__)
BRIGHTEST = 1000  # of the stored intensities, which are whole numbers; background is 0
SPECK_MM3 = 125.0  # parts of drawn label maps that are smaller are left out
AT_ONCE = 2  # heads
PICTURED = 10  # heads in preview.png
LABELS = "label_tumour"  # what the files of label maps are called; `prepare` knows them by it


def sample_cohort(
    run: AnyPath,
    cohort: AnyPath,
    count: int = 20,
    seed: int = 0,
    *,
    labels: Sequence[str] = (),
    how: Sequence[str] = (),
    masks: AnyPath | None = None,
    masks_split: str = "train",
) -> Path:
    """Draw synthetic heads, head i from the seed `seed + i` alone, and write them as scans.

    Each is a folder with a NIfTI file a sequence and, where label maps were learnt, one of labels
    (`_label_tumour`), whose parts below 125 mm3 are left out. `cohort.json` says who was trained
    on, `cohort.csv` which seed is which head, and `preview.png` shows some in three planes.
    Interrupted, the same call goes on where it stopped.

    Args:
        run: Folder of a run that was trained on volumes.
        cohort: Folder to write to.
        count: How many heads.
        seed: Seed of the first.
        labels: Of a conditional generator, such as "tumour=yes"; unless given, they are as
            frequent as in its training set.
        how: Of a flow: how to draw where not as its recipe says, as "steps=40".
        masks: Of a flow that has learnt label maps: folder of a set of heads for whose maps heads
            are drawn, in its order and again from the first; the column `map_of` of `cohort.csv`
            tells which. Their people join those whom the generator has seen.
        masks_split: Which of its maps: a split, or "all".

    Returns:
        The folder.

    Raises:
        DataError: The run has no weights or no such label, or the maps do not fit.
        RunError: The folder holds another cohort, or other things.
        RecipeError: The run draws slices, or a flow cannot be drawn from in that way.
    """
    run, cohort = Path(run), Path(cohort)
    if count < 1:
        raise DataError(f"The count of heads must be at least 1, not {count}.")
    opened = Run.open(run)
    if not opened.recipe.voxels:
        raise RecipeError(f"{run} draws slices, not heads: take `sample`.")
    sampler = sampler_of(opened, how)
    opened.facts.labels.only(labels)  # a wrong one is said before anything is written
    if opened.unfinished:
        LOG.warning("%s; these are what it draws by now.", opened.unfinished)
    given = read_given_maps(Path(masks), masks_split, opened) if masks else None
    made = Generated(
        made_by=f"{opened.name} ({opened.recipe.name})",
        source=opened.facts.source,
        training_subjects=tuple(
            sorted({*opened.facts.training_subjects, *(given.subjects if given else ())})
        ),
        classes=tuple(f"{k}={name}" for k, name in enumerate(opened.facts.classes, 1)),
        command=command_line(
            "sample",
            run,
            cohort,
            count=count,
            seed=seed,
            label=tuple(labels),
            set=tuple(how),
            masks=masks,
            masks_split=masks_split if masks else None,
        ),
        choices={
            "weights": fingerprint([opened.weights()]),
            "seed": seed,
            "labels": tuple(labels),
            **({"sampler": sampler.model_dump()} if sampler else {}),
            **({"masks": given.fingerprint, "masks_split": masks_split} if given else {}),
        },
        versions=versions(),
        notes=notes_of(opened),
    )
    _claim(cohort, made)
    generator = opened.generator(sampler=sampler, given_maps=given is not None).to(best_device())
    rows: list[dict[str, Any]] = []
    with progress("sample", count) as advance:
        for first in range(seed, seed + count, AT_ONCE):
            seeds = range(first, min(first + AT_ONCE, seed + count))
            inputs, values = opened.inputs(seeds, labels)
            if given:
                numbers = range(seeds.start - seed, seeds.stop - seed)
                inputs, values = given.inputs(opened, inputs, values, numbers)
            heads = [
                _Head(opened, cohort, *drawn, 0 if given else SPECK_MM3)
                for drawn in zip(seeds, values, strict=True)
            ]
            if not all(head.is_written for head in heads):
                for head, image in zip(heads, draw_images(generator, inputs), strict=True):
                    head.write(image)
            rows += [head.row for head in heads]
            advance(len(seeds))
    table = pd.DataFrame(rows)
    if given:
        table["map_of"] = [given.ids[row] for row in given.rows_of(range(count))]
    write_table(cohort / "cohort.csv", table)
    _draw_preview(cohort, rows)
    return cohort


def _claim(cohort: Path, made: Generated) -> None:
    """Take the folder for this cohort, or go on with the same one; more heads are welcome.

    Raises:
        RunError: It holds a cohort of other choices, or other things.
    """
    if workfolder.is_begun(cohort, COHORT, "a synthetic cohort"):
        stored = read_json(cohort / COHORT)
        workfolder.refuse_changes(cohort, stored.get("choices"), made.choices)
    write_json(cohort / COHORT, made.model_dump())


class _Head:
    """One head of a cohort: its name, its files, its row.

    Args:
        run: What draws it.
        cohort: Folder of the cohort.
        seed: Of the head.
        values: Of its labels.
        speck_mm3: Parts of its label map that are smaller are left out; 0 keeps all.
    """

    def __init__(
        self, run: Run, cohort: Path, seed: int, values: tuple[str, ...], speck_mm3: float
    ) -> None:
        self.run, self.seed, self.speck_mm3 = run, seed, speck_mm3
        self.name = f"synthetic-{seed:07d}"
        self.labels = dict(zip(run.facts.labels.levels, values, strict=True))
        channels = run.facts.channels
        if not set(channels) <= set(SEQUENCES):  # one channel, which shows one of several
            channels = (self.labels.get("sequence", run.facts.sequence),)
        folder = cohort / self.name
        self.files = [folder / f"{self.name}_{sequence}.nii.gz" for sequence in channels]
        self.label_map = folder / f"{self.name}_{LABELS}.nii.gz" if run.facts.classes else None

    @property
    def is_written(self) -> bool:
        """Say whether an earlier call has written all of its files."""
        files = [*self.files, *([self.label_map] if self.label_map else [])]
        return all(file.is_file() for file in files)

    @property
    def row(self) -> dict[str, Any]:
        """Give its row of the table of the cohort."""
        files = [file.relative_to(file.parents[1]).as_posix() for file in self.files]
        return {"subject": self.name, "seed": self.seed, **self.labels, "files": ";".join(files)}

    def write(self, drawn: Float16[np.ndarray, "c d h w"]) -> None:
        """Write its scans, and its label map if there is one."""
        facts = self.run.facts
        images, channels = np.split(drawn.astype(np.float32), [len(facts.channels)])
        people = "of simulated people, " if facts.source == "simulated" else ""
        said = f"synthetic by mrgantry {VERSION}, {people}seed {self.seed}"
        affine = centred(images.shape[1:], facts.pixel_mm)
        for file, image in zip(self.files, images, strict=True):
            stored = np.rint((image.clip(-1, 1) + 1) / 2 * BRIGHTEST).astype(np.int16)
            write_nifti(file, as_stored(stored), affine, said)
        if self.label_map:
            least = max(2, round(self.speck_mm3 / facts.pixel_mm**3)) if self.speck_mm3 else 0
            maps, _ = without_specks(from_channels(torch.from_numpy(channels)[None]), least)
            write_nifti(self.label_map, as_stored(maps[0]), affine, said)


def as_stored(head: Integer[np.ndarray, "d h w"]) -> Integer[np.ndarray, "x y z"]:
    """Turn a head from axial slices, front above and right on the left, to axes RAS+."""
    return np.ascontiguousarray(head.transpose(2, 1, 0)[::-1, ::-1])


def centred(shape: tuple[int, ...], voxel_mm: float) -> Float[np.ndarray, "4 4"]:
    """Give the affine of a head (depth, height, width) whose middle is the scanner's."""
    affine = np.diag([voxel_mm] * 3 + [1.0])
    affine[:3, 3] = -voxel_mm * (np.array(shape[::-1]) - 1) / 2
    return affine


def _draw_preview(cohort: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Draw the first heads in three planes, each sequence by itself."""
    heads = []
    for row in rows[:PICTURED]:
        scans = [read_volume(cohort / file).voxels for file in row["files"].split(";")]
        upright = np.stack(scans)[:, ::-1, ::-1].transpose(0, 3, 2, 1)
        heads.append(upright / BRIGHTEST * 2 - 1)
    save_grid(cohort / "preview.png", torch.from_numpy(three_planes(np.stack(heads))), 6)
