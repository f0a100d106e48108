"""What `evaluation.json` tells of an evaluation: which sets it compared, and how."""

from pathlib import Path
from typing import Literal

from mrgantry.common.files import read_json, write_json
from mrgantry.common.frozen import Frozen
from mrgantry.data.slices import SliceSet

NAME = "evaluation.json"


class SetRecord(Frozen):
    """A set of slices as it was when it was measured.

    Attributes:
        name: Of its folder.
        folder: Where it lay.
        fingerprint: Of its pixels and rows.
        images: How many were compared.
        subjects: Of how many people; 0 where images show none.
        source: "simulated" if the images stem from simulated scans.
    """

    name: str
    folder: str
    fingerprint: str
    images: int
    subjects: int
    source: Literal["real", "simulated"]


class RealRecord(SetRecord):
    """The real rows that all sets were compared with.

    Attributes:
        split: Which split, or "all".
        only: Conditions on its rows.
    """

    split: str
    only: tuple[str, ...] = ()


class Evaluation(Frozen):
    """An evaluation, without its scores.

    Attributes:
        real: What was compared with.
        synthetic: What was measured.
        features: Pretrained extractors beside those that need no download.
        seed: Of all draws.
        command: The shell command that does it again.
        versions: Of the libraries.
        extractors: Fingerprints of all extractors by name.
        remarks: What to bear in mind.
    """

    real: RealRecord
    synthetic: tuple[SetRecord, ...]
    features: tuple[str, ...]
    seed: int
    command: str
    versions: dict[str, str]
    extractors: dict[str, str]
    remarks: tuple[str, ...] = ()

    def write(self, folder: Path) -> None:
        """Write `evaluation.json`."""
        write_json(folder / NAME, self.model_dump())


def read_evaluation(folder: Path) -> Evaluation:
    """Read `evaluation.json` of a folder of scores.

    Raises:
        DataError: It is not there, or is no JSON.
        RecipeError: It is not what this version writes.
    """
    return Evaluation.of(read_json(folder / NAME), f"evaluation in {folder}")


def record_of(data: SliceSet) -> SetRecord:
    """Tell of a set what an evaluation keeps of it."""
    return SetRecord(
        name=data.name,
        folder=str(data.folder),
        fingerprint=data.about.fingerprint,
        images=len(data),
        subjects=len(set(data.table["subject"]) - {""}),
        source=data.about.source,
    )
