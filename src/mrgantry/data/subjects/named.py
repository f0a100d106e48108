"""The scans of a folder, and what each is by its name, its header or the file beside it."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

from mrgantry.common.tables import read_foreign_table
from mrgantry.data.formats import ScanFacts, is_dicom, series_in, sidecar_facts
from mrgantry.data.names import (
    BEFORE_WORDS,
    FOREIGN_WORDS,
    ONLY_IF_ASKED,
    SEQUENCES,
    WORDS,
    is_named,
    role_of,
    sequence_in,
    text_words,
    words_of,
)
from mrgantry.data.subjects.subject import Wanted
from mrgantry.data.volume import is_scan, suffix_of

# Sequences that one name may be short for.
KIN = {"t1": "t1", "t1c": "t1", "t2": "t2", "flair": "t2", "pd": "pd"}
NO_AGENT = {
    "",
    "no",
    "none",
    "n",
    "na",
    "n/a",
    "0",
    "null",
}  # what a tag holds where none was given
MODALITIES = {"CT": "ct", "PT": "pet"}  # DICOM's, as sequences


@dataclass(frozen=True)
class NamedScan:
    """A file, the folder of a DICOM series or one of its files, and what it is.

    Attributes:
        path: Where it lies.
        role: A sequence, "tumour" for its labels, "seg" for what are tumour labels in
            BRATS alone, or "mask" for a mask of the brain.
        place: The folder whose scans are looked at together.
        label: The name that tells its person, where people share a folder.
        title: What messages call it.
        facts: What its header tells, or the file beside it.
        remark: What was assumed.
    """

    path: Path
    role: str
    place: Path
    label: Path
    title: str
    facts: ScanFacts
    remark: str = ""


def walk(folder: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Go through all folders below one, links too, but into none twice."""
    seen = set()
    for place, below, names in os.walk(folder, followlinks=True):
        real = Path(place).resolve()
        below[:] = sorted(name for name in below if name[0] != "." and real not in seen)
        if real not in seen:
            seen.add(real)
            yield Path(place), sorted(Path(place) / name for name in names if name[0] != ".")


def scans_of(place: Path, paths: Iterable[Path]) -> dict[Path, ScanFacts]:
    """List the scans among a folder's files, with what is told of each.

    Where DICOM files lie, one series is their folder, and several are a file each.

    Args:
        place: The folder.
        paths: Its files.
    """
    files = list(paths)
    scans = {path: sidecar_facts(path, suffix_of(path)) for path in files if is_scan(path)}
    if scans or not any(map(is_dicom, files)):
        return scans
    series = series_in(filter(is_dicom, files))
    if len(series) == 1:
        return {place: series[0].facts}
    return {item.files[0]: item.facts for item in series}


def named_scans(
    place: Path, paths: Sequence[Path], root: Path, wanted: Wanted
) -> Iterator[NamedScan]:
    """Tell what the scans of one folder are; those that tell nothing are left out.

    Args:
        place: The folder.
        paths: Its files.
        root: The folder that is searched.
        wanted: What is looked for.
    """
    if place.match("mri/orig") and (place.parent / "T1.mgz").is_file():
        return  # FreeSurfer's scan as it was acquired, beside the one that it made of it
    scans = scans_of(place, paths)
    alone = len(scans) == 1
    pattern = wanted.tumour_labels
    for path, facts in scans.items():
        one_of_several = path != place and not is_scan(path)  # a series that shares its folder
        own = None if one_of_several else role_of(_without_folders(path, root), pattern)
        # A scan alone in a folder may leave it to the folder's name, as pat1/T1/scan.nii.
        folders = role_of(place, pattern) if alone and place != root else None
        # Not where they disagree: PD-001/scan_t1.nii is of the person PD-001.
        for_itself = folders is not None and (own is None or KIN.get(own) == KIN.get(folders))
        role = own or folders
        declared = declared_sequence(facts)
        remark = ""
        if role is None and (declared or not is_named(path)):
            for_itself = path == place and root not in (place.parent, place)
            role = declared
        nameless = not is_named(path) and not is_foreign(facts)
        if role is None and alone and len(wanted.sequences) == 1 and nameless:
            role = wanted.sequences[0]
            remark = f"{path.name} is taken for the {role} that was asked for"
        if role is None or (role in ONLY_IF_ASKED and role not in wanted.sequences):
            continue
        label = place if for_itself or one_of_several else path
        title = facts.description if one_of_several and facts.description else path.name
        scan = NamedScan(
            path, role, place.parent if for_itself else place, label, title, facts, remark
        )
        yield after_contrast(scan)


def declared_sequence(facts: ScanFacts) -> str | None:
    """Tell the sequence from a scan's description, image type and modality."""
    return sequence_in(_words_of(facts)) or MODALITIES.get(facts.modality.upper())


def is_foreign(facts: ScanFacts) -> bool:
    """Say whether a header tells that a scan is none of the known sequences."""
    return bool(_words_of(facts) & FOREIGN_WORDS) or declared_sequence(facts) in ONLY_IF_ASKED


def _words_of(facts: ScanFacts) -> set[str]:
    # ImageType has MPR for what was cut anew from any scan: only what excludes one counts.
    excluding = FOREIGN_WORDS.union(*(WORDS[name] for name in ONLY_IF_ASKED))
    return {*text_words(facts.description), *(excluding & set(text_words(facts.kind)))}


def after_contrast(scan: NamedScan) -> NamedScan:
    """Take a T1 whose header names a contrast agent for the T1c that it is."""
    words = {*words_of(scan.label), *text_words(scan.facts.description)}
    given = scan.facts.agent.lower() not in NO_AGENT
    if scan.role != "t1" or not given or words & BEFORE_WORDS:
        return scan
    remark = f"{scan.title} is taken for t1c, as its header names a contrast agent"
    return replace(scan, role="t1c", remark=remark)


def first_of_each(
    scans: Iterable[NamedScan], series: Sequence[str]
) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Keep one file of each sequence, and say which others were left.

    Args:
        scans: Those of one visit.
        series: Patterns; the first scan that meets one is taken, or else the first.
    """
    of: dict[str, list[NamedScan]] = defaultdict(list)
    for scan in scans:
        of[scan.role].append(scan)
    remarks = []
    for role, files in of.items():
        meet = [scan for scan in files if _meets(scan, series)]
        files.sort(key=lambda scan: scan not in meet)
        remarks += [files[0].remark] if files[0].remark else []
        if left := [scan.title for scan in files[1:]]:
            remarks.append(f"{role}: {files[0].title} was taken, not {', '.join(left)}")
    order = sorted(of, key=SEQUENCES.index)
    return {role: of[role][0].path for role in order}, tuple(remarks)


def table_of(path: Path, key: str) -> dict[str, dict[str, str]]:
    """Read a table of people, keyed by one column; empty if it is not that table."""
    if not path.is_file():
        return {}
    return {
        row[key]: {str(name).lower(): value for name, value in row.items() if name and value}
        for row in read_foreign_table(path).to_dict("records")
        if row.get(key)
    }


def is_sequence(role: str) -> bool:
    """Tell a scan's role from those of masks and labels."""
    return role in WORDS


def _meets(scan: NamedScan, series: Sequence[str]) -> bool:
    names = (scan.path.name, scan.label.name, scan.facts.description)
    return any(
        fnmatch(name.lower(), pattern.lower()) for name in names if name for pattern in series
    )


def _without_folders(path: Path, root: Path) -> Path:
    """Leave out of a name what only repeats its folders: P1/T2/P1_T2_FLAIR is FLAIR."""
    if path.is_dir():
        return path
    folders = path.relative_to(root).parts[:-1]
    for first in range(len(folders)):
        joined = "[-_ .]".join(map(re.escape, folders[first:]))
        if begun := re.match(rf"{joined}[-_ ](?=\w)", path.name, re.IGNORECASE):
            return path.with_name(path.name[begun.end() :])
    return path
