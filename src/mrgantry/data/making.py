"""A set of slices in the making: begun, gone on with, reopened, finished."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mrgantry.common import workfolder
from mrgantry.common.errors import DataError
from mrgantry.common.files import fingerprint, write_json
from mrgantry.common.tables import write_table
from mrgantry.data.about import About, read_about
from mrgantry.data.parts import MAPS, digest
from mrgantry.data.plan import SlicePlan
from mrgantry.data.slices import SliceSet, read_table, refuse_shared_subjects


def begin_set(folder: Path, about: About) -> None:
    """Start a set, or go on with one that was started with the same choices.

    Raises:
        RunError: The folder holds a set made with other choices, or other things.
    """
    if not begun(folder, about):
        write_json(folder / "about.json", about.model_dump())


def begun(folder: Path, about: About) -> bool:
    """Say whether a set was started with the same choices; otherwise its folder is free.

    Raises:
        RunError: The folder holds a set made with other choices, or other things.
    """
    if not workfolder.is_begun(folder, "about.json", "a set of slices"):
        return False
    # What becomes of repeats is decided anew at the end, of the same parts.
    old, new = (
        {key: made.choices[key] for key in made.choices if key != "repeats"}
        | {"channels": made.channels, "size": made.size}
        for made in (read_about(folder), about)
    )
    # A choice that did not exist when the set was begun, and is not made now, changes nothing.
    defaults = workfolder.as_read(
        {name: field.default for name, field in SlicePlan.model_fields.items()}
    )
    later = {key: value for key, value in workfolder.as_read(new).items() if key not in old}
    unmade = {key for key, value in later.items() if not value or value == defaults.get(key)}
    new = {key: value for key, value in new.items() if key not in unmade}
    workfolder.refuse_changes(folder, workfolder.as_read(old), new)
    return True


def reopen(folder: Path) -> None:
    """Mark a set as incomplete before a part of it is replaced."""
    about = read_about(folder)
    if about.complete:
        write_json(folder / "about.json", about.model_copy(update={"complete": False}).model_dump())


def finish(
    folder: Path,
    about: About,
    parts: Sequence[str],
    look: Callable[[SliceSet], SliceSet] | None = None,
) -> SliceSet:
    """Assemble the rows of all parts, take the fingerprint and mark the set complete.

    Args:
        folder: Where the set lies.
        about: How it was made.
        parts: Names of its parts, in the order of the rows.
        look: Gives the set that is kept, with its notes, of the assembled one; the images of
            a part stay as they are.

    Raises:
        DataError: There are no parts, or a subject stands in two splits.
    """
    if not parts:
        raise DataError(f"Nothing was left to put into {folder}.")
    tables = [read_table(folder / f"parts/{name}.csv") for name in parts]
    table = pd.concat(tables, ignore_index=True)
    refuse_shared_subjects(table, folder)
    about = about.model_copy(update={"parts": tuple(parts), "rows": tuple(map(len, tables))})
    if look is not None:
        kept = look(SliceSet(table, about, folder, np.arange(len(table))))
        table, about = kept.table, kept.about
        refuse_shared_subjects(table, folder)
    kind = "npz" if about.poses else "npy"
    places = ("parts", MAPS) if about.classes else ("parts",)
    files = (folder / f"{place}/{name}.{kind}" for place in places for name in about.parts)
    mark = fingerprint([table.to_csv(index=False), *(digest(file) for file in files)])
    if mark != read_about(folder).fingerprint:
        reopen(folder)  # another table than that of a finished set
    write_table(folder / "slices.csv", table)
    update = {
        "complete": True,
        "fingerprint": mark,
        "table_fingerprint": digest(folder / "slices.csv"),
    }
    write_json(folder / "about.json", about.model_copy(update=update).model_dump())
    return SliceSet.open(folder, volumes=True)
