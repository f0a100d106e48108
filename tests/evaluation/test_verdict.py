"""Answers that a person acts on, from scores whose answer is known."""

import json

import pytest

from mrgantry.common.errors import DataError
from mrgantry.common.score import Score
from mrgantry.evaluation.verdict import (
    VERDICT_QUESTIONS,
    answer,
    read_verdicts,
    sentences,
    verdicts,
    write_verdicts,
)

TOLD_APART, LESS_VARIED, COPIES = VERDICT_QUESTIONS


def score(name, value, p, detectable, *, better="half", floor=0.5, features="pixels", people=27):
    return Score(
        name=name, features=features, synthetic="made", better=better, value=value,
        low=value - 0.05, high=value + 0.05, floor=floor, floor_low=floor - 0.1,
        floor_high=floor + 0.1, n_real=100, n_synthetic=100, method="made up", seed=0,
        real_fingerprint="a", synthetic_fingerprint="b", people=people, p=p, detectable=detectable,
        freedom=2.0 * people - 2,
    )  # fmt: skip


def test_one_measure_that_tells_is_enough():
    found = answer(
        TOLD_APART,
        [score("c2st_cnn_auc", 0.9, 1e-6, 0.65), score("c2st_low_pass_auc", 0.5, 0.5, 0.65)],
    )
    assert found.answer == "yes" and found.measure == "c2st_cnn_auc (pixels)"
    assert found.value == 0.9 and found.interval == (0.85, pytest.approx(0.95))
    assert found.people == 27 and found.p == pytest.approx(2e-6)


def test_several_measures_are_no_several_tries():
    """One p of 0.02 among three is what chance brings about (Holm)."""
    scores = [
        score("c2st_cnn_auc", 0.6, 0.02, 0.65),
        score("c2st_low_pass_auc", 0.5, 0.5, 0.65),
        score("c2st_logistic_auc", 0.5, 0.6, 0.62, features="brain-net"),
    ]
    assert answer(TOLD_APART, scores).answer == "no"
    assert answer(TOLD_APART, scores[:1]).answer == "yes"


def test_no_needs_the_power_to_have_seen_a_stated_effect():
    blunt = score("c2st_cnn_auc", 0.55, 0.3, 0.78, people=9)
    found = answer(TOLD_APART, [blunt])
    assert found.answer == "cannot tell" and found.detectable == 0.78 and found.people == 9
    sharp = score("c2st_logistic_auc", 0.52, 0.4, 0.66, features="brain-net")
    found = answer(TOLD_APART, [blunt, sharp])
    assert found.answer == "no" and found.measure == "c2st_logistic_auc (brain-net)"


def test_what_is_not_measured_cannot_be_told():
    nothing = answer(COPIES, [score("c2st_cnn_auc", 0.9, 1e-6, 0.6)])
    assert nothing.answer == "cannot tell" and nothing.value is None
    unknown = score("copying_ratio", 1.0, None, None, better="higher", floor=1.0)
    assert answer(COPIES, [unknown]).answer == "cannot tell"


def test_the_file_has_the_promised_form(tmp_path):
    scores = [
        score("c2st_cnn_auc", 0.9, 1e-6, 0.65),
        score("recall", 0.8, 0.6, 0.75, better="higher", floor=0.9, features="brain-net"),
        score("copying_ratio", 0.5, 1e-9, 0.9, better="higher", floor=1.0),
    ]
    write_verdicts(tmp_path, verdicts(scores))
    (found,) = json.loads((tmp_path / "verdict.json").read_text())["sets"]
    assert found["set"] == "made"
    assert [found[question.key]["answer"] for question in VERDICT_QUESTIONS] == ["yes", "no", "yes"]
    wanted = {"answer", "measure", "value", "interval", "people", "detectable"}
    assert all(wanted <= found[question.key].keys() for question in VERDICT_QUESTIONS)
    (again,) = read_verdicts(tmp_path)
    said = list(sentences(again))
    assert said[0].startswith("Can they be told from real images? Yes: C2ST, CNN: area 0.90")
    assert "With 27 people, 0.75 would have been noticed." in said[1]
    (tmp_path / "verdict.json").write_text("[]")
    with pytest.raises(DataError, match="does not hold verdicts"):
        read_verdicts(tmp_path)
