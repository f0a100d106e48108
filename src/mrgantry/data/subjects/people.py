"""Whose scans lie in a folder, and of which visit, by where it stands in the whole tree.

A person who is taken for two can stand in two splits, and then nothing that is measured holds;
two who are taken for one cost a little. So what stands below somebody's folder belongs to that
person wherever it may, and what was assumed is said.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

from mrgantry.data.names import GRADES, VISIT, rest_of, sequence_of, split_visit

MOST_VISITS = 9  # of one person; more folders of unknown meaning in a folder are people
MANY = 1000  # names are enough to see what those of a folder are like
# Folders that tell neither a person nor a visit; nor do those named like a sequence.
CONTAINERS = re.compile(
    r"anat(omical)?\d*|anat_\d+|structural|niftis?|nii|dicoms?|dcm|mr|mri|images?(tr|ts)?|raw|scans?"
    r"|processed|original|modalities|sequences|imaging",
    re.IGNORECASE,
)
# Folders of several people: what stands below them are people, elsewhere visits.
GROUP = re.compile(
    r"(site|center|centre|hospital|scanner|group|cohort|batch|disc|part)s?[-_ ]?\w{0,3}"
    r"|controls?|patients|subjects|people|healthy|cases|volunteers|data(set)?s?|database"
    r"|ad|mci|[el]mci|cn|nc|hc|ctl|ms|train|test|val"
    r"|.*(training|validation|testing)[-_ ]?(data|set)?(-?v\d)?",
    re.IGNORECASE,
)
# Names that are surely a person's.
PERSON = re.compile(
    r"(sub|subj|subject|pat|patient|pt|participant|proband|case|volunteer|vol|ixi|brats20\d\d_"
    r"|p|s|id)[-_ ]?\d+|\d{3}_s_\d{4}|tcga-\w\w-\w{4}|brats\w*[-_].*\d+",
    re.IGNORECASE,
)
NUMBER = re.compile(r"(?<=.)[-_ ]\d{1,4}$")  # of a series, at the end of a name


@dataclass(frozen=True)
class Owner:
    """Whose the scans of a folder are.

    Attributes:
        person: Who.
        visit: Which visit, "" if nothing tells.
        home: The folder of the person, below which all scans are theirs.
        assumed: What was taken for granted, "" if nothing was.
    """

    person: str
    visit: str
    home: Path
    assumed: str = ""


class Tree:
    """The folders between the one that was searched and those that hold scans.

    Args:
        root: The folder that was searched.
        places: The folders that hold scans.
        mixed: Those that hold several sequences, whatever they are called.
    """

    def __init__(self, root: Path, places: Iterable[Path], mixed: Collection[Path]) -> None:
        self.root = root
        self.mixed = mixed
        self.below: dict[Path, set[str]] = defaultdict(set)  # the folders in each
        for place in places:
            for folder in (place, *place.parents):
                if folder == root:
                    break
                self.below[folder.parent].add(folder.name)

    def owner(self, place: Path) -> Owner:
        """Say whose the scans of a folder are, and of which visit."""
        folders = self._telling(place)
        visits = [VISIT.fullmatch(folder.name) is not None for folder in folders]
        if all(visits) or not any(visits):
            if any(visits) and len(folders) > 1:
                return Owner(folders[0].name, folders[1].name, folders[0])
            return self._of_person(folders)
        first = visits.index(True)
        if first == 0:  # a folder a visit, and the people in each
            owner = self._of_person(folders[visits.index(False) :])
            return Owner(owner.person, folders[0].name, owner.home, owner.assumed)
        owner = self._of_person(folders[:first])
        return Owner(owner.person, folders[first].name, owner.home)

    def holds_people(self, place: Path, names: Iterable[str]) -> bool:
        """Say whether the names of files in a folder tell people, rather than scans of one."""
        folders = self._telling(place)
        of_sequence = sequence_of(place) and not _has_digit(rest_of(place))
        if place == self.root or not self._tells(place) or of_sequence:
            return True
        visits = [VISIT.fullmatch(folder.name) is not None for folder in folders]
        if any(visits):  # below a person's folder, or with all people in it
            return visits[0]
        if all(map(tells_visit, names)):
            return False
        return self._is_group(place, set(names))

    def tells_nobody(self, place: Path) -> bool:
        """Say whether a folder is surely of several people: a group, or a visit of all."""
        name = self._telling(place)[0].name
        return place != self.root and bool(_is_group_name(name) or VISIT.fullmatch(name))

    def is_shared(self, place: Path) -> bool:
        """Say whether a folder is nobody's: the one that was searched, DICOM, or a group's."""
        return place == self.root or not self._tells(place) or self.tells_nobody(place)

    def names_person(self, place: Path) -> bool:
        """Say whether a folder, or one above it, is surely called after a person."""
        names = [folder.name for folder in self._telling(place)]
        return any(PERSON.fullmatch(name) or split_visit(name)[1] for name in names)

    def visit_above(self, place: Path) -> str:
        """Give the visit that a folder of several people is of, "" if it is of none."""
        names = [folder.name for folder in self._telling(place)]
        return next((name for name in names if VISIT.fullmatch(name)), "")

    def _telling(self, place: Path) -> list[Path]:
        """List the folders above a place, and itself, that may tell a person or a visit.

        Those that surely hold several people stand above them, and are left out.
        """
        folders = [folder for folder in (place, *place.parents) if folder.is_relative_to(self.root)]
        below = [folder for folder in reversed(folders) if folder != self.root]
        telling = list(filter(self._tells, below)) or [(below or [self.root.resolve()])[-1]]
        while len(telling) > 1 and _is_group_name(telling[0].name):
            telling = telling[1:]
        return telling

    def _tells(self, folder: Path) -> bool:
        # MPRAGE tells nobody; PD-001 may be a person with Parkinson's disease.
        named = sequence_of(folder) and not rest_of(folder)
        of_sequence = named and folder not in self.mixed
        return not CONTAINERS.fullmatch(folder.name) and not of_sequence

    def _of_person(self, folders: list[Path]) -> Owner:
        """Find the person among folders of which none is named like a visit."""
        for folder, child in pairwise(folders):
            if not self._is_group(folder, self.below[child.parent], child.name):
                person, visit = split_visit(self._qualified(folder))
                assumed = f"{child.name} is taken for a visit of {person}"
                return Owner(person, visit or child.name, folder, assumed)
        person, visit = split_visit(self._qualified(folders[-1]))
        return Owner(person, visit, folders[-1])

    def _is_group(self, folder: Path, names: set[str], child: str = "") -> bool:
        """Say whether a folder holds several people, whose names are those of folders or files.

        Args:
            folder: The folder.
            names: Of what is in it.
            child: The one of them that is asked about; any unless given.
        """
        name, asked = folder.name, child or min(names)
        if asked.isdigit() and not _is_group_name(name):
            return sum(other.isdigit() for other in islice(names, MANY)) > MOST_VISITS
        if _is_group_name(name) or PERSON.fullmatch(name):
            return _is_group_name(name)
        of_person = PERSON.fullmatch(NUMBER.sub("", asked)) or split_visit(asked)[1]
        if of_person or len(names) > MOST_VISITS:
            return True
        sole = len(self.below[folder.parent]) < 2
        if _has_digit(rest_of(folder)):
            return sole and len(names) > 1
        if sole or _has_digit(asked):
            return True
        # Names without numbers: those that recur in each folder are visits of whom it is.
        siblings = [self.below[folder.parent / other] for other in self.below[folder.parent]]
        recur = len(names) > 1 and all(names == other for other in siblings)
        return not recur and sum(asked in other for other in siblings) > 1

    def _qualified(self, folder: Path) -> str:
        """Name a person by its folder, and a bare number by the one above as well."""
        above = folder.parent
        both = folder.name.isdigit() and above != self.root and self._tells(above)
        return f"{above.name}-{folder.name}" if both else folder.name


def tells_visit(name: str) -> bool:
    """Say whether a file's name tells a visit alone, with or without a series' number."""
    if name.lower().startswith(("scan", "mr", "study")):  # as a file's name it tells nothing
        return False
    return VISIT.fullmatch(without_number(name)) is not None


def without_number(name: str) -> str:
    """Take the number of a series from the end of a name that tells a visit."""
    shorter = NUMBER.sub("", name)
    return shorter if VISIT.fullmatch(shorter) else name


def _is_group_name(name: str) -> bool:
    return name.lower() in GRADES or GROUP.fullmatch(name) is not None


def _has_digit(text: str) -> bool:
    return any(letter.isdigit() for letter in text)
