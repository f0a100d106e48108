"""Look at a folder of scans before anything is made of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

from mrgantry.common.display import Display, Displayed
from mrgantry.common.errors import DataError
from mrgantry.common.files import AnyPath
from mrgantry.common.progress import progress
from mrgantry.common.tables import write_table
from mrgantry.common.workers import each
from mrgantry.data import cut
from mrgantry.data.near_copies import NearCopy, SmallBrain, near_copies, small_cube
from mrgantry.data.plan import NORMAL, SlicePlan
from mrgantry.data.scan import doubt_mask
from mrgantry.data.sheet import TILE, Tile, write_sheet
from mrgantry.data.subjects import Subject, all_scans, find_subjects
from mrgantry.data.volume import Volume, read_volume

SHOWN = 24  # visits on the sheet: what fits on a screen
PLANES = ("axial", "coronal", "sagittal")
TUMOUR = (235, 80, 70)


@dataclass
class Seen:
    """What one file holds: a row of `scans.csv`."""

    subject: str
    session: str
    sequence: str
    file: str
    shape: str = ""
    spacing_mm: str = ""
    axes: str = ""
    lowest: float | None = None
    highest: float | None = None
    brain: str = ""
    brain_cm3: float | None = None
    tumour_cm3: float | None = None
    assumed: str = ""
    problem: str = ""


@dataclass
class Visit:
    """What one visit holds, and pictures of it.

    Attributes:
        subject: The visit.
        rows: One a file.
        tiles: Pictures for the sheet; empty if it is not on the sheet.
        small: Its brain by the first sequence that can be read, to find copies by.
    """

    subject: Subject
    rows: list[Seen] = field(default_factory=list)
    tiles: list[Tile] = field(default_factory=list)
    small: SmallBrain | None = None

    @property
    def remarks(self) -> list[str]:
        """Give what was assumed of the visit and of its files."""
        read = [f"{row.sequence}: {row.assumed}" for row in self.rows if row.assumed]
        return [*self.subject.remarks, *read]

    @property
    def problems(self) -> list[str]:
        """Give what is wrong with its files."""
        return [f"{row.sequence}: {row.problem}" for row in self.rows if row.problem]


@dataclass(frozen=True, repr=False)
class Inspection(Displayed):
    """What was found in a folder.

    Attributes:
        visits: All visits, in the order of their names.
        unused: Scans that are not used: their names tell nothing, or they are second copies.
        copies: Scans of different people that look like one.
        sheet: The contact sheet.
        table: The table of all files.
    """

    visits: list[Visit]
    unused: list[Path]
    copies: list[NearCopy]
    sheet: Path
    table: Path

    @property
    def display(self) -> Display:
        """Show who is there, and the contact sheet."""
        people = len({visit.subject.id for visit in self.visits})
        scans = ", ".join(f"{count} {name}" for name, count in self.counts.items())
        said = [f"{people} people, {len(self.visits)} visits: {scans}."]
        said += [f"{len(self.unused)} files are not used; {self.table.name} says why."] * bool(
            self.unused
        )
        said += [f"{len(self.copies)} pairs look like one person."] * bool(self.copies)
        return Display(said, picture=self.sheet)

    @property
    def counts(self) -> dict[str, int]:
        """Count the scans of each sequence."""
        return dict(Counter(name for visit in self.visits for name in visit.subject.scans))


def inspect(
    scans: AnyPath,
    out: AnyPath,
    sequences: Sequence[str] = (),
    tumour_labels: str | None = None,
    person: str | None = None,
    series: Sequence[str] = (),
    *,
    workers: int | None = None,
    cluster: str | None = None,
) -> Inspection:
    """Read every scan of a folder and say what is there and what is wrong with it.

    Args:
        scans: A BIDS, BRATS or plain folder of scans.
        out: Folder to write `scans.csv` and `sheet.png` to.
        sequences: As in `find_subjects`.
        tumour_labels: As in `find_subjects`.
        person: As in `find_subjects`.
        series: As in `find_subjects`.
        workers: Processes; defaults to one a core.
        cluster: Address of a Dask scheduler whose workers do the work instead.

    Raises:
        DataError: The folder is missing or holds no scan, or `out` cannot be written.
    """
    scans, out = Path(scans), Path(out)
    subjects = find_subjects(scans, sequences, tumour_labels, person, series)
    places = np.linspace(0, len(subjects) - 1, min(SHOWN, len(subjects))).round().astype(int)
    shown = {subjects[place].name for place in places}
    visits: dict[str, Visit] = {}
    with progress("inspect", len(subjects)) as advance:
        work = partial(look_at, root=scans, shown=shown)
        for subject, visit in each(work, subjects, workers, cluster, partial(_lost, root=scans)):
            visits[subject.name] = visit
            advance(note=subject.name)
    ordered = [visits[subject.name] for subject in subjects]
    used = {path for subject in subjects for path in _files(subject).values()}
    unused = [path for path in all_scans(scans) if path not in used]
    rows = [row for visit in ordered for row in visit.rows]
    write_table(out / "scans.csv", map(vars, rows))
    blocks = [(_title(visit), visit.tiles, visit.problems) for visit in ordered if visit.tiles]
    write_sheet(out / "sheet.png", blocks)
    copies = near_copies([visit.small for visit in ordered if visit.small is not None])
    return Inspection(ordered, unused, copies, out / "sheet.png", out / "scans.csv")


def look_at(subject: Subject, root: Path, shown: set[str]) -> Visit:
    """Read all files of one visit; what cannot be read is said in its row."""
    visit = Visit(subject)
    labels: dict[str, Volume | None] = {}
    for role in ("mask", "tumour"):
        path = _files(subject).get(role)
        labels[role] = None
        if path is not None:
            row, labels[role] = _read(subject, role, path, root)
            visit.rows.append(row)
    for sequence, path in subject.scans.items():
        row, volume = _read(subject, sequence, path, root)
        visit.rows.append(row)
        tiles: list[Tile] = []
        if volume is not None:
            try:
                brain = _brain(row, volume, labels["mask"])
                tumour = _tumour(row, volume, labels["tumour"])
                visit.small = visit.small or SmallBrain(
                    subject.name, subject.id, sequence, small_cube(volume, brain)
                )
                if subject.name in shown:
                    planes = PLANES if sequence == next(iter(subject.scans)) else PLANES[:1]
                    tiles = [_tile(volume, brain, tumour, p, sequence) for p in planes]
            except DataError as error:
                row.problem = str(error)
        if subject.name in shown:
            visit.tiles += tiles or [Tile(sequence, "", np.zeros((TILE, TILE, 3), np.uint8))]
    return visit


def _files(subject: Subject) -> dict[str, Path]:
    extra = {"mask": subject.mask, "tumour": subject.tumour}
    return {**subject.scans, **{role: path for role, path in extra.items() if path}}


def _read(subject: Subject, role: str, path: Path, root: Path) -> tuple[Seen, Volume | None]:
    row = Seen(subject.id, subject.session, role, str(path.relative_to(root)))
    try:
        volume = read_volume(path)
    except DataError as error:
        row.problem = str(error).removeprefix(f"{path}: ")
        return row, None
    row.shape = _times([volume.voxels.shape[axis] for axis in volume.stored_order])
    row.spacing_mm = _times([f"{volume.spacing[axis]:.3g}" for axis in volume.stored_order])
    row.axes, row.assumed = volume.stored_axes, volume.assumed
    row.lowest, row.highest = float(volume.voxels.min()), float(volume.voxels.max())
    return row, volume


def _times(numbers: Sequence[int | str]) -> str:
    """Write 240x240x155, as stored, or 1 where all three are the same."""
    texts = [str(number) for number in numbers]
    return texts[0] if len(set(texts)) == 1 else "x".join(texts)


def _brain(row: Seen, volume: Volume, mask: Volume | None) -> Bool[np.ndarray, "x y z"]:
    if mask is not None and mask.same_grid(volume):
        brain, row.brain = mask.voxels > 0.5, "mask"
        if not brain.any():
            raise DataError("its brain mask is empty.")
        if doubt := doubt_mask(brain, volume):
            row.assumed = "; ".join(filter(None, (row.assumed, doubt)))
            brain, row.brain = cut.find_brain(volume)
    else:
        brain, row.brain = cut.find_brain(volume)
        if mask is not None:
            row.problem = "its brain mask lies on another grid; add --resample-to to prepare."
    row.brain_cm3 = round(float(brain.sum()) * float(np.prod(volume.spacing)) / 1000, 1)
    return brain


def _tumour(row: Seen, volume: Volume, labels: Volume | None) -> Bool[np.ndarray, "x y z"] | None:
    if labels is None:
        return None
    if not labels.same_grid(volume):
        row.problem = "its tumour labels lie on another grid; add --resample-to to prepare."
        return None
    tumour = labels.voxels > 0.5
    row.tumour_cm3 = round(float(tumour.sum()) * float(np.prod(volume.spacing)) / 1000, 2)
    return tumour


def _tile(
    volume: Volume,
    brain: Bool[np.ndarray, "x y z"],
    tumour: Bool[np.ndarray, "x y z"] | None,
    plane: str,
    sequence: str,
) -> Tile:
    """Draw one upright slice through the middle of the brain, or the most of the tumour."""
    axis = NORMAL[plane]
    others = tuple(other for other in range(3) if other != axis)
    area = brain.sum(others)
    inside = np.flatnonzero(area)
    level = int((inside[0] + inside[-1]) // 2)
    if tumour is not None and tumour.any():
        level = int(tumour.sum(others).argmax())
    limits = cut.brain_limits(volume.voxels, brain, (0.5, 99.5))
    spacing = cut.pixel_spacing(volume.spacing, plane)
    plan = SlicePlan(size=TILE)

    def fitted(voxels: np.ndarray) -> np.ndarray:
        stack = cut.upright(voxels, plane)[level : level + 1].astype(np.float32)
        frame = cut.frame_of((stack.shape[1], stack.shape[2]), spacing, (0, 0), plan)
        return cut.fit(stack, frame, TILE)[0]

    low, high = limits
    grey = fitted(np.clip((volume.voxels - low) * (2 / (high - low)) - 1, -1, 1))
    picture = np.repeat(((grey + 1) * 127.5).round().astype(np.uint8)[..., None], 3, axis=2)
    if tumour is not None:
        picture[_outline(fitted(np.where(tumour, 1, -1)) > 0)] = TUMOUR
    return Tile(sequence, plane, picture)


def _outline(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    return mask & ~ndimage.binary_erosion(mask)


def _title(visit: Visit) -> str:
    """Describe a visit on the sheet by the geometry of its first scan that can be read."""
    row = next((r for r in visit.rows if r.axes and r.sequence in visit.subject.scans), None)
    geometry = f"  {row.shape}  {row.axes}" if row else ""
    return f"{visit.subject.name}{geometry}"


def _lost(subject: Subject, root: Path) -> Visit:
    """Say of a visit whose files killed the process that read them, that they did."""
    problem = "the process that read it died; the file is damaged, or memory ran out"
    rows = [
        Seen(subject.id, subject.session, role, str(path.relative_to(root)), problem=problem)
        for role, path in _files(subject).items()
    ]
    black = Tile(rows[0].sequence, "", np.zeros((TILE, TILE, 3), np.uint8))
    return Visit(subject, rows, [black])
