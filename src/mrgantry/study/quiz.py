"""One HTML file in which anybody can guess which images are real, with an answer key.

Kazuhiro et al. 2018 (Tomography 4:159) print such a grid of numbered images as figure 1B. This is
no blinded study: the answers are in the file.
"""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from mrgantry.common.errors import DataError
from mrgantry.common.files import fingerprint, write_text
from mrgantry.common.templates import fill_in
from mrgantry.common.version import VERSION
from mrgantry.study.cases.shown import png
from mrgantry.study.protocol import Question

TAKEN = "rtn"  # keys of the other answers


@dataclass(frozen=True, eq=False)
class QuizCase:
    """One image of a quiz.

    Attributes:
        image: Grey values as shown.
        truth: Whether a scanner or a generator made it.
        tumour: Whether it shows a tumour; empty where that is not known.
        sequence: Printed beside the number; empty prints nothing.
    """

    image: UInt8[np.ndarray, "h w"]
    truth: Literal["real", "synthetic"]
    tumour: Literal["yes", "no", ""] = ""
    sequence: str = ""


@dataclass(frozen=True)
class Choice:
    """One of the two answers to a question.

    Attributes:
        value: As in `QuizCase`.
        label: As printed on the button.
        key: The key that gives it.
    """

    value: str
    label: str
    key: str


def quiz(
    out: Path,
    cases: Sequence[QuizCase],
    title: str = "Real or synthetic?",
    lead: str = "",
    *,
    questions: Sequence[Question] = ("truth",),
    synthetic_word: str = "synthetic",
    simulated: bool = False,
) -> None:
    """Write a quiz as one HTML file that loads nothing from elsewhere.

    The page asks about each image and, when asked for, gives the truth, the score with Wilson
    intervals, and what it means. Printed, it is a grid, an answer sheet, and the key on its
    own last page. The truth is hidden from a glance at the source, and from nobody who tries.

    Args:
        out: The HTML file.
        cases: The images, in the order in which they are numbered.
        title: Heading of the page.
        lead: What the reader is told; by default, what the questions are.
        questions: "truth", "tumour" or both.
        synthetic_word: What synthetic images are called.
        simulated: Whether anything stems from simulated scans, which the page then says.

    Raises:
        DataError: There are no cases or questions, the images differ in size, or the truth
            about tumours is missing and asked for.

    Source: Kazuhiro et al. 2018, figure 1B.
    """
    _check(cases, questions)
    pictures = [png(case.image) for case in cases]
    values = {
        "version": VERSION,
        "title": title,
        "lead": lead or _lead(questions, synthetic_word),
        "pictures": [base64.b64encode(picture).decode() for picture in pictures],
        "sequences": [case.sequence for case in cases],
        "choices": {question: _choices(question, synthetic_word) for question in questions},
        "height": cases[0].image.shape[0],
        "width": cases[0].image.shape[1],
        "word": synthetic_word,
        "truth": hidden(cases),
        "mark": fingerprint([title, *questions, *pictures]),
        "simulated": simulated,
    }
    write_text(out, fill_in("study/server/pages", "quiz.html", values))


def hidden(cases: Iterable[QuizCase]) -> str:
    """Write the truth so that a glance does not tell it; the page knows how to undo it.

    A byte a case: bit 0 says real, bit 1 says tumour, and a pattern that changes with the
    place is laid over it. It is a curtain, not a lock.
    """
    bits = [(case.truth == "real") + 2 * (case.tumour == "yes") for case in cases]
    return base64.b64encode(
        bytes(bit ^ (73 * place + 41) % 256 for place, bit in enumerate(bits))
    ).decode()


def _choices(question: Question, word: str) -> tuple[Choice, Choice]:
    """Give both answers to a question, the positive one first."""
    if question == "tumour":
        return Choice("yes", "Tumour", "t"), Choice("no", "No tumour", "n")
    key = next((letter for letter in word.lower() if letter not in TAKEN), "s")
    return Choice("real", "Real", "r"), Choice("synthetic", word.capitalize(), key)


def _lead(questions: Sequence[Question], word: str) -> str:
    asked = {
        "truth": f"which of these images are real, and which are {word}",
        "tumour": "which show a tumour",
    }
    text = ", and ".join(asked[question] for question in questions)
    return f"Say {text}. Take your time; the answers come at the end."


def _check(cases: Sequence[QuizCase], questions: Sequence[Question]) -> None:
    """Refuse what makes no quiz."""
    if not cases or not questions:
        raise DataError("A quiz needs at least one image and one question.")
    sizes = {case.image.shape for case in cases}
    if len(sizes) > 1:
        shapes = ", ".join(f"{h} x {w}" for h, w in sorted(sizes))
        raise DataError(
            f"The images of a quiz differ in size ({shapes}), which can tell real from synthetic; "
            "give all one size."
        )
    unlabelled = [number for number, case in enumerate(cases, 1) if not case.tumour]
    if "tumour" in questions and unlabelled:
        raise DataError(
            f"The quiz asks about tumours, but of {len(unlabelled)} images (first: number "
            f"{unlabelled[0]}) it is not known whether they show one; leave those or the question "
            "out."
        )
