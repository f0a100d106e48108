"""Files that are whole or absent, and fingerprints of what they hold.

A process can be killed between any two instructions. So every file is written
under another name beside its place and renamed when it is complete: whoever finds
a file under its own name may trust it.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mrgantry.common.errors import DataError

AnyPath = str | os.PathLike[str]  # what people may name a file or folder by


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a path to write to; rename it to `path` if the block succeeds.

    The temporary name keeps the suffixes, since writers choose a format by them.

    Raises:
        DataError: The disk is full or the folder cannot be written.
    """
    aside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        aside.replace(path)
    except (OSError, RuntimeError) as error:  # PyTorch's writer raises RuntimeError
        # NumPy and PyTorch say how many bytes they wrote, not why it was not all.
        reason = getattr(error, "strerror", None) or f"the disk may be full ({error})"
        raise DataError(f"{path} cannot be written: {reason}.") from error
    finally:
        with suppress(OSError):
            aside.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with whole(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file for people and programs, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DataError: The file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist.") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a readable JSON file: {error}.") from error


def fingerprint(chunks: Iterable[bytes | str]) -> str:
    """Give 16 hexadecimal digits that change when any chunk changes."""
    digest = hashlib.sha256()
    for chunk in chunks:
        data = chunk.encode() if isinstance(chunk, str) else chunk
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()[:16]
