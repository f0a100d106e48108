"""A cohort on disk in BRATS layout: many patients at once, resumable, with a manifest."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import ndimage

from mrgantry.common import workfolder
from mrgantry.common.errors import DataError
from mrgantry.common.files import AnyPath, read_json, write_json
from mrgantry.common.progress import progress
from mrgantry.common.provenance import command_line, short, versions
from mrgantry.common.tables import write_table
from mrgantry.common.version import VERSION
from mrgantry.common.workers import cores, each
from mrgantry.data.formats import write_nifti
from mrgantry.simulation.contrast import PUBLISHED_SPGR, SEQUENCES, T1_PROTOCOLS
from mrgantry.simulation.fields import Box
from mrgantry.simulation.patient import Patient, draw_patient
from mrgantry.simulation.preview import write_preview
from mrgantry.simulation.template import CITATION, NOTICE, load_template

RECIPE = 2  # another number means other images from the same seed
# Seeds from here on belong to the heads that shipped weights were trained on. Nobody else gets
# them, so that whoever evaluates a start from these weights does so on people it never saw.
RESERVED_SEED = 1_000_000_000
SUFFIXES = {"t1": "t1", "t1c": "t1ce", "t2": "t2", "flair": "flair"}
STATEMENT = (
    "Simulated images. They test software and teach; they are no evidence about patients, "
    "and nothing measured on them carries over to real scans."
)
BRATS_SHAPE = (240, 240, 155)
BRATS_AFFINE = np.array([[-1, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]], float)
CORNER = (24, 8, 1)  # of the canvas in a BRATS volume, before it is turned to LPS
DISEASES = ("tumour", "stroke")
# Kazuhiro et al. 2018: 124 sagittal slices of 1.5 mm with 256 x 256 pixels of 0.94 mm.
SAGITTAL_SHAPE = (124, 256, 256)
SAGITTAL_MM = (1.5, 0.94, 0.94)
SAGITTAL_MIDDLE = (-119.0, 120.0, 77.0)  # mm of the canvas's middle in a BRATS volume


@dataclass(frozen=True)
class Design:
    """What `simulate` was asked for; its Args say what each field means."""

    subjects: int
    seed: int
    healthy: float
    sequences: list[str]
    high_grade: float
    t1: str | None
    visits: int
    twins: bool
    device: str
    disease: str = "tumour"
    healthy_visits: int | None = None


@dataclass(frozen=True)
class Session:
    """One folder of scans: a person at one visit, with or without the tumour."""

    person: str
    name: str
    grade: str
    visit: int

    def folder(self, cohort: Path) -> Path:
        """Say where its files lie."""
        return cohort / self.grade / self.name


def simulate(
    cohort: AnyPath,
    subjects: int = 20,
    seed: int = 0,
    healthy: float = 0.0,
    sequences: Sequence[str] = SEQUENCES,
    *,
    high_grade: float = 0.75,
    t1: str | None = None,
    visits: int = 1,
    twins: bool = False,
    disease: str = "tumour",
    healthy_visits: int | None = None,
    device: str = "cpu",
    workers: int | None = None,
    cluster: str | None = None,
) -> Path:
    """Write a simulated cohort of brain MR scans in BRATS layout.

    Each subject is the same whatever the size of the cohort, the sequences asked for
    and the number of workers. The same call again continues where an interrupted one
    stopped; a larger `subjects` adds to a cohort.

    Args:
        cohort: Folder to write to, as HGG/, LGG/ and healthy/, one folder a session.
        subjects: Size of the cohort, in people.
        seed: Another seed gives other subjects; below 1,000,000,000.
        healthy: Fraction without a disease.
        sequences: Which of "t1", "t1c", "t2" and "flair" to scan.
        high_grade: Fraction of the tumours that are high grade.
        t1: Scan T1 and T1c by "mprage", "spgr" or "se"; None mixes them, as hospitals do.
            "kazuhiro2018" is that paper's SPGR: TR 8.6 ms, TE 1.8 ms, flip angle 8 degrees, and
            all files then have its sagittal voxels of 1.5 x 0.94 x 0.94 mm.
        visits: Times that each person is scanned: same anatomy and labels, other protocol
            and noise. With several, sim-2-0-0001 is found in sim-2-0-0001_1, _2 and so on;
            the first visit is the same as an only one.
        twins: Also scan each person with a tumour as if they had none, as
            healthy/sim-2-0-0001_well, by the protocol of the first visit.
        disease: What the others have: a "tumour", or had: a "stroke", of which infarcts are left
            (folder stroke/); labels are of tumours alone.
        healthy_visits: Times that healthy people are scanned; None scans them as the others.
        device: Where voxels are drawn, as PyTorch names it: "cpu" or "cuda". The same people
            but for rounding, so a cohort is continued on the device that it was begun on.
        workers: Processes; by default one a core, and at most four on a GPU.
        cluster: Address of a Dask scheduler whose workers do the work instead.

    Returns:
        The folder.

    Raises:
        DataError: An argument is out of range.
        RunError: The folder holds another cohort, or other things.
        RunError: The cluster cannot be reached.
    """
    cohort = Path(cohort)
    chosen = [name for name in SEQUENCES if name in sequences]
    _check(sequences, workers)
    design = Design(subjects, seed, healthy, chosen, high_grade, t1, visits, twins, device)
    design = replace(design, disease=disease, healthy_visits=healthy_visits)
    _check_design(design)
    cohort = Path(cohort)
    _claim(cohort, _about(cohort, design))
    load_template()  # here, so that workers find it prepared
    if device != "cpu":
        workers = workers or min(cores(), 4)
    work = partial(_write_person, cohort, design)
    records: dict[int, list[dict[str, Any]]] = {}
    with progress("simulate", total=subjects) as advance:
        for number, rows in each(work, range(1, subjects + 1), workers, cluster):
            records[number] = rows
            advance(1, rows[0]["person"])
    table = pd.json_normalize([row for n in sorted(records) for row in records[n]], sep="_")
    write_table(cohort / "cohort.csv", table)
    write_preview(cohort, chosen)
    return cohort


def grade_of(number: int, healthy: float, high_grade: float = 0.75) -> str:
    """Decide a subject's group so that the fractions hold at every size of the cohort.

    >>> [grade_of(number, 0.2) for number in range(1, 7)]
    ['HGG', 'HGG', 'HGG', 'LGG', 'healthy', 'HGG']
    """
    if _crosses(number, healthy):
        return "healthy"
    sick = number - math.floor(number * healthy + 1e-9)
    return "LGG" if _crosses(sick, 1 - high_grade) else "HGG"


def _crosses(number: int, share: float) -> bool:
    """Say whether `number` times `share` reaches a whole number that the one before did not."""
    return math.floor(number * share + 1e-9) > math.floor((number - 1) * share + 1e-9)


def person_name(seed: int, number: int) -> str:
    """Name a simulated person, unlike everybody of another seed or another version's recipe.

    >>> person_name(seed=7, number=12)
    'sim-2-7-0012'
    """
    return f"sim-{RECIPE}-{seed}-{number:04d}"


def sessions_of(design: Design, number: int) -> list[Session]:
    """List the sessions of one person."""
    person = person_name(design.seed, number)
    grade = grade_of(number, design.healthy, design.high_grade)
    visits = design.visits
    if grade == "healthy":
        visits = design.healthy_visits or visits
    elif design.disease == "stroke":
        grade = "stroke"
    sessions = [
        Session(person, person if visits == 1 else f"{person}_{visit}", grade, visit)
        for visit in range(1, visits + 1)
    ]
    if design.twins and grade != "healthy":
        sessions.append(Session(person, f"{person}_well", "healthy", 1))
    return sessions


def _check(sequences: Sequence[str], workers: int | None) -> None:
    """Refuse sequences that nobody scans, and no workers."""
    if workers is not None and workers < 1:
        raise DataError(f"At least one worker is needed, not {workers}.")
    unknown = [name for name in sequences if name not in SEQUENCES]
    if unknown or not sequences:
        names = ", ".join(unknown) or "none"
        raise DataError(f"Sequences must be among {', '.join(SEQUENCES)}; got {names}.")


def _check_design(design: Design) -> None:
    """Refuse arguments that make no cohort."""
    if design.subjects < 1:
        raise DataError(f"A cohort needs at least one subject, not {design.subjects}.")
    if not 0 <= design.seed < RESERVED_SEED:
        raise DataError(
            f"The seed must lie between 0 and {RESERVED_SEED - 1:,}, not be {design.seed}: higher "
            "ones are reserved for the weights that come with mrgantry."
        )
    for name, share in (("healthy", design.healthy), ("high-grade", design.high_grade)):
        if not 0 <= share <= 1:
            raise DataError(f"The {name} fraction must lie between 0 and 1, not be {share}.")
    if design.t1 is not None and design.t1 not in T1_PROTOCOLS:
        raise DataError(f"T1 is scanned by one of {', '.join(T1_PROTOCOLS)}, not by {design.t1}.")
    for visits in (design.visits, design.healthy_visits):
        if visits is not None and visits < 1:
            raise DataError(f"A person needs at least one visit, not {visits}.")
    if design.disease not in DISEASES:
        raise DataError(f"The disease is {' or '.join(DISEASES)}, not {design.disease}.")
    _check_device(design.device)


def _check_device(device: str) -> None:
    """Refuse a device that this machine has not got."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise DataError(
            f"Device {device} cannot be used: {str(error).splitlines()[0]}. "
            "Take device cpu; the people are the same."
        ) from error


def _about(cohort: Path, design: Design) -> dict[str, Any]:
    """Describe a cohort: what it is, whose template it rests on, how to make it again."""
    arguments = asdict(design)
    # Cohorts that were begun before there were these go on.
    for name, usual in (("disease", "tumour"), ("healthy_visits", None)):
        if arguments[name] == usual:
            del arguments[name]
    options = {"sequence" if key == "sequences" else key: arguments[key] for key in arguments}
    return {
        "simulated": True,
        "statement": STATEMENT,
        "command": command_line("simulate", short(cohort), **options),
        "arguments": arguments,
        "recipe": RECIPE,
        "people": person_name(design.seed, 1),
        "seed": design.seed,
        "versions": versions(),
        "template": {"notice": NOTICE, "citation": CITATION},
    }


def _claim(cohort: Path, about: dict[str, Any]) -> None:
    """Take the folder for this cohort, or go on with the same one; more subjects are welcome.

    Raises:
        RunError: It holds a cohort of other arguments, or other things.
    """
    _sweep(cohort)
    if workfolder.is_begun(cohort, "cohort.json", "a simulated cohort"):
        old = read_json(cohort / "cohort.json")
        stored = old | old["arguments"]
        now = {"recipe": RECIPE} | about["arguments"] | {"people": about["people"]}
        if stored["subjects"] <= now["subjects"]:
            del now["subjects"]
        workfolder.refuse_changes(cohort, stored, now)
    write_json(cohort / "cohort.json", about)


def _sweep(folder: Path) -> None:
    """Remove the halves of files that a killed process left."""
    for stray in folder.glob(".[0-9]*"):
        stray.unlink(missing_ok=True)


def _write_person(cohort: Path, design: Design, number: int) -> list[dict[str, Any]]:
    """Write one person's files, unless an earlier call has, and give their manifest rows."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads gain nothing here, and could change the last digit
    # The visits share a patient, drawn once and only if anything is missing.
    draw = lru_cache(
        lambda grade: draw_patient(load_template(), design.seed, number, grade, design.device)
    )
    try:
        return [
            _write_session(cohort, design, session, partial(draw, session.grade))
            for session in sessions_of(design, number)
        ]
    finally:
        torch.set_num_threads(threads)


def _write_session(
    cohort: Path, design: Design, session: Session, draw: Callable[[], Patient]
) -> dict[str, Any]:
    """Write one session's files, unless an earlier call has, and give its manifest row."""
    folder = session.folder(cohort)
    files = {k: folder / f"{session.name}_{SUFFIXES[k]}.nii.gz" for k in design.sequences}
    files["seg"] = folder / f"{session.name}_seg.nii.gz"
    record = folder / "subject.json"
    if record.exists() and all(file.exists() for file in files.values()):
        return dict(read_json(record))
    _sweep(folder)
    patient = draw()
    for key, file in files.items():
        if not file.exists():
            seg = key == "seg"
            volume = patient.labels() if seg else patient.scan(key, session.visit, design.t1)
            write = write_sagittal if design.t1 == PUBLISHED_SPGR else write_brats
            write(file, volume.cpu().numpy(), patient.anatomy.box, design.seed)
    row = _record(patient, session, design)
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
    write_nifti(file, voxels, BRATS_AFFINE, f"simulated by mrgantry {VERSION}, seed {seed}")


def write_sagittal(file: Path, part: NDArray[Any], box: Box, seed: int) -> None:
    """Write a part of the canvas as Kazuhiro et al. scanned: thick sagittal slices, RAS axes.

    Intensities are the mean of three samples through a slice; labels, which are bytes, are those
    in its middle. What is 0 in the middle stays 0: outside the brain.

    Args:
        file: A .nii.gz file.
        part: Voxels of 1 mm in RAS axes; all others are 0.
        box: Where on the canvas they lie.
        seed: Named in the header.
    """
    spacing = np.array(SAGITTAL_MM)
    first = np.array(SAGITTAL_MIDDLE) - (np.array(SAGITTAL_SHAPE) - 1) / 2 * spacing
    # Of the part's voxel 0, in the scanner's mm of a BRATS volume.
    start = np.array(CORNER) + box.corner - (239, 0, 0)

    def read(part: NDArray[Any], shift: float, order: int) -> NDArray[Any]:
        offset = first - start + (shift * spacing[0], 0, 0)
        return np.asarray(
            ndimage.affine_transform(part, spacing, offset, SAGITTAL_SHAPE, order=order)
        )

    voxels = read(part, 0.0, 0)
    if part.dtype != np.uint8:
        inside = voxels > 0
        plain = part.astype(np.float32)
        mean = np.mean([read(plain, shift, 1) for shift in (-1 / 3, 0, 1 / 3)], axis=0)
        voxels = (mean.round().clip(1) * inside).astype(part.dtype)
    affine = np.diag([*SAGITTAL_MM, 1.0])
    affine[:3, 3] = first
    write_nifti(file, voxels, affine, f"simulated by mrgantry {VERSION}, seed {seed}")


def _record(patient: Patient, session: Session, design: Design) -> dict[str, Any]:
    """Give a session's row of the manifest; centre in voxels of the files as stored."""
    counts = np.bincount(patient.labels().flatten().cpu().numpy(), minlength=5)
    centre: list[float | None] = [None, None, None]
    if patient.focus:
        x, y, z = patient.focus.centre
        centre = [
            round(v, 1) for v in (239 - (x + CORNER[0]), 239 - (y + CORNER[1]), z + CORNER[2])
        ]
    return {
        "subject": session.name,
        "person": session.person,
        "visit": session.visit,
        "simulated": True,
        "seed": patient.seed,
        "grade": session.grade,
        "latent_age": round(patient.anatomy.age, 3),
        "centre": dict(zip("xyz", centre, strict=True)),
        "necrosis_cm3": round(int(counts[1]) / 1000, 3),
        "oedema_cm3": round(int(counts[2]) / 1000, 3),
        "enhancing_cm3": round(int(counts[4]) / 1000, 3),
        "brain_cm3": round(int(patient.anatomy.brain.sum()) / 1000, 1),
        "least_jacobian": round(patient.anatomy.least_jacobian, 4),
        **_infarcts(patient),
        **{
            key: patient.protocol(key, session.visit, design.t1).describe()
            for key in design.sequences
        },
    }


def _infarcts(patient: Patient) -> dict[str, Any]:
    """Give what a row of the manifest says of infarcts; nothing of people without."""
    if not patient.infarcts:
        return {}
    words = [
        f"{infarct.age} {infarct.side} {infarct.artery} {infarct.cm3:g} cm3"
        for infarct in patient.infarcts
    ]
    return {"infarcts": "; ".join(words)}
