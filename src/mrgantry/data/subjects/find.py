"""Find the subjects of a folder, by whatever layout it has."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from mrgantry.common.errors import DataError
from mrgantry.data.names import ONLY_IF_ASKED, SEQUENCES, sequence_of
from mrgantry.data.subjects.alike import with_alike_names
from mrgantry.data.subjects.bids import bids_subjects
from mrgantry.data.subjects.folders import folder_subjects
from mrgantry.data.subjects.known import decathlon_subjects, oasis_subjects
from mrgantry.data.subjects.named import scans_of, walk
from mrgantry.data.subjects.subject import Subject, Wanted
from mrgantry.data.volume import SUFFIXES


def find_subjects(
    folder: Path,
    sequences: Sequence[str] = (),
    tumour_labels: str | None = None,
    person: str | None = None,
    series: Sequence[str] = (),
) -> list[Subject]:
    """Find the subjects of a folder, in the order of their names.

    Args:
        folder: A BIDS data set, a BRATS collection, or any folder of scans.
        sequences: As in `Wanted`, and so are the others.
        tumour_labels: Pattern of label maps.
        person: Regular expression that finds people.
        series: Patterns that choose among scans of one sequence.

    Raises:
        DataError: The folder is missing, holds no scan, or one subject twice.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give the folder that holds the scans.")
    wanted = Wanted(tuple(sequences), tumour_labels, person, tuple(series))
    subjects = _by_layout(folder, wanted)
    if not subjects:
        raise DataError(_nothing_in(folder, wanted))
    for subject in subjects:
        _check_names(subject)
    subjects = sorted(_joined(subjects), key=lambda subject: subject.name)
    for first, second in pairwise(subjects):
        if first.name == second.name:
            files = [next(iter(subject.scans.values())) for subject in (first, second)]
            raise DataError(
                f"Subject {first.name} stands twice: {files[0]} and {files[1]}. Remove one, or "
                "rename its folder if they are two people."
            )
    if tumour_labels and not any(subject.tumour for subject in subjects):
        raise DataError(f"No file beside the scans of {folder} is named like {tumour_labels!r}.")
    return subjects


def all_scans(folder: Path) -> list[Path]:
    """List every scan below a folder, whatever its name tells."""
    return [path for place, paths in walk(folder) for path in scans_of(place, paths)]


def _by_layout(folder: Path, wanted: Wanted) -> list[Subject]:
    return (
        bids_subjects(folder, wanted)
        or oasis_subjects(folder)
        or decathlon_subjects(folder, wanted)
        or _alike(folder_subjects(folder, wanted), wanted)
    )


def _alike(subjects: list[Subject], wanted: Wanted) -> list[Subject]:
    return subjects if wanted.person else with_alike_names(subjects)


def _nothing_in(folder: Path, wanted: Wanted) -> str:
    """Say why no subject was found: nothing is there, or only what must be asked for."""
    others = _by_layout(folder, replace(wanted, sequences=ONLY_IF_ASKED))
    if others:
        held = sorted({sequence for subject in others for sequence in subject.scans})
        return (
            f"{folder} holds {', '.join(held)} alone, which is only taken if asked for, as by "
            f"--sequence {held[0]}."
        )
    return (
        f"{folder} holds no scan whose name tells its sequence. Names need one of the words "
        f"{', '.join(SEQUENCES)} and one of the endings {', '.join(SUFFIXES)}, or a folder "
        "of DICOM files that bears the word."
    )


def _joined(subjects: Sequence[Subject]) -> list[Subject]:
    """Put together the scans of a person that lie in one folder a sequence, as IXI-T1 and IXI-T2.

    Others of one name in several folders may be two people, and are left apart.
    """
    joined: dict[str, Subject] = {}
    apart = []
    for subject in subjects:
        known = joined.get(subject.name)
        if not all(_stands_in_its_folder(*scan) for scan in subject.scans.items()):
            apart.append(subject)
        elif known is None:
            joined[subject.name] = subject
        elif known.scans.keys() & subject.scans.keys():
            apart.append(subject)
        else:
            scans = {**known.scans, **subject.scans}
            joined[subject.name] = replace(
                known,
                scans={
                    sequence: scans[sequence] for sequence in sorted(scans, key=SEQUENCES.index)
                },
                tumour=known.tumour or subject.tumour,
                mask=known.mask or subject.mask,
                attributes={**subject.attributes, **known.attributes},
                remarks=(*known.remarks, *subject.remarks),
            )
    return [*joined.values(), *apart]


def _stands_in_its_folder(sequence: str, path: Path) -> bool:
    """Say whether the name of a scan's folder tells its sequence."""
    return sequence_of(path.parent) == sequence


def _check_names(subject: Subject) -> None:
    """Refuse names that no table and no message could hold: broken text, line breaks."""
    for path in (*subject.scans.values(), subject.tumour, subject.mask):
        if path is not None and re.search("[\x00-\x1f\x7f\ud800-\udfff]", str(path)):
            raise DataError(f"The name {str(path)!a} is not plain text; rename the file or folder.")
