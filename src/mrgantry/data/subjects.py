"""Who is in a folder: the layouts that brain MR collections come in.

Three layouts are known. BIDS names everything. BRATS has one folder a patient (a
visit, in some years) with a tumour label map among its sequences. Anything else is
a plain folder: a file whose name bears one known sequence word is that sequence.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from mrgantry.common.errors import DataError
from mrgantry.data.volume import is_scan

# Words of file names, in lower case, by what they mean.
WORDS = {
    "t1": {"t1", "t1w", "t1n"},
    "t1c": {"t1c", "t1ce", "t1gd", "t1post", "t1km", "t1contrast"},
    "t2": {"t2", "t2w"},
    "flair": {"flair", "t2f", "t2flair"},
    "pd": {"pd", "pdw"},
}
SEQUENCES = tuple(WORDS)
CONTRAST_WORDS = {"c", "ce", "gd", "post", "contrast", "gado", "km"}
TUMOUR_WORDS = {"seg", "ot", "otmulticlass", "glistrboost"}
MASK_WORDS = {"mask", "brainmask"}
OTHER_WORDS = {"lesion", "roi", "label", "probseg", "tumour", "tumor", "wm", "gm", "csf"}
PROCESSING_WORDS = {"brain"}  # a scan and its stripped copy are one person's
GRADES = {"hgg": "HGG", "hg": "HGG", "lgg": "LGG", "lg": "LGG", "healthy": "healthy"}
NAME_TABLES = {"name_mapping.csv", "cohort.csv"}


@dataclass(frozen=True)
class Subject:
    """One visit of one person: which files there are. Nothing is read yet.

    Attributes:
        id: The person; visits of one person share it, and with it the split.
        scans: Sequence name to file.
        session: The visit, or "" where there is only one.
        tumour: A tumour label map, where the layout declares one.
        mask: A brain mask, or a segmentation that is above 0 in the brain.
        attributes: What tables and folders tell: grade, age, sex.
    """

    id: str
    scans: Mapping[str, Path]
    session: str = ""
    tumour: Path | None = None
    mask: Path | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name the subject with its session, as messages and slices do."""
        return f"{self.id}_{self.session}" if self.session else self.id


def find_subjects(folder: Path, sequences: Sequence[str] = ()) -> list[Subject]:
    """Find the subjects of a folder, in the order of their names.

    Args:
        folder: A BIDS data set, a BRATS collection, or any folder of scans.
        sequences: The sequences asked for. If it is one, a scan whose name bears no
            sequence word, alone in its folder, is taken for it.

    Raises:
        DataError: The folder is missing, holds no scan, or one subject twice.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give the folder that holds the scans.")
    bids = (folder / "dataset_description.json").is_file() or any(folder.glob("sub-*/"))
    found = (_bids(folder) if bids else []) or _folders(folder, sequences)
    if not found:
        raise DataError(
            f"{folder} holds no scan whose name tells its sequence. File names need one of "
            f"the words {', '.join(SEQUENCES)}, and the ending .nii or .nii.gz."
        )
    found.sort(key=lambda subject: subject.name)
    for one, two in pairwise(found):
        if one.name == two.name:
            files = [next(iter(subject.scans.values())) for subject in (one, two)]
            raise DataError(f"Subject {one.name} stands twice: {files[0]} and {files[1]}.")
    return found


def words_of(path: Path) -> list[str]:
    """Split a scan's name into lower-case words, without its ending."""
    return re.findall(r"[a-z0-9]+", re.sub(r"\.nii(\.gz)?$", "", path.name.lower()))


def sequence_of(path: Path) -> str | None:
    """Tell the sequence from a scan's name; None if it names none, or several."""
    words = set(words_of(path))
    named = {sequence for sequence, known in WORDS.items() if known & words}
    if named == {"t2", "flair"}:  # T2-FLAIR is one sequence, not two
        return "flair"
    if named == {"t1"} and words & CONTRAST_WORDS:
        return "t1c"
    return named.pop() if len(named) == 1 else None


def _bids(folder: Path) -> list[Subject]:
    tables = _table(folder / "participants.tsv", "participant_id", "\t")
    found = []
    for anat in sorted([*folder.glob("sub-*/anat"), *folder.glob("sub-*/ses-*/anat")]):
        person, *session = anat.relative_to(folder).parts[:-1]
        scans: dict[str, Path] = {}
        for path in sorted(filter(is_scan, anat.iterdir())):
            if words_of(path)[-1] in MASK_WORDS | OTHER_WORDS | {"dseg"}:
                continue
            sequence = sequence_of(path)
            if sequence == "t1" and "_ce-" in path.name:
                sequence = "t1c"
            if sequence:
                scans.setdefault(sequence, path)  # of several runs, the first
        if scans:
            found.append(
                Subject(
                    id=person.removeprefix("sub-"),
                    session=session[0].removeprefix("ses-") if session else "",
                    scans=scans,
                    mask=_bids_mask(folder, anat),
                    attributes=tables.get(person, {}),
                )
            )
    return found


def _bids_mask(folder: Path, anat: Path) -> Path | None:
    places = [anat, *sorted(folder.glob(f"derivatives/*/{anat.relative_to(folder)}"))]
    files = [path for place in places for path in sorted(place.iterdir()) if is_scan(path)]
    masks = [path for path in files if _is_brain_mask(path)]
    segmentations = [path for path in files if words_of(path)[-1] == "dseg"]
    return next(iter(masks + segmentations), None)


def _is_brain_mask(path: Path) -> bool:
    """Tell a mask of the brain from one of a lesion or a tissue."""
    words = words_of(path)
    other = any(word.endswith(tuple(OTHER_WORDS)) for word in words)
    return bool(MASK_WORDS & set(words)) and not other


def _folders(folder: Path, sequences: Sequence[str]) -> list[Subject]:
    """Find subjects where a folder is a person, or the names in one folder tell people."""
    tables: dict[str, dict[str, str]] = {}
    places: dict[Path, list[tuple[str, Path]]] = defaultdict(list)
    for path in sorted(folder.rglob("*")):
        if path.name in NAME_TABLES:
            tables |= _table(path, "BraTS_2020_subject_ID", ",") | _table(path, "subject", ",")
        elif is_scan(path) and path.is_file() and (role := _role(path, sequences)):
            places[path.parent].append((role, path))
    found = []
    for place, files in places.items():
        for name, roles in _people(folder, place, files).items():
            scans = {role: path for role, path in roles.items() if role in WORDS}
            attributes = _grade(place.relative_to(folder.parent)) | tables.get(name, {})
            is_brats = _is_brats(name, scans, attributes)
            person, session = _visit(name) if is_brats else (name, "")
            if scans:
                found.append(
                    Subject(
                        id=person,
                        session=session,
                        scans=scans,
                        tumour=roles.get("seg") if is_brats else None,
                        mask=roles.get("mask"),
                        attributes=attributes,
                    )
                )
    return found


def _people(root: Path, place: Path, files: list[tuple[str, Path]]) -> dict[str, dict[str, Path]]:
    """Group the files of one folder by person.

    A folder is one person if no sequence stands in it twice and it lies below the
    folder asked for, or the names differ in nothing but the sequence.
    """
    scans = [(role, path) for role, path in files if role in WORDS]
    once = len({role for role, _ in scans}) == len(scans)
    same = len({_rest(path) for _, path in scans}) == 1
    if once and (same or place != root):
        return {place.resolve().name: dict(files)}
    people: dict[str, dict[str, Path]] = defaultdict(dict)
    for role, path in files:
        people[_rest(path) or place.resolve().name].setdefault(role, path)
    return people


def _is_brats(name: str, scans: Mapping[str, Path], attributes: Mapping[str, str]) -> bool:
    """Tell a BRATS patient, whose `seg` is a tumour, from tissue maps of that name."""
    return len(scans) > 1 or "grade" in attributes or name.lower().startswith("brats")


def _role(path: Path, sequences: Sequence[str]) -> str | None:
    """Tell what a file is: a sequence, "seg" (tumour labels) or "mask" (the brain)."""
    words = set(words_of(path))
    if words & MASK_WORDS:
        return "mask" if _is_brain_mask(path) else None
    if words & TUMOUR_WORDS:
        return "seg"
    named = any(words & known for known in WORDS.values())
    alone = sum(map(is_scan, path.parent.iterdir())) == 1
    if not named and len(sequences) == 1 and alone:
        return sequences[0]
    return sequence_of(path)


def _rest(path: Path) -> str:
    """Give what a name says beside the sequence: the person, if people share a folder."""
    known = set().union(*WORDS.values(), TUMOUR_WORDS, MASK_WORDS, CONTRAST_WORDS)
    known |= PROCESSING_WORDS
    return "-".join(word for word in words_of(path) if word not in known)


def _visit(name: str) -> tuple[str, str]:
    """Split a BRATS folder name into person and visit.

    `BraTS-GLI-00012-001` is the visit 001 of BraTS-GLI-00012, and
    `brats_2013_pat0001_1` the visit 1 of brats_2013_pat0001; `BraTS20_Training_001`
    and `BraTS2021_00012` are people.
    """
    match = re.fullmatch(r"(BraTS-[A-Za-z]+-\d+)-(\d+)|(brats_\w+_pat\w+)_(\d+)", name, re.I)
    if not match:
        return name, ""
    return (match[1], match[2]) if match[1] else (match[3], match[4])


def _grade(parent: Path) -> dict[str, str]:
    for part in reversed(parent.parts):
        if part.lower() in GRADES:
            return {"grade": GRADES[part.lower()]}
    return {}


def _table(path: Path, key: str, delimiter: str) -> dict[str, dict[str, str]]:
    """Read a table of people, keyed by one column; empty if it is not that table."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        rows = list(csv.DictReader(file, delimiter=delimiter))
    return {
        row[key]: {name.lower(): value for name, value in row.items() if name and value}
        for row in rows
        if row.get(key)
    }
