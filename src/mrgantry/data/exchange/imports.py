"""Images of other programs in: a folder of pictures becomes a set of slices."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float16, UInt8

from mrgantry.common.errors import DataError
from mrgantry.common.files import AnyPath, fingerprint, read_json, write_json
from mrgantry.common.progress import progress
from mrgantry.common.provenance import command_line, versions
from mrgantry.common.tables import write_table
from mrgantry.data.about import About
from mrgantry.data.cut import ORDER
from mrgantry.data.exchange.export import Origin, read_origin
from mrgantry.data.exchange.first_look import (
    FirstLook,
    Known,
    know,
    look_at,
    read_entry,
    read_labels,
    refuse_sizes,
    rule,
)
from mrgantry.data.exchange.folders import label_of, person_in, shared_folders
from mrgantry.data.exchange.listing import (
    ImageTable,
    ImportItem,
    Listing,
    Row,
    check_items,
    items_of,
    list_entries,
    read_table,
)
from mrgantry.data.exchange.pictures import Picture, scale, to_square
from mrgantry.data.exchange.plan import ImportPlan
from mrgantry.data.label_maps import (
    class_names,
    classified,
    from_channels,
    read_classes,
    to_channels,
    unnamed,
)
from mrgantry.data.making import begin_set, finish, reopen
from mrgantry.data.notes import Notes
from mrgantry.data.parts import COLUMNS, has_part, safe_name, write_part
from mrgantry.data.plan import SlicePlan
from mrgantry.data.preparation import draw_splits, refuse_like_names
from mrgantry.data.preview import draw_preview
from mrgantry.data.sections import as_text, from_text
from mrgantry.data.settle import settle_repeats
from mrgantry.data.slices import SliceSet, refuse_shared_subjects

BLOCK = 1000  # images a part, where they have no subject
TUMOUR_MM2 = 50.0  # marked area from which a slice is a tumour slice, as `prepare` has it


def import_slices(
    folder: AnyPath, slices: AnyPath, plan: ImportPlan | None = None, *, strict: bool = False
) -> SliceSet:
    """Make a set of slices of the images in a folder, and in those below it.

    All files are looked at before any is taken, since what their values mean shows
    only in all of them. Bad ones are skipped, each with its reason in `skipped.csv`; their
    numbers and reasons stand in `about.json` beside the rule by which values were scaled,
    and real people who look like one under two names (`find_repeats`). Folders of classes,
    as yes and no, are labels. Interrupted, the same call goes on. What `mrgantry export`
    wrote comes back as it was. `preview.png` shows some.

    Args:
        folder: PNG, JPEG, TIFF, `.npy` or NIfTI files of single slices.
        slices: Folder to write the set to.
        plan: What the files do not say of themselves.
        strict: Stop at the first bad file instead of skipping it.

    Raises:
        DataError: No file can be used, sizes differ, two images have one id, or it is
            not known whose real images these are.
        RunError: `slices` holds other things.
    """
    folder, slices = Path(folder), Path(slices)
    plan = plan or ImportPlan()
    if slices.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{slices} lies in {folder}, which is imported; choose another place.")
    origin, table = read_origin(folder), _find_table(folder, plan)
    channels = _channels(plan, origin, table)
    labels = plan.tumour_labels
    listing = list_entries(folder, table, channels, labels, joined=bool(plan.channel))
    looks = look_at(listing, len(channels), plan)
    known = know(folder, plan, origin, table, channels, looks, listing)
    items = _labelled(_items(looks, table, known, listing), looks, folder, plan, listing)
    if strict and listing.complaints:
        raise DataError(listing.complaints[0])
    if not items:
        raise DataError(f"No image of {folder} can be used: {listing.reason}")
    items = _checked(items, looks, folder, known, listing)
    if strict and listing.complaints:
        raise DataError(listing.complaints[0])
    refuse_shared_subjects(_people(items), folder)
    about = _about(folder, slices, known, listing, strict)
    begin_set(slices, about)
    (slices / "skipped.csv").unlink(missing_ok=True)
    if listing.skipped:
        write_table(
            slices / "skipped.csv", pd.DataFrame(listing.skipped, columns=["image", "reason"])
        )
    parts = _parts(items, known)
    with progress("import", len(items)) as advance:
        for name, part in parts.items():
            _write(slices, name, part, known)
            advance(len(part))
    settle = partial(settle_repeats, how=plan.repeats)
    made = finish(slices, about, list(parts), None if known.synthetic else settle)
    draw_preview(made)
    return made


def _find_table(folder: Path, plan: ImportPlan) -> ImageTable | None:
    if plan.table is not None:
        return read_table(Path(plan.table))
    beside = folder / "slices.csv"
    return read_table(beside) if beside.is_file() else None


def _channels(plan: ImportPlan, origin: Origin | None, table: ImageTable | None) -> tuple[str, ...]:
    """Name the channels: as asked, as exported, or by what the images show."""
    if plan.channel or origin:
        return plan.channel or (origin.channels if origin else ())
    shown = sorted(table.values_of("sequence")) if table else []
    if len(shown) > 1:
        return ("mixed",)
    return (shown[0] if shown else plan.sequence or "unknown",)


def _items(
    looks: Sequence[FirstLook], table: ImageTable | None, known: Known, listing: Listing
) -> list[ImportItem]:
    """List the images.

    Raises:
        DataError: Two have one id.
    """
    items = []
    for look in looks:
        if known.limits[look.white] is None and look.low == look.high:
            listing.skip(look.entry.name, "it has a single intensity everywhere.")
            continue
        if reason := _without_classes(look, known):
            listing.skip(look.entry.name, reason)
            continue
        try:
            items += items_of(look.entry, look.shape[0], table)
        except DataError as error:
            listing.skip(look.entry.name, error)
    listing.problems += check_items(items, table)
    return items


def _without_classes(look: FirstLook, known: Known) -> str:
    """Say why an entry's label maps cannot be kept where they are wanted; "" if they can."""
    if not known.classes:
        return ""
    if look.entry.labels is None:
        return "it has no label map; leave out --label-maps, or name its file in the table."
    unknown = look.values - read_classes(known.classes).keys()
    return unnamed(unknown) if unknown else ""


def _labelled(
    items: Sequence[ImportItem],
    looks: Sequence[FirstLook],
    folder: Path,
    plan: ImportPlan,
    listing: Listing,
) -> list[ImportItem]:
    """Say of images which show a tumour, where a mask or the folder tells and no table does."""
    look_of = {id(look.entry): look for look in looks}
    classes: dict[str, str] = {}
    labelled = []
    for item in items:
        look, of_tumour = look_of[id(item.entry)], {}
        name, tumour = label_of(_below(item, folder))
        if look.marked:
            of_tumour = _of_tumour(
                look.marked[item.place], look.pixel_mm2 or _side(item, plan) ** 2
            )
        elif tumour != "unknown":
            of_tumour = {"tumour": tumour}
        if name:
            classes[name] = tumour
        stated = {key: value for key, value in item.given.items() if value or key not in of_tumour}
        given = of_tumour | stated
        labelled.append(replace(item, given=given))
    if classes:
        words = {"yes": "tumour", "no": "no tumour", "unknown": "tells nothing of a tumour"}
        said = ", ".join(f"{name} ({words[tumour]})" for name, tumour in classes.items())
        listing.remarks.append(f"Folders of classes are labels, not people: {said}.")
    marked = [item.given for item in labelled if look_of[id(item.entry)].marked]
    if not all(given.get("tumour_mm2") for given in marked):
        listing.remarks.append(
            "It is not known how large pixels are, so any marked pixel makes a tumour slice, and "
            "areas in mm2 are not told."
        )
    return labelled


def _of_tumour(marked: int, pixel_mm2: float) -> Row:
    """Describe a tumour by its pixels; of unknown size (0), any is enough."""
    if not pixel_mm2:
        return {"tumour": "yes" if marked else "no"}
    area = round(marked * pixel_mm2, 2)
    word = "yes" if area >= TUMOUR_MM2 else "unclear" if area else "no"
    return {"tumour": word, "tumour_mm2": str(area)}


def _side(item: ImportItem, plan: ImportPlan) -> float:
    """Give the side of a pixel in mm by the table or the plan, or 0."""
    return float(item.given.get("pixel_mm") or 0) or plan.side


def _below(item: ImportItem, folder: Path) -> PurePath:
    """Give the path of an image below the folder that is imported."""
    path = item.entry.files[0]
    return path.relative_to(folder) if path.is_relative_to(folder) else path


@contextmanager
def _gathered(complaints: list[str]) -> Iterator[None]:
    """Keep what is wrong, to tell it with what else is."""
    try:
        yield
    except DataError as error:
        complaints.append(str(error))


def _checked(
    items: list[ImportItem],
    looks: Sequence[FirstLook],
    folder: Path,
    known: Known,
    listing: Listing,
) -> list[ImportItem]:
    """Check sizes and scale, and give real images their subjects.

    Raises:
        DataError: Something is not known or does not fit; all that is, in one message.
    """
    complaints: list[str] = []
    if not known.plan.size:
        with _gathered(complaints):
            refuse_sizes(folder, looks)
    with _gathered(complaints):
        _refuse_unknown_scale(items, looks, known.plan)
    if not known.synthetic:
        with _gathered(complaints):
            items = _with_subjects(items, folder, known.plan, listing)
    if complaints:
        raise DataError("\n".join([*complaints, *listing.complaints]))
    return items


def _refuse_unknown_scale(
    items: Sequence[ImportItem], looks: Sequence[FirstLook], plan: ImportPlan
) -> None:
    """Refuse images whose pixels are of unknown size: training and NIfTI need it.

    Raises:
        DataError: There are such.
    """
    placed = {id(look.entry) for look in looks if look.placed}
    for item in items:
        pixel = item.given.get("pixel_mm") or item.given.get("affine") or plan.pixel_mm
        if not pixel and id(item.entry) not in placed:
            raise DataError(
                f"{item.entry.files[0]} does not tell how large its pixels are. Say --pixel-mm, "
                "the field of view in mm over the number of pixels, as 240 mm / 240 = 1; or "
                "--pixel-mm unknown."
            )


def _with_subjects(
    items: list[ImportItem], folder: Path, plan: ImportPlan, listing: Listing
) -> list[ImportItem]:
    """Give every real image its subject, and every subject its split.

    Raises:
        DataError: It is not known whose images these are, or some have a split in the
            table and others do not.
    """
    named = []
    shared = shared_folders([_below(item, folder) for item in items])
    for item in items:
        subject, visit = item.given.get("subject"), ""
        if not subject:
            subject, visit = _subject_of(item, folder, plan, shared)
        if subject:
            visit = item.given.get("session") or visit
            named.append((replace(item, given=item.given | {"session": visit}), subject))
        else:
            listing.skip(item.id, f"--subject {plan.subject!r} is not in it.")
    subjects = dict.fromkeys(subject for _, subject in named)
    if not subjects:
        raise DataError(f"No image of {folder} can be used: {listing.reason}")
    refuse_like_names(subjects)
    if not plan.subject and not all(item.given.get("subject") for item in items):
        listing.remarks.append(
            f"subjects are the names of folders: {', '.join(list(subjects)[:5])}"
        )
    split_of = {item.id: item.given.get("split", "") for item, _ in named}
    if not all(split_of.values()):
        if any(split_of.values()):
            lacking = next(name for name, split in split_of.items() if not split)
            raise DataError(f"The table gives {lacking} no split, but others; give all, or none.")
        shares = SlicePlan(splits=plan.splits, seed=plan.seed)
        drawn = draw_splits({subject: [] for subject in subjects}, shares)
        split_of = {item.id: drawn[subject] for item, subject in named}
    return [
        ImportItem(i.id, i.entry, i.place, i.given | {"subject": subject, "split": split_of[i.id]})
        for i, subject in named
    ]


def _subject_of(
    item: ImportItem, folder: Path, plan: ImportPlan, shared: Sequence[str]
) -> tuple[str, str]:
    """Find whose image this is by its path, and of what visit; "" if it does not match.

    Raises:
        DataError: Nothing tells.
    """
    path = _below(item, folder)
    if plan.subject:
        match = re.search(plan.subject, path.as_posix())
        return (match[1] or "") if match else "", ""
    person, visit = person_in(path, shared)
    if person:
        return person, visit
    name, _ = label_of(path)
    alone = (
        f"The folder {name} is a class, which tells a label and no person; if every picture is "
        "of another person, say --subject '([^/]+)[.]'. "
        if name
        else ""
    )
    raise DataError(
        f"It is not known whose image {path.as_posix()} is, and images of one person must never "
        f"stand in two splits. {alone}Say --subject with a regular expression whose group finds "
        "the subject in the path, as '(OAS1_[0-9]+)_'; or give a --table with the columns file and "
        "subject; or put each subject's images into a folder of its own."
    )


def _people(items: Sequence[ImportItem]) -> pd.DataFrame:
    rows = [(item.given.get("subject", ""), item.given.get("split", "")) for item in items]
    return pd.DataFrame(rows, columns=["subject", "split"])


def _about(
    folder: Path,
    slices: Path,
    known: Known,
    listing: Listing,
    strict: bool,
) -> About:
    return About(
        source=known.source,
        synthetic=known.synthetic,
        channels=known.channels,
        size=known.size,
        classes=class_names(known.classes),
        command=command_line("import", folder, slices, **known.plan.options(), strict=strict),
        choices=known.plan.model_dump(),
        versions=versions(),
        notes=Notes(
            range="; ".join(rule(white, limits) for white, limits in known.limits.items()),
            fit=f"padded to a square and resized to {known.size}" if known.plan.size else "",
            skipped=tuple(listing.complaints),
            assumed=tuple(listing.remarks),
        ),
        training_subjects=known.training_subjects,
    )


def _parts(items: Sequence[ImportItem], known: Known) -> dict[str, list[ImportItem]]:
    """Group images by subject, or by number where they have none."""
    parts: dict[str, list[ImportItem]] = defaultdict(list)
    for number, item in enumerate(items):
        block = f"images-{number - number % BLOCK:07d}"
        parts[block if known.synthetic else safe_name(item.given["subject"])].append(item)
    return parts


def _write(slices: Path, name: str, items: Sequence[ImportItem], known: Known) -> None:
    """Write a part, unless an earlier call wrote it from the same files."""
    mark, path = _mark(items, known), slices / f"parts/{name}.json"
    if has_part(slices, name) and path.is_file() and read_json(path) == {"origin": mark}:
        return
    reopen(slices)  # until the new part and its rows are in
    path.unlink(missing_ok=True)
    pixels, maps, rows = [], [], []
    for _, group in groupby(items, key=lambda item: id(item.entry)):
        of_entry = list(group)
        made, mapped, described = _convert(of_entry, known)
        pixels.append(made)
        maps.append(mapped)
        rows += described
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    of_part = np.concatenate(maps) if known.classes else None
    write_part(slices, name, np.concatenate(pixels), table, of_part)
    write_json(path, {"origin": mark})


def _mark(items: Sequence[ImportItem], known: Known) -> str:
    """Give a fingerprint of the files and rows that a part is made of."""
    stats = [
        f"{item.id} {item.given} {item.place} {file.resolve()} {(s := file.stat()).st_size} "
        f"{s.st_mtime_ns}"
        for item in items
        for file in (*item.entry.files, *filter(None, [item.entry.labels]))
    ]
    return fingerprint([repr(known), *stats])


def _convert(
    items: Sequence[ImportItem], known: Known
) -> tuple[Float16[np.ndarray, "n c s s"], UInt8[np.ndarray, "n s s"], list[dict[str, Any]]]:
    """Read, scale and resize images of one entry and their label maps, and describe them."""
    read = read_entry(items[0].entry, len(known.channels), known.plan)
    images = scale(read.pixels[[item.place for item in items]], known.limits[read.white])
    moved = np.eye(4)
    if known.plan.size and images.shape[2:] != (known.size, known.size):
        images, moved = to_square(images, read.affine, known.size)
    maps = np.zeros((len(items), *images.shape[2:]), np.uint8)
    if known.classes:
        maps = _maps_of(items, read, known)
    rows = [_row(item, read, moved, known) for item in items]
    return images.astype(np.float16), maps, rows


def _maps_of(
    items: Sequence[ImportItem], read: Picture, known: Known
) -> UInt8[np.ndarray, "n s s"]:
    """Read the label maps of images of one entry, and resize them as the images are.

    Raises:
        DataError: There is none, or it holds what has no class.
    """
    entry = items[0].entry
    labels = read_labels(entry, read, known.plan)[[item.place for item in items]]
    maps = classified(labels, known.classes)
    if known.plan.size and maps.shape[1:] != (known.size, known.size):
        channels = to_channels(maps, len(class_names(known.classes))).swapaxes(0, 1)
        squares, _ = to_square(channels, read.affine, known.size)
        maps = from_channels(torch.from_numpy(squares))
    return maps


def _row(
    item: ImportItem, read: Picture, moved: Float[np.ndarray, "4 4"], known: Known
) -> dict[str, Any]:
    """Describe an image: by its table, else by its file, else by the plan."""
    given, plan = item.given, known.plan
    place = item.place if len(read.pixels) > 1 else -1
    kind = "synthetic" if known.synthetic else known.source
    return {
        "id": item.id,
        "subject": given.get("subject", ""),
        "session": given.get("session", ""),
        "split": given.get("split", ""),
        "sequence": given.get("sequence") or plan.sequence or "+".join(known.channels),
        "plane": given.get("plane") or read.plane or plan.plane or "unknown",
        "index": int(float(given.get("index") or place)),
        "tumour": given.get("tumour") or "unknown",
        "tumour_mm2": float(given["tumour_mm2"]) if given.get("tumour_mm2") else None,
        "source": given.get("source") or kind,
        "made_by": given.get("made_by", known.made_by),
        **_where(given, read, moved, plan),
    }


def _where(
    given: Row, read: Picture, moved: Float[np.ndarray, "4 4"], plan: ImportPlan
) -> dict[str, Any]:
    """Say where an image lies and how large its pixels are, resized as `moved` tells."""
    affine, pixel_mm = read.affine, float(given.get("pixel_mm") or 0)
    if not pixel_mm:
        placed = from_text(given["affine"]) if given.get("affine") else affine
        pixel_mm = round(float(np.linalg.norm(placed[:3, 0])), 4) if placed is not None else 0.0
    pixel_mm = pixel_mm or plan.side
    if moved[0, 0] != 1:
        pixel_mm = round(pixel_mm * float(moved[0, 0]), 4)
    if "affine" in given:
        affine = from_text(given["affine"]) if given["affine"] else None
    position = float(given["position_mm"]) if given.get("position_mm") else None
    if "position_mm" not in given and affine is not None and read.plane:
        height, width = read.pixels.shape[2:]
        centre = affine @ [(width - 1) / 2, (height - 1) / 2, 0, 1]
        position = round(float(centre[ORDER[read.plane][0]]), 2)
    return {
        "position_mm": position,
        "pixel_mm": pixel_mm,
        "affine": "" if affine is None else as_text(affine @ moved),
    }
