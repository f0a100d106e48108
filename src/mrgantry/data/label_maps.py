"""Label maps: which pixels of a slice show which part of a tumour, or what else has been mapped.

The map of a slice lies beside its image, never among the pixels that measures see. It holds 0
where there is no class, and k where the k-th of the set's classes is. Networks that draw maps with
images see each class as a channel of its own, 1 inside and -1 outside.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Real, UInt8
from scipy import ndimage
from torch import Tensor

from mrgantry.common.errors import DataError, RecipeError
from mrgantry.common.progress import progress
from mrgantry.common.workers import in_threads
from mrgantry.data.volume import read_volume

MOST = 250  # classes: a map holds numbers of 8 bits
LISTED = 6  # values in a sentence
# The parts of a glioma, by the numbers of BRATS 2017 and later; 3 took the place of 4 in 2023.
BRATS = {1: "necrosis", 2: "oedema", 3: "enhancing", 4: "enhancing"}
# Until 2016, beside 4, 3 was what does not enhance, which later years joined with necrosis.
BRATS_2012 = BRATS | {3: "necrosis"}
CONNECTED = np.ones((3, 3), bool)  # pixels that touch at a corner are one part


def read_classes(classes: Sequence[str]) -> dict[int, str]:
    """Read which values of label maps belong to which class.

    Args:
        classes: As "1=core", or "3+4=enhancing" where several values are one class.

    Raises:
        RecipeError: A text is none of these, or a value has two classes.
    """
    named: dict[int, str] = {}
    for text in classes:
        values, _, name = text.partition("=")
        name = name.strip()
        if not name or not re.fullmatch(r"\d+(\+\d+)*", values.strip()):
            raise RecipeError(
                f"The class {text!r} is not understood. Write the value in the label maps and its "
                "name, as 1=core; values that are one class with a plus, as 3+4=enhancing."
            )
        for value in map(int, values.split("+")):
            if value == 0:
                raise RecipeError(f"In the class {text!r}, 0 is the background of label maps.")
            if named.get(value, name) != name:
                raise RecipeError(
                    f"The value {value} is given two classes, {named[value]} and {name}."
                )
            named[value] = name
    return named


def class_names(classes: Sequence[str]) -> tuple[str, ...]:
    """Name the classes in order, each once."""
    return tuple(dict.fromkeys(read_classes(classes).values()))


def find_classes(paths: Iterable[Path], threads: int | None = None) -> tuple[str, ...]:
    """Find the classes of label maps by the values in all of them, as `classes_of` does.

    Args:
        paths: Label maps. Files that cannot be read are left to whoever needs them.
        threads: How many are read at once; defaults to one a core.

    Raises:
        DataError: There are values whose meaning nobody can know.
    """
    files = list(paths)
    values: set[int] = set()
    with progress("label maps", len(files)) as advance:
        for of_file in in_threads(_values_of_file, files, threads):
            values |= of_file
            advance()
    return classes_of(values)


def classes_of(values: set[int]) -> tuple[str, ...]:
    """Find the classes of label maps by their values, but for 0.

    A single value is the tumour; values up to 4 are those of BRATS.

    Returns:
        Classes as `read_classes` reads them.

    Raises:
        DataError: There are values whose meaning nobody can know.
    """
    if len(values) <= 1:
        return (f"{min(values, default=1)}=tumour",)
    if not values <= BRATS.keys():
        raise DataError(unnamed(values))
    names = BRATS_2012 if {3, 4} <= values else BRATS
    classes = {name: [value for value in names if names[value] == name] for name in names.values()}
    return tuple(f"{'+'.join(map(str, members))}={name}" for name, members in classes.items())


def unnamed(values: Iterable[int]) -> str:
    """Say of values in label maps that they have no class, and how to name them."""
    ordered = sorted(values)
    listed = ", ".join(map(str, ordered[:LISTED])) + (", ..." if len(ordered) > LISTED else "")
    return (
        f"The label maps hold the values {listed}, which have no class. Name them all, as "
        f"--classes {','.join(f'{value}=NAME' for value in ordered[:LISTED])}."
    )


def values_in(labels: Real[np.ndarray, "..."]) -> set[int]:
    """Give the whole numbers above 0 in a label map."""
    return {int(value) for value in np.unique(labels) if value > 0 and value == int(value)}


def _values_of_file(path: Path) -> set[int]:
    try:
        return values_in(read_volume(path).voxels)
    except DataError:
        return set()


def classified(
    labels: Real[np.ndarray, "*shape"], classes: Sequence[str]
) -> UInt8[np.ndarray, "*shape"]:
    """Give each voxel of a label map the number of its class, from 1; 0 is no class.

    Args:
        labels: The values of the map.
        classes: As `read_classes` reads them.

    Raises:
        DataError: A value is a fraction, or has no class.
    """
    named, names = read_classes(classes), class_names(classes)
    values = np.unique(labels)
    if (values != np.rint(values)).any():
        raise DataError("its label map holds fractions; it was resampled as if it were a scan")
    unknown = {int(value) for value in values} - named.keys() - {0}
    if unknown:
        raise DataError(unnamed(unknown))
    numbers = np.zeros(labels.shape, np.uint8)
    for value, name in named.items():
        numbers[labels == value] = 1 + names.index(name)
    return numbers


def to_channels(maps: UInt8[np.ndarray, "..."], count: int) -> Float32[np.ndarray, "k ..."]:
    """Give a channel a class, 1 inside and -1 outside.

    Args:
        maps: Numbers of classes.
        count: How many classes there are.
    """
    return np.stack([np.where(maps == number, 1, -1) for number in range(1, count + 1)]).astype(
        np.float32
    )


def from_channels(channels: Float[Tensor, "n k ..."]) -> UInt8[np.ndarray, "n ..."]:
    """Give the class of each pixel, or voxel: that of the largest share, which may be none.

    Args:
        channels: One a class, 1 inside and -1 outside; where a class and others share a pixel,
            between.
    """
    shares = (channels.float().clamp(-1, 1) + 1) / 2
    none = 1 - shares.sum(1, keepdim=True)
    return torch.cat([none, shares], 1).argmax(1).to(torch.uint8).cpu().numpy()


def without_specks(
    maps: UInt8[np.ndarray, "n ..."], least: int
) -> tuple[UInt8[np.ndarray, "n ..."], int]:
    """Leave out parts of maps, of all classes together, that are smaller than a few pixels.

    Args:
        maps: Numbers of classes, of images or of volumes.
        least: Pixels, or voxels, of the smallest part that stays.

    Returns:
        The maps, and how many parts were left out.
    """
    cleaned, count = maps.copy(), 0
    for image in cleaned:
        parts, _ = ndimage.label(image > 0, np.ones([3] * image.ndim, bool))
        sizes = np.bincount(parts.ravel())
        small = np.flatnonzero(sizes[1:] < least) + 1
        image[np.isin(parts, small)] = 0
        count += len(small)
    return cleaned, count


def outlines(maps: UInt8[np.ndarray, "n h w"], times: int) -> UInt8[np.ndarray, "n h2 w2"]:
    """Give the edges of classes, one pixel wide, in maps that are enlarged.

    Args:
        maps: Numbers of classes.
        times: How many times larger.

    Returns:
        The number of the class at its edge, and 0 elsewhere.
    """
    large = maps.repeat(times, 1).repeat(times, 2)
    padded = np.pad(large, ((0, 0), (1, 1), (1, 1)))
    inside: Bool[np.ndarray, "n h2 w2"] = np.ones(large.shape, bool)
    for rows, columns in (
        (slice(2, None), slice(1, -1)),
        (slice(None, -2), slice(1, -1)),
        (slice(1, -1), slice(2, None)),
        (slice(1, -1), slice(None, -2)),
    ):
        inside &= padded[:, rows, columns] == large
    return np.where(inside, 0, large).astype(np.uint8)
