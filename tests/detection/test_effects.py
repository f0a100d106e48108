import numpy as np
import pytest
from scipy.stats import binom, norm, ttest_rel
from sklearn.metrics import brier_score_loss, roc_auc_score
from statsmodels.stats.multitest import multipletests

from mrgantry.common.errors import DataError
from mrgantry.common.statistics import holm
from mrgantry.detection.effects import (
    MEASURES,
    Answers,
    Truth,
    difference,
    estimate,
    judged,
    unpaired,
    verdict,
    youden,
)
from mrgantry.papers.han2018_pggan import PRINTED_DETECTION


def some_truth(random, subjects=12, each=8):
    """Every person has slices with a tumour and without."""
    label = np.tile(np.arange(each) % 2, subjects)
    areas = np.where(label == 1, random.uniform(50, 900, len(label)), 0)
    return Truth(label, np.repeat(np.arange(subjects), each), areas)


def some_answers(random, truth):
    """Answers in steps, so that some tie."""
    score = truth.label + random.normal(0, 1, len(truth.label))
    return Answers(norm.cdf(score - 0.5).round(1), threshold=0.35)


def value(name, truth, answers, weights=None):
    weights = np.ones((1, truth.subjects)) if weights is None else weights[None]
    return MEASURES[name].statistic(truth, answers)(weights)[0]


def test_measures_are_the_well_known_ones_also_with_weights():
    random = np.random.default_rng(0)
    truth = some_truth(random)
    answers = some_answers(random, truth)
    for weights in (np.ones(12), random.integers(0, 4, 12).astype(float)):
        each = weights[truth.subject]
        label, probability = truth.label, answers.probability
        expected = roc_auc_score(label, probability, sample_weight=each)
        assert value("auc", truth, answers, weights) == pytest.approx(expected)
        expected = brier_score_loss(label, probability, sample_weight=each)
        assert value("brier", truth, answers, weights) == pytest.approx(expected)
        for name, limit in (("", 0.5), ("_youden", 0.35)):
            said = probability >= limit
            for kind, rows in (
                ("accuracy", label >= 0),
                ("sensitivity", label == 1),
                ("specificity", label == 0),
            ):
                expected = np.average((said == (label == 1))[rows], weights=each[rows])
                assert value(kind + name, truth, answers, weights) == pytest.approx(expected)


def test_the_calibration_error_of_two_bins_by_hand():
    truth = Truth(np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1]), np.zeros(4))
    answers = Answers(np.array([0.12, 0.18, 1.0, 0.98]))
    # |0.15 - 0.5| of half the images, |0.99 - 1| of the other half.
    assert value("ece", truth, answers) == pytest.approx(0.18)


def test_sizes_are_thirds_of_the_tumours():
    areas = np.array([0, 60, 70, 300, 310, 800, 900.0])
    truth = Truth((areas > 0).astype(int), np.array([0, 0, 1, 1, 2, 2, 2]), areas)
    assert [truth.of_size(size).nonzero()[0].tolist() for size in ("small", "medium", "large")] == [
        [1, 2], [3, 4], [5, 6],
    ]  # fmt: skip
    answers = Answers(np.array([0, 0, 1, 0, 0, 1, 1.0]))
    found = [value(f"sensitivity_{size}", truth, answers) for size in ("small", "medium", "large")]
    assert found == [0.5, 0, 1]
    unknown = Truth(truth.label, truth.subject, np.full(7, np.nan))
    assert np.isnan(estimate(unknown, [answers], MEASURES["sensitivity_small"]).value)


def test_youden_takes_the_best_of_all_thresholds():
    random = np.random.default_rng(1)
    label = random.integers(0, 2, 60)
    probability = norm.cdf(label + random.normal(0, 1, 60) - 1.5).round(2)

    def index(threshold):
        said = probability >= threshold
        return said[label == 1].mean() - said[label == 0].mean()

    best = youden(probability, label)
    assert index(best) == pytest.approx(max(map(index, np.linspace(0, 1, 401))))
    assert youden(np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1])) == 0.5
    assert youden(np.array([0.3, 0.3]), np.array([0, 1])) == 0  # cannot be told apart


def test_holm_is_that_of_statsmodels():
    p = np.random.default_rng(2).uniform(0, 0.2, 9)
    assert holm(list(p)) == pytest.approx(multipletests(p, method="holm")[1])
    assert holm([]) == []


def test_with_one_seed_and_one_slice_a_person_it_is_the_paired_t_test():
    random = np.random.default_rng(3)
    truth = Truth(np.arange(30) % 2, np.arange(30), np.zeros(30))
    one, other = (Answers(random.uniform(0, 1, 30)) for _ in range(2))
    found = difference(truth, [one], [other], MEASURES["brier"])
    errors = [(answers.probability - truth.label) ** 2 for answers in (one, other)]
    expected = ttest_rel(*errors)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))


def simulated(random, gain=0.0, subjects=30, each=10, seeds=3, of_seed=0.4, of_person=0.0):
    """Two conditions whose persons are hard alike, with luck of seeds, persons and slices."""
    truth = Truth(
        np.tile(np.arange(each) % 2, subjects),
        np.repeat(np.arange(subjects), each),
        np.full(subjects * each, np.nan),
    )
    sign = 2 * truth.label - 1
    easy = 1.2 + random.normal(0, 0.8, subjects)[truth.subject] + random.normal(0, 0.5, len(sign))
    conditions = []
    for more in (gain, 0.0):
        own = easy + more + random.normal(0, of_person, subjects)[truth.subject]
        luck = random.normal(0, of_seed, seeds)
        conditions.append(
            [
                Answers(
                    norm.cdf(
                        sign
                        * (
                            own
                            + one
                            + random.normal(0, 0.2, subjects)[truth.subject]
                            + random.normal(0, 0.5, len(sign))
                        )
                    )
                )
                for one in luck
            ]
        )
    return truth, *conditions


@pytest.mark.parametrize(
    ("of_seed", "of_person"), [(0.06, 0.0), (0.03, 0.1), (0.0, 0.2), (0.03, 0.0)]
)
def test_the_rule_finds_nothing_in_nothing(of_seed, of_person):
    """Of 500 experiments without any effect, no more find one than 5 % and luck."""
    random = np.random.default_rng(8)
    runs, false = 500, 0
    for _ in range(runs):
        differences = (
            random.normal(0, of_seed, (1, 3))
            + random.normal(0, of_person, (30, 1))
            + random.normal(0, 0.1, (30, 3))
        )
        values = differences.mean(0)
        false += judged(values, differences - values).p < 0.05
    low, high = binom.ppf((0.005, 0.995), runs, 0.05)
    assert low <= false <= high


@pytest.mark.slow
@pytest.mark.parametrize(
    ("of_seed", "of_person", "at_least"),
    [(0.4, 0.0, True), (0.2, 0.2, True), (0.05, 0.5, False), (0.0, 0.0, False)],
)
def test_equal_conditions_differ_as_rarely_as_they_may(of_seed, of_person, at_least):
    """The same of classifiers' answers; where seeds are nearly alike, fewer find one."""
    random = np.random.default_rng(4)
    runs = 500
    false = 0
    for _ in range(runs):
        truth, one, other = simulated(random, of_seed=of_seed, of_person=of_person)
        false += difference(truth, one, other, MEASURES["accuracy"]).p < 0.05
    low, high = binom.ppf((0.005, 0.995), runs, 0.05)
    assert false <= high
    assert false >= low or not at_least


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "low", "high"), [(1, 0.4, 0.7), (2, 0.07, 0.2), (5, 0.0, 0.09)])
def test_fewer_than_three_seeds_err_too_often_for_a_verdict(seeds, low, high):
    random = np.random.default_rng(9)
    runs = [simulated(random, seeds=seeds) for _ in range(200)]
    false = [difference(*run, MEASURES["accuracy"]).p < 0.05 for run in runs]
    assert low <= np.mean(false) <= high


def test_a_real_gain_is_found_and_has_its_sign():
    random = np.random.default_rng(5)
    truth, one, other = simulated(random, gain=0.8, of_seed=0.1)
    for name, measure in MEASURES.items():
        if measure.compared and name != "ece":  # which need not fall as answers improve
            found = difference(truth, one, other, measure)
            assert (found.value > 0) == (measure.better == "higher"), name
            assert verdict(found.value, found.p, measure.better, 3) == "helps", name
    swapped = difference(truth, other, one, MEASURES["accuracy"])
    assert verdict(swapped.value, swapped.p, "higher", 3) == "hurts"
    assert verdict(swapped.value, 0.05, "higher", 3) == "not shown"
    assert verdict(swapped.value, 0.0, "higher", 2) == "too few seeds"


def test_equal_answers_show_nothing():
    random = np.random.default_rng(6)
    truth = some_truth(random)
    some = [some_answers(random, truth) for _ in range(2)]
    found = difference(truth, some, some, MEASURES["auc"])
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_the_interval_is_over_persons():
    """Ten slices of one person, all right or all wrong, are worth one."""
    random = np.random.default_rng(7)
    right = random.random(40) < 0.7
    truth = Truth(np.arange(40) % 2, np.arange(40), np.zeros(40))
    many = Truth(truth.label.repeat(10), truth.subject.repeat(10), np.zeros(400))
    said = np.where(right, truth.label, 1 - truth.label).astype(float)
    once = estimate(truth, [Answers(said)], MEASURES["accuracy"])
    tenfold = estimate(many, [Answers(said.repeat(10))], MEASURES["accuracy"])
    assert (once.low, once.high) == pytest.approx((tenfold.low, tenfold.high))
    assert once.high - once.low == pytest.approx(3.92 * right.std() / np.sqrt(40), rel=0.1)


@pytest.mark.parametrize("subjects", [5, 12, 40])
def test_intervals_of_scores_hold_the_truth(subjects):
    """Persons differ in how easy they are; of 400 samples 95 % hold what all persons would give."""
    random = np.random.default_rng(subjects)
    persons = np.repeat(np.arange(subjects), 20)
    truth = Truth(np.ones_like(persons), persons, np.zeros(len(persons)))
    share = norm.cdf(1 / np.sqrt(1 + 0.8**2))  # of slices right, over all persons
    held = 0
    for _ in range(400):
        easy = random.normal(1, 0.8, subjects)[truth.subject]
        said = (random.normal(0, 1, len(easy)) < easy).astype(float)
        found = estimate(truth, [Answers(said)], MEASURES["accuracy"])
        held += found.low <= share <= found.high
    assert 0.92 <= held / 400 <= 0.985


def test_where_all_are_right_the_interval_is_that_of_persons():
    truth = Truth(np.arange(24) % 2, np.arange(24) // 2, np.zeros(24))
    found = estimate(truth, [Answers(truth.label.astype(float))], MEASURES["accuracy"])
    assert (found.value, found.high) == (1, 1)
    assert found.low == pytest.approx(0.025 ** (1 / 12))
    wrong = estimate(truth, [Answers(1.0 - truth.label)], MEASURES["accuracy"])
    assert (wrong.low, wrong.value) == (0, 0) and wrong.high == pytest.approx(1 - 0.025 ** (1 / 12))
    assert np.isnan(estimate(truth, [Answers(np.ones(24))], MEASURES["ece"]).low)


def test_persons_who_are_all_alike_are_counted():
    """Two persons with the same gain are no proof; twelve are, as in a sign test."""
    for subjects, p in ((2, 0.5), (12, 2.0**-11)):
        truth = Truth(np.ones(subjects, int), np.arange(subjects), np.zeros(subjects))
        all_right, none_right = Answers(np.ones(subjects)), Answers(np.zeros(subjects))
        found = difference(truth, [all_right] * 3, [none_right] * 3, MEASURES["accuracy"])
        assert found.value == 1 and found.p == pytest.approx(p)


def test_one_person_alone_cannot_be_judged():
    truth = Truth(np.array([0, 1]), np.array([0, 0]), np.zeros(2))
    with pytest.raises(DataError, match="at least two test subjects"):
        difference(truth, [Answers(np.zeros(2))], [Answers(np.ones(2))], MEASURES["accuracy"])


def test_the_printed_table_agrees_with_its_counts():
    rows = {row.label: row for row in PRINTED_DETECTION.rows}
    assert [row.right for row in rows.values()] == [2393, 2410, 1648, 2420]
    for row in rows.values():
        assert row.n == 2657
        truth = np.repeat([1, 1, 0, 0], row.counts)
        said = np.repeat([1.0, 0.0, 1.0, 0.0], row.counts)
        of_table = Truth(truth, np.arange(2657) % 22, np.zeros(2657))
        printed = (row.accuracy, row.sensitivity, row.specificity)
        for name, shown, own in zip(MEASURES, printed, row.shares):
            assert round(100 * value(name, of_table, Answers(said)), 2) == shown == round(own, 2)
    gains = [
        unpaired(rows[one].right, rows[other].right, 2657)
        for one, other in PRINTED_DETECTION.compared
    ]
    assert [round(100 * x, 1) for x in gains[0]] == [0.4, -1.2, 1.9]
    assert [round(100 * x, 2) for x in gains[1]] == [1.02, -0.55, 2.59]
