"""What names of files and folders tell: the sequence, the person, the visit, the grade."""

import re
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

from mrgantry.common.errors import DataError
from mrgantry.data.volume import suffix_of

# Words of file names, in lower case, by what they mean.
WORDS = {
    "t1": {"t1", "t1w", "t1n", "mprage", "mpr", "spgr", "fspgr", "bravo"},
    "t1c": {"t1c", "t1ce", "cet1", "ct1", "t1gd", "t1gad", "t1post", "t1km", "t1contrast"},
    "t2": {"t2", "t2w"},
    "flair": {"flair", "t2f", "t2flair"},
    "pd": {"pd", "pdw"},
    "dwi": {"dwi", "dti", "diff", "diffusion", "trace", "tracew"},
    "adc": {"adc"},
    "swi": {"swi", "swan"},
    "pet": {"pet", "fdg", "suv"},
    "ct": {"ct", "ctac"},
}
SEQUENCES = tuple(WORDS)
# What is no anatomical MR: never taken unless asked for, and never for anything else.
ONLY_IF_ASKED = ("dwi", "adc", "swi", "pet", "ct")
CONTRAST_WORDS = {
    *("c", "ce", "gd", "gad", "gado", "gadolinium", "contrast", "km", "post", "enhanced"),
    *("postgd", "postgad", "postgado", "postcontrast"),
    *("gadovist", "gadavist", "dotarem", "magnevist", "prohance", "multihance", "omniscan"),
}
BEFORE_WORDS = {"pre", "no", "non", "without", "precontrast"}  # of contrast
DARK_FLUID = {"dark", "fluid"}  # FLAIR, as Siemens calls it
# What is no scan of a known sequence, and must not pass for one that was asked for.
FOREIGN_WORDS = {
    *("fa", "asl", "pwi", "dsc", "dce", "perf", "perfusion", "cbf", "cbv", "bold", "fmri", "func"),
    *("tof", "mra", "mrs", "fieldmap", "t2star", "star", "localizer", "localiser", "loc", "scout"),
    *("survey", "3plane", "screensave", "phase", "subtraction"),
}
# How a scan was taken or worked on, which tells no person: pat1_ax_t1_tse is of pat1.
TECHNIQUE_WORDS = {
    *("ax", "axial", "sag", "sagittal", "cor", "coronal", "tra", "transversal", "2d", "3d", "iso"),
    *("se", "fse", "tse", "tfe", "ffe", "gre", "ir", "tirm", "tir", "flash", "space", "cube"),
    *("vibe", "vista", "fs", "fatsat", "p2", "sense", "mr", "mri", "nifti"),
    *("n4", "bfc", "bias", "norm", "reg", "registered", "bet", "stripped", "skullstripped"),
    *("brain", "defaced", "deface", "resampled", "cropped"),
}
TUMOUR_WORDS = {"seg", "segm", "ot", "otmulticlass", "glistrboost", "truth"}
# A label map of a tumour, by whatever layout: label_tumor, tumour_labels.
LABEL_WORDS = {"label", "labels", "seg", "segmentation"}
LABELLED_WORDS = {"tumour", "tumor"}
MASK_WORDS = {"mask", "brainmask"}
OTHER_WORDS = {"lesion", "roi", "label", "probseg", "tumour", "tumor", "wm", "gm", "csf"}
GRADES = {"hgg": "HGG", "hg": "HGG", "lgg": "LGG", "lg": "LGG", "healthy": "healthy"}
DATE = r"(?:19|20)\d\d-?[01]\d-?[0-3]\d"
# The names of visits: folders below a person's, or above those of all people, and ends of names.
VISIT = re.compile(
    r"(ses|session|visit|tp|time|timepoint|scan|exam|study|mr|followup|follow-up|fu|baseline|bl|pre"
    r"|post|before|after|preop|postop|pre-op|post-op|screening|day|week|month|year)[-_ ]?\d*"
    r"|[vmytw]\d+|ses-\w+|(exam|study|session|visit|scan)[-_ ]\w|week-\d+(-\d+)?"
    rf"|{DATE}|(19|20)\d\d[-_][01]?\d[-_][0-3]?\d|[0-3]?\d[-_.][01]?\d[-_.](19|20)\d\d|{DATE}[-_T]?\d{{4,6}}"
    r"|\d{4}-\d\d-\d\d_\d+_\d\d_\d\d(\.\d+)?"  # a date and a time, as ADNI has them
    r"|\d\d-\d\d-\d{4}-.*",  # a date and what the study is called, as TCIA has them
    re.IGNORECASE,
)
# Names that hold both a person and a visit: BraTS-GLI-00012-001, brats_2013_pat0001_1,
# Brats18_CBICA_AAB_1, OAS1_0001_MR1, OAS30001_MR_d0129, UPENN-GBM-00001_11, sim-2-0-0001_2,
# UCSF-PDGM-0315_FU001d, and anything like pat7_visit2, pat7_20190131 or 2019-01-31_pat7.
NAMES_WITH_VISIT = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?P<person>brats-[a-z]+-\d+)-(?P<visit>\d+)",
        r"(?P<person>brats_\w+_pat\w+)_(?P<visit>\d+)",
        r"(?P<person>brats1[789]_\w+)_(?P<visit>\d+)",
        r"(?P<person>oas\d_\d+)_(?P<visit>mr\d+)",
        r"(?P<person>oas\d+)_(?:mr_)?(?P<visit>d\d+)",
        r"(?P<person>upenn-gbm-\d+)_(?P<visit>\d+)",
        r"(?P<person>ucsf-pdgm-\d+)_(?P<visit>fu\w+)",
        r"(?P<person>sim(?:-\d+)+)(?:_(?P<visit>\w+))?",
        rf"(?P<visit>{DATE})[-_ ](?P<person>.+)",
        rf"(?P<person>.+?)[-_ ](?P<visit>(?!t[12]$)(?:{VISIT.pattern}))",
    )
]
# As dcm2niix names files unless told otherwise: folder, protocol, time and number of the series.
DCM2NIIX = re.compile(r"(.+)_(\d{8})\d{6}_\d{1,4}[a-z]*(?:_\w+)?")


def words_of(path: Path) -> list[str]:
    """Split a scan's name into lower-case words, without its ending."""
    return text_words(_stem(path))


def text_words(text: str) -> list[str]:
    """Split any text into lower-case words; T2* is a word of its own."""
    return re.findall(r"[^\W_]+", re.sub(r"t2\s?\*", " t2star ", text.lower()))


def sequence_of(path: Path) -> str | None:
    """Tell the sequence from a scan's name; None if it names none, or several."""
    # PD-001_t1 is T1 of a person with Parkinson's disease.
    stem = re.sub(r"^pd[-_ ]?\d+[-_ ]+", "", _stem(path), flags=re.IGNORECASE)
    return sequence_in(text_words(stem))


def sequence_in(text: Iterable[str]) -> str | None:
    """Tell the sequence from lower-case words; None if they name none, or several."""
    words = set(text)
    named = {sequence for sequence, known in WORDS.items() if known & words}
    if {"mp", "rage"} <= words:
        named.add("t1")
    if "adc" in named:  # it is computed from diffusion
        named.discard("dwi")
    if named & {"dwi", "adc", "swi"}:  # all of them are T2-weighted too
        named.discard("t2")
    if named == {"t2", "flair"}:  # T2-FLAIR is one sequence, not two
        return "flair"
    if named == {"t2"} and (words >= DARK_FLUID or "darkfluid" in words):
        return "flair"
    if named == {"t2"} and words & {"star", "t2star"}:  # another contrast than T2
        return None
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
    """Give what a name says beside the sequence: the person, if people share a folder.

    Where nothing else is left, words such as AX or SE may be a person's initials.
    """
    stem = _stem(label)
    if made := DCM2NIIX.fullmatch(stem):  # what stands behind the first word of a protocol is its
        protocol = re.search(_PROTOCOL, made[1])
        person = made[1][: protocol.start()] if protocol else made[1]
        return f"{person.rstrip('-_ .')}_{made[2]}" if person else made[2]
    known = set().union(*WORDS.values(), TUMOUR_WORDS, MASK_WORDS, CONTRAST_WORDS)
    known |= {"pre", "precontrast", "mp", "rage"}
    if set(words_of(label)) >= DARK_FLUID:
        known |= DARK_FLUID
    if is_tumour_labels(label):
        known |= LABEL_WORDS | LABELLED_WORDS
    return _kept(stem, known | TECHNIQUE_WORDS) or _kept(stem, known)


_PROTOCOL = re.compile(
    rf"(?<![^\W_])({'|'.join(sorted(TECHNIQUE_WORDS.union(*WORDS.values(), FOREIGN_WORDS)))})"
    r"(?![^\W_])",
    re.IGNORECASE,
)


def _kept(stem: str, known: set[str]) -> str:
    """Take known words out of a name, with what stands before them."""
    parts = re.findall(r"([\W_]*)([^\W_]+)", stem)
    kept = [(between, word) for between, word in parts if word.lower() not in known]
    return "".join(between + word for between, word in kept)[len(kept[0][0]) :] if kept else ""


def person_by_pattern(pattern: str, path: Path, name: str) -> tuple[str, str]:
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


def split_visit(name: str) -> tuple[str, str]:
    """Split a name that holds a person and a visit; see `NAMES_WITH_VISIT`."""
    name = re.sub(r"[-_](nifti|nii|dicom)$", "", name, flags=re.IGNORECASE)
    for pattern in NAMES_WITH_VISIT:
        if match := pattern.fullmatch(name):
            return match["person"], match["visit"] or ""
    return name, ""


def grade_of(parent: Path) -> dict[str, str]:
    """Tell the grade from the folders above a scan, as the attribute that it becomes."""
    for part in reversed(parent.parts):
        if part.lower() in GRADES:
            return {"grade": GRADES[part.lower()]}
    return {}
