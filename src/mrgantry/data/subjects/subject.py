"""One visit of one person, and the question that leads to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Subject:
    """One visit of one person: which files there are. Nothing is read yet.

    Attributes:
        id: The person; visits of one person share it, and with it the split.
        scans: Sequence name to file, to the folder of a DICOM series or one of its files, or to
            one volume of a file of several (`FILE#1`).
        session: The visit, or "" where there is only one.
        tumour: A tumour label map, where the layout, its name or the user declares one.
        mask: A brain mask, or a segmentation that is above 0 in the brain.
        attributes: What tables and folders tell: grade, age, sex.
        remarks: What was assumed: which of two files was taken, and the like.
    """

    id: str
    scans: Mapping[str, Path]
    session: str = ""
    tumour: Path | None = None
    mask: Path | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name the subject with its session, as messages and slices do."""
        return f"{self.id}_{self.session}" if self.session else self.id


@dataclass(frozen=True)
class Wanted:
    """What is looked for in a folder.

    Attributes:
        sequences: The sequences asked for. If it is one, a scan whose name bears no
            sequence word, alone in its folder, is taken for it; those that are no anatomical
            MR (`ONLY_IF_ASKED`) are taken if they stand here.
        tumour_labels: A pattern of file names, such as "*lesion*", that are maps of
            the tumour: above 0 is tumour. Needed where neither layout nor names tell.
        person: A regular expression whose first group finds the person in a scan's path
            below the folder, and whose second, if it has one, the visit. For folders
            that are neither BIDS nor OASIS-1.
        series: Patterns of names or series descriptions: of two scans of one sequence in one
            visit, the first that meets one is taken.
    """

    sequences: tuple[str, ...] = ()
    tumour_labels: str | None = None
    person: str | None = None
    series: tuple[str, ...] = ()
