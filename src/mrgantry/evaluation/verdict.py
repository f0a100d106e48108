"""One answer to each question that a person would act on.

Can the images be told from real ones, is variety missing, are there copies of training images?
Several measures look for each; they make one answer together. "Yes" where one of them finds more
than chance brings about (Holm over the measures, 2.5 % one-sided). "No" only where one of them
would have found a stated effect with a power of 80 % at the strictest of these levels, and its own
interval leaves no room for such an effect. Otherwise there were too few people, or too little is
known, and the answer is "cannot tell".
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Literal

from scipy import stats

from mrgantry.common.errors import DataError
from mrgantry.common.files import read_json, write_json
from mrgantry.common.frozen import Frozen
from mrgantry.common.score import Score
from mrgantry.common.statistics import holm
from mrgantry.evaluation.explained import title_of
from mrgantry.evaluation.measures.c2st import POWER

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


VERDICT_QUESTIONS = (
    Question(
        "told_apart",
        "Can they be told from real images?",
        ("c2st_cnn_auc", "c2st_low_pass_auc", "c2st_logistic_auc"),
        0.25,
        "an area under the curve of 0.75, as when three of four pairs are put in order rightly",
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
        detectable: The value that would have been told from real with a power of 80 %, by this
            score among all that look for the same; None where no value could have been.
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
    names = list(dict.fromkeys(score.synthetic for score in scores))
    return [
        SetVerdict(
            set=name,
            **{
                question.key: answer(
                    question, [score for score in scores if score.synthetic == name]
                )
                for question in VERDICT_QUESTIONS
            },
        )
        for name in names
    ]


def answer(question: Question, scores: Sequence[Score]) -> Verdict:
    """Put the measures that look for one thing together."""
    usable = [score for score in scores if score.name in question.measures and _known(score)]
    if not usable:
        return Verdict(
            answer="cannot tell", people=max((score.people for score in scores), default=0)
        )
    adjusted = holm([score.p for score in usable if score.p is not None])
    significant = [place for place, p in enumerate(adjusted) if p < LEVEL]
    if significant:
        plainest = max(significant, key=lambda place: _excess(usable[place]))
        return _verdict("yes", usable[plainest], adjusted[plainest], len(usable))
    place = min(range(len(usable)), key=lambda place: _reach(usable[place], len(usable)))
    sharpest = usable[place]
    worst = sharpest.low if sharpest.better in ("higher", "enough") else sharpest.high
    powerful = _reach(sharpest, len(usable)) <= question.effect
    beside = abs(worst - sharpest.chance) <= question.effect
    said: Answer = "no" if powerful and beside else "cannot tell"
    return _verdict(said, sharpest, adjusted[place], len(usable))


def _known(score: Score) -> bool:
    """Say whether a score is a number, and what chance does to it is known."""
    numbers = (
        score.value,
        score.low,
        score.high,
        score.floor,
        score.p,
        score.detectable,
        score.freedom,
    )
    return all(number is not None and isfinite(number) for number in numbers)


def _reach(score: Score, measures: int) -> float:
    """Say how far from chance a value must lie to be noticed as one of several measures."""
    if score.detectable is None or score.freedom is None:
        return float("inf")
    power = stats.t.ppf(POWER, score.freedom)
    alone, among = (stats.t.ppf(1 - LEVEL / n, score.freedom) + power for n in (1, measures))
    if score.detectable >= 1 > score.chance and score.better == "half":
        return float("inf")  # more than can be
    return float(abs(score.detectable - score.chance) * among / alone)


def _excess(score: Score) -> float:
    return abs(score.value - score.chance)


def _verdict(said: Answer, score: Score, p: float, measures: int) -> Verdict:
    sign = -1 if score.better in ("higher", "enough") else 1
    noticed = score.chance + sign * _reach(score, measures)
    possible = isfinite(noticed) and noticed >= 0 and (score.better != "half" or noticed <= 1)
    return Verdict(
        answer=said,
        measure=f"{score.name} ({score.features})",
        value=score.value,
        interval=(score.low, score.high),
        real=score.floor,
        people=score.people,
        detectable=noticed if possible else None,
        p=p,
    )


def sentences(set_verdict: SetVerdict) -> Iterator[str]:
    """Say the answers for one set in words."""
    for question in VERDICT_QUESTIONS:
        verdict: Verdict = getattr(set_verdict, question.key)
        yield f"{question.text} {verdict.answer.capitalize()}{reason(question, verdict)}"


def reason(question: Question, verdict: Verdict) -> str:
    """Say what an answer rests on, from a colon on."""
    if verdict.value is None or verdict.interval is None:
        return (
            ": Nothing here measures it, as where images are compared with training people; scores "
            "of an older version must be computed again."
        )
    low, high = verdict.interval
    real = "" if verdict.real is None else f"; real images {verdict.real:.2f}"
    name, _, features = verdict.measure.removesuffix(")").partition(" (")
    said = f": {title_of(name, features)} {verdict.value:.2f} ({low:.2f} to {high:.2f}{real})."
    if verdict.answer == "yes":
        return said
    if verdict.detectable is None:
        return f"{said} With {verdict.people} people nothing could have been noticed."
    said += f" With {verdict.people} people, {verdict.detectable:.2f} would have been noticed"
    if verdict.answer == "cannot tell":
        said += f"; to say no, {question.effect_text} must have been"
    return f"{said}."


def write_verdicts(folder: Path, sets: Sequence[SetVerdict]) -> None:
    """Write `verdict.json`."""
    write_json(folder / "verdict.json", {"sets": [verdict.model_dump() for verdict in sets]})


def read_verdicts(folder: Path) -> list[SetVerdict]:
    """Read the verdicts of a folder of scores.

    Raises:
        DataError: There are none.
        RecipeError: They are not as this version writes them.
    """
    path = folder / "verdict.json"
    values: Any = read_json(path)
    if not isinstance(values, dict) or not isinstance(values.get("sets"), list):
        raise DataError(f"{path} does not hold verdicts; run evaluate again.")
    return [SetVerdict.of(verdict, f"verdict in {path}") for verdict in values["sets"]]
