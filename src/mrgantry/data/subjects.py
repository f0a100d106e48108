"""Who is in a folder: the layouts that brain MR collections come in.

Three layouts are known. BIDS names everything. BRATS has one folder a patient (a
visit, in some years) with a tumour label map among its sequences. Anything else is
a plain folder: a file whose name bears one known sequence word is that sequence, and
one that says so, as label_tumor, is a tumour label map.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path

from mrgantry.common.errors import DataError
from mrgantry.common.files import read_json
from mrgantry.common.tables import read_foreign_table
from mrgantry.data.formats import DicomFacts, dicom_facts, is_dicom
from mrgantry.data.names import (
    MASK_WORDS,
    OTHER_WORDS,
    SEQUENCES,
    WORDS,
    grade_of,
    is_brain_mask,
    is_named,
    person_of,
    person_told_by,
    rest_of,
    role_of,
    sequence_in,
    sequence_of,
    split_visit,
    words_of,
)
from mrgantry.data.volume import SUFFIXES, is_scan, suffix_of

# Sequences that one name may be short for.
KIN = {"t1": "t1", "t1c": "t1", "t2": "t2", "flair": "t2", "pd": "pd"}
NAME_TABLES = {"name_mapping.csv", "cohort.csv"}


@dataclass(frozen=True)
class Subject:
    """One visit of one person: which files there are. Nothing is read yet.

    Attributes:
        id: The person; visits of one person share it, and with it the split.
        scans: Sequence name to file, or to the folder of a DICOM series.
        session: The visit, or "" where there is only one.
        tumour: A tumour label map, where the layout, its name or the user declares one.
        mask: A brain mask, or a segmentation that is above 0 in the brain.
        attributes: What tables and folders tell: grade, age, sex.
        remarks: What was assumed: which of two files was taken, and the like.
    """

    id: str
    scans: Mapping[str, Path]
    session: str = ""
    tumour: Path | None = None
    mask: Path | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name the subject with its session, as messages and slices do."""
        return f"{self.id}_{self.session}" if self.session else self.id


@dataclass(frozen=True)
class NamedScan:
    """A file, or the folder of a DICOM series, and what its name says it is.

    Attributes:
        path: Where it lies.
        role: A sequence, "tumour" for its labels, "seg" for what are tumour labels in
            BRATS alone, or "mask" for a mask of the brain.
        place: The folder whose scans are looked at together.
        label: The name that tells its person, where people share a folder.
        patient: PatientID of a DICOM series, "" of other scans.
        remark: What was assumed.
    """

    path: Path
    role: str
    place: Path
    label: Path
    patient: str = ""
    remark: str = ""


def find_subjects(
    folder: Path,
    sequences: Sequence[str] = (),
    tumour_labels: str | None = None,
    person: str | None = None,
) -> list[Subject]:
    """Find the subjects of a folder, in the order of their names.

    Args:
        folder: A BIDS data set, a BRATS collection, or any folder of scans.
        sequences: The sequences asked for. If it is one, a scan whose name bears no
            sequence word, alone in its folder, is taken for it.
        tumour_labels: A pattern of file names, such as "*lesion*", that are maps of
            the tumour: above 0 is tumour. Needed where neither layout nor names tell.
        person: A regular expression whose first group finds the person in a scan's path
            below the folder, and whose second, if it has one, the visit. For folders
            that are neither BIDS nor OASIS-1.

    Raises:
        DataError: The folder is missing, holds no scan, or one subject twice.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give the folder that holds the scans.")
    bids = (folder / "dataset_description.json").is_file() or any(folder.glob("sub-*/"))
    found = (
        (_bids(folder, tumour_labels) if bids else [])
        or _oasis(folder)
        or _folders(folder, sequences, tumour_labels, person)
    )
    if not found:
        raise DataError(
            f"{folder} holds no scan whose name tells its sequence. Names need one of the words "
            f"{', '.join(SEQUENCES)} and one of the endings {', '.join(SUFFIXES)}, or a folder "
            "of DICOM files that bears the word."
        )
    for subject in found:
        _check_names(subject)
    found = sorted(_joined(found), key=lambda subject: subject.name)
    for one, two in pairwise(found):
        if one.name == two.name:
            files = [next(iter(subject.scans.values())) for subject in (one, two)]
            raise DataError(
                f"Subject {one.name} stands twice: {files[0]} and {files[1]}. Remove one, or "
                "rename its folder if they are two people."
            )
    if tumour_labels and not any(subject.tumour for subject in found):
        raise DataError(f"No file beside the scans of {folder} is named like {tumour_labels!r}.")
    return found


def _joined(found: list[Subject]) -> list[Subject]:
    """Put together the scans of a person that lie in one folder a sequence, as IXI-T1 and IXI-T2.

    Others of one name in several folders may be two people, and are left apart.
    """
    joined: dict[str, Subject] = {}
    apart = []
    for subject in found:
        known = joined.get(subject.name)
        if not all(_stands_in_its_folder(*scan) for scan in subject.scans.items()):
            apart.append(subject)
        elif known is None:
            joined[subject.name] = subject
        elif known.scans.keys() & subject.scans.keys():
            apart.append(subject)
        else:
            scans = {**known.scans, **subject.scans}
            joined[subject.name] = replace(
                known,
                scans={
                    sequence: scans[sequence] for sequence in sorted(scans, key=SEQUENCES.index)
                },
                tumour=known.tumour or subject.tumour,
                mask=known.mask or subject.mask,
                attributes={**subject.attributes, **known.attributes},
                remarks=(*known.remarks, *subject.remarks),
            )
    return [*joined.values(), *apart]


def _stands_in_its_folder(sequence: str, path: Path) -> bool:
    """Say whether the name of a scan's folder tells its sequence."""
    return sequence_of(path.parent) == sequence


def _check_names(subject: Subject) -> None:
    """Refuse names that no table and no message could hold: broken text, line breaks."""
    for path in (*subject.scans.values(), subject.tumour, subject.mask):
        if path is not None and re.search("[\x00-\x1f\x7f\ud800-\udfff]", str(path)):
            raise DataError(f"The name {str(path)!a} is not plain text; rename the file or folder.")


def all_scans(folder: Path) -> list[Path]:
    """List every scan below a folder, whatever its name tells."""
    return [path for place, paths in _walk(folder) for path in _scans(place, paths)]


# --- BIDS -----------------------------------------------------------------------------


def _bids(folder: Path, tumour_labels: str | None) -> list[Subject]:
    tables = _table(folder / "participants.tsv", "participant_id")
    found = []
    for anat in sorted([*folder.glob("sub-*/anat"), *folder.glob("sub-*/ses-*/anat")]):
        if not anat.is_dir():
            continue
        person, *session = anat.relative_to(folder).parts[:-1]
        scans, remarks = _bids_scans(anat)
        if scans:
            found.append(
                Subject(
                    id=person.removeprefix("sub-"),
                    session=session[0].removeprefix("ses-") if session else "",
                    scans=scans,
                    tumour=_bids_tumour(folder, anat, tumour_labels),
                    mask=_bids_mask(folder, anat),
                    attributes=tables.get(person) or tables.get(person.removeprefix("sub-"), {}),
                    remarks=remarks,
                )
            )
    return found


def _bids_scans(anat: Path) -> tuple[dict[str, Path], tuple[str, ...]]:
    found = []
    for path in sorted(filter(is_scan, anat.iterdir())):
        if words_of(path)[-1] in MASK_WORDS | OTHER_WORDS | {"dseg"}:
            continue
        sequence = sequence_of(path)
        if sequence == "t1" and "_ce-" in path.name:
            sequence = "t1c"
        if sequence:
            found.append(NamedScan(path, sequence, anat, path))
    return _first_of_each(found)


def _beside(folder: Path, anat: Path) -> list[Path]:
    """List the scans of a visit and what is derived from them."""
    places = [anat, *sorted(folder.glob(f"derivatives/*/{anat.relative_to(folder)}"))]
    folders = filter(Path.is_dir, places)
    return [path for place in folders for path in sorted(place.iterdir()) if is_scan(path)]


def _bids_mask(folder: Path, anat: Path) -> Path | None:
    files = _beside(folder, anat)
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
        told = read_json(beside)
    except DataError:  # not ours to judge
        return True
    kind = told.get("Type", "Brain") if isinstance(told, dict) else "Brain"
    return str(kind).lower() == "brain"


def _bids_tumour(folder: Path, anat: Path, pattern: str | None) -> Path | None:
    files = _beside(folder, anat) if pattern else []
    return next((path for path in files if fnmatch(path.name, str(pattern))), None)


# --- OASIS-1, BRATS and plain folders -------------------------------------------------


def _oasis(folder: Path) -> list[Subject]:
    """Find OASIS-1 visits, of whose many copies the one in atlas space is taken."""
    found = []
    for path in sorted(folder.rglob("OAS1_*/PROCESSED/MPRAGE/T88_111/*_t88_gfc.hdr")):
        person, session = split_visit(path.parents[3].name)
        mask = path.with_name(path.name.replace("_t88_gfc", "_t88_masked_gfc"))
        found.append(Subject(person, {"t1": path}, session, mask=mask if mask.exists() else None))
    return found


def _folders(
    folder: Path, sequences: Sequence[str], tumour_labels: str | None, person: str | None
) -> list[Subject]:
    """Find subjects where a folder is a person, or the names in one folder tell people."""
    tables: dict[str, dict[str, str]] = {}
    places: dict[Path, list[NamedScan]] = defaultdict(list)
    for place, paths in _walk(folder):
        for path in paths:
            if path.name in NAME_TABLES:
                tables |= _table(path, "BraTS_2020_subject_ID") | _table(path, "subject")
        for one in _scans_in(place, paths, folder, sequences, tumour_labels):
            places[one.place].append(one)
    found: list[Subject] = []
    patients: list[set[str]] = []
    for place, files in places.items():
        for name, theirs in _people(folder, place, files).items():
            whole = name or place.resolve().name
            who, session, assumed = (*split_visit(name), "") if name else person_of(place, folder)
            if person:
                told = theirs[0].path.relative_to(folder)
                (who, session), assumed = person_told_by(person, told, whole), ""
            scans, remarks = _first_of_each([one for one in theirs if one.role in WORDS])
            remarks = (assumed, *remarks) if assumed else remarks
            attributes = grade_of(place.relative_to(folder.parent))
            attributes |= tables.get(who, {}) | tables.get(whole, {})
            maps = [one.path for one in theirs if one.role == "tumour"]
            if not maps and _is_brats(whole, scans, attributes):
                maps = [one.path for one in theirs if one.role == "seg"]
            masks = [one.path for one in theirs if one.role == "mask"]
            if scans:
                patients.append({scan.patient for scan in theirs if scan.role in WORDS})
                found.append(
                    Subject(
                        id=who,
                        session=session,
                        scans=scans,
                        tumour=maps[0] if maps else None,
                        mask=masks[0] if masks else None,
                        attributes=attributes,
                        remarks=remarks,
                    )
                )
    return found if person else _by_patient(found, patients, folder)


def _by_patient(found: list[Subject], patients: list[set[str]], root: Path) -> list[Subject]:
    """Let DICOM's PatientID say who is one person, where it tells people apart at all.

    It joins what folders tell apart, and never parts what they hold together, since exams can be
    anonymised one by one. A collection may have one id for everybody: then folders are believed.

    Args:
        found: Visits, with the person that their folders tell.
        patients: The PatientIDs of the scans of each; "" is none.
        root: The folder that was searched.
    """
    told = [next(iter(ids)) if len(ids) == 1 else "" for ids in patients]
    if len(set(told) - {""}) < 2:
        return found
    visits: dict[str, list[Subject]] = defaultdict(list)
    for subject, patient in zip(found, told, strict=True):
        visits[patient].append(subject)
    unsaid = visits.pop("", [])
    folders = {patient: _common(subjects) for patient, subjects in visits.items()}
    for patient, subjects in visits.items():
        here = folders[patient]
        others = [folder for other, folder in folders.items() if other != patient]
        if here != root and not any(folder.is_relative_to(here) for folder in others):
            name = person_of(here, root)[0]
        else:
            name = min(subject.id for subject in subjects)
        visits[patient] = [_renamed(subject, name) for subject in subjects]
    return [*unsaid, *(subject for subjects in visits.values() for subject in subjects)]


def _renamed(visit: Subject, person: str) -> Subject:
    """Give a visit to the person that PatientID tells."""
    if visit.id == person:
        return visit
    assumed = f"{visit.name} is taken for a visit of {person}, as its PatientID says"
    session = visit.session or visit.id
    return replace(visit, id=person, session=session, remarks=(assumed, *visit.remarks))


def _common(subjects: list[Subject]) -> Path:
    """Give the deepest folder that holds all scans of some subjects."""
    places = [path.parent for subject in subjects for path in subject.scans.values()]
    return Path(os.path.commonpath(places))


def _walk(folder: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Go through all folders below one, links too, but into none twice."""
    seen = set()
    for place, below, names in os.walk(folder, followlinks=True):
        real = Path(place).resolve()
        below[:] = sorted(name for name in below if name[0] != "." and real not in seen)
        if real not in seen:
            seen.add(real)
            yield Path(place), sorted(Path(place) / name for name in names if name[0] != ".")


def _scans(place: Path, paths: list[Path]) -> list[Path]:
    """Give the scans among a folder's files; DICOM files are one scan, their folder."""
    scans = [path for path in paths if is_scan(path)]
    return [place] if not scans and any(map(is_dicom, paths)) else scans


def _scans_in(
    place: Path, paths: list[Path], root: Path, sequences: Sequence[str], pattern: str | None
) -> Iterator[NamedScan]:
    """Tell what the scans of one folder are."""
    if place.match("mri/orig") and (place.parent / "T1.mgz").is_file():
        return  # FreeSurfer's scan as it was acquired, beside the one that it made of it
    scans = _scans(place, paths)
    alone = len(scans) == 1
    for path in scans:
        role, remark = role_of(path, pattern), ""
        facts = dicom_facts(path) if path.is_dir() else DicomFacts()
        # A scan alone in a folder may leave it to the folder's name, as pat1/T1/scan.nii.
        folders = role_of(place, pattern) if alone and place != root else None
        # Not where they disagree: PD-001/scan_t1.nii is of the person PD-001.
        for_itself = folders is not None and (role is None or KIN.get(role) == KIN.get(folders))
        role = role or folders
        if role is None and path.is_dir():
            for_itself = root not in (place.parent, place)
            role = sequence_in(re.findall(r"[a-z0-9]+", facts.description.lower()))
        if role is None and alone and len(sequences) == 1 and not is_named(path):
            role = sequences[0]
            remark = f"{path.name} is taken for the {role} that was asked for"
        if role is not None:
            yield NamedScan(
                path,
                role,
                place.parent if for_itself else place,
                place if for_itself else path,
                facts.patient,
                remark,
            )


def _first_of_each(found: Iterable[NamedScan]) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Keep the first file of each sequence, and say which others were left."""
    of: dict[str, list[NamedScan]] = defaultdict(list)
    for one in found:
        of[one.role].append(one)
    remarks = [one.remark for files in of.values() for one in files if one.remark]
    remarks += [
        f"{role}: {files[0].path.name} was taken, not {', '.join(o.path.name for o in files[1:])}"
        for role, files in of.items()
        if len(files) > 1
    ]
    order = sorted(of, key=SEQUENCES.index)
    return {role: of[role][0].path for role in order}, tuple(remarks)


def _people(root: Path, place: Path, files: list[NamedScan]) -> dict[str, list[NamedScan]]:
    """Group the files of one folder by the person that their names tell.

    A folder is one person, whose name is "" here, if no sequence stands in it twice
    and it lies below the folder asked for, or the names differ in nothing but the
    sequence.
    """
    scans = [file for file in files if file.role in WORDS]
    if place != root and all(
        _begins(place.name.lower(), scan.label.name.lower()) for scan in scans
    ):
        return {"": files}  # patient01/patient01_t1_5.nii.gz: one person, scanned twice
    once = len({scan.role for scan in scans}) == len(scans)
    same = len({rest_of(scan.label) for scan in scans}) == 1
    numbered = all(rest_of(scan.label).isdigit() for scan in scans)  # series, not people
    if same or (place != root and (once or numbered)):
        return {"": files}
    people: dict[str, list[NamedScan]] = defaultdict(list)
    spelling: dict[str, str] = {}
    for file in [*scans, *(other for other in files if other.role not in WORDS)]:
        rest = rest_of(file.label)
        if file.role not in WORDS and rest.lower() not in spelling:
            # A map may say more than its scan does: pat0_lesion beside pat0_t1.
            begun = [known for known in spelling if known and _begins(known, rest.lower())]
            rest = spelling[max(begun, key=len)] if begun else rest
        people[spelling.setdefault(rest.lower(), rest)].append(file)
    return people


def _begins(short: str, long: str) -> bool:
    """Say whether a name begins with another, up to the end of a word."""
    return long.startswith(short) and not long[len(short) :][:1].isalnum()


def _is_brats(name: str, scans: Mapping[str, Path], attributes: Mapping[str, str]) -> bool:
    """Tell a BRATS patient, whose `seg` is a tumour, from tissue maps of that name."""
    return len(scans) > 2 or "grade" in attributes or name.lower().startswith("brats")


def _table(path: Path, key: str) -> dict[str, dict[str, str]]:
    """Read a table of people, keyed by one column; empty if it is not that table."""
    if not path.is_file():
        return {}
    return {
        row[key]: {str(name).lower(): value for name, value in row.items() if name and value}
        for row in read_foreign_table(path).to_dict("records")
        if row.get(key)
    }
