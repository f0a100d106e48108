"""What a set of slices tells of itself: `about.json`."""

from pathlib import Path
from typing import Any, Literal

from mrgantry.common.errors import DataError
from mrgantry.common.files import read_json
from mrgantry.common.frozen import Frozen
from mrgantry.data.notes import Notes
from mrgantry.data.plan import Voxels

FORMAT = 2


class About(Frozen):
    """What `about.json` tells of a set.

    Attributes:
        format: Version of the layout of the folder.
        complete: False while it is being made; such a set cannot be opened.
        source: Where the pixels come from in the end: "simulated" passes on to what
            was trained on simulated scans.
        synthetic: True if a generator drew the images.
        channels: Names of the channels, in order.
        size: Height and width in pixels.
        voxels: Of volumes: how many from right to left, front to back and bottom to top; empty
            where images are slices.
        classes: What label maps tell apart, in the order of their numbers; empty without maps.
        command: The shell command that makes the set again.
        choices: The plan, or the seeds, that it was made with.
        versions: Versions of the libraries.
        fingerprint: Changes with any pixel or row.
        table_fingerprint: Changes with `slices.csv`, which must stay as it was made.
        parts: Names of the parts, in the order of the rows.
        rows: How many rows each part has.
        poses: Oblique: how many rows each volume has; 0 where images are stored.
        field_mm: Oblique: side of the images.
        notes: Facts for people: how brains were found, what was skipped and why.
        training_subjects: For synthetic images, whom the generator has seen.
    """

    format: Literal[2] = 2
    complete: bool = False
    source: Literal["real", "simulated"] = "real"
    synthetic: bool = False
    channels: tuple[str, ...]
    size: int
    voxels: Voxels | tuple[()] = ()
    classes: tuple[str, ...] = ()
    command: str
    choices: dict[str, Any]
    versions: dict[str, str]
    fingerprint: str = ""
    table_fingerprint: str = ""
    parts: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()
    poses: int = 0
    field_mm: float = 0.0
    notes: Notes = Notes()
    training_subjects: tuple[str, ...] = ()


def read_about(folder: Path) -> About:
    """Read `about.json` of a set.

    Raises:
        DataError: The folder is no set of slices, or of another format.
    """
    if not (folder / "about.json").is_file():
        raise DataError(
            f"{folder} is not a set of slices (it has no about.json). Make one with "
            "`mrgantry prepare SCANS SLICES`."
        )
    values = read_json(folder / "about.json")
    if not isinstance(values, dict):
        raise DataError(f"{folder / 'about.json'} is not that of a set of slices.")
    if values.get("format") != FORMAT:
        raise DataError(f"{folder} has the format {values.get('format')}; this is {FORMAT}.")
    return About.of(values, f"about.json of {folder}")
