"""Images of other programs in: a folder of pictures becomes a set of slices."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Float16
from pydantic import Field, field_validator, model_validator

from mrgantry.common.errors import DataError, RecipeError
from mrgantry.common.files import fingerprint, read_json, write_json
from mrgantry.common.frozen import Frozen
from mrgantry.common.progress import progress
from mrgantry.common.provenance import command_line, versions
from mrgantry.data.cut import ORDER
from mrgantry.data.export import Origin, read_origin
from mrgantry.data.listing import (
    Entry,
    Item,
    Listing,
    Table,
    check_items,
    items_of,
    list_entries,
    read_table,
)
from mrgantry.data.pictures import (
    PERCENTILES,
    Limits,
    Picture,
    read_picture,
    scale,
    to_square,
)
from mrgantry.data.plan import Plane, SlicePlan
from mrgantry.data.prepare import draw_splits, refuse_like_names
from mrgantry.data.sections import as_text, from_text
from mrgantry.data.slices import (
    COLUMNS,
    About,
    SliceSet,
    begin,
    finish,
    has_part,
    refuse_shared_subjects,
    safe_name,
    write_part,
)

BLOCK = 1000  # images a part, where they have no subject
ROUNDING = 1e-3  # by which floats may leave [-1, 1] and still be meant to lie within
# Folders that hold images of many people.
NO_SUBJECTS = {"train", "training", "test", "testing", "val", "valid", "validation", "images"}


class ImportPlan(Frozen):
    """What a folder of images does not say of itself.

    Attributes:
        range: The stored values that become -1 and 1. "auto": the full range of 8- and
            16-bit pictures; floats within [-1, 1] as they are, within [0, 1] stretched;
            else "percentiles": each image's own 0.5 and 99.5. Or LOW:HIGH.
        size: Height and width to pad and resize to; None takes images as they are.
        channel: Channels that the names of files end in, as ID_t1.png, or that one
            `.npy` holds.
        sequence: What single-channel images show; None is "unknown".
        plane: The plane of files that do not tell it; None is "unknown".
        pixel_mm: Side of a pixel, as stored, of files that do not tell it.
        table: A table with the columns of `slices.csv`, by `file` or `id`; None takes
            a `slices.csv` in the folder, if there is one.
        subject: A regular expression, whose first group in a file's path is the subject.
        real: The images are of people, not from a generator.
        simulated: They stem from simulated scans.
        made_by: The generator; None is the folder's name.
        splits: Shares of subjects for train, validation and test, of real images.
        seed: Seed of the draw of splits.
    """

    range: str = "auto"
    size: Annotated[int, Field(ge=8, le=1024)] | None = None
    channel: tuple[str, ...] = ()
    sequence: str | None = None
    plane: Plane | None = None
    pixel_mm: Annotated[float, Field(gt=0)] | None = None
    table: str | None = None
    subject: str | None = None
    real: bool = False
    simulated: bool = False
    made_by: str | None = None
    splits: tuple[float, float, float] = (0.6, 0.1, 0.3)
    seed: Annotated[int, Field(ge=0)] = 0

    @field_validator("subject")
    @classmethod
    def _with_a_group(cls, pattern: str | None) -> str | None:
        try:
            groups = re.compile(pattern).groups if pattern is not None else 1
        except re.error as error:
            raise RecipeError(
                f"--subject {pattern!r} is no regular expression: {error}."
            ) from error
        if not groups:
            raise RecipeError(
                f"--subject {pattern!r} has no group; put what names the subject in brackets, "
                "as '(OAS1_[0-9]+)_'."
            )
        return pattern

    @model_validator(mode="after")
    def _sound(self) -> "ImportPlan":
        _ = self.limits, SlicePlan(splits=self.splits)
        for name in (*self.channel, *([self.sequence] if self.sequence else [])):
            if not re.fullmatch(r"[\w.-]+", name):
                raise RecipeError(f"{name!r} is no name of a channel; use letters and digits.")
        if len(set(self.channel)) != len(self.channel):
            raise RecipeError(f"A channel is named twice: {', '.join(self.channel)}.")
        return self

    @property
    def limits(self) -> Limits | None:
        """Give the values that become -1 and 1, where the user named them.

        Raises:
            RecipeError: The range is not understood.
        """
        if self.range in ("auto", "percentiles"):
            return None
        try:
            low, high = (float(number) for number in self.range.split(":"))
        except ValueError:
            low = high = 0.0
        if not -np.inf < low < high < np.inf:
            raise RecipeError(
                f"The range {self.range!r} is not understood; write auto, percentiles, or two "
                "rising numbers as 0:255."
            )
        return low, high

    def options(self) -> dict[str, Any]:
        """Give the command-line options of `import` that differ from the defaults."""
        fields = type(self).model_fields.items()
        given = {name: getattr(self, name) for name, field in fields}
        changed = {name: given[name] for name, field in fields if given[name] != field.default}
        if "splits" in changed:
            changed["splits"] = ":".join(f"{share:g}" for share in self.splits)
        return changed


@dataclass(frozen=True)
class Look:
    """What a first look at an entry told.

    Attributes:
        entry: The files.
        shape: Number, channels, height and width of their images.
        white: As `Picture.white`.
        low: Lowest stored value.
        high: Highest.
        placed: Whether the files say where they lie.
        simulated: Whether they say that they were simulated.
    """

    entry: Entry
    shape: tuple[int, ...]
    white: int | None
    low: float
    high: float
    placed: bool
    simulated: bool


@dataclass(frozen=True)
class Known:
    """What is known of all images once each has been looked at."""

    plan: ImportPlan
    channels: tuple[str, ...]
    synthetic: bool
    simulated: bool
    size: int
    limits: dict[int | None, Limits | None]
    made_by: str

    @property
    def source(self) -> Literal["real", "simulated"]:
        """Say where the pixels come from in the end."""
        return "simulated" if self.simulated else "real"


def import_slices(
    folder: Path, slices: Path, plan: ImportPlan | None = None, *, strict: bool = False
) -> SliceSet:
    """Make a set of slices of the images in a folder, and in those below it.

    All files are looked at before any is taken, since what their values mean shows
    only in all of them. Bad ones are skipped with their reasons, which stand in
    `about.json` beside the rule by which values were scaled. Interrupted, the same call
    goes on. What `mrgantry export` wrote comes back as it was.

    Args:
        folder: PNG, JPEG, TIFF, `.npy` or NIfTI files of single slices.
        slices: Folder to write the set to.
        plan: What the files do not say of themselves.
        strict: Stop at the first bad file instead of skipping it.

    Raises:
        DataError: No file can be used, sizes differ, two images have one id, it is not
            known whose real images these are, or `slices` holds other things.
    """
    plan = plan or ImportPlan()
    if slices.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{slices} lies in {folder}, which is imported; choose another place.")
    origin, table = read_origin(folder), _find_table(folder, plan)
    channels = _channels(plan, origin, table)
    found = list_entries(folder, table, channels, joined=bool(plan.channel))
    looks = _look(found, len(channels))
    known = _know(folder, plan, origin, table, channels, looks, found)
    items = _items(looks, table, known, found)
    if strict and found.problems:
        raise DataError(found.problems[0])
    if not items:
        raise DataError(f"No image of {folder} can be used: {found.problems[0]}")
    items = _with_pixel_mm(items, looks, plan)
    items = _with_subjects(items, folder, plan, found) if not known.synthetic else items
    if strict and found.problems:
        raise DataError(found.problems[0])
    refuse_shared_subjects(_people(items), folder)
    about = _about(folder, slices, known, origin, found, strict)
    begin(slices, about)
    parts = _parts(items, known)
    with progress("import", len(items)) as advance:
        for name, some in parts.items():
            _write(slices, name, some, known)
            advance(len(some))
    return finish(slices, about, list(parts))


def _find_table(folder: Path, plan: ImportPlan) -> Table | None:
    if plan.table is not None:
        return read_table(Path(plan.table))
    beside = folder / "slices.csv"
    return read_table(beside) if beside.is_file() else None


def _channels(plan: ImportPlan, origin: Origin | None, table: Table | None) -> tuple[str, ...]:
    """Name the channels: as asked, as exported, or by what the images show."""
    if plan.channel or origin:
        return plan.channel or (origin.channels if origin else ())
    shown = sorted(table.told("sequence")) if table else []
    if len(shown) > 1:
        return ("mixed",)
    return (shown[0] if shown else plan.sequence or "unknown",)


def _look(found: Listing, channels: int) -> list[Look]:
    """Read every file once; what cannot be used is listed among the problems."""
    looks = []
    with progress("look", len(found.entries)) as advance:
        for entry in found.entries:
            try:
                seen = _read(entry, channels)
                low, high = float(seen.pixels.min()), float(seen.pixels.max())
                placed = seen.affine is not None
                look = Look(entry, seen.pixels.shape, seen.white, low, high, placed, seen.simulated)
                looks.append(look)
            except DataError as error:
                found.problems.append(f"{entry.name} was skipped: {error}")
            advance()
    return looks


def _read(entry: Entry, channels: int) -> Picture:
    """Read an entry, its columns and rows running as the table's affine has them."""
    told = entry.rows[0].get("affine") if entry.rows else ""
    if not told:
        return read_picture(entry.files, channels)
    along = from_text(told)[:3, :2]
    return read_picture(entry.files, channels, along / np.linalg.norm(along, axis=0))


def _know(
    folder: Path,
    plan: ImportPlan,
    origin: Origin | None,
    table: Table | None,
    channels: tuple[str, ...],
    looks: list[Look],
    found: Listing,
) -> Known:
    """Settle what holds for all images.

    Raises:
        DataError: No file could be read, sizes differ, or it is not clear whether the
            images are real.
    """
    if not looks:
        reason = found.problems[0] if found.problems else "no table names any."
        raise DataError(f"No image of {folder} can be used: {reason}")
    told = table.told("source") if table else set()
    if "synthetic" in told and len(told) > 1:
        raise DataError(f"{folder} mixes real and synthetic images; a set holds one kind.")
    synthetic = "synthetic" in told if told else origin.synthetic if origin else not plan.real
    if synthetic and plan.real:
        raise DataError(f"--real is said of {folder}, but its table says 'synthetic'.")
    if plan.subject and synthetic:
        raise DataError("--subject tells whose real images these are; say --real too.")
    seen_simulated = any(look.simulated for look in looks) or "simulated" in told
    return Known(
        plan=plan,
        channels=channels,
        synthetic=synthetic,
        simulated=plan.simulated or seen_simulated or bool(origin and origin.source == "simulated"),
        size=plan.size or _one_size(folder, looks),
        limits=_choose_limits(plan, looks, found),
        made_by=(plan.made_by or folder.resolve().name) if synthetic else plan.made_by or "",
    )


def _one_size(folder: Path, looks: Sequence[Look]) -> int:
    """Give the one size of all images.

    Raises:
        DataError: They differ, or are not square.
    """
    shapes = Counter(look.shape[2:] for look in looks)
    (height, width), count = shapes.most_common(1)[0]
    other = next((look for look in looks if look.shape[2:] != (height, width)), None)
    if other:
        h, w = other.shape[2:]
        raise DataError(
            f"The images of {folder} differ in size: {count:,} files are {height} x {width} "
            f"pixels, {other.entry.files[0].name} is {h} x {w}. Bring all to one with --size "
            f"{max(height, width)}, which pads and resizes them, or take out those that differ."
        )
    if height != width:
        raise DataError(
            f"The images of {folder} are {height} x {width} pixels, but must be square; --size "
            f"{max(height, width)} pads them with background."
        )
    return height


def _choose_limits(
    plan: ImportPlan, looks: Sequence[Look], found: Listing
) -> dict[int | None, Limits | None]:
    """Give the values that become -1 and 1, for each type of picture; None: percentiles."""
    limits: dict[int | None, Limits | None] = {}
    for white in {look.white for look in looks}:
        alike = [look for look in looks if look.white == white]
        low, high = min(look.low for look in alike), max(look.high for look in alike)
        limits[white] = plan.limits
        if plan.range != "auto":
            continue
        if white:
            limits[white] = (0.0, float(white))
            if high < white / 8:
                found.remarks.append(
                    f"The brightest pixel is {high:,.0f} of {white:,}, so the images are dark. If "
                    "these are a scanner's units, say --range percentiles."
                )
        elif low >= -1 - ROUNDING and high <= 1 + ROUNDING:
            limits[white] = (-1.0, 1.0) if low < 0 else (0.0, 1.0)
    return limits


def _items(looks: Sequence[Look], table: Table | None, known: Known, found: Listing) -> list[Item]:
    """List the images.

    Raises:
        DataError: Two have one id.
    """
    items = []
    for look in looks:
        if known.limits[look.white] is None and look.low == look.high:
            found.problems.append(
                f"{look.entry.name} was skipped: it has a single intensity everywhere."
            )
            continue
        try:
            items += items_of(look.entry, look.shape[0], table)
        except DataError as error:
            found.problems.append(f"{look.entry.name} was skipped: {error}")
    found.problems += check_items(items, table)
    return items


def _with_pixel_mm(items: list[Item], looks: Sequence[Look], plan: ImportPlan) -> list[Item]:
    """Refuse images whose scale nobody tells: training and NIfTI need it.

    Raises:
        DataError: There are such.
    """
    placed = {id(look.entry) for look in looks if look.placed}
    for item in items:
        told = item.given.get("pixel_mm") or item.given.get("affine") or plan.pixel_mm
        if not told and id(item.entry) not in placed:
            raise DataError(
                f"{item.entry.files[0]} does not tell how large its pixels are. Say --pixel-mm, "
                "the field of view in mm over the number of pixels, as 240 mm / 240 = 1."
            )
    return items


def _with_subjects(items: list[Item], folder: Path, plan: ImportPlan, found: Listing) -> list[Item]:
    """Give every real image its subject, and every subject its split.

    Raises:
        DataError: It is not known whose images these are, or some have a split in the
            table and others do not.
    """
    named = []
    for item in items:
        subject = item.given.get("subject") or _subject_of(item, folder, plan)
        if subject:
            named.append((item, subject))
        else:
            found.problems.append(
                f"{item.id} was skipped: --subject {plan.subject!r} is not in it."
            )
    subjects = dict.fromkeys(subject for _, subject in named)
    if not subjects:
        raise DataError(f"No image of {folder} can be used: {found.problems[-1]}")
    refuse_like_names(subjects)
    if not plan.subject and not all(item.given.get("subject") for item in items):
        found.remarks.append(f"subjects are the names of folders: {', '.join(list(subjects)[:5])}")
    split_of = {item.id: item.given.get("split", "") for item, _ in named}
    if not all(split_of.values()):
        if any(split_of.values()):
            lacking = next(name for name, split in split_of.items() if not split)
            raise DataError(f"The table gives {lacking} no split, but others; give all, or none.")
        shares = SlicePlan(splits=plan.splits, seed=plan.seed)
        drawn = draw_splits({subject: [] for subject in subjects}, shares)
        split_of = {item.id: drawn[subject] for item, subject in named}
    return [
        Item(i.id, i.entry, i.place, i.given | {"subject": subject, "split": split_of[i.id]})
        for i, subject in named
    ]


def _subject_of(item: Item, folder: Path, plan: ImportPlan) -> str:
    """Find whose image this is by its path; "" if it does not match.

    Raises:
        DataError: Nothing tells.
    """
    path = item.entry.files[0].relative_to(folder)
    if plan.subject:
        match = re.search(plan.subject, path.as_posix())
        return (match[1] or "") if match else ""
    if len(path.parts) == 2 and path.parts[0].lower() not in NO_SUBJECTS:
        return path.parts[0]
    raise DataError(
        f"It is not known whose image {path.as_posix()} is, and images of one person must never "
        "stand in two splits. Say --subject with a regular expression whose group finds the "
        "subject in the path, as '(OAS1_[0-9]+)_'; or give a --table with the columns file and "
        "subject; or put each subject's images into a folder of its own."
    )


def _people(items: Sequence[Item]) -> pd.DataFrame:
    rows = [(item.given.get("subject", ""), item.given.get("split", "")) for item in items]
    return pd.DataFrame(rows, columns=["subject", "split"])


def _about(
    folder: Path,
    slices: Path,
    known: Known,
    origin: Origin | None,
    found: Listing,
    strict: bool,
) -> About:
    return About(
        source=known.source,
        synthetic=known.synthetic,
        channels=known.channels,
        size=known.size,
        command=command_line("import", folder, slices, **known.plan.options(), strict=strict),
        choices=known.plan.model_dump(),
        versions=versions(),
        notes={
            "range": "; ".join(_rule(white, limits) for white, limits in known.limits.items()),
            "fit": f"padded to a square and resized to {known.size}" if known.plan.size else "",
            "skipped": found.problems,
            "assumed": found.remarks,
        },
        training_subjects=origin.training_subjects if origin else (),
    )


def _rule(white: int | None, limits: Limits | None) -> str:
    """Say in words how values were scaled."""
    kind = {255: "8-bit pictures", 65535: "16-bit pictures"}.get(white or 0, "floats and others")
    if limits is None:
        low, high = PERCENTILES
        return f"{kind}: each image by its own {low} and {high} percentiles without background"
    return f"{kind}: {limits[0]:g} to {limits[1]:g}"


def _parts(items: Sequence[Item], known: Known) -> dict[str, list[Item]]:
    """Group images by subject, or by number where they have none."""
    parts: dict[str, list[Item]] = defaultdict(list)
    for number, item in enumerate(items):
        block = f"images-{number - number % BLOCK:07d}"
        parts[block if known.synthetic else safe_name(item.given["subject"])].append(item)
    return parts


def _write(slices: Path, name: str, items: Sequence[Item], known: Known) -> None:
    """Write a part, unless an earlier call wrote it from the same files."""
    mark, path = _mark(items, known), slices / f"parts/{name}.json"
    if has_part(slices, name) and path.is_file() and read_json(path) == {"origin": mark}:
        return
    path.unlink(missing_ok=True)
    pixels, rows = [], []
    for _, group in groupby(items, key=lambda item: id(item.entry)):
        some = list(group)
        made, described = _convert(some, known)
        pixels.append(made)
        rows += described
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    write_part(slices, name, np.concatenate(pixels), table)
    write_json(path, {"origin": mark})


def _mark(items: Sequence[Item], known: Known) -> str:
    """Give a fingerprint of the files and rows that a part is made of."""
    stats = [
        f"{item.id} {item.given} {item.place} {file.resolve()} {(s := file.stat()).st_size} "
        f"{s.st_mtime_ns}"
        for item in items
        for file in item.entry.files
    ]
    return fingerprint([repr(known), *stats])


def _convert(
    items: Sequence[Item], known: Known
) -> tuple[Float16[np.ndarray, "n c s s"], list[dict[str, Any]]]:
    """Read, scale and resize images of one entry, and describe them."""
    read = _read(items[0].entry, len(known.channels))
    images = scale(read.pixels[[item.place for item in items]], known.limits[read.white])
    moved = np.eye(4)
    if known.plan.size and images.shape[2:] != (known.size, known.size):
        images, moved = to_square(images, read.affine, known.size)
    rows = [_row(item, read, moved, known, len(read.pixels)) for item in items]
    return images.astype(np.float16), rows


def _row(
    item: Item, read: Picture, moved: Float[np.ndarray, "4 4"], known: Known, count: int
) -> dict[str, Any]:
    """Describe an image: by its table, else by its file, else by the plan."""
    given, plan = item.given, known.plan
    affine = read.affine
    if "affine" in given:
        affine = from_text(given["affine"]) if given["affine"] else None
    pixel_mm = float(given.get("pixel_mm") or 0)
    if not pixel_mm:
        told = affine if affine is not None else read.affine
        pixel_mm = round(float(np.linalg.norm(told[:3, 0])), 4) if told is not None else 0.0
    pixel_mm = pixel_mm or plan.pixel_mm or 0.0
    if moved[0, 0] != 1:
        pixel_mm = round(pixel_mm * float(moved[0, 0]), 4)
    position = given.get("position_mm", "")
    if "position_mm" not in given and affine is not None and read.plane:
        height, width = read.pixels.shape[2:]
        centre = affine @ [(width - 1) / 2, (height - 1) / 2, 0, 1]
        position = str(round(float(centre[ORDER[read.plane][0]]), 2))
    kind = "synthetic" if known.synthetic else known.source
    return {
        "id": item.id,
        "subject": given.get("subject", ""),
        "session": given.get("session", ""),
        "split": given.get("split", ""),
        "sequence": given.get("sequence") or plan.sequence or "+".join(known.channels),
        "plane": given.get("plane") or read.plane or plan.plane or "unknown",
        "index": int(float(given.get("index") or (item.place if count > 1 else -1))),
        "position_mm": float(position) if position else None,
        "pixel_mm": pixel_mm,
        "tumour": given.get("tumour") or "unknown",
        "tumour_mm2": float(given["tumour_mm2"]) if given.get("tumour_mm2") else None,
        "source": given.get("source") or kind,
        "made_by": given.get("made_by", known.made_by),
        "affine": "" if affine is None else as_text(affine @ moved),
    }
