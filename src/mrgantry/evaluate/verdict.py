"""One answer to each question that a person would act on.

Can the images be told from real ones, is variety missing, are there copies of training images?
Several measures look for each; they make one answer together. "Yes" where one of them finds more
than chance brings about (Holm over the measures, 2.5 % one-sided). "No" only where one of them
would have found a stated effect with a power of 80 %. Otherwise there were too few people, or
too little is known, and the answer is "cannot tell".
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mrgantry.common.errors import DataError
from mrgantry.common.files import read_json, write_json
from mrgantry.common.frozen import Frozen
from mrgantry.common.score import Score
from mrgantry.common.statistics import holm
from mrgantry.evaluate.explained import title_of

Answer = Literal["yes", "no", "cannot tell"]
LEVEL = 0.025  # one-sided


@dataclass(frozen=True)
class Question:
    """What is asked of a set.

    Attributes:
        key: Its name in `verdict.json`.
        text: The question.
        measures: Names of the scores that look for it.
        effect: How strong it must be to count: a score that differs by so much from what real
            images score (of the area under the curve, from 0.5).
        effect_text: The same in words.
    """

    key: str
    text: str
    measures: tuple[str, ...]
    effect: float
    effect_text: str


QUESTIONS = (
    Question(
        "told_apart",
        "Can they be told from real images?",
        ("c2st_cnn_auc", "c2st_low_pass_auc", "c2st_logistic_auc"),
        0.2,
        "an area under the curve of 0.70, as when seven of ten pairs are put in order rightly",
    ),
    Question(
        "less_varied",
        "Is variety missing?",
        ("recall", "coverage"),
        0.2,
        "a fifth of the real images out of reach",
    ),
    Question(
        "copies",
        "Are there copies of training images?",
        ("copying_ratio", "copying_ratio_rare"),
        0.25,
        "images a quarter nearer to training images than other people are",
    ),
)


class Verdict(Frozen):
    """The answer to one question, with the score that it rests on.

    Attributes:
        answer: "yes", "no" or "cannot tell".
        measure: The score that speaks most clearly, with its features in brackets; "" for none.
        value: What it is.
        interval: Its 95 % interval.
        real: What real images score.
        people: How many real people were compared with.
        detectable: The value that would have been told from real with a power of 80 %.
        p: Probability by chance, after Holm over the measures.
    """

    answer: Answer
    measure: str = ""
    value: float | None = None
    interval: tuple[float, float] | None = None
    real: float | None = None
    people: int = 0
    detectable: float | None = None
    p: float | None = None


class SetVerdict(Frozen):
    """All answers for one set.

    Attributes:
        set: Its name.
        told_apart: Whether it can be told from real images.
        less_varied: Whether variety is missing.
        copies: Whether there are copies of training images.
    """

    set: str
    told_apart: Verdict
    less_varied: Verdict
    copies: Verdict


def verdicts(scores: Sequence[Score]) -> list[SetVerdict]:
    """Answer all questions for every set."""
    names = list(dict.fromkeys(one.synthetic for one in scores))
    return [
        SetVerdict(
            set=name,
            **{
                question.key: answer(question, [one for one in scores if one.synthetic == name])
                for question in QUESTIONS
            },
        )
        for name in names
    ]


def answer(question: Question, scores: Sequence[Score]) -> Verdict:
    """Put the measures that look for one thing together."""
    some = [one for one in scores if one.name in question.measures and one.p is not None]
    if not some:
        return Verdict(answer="cannot tell", people=max((one.people for one in scores), default=0))
    adjusted = holm([one.p for one in some if one.p is not None])
    found = [place for place, p in enumerate(adjusted) if p < LEVEL]
    if found:
        plainest = max(found, key=lambda place: _excess(some[place]))
        return _verdict("yes", some[plainest], adjusted[plainest])
    sharpest = min(some, key=_reach)
    place = some.index(sharpest)
    powerful = _reach(sharpest) <= question.effect
    return _verdict("no" if powerful else "cannot tell", sharpest, adjusted[place])


def _reach(one: Score) -> float:
    """Say how far from what real images score a value must lie to be noticed."""
    usual = 0.5 if one.better == "half" else one.floor
    return abs(one.detectable - usual) if one.detectable is not None else float("inf")


def _excess(one: Score) -> float:
    usual = 0.5 if one.better == "half" else one.floor
    return abs(one.value - usual)


def _verdict(said: Answer, one: Score, p: float) -> Verdict:
    return Verdict(
        answer=said,
        measure=f"{one.name} ({one.features})",
        value=one.value,
        interval=(one.low, one.high),
        real=one.floor,
        people=one.people,
        detectable=one.detectable,
        p=p,
    )


def sentences(one: SetVerdict) -> Iterator[str]:
    """Say the answers for one set in words."""
    for question in QUESTIONS:
        found: Verdict = getattr(one, question.key)
        yield f"{question.text} {found.answer.capitalize()}{reason(question, found)}"


def reason(question: Question, found: Verdict) -> str:
    """Say what an answer rests on, from a colon on."""
    if found.value is None or found.interval is None:
        return ": nothing here measures it."
    low, high = found.interval
    real = "" if found.real is None else f"; real images {found.real:.2f}"
    name, _, features = found.measure.removesuffix(")").partition(" (")
    said = f": {title_of(name, features)} {found.value:.2f} ({low:.2f} to {high:.2f}{real})."
    if found.answer != "yes" and found.detectable is not None:
        missing = found.answer == "cannot tell"
        said += (
            f" With {found.people} people, {found.detectable:.2f} would have been noticed"
            f"{f'; that is more than {question.effect_text}' if missing else ''}."
        )
    return said


def write_verdicts(folder: Path, found: Sequence[SetVerdict]) -> None:
    """Write `verdict.json`."""
    write_json(folder / "verdict.json", {"sets": [one.model_dump() for one in found]})


def read_verdicts(folder: Path) -> list[SetVerdict]:
    """Read the verdicts of a folder of scores.

    Raises:
        DataError: There are none, or not as this version writes them.
    """
    path = folder / "verdict.json"
    values: Any = read_json(path)
    if not isinstance(values, dict) or not isinstance(values.get("sets"), list):
        raise DataError(f"{path} does not hold verdicts; run evaluate again.")
    return [SetVerdict.of(one, f"verdict in {path}") for one in values["sets"]]
