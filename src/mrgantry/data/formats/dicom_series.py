"""Which files of a folder make a DICOM series, and what its header tells of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mrgantry.common.errors import DataError
from mrgantry.data.formats.dicom_elements import (
    AGENT,
    DATE,
    DESCRIPTION,
    IMAGE_TYPE,
    MODALITY,
    PATIENT,
    PROTOCOL,
    ROWS,
    SERIES,
    STUDY,
    header_of,
)
from mrgantry.data.formats.facts import ScanFacts

SUFFIXES = {".dcm", ".ima", ".dicom"}  # of DICOM, whatever the file holds
# Modalities whose objects lie beside images and are none: reports, notes, outlines, waves.
NO_IMAGES = {"SR", "KO", "PR", "DOC", "REG", "RTSTRUCT", "RTPLAN", "RTRECORD", "RWV", "FID", "AU"}
# What a data set without a preamble begins with: an element of group 8 below 0x20.
OLD_STARTS = tuple(bytes((8, 0, element, 0)) for element in range(0, 0x20))


@dataclass(frozen=True)
class DicomSeries:
    """The image files of one series of a folder, in the order of their names.

    Attributes:
        files: They, and those whose header cannot be read, which may belong to any series.
        facts: What the first sound header tells.
    """

    files: tuple[Path, ...]
    facts: ScanFacts


def is_dicom(path: Path) -> bool:
    """Tell a DICOM file by its ending or, without a known one, by the mark that it holds."""
    if path.name.startswith(".") or path.name == "DICOMDIR" or not path.is_file():
        return False
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return True
    if suffix[1:].isalnum() and not suffix[1:].isdigit() and suffix != ".mr":
        return False  # a name may end in its UID's number
    try:
        with path.open("rb") as file:
            start = file.read(132)
    except OSError:  # it may not be read
        return False
    return start[128:] == b"DICM" or start.startswith(OLD_STARTS)


def series_in(files: Iterable[Path]) -> list[DicomSeries]:
    """Sort the DICOM files of a folder into its series, and leave out those that are no images.

    Files that cannot be read are one series if there is no other.

    Args:
        files: DICOM files of one folder.
    """
    series: dict[str, list[Path]] = {}
    facts: dict[str, ScanFacts] = {}
    unread: list[Path] = []
    for path in sorted(files):
        try:
            header = header_of(path)
        except (DataError, OSError, ValueError, RecursionError):
            unread.append(path)
            continue
        if ROWS not in header and _text(header, MODALITY) in NO_IMAGES:
            continue
        uid = _text(header, SERIES)
        series.setdefault(uid, []).append(path)
        facts.setdefault(uid, _facts(header))
    if not series and unread:
        return [DicomSeries(tuple(unread), ScanFacts())]
    return [
        DicomSeries(tuple(sorted([*paths, *unread])), facts[uid]) for uid, paths in series.items()
    ]


def series_of(place: Path) -> list[DicomSeries]:
    """List the series of a folder; of a file, the one that it belongs to.

    Raises:
        OSError: The folder may not be read.
    """
    folder = place if place.is_dir() else place.parent
    series = series_in(filter(is_dicom, folder.iterdir()))
    return series if place.is_dir() else [its_own for its_own in series if place in its_own.files]


def _facts(header: dict[int, bytes]) -> ScanFacts:
    return ScanFacts(
        description=_text(header, DESCRIPTION) or _text(header, PROTOCOL),
        kind=_text(header, IMAGE_TYPE).replace("\\", " "),
        modality=_text(header, MODALITY),
        agent=_text(header, AGENT),
        patient=_text(header, PATIENT),
        study=_text(header, STUDY),
        date=_text(header, DATE),
    )


def _text(header: dict[int, bytes], tag: int) -> str:
    return header.get(tag, b"").decode("utf-8", "replace").strip(" \0")
