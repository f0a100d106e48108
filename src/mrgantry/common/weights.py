"""Published weights: kept in a folder, and fetched into it at first use."""

import os
import sys
from http.client import HTTPException
from pathlib import Path

from mrgantry.common.errors import DataError
from mrgantry.common.speaker import speaks

FOLDER = "MRGANTRY_WEIGHTS"  # environment variable: where weights are kept


def fetched(file: str, url: str, sha256: str) -> Path:
    """Find a file of weights, or fetch it: whole, and with the hash it should have.

    It is looked for in the folder that the environment variable MRGANTRY_WEIGHTS names, or in
    ~/.cache/mrgantry.

    Raises:
        DataError: It is not there and cannot be fetched.
    """
    import torch  # noqa: PLC0415 (not every command needs it)

    folder = os.environ.get(FOLDER)
    path = (Path(folder) if folder else Path.home() / ".cache" / "mrgantry") / file
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(
            url, str(path), sha256, progress=speaks() and sys.stderr.isatty()
        )
    except (OSError, RuntimeError, HTTPException) as error:
        raise DataError(
            f"The weights {path} are missing and cannot be fetched ({error}); get them from "
            f"{url} and save them under that name, or in a folder that {FOLDER} names."
        ) from error
    return path
