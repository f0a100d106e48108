"""What names of files and folders tell: the sequence, the person, the visit, the grade."""

import re
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

from mrgantry.common.errors import DataError
from mrgantry.data.volume import suffix_of

# Words of file names, in lower case, by what they mean.
WORDS = {
    "t1": {"t1", "t1w", "t1n", "mprage", "mpr", "spgr", "bravo"},
    "t1c": {"t1c", "t1ce", "cet1", "t1gd", "t1gad", "t1post", "t1km", "t1contrast"},
    "t2": {"t2", "t2w"},
    "flair": {"flair", "t2f", "t2flair"},
    "pd": {"pd", "pdw"},
}
SEQUENCES = tuple(WORDS)
CONTRAST_WORDS = {
    *("c", "ce", "gd", "gad", "gado", "gadolinium", "contrast", "km", "post", "enhanced"),
    *("postgd", "postgad", "postgado", "postcontrast"),
    *("gadovist", "gadavist", "dotarem", "magnevist", "prohance", "multihance", "omniscan"),
}
BEFORE_WORDS = {"pre", "no", "non", "without", "precontrast"}  # of contrast
DARK_FLUID = {"dark", "fluid"}  # FLAIR, as Siemens calls it
# What is no anatomical scan of a known sequence, and must not pass for one that was asked for.
FOREIGN_WORDS = {
    *("dwi", "dti", "adc", "trace", "fa", "swi", "swan", "asl", "pwi", "dsc", "dce", "bold"),
    *("fmri", "func", "tof", "mra", "mrs", "pet", "ct", "fieldmap", "localizer", "localiser"),
    *("loc", "scout", "survey", "3plane"),
}
TUMOUR_WORDS = {"seg", "ot", "otmulticlass", "glistrboost", "truth"}
# A label map of a tumour, by whatever layout: label_tumor, tumour_labels.
LABEL_WORDS = {"label", "labels"}
LABELLED_WORDS = {"tumour", "tumor"}
MASK_WORDS = {"mask", "brainmask"}
OTHER_WORDS = {"lesion", "roi", "label", "probseg", "tumour", "tumor", "wm", "gm", "csf"}
PROCESSING_WORDS = {"brain"}  # a scan and its stripped copy are one person's
GRADES = {"hgg": "HGG", "hg": "HGG", "lgg": "LGG", "lg": "LGG", "healthy": "healthy"}
# Folders that tell neither a person nor a visit; nor do those named like a sequence.
CONTAINERS = {
    *("anat", "anatomical", "structural", "nifti", "nii", "dicom", "dcm", "mr", "mri", "images"),
    *("raw", "processed", "original"),
}
# The names of visits, as folders below a person's.
VISIT = re.compile(
    r"(ses|session|visit|tp|timepoint|scan|mr|followup|follow-up|fu|baseline|bl|pre|post"
    r"|preop|postop|day|week|month|year)[-_ ]?\d*|[vmy]\d+|ses-\w+|\d{8}|\d{4}[-_]\d\d[-_]\d\d"
    r"|\d{4}-\d\d-\d\d_\d+_\d\d_\d\d(\.\d+)?"  # a date and a time, as ADNI has them
    r"|\d\d-\d\d-\d{4}-.*"  # a date and what the study is called, as TCIA has them
)
# Folders of several people: the bare numbers below them are people, elsewhere visits.
GROUP = re.compile(
    r"(site|center|centre|hospital|scanner|group|cohort|batch|disc|part)s?[-_ ]?\w{0,3}"
    r"|controls|patients|healthy|data(set)?s?|train(ing)?|test(ing)?|val(id(ation)?)?",
    re.IGNORECASE,
)
MOST_VISITS = 9  # of one person; more bare numbers in a folder are people
# Names that hold both a person and a visit: BraTS-GLI-00012-001, brats_2013_pat0001_1,
# Brats18_CBICA_AAB_1, OAS1_0001_MR1, OAS30001_MR_d0129, UPENN-GBM-00001_11, sim-2-0-0001_2,
# and anything like pat7_visit2.
NAMES_WITH_VISIT = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(brats-[a-z]+-\d+)-(\d+)",
        r"(brats_\w+_pat\w+)_(\d+)",
        r"(brats1[789]_\w+)_(\d+)",
        r"(oas\d_\d+)_(mr\d+)",
        r"(oas\d+)_(?:mr_)?(d\d+)",
        r"(upenn-gbm-\d+)_(\d+)",
        r"(sim-[\d-]+)_(\w+)",
        r"(.+?)[-_]((?:ses|session|visit|tp|timepoint|v)[-_]?\d+)",
    )
]


def words_of(path: Path) -> list[str]:
    """Split a scan's name into lower-case words, without its ending."""
    return re.findall(r"[^\W_]+", _stem(path).lower())


def sequence_of(path: Path) -> str | None:
    """Tell the sequence from a scan's name; None if it names none, or several."""
    return sequence_in(words_of(path))


def sequence_in(text: Iterable[str]) -> str | None:
    """Tell the sequence from lower-case words; None if they name none, or several."""
    words = set(text)
    named = {sequence for sequence, known in WORDS.items() if known & words}
    if named == {"t2", "flair"}:  # T2-FLAIR is one sequence, not two
        return "flair"
    if named == {"t2"} and (words >= DARK_FLUID or "darkfluid" in words):
        return "flair"
    if named == {"t1"} and words & CONTRAST_WORDS and not words & BEFORE_WORDS:
        return "t1c"
    return named.pop() if len(named) == 1 else None


def _stem(path: Path) -> str:
    suffix = suffix_of(path)
    stem = path.name[: -len(suffix)] if suffix else path.name
    return stem.removesuffix(".nifti")  # OASIS-2 has mpr-1.nifti.hdr


def is_brain_mask(path: Path) -> bool:
    """Tell a mask of the brain from one of a lesion or a tissue."""
    words = words_of(path)
    other = any(word.endswith(tuple(OTHER_WORDS)) for word in words)
    return bool(MASK_WORDS & set(words)) and not other


def is_tumour_labels(path: Path) -> bool:
    """Tell a name that says in words that it is a label map of a tumour."""
    words = set(words_of(path))
    return bool(words & LABEL_WORDS) and bool(words & LABELLED_WORDS)


def role_of(path: Path, pattern: str | None) -> str | None:
    """Tell what a name says: a sequence, "tumour" (its labels), "mask" (the brain).

    "seg" is a segmentation of the tumour in BRATS, and of tissues elsewhere.
    """
    if pattern and fnmatch(path.name, pattern):
        return "tumour"
    if is_tumour_labels(path):  # drawn on whatever sequence the name tells
        return None if pattern else "tumour"
    words = set(words_of(path))
    if words & MASK_WORDS:
        return "mask" if is_brain_mask(path) else None
    if words & TUMOUR_WORDS:  # a segmentation of one sequence is one of tissues
        return None if pattern or sequence_of(path) else "seg"
    return sequence_of(path)


def is_named(path: Path) -> bool:
    """Say whether a name bears any word that we know, even if it is of no use."""
    words = set(words_of(path))
    if is_tumour_labels(path):
        return True
    known = (*WORDS.values(), MASK_WORDS, TUMOUR_WORDS, FOREIGN_WORDS)
    return any(words & meant for meant in known)


def rest_of(label: Path) -> str:
    """Give what a name says beside the sequence: the person, if people share a folder."""
    known = set().union(*WORDS.values(), TUMOUR_WORDS, MASK_WORDS, CONTRAST_WORDS)
    known |= PROCESSING_WORDS | {"pre", "precontrast"}
    if set(words_of(label)) >= DARK_FLUID:
        known |= DARK_FLUID
    if is_tumour_labels(label):
        known |= LABEL_WORDS | LABELLED_WORDS
    parts = re.findall(r"([\W_]*)([^\W_]+)", _stem(label))
    kept = [(between, word) for between, word in parts if word.lower() not in known]
    return "".join(between + word for between, word in kept)[len(kept[0][0]) :] if kept else ""


def person_of(place: Path, root: Path) -> tuple[str, str, str]:
    """Give the person and the visit that a folder's path tells, and what was assumed.

    Folders such as `anat` tell neither. A folder named like a visit belongs to the
    person above it. A bare number is a visit too, since one person's scans must never
    be taken for two people's, unless the folder above is one of several people.
    """
    parts = _telling(list(place.relative_to(root).parts) or [root.resolve().name])
    if len(parts) > 1 and parts[-2].lower() not in GRADES:
        leaf = parts[-1]
        if VISIT.fullmatch(leaf.lower()):
            return _qualified(_telling(parts[:-1])), leaf, ""
        # A number in a folder of a modality is a visit of whoever is above that.
        parts = [*_telling(parts[:-1]), leaf]
        if len(parts) == 1:
            return *split_visit(leaf), ""
        above = parts[-2]
        of_one = leaf.isdigit() and not GROUP.fullmatch(above)
        if of_one and _numbers_in(place, leaf) <= MOST_VISITS:
            return _qualified(parts[:-1]), leaf, f"{leaf} is taken for a visit of {above}"
    return *split_visit(_qualified(parts)), ""


def _telling(parts: list[str]) -> list[str]:
    """Leave out the folders at the end of a path that tell neither a person nor a visit."""
    while len(parts) > 1:
        leaf = Path(parts[-1])
        # MPRAGE tells nobody; PD-001 may be a person with Parkinson's disease.
        if leaf.name.lower() not in CONTAINERS and not (sequence_of(leaf) and not rest_of(leaf)):
            break
        parts = parts[:-1]
    return parts


def _numbers_in(place: Path, leaf: str) -> int:
    """Count the folders of bare numbers beside the one that a path goes through."""
    at = next(one for one in (place, *place.parents) if one.name == leaf)
    return sum(other.name.isdigit() and other.is_dir() for other in at.parent.iterdir())


def person_told_by(pattern: str, path: Path, name: str) -> tuple[str, str]:
    """Give the person and the visit that the user's pattern finds in a path.

    Raises:
        DataError: It finds nothing.
    """
    try:
        match = re.search(pattern, path.as_posix())
        person = match[1] if match else ""
    except (re.error, IndexError) as error:
        raise DataError(
            f"--person {pattern!r} must be a regular expression with a group, as '(pat[0-9]+)'."
        ) from error
    if not match or not person:
        raise DataError(f"--person {pattern!r} finds nobody in {path.as_posix()}.")
    visit = match[2] if len(match.groups()) > 1 else None
    return person, (visit or ("" if name == person else name))


def _qualified(parts: list[str]) -> str:
    return "-".join(parts[-2:]) if parts[-1].isdigit() else parts[-1]


def split_visit(name: str) -> tuple[str, str]:
    """Split a name that holds a person and a visit; see `NAMES_WITH_VISIT`."""
    for pattern in NAMES_WITH_VISIT:
        if match := pattern.fullmatch(name):
            return match[1], match[2]
    return name, ""


def grade_of(parent: Path) -> dict[str, str]:
    """Tell the grade from the folders above a scan, as the attribute that it becomes."""
    for part in reversed(parent.parts):
        if part.lower() in GRADES:
            return {"grade": GRADES[part.lower()]}
    return {}
