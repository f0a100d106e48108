"""What a repeated study has given, as its page takes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mrgantry.common.score import Score
from mrgantry.detection.findings import Detection
from mrgantry.detection.printed import PrintedDetection
from mrgantry.evaluation.stability import Stability
from mrgantry.papers.alternative import Alternative
from mrgantry.study.printed import Printed, PrintedValues
from mrgantry.study.statistics.results import Analysis


@dataclass(frozen=True)
class Fact:
    """Something that the paper says of its doing, and what this run did.

    Attributes:
        what: It is about.
        printed: In the paper.
        ours: Here, a line each.
        timed: Whether it is a time, which another run need not repeat.
    """

    what: str
    printed: str
    ours: tuple[str, ...]
    timed: bool = False


@dataclass(frozen=True)
class ModelResult:
    """What came of one model.

    Attributes:
        label: In tables.
        block: Of the reader study in which its images are; "" if they are in none.
        sets: Its synthetic sets, each with a word such as "selected"; "" for all images.
        scores: Of these sets, by the names of their folders.
        failed: Why it diverged; empty if it did not.
        changes: In what its recipe differs from the published one.
        converges: Whether it does so in the paper; None if that is unsaid.
        stability: Whether it does so here.
        walk: The folder of a walk between two of its images, if there is one.
    """

    label: str
    block: str
    sets: tuple[tuple[str, Path], ...]
    scores: Mapping[str, Sequence[Score]]
    failed: str
    changes: tuple[str, ...]
    converges: bool | None = None
    stability: Stability | None = None
    walk: Path | None = None


@dataclass(frozen=True)
class TypeResult:
    """What came of one set of slices.

    Attributes:
        label: In tables.
        slices: The real set.
        page: The report of all of it.
        models: Trained on it.
        changes: In what its plan differs from the paper's.
    """

    label: str
    slices: Path
    page: Path
    models: tuple[ModelResult, ...]
    changes: tuple[str, ...]


@dataclass(frozen=True)
class ReaderStudy:
    """The reader study of a reproduction.

    Attributes:
        folder: Where it lies.
        ready: Whether it could be made.
        printed: What the paper's readers answered.
        analysis: Of the answers given here; None before there are any.
        page: Of that analysis.
        cues: What the audit of trivial cues found.
        unscored: Why answers that there are cannot be scored; empty if there is no such reason.
        serve: The command that lets readers read.
        seats: Who is to sit where, a line a reader.
        quiz: The page of a quiz, if there is one.
    """

    folder: Path
    ready: bool
    printed: tuple[Printed, ...]
    analysis: Analysis | None
    page: Path
    cues: tuple[str, ...]
    unscored: str = ""
    serve: str = ""
    seats: tuple[str, ...] = ()
    quiz: Path | None = None


@dataclass(frozen=True)
class Reproduced:
    """All that the page shows.

    Attributes:
        study: Short name.
        title: Of the page.
        citation: Of the paper.
        scale: Name of the scale.
        limits: What a run at this scale can show and what it cannot.
        simulated: Whether the scans were drawn by a computer.
        facts: What was done.
        types: What came of it.
        reading: The reader study, if the paper had one.
        values: A printed table of measures, if there is one.
        notes: Known defects of the paper.
        remarks: What went otherwise than planned.
        command: That makes all of it.
        commands: That do the same by hand.
        versions: Of the libraries.
        detection: The page of the detection experiment, if there is one.
        detected: What it has found.
        printed_detection: What the paper prints of its own.
        draws: Half-samples of each measure, where they are fewer than usual.
        alternatives: Where the paper can be read in two ways.
        taken: Names of the alternatives that this run has taken.
        classical: The slices whose classically changed versions are shown, if the paper shows some.
        discarded: Of each selected set: its model's label, its folder, and what was discarded.
        ablations: The command that compares the ablations of the paper; "" if it has none.
        ablated: The page of that comparison, once it is made.
    """

    study: str
    title: str
    citation: str
    scale: str
    limits: str
    simulated: bool
    facts: tuple[Fact, ...]
    types: tuple[TypeResult, ...]
    reading: ReaderStudy | None
    values: PrintedValues | None
    notes: tuple[str, ...]
    remarks: tuple[str, ...]
    command: str
    commands: tuple[str, ...]
    versions: Mapping[str, str]
    detection: Path | None = None
    detected: Detection | None = None
    printed_detection: PrintedDetection | None = None
    draws: int | None = None
    alternatives: tuple[Alternative, ...] = ()
    taken: tuple[str, ...] = ()
    classical: Path | None = None
    discarded: tuple[tuple[str, Path, str], ...] = ()
    ablations: str = ""
    ablated: Path | None = None

    @property
    def models(self) -> list[ModelResult]:
        """List all models."""
        return [model for image_type in self.types for model in image_type.models]
