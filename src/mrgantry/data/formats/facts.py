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
    """What is told of a scan, each "" where nothing is.

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
        told = read_json(path) if path.is_file() else {}
    except DataError:  # not ours to judge
        return ScanFacts()
    if not isinstance(told, dict):
        return ScanFacts()
    return ScanFacts(
        description=_text(told, "SeriesDescription") or _text(told, "ProtocolName"),
        kind=_text(told, "ImageType"),
        modality=_text(told, "Modality"),
        agent=_text(told, "ContrastBolusAgent") or _text(told, "ContrastBolusIngredient"),
        patient=_text(told, "PatientID"),
        study=_text(told, "StudyInstanceUID"),
        date=_text(told, "StudyDate") or _text(told, "AcquisitionDateTime")[:10],
    )


def _text(told: dict[str, Any], name: str) -> str:
    value = told.get(name, "")
    return " ".join(map(str, value)) if isinstance(value, list) else str(value).strip()
