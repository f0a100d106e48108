"""A look at all images of a folder, before any is taken: what their values mean, their size."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Real

from mrgantry.common.errors import DataError
from mrgantry.common.progress import progress
from mrgantry.data.exchange.export import Origin
from mrgantry.data.exchange.listing import ImageFiles, ImageTable, Listing
from mrgantry.data.exchange.pictures import (
    NEAR_GREY,
    PERCENTILES,
    Limits,
    Picture,
    extremes,
    read_picture,
    suffix_of,
    turned,
)
from mrgantry.data.exchange.plan import LARGEST, ImportPlan
from mrgantry.data.fitness import people_behind
from mrgantry.data.label_maps import classes_of, values_in
from mrgantry.data.sections import from_text
from mrgantry.data.slices import SliceSet

ROUNDING = 1e-3  # by which floats may leave [-1, 1] and still be meant to lie within


@dataclass(frozen=True)
class FirstLook:
    """What a first look at an entry told.

    Attributes:
        entry: The files.
        shape: Number, channels, height and width of their images.
        white: As `Picture.white`.
        low: Lowest stored value.
        high: Highest.
        placed: Whether the files say where they lie.
        simulated: Whether they say that they were simulated.
        pixel_mm2: Area of a pixel, where they tell it, else 0.
        marked: How many pixels of each image are marked as tumour; () where nothing marks any.
        values: Whole numbers above 0 among the marks.
    """

    entry: ImageFiles
    shape: tuple[int, ...]
    white: int | None
    low: float
    high: float
    placed: bool
    simulated: bool
    pixel_mm2: float = 0.0
    marked: tuple[int, ...] = ()
    values: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Known:
    """What is known of all images once each has been looked at.

    `classes` are those of label maps that are kept, as `read_classes` reads them;
    `training_subjects` are the people whom a generator has seen.
    """

    plan: ImportPlan
    channels: tuple[str, ...]
    synthetic: bool
    simulated: bool
    size: int
    limits: dict[int | None, Limits | None]
    made_by: str
    training_subjects: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    @property
    def source(self) -> Literal["real", "simulated"]:
        """Say where the pixels come from in the end."""
        return "simulated" if self.simulated else "real"


def look_at(listing: Listing, channels: int, plan: ImportPlan) -> list[FirstLook]:
    """Read every file once; what cannot be used is listed among the problems."""
    looks = []
    with progress("look", len(listing.entries)) as advance:
        for entry in listing.entries:
            try:
                seen = read_entry(entry, channels, plan)
                low, high = extremes(entry.files, seen.pixels)
                marks = read_labels(entry, seen, plan) if entry.labels else None
                look = FirstLook(
                    entry,
                    seen.pixels.shape,
                    seen.white,
                    low,
                    high,
                    seen.affine is not None,
                    seen.simulated,
                    _area(seen),
                    () if marks is None else _marked(entry, marks),
                    frozenset() if marks is None else frozenset(values_in(marks)),
                )
                looks.append(look)
            except DataError as error:
                listing.skip(entry.name, error)
            advance()
    return looks


def _area(picture: Picture) -> float:
    """Give the area of a pixel in mm2, or 0 where it is not told."""
    if picture.affine is None:
        return 0.0
    return float(np.prod(np.linalg.norm(picture.affine[:3, :2], axis=0)))


def _marked(entry: ImageFiles, marks: Real[np.ndarray, "n h w"]) -> tuple[int, ...]:
    """Count the marked pixels of each image of an entry."""
    lossy = entry.labels is not None and suffix_of(entry.labels) in (".jpg", ".jpeg")
    return tuple(int(count) for count in (marks > (NEAR_GREY if lossy else 0)).sum(axis=(1, 2)))


def read_entry(entry: ImageFiles, channels: int, plan: ImportPlan) -> Picture:
    """Read an entry, turned as its table's affine has it, or else as the plan says.

    Raises:
        DataError: It cannot be used.
    """
    return _read(entry, entry.files, channels, plan)


def read_labels(entry: ImageFiles, picture: Picture, plan: ImportPlan) -> Real[np.ndarray, "n h w"]:
    """Read what marks the tumours of an entry, turned as its images are.

    Args:
        entry: Its files, labels among them.
        picture: Its images.
        plan: How images are turned.

    Raises:
        DataError: There is nothing, it cannot be read, or is of another size.
    """
    if entry.labels is None:
        raise DataError("it has no label map; leave out --label-maps, or name them in the table.")
    marks = _read(entry, (entry.labels,), 1, plan).pixels
    if marks.size != picture.pixels[:, 0].size or marks.shape[2:] != picture.pixels.shape[2:]:
        raise DataError(
            f"{entry.labels}: it is not of the size of the picture whose tumour it marks."
        )
    return marks.reshape(-1, *marks.shape[2:])


def _read(entry: ImageFiles, files: Sequence[Path], channels: int, plan: ImportPlan) -> Picture:
    affine = entry.rows[0].get("affine") if entry.rows else ""
    along = from_text(affine)[:3, :2] if affine else np.eye(3)[:, :2]
    directions = along / np.linalg.norm(along, axis=0) if affine else None
    read = read_picture(files, channels, directions)
    return read if affine or read.plane else turned(read, plan.turn, mirror=plan.mirror)


def _classes(
    plan: ImportPlan, origin: Origin | None, looks: Sequence[FirstLook]
) -> tuple[str, ...]:
    """Give the classes of the label maps that are kept, as exported, as asked, or by values.

    Raises:
        DataError: There are values whose meaning nobody can know.
    """
    if origin and origin.classes:
        return tuple(f"{number}={name}" for number, name in enumerate(origin.classes, start=1))
    if not plan.label_maps:
        return ()
    return plan.classes or classes_of({value for look in looks for value in look.values})


def know(
    folder: Path,
    plan: ImportPlan,
    origin: Origin | None,
    table: ImageTable | None,
    channels: tuple[str, ...],
    looks: list[FirstLook],
    listing: Listing,
) -> Known:
    """Settle what holds for all images.

    Raises:
        DataError: No file could be read, or it is not clear whether the images are real.
    """
    if not looks:
        raise DataError(f"No image of {folder} can be used: {listing.reason}")
    sources = table.values_of("source") if table else set()
    if "synthetic" in sources and len(sources) > 1:
        raise DataError(f"{folder} mixes real and synthetic images; a set holds one kind.")
    synthetic = "synthetic" in sources if sources else origin.synthetic if origin else not plan.real
    if synthetic and plan.real:
        raise DataError(f"--real is said of {folder}, but its table says 'synthetic'.")
    if plan.subject and synthetic:
        raise DataError("--subject tells whose real images these are; say --real too.")
    if plan.trained_on and not synthetic:
        raise DataError("--trained-on is said of a generator, and these images are real.")
    taught = SliceSet.open(plan.trained_on) if plan.trained_on else None
    seen_simulated = any(look.simulated for look in looks) or "simulated" in sources
    seen_simulated |= taught is not None and taught.about.source == "simulated"
    return Known(
        plan=plan,
        channels=channels,
        synthetic=synthetic,
        simulated=plan.simulated or seen_simulated or bool(origin and origin.source == "simulated"),
        size=plan.size or looks[0].shape[2],
        limits=_choose_limits(plan, looks, listing),
        training_subjects=_training_subjects(taught, origin),
        made_by=(plan.made_by or folder.resolve().name) if synthetic else plan.made_by or "",
        classes=_classes(plan, origin, looks),
    )


def _training_subjects(taught: SliceSet | None, origin: Origin | None) -> tuple[str, ...]:
    """Give the people whom a generator has seen, by the set it was trained on and by an export."""
    people = set(origin.training_subjects if origin else ())
    if taught is not None:
        people |= people_behind(taught.split("train"))
    return tuple(sorted(people))


def refuse_sizes(folder: Path, looks: Sequence[FirstLook]) -> None:
    """Refuse images that are not of one size, all of them square.

    Raises:
        DataError: They differ, or are not square.
    """
    shapes = Counter(look.shape[2:] for look in looks)
    (height, width), count = shapes.most_common(1)[0]
    other = next((look for look in looks if look.shape[2:] != (height, width)), None)
    side = min(max(height, width), LARGEST)
    if other:
        h, w = other.shape[2:]
        raise DataError(
            f"The images of {folder} differ in size: {count:,} files are {height} x {width} "
            f"pixels, {other.entry.files[0].name} is {h} x {w}. Bring all to one with --size "
            f"{side}, which pads and resizes them, or take out those that differ."
        )
    if height != width:
        raise DataError(
            f"The images of {folder} are {height} x {width} pixels, but must be square; --size "
            f"{side} pads them with background."
        )


def _choose_limits(
    plan: ImportPlan, looks: Sequence[FirstLook], listing: Listing
) -> dict[int | None, Limits | None]:
    """Give the values that become -1 and 1, for each type of picture; None: percentiles."""
    limits: dict[int | None, Limits | None] = {}
    for white in dict.fromkeys(look.white for look in looks):
        alike = [look for look in looks if look.white == white]
        low, high = min(look.low for look in alike), max(look.high for look in alike)
        limits[white] = plan.limits
        if plan.range != "auto":
            continue
        if white:
            limits[white] = (0.0, float(white))
            if high < white / 8:
                listing.remarks.append(
                    f"The brightest pixel is {high:,.0f} of {white:,}, so the images are dark. If "
                    "these are a scanner's units, say --range percentiles."
                )
        elif low >= -1 - ROUNDING and high <= 1 + ROUNDING:
            limits[white] = (-1.0, 1.0) if low < 0 else (0.0, 1.0)
    return limits


def rule(white: int | None, limits: Limits | None) -> str:
    """Say in words how values were scaled."""
    kind = {255: "8-bit pictures", 65535: "16-bit pictures"}.get(white or 0, "floats and others")
    if limits is None:
        low, high = PERCENTILES
        return f"{kind}: each image by its own {low} and {high} percentiles without background"
    return f"{kind}: {limits[0]:g} to {limits[1]:g}"
