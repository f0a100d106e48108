"""A cohort on disk in BRATS layout: many patients at once, resumable, with a manifest."""

import math
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from mrgantry import __version__
from mrgantry.common.errors import DataError
from mrgantry.common.files import read_json, whole, write_json
from mrgantry.common.progress import progress
from mrgantry.common.provenance import command_line, short, versions
from mrgantry.common.workers import each
from mrgantry.simulate.contrast import SEQUENCES
from mrgantry.simulate.fields import Box
from mrgantry.simulate.patient import Patient, draw_patient
from mrgantry.simulate.preview import write_preview
from mrgantry.simulate.template import CITATION, NOTICE, load_template

RECIPE = 1  # another number means other images from the same seed
SUFFIXES = {"t1": "t1", "t1c": "t1ce", "t2": "t2", "flair": "flair"}
STATEMENT = (
    "Simulated images. They test software and teach; they are no evidence about patients, "
    "and nothing measured on them carries over to real scans."
)
BRATS_SHAPE = (240, 240, 155)
BRATS_AFFINE = np.array([[-1, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]], float)
CORNER = (24, 8, 1)  # of the canvas in a BRATS volume, before it is turned to LPS


def simulate(
    cohort: Path,
    subjects: int = 20,
    seed: int = 0,
    healthy: float = 0.0,
    sequences: Sequence[str] = SEQUENCES,
    *,
    workers: int | None = None,
) -> Path:
    """Write a simulated cohort of brain MR scans in BRATS layout.

    Each subject is the same whatever the size of the cohort, the sequences asked for
    and the number of workers. The same call again continues where an interrupted one
    stopped; a larger `subjects` adds to a cohort.

    Args:
        cohort: Folder to write to, as HGG/, LGG/ and healthy/, one folder a subject.
        subjects: Size of the cohort.
        seed: Another seed gives other subjects.
        healthy: Fraction without a tumour; three in four tumours are high grade.
        sequences: Which of "t1", "t1c", "t2" and "flair" to scan.
        workers: Processes; by default one a core.

    Returns:
        The folder.

    Raises:
        DataError: An argument is out of range, or the folder holds another cohort.
    """
    _check(subjects, seed, healthy, sequences, workers)
    chosen = [name for name in SEQUENCES if name in sequences]
    cohort = Path(cohort)
    about = _about(cohort, subjects, seed, healthy, chosen)
    _claim(cohort, about)
    load_template()  # here, so that workers find it prepared
    work = partial(_write_subject, cohort, seed, healthy, chosen)
    records = {}
    with progress("simulate", total=subjects) as advance:
        for number, record in each(work, range(1, subjects + 1), workers):
            records[number] = record
            advance(1, record["subject"])
    table = pd.json_normalize([records[number] for number in sorted(records)], sep="_")
    with whole(cohort / "cohort.csv") as aside:
        table.to_csv(aside, index=False)
    write_preview(cohort, chosen)
    return cohort


def grade_of(number: int, healthy: float) -> str:
    """Decide a subject's group so that the fractions hold at every size of the cohort.

    >>> [grade_of(number, 0.2) for number in range(1, 7)]
    ['HGG', 'HGG', 'HGG', 'LGG', 'healthy', 'HGG']
    """
    without = math.floor(number * healthy + 1e-9)
    if without > math.floor((number - 1) * healthy + 1e-9):
        return "healthy"
    return "LGG" if (number - without) % 4 == 0 else "HGG"


def _check(
    subjects: int, seed: int, healthy: float, sequences: Sequence[str], workers: int | None
) -> None:
    """Refuse arguments that make no cohort."""
    if subjects < 1:
        raise DataError(f"A cohort needs at least one subject, not {subjects}.")
    if seed < 0:
        raise DataError(f"The seed must not be negative, as {seed} is.")
    if not 0 <= healthy <= 1:
        raise DataError(f"The healthy fraction must lie between 0 and 1, not be {healthy}.")
    if workers is not None and workers < 1:
        raise DataError(f"At least one worker is needed, not {workers}.")
    unknown = [name for name in sequences if name not in SEQUENCES]
    if unknown or not sequences:
        found = ", ".join(unknown) or "none"
        raise DataError(f"Sequences must be among {', '.join(SEQUENCES)}; got {found}.")


def _about(
    cohort: Path, subjects: int, seed: int, healthy: float, sequences: list[str]
) -> dict[str, Any]:
    """Describe a cohort: what it is, whose template it rests on, how to make it again."""
    arguments = {"subjects": subjects, "seed": seed, "healthy": healthy, "sequences": sequences}
    return {
        "simulated": True,
        "statement": STATEMENT,
        "command": command_line(
            "simulate",
            short(cohort),
            subjects=subjects,
            seed=seed,
            healthy=healthy,
            sequences=sequences,
        ),
        "arguments": arguments,
        "recipe": RECIPE,
        "seed": seed,
        "versions": versions(),
        "template": {"notice": NOTICE, "citation": CITATION},
    }


def _claim(cohort: Path, about: dict[str, Any]) -> None:
    """Take the folder for this cohort, or refuse one that holds something else."""
    if cohort.exists() and not cohort.is_dir():
        raise DataError(f"{cohort} is a file; name a folder for the cohort.")
    _sweep(cohort)
    file = cohort / "cohort.json"
    if file.exists():
        _compare(cohort, read_json(file), about)
    elif cohort.exists() and any(cohort.iterdir()):
        raise DataError(f"{cohort} holds other files; name a new or empty folder.")
    write_json(file, about)


def _compare(cohort: Path, old: Any, about: dict[str, Any]) -> None:
    """Refuse to continue a cohort with other arguments; more subjects are welcome."""
    if not isinstance(old, dict) or not isinstance(old.get("arguments"), dict):
        raise DataError(f"{cohort / 'cohort.json'} describes no simulated cohort; name another.")
    before = old["arguments"] | {"recipe": old.get("recipe")}
    for name, value in (about["arguments"] | {"recipe": RECIPE}).items():
        if name == "subjects" and before.get(name, 0) <= value:
            continue
        if before.get(name) != value:
            raise DataError(
                f"{cohort} was simulated with {name} {before.get(name)}, not {value}; "
                "repeat its arguments (or more subjects), or name another folder."
            )


def _sweep(folder: Path) -> None:
    """Remove the halves of files that a killed process left."""
    for stray in folder.glob(".[0-9]*"):
        stray.unlink(missing_ok=True)


def _write_subject(
    cohort: Path, seed: int, healthy: float, sequences: list[str], number: int
) -> dict[str, Any]:
    """Write one subject's files, unless an earlier call has, and give its manifest row."""
    grade = grade_of(number, healthy)
    name = f"sim-{number:04d}"
    folder = cohort / grade / name
    files = {key: folder / f"{name}_{SUFFIXES[key]}.nii.gz" for key in sequences}
    files["seg"] = folder / f"{name}_seg.nii.gz"
    record = folder / "subject.json"
    if record.exists() and all(file.exists() for file in files.values()):
        return dict(read_json(record))
    _sweep(folder)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads gain nothing here, and could change the last digit
    try:
        patient = draw_patient(load_template(), seed, number, grade)
        for key, file in files.items():
            if not file.exists():
                volume = patient.labels() if key == "seg" else patient.scan(key)
                write_brats(file, volume.numpy(), patient.anatomy.box, seed)
    finally:
        torch.set_num_threads(threads)
    row = _record(patient, name, grade, sequences)
    write_json(record, row)
    return row


def write_brats(file: Path, part: NDArray[Any], box: Box, seed: int) -> None:
    """Write a part of the canvas as a BRATS volume: 240x240x155, LPS, marked as simulated.

    Args:
        file: A .nii.gz file.
        part: Voxels in RAS axes; all others are 0.
        box: Where on the canvas they lie.
        seed: Named in the header.
    """
    voxels = np.zeros(BRATS_SHAPE, part.dtype, order="F")  # as NIfTI stores it
    x, y, z = (
        slice(a + b, a + b + n) for a, b, n in zip(CORNER, box.corner, box.size, strict=True)
    )
    voxels[::-1, ::-1][x, y, z] = part
    image = nib.Nifti1Image(voxels, BRATS_AFFINE)
    image.header["descrip"] = f"simulated by mrgantry {__version__}, seed {seed}"
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_slope_inter(1, 0)
    with whole(file) as aside:
        aside.write_bytes(_gzip(image.to_bytes()))


def _gzip(data: bytes) -> bytes:
    """Compress without a time stamp, so that the same subject is the same bytes.

    Scans are noise on black: runs are all that there is to find, and the fastest.
    """
    squeeze = zlib.compressobj(1, wbits=31, strategy=zlib.Z_RLE)
    return squeeze.compress(data) + squeeze.flush()


def _record(patient: Patient, name: str, grade: str, sequences: list[str]) -> dict[str, Any]:
    """Give a subject's row of the manifest; centre in voxels of the files as stored."""
    counts = np.bincount(patient.labels().flatten().numpy(), minlength=5)
    centre: list[float | None] = [None, None, None]
    if patient.focus:
        x, y, z = patient.focus.centre
        centre = [
            round(v, 1) for v in (239 - (x + CORNER[0]), 239 - (y + CORNER[1]), z + CORNER[2])
        ]
    return {
        "subject": name,
        "simulated": True,
        "seed": patient.seed,
        "grade": grade,
        "latent_age": round(patient.anatomy.age, 3),
        "centre": dict(zip("xyz", centre, strict=True)),
        "necrosis_cm3": round(int(counts[1]) / 1000, 3),
        "oedema_cm3": round(int(counts[2]) / 1000, 3),
        "enhancing_cm3": round(int(counts[4]) / 1000, 3),
        "brain_cm3": round(int(patient.anatomy.brain.sum()) / 1000, 1),
        "least_jacobian": round(patient.anatomy.least_jacobian, 4),
        **{key: patient.protocol(key).describe() for key in sequences},
    }
