"""What a projection has found of some slices, and its parts on disk."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Float16, Float32, Int

from mrgantry.common.errors import DataError
from mrgantry.common.files import whole
from mrgantry.common.progress import progress

BLOCK = 4  # slices a part


class Projected(NamedTuple):
    """What was found of some slices, in their order.

    Attributes:
        latents: Whose images come nearest.
        images: These images, in [-1, 1].
        velocity_errors: Of a flow: how well it takes noise off each slice; empty of a GAN.
    """

    latents: Float32[np.ndarray, "n z"]
    images: Float16[np.ndarray, "n c h w"]
    velocity_errors: Float32[np.ndarray, " m"]

    @classmethod
    def joined(cls, parts: Sequence["Projected"]) -> "Projected":
        """Put parts one after another."""
        return cls(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

    def ordered(self, order: Int[np.ndarray, " n"]) -> "Projected":
        """Put slices into another order."""
        errors = self.velocity_errors[order] if len(self.velocity_errors) else self.velocity_errors
        return Projected(self.latents[order], self.images[order], errors)


def project_in_parts(
    count: int,
    steps: int,
    parts: Path,
    project: Callable[[slice, Callable[[int], None]], Projected],
) -> Projected:
    """Project slices a part at a time, so that a killed call goes on from its last part.

    Args:
        count: How many slices.
        steps: How often the bar is told of each slice.
        parts: Where parts are kept.
        project: Gives what is found of the slices between two numbers; it is handed the bar.

    Returns:
        What was found of all slices.
    """
    blocks = [slice(begin, min(begin + BLOCK, count)) for begin in range(0, count, BLOCK)]
    paths = [parts / f"{block.start:05d}.npz" for block in blocks]
    due = [pair for pair in zip(blocks, paths, strict=True) if not pair[1].is_file()]
    done = count - sum(block.stop - block.start for block, _ in due)
    with progress("project", count * steps, done * steps) as advance:
        for block, path in due:
            save_part(path, project(block, advance))
    return Projected.joined([load_part(path) for path in paths])


def save_part(path: Path, part: Projected) -> None:
    """Write a part."""
    with whole(path) as aside:
        np.savez(aside, **part._asdict())


def load_part(path: Path) -> Projected:
    """Read a part.

    Raises:
        DataError: It is damaged.
    """
    try:
        with path.open("rb") as file, np.load(file) as stored:
            return Projected(*(stored[name] for name in Projected._fields))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise DataError(
            f"{path} is damaged ({error}); delete it and run the same command again."
        ) from error
