"""What a scan's header, or the JSON file beside it, tells of the scan.

dcm2niix and BIDS lay such files beside NIfTI, with DICOM's own names for what they hold.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrgantry.common.errors import DataError
from mrgantry.common.files import read_json


@dataclass(frozen=True)
class ScanFacts:
    """What is entries of a scan, each "" where nothing is.

    Attributes:
        description: SeriesDescription, or the name of its protocol.
        kind: Words of ImageType, as "DERIVED PRIMARY DIFFUSION ADC".
        modality: MR, CT or PT.
        agent: ContrastBolusAgent, where one was given.
        patient: PatientID, by which scans of one person are known; never stored or printed.
        study: StudyInstanceUID, alike for what was scanned in one visit; never stored or printed.
        date: StudyDate, the same.
    """

    description: str = ""
    kind: str = ""
    modality: str = ""
    agent: str = ""
    patient: str = ""
    study: str = ""
    date: str = ""


def sidecar_facts(scan: Path, suffix: str) -> ScanFacts:
    """Read the JSON file beside a scan; one that is missing or damaged tells nothing.

    Args:
        scan: The scan's file.
        suffix: The ending of its name.
    """
    path = scan.with_name(scan.name[: len(scan.name) - len(suffix)] + ".json")
    try:
        entries = read_json(path) if path.is_file() else {}
    except DataError:  # not ours to judge
        return ScanFacts()
    if not isinstance(entries, dict):
        return ScanFacts()
    return ScanFacts(
        description=_text(entries, "SeriesDescription") or _text(entries, "ProtocolName"),
        kind=_text(entries, "ImageType"),
        modality=_text(entries, "Modality"),
        agent=_text(entries, "ContrastBolusAgent") or _text(entries, "ContrastBolusIngredient"),
        patient=_text(entries, "PatientID"),
        study=_text(entries, "StudyInstanceUID"),
        date=_text(entries, "StudyDate") or _text(entries, "AcquisitionDateTime")[:10],
    )


def _text(entries: dict[str, Any], name: str) -> str:
    value = entries.get(name, "")
    return " ".join(map(str, value)) if isinstance(value, list) else str(value).strip()
