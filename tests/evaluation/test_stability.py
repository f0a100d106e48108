"""Whether a training has held: by its losses and the variety of its images."""

import pytest

from mrgantry.common.score import Score
from mrgantry.evaluation.stability import judge_stability


def delta(value, floor=16.0):
    return Score(
        "delta", "pixels", "net", "real", value, value, value, floor, floor, floor, 30, 30,
        "made up", 0, "", "",
    )  # fmt: skip


def log(*losses, name="generator_loss"):
    return [{"images": 64 * place, name: loss} for place, loss in enumerate(losses)]


def verdict(failed="", rows=(), scores=()):
    return judge_stability(failed, rows, scores).verdict


def test_a_training_that_stopped_at_a_nan_has_diverged():
    found = judge_stability("critic_loss became nan.", [], [delta(16)])
    assert (found.verdict, found.why) == ("diverged", "critic_loss became nan.")


@pytest.mark.parametrize(("value", "word"), [(16, "holds"), (8, "holds"), (7.9, "collapsed")])
def test_few_directions_are_a_collapse(value, word):
    found = judge_stability("", [], [delta(value)])
    assert found.verdict == word and "against 16 of real images" in found.why


@pytest.mark.parametrize("name", ["generator_loss", "critic_loss"])
def test_growing_losses_are_a_divergence_though_no_number_is_nan(name):
    assert verdict(rows=log(*[2] * 27, 30, 30, 30, name=name), scores=[delta(16)]) == "diverged"
    assert verdict(rows=log(*[2] * 27, 19, 19, 19, name=name), scores=[delta(16)]) == "holds"
    # A Wasserstein loss begins near 0: growing from there to a few is no divergence.
    assert verdict(rows=log(*[0.01] * 27, 5, 5, 5, name=name), scores=[delta(16)]) == "holds"
    assert verdict(rows=log(*[-2] * 27, -30, -30, -30, name=name)) == "diverged"


def test_a_single_high_loss_and_a_short_log_say_nothing():
    assert verdict(rows=log(*[2] * 29, 100), scores=[delta(16)]) == "holds"
    assert verdict(rows=log(2, 2, 100), scores=[delta(16)]) == "holds"


def test_without_scores_variety_is_not_judged():
    assert verdict() == "not judged"
