"""Who is one person by DICOM's PatientID, in headers or in the files beside scans."""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mrgantry.data.subjects.named import NamedScan, is_sequence
from mrgantry.data.subjects.subject import Subject


def by_patient(
    subjects: Sequence[Subject], scans: Sequence[Sequence[NamedScan]], root: Path
) -> list[Subject]:
    """Let PatientID say who is one person, where it tells people apart at all.

    It joins what folders tell apart, and never parts what they hold together, since exams can be
    anonymised one by one. A collection may have one id for everybody: then folders are believed.

    Args:
        subjects: Visits, with the person that their folders tell.
        scans: The scans of each.
        root: The folder that was searched.
    """
    patients = []
    for files in scans:
        ids = {scan.facts.patient for scan in files if is_sequence(scan.role)}
        patients.append(ids.pop() if len(ids) == 1 else "")
    if len(set(patients) - {""}) < 2:
        return list(subjects)
    visits: dict[str, list[Subject]] = defaultdict(list)
    for subject, patient in zip(subjects, patients, strict=True):
        visits[patient].append(subject)
    unsaid = visits.pop("", [])
    folders = {patient: _common(of_patient) for patient, of_patient in visits.items()}
    joined = list(unsaid)
    for patient, of_patient in visits.items():
        here = folders[patient]
        apart = not any(
            folder.is_relative_to(here) for other, folder in folders.items() if other != patient
        )
        people = {subject.id for subject in of_patient}
        # The folder that holds all scans of a patient, and nobody else's, bears the name.
        name = here.name if len(people) > 1 and here != root and apart else min(people)
        joined += [_renamed(subject, name) for subject in of_patient]
    return joined


def _renamed(visit: Subject, person: str) -> Subject:
    """Give a visit to the person that PatientID tells."""
    if visit.id == person:
        return visit
    assumed = f"{visit.name} is taken for a visit of {person}, as its PatientID says"
    session = visit.session or visit.id
    return replace(visit, id=person, session=session, remarks=(assumed, *visit.remarks))


def _common(subjects: Sequence[Subject]) -> Path:
    """Give the deepest folder that holds all scans of some subjects."""
    places = [path.parent for subject in subjects for path in subject.scans.values()]
    return Path(os.path.commonpath(places))
