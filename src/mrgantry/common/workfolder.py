"""Folders of long work: whether it may begin in one, or go on in it.

Such work writes a file first, its mark, which tells the terms that it was begun on. The same
command goes on with it; on other terms, or beside other things, it is refused.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mrgantry.common.errors import RunError
from mrgantry.common.files import read_json, write_json

LONG = 80  # characters of two values, beyond which they are not printed


def begin(folder: Path, mark: str, what: str, terms: Mapping[str, Any]) -> None:
    """Begin work whose mark holds its terms and no more, or go on with it.

    Args:
        folder: Of the work; it need not exist.
        mark: Name of the file that such work writes first.
        what: What the work is, such as "a comparison".
        terms: What the results follow from.

    Raises:
        RunError: The folder holds such work on other terms, or other things.
    """
    if is_begun(folder, mark, what):
        refuse_changes(folder, read_json(folder / mark), terms)
    else:
        write_json(folder / mark, terms)


def is_begun(folder: Path, mark: str, what: str) -> bool:
    """Say whether a folder holds work of one kind; otherwise it is free for it.

    Args:
        folder: Of the work; it need not exist.
        mark: Name of the file that such work writes first.
        what: What the work is, such as "a comparison".

    Raises:
        RunError: The folder holds other things, or is a file.
    """
    if (folder / mark).is_file():
        return True
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file; name a folder for {what}.")
    if any(path.name[0] != "." for path in folder.glob("*")):  # a kill can leave hidden files
        raise RunError(f"{folder} is not empty and is not {what}; choose another folder.")
    return False


def refuse_changes(folder: Path, stored: Any, now: Mapping[str, Any]) -> None:
    """Refuse to go on with work that was begun on other terms.

    Args:
        folder: Of the work.
        stored: The terms that it was begun on, by name, as they were read.
        now: Those of this call.

    Raises:
        RunError: They differ, or what was read are no terms.
    """
    if not isinstance(stored, Mapping):
        raise RunError(f"{folder} was not begun by mrgantry; choose another folder.")
    changes = "; ".join(differences(stored, as_read(now)))
    if changes:
        raise RunError(
            f"{folder} was begun otherwise: {changes}. Repeat the first command to go on with it, "
            "or choose another folder."
        )


def differences(
    stored: Mapping[str, Any], now: Mapping[str, Any], within: str = ""
) -> Iterator[str]:
    """Tell what differs, also in values that hold others; long ones are only named.

    Args:
        stored: Values by name.
        now: The same, changed.
        within: Name, with a full stop, of the value that holds them.
    """
    for key in now:
        old, new, name = stored.get(key), now[key], within + key
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from differences(old, new, f"{name}.")
        elif old != new:
            short = len(f"{old!r}{new!r}") <= LONG
            yield f"{name} was {old!r}, now {new!r}" if short else f"other {name}"


def as_read(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give values as their file would: tuples and lists are the same there."""
    read: dict[str, Any] = json.loads(json.dumps(values))
    return read
