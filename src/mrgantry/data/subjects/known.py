"""Collections that are known by their own names: OASIS-1, the Decathlon and nnU-Net."""

import glob
from fnmatch import fnmatch
from pathlib import Path

from mrgantry.common.errors import DataError
from mrgantry.common.files import read_json
from mrgantry.data.names import ONLY_IF_ASKED, sequence_in, split_visit, text_words
from mrgantry.data.subjects.subject import Subject, Wanted
from mrgantry.data.volume import is_scan, suffix_of

DECATHLON_FOLDERS = ("imagesTr", "imagesTs")
# Words by which the labels of a task are known for those of a tumour.
TUMOUR_LABELS = {"tumour", "tumor", "edema", "oedema", "enhancing", "glioma", "lesion", "cancer"}


def oasis_subjects(folder: Path) -> list[Subject]:
    """Find OASIS-1 visits, of whose many copies the one in atlas space is taken."""
    subjects = []
    for path in sorted(folder.rglob("OAS1_*/PROCESSED/MPRAGE/T88_111/*_t88_gfc.hdr")):
        person, session = split_visit(path.parents[3].name)
        mask = path.with_name(path.name.replace("_t88_gfc", "_t88_masked_gfc"))
        subjects.append(
            Subject(person, {"t1": path}, session, mask=mask if mask.exists() else None)
        )
    return subjects


def decathlon_subjects(folder: Path, wanted: Wanted) -> list[Subject]:
    """Find the people of a folder that is laid out as the Decathlon or nnU-Net ask for.

    Its dataset.json names the sequences, which are volumes of one file (the Decathlon) or files
    of their own with four digits at the end (nnU-Net).

    Args:
        folder: The folder that is searched.
        wanted: What is looked for.

    Raises:
        DataError: dataset.json is there but cannot be read.
    """
    about = folder / "dataset.json"
    if not about.is_file() or not (folder / DECATHLON_FOLDERS[0]).is_dir():
        return []
    dataset = read_json(about)
    named = (
        dataset.get("modality") or dataset.get("channel_names")
        if isinstance(dataset, dict)
        else None
    )
    if not isinstance(named, dict):
        raise DataError(f"{about} must name the sequences under modality or channel_names.")
    sequences = {
        int(number): sequence
        for number, name in named.items()
        if (sequence := sequence_in(text_words(str(name))))
        and (sequence not in ONLY_IF_ASKED or sequence in wanted.sequences)
    }
    files = [
        path
        for place in DECATHLON_FOLDERS
        for path in sorted((folder / place).glob("*"))
        if is_scan(path)
    ]
    one_each = any(_stem(path).endswith("_0000") for path in files)
    people: dict[str, dict[str, Path]] = {}
    for path in files:
        if one_each:
            name, _, number = _stem(path).rpartition("_")
            scans = {sequences[int(number)]: path} if int(number) in sequences else {}
        else:
            name = _stem(path)
            scans = {
                sequence: path.with_name(f"{path.name}#{number}") if len(named) > 1 else path
                for number, sequence in sequences.items()
            }
        people[name] = people.get(name, {}) | scans
    tumours = set(text_words(str(dataset.get("labels", "")))) & TUMOUR_LABELS
    return [
        Subject(*_person(name, scans), tumour=_labels(folder, name, wanted) if tumours else None)
        for name, scans in sorted(people.items())
        if scans
    ]


def _person(name: str, scans: dict[str, Path]) -> tuple[str, dict[str, Path], str]:
    person, visit = split_visit(name)
    return person, scans, visit


def _labels(folder: Path, name: str, wanted: Wanted) -> Path | None:
    """Give the label map of a case, if it has one that is wanted."""
    pattern = wanted.tumour_labels or "*"
    maps = sorted((folder / "labelsTr").glob(f"{glob.escape(name)}.*"))
    return next((path for path in maps if is_scan(path) and fnmatch(path.name, pattern)), None)


def _stem(path: Path) -> str:
    return path.name[: -len(suffix_of(path))]
