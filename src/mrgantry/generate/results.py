"""Folders of results that are no sets of slices: begun, gone on with, finished."""

from pathlib import Path
from typing import Any

from mrgantry.common import workfolder
from mrgantry.common.files import read_json, write_json
from mrgantry.common.provenance import versions


def begin_results(folder: Path, name: str, command: str, choices: dict[str, Any]) -> None:
    """Start a folder, or go on with one that was started with the same choices.

    Args:
        folder: Where results will lie.
        name: Of the file that tells what the folder is, such as "walk.json".
        command: The shell command that makes it again.
        choices: What the results follow from.

    Raises:
        RunError: The folder holds results of other choices, or other things.
    """
    if workfolder.is_begun(folder, name, f"one of {name.removesuffix('.json')}"):
        stored = read_json(folder / name)
        old = stored.get("choices") if isinstance(stored, dict) else None
        workfolder.refuse_changes(folder, old, choices)
    facts = {"complete": False, "command": command, "versions": versions(), "choices": choices}
    write_json(folder / name, facts)


def finish_results(folder: Path, name: str, facts: dict[str, Any]) -> None:
    """Add what was found, and mark the folder complete; all other files are whole by now."""
    write_json(folder / name, read_json(folder / name) | {"complete": True} | facts)
