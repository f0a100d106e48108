"""Whether long work may begin in a folder, or go on in it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mrgantry.common.errors import RunError

LONG = 80  # characters of two values, beyond which they are not printed


def refuse_others(out: Path, mark: str, what: str) -> None:
    """Refuse a folder that holds other things than work of one kind.

    Args:
        out: The folder, which need not exist.
        mark: Name of the file that such work writes first.
        what: What the work is, such as "a comparison".

    Raises:
        RunError: It does.
    """
    if not (out / mark).is_file() and any(path.name[0] != "." for path in out.glob("*")):
        raise RunError(f"{out} is not empty and is not {what}; choose another folder.")


def refuse_changes(out: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with work that was begun on other terms.

    Args:
        out: Its folder.
        before: The terms that it was begun on, by name.
        now: Those of this call.

    Raises:
        RunError: They differ.
    """
    changed = [key for key in now if before.get(key) != now[key]]
    if changed:
        values = "; ".join(differences(before, now))
        raise RunError(
            f"{out} was begun with other {' and '.join(changed)}"
            + (f" ({values})" if values else "")
            + ". Repeat the first command to go on with it, or choose another folder."
        )


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Name the values that differ, also those within others; long ones are left out."""
    for key in now:
        old, new = before.get(key), now[key]
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from (f"{key}.{difference}" for difference in differences(old, new))
        elif old != new and len(f"{old!r}{new!r}") <= LONG:
            yield f"{key} was {old!r}, now {new!r}"
