"""People whose names begin alike, and may be one: said, with the option that would join them."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from mrgantry.data.subjects.people import GROUP, MOST_VISITS
from mrgantry.data.subjects.subject import Subject

# What a name begins with: up to its first number, where more follows (pat01 of pat01_a), or
# up to its last word (anna of anna_1 and anna_late).
BEGINNING = re.compile(r"(.*?\d+)[-_. ]+(?=\w)|(\D+?)[-_. ]+[^-_. ]+$")
LISTED = 12  # names that a remark lists: whoever is parted should find oneself among them
FEW = 3  # people of one group, such as control_1, control_2: more are so many people


def with_alike_names(subjects: Sequence[Subject]) -> list[Subject]:
    """Remark on people whose names begin alike up to a number, but not like everybody's."""
    remarks = {}
    ids = sorted({subject.id for subject in subjects})
    for names in alike_names(ids):
        which = f"{', '.join(names[:LISTED])}{', ...' if len(names) > LISTED else ''}"
        remarks[names[0]] = (
            f"{which} are taken for {len(names)} people; if they are one, add "
            f"--person '{person_pattern(names[0])}'"
        )
    said: set[str] = set()
    remarked = []
    for subject in subjects:
        if subject.id in remarks and subject.id not in said:
            said.add(subject.id)
            remarked.append(replace(subject, remarks=(*subject.remarks, remarks[subject.id])))
        else:
            remarked.append(subject)
    return remarked


def alike_names(ids: Iterable[str]) -> list[list[str]]:
    """Group ids that begin alike up to a number; what all share, or many, is no person's name.

    >>> alike_names(["pat01_a", "pat01_b", "pat02_a"])
    [['pat01_a', 'pat01_b']]
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for name in ids:
        groups[_beginning(name).lower()].append(name)
    if len(groups) < 2:
        return []
    return [
        names
        for beginning, names in groups.items()
        if 1 < len(names) <= (MOST_VISITS if re.search(r"\d", beginning) else FEW)
        and not GROUP.fullmatch(beginning)
    ]


def joining_pattern(first: str, second: str, subjects: Sequence[Subject], root: Path) -> str:
    """Give the pattern for `--person` that makes two names one person, "" if none is known.

    Args:
        first: A person.
        second: Another.
        subjects: All visits; the pattern must find somebody in each, and leave them several.
        root: The folder that was searched.
    """
    paths = {
        subject.id: next(iter(subject.scans.values())).relative_to(root).as_posix()
        for subject in subjects
    }
    for pattern in {person_pattern(first), person_pattern(second)}:
        matches = {name: re.search(pattern, path) for name, path in paths.items()}
        people = {name: match[1] for name, match in matches.items() if match}
        joined = people.get(first) == people.get(second)
        if len(people) == len(paths) and joined and len(set(people.values())) > len(paths) / 2:
            return pattern
    return ""


def person_pattern(name: str) -> str:
    """Give the pattern for `--person` by which people are known by their first number."""
    beginning = re.escape(_beginning(name))
    if re.search(r"\d", beginning):
        return f"({re.sub(r'[0-9]+', r'[0-9]+', beginning)})"
    words = len(re.split("[-_. ]+", _beginning(name)))
    return f"(?:^|/)({'[-_. ]+'.join(['[^-_. /]+'] * words)})[-_. ]"


def _beginning(name: str) -> str:
    begun = BEGINNING.match(name)
    return next(filter(None, begun.groups())) if begun else name
