"""What every column of `answers.csv` means, in what unit, and which values it takes."""

from collections.abc import Iterator
from typing import NamedTuple

from mrgantry.study.protocol import Protocol
from mrgantry.study.statistics.readings import COLUMNS


class CodebookRow(NamedTuple):
    """A column of `answers.csv`.

    Attributes:
        column: Its name.
        meaning: In a sentence.
        unit: Of numbers; empty for words.
        values: That it takes.
    """

    column: str
    meaning: str
    unit: str
    values: str


def codebook(protocol: Protocol) -> Iterator[CodebookRow]:
    """Describe the columns of `answers.csv`, in their order.

    Args:
        protocol: Of the study; what it does not ask is said to be empty.
    """
    meanings = _meanings(protocol)
    for column in COLUMNS:
        yield CodebookRow(column, *meanings[column])


def _meanings(protocol: Protocol) -> dict[str, tuple[str, str, str]]:
    """Give meaning, unit and values by column."""
    undecided = ["unknown (cannot tell)"] if protocol.unknown else []
    undecided += ["none (not in time)"] if protocol.late == "no answer" else []
    said = "; ".join([*protocol.alternatives, *undecided])
    tumours = "; ".join(["yes", "no", *undecided]) if "tumour" in protocol.questions else ""
    limit = f"{protocol.seconds:g} s" if protocol.seconds else "no limit"
    return {
        "reader": ("Who answered, as named when the study was made.", "", "names"),
        "group": ("Group of the reader.", "", "names; empty: none"),
        "years": ("Experience of the reader.", "years", "0 to 100; empty: not stated"),
        "block": ("Comparison of one set of real with synthetic images.", "", "names"),
        "position": (
            "Place of the image in what this reader read, practice included.",
            "",
            "whole numbers from 1",
        ),
        "case": ("Image; the same for all readers who saw it.", "", "random identifiers"),
        "use": (
            "What the answer is used for.",
            "",
            "counts: in all rates; again: the image was shown a second time, and only agreement "
            "with oneself uses it; check: an attention check, which is in no rate",
        ),
        "truth": (
            "Of the pair, the side of the real image, by the key; also of an attention check."
            if protocol.pairs
            else "What the image is, by the key; of an attention check the answer expected.",
            "",
            "; ".join(protocol.alternatives),
        ),
        "answer": (
            "The side of the image that the reader called real."
            if protocol.pairs
            else "What the reader called the image.",
            "",
            said,
        ),
        "tumour": (
            "Whether the image shows a tumour, by its set.",
            "",
            "yes; no; unclear (too small to count); empty: not known",
        ),
        "tumour_answer": (
            "Whether the reader saw a tumour.",
            "",
            tumours or "empty: the protocol does not ask",
        ),
        "confidence": (
            "How sure the reader was.",
            "",
            "1 (least) to 5 (most); empty: none was given"
            if protocol.confidence
            else "empty: the protocol does not ask",
        ),
        "reason": (
            "The reader's reason.",
            "",
            "free text; a first sign that a spreadsheet would take for a formula follows a '"
            if protocol.reason
            else "empty: the protocol does not ask",
        ),
        "response_s": (
            "From the image on the screen to the answer, less pauses, by the reader's browser; by "
            "the server where the browser's time does not fit the server's.",
            "seconds",
            "above 0",
        ),
        "server_s": (
            "From the beginning of the image's time to the answer, by the server.",
            "seconds",
            "above 0",
        ),
        "late": (f"Whether the answer came after the time allowed ({limit}).", "", "True; False"),
        "waited_s": (
            "From the sending of the image to its being on the screen; long where the connection "
            "was lost.",
            "seconds",
            "0 and more",
        ),
        "sent": ("How often the image was sent to the reader.", "times", "whole numbers from 1"),
        "answered": (
            "When the answer reached the server.",
            "seconds since 1970-01-01 00:00 UTC",
            "numbers",
        ),
        "sequence": ("MR sequence of the image.", "", "t1; t1c; t2; flair; others; empty: unknown"),
        "subject": (
            "Person whom a real image shows, as named in its set.",
            "",
            "names; empty: a synthetic image or an attention check",
        ),
        "set": (
            "Folder of the set of slices that the image is from.",
            "",
            "names; attention check: a real image whose pieces were shuffled",
        ),
        "slice": ("Identifier of the image in its set.", "", "identifiers"),
    }
