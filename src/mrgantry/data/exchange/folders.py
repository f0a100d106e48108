"""What the folders that pictures lie in tell: a class, which is a label, a person, a visit."""

from collections.abc import Callable, Sequence
from pathlib import PurePath

from mrgantry.data.names import WORDS, split_visit, text_words

# Folders that hold images of many people.
NO_SUBJECTS = {
    *("train", "training", "test", "testing", "val", "valid", "validation"),
    *("images", "imgs", "pictures", "slices", "data", "dataset", "png", "jpg"),
}
TUMOUR_CLASSES = {
    *("yes", "tumor", "tumour", "tumors", "tumours", "glioma", "meningioma", "pituitary"),
    *("glioblastoma", "gbm", "astrocytoma", "oligodendroglioma", "ependymoma", "schwannoma"),
    *("medulloblastoma", "metastasis", "metastases", "carcinoma", "cancer", "malignant", "benign"),
}
HEALTHY_CLASSES = {
    *("no", "non", "without", "healthy", "normal", "notumor", "notumour"),
    *("nontumor", "nontumour"),
}
# Classes that tell nothing of a tumour, and no person either.
OTHER_CLASSES = {
    *("positive", "negative", "abnormal", "class", "patients", "controls", "control", "hgg", "lgg"),
    *("demented", "nondemented", "milddemented", "verymilddemented", "moderatedemented", "mild"),
    *("moderate", "very", "dementia", "impairment", "ad", "cn", "mci", "emci", "lmci", "stroke"),
    *("ischemic", "ischaemic", "hemorrhagic", "haemorrhagic", "ms", "lesion", "lesions"),
}
# What may stand beside such words: "Brain Tumor", "Glioma T1".
BESIDE = {"brain", "mri", "mr", "cases", "case", "with"}.union(*WORDS.values())


def class_of(folder: str) -> str | None:
    """Say what the name of a folder tells of tumours: "yes", "no", or "unknown".

    None if it is not the name of a class.
    """
    words = set(text_words(folder)) - BESIDE  # a number is in none: glioma_01 is a person
    if not words or not words <= TUMOUR_CLASSES | HEALTHY_CLASSES | OTHER_CLASSES:
        return None
    if words & OTHER_CLASSES:
        return "unknown"
    return "no" if words & HEALTHY_CLASSES else "yes"


def label_of(path: PurePath) -> tuple[str, str]:
    """Give the class that a picture lies in, and whether that says that it shows a tumour.

    A person's folder within a class of tumours holds slices without tumour, too: then it is
    not known.

    Args:
        path: Of the picture, below the folder that is imported.
    """
    folders = path.parts[:-1]
    depth = _last(folders, lambda name: class_of(name) is not None)
    if depth is None:
        return "", "unknown"
    tumour = class_of(folders[depth]) or "unknown"
    below = [name for name in folders[depth + 1 :] if name.lower() not in NO_SUBJECTS]
    return folders[depth], "unknown" if tumour == "yes" and below else tumour


def person_in(path: PurePath, shared: Sequence[str]) -> tuple[str, str]:
    """Give the person and the visit that the folders of a picture name; "" where none does.

    That is the only folder below classes and the like; of several, the last, if all files lie
    in the others and its name holds a visit, as TCGA_CS_4941_19960909.

    Args:
        path: Of the picture, below the folder that is imported.
        shared: Folders that all pictures lie in.
    """
    folders = path.parts[:-1]
    above = _last(folders, lambda name: class_of(name) is not None or name.lower() in NO_SUBJECTS)
    below = folders[0 if above is None else above + 1 :]
    if not below:
        return "", ""
    person, visit = split_visit(below[-1])
    if len(below) == 1 or (visit and below[:-1] == tuple(shared[: len(below) - 1])):
        return person, visit
    return "", ""


def shared_folders(paths: Sequence[PurePath]) -> list[str]:
    """Give the folders, from the top, that all pictures lie in."""
    shared = []
    for names in zip(*(path.parts[:-1] for path in paths), strict=False):
        if len(set(names)) > 1:
            break
        shared.append(names[0])
    return shared


def _last(folders: Sequence[str], meets: Callable[[str], bool]) -> int | None:
    """Give the number of the last folder that meets a condition."""
    return max((number for number, name in enumerate(folders) if meets(name)), default=None)
