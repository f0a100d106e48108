"""What the key vouches for, besides the cases: that the study's other files are as they were.

`key.csv` ends with a row for each of these files, with its fingerprint. Whoever has a study
scored can so tell whether its margin, its readers or its audit were changed after the draw.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mrgantry.common.errors import DataError
from mrgantry.common.files import fingerprint, read_json

SEAL = "seal"  # stands in the column "set" of such a row
CHANGED = {
    "study.json": "its protocol with the margin, its readers and its blocks may not be those that "
    "images were drawn and read by",
    "cues.json": "what the audit of trivial cues found may not be what it says",
    "consent.md": "readers may not have agreed to what it says",
}


def seals(files: Mapping[str, Any]) -> list[dict[str, str]]:
    """Give the rows of the key that seal some files.

    Args:
        files: What each file holds, by its name: values for JSON, else text.
    """
    return [
        {"case": name, "set": SEAL, "slice": _fingerprint(content)}
        for name, content in files.items()
    ]


def broken(folder: Path, sealed: Mapping[str, str]) -> tuple[str, ...]:
    """Say which files of a study are not what they were when it was made.

    Args:
        folder: The study.
        sealed: Fingerprints by the files' names; none of a study that was made without.
    """
    return tuple(
        f"{name} was {'changed' if (folder / name).is_file() else 'taken away'} after the study "
        f"was made: {CHANGED.get(name, 'it may not say what it said')}."
        for name, mark in sealed.items()
        if _read(folder / name) != mark
    )


def _read(path: Path) -> str:
    try:
        if path.suffix == ".json":
            return _fingerprint(read_json(path))
        return _fingerprint(path.read_text(encoding="utf-8"))
    except (DataError, OSError, ValueError):
        return ""


def _fingerprint(content: Any) -> str:
    """Mark what is said, however it is laid out; the key's own mark cannot be in it."""
    if isinstance(content, dict):
        said = {name: value for name, value in content.items() if name != "key_fingerprint"}
        content = json.dumps(said, sort_keys=True)
    return fingerprint([content])
