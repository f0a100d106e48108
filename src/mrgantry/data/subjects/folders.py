"""Any tree of folders: names tell sequences, and the tree whose they are."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from mrgantry.data.names import grade_of, person_by_pattern, rest_of, split_visit
from mrgantry.data.subjects.named import (
    NamedScan,
    first_of_each,
    is_sequence,
    named_scans,
    table_of,
    walk,
)
from mrgantry.data.subjects.patients import by_patient
from mrgantry.data.subjects.people import NUMBER, Owner, Tree, tells_visit, without_number
from mrgantry.data.subjects.subject import Subject, Wanted

NAME_TABLES = {"name_mapping.csv", "cohort.csv"}
MOST_REPEATS = 3  # of one sequence in a visit; more files that differ by a number are people


@dataclass
class Visit:
    """The scans of one visit, from wherever they lie.

    Attributes:
        owner: Whose they are.
        name: What the files or the folder are called, person and visit.
        place: A folder that they lie in.
        scans: They, and masks and label maps.
    """

    owner: Owner
    name: str
    place: Path
    scans: list[NamedScan] = field(default_factory=list)


def folder_subjects(root: Path, wanted: Wanted) -> list[Subject]:
    """Find subjects where a folder is a person, or the names in one folder tell people.

    Args:
        root: The folder that is searched.
        wanted: What is looked for.
    """
    tables: dict[str, dict[str, str]] = {}
    places: dict[Path, list[NamedScan]] = defaultdict(list)
    for place, paths in walk(root):
        for path in paths:
            if path.name in NAME_TABLES:
                tables |= table_of(path, "BraTS_2020_subject_ID") | table_of(path, "subject")
        for scan in named_scans(place, paths, root, wanted):
            places[scan.place].append(scan)
    mixed = {place for place, scans in places.items() if len({scan.role for scan in scans}) > 1}
    tree = Tree(root, places, mixed)
    visits = _with_their_maps(_visits(places, tree, wanted))
    parts = [part for visit in visits for part in _by_study(visit)]
    subjects = [_subject(visit, root, tables, wanted) for visit in parts]
    return subjects if wanted.person else by_patient(subjects, [part.scans for part in parts], root)


def _visits(places: dict[Path, list[NamedScan]], tree: Tree, wanted: Wanted) -> list[Visit]:
    """Put together what belongs to one visit of one person, below that person's folder."""
    groups = {place: _by_name(place, files, tree) for place, files in places.items()}
    names = {name for people in groups.values() for name in people} - {""}
    visits: dict[tuple[Path, str, str], Visit] = {}
    for place, people in groups.items():
        rests = {NUMBER.sub("", rest_of(scan.label)) for scan in people.get("", [])}
        # Somebody who is named in another folder, too, is so here.
        known = len(rests) == 1 and rests <= names
        if known:
            people[rests.pop()] = people.pop("")
        of_people = known or tree.holds_people(place, people)
        for name, scans in people.items():
            whole = name or place.resolve().name
            if wanted.person:
                path = scans[0].path.relative_to(tree.root)
                owner = Owner(*person_by_pattern(wanted.person, path, whole), place)
            elif name and of_people:
                person, visit = split_visit(name)
                owner = Owner(person, visit or tree.visit_above(place), place)
            else:
                owner = _owner_of_all(tree, place, name, scans)
            key = (owner.home, owner.person, owner.visit)
            visits.setdefault(key, Visit(owner, whole, place)).scans.extend(scans)
    return list(visits.values())


def _owner_of_all(tree: Tree, place: Path, name: str, scans: list[NamedScan]) -> Owner:
    """Say whose scans lie in a folder of one person, and what was taken for granted.

    Args:
        tree: The folders.
        place: The folder.
        name: What tells the visit in the names of these scans, "" if nothing does.
        scans: Some or all of its scans.
    """
    owner = tree.owner(place)
    if name:
        assumed = "" if tells_visit(name) else f"{name} is taken for a visit of {owner.person}"
        return replace(owner, visit=name, assumed=assumed)
    roles = [scan.role for scan in scans if is_sequence(scan.role)]
    if len({rest_of(scan.label) for scan in scans}) > 1 and len(set(roles)) < len(roles):
        assumed = f"all scans in {place.name} are taken for those of {owner.person}"
        return owner if tree.names_person(place) else replace(owner, assumed=assumed)
    return owner


def _by_name(place: Path, files: list[NamedScan], tree: Tree) -> dict[str, list[NamedScan]]:
    """Group the files of one folder by the person, or the visit, that their names tell.

    A folder is one person's visit, whose name is "" here, if no sequence stands in it twice
    and it lies below the folder that is searched, or the names differ in nothing but the
    sequence, or the tree says that they are one person's and no name tells a visit.
    """
    # Maps may lie in a folder of their own.
    scans = [scan for scan in files if is_sequence(scan.role)] or files
    rests = {rest_of(scan.label) for scan in scans}
    once = len({scan.role for scan in scans}) == len(scans)
    if len(rests) == 1 and tree.is_shared(place) and not once:
        return _by_patient_id(scans, files)
    if place != tree.root and all(_begins(place.name.lower(), rest.lower()) for rest in rests):
        # patient01/patient01_t1_5.nii.gz: one person, scanned twice, maybe in several visits
        visits = {rest: without_number(rest[len(place.name) :].strip("-_. ")) for rest in rests}
        return _grouped(files, visits) if all(map(tells_visit, visits.values())) else {"": files}
    numbered = all(rest.isdigit() for rest in rests) and len(rests) == len(scans)  # of series
    by_names = tree.tells_nobody(place) and "" not in rests
    if not by_names and (len(rests) < 2 or (place != tree.root and (once or numbered))):
        return {"": files}
    # Several names, some sequence twice: people, visits, or scans of one visit.
    of_people = tree.holds_people(place, rests)
    of_visits = not of_people and all(map(tells_visit, rests))
    roles: dict[str, set[str]] = defaultdict(set)
    for scan in scans:
        roles[rest_of(scan.label)].add(scan.role)
    if not (of_people or of_visits or min(map(len, roles.values())) > 1):
        return {"": files}
    if of_visits:
        cut = {rest: without_number(rest) for rest in rests}
    else:
        cut = _without_series_numbers(scans)
    return _grouped(files, cut)


def _grouped(files: list[NamedScan], names: dict[str, str]) -> dict[str, list[NamedScan]]:
    """Group scans, and the maps that belong to them, by what their names say.

    Args:
        files: All files of a folder.
        names: What is said instead of what a name says.
    """
    groups: dict[str, list[NamedScan]] = defaultdict(list)
    spelling: dict[str, str] = {}
    for file in sorted(files, key=lambda file: not is_sequence(file.role)):
        rest = rest_of(file.label)
        rest = names.get(rest, rest)
        if not is_sequence(file.role) and rest.lower() not in spelling:
            # A map may say more than its scan does: pat0_lesion beside pat0_t1.
            begun = [known for known in spelling if known and _begins(known, rest.lower())]
            rest = spelling[max(begun, key=len)] if begun else rest
        groups[spelling.setdefault(rest.lower(), rest)].append(file)
    return groups


def _by_patient_id(scans: list[NamedScan], files: list[NamedScan]) -> dict[str, list[NamedScan]]:
    """Tell people by PatientID where all series lie in one folder; they get numbers, not names."""
    patients = dict.fromkeys(scan.facts.patient for scan in scans)
    if len(patients) < 2:
        return {"": files}
    return {
        f"person{number}": [scan for scan in scans if scan.facts.patient == patient]
        for number, patient in enumerate(patients, 1)
    }


def _without_series_numbers(scans: list[NamedScan]) -> dict[str, str]:
    """Take numbers of series from names that tell people otherwise: pat1_t1_5 and pat1_t2_7.

    They are numbers of series if each name has one sequence, but what stands before the numbers
    several, of which hardly any is repeated.

    Returns:
        What names say, with and without the number; empty if the numbers tell people.
    """
    whole: dict[str, list[str]] = defaultdict(list)
    cut: dict[str, list[str]] = defaultdict(list)
    shorter: dict[str, str] = {}
    for scan in scans:
        rest = rest_of(scan.label)
        shorter_rest, _, number = rest.rpartition("_") if "_" in rest else rest.rpartition("-")
        if not (shorter_rest and number.isdigit() and len(number) <= 4):
            return {}
        shorter[rest] = shorter_rest
        whole[rest].append(scan.role)
        cut[shorter_rest].append(scan.role)
    several = all(len(set(roles)) > 1 for roles in cut.values())
    single = all(len(set(roles)) == 1 for roles in whole.values())
    repeats = max(roles.count(role) for roles in cut.values() for role in roles)
    return shorter if several and single and repeats <= MOST_REPEATS else {}


def _with_their_maps(visits: list[Visit]) -> list[Visit]:
    """Give masks and label maps that lie in a folder of their own to the scans they belong to."""
    kept: list[Visit] = []
    maps: list[Visit] = []
    for visit in visits:
        (kept if any(is_sequence(s.role) for s in visit.scans) else maps).append(visit)
    for alone in maps:
        names = (alone.owner.person, alone.owner.visit)
        those = [visit for visit in kept if (visit.owner.person, visit.owner.visit) == names]
        if len(those) == 1:
            those[0].scans.extend(alone.scans)
    return kept


def _by_study(visit: Visit) -> list[Visit]:
    """Part the scans of several studies that lie in one folder, and number them by their dates.

    Only where a sequence stands there twice: exams may be anonymised series by series.
    """
    scans = [scan for scan in visit.scans if is_sequence(scan.role)]
    days = {scan.path: scan.facts.date or scan.facts.study for scan in scans}
    kinds = {(scan.role, days[scan.path]) for scan in scans}
    roles = {scan.role for scan in scans}
    if len(kinds) == len(roles) or "" in days.values() or visit.owner.visit:
        return [visit]
    order = sorted(set(days.values()))
    assumed = f"{len(order)} studies lie in one folder, and are taken for visits"
    return [
        replace(
            visit,
            owner=replace(visit.owner, visit=str(number), assumed=assumed),
            scans=[scan for scan in visit.scans if days.get(scan.path, day) == day],
        )
        for number, day in enumerate(order, 1)
    ]


def _subject(
    visit: Visit, root: Path, tables: dict[str, dict[str, str]], wanted: Wanted
) -> Subject:
    """Make a subject of the scans of a visit."""
    owner = visit.owner
    scans, remarks = first_of_each(
        [scan for scan in visit.scans if is_sequence(scan.role)], wanted.series
    )
    attributes = grade_of(visit.place.relative_to(root.parent))
    attributes |= tables.get(owner.person, {}) | tables.get(visit.name, {})
    maps = _paths(visit.scans, "tumour")
    # BRATS calls its tumours `seg`, as others call maps of tissues.
    brats = len(scans) > 2 or "grade" in attributes or visit.name.lower().startswith("brats")
    if not maps and brats:
        maps = _paths(visit.scans, "seg")
    masks = _paths(visit.scans, "mask")
    return Subject(
        id=owner.person,
        session=owner.visit,
        scans=scans,
        tumour=maps[0] if maps else None,
        mask=masks[0] if masks else None,
        attributes=attributes,
        remarks=(owner.assumed, *remarks) if owner.assumed else remarks,
    )


def _paths(scans: Iterable[NamedScan], role: str) -> list[Path]:
    return [scan.path for scan in scans if scan.role == role]


def _begins(short: str, long: str) -> bool:
    """Say whether a name begins with another, up to the end of a word."""
    return long.startswith(short) and not long[len(short) :][:1].isalnum()
