"""Classifier two-sample tests: known answers, and how often they are wrong."""

from functools import partial

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from conftest import blobs
from mrgantry.evaluation.cloud import Cloud
from mrgantry.evaluation.extractors.features import flat
from mrgantry.evaluation.measures import c2st
from mrgantry.evaluation.measures.c2st import (
    FOLDS,
    TwoSampleTrial,
    accuracy_of,
    area_of,
    control_of,
    folds_of,
    judge_fold,
    put_together,
    spread,
    trial_of,
)
from mrgantry.evaluation.measures.classifiers import logistic, network, pixels_of, small_pixels_of

quick = partial(network, most_steps=100)


def cloud(count=80, seed=0, people=16, size=16, shift=0.0):
    images = np.clip(blobs(count, size, seed) + np.float16(shift), -1, 1).astype(np.float16)
    subjects = np.array([f"{seed}-{row % people:02d}" for row in range(count)])
    return Cloud(images, subjects, {"flat": flat(images).astype(np.float64)})


def nobody():
    return cloud(4).take(np.zeros(4, bool))


def flat_of(cloud):
    return cloud.features["flat"]


def told(real, other, inputs, learner, seed=0):
    trial = TwoSampleTrial(real, other, nobody(), seed)
    return put_together(trial, [judge_fold(trial, k, inputs, learner) for k in range(FOLDS)])


@pytest.mark.parametrize(
    ("inputs", "learner"),
    [(flat_of, logistic), (pixels_of, quick), (small_pixels_of, quick)],
    ids=["logistic", "network", "small images"],
)
def test_separable_sets_are_told_apart_and_the_interval_says_so(inputs, learner):
    found = told(cloud(), cloud(seed=1, shift=0.5), inputs, learner)
    assert found.area > 0.97 < found.accuracy
    assert area_of(found).interval()[0] > 0.9
    assert area_of(found).p_above() < 1e-6


def test_one_population_is_told_apart_as_often_as_chance_brings_it_about():
    """A one-sided test at 2.5 %: 5 of 200 are expected, and 16 are as good as excluded."""
    p = []
    for seed in range(200):
        pair = cloud(48, 2 * seed, 12), cloud(48, 2 * seed + 1, 12)
        p.append(area_of(told(*pair, flat_of, logistic, seed)).p_above())
    assert sum(value < 0.025 for value in p) <= 16
    assert 0.3 < np.mean(p) < 0.75


def test_the_area_is_that_of_scikit_learn_where_there_is_one_fold(monkeypatch):
    real, other = cloud(30), cloud(30, seed=1)
    random = np.random.default_rng(0)
    logits = random.standard_normal(60) + np.repeat([0.7, 0.0], 30)
    monkeypatch.setattr(c2st, "FOLDS", 1)
    found = put_together(TwoSampleTrial(real, other, nobody(), 0), [logits])
    assert found.area == pytest.approx(roc_auc_score(np.repeat([1, 0], 30), logits), abs=1e-6)
    assert found.accuracy == pytest.approx(
        ((logits[:30] > 0).mean() + (logits[30:] <= 0).mean()) / 2
    )


def test_the_interval_counts_people_and_not_their_slices(monkeypatch):
    """Ten equal slices of each person know no more than one does."""
    monkeypatch.setattr(c2st, "FOLDS", 1)
    random = np.random.default_rng(0)
    one_each = [cloud(20, seed, 20) for seed in (0, 1)]
    logits = random.standard_normal(40) + np.repeat([1.0, 0.0], 20)
    once = put_together(TwoSampleTrial(*one_each, nobody(), 0), [logits])
    ten_each = [side.take(np.repeat(np.arange(20), 10)) for side in one_each]
    often = put_together(TwoSampleTrial(*ten_each, nobody(), 0), [np.repeat(logits, 10)])
    for estimate_of in (area_of, accuracy_of):
        assert estimate_of(often).value == pytest.approx(estimate_of(once).value)
        assert estimate_of(often).error == pytest.approx(estimate_of(once).error)


def test_the_error_is_what_the_people_scatter(monkeypatch):
    """Over many draws of people, the stated error is the spread of the areas."""
    monkeypatch.setattr(c2st, "FOLDS", 1)
    monkeypatch.setattr(c2st, "DEPENDENCE", 1)  # nothing is learnt here
    random = np.random.default_rng(1)
    found = []
    for _ in range(300):
        people = [random.standard_normal(15) + shift for shift in (0.8, 0.0)]
        slices = [np.repeat(of, 6) + 0.7 * random.standard_normal(90) for of in people]
        sides = [cloud(90, seed, 15) for seed in (0, 1)]
        order = [np.argsort(side.subjects, kind="stable") for side in sides]
        logits = [np.empty(90), np.empty(90)]
        for side in (0, 1):
            logits[side][order[side]] = slices[side]
        said = put_together(TwoSampleTrial(*sides, nobody(), 0), [np.concatenate(logits)])
        found.append(area_of(said))
    spread_of_areas = np.std([one.value for one in found])
    assert np.mean([one.error for one in found]) == pytest.approx(spread_of_areas, rel=0.2)
    truth = np.mean([one.value for one in found])
    covered = np.mean([one.interval()[0] <= truth <= one.interval()[1] for one in found])
    assert covered > 0.9


def test_people_are_held_out():
    """Slices of a person that are all the same give nothing away about other people."""
    images = np.repeat(blobs(16), 10, 0)
    people = np.repeat([f"s{i}" for i in range(16)], 10)
    rows = flat(images).astype(np.float64)
    sides = [Cloud(images[p], people[p], {"flat": rows[p]}) for p in np.split(np.arange(160), 2)]
    assert told(*sides, flat_of, logistic).area < 0.9
    for side in sides:
        folds = folds_of(side, 0)
        assert all(len(set(folds[side.subjects == name])) == 1 for name in set(side.subjects))


def test_real_people_who_are_not_judged_are_learnt_from():
    real, other, extra = cloud(40), cloud(40, 1), cloud(60, 2)
    seen = []

    def learner(lesson):
        seen.append(lesson)
        return np.zeros(len(lesson.judged))

    judge_fold(TwoSampleTrial(real, other, extra, 0), 0, pixels_of, learner)
    (lesson,) = seen
    assert lesson.real.sum() == 60 + (folds_of(real, 0) != 0).sum()
    assert len(set(lesson.people)) == len(set(extra.subjects)) + 12 + 12


def test_a_control_has_as_many_people_and_images_as_the_trial():
    trial = trial_of(cloud(40, people=8), cloud(300, 1, people=300), cloud(120, 2, people=20), 0)
    control = control_of(trial, 0)
    assert len(trial.real) == len(trial.other) == len(control.real) == len(control.other) == 40
    assert len(set(control.other.subjects)) == len(set(control.real.subjects)) == 8
    assert not set(control.other.subjects) & set(control.extra.subjects)
    few = trial_of(cloud(40, people=8), cloud(300, 1, people=300), cloud(10, 2, people=3), 0)
    assert control_of(few, 0) is None


def test_images_are_taken_evenly_from_all_people():
    whole = cloud(100, people=10)
    some = spread(whole, 30, np.random.default_rng(0))
    assert [(some.subjects == name).sum() for name in set(whole.subjects)] == [3] * 10


def test_fine_texture_is_seen_by_one_network_and_not_by_the_other():
    plain, other = cloud(120, people=40), cloud(120, seed=1, people=40)
    board = np.where(np.indices((16, 16)).sum(0) % 2, 0.2, -0.2).astype(np.float16)
    checkered = Cloud(other.images + board, other.subjects, other.features)
    assert told(plain, checkered, pixels_of, quick).area > 0.95
    assert told(plain, checkered, small_pixels_of, quick).area < 0.8


def test_large_images_are_looked_at_in_patches():
    plain, other = cloud(60, 0, 60, 128), cloud(60, 1, 60, 128)
    board = np.where(np.indices((128, 128)).sum(0) % 2, 0.2, -0.2).astype(np.float16)
    board[:64] = 0  # in half of the patches alone
    checkered = Cloud(other.images + board, other.subjects, {})
    assert told(plain, checkered, pixels_of, quick).area > 0.9


def test_replicates_of_two_sets_share_their_real_people():
    """What the choice of real people brings about cancels in a difference."""
    random = np.random.default_rng(0)
    real, others = random.standard_normal(20) / 20, random.standard_normal((2, 500)) / 5000
    found = [
        np.array(c2st.replicates(0.7, real, other, (3, side))) for side, other in enumerate(others)
    ]
    assert np.std(found[0] - found[1]) < 0.2 * np.std(found[0])


def test_what_could_have_been_noticed_shrinks_with_people():
    detectable = []
    for people in (8, 32):
        random = np.random.default_rng(0)
        found = c2st.PeopleEstimate(0.5, 0.29 / np.sqrt(people), 2 * people - 2)
        detectable.append(found.detectable())
        truth, steps = found.detectable(), []
        for _ in range(2000):
            steps.append(c2st.PeopleEstimate(random.normal(truth, found.error), found.error, 1e6))
        noticed = np.mean([step.value - 0.5 > found.detectable(0.5) - 0.5 for step in steps])
        assert noticed == pytest.approx(0.8, abs=0.05)
    assert detectable[1] < detectable[0] <= 1
