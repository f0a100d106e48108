"""BIDS, where folders and names tell everything."""

from fnmatch import fnmatch
from pathlib import Path

from mrgantry.common.errors import DataError
from mrgantry.common.files import read_json
from mrgantry.data.formats import sidecar_facts
from mrgantry.data.names import (
    MASK_WORDS,
    ONLY_IF_ASKED,
    OTHER_WORDS,
    is_brain_mask,
    sequence_of,
    words_of,
)
from mrgantry.data.subjects.named import NamedScan, after_contrast, first_of_each, table_of
from mrgantry.data.subjects.subject import Subject, Wanted
from mrgantry.data.volume import is_scan, suffix_of

FOLDERS = ("anat", "dwi", "pet", "ct")  # of scans, below a person's or a session's


def bids_subjects(folder: Path, wanted: Wanted) -> list[Subject]:
    """Find the subjects of a BIDS data set; none if the folder is none.

    Args:
        folder: The folder that is searched.
        wanted: What is looked for.
    """
    if not ((folder / "dataset_description.json").is_file() or any(folder.glob("sub-*/"))):
        return []
    tables = table_of(folder / "participants.tsv", "participant_id")
    subjects = []
    visits = {
        path.parent
        for kind in FOLDERS
        for path in (*folder.glob(f"sub-*/{kind}"), *folder.glob(f"sub-*/ses-*/{kind}"))
        if path.is_dir()
    }
    for visit in sorted(visits):
        person, *session = visit.relative_to(folder).parts
        scans, remarks = first_of_each(_scans(visit, wanted), wanted.series)
        if scans:
            files = _beside(folder, visit / "anat")
            subjects.append(
                Subject(
                    id=person.removeprefix("sub-"),
                    session=session[0].removeprefix("ses-") if session else "",
                    scans=scans,
                    tumour=_tumour(files, wanted.tumour_labels),
                    mask=_mask(files),
                    attributes=tables.get(person) or tables.get(person.removeprefix("sub-"), {}),
                    remarks=remarks,
                )
            )
    return subjects


def _scans(visit: Path, wanted: Wanted) -> list[NamedScan]:
    """List the scans of a visit whose sequence is known, and wanted."""
    places = [visit / kind for kind in FOLDERS if (visit / kind).is_dir()]
    scans = []
    for path in [path for place in places for path in sorted(place.iterdir()) if is_scan(path)]:
        if words_of(path)[-1] in MASK_WORDS | OTHER_WORDS | {"dseg"}:
            continue
        sequence = sequence_of(path)
        if sequence == "t1" and "_ce-" in path.name:
            sequence = "t1c"
        if sequence and (sequence not in ONLY_IF_ASKED or sequence in wanted.sequences):
            facts = sidecar_facts(path, suffix_of(path))
            scan = NamedScan(path, sequence, path.parent, path, path.name, facts)
            scans.append(after_contrast(scan))
    return scans


def _beside(folder: Path, anat: Path) -> list[Path]:
    """List the scans of a visit and what is derived from them."""
    places = [anat, *sorted(folder.glob(f"derivatives/*/{anat.relative_to(folder)}"))]
    folders = filter(Path.is_dir, places)
    return [path for place in folders for path in sorted(place.iterdir()) if is_scan(path)]


def _mask(files: list[Path]) -> Path | None:
    masks = [path for path in files if is_brain_mask(path) and _of_brain(path)]
    segmentations = [
        path
        for path in files
        if words_of(path)[-1] == "dseg" and not OTHER_WORDS & set(words_of(path))
    ]
    return next(iter(masks + segmentations), None)


def _of_brain(mask: Path) -> bool:
    """Say whether the file beside a mask leaves it one of the brain: its Type may say Lesion."""
    beside = mask.with_name(mask.name[: -len(suffix_of(mask))] + ".json")
    if not beside.is_file():
        return True
    try:
        entries = read_json(beside)
    except DataError:  # not ours to judge
        return True
    kind = entries.get("Type", "Brain") if isinstance(entries, dict) else "Brain"
    return str(kind).lower() == "brain"


def _tumour(files: list[Path], pattern: str | None) -> Path | None:
    return next((path for path in files if pattern and fnmatch(path.name, pattern)), None)
