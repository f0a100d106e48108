"""Where each head's basal ganglia lie, and how it is turned: a table that people have made.

A row a head: `subject`, `session` if there are several, `x`, `y` and `z` in scanner mm, and, where
the head does not lie on the AC-PC line, `yaw`, `pitch` and `roll` in degrees that bring it there,
applied in this order about the centre, with the signs of `oblique.py`. Kazuhiro et al. (2018)
have reoriented each volume so by hand.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from mrgantry.common.errors import DataError

PLACE = ("x", "y", "z")
TURNS = ("yaw", "pitch", "roll")


def read_centre(
    table: Path, subject: str, session: str
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "4 4"]]:
    """Look a head up.

    Args:
        table: A CSV file.
        subject: Whose head.
        session: Of which visit; a table without this column names all visits of a person.

    Returns:
        The centre in mm, and what turns scanner mm onto the AC-PC line about it.

    Raises:
        DataError: The file cannot be read, lacks a column, or has no row, or several, of the head.
    """
    try:
        rows = pd.read_csv(table, dtype={"subject": str, "session": str}, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DataError(f"The table of centres {table} cannot be read: {error}.") from error
    if missing := [name for name in ("subject", *PLACE) if name not in rows]:
        raise DataError(
            f"The table of centres {table} lacks the column {missing[0]}; it needs subject, x, y "
            "and z, and takes session, yaw, pitch and roll."
        )
    chosen = rows["subject"] == subject
    if "session" in rows:
        chosen &= rows["session"] == session
    visit = f", session {session}" if session else ""
    if chosen.sum() != 1:
        raise DataError(
            f"the table of centres {table} has {int(chosen.sum())} rows of subject "
            f"{subject}{visit}, where one is needed."
        )
    row = rows[chosen].iloc[0]
    try:
        centre = np.array([float(row[name]) for name in PLACE])
        angles = [float(row[name]) if name in rows else 0.0 for name in TURNS]
    except ValueError as error:
        raise DataError(
            f"the table of centres {table} has no numbers for subject {subject}{visit}: {error}."
        ) from error
    turned = np.eye(4)
    turned[:3, :3] = Rotation.from_euler("zxy", angles, degrees=True).as_matrix()
    turned[:3, 3] = centre - turned[:3, :3] @ centre
    return centre, turned
