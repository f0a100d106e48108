"""Which files of a folder make which image, and what a table tells of them."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path

from mrgantry.common.errors import DataError
from mrgantry.common.tables import read_foreign_table
from mrgantry.data.exchange.export import BETWEEN, LABEL_MAP
from mrgantry.data.exchange.pictures import COLOURS, NIFTI, suffix_of
from mrgantry.data.names import LABELLED_WORDS, text_words
from mrgantry.data.parts import COLUMNS
from mrgantry.data.sections import from_text
from mrgantry.data.slices import NUMBERS, SPLITS

Row = dict[str, str]
WORDS = {
    "split": ("", *SPLITS),
    "tumour": ("", "yes", "no", "unclear", "unknown"),
    "source": ("", "real", "simulated", "synthetic"),
}
YES_NO = dict.fromkeys(("y", "1", "true", "ja", "oui", "si", "sí"), "yes") | dict.fromkeys(
    ("n", "0", "false", "nein", "non"), "no"
)
# What the name of a mask ends in, beside the picture that it is of; or the folder it lies in.
MASK_ENDING = re.compile(r"([-_](mask|seg|labels?|lesion|roi|tumou?r))+$", re.IGNORECASE)
MASK_FOLDERS = {"mask", "masks", "label", "labels", "seg", "segmentation", "segmentations"}
# A folder of Kaggle's LGG collection, whose masks mark tumours: TCGA_CS_4941_19960909.
KAGGLE_LGG = re.compile(r"TCGA_\w{2}_\w{4}_\d{8}")
NAMED = 3  # files that are named of those that were skipped for one reason


@dataclass(frozen=True)
class ImageTable:
    """What a table tells of images.

    Attributes:
        path: Where it lies.
        key: Whether rows are found by "file" or by "id".
        rows: Rows by that key; a file that holds several images has several.
        unused: Columns that no set of slices has.
    """

    path: Path
    key: str
    rows: dict[str, list[Row]]
    unused: tuple[str, ...]

    def values_of(self, column: str) -> set[str]:
        """Give all values of a column that are not empty."""
        return {row.get(column, "") for rows in self.rows.values() for row in rows} - {""}


@dataclass(frozen=True)
class ImageFiles:
    """Files that hold one image, or a stack of them.

    Attributes:
        name: The image's id, or what the ids of a stack begin with.
        files: One, or one a channel.
        rows: Rows that a table has for these files.
        labels: Marks their tumours, if there is such a file.
    """

    name: str
    files: tuple[Path, ...]
    rows: tuple[Row, ...] = ()
    labels: Path | None = None


@dataclass(frozen=True)
class ImportItem:
    """One image to import.

    Attributes:
        id: Its id.
        entry: The files it lies in.
        place: Its number among the images of these files.
        given: Its row of the table.
    """

    id: str
    entry: ImageFiles
    place: int
    given: Row


@dataclass
class Listing:
    """What was found, what was left out and why, and what was assumed.

    Attributes:
        entries: Files that may hold images.
        skipped: What was left out, and why.
        problems: What else is wrong.
        remarks: What was assumed.
    """

    entries: list[ImageFiles] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def skip(self, name: str, reason: object) -> None:
        """Leave out a file or an image."""
        self.skipped.append((name, str(reason)))

    @property
    def complaints(self) -> list[str]:
        """Say what was left out: for each reason how many, and the first of them."""
        reasons: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for name, reason in self.skipped:
            reasons[_kind(reason)].append((name, reason))
        return [*map(_summary, reasons.values()), *self.problems]

    @property
    def reason(self) -> str:
        """Say why nothing is left."""
        return " ".join(self.complaints) or "the table has no rows."


def _kind(reason: str) -> str:
    """Give what all reasons of one kind have in common: no file, no number, no detail."""
    return re.sub(r"\([^)]*\)|\d[\d,.]*", "", _without_file(reason))


def _without_file(reason: str) -> str:
    """Leave out the file that a reason begins with."""
    return re.sub(r"^\S.*?\.\w+: (?=it )", "", reason)


def _summary(alike: Sequence[tuple[str, str]]) -> str:
    """Say in one sentence what was skipped for one reason."""
    names, reason = [name for name, _ in alike], alike[0][1]
    if len(names) == 1:
        return f"{names[0]} was skipped: {reason}"
    few = ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
    return f"{len(names):,} were skipped ({few}), the first because {_without_file(reason)}"


def find_files(folder: Path) -> list[Path]:
    """List the files of a folder, and of those below it, that may hold images.

    Raises:
        DataError: There are none, or the folder is a set of slices.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder.")
    if (folder / "about.json").is_file() and (folder / "parts").is_dir():
        raise DataError(f"{folder} is a set of slices already; use it as it is.")
    files = sorted(
        path
        for path in folder.rglob("*")
        if suffix_of(path)
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not files:
        raise DataError(
            f"{folder} holds no PNG, JPEG, TIFF, .npy or NIfTI files. Whole scans are cut with "
            "`mrgantry prepare`."
        )
    return files


def read_table(path: Path) -> ImageTable:
    """Read a table of images and check every value.

    Raises:
        DataError: It cannot be read, names neither files nor ids, names one id twice,
            or holds a value of the wrong kind.
    """
    frame = read_foreign_table(path)
    known = (*COLUMNS, "file", LABEL_MAP)
    lower = {name: str(name).lower() for name in frame if str(name).lower() in known}
    frame = frame.rename(columns=lower)
    key = next((name for name in ("file", "id") if name in frame), None)
    if key is None:
        raise DataError(f"{path} needs a column 'file', or 'id', that tells which image a row is.")
    rows: dict[str, list[Row]] = defaultdict(list)
    for number, record in enumerate(frame.to_dict("records"), start=2):
        row = {str(column): _as_ours(str(column), value) for column, value in record.items()}
        _check_row(row, f"Line {number} of {path}")
        kept = (*COLUMNS, LABEL_MAP)
        rows[row[key]].append({column: row[column] for column in kept if column in row})
    twice = [name for name, count in Counter(frame.get("id", [])).items() if count > 1 and name]
    if twice:
        raise DataError(f"{path} has the id {twice[0]!r} twice; every image needs its own.")
    unused = tuple(str(name) for name in frame if name not in known)
    return ImageTable(path, key, dict(rows), unused)


def list_entries(
    folder: Path,
    table: ImageTable | None,
    channels: Sequence[str],
    tumour_labels: str | None = None,
    *,
    joined: bool,
) -> Listing:
    """Group a folder's files into images.

    Args:
        folder: What to search.
        table: Rows by file or id, if there is a table.
        channels: Names of the channels.
        tumour_labels: Pattern of the names of tumour labels; None takes those whose names
            say so.
        joined: Whether the names of files end in the name of a channel.

    Raises:
        DataError: The folder holds no files.
    """
    files = find_files(folder)
    listing = Listing()
    if table and table.unused:
        listing.remarks.append(
            f"{table.path} has columns that are not used: {_some(table.unused)}."
        )
    if table and table.key == "file":
        _by_table(folder, table, files, channels, listing)
    else:
        masks = _masks_among(files, tumour_labels)
        left = [file for file in files if file not in masks]
        if joined:
            _by_channel(folder, left, channels, listing)
        else:
            listing.entries = [ImageFiles(_name_of(file, folder), (file,)) for file in left]
        _use_masks(folder, masks, tumour_labels, listing)
    if table and table.key == "id":
        listing.entries = [
            replace(entry, rows=tuple(table.rows.get(entry.name, ()))) for entry in listing.entries
        ]
    return listing


def _masks_among(files: Sequence[Path], tumour_labels: str | None) -> dict[Path, Path]:
    """Find the files that are named like a mask of another one, and that other one.

    It lies beside the mask, or bears the same name in another folder than `masks`.
    """
    stems = {file: file.name[: -len(suffix_of(file))] for file in files}
    beside = {(file.parent, stem): file for file, stem in stems.items()}
    apart = {
        (file.parent.parent, stem): file
        for file, stem in stems.items()
        if file.parent.name.lower() not in MASK_FOLDERS
    }
    masked = {}
    for file, stem in stems.items():
        base = MASK_ENDING.sub("", stem)
        other = beside.get((file.parent, base)) if base != stem else None
        if file.parent.name.lower() in MASK_FOLDERS and not other:
            above = file.parent.parent
            other = apart.get((above, stem)) or apart.get((above, base))
        if not other and tumour_labels and fnmatch(file.name, tumour_labels):
            shorter = (stem[:end] for end in range(len(stem) - 1, 0, -1))
            other = next(
                (beside[file.parent, s] for s in shorter if (file.parent, s) in beside), None
            )
        if other:
            masked[file] = other
    return masked


def _use_masks(
    folder: Path, masks: dict[Path, Path], tumour_labels: str | None, listing: Listing
) -> None:
    """Give pictures the masks that mark tumours, and say which do and which were left out."""
    tumours = {mask for mask in masks if _marks_tumour(mask, tumour_labels)}
    of = {masks[mask]: mask for mask in sorted(tumours)}
    listing.entries = [
        replace(entry, labels=of.get(entry.files[0])) if len(entry.files) == 1 else entry
        for entry in listing.entries
    ]
    if tumours:
        names = [_relative(path, folder) for path in sorted(tumours)]
        listing.remarks.append(f"Taken for labels of tumours: {_some(names)}.")
    if others := sorted(masks.keys() - tumours):
        names = [_relative(path, folder) for path in others]
        listing.remarks.append(
            f"Left out, as masks of others: {_some(names)}; --tumour-labels takes those that "
            "mark tumours."
        )


def _marks_tumour(mask: Path, pattern: str | None) -> bool:
    """Say whether a mask is one of a tumour, by the user's pattern or by its name."""
    if pattern:
        return fnmatch(mask.name, pattern)
    named = bool(LABELLED_WORDS & set(text_words(mask.name)))
    return named or bool(KAGGLE_LGG.fullmatch(mask.parent.name))


def items_of(entry: ImageFiles, count: int, table: ImageTable | None) -> list[ImportItem]:
    """List the images of some files; where a table goes by ids, those that it names.

    Raises:
        DataError: The table has another number of rows for the files.
    """
    numbers = range(count)
    ids = [entry.name] if count == 1 else [f"{entry.name}_{number:05d}" for number in numbers]
    if table is None:
        return [ImportItem(ids[k], entry, k, {}) for k in numbers]
    if table.key == "id":
        rows = [(k, table.rows[ids[k]][0]) for k in numbers if ids[k] in table.rows]
    elif len(entry.rows) == count:
        rows = list(enumerate(entry.rows))
    else:
        raise DataError(
            f"{entry.files[0]}: it holds {count:,} images, but {table.path} has "
            f"{len(entry.rows):,} row(s) for it. If they are channels of one image, name each "
            "with --channel."
        )
    return [ImportItem(row.get("id") or ids[k], entry, k, row) for k, row in rows]


def check_items(items: Sequence[ImportItem], table: ImageTable | None) -> Iterator[str]:
    """Refuse ids that stand twice; tell of rows of a table without an image.

    Raises:
        DataError: Two images have one id.
    """
    seen: dict[str, ImportItem] = {}
    for item in items:
        if (other := seen.setdefault(item.id, item)) is not item:
            raise DataError(
                f"Two images have the id {item.id!r}: {other.entry.files[0]} and "
                f"{item.entry.files[0]}. Rename one, or give ids in a table."
            )
    if table and table.key == "id":
        absent = [name for name in table.rows if name not in seen]
        if absent:
            yield f"{table.path} names {_some(absent)}, of which there is no file."


def _by_table(
    folder: Path,
    table: ImageTable,
    files: Iterable[Path],
    channels: Sequence[str],
    listing: Listing,
) -> None:
    """Take the files that a table names."""
    left = set(files)
    for text, rows in table.rows.items():
        paths = tuple(folder / name for name in text.split(BETWEEN))
        labels = folder / rows[0][LABEL_MAP] if rows[0].get(LABEL_MAP) else None
        left -= {*paths, *filter(None, [labels])}
        paths = _ordered(paths, channels)
        named = [*paths, labels] if labels else paths
        absent = [path for path in named if not path.is_file() or not suffix_of(path)]
        if absent:
            listing.skip(
                text or "A row without file",
                f"{table.path} names it, but {absent[0]} is no image file.",
            )
        elif len(paths) not in (1, len(channels)):
            listing.skip(
                text,
                f"{len(paths)} files make {len(paths)} channels, {len(channels)} expected; name "
                "each with --channel.",
            )
        else:
            name = _name_of(paths[0], folder)
            listing.entries.append(ImageFiles(name, paths, tuple(rows), labels))
    if left:
        names = [_relative(path, folder) for path in sorted(left)]
        listing.remarks.append(f"{table.path} does not name {_some(names)}; left out.")


def _ordered(paths: tuple[Path, ...], channels: Sequence[str]) -> tuple[Path, ...]:
    """Take, of files whose names end in channels, those asked for, in that order."""
    names = {path.name[: -len(suffix_of(path))]: path for path in paths}
    chosen = [
        next((path for name, path in names.items() if name.endswith(f"_{channel}")), None)
        for channel in channels
    ]
    kept = tuple(path for path in chosen if path)
    return kept if len(paths) > 1 and len(kept) == len(channels) else paths


def _by_channel(
    folder: Path, files: Iterable[Path], channels: Sequence[str], listing: Listing
) -> None:
    """Join ID_t1.png and ID_flair.png; an .npy may hold all channels itself, colours three."""
    groups: dict[str, dict[str, Path]] = defaultdict(dict)
    for file in files:
        name = _name_of(file, folder)
        channel = next((word for word in channels if name.endswith(f"_{word}")), None)
        if channel:
            base = name.removesuffix(f"_{channel}")
            if channel in groups[base]:
                raise DataError(
                    f"Two images have the id {base!r}: {groups[base][channel]} and {file}. "
                    "Rename one, or give ids in a table."
                )
            groups[base][channel] = file
        elif suffix_of(file) == ".npy" or (
            len(channels) == COLOURS and suffix_of(file) not in NIFTI
        ):
            listing.entries.append(ImageFiles(name, (file,)))
        else:
            words = " nor ".join(f"_{word}" for word in channels)
            listing.skip(str(file), f"its name ends in neither {words}.")
    for base, have in groups.items():
        lacking = [channel for channel in channels if channel not in have]
        if lacking:
            listing.skip(base, f"it lacks its {' and '.join(lacking)}.")
        else:
            listing.entries.append(ImageFiles(base, tuple(have[channel] for channel in channels)))


def _as_ours(column: str, value: str) -> str:
    """Write a value as our tables do: Excel has decimal commas, Windows backslashes."""
    if column == "file":
        return value.replace("\\", "/")
    if column == "tumour":
        return YES_NO.get(value.lower(), value.lower())
    if column == "pixel_mm" and value.lower() == "unknown":
        return "0"
    if column in NUMBERS and value.count(",") == 1 and "." not in value:
        return value.replace(",", ".")
    return value


def _check_row(row: Row, where: str) -> None:
    """Refuse a value of the wrong kind.

    Raises:
        DataError: There is one.
    """
    for column, words in WORDS.items():
        if row.get(column, "") not in words:
            raise DataError(
                f"{where}: the column {column!r} holds {row[column]!r}; it must be one of "
                f"{', '.join(words[1:])}, or empty."
            )
    for column in sorted(NUMBERS & row.keys()):
        try:
            number = float(row[column] or 0)
        except ValueError:
            number = float("nan")
        if not abs(number) < float("inf") or (column == "index" and number != int(number)):
            raise DataError(
                f"{where}: the column {column!r} holds {row[column]!r}; a number is expected."
            )
    if row.get("pixel_mm") and float(row["pixel_mm"]) < 0:  # 0 is unknown
        raise DataError(f"{where}: a pixel of {row['pixel_mm']} mm cannot be.")
    try:
        from_text(row.get("affine") or "1 0 0 0 0 1 0 0 0 0 1 0")
    except ValueError as error:
        raise DataError(
            f"{where}: the column 'affine' holds {row['affine']!r}; twelve numbers are expected."
        ) from error


def _name_of(file: Path, folder: Path) -> str:
    """Make an id of a file's path below the folder."""
    name = _relative(file, folder).replace("/", "_")
    return name[: -len(suffix_of(file))]


def _relative(path: Path, folder: Path) -> str:
    """Give a path below a folder, with slashes; as it is if it lies elsewhere."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()


def _some(names: Sequence[str]) -> str:
    """Name the first of many."""
    return names[0] if len(names) == 1 else f"{len(names):,} ({names[0]}, ...)"
