"""Folders of results that are no sets of slices: begun, gone on with, finished."""

import json
from pathlib import Path
from typing import Any

from mrgantry.common.errors import DataError
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
        DataError: The folder holds results of other choices, or other things.
    """
    choices = json.loads(json.dumps(choices))  # tuples are lists, as in the file
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file; name a folder for the results.")
    if (folder / name).is_file():
        before = read_json(folder / name)
        old = before.get("choices") if isinstance(before, dict) else None
        if not isinstance(old, dict):
            raise DataError(f"{folder / name} was not written by mrgantry; choose another folder.")
        changed = [key for key in choices if old.get(key) != choices[key]]
        if changed:
            key = changed[0]
            raise DataError(
                f"{folder} was made with {key} = {old.get(key)!r}, now {choices[key]!r} is asked "
                "for. Choose another folder, or delete this one."
            )
    elif any(path.name[0] != "." for path in folder.glob("*")):  # a kill can leave hidden files
        raise DataError(f"{folder} is not empty and has no {name}; choose another folder.")
    facts = {"complete": False, "command": command, "versions": versions(), "choices": choices}
    write_json(folder / name, facts)


def finish_results(folder: Path, name: str, found: dict[str, Any]) -> None:
    """Add what was found, and mark the folder complete; all other files are whole by now."""
    write_json(folder / name, read_json(folder / name) | {"complete": True} | found)
