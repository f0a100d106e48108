"""The statistics of the reader study return what papers print and what can be worked by hand."""

from math import comb

import krippendorff
import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, norm
from sklearn.metrics import roc_auc_score
from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa
from statsmodels.stats.multitest import multipletests

from answers import answers_of, read_by, tumour_answers
from mrgantry.common.errors import RecipeError
from mrgantry.papers import han2018, han2018_pggan, kazuhiro2018
from mrgantry.study.statistics.analysis import analyse
from mrgantry.study.statistics.concordance import alpha, fleiss
from mrgantry.study.statistics.contrasts import block_differences, paired, unpaired
from mrgantry.study.statistics.measured import Confusion
from mrgantry.study.statistics.mrmc import panel
from mrgantry.study.statistics.population import Population, draw_reading
from mrgantry.study.statistics.proportions import (
    balanced_accuracy,
    chance_test,
    corrected,
    equivalence,
    holm,
    least_n,
    power,
    proportion,
)
from mrgantry.study.statistics.signal_detection import auc_interval, detection, roc

HAN = pd.concat(
    [answers_of(row.counts, block=row.label) for row in han2018.PRINTED.rows], ignore_index=True
)
# The denominators are unknown: 100 images of each class give the printed rates.
KAZUHIRO = pd.concat(
    [
        answers_of(row.counts, reader=row.label, group=row.group, cases=row.label)
        for row in kazuhiro2018.PRINTED.rows
    ],
    ignore_index=True,
)


def table(*counts):
    return Confusion(**dict(zip(("rr", "rs", "sr", "ss"), counts)))


@pytest.fixture(scope="module")
def han():
    return analyse(HAN, draws=200)


@pytest.fixture(scope="module")
def kazuhiro():
    return analyse(KAZUHIRO, draws=400)


class TestPapers:
    def test_han2018_accuracies_are_those_printed(self, han):
        blocks = {reading.block: reading for reading in han.readings if reading.block}
        assert len(blocks) == 12
        for row in han2018.PRINTED.rows:
            assert blocks[row.label].accuracy.value == row.accuracy
            assert blocks[row.label].accuracy.n == 100
            found = blocks[row.label].confusion
            assert (found.rr, found.rs, found.sr, found.ss) == row.counts

    def test_han2018_hides_bias_behind_accuracy(self, han):
        whole = next(reading for reading in han.readings if reading.block == "")
        assert (whole.confusion.rs, whole.confusion.sr, whole.confusion.real) == (352, 100, 600)
        t1 = next(reading for reading in han.readings if reading.block == "T1 DCGAN 128")
        assert t1.detection.d_prime.value == pytest.approx(1.19, abs=0.005)
        assert t1.detection.criterion.value == pytest.approx(0.54, abs=0.005)
        assert (t1.fool_rate.value, t1.real_recall.value) == (0.12, 0.52)

    def test_no_row_of_han2018_passes_equivalence(self, han):
        blocks = [reading for reading in han.readings if reading.block]
        assert not any(block.equivalence.verdict == "pass" for block in blocks)
        assert {block.block: block.equivalence.verdict for block in blocks}[
            "T1 DCGAN 128"
        ] == "fail"
        low = next(block for block in blocks if block.block == "Concat WGAN 64")
        assert low.accuracy.value == 0.53 and low.equivalence.verdict == "inconclusive"

    def test_han2018_pggan(self):
        (row,) = han2018_pggan.PRINTED.rows
        (found,) = analyse(answers_of(row.counts), draws=50).readings
        assert found.accuracy.value == row.accuracy == 0.785

    def test_han2018_pggan_tumours(self):
        whole, real, synthetic = han2018_pggan.PRINTED_TUMOUR.rows
        assert [a + b for a, b in zip(real.counts, synthetic.counts)] == list(whole.counts)
        rows = [tumour_answers(real.counts, "real"), tumour_answers(synthetic.counts, "synthetic")]
        (found,) = analyse(pd.concat(rows, ignore_index=True), draws=50).readings
        counts = {one.images: (one.tt, one.tn, one.nt, one.nn) for one in found.tumour}
        assert counts == {one.label: one.counts for one in (whole, real, synthetic)}
        assert found.tumour[0].accuracy.value == whole.accuracy == 0.905
        assert found.tumour[0].sensitivity.value == 0.82

    def test_kazuhiro2018_within_rounding(self, kazuhiro):
        for row, found in zip(kazuhiro2018.PRINTED.rows, kazuhiro.readings):
            assert found.reader == row.label
            assert found.balanced_accuracy.value == pytest.approx(row.accuracy, abs=0.006)

    @pytest.mark.parametrize("images", [25, 100])
    def test_a_reader_below_chance_raises_the_alarm(self, images):
        rows = {row.label: row.counts for row in kazuhiro2018.PRINTED.rows}
        alarms = {
            name: chance_test(table(*(round(n * images / 100) for n in counts))).below_chance
            for name, counts in rows.items()
        }
        assert alarms == {name: name == "NR2" for name in rows}

    def test_always_real_is_no_discrimination(self):
        found = chance_test(table(80, 0, 120, 0))
        assert found.p_below < 0.01 and not found.below_chance and found.p_independent == 1
        assert "0.60" in found.note

    def test_groups_of_kazuhiro2018(self, kazuhiro):
        (found,) = kazuhiro.group_differences
        assert (found.first_readers, found.second_readers) == (2, 3)
        rates = [(a + d) / 200 for a, _, _, d in (row.counts for row in kazuhiro2018.PRINTED.rows)]
        assert found.accuracy.value == pytest.approx(np.mean(rates[:2]) - np.mean(rates[2:]))
        # Of two readers one was below chance, so they do not tell what others of them would do.
        assert found.accuracy.interval.low < found.accuracy.value < 0 < found.accuracy.interval.high
        assert len(found.notes) == 2 and "2 readers are few" in found.notes[0]
        means = {mean.group: mean for mean in kazuhiro.means}
        assert set(means) == {"", kazuhiro2018.NEURO, kazuhiro2018.OTHER}
        assert means[""].design == "own cases" and not kazuhiro.concordances


class TestProportions:
    def test_published_intervals(self):
        """Newcombe 1998, Statistics in Medicine 17:857, table I."""
        found = proportion(81, 263)
        assert (found.wilson.low, found.wilson.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)
        assert (found.exact.low, found.exact.high) == pytest.approx((0.2527, 0.3676), abs=5e-5)

    def test_square_and_add_of_equal_shares_is_narrower_by_root_two(self):
        one = proportion(30, 50).wilson
        found = balanced_accuracy(table(30, 20, 20, 30))
        assert found.value == 0.6
        assert 0.6 - found.interval.low == pytest.approx((0.6 - one.low) / 2**0.5)
        assert found.interval.high - 0.6 == pytest.approx((one.high - 0.6) / 2**0.5)

    def test_binomial_test_by_hand(self):
        found = chance_test(table(4, 1, 0, 5))
        assert found.p == pytest.approx(2 * (1 + 10) / 2**10)
        assert found.p_below == pytest.approx(1 - 1 / 2**10)

    def test_power_of_equivalence(self):
        found = equivalence(50, 100)
        assert found.power == pytest.approx(0.24, abs=0.005)
        assert found.needed == 227 == least_n(0.10)
        assert (power(np.arange(227, 2000), 0.10) > 0.8).all()
        assert power(np.array([226]), 0.10)[0] <= 0.8
        assert power(np.arange(1, 20), 0.10).tolist() == [0.0] * 19

    @pytest.mark.parametrize(
        ("k", "n", "verdict"),
        [
            (50, 100, "pass"),
            (52, 100, "inconclusive"),
            (30, 100, "fail"),
            (70, 100, "fail"),
            (0, 0, "inconclusive"),
            (1, 2, "inconclusive"),
            (500, 1000, "pass"),
        ],
    )
    def test_verdicts(self, k, n, verdict):
        assert equivalence(k, n).verdict == verdict

    def test_verdict_by_hand(self):
        tail = sum(comb(100, i) * 0.6**i * 0.4 ** (100 - i) for i in range(51))
        assert equivalence(50, 100).p == pytest.approx(tail)

    @pytest.mark.parametrize("margin", [0.0, 0.004, 0.5, -1.0])
    def test_margins_out_of_range_are_refused(self, margin):
        with pytest.raises(RecipeError, match="margin of equivalence"):
            equivalence(1, 2, margin)


class TestDetection:
    def test_by_hand(self):
        found = detection(table(30, 19, 9, 40))
        hit, alarm = norm.ppf(30.5 / 50), norm.ppf(9.5 / 50)
        assert found.d_prime.value == pytest.approx(hit - alarm)
        assert found.criterion.value == pytest.approx(-(hit + alarm) / 2)
        spread = sum(p * (1 - p) / (49 * norm.pdf(norm.ppf(p)) ** 2) for p in (0.61, 0.19))
        half = 1.959964 * spread**0.5
        assert found.d_prime.interval.high - found.d_prime.value == pytest.approx(half, rel=1e-6)
        assert found.criterion.value - found.criterion.interval.low == pytest.approx(half / 2)

    def test_bias_has_the_sign_of_its_name(self):
        assert detection(table(10, 40, 10, 40)).criterion.value > 0  # says "synthetic"
        assert detection(table(10, 40, 10, 40)).d_prime.value == 0

    def test_swapped_classes(self):
        rr, rs, sr, ss = 26, 24, 6, 44
        one, other = detection(table(rr, rs, sr, ss)), detection(table(ss, sr, rs, rr))
        assert other.d_prime.value == pytest.approx(one.d_prime.value)
        assert other.criterion.value == pytest.approx(-one.criterion.value)
        assert balanced_accuracy(table(ss, sr, rs, rr)) == balanced_accuracy(table(rr, rs, sr, ss))
        rows = read_by(np.random.default_rng(3), 1.0, 0.4)
        swap = {"real": "synthetic", "synthetic": "real"}
        swapped = rows.assign(truth=rows["truth"].map(swap), answer=rows["answer"].map(swap))
        one, other = roc(rows).auc, roc(swapped).auc
        assert other.value == pytest.approx(one.value)
        assert other.interval.low == pytest.approx(one.interval.low)

    def test_simulated_readers_are_recovered(self):
        """Intervals of d', c and accuracy hold the truth at their nominal rate."""
        random = np.random.default_rng(5)
        d_prime, c, n, studies = 1.0, 0.3, 100, 200
        hit, alarm = norm.cdf(d_prime / 2 - c), norm.cdf(-d_prime / 2 - c)
        right = (hit + 1 - alarm) / 2
        held = dict.fromkeys(("d_prime", "criterion", "wilson", "exact", "balanced"), 0)
        for _ in range(studies):
            rr, sr = (int(k) for k in random.binomial(n, (hit, alarm)))
            found = table(rr, n - rr, sr, n - sr)
            signal, accuracy = detection(found), proportion(found.right, found.n)
            held["d_prime"] += holds(signal.d_prime.interval, d_prime)
            held["criterion"] += holds(signal.criterion.interval, c)
            held["wilson"] += holds(accuracy.wilson, right)
            held["exact"] += holds(accuracy.exact, right)
            held["balanced"] += holds(balanced_accuracy(found).interval, right)
        least, most = binom.ppf((0.001, 0.999), studies, 0.95)
        assert held.pop("exact") >= least
        assert all(least <= times <= most for times in held.values()), held

    def test_auc_by_library_and_its_interval_by_its_equation(self):
        rows = read_by(np.random.default_rng(0), 1.0)
        found = roc(rows)
        sign = np.where(rows["answer"] == "real", 1, -1)
        area = roc_auc_score(rows["truth"] == "real", sign * rows["confidence"])
        assert found.auc.value == area
        assert (found.points[0].false_alarm, found.points[0].hit) == (0, 0)
        assert (found.points[-1].false_alarm, found.points[-1].hit) == (1, 1)
        steps = [(point.false_alarm, point.hit) for point in found.points]
        assert np.trapezoid(*reversed(list(zip(*steps)))) == pytest.approx(area)
        for true in (found.auc.interval.low, found.auc.interval.high):
            q1, q2 = true / (2 - true), 2 * true**2 / (1 + true)  # Hanley and McNeil 1982
            half = (50 + 50) / 2 - 1  # Newcombe takes the mean of both numbers for each
            spread = true * (1 - true) + half * (q1 - true**2 + q2 - true**2)
            assert abs(area - true) / (spread / 2500) ** 0.5 == pytest.approx(1.96, abs=1e-3)

    def test_auc_interval_of_perfect_readers_is_not_a_point(self):
        low, high = auc_interval(1.0, 50, 50)
        assert 0.9 < low < 0.99 and high == 1.0
        assert auc_interval(0.0, 50, 50) == pytest.approx((0.0, 1 - low))

    def test_auc_intervals_cover(self):
        random = np.random.default_rng(2)
        truth = roc(read_by(random, 1.0, n=20_000)).auc.value
        found = [roc(read_by(random, 1.0, n=40)).auc.interval for _ in range(60)]
        assert sum(holds(one, truth) for one in found) >= binom.ppf(0.001, 60, 0.95)


def holds(interval, value):
    return interval.low <= value <= interval.high


class TestSideBySide:
    """Tests that a page shows together are corrected for how many they are."""

    def test_ten_readers_who_guess_rarely_raise_an_alarm(self):
        random = np.random.default_rng(1)
        raised, uncorrected = 0, 0
        for _ in range(40):
            tests = [
                chance_test(table(*np.ravel([(k, 100 - k) for k in random.binomial(100, 0.5, 2)])))
                for _ in range(10)
            ]
            uncorrected += any(test.p_independent < 0.05 for test in tests)
            raised += any(test.p_apart < 0.05 or test.below_chance for test in corrected(tests))
        assert raised <= 6 < uncorrected  # 2 are expected; 7 come once in 200 times

    def test_a_strong_alarm_survives(self):
        tests = [chance_test(table(30, 70, 71, 29)), *[chance_test(table(50, 50, 50, 50))] * 9]
        first, *others = corrected(tests)
        assert first.below_chance and first.family == 10
        assert first.p_apart == pytest.approx(10 * first.p_independent)
        assert not any(test.below_chance for test in others)

    def test_readers_are_corrected_within_all_blocks_and_blocks_within_a_study(self):
        rows = [
            answers_of((30, 20, 20, 30), reader=reader, block=block)
            for reader in "xyz"
            for block in "ab"
        ]
        found = analyse(pd.concat(rows, ignore_index=True), draws=99)
        families = {(r.block == "", r.chance.family) for r in found.readings}
        assert families == {(False, 6), (True, 3)}
        blocks = [mean.together for mean in found.means if mean.block]
        assert all(each.p_holm >= each.p for each in blocks)
        assert found.means[-1].together.p_holm is None


class TestContrasts:
    def test_published_difference(self):
        """Newcombe 1998, Statistics in Medicine 17:873, table II (a), method 10."""
        found = unpaired(56, 70, 48, 80)
        assert found.value == pytest.approx(0.2)
        ends = (found.interval.low, found.interval.high)
        assert ends == pytest.approx((0.0524, 0.3339), abs=5e-5)

    def test_fisher_by_hand(self):
        """Fisher's lady tasting tea: 3 of 4 against 1 of 4 gives 34/70."""
        rows = [answers_of((3, 1, 0, 0), block="a"), answers_of((1, 3, 0, 0), block="b")]
        (found,) = analyse(pd.concat(rows, ignore_index=True), draws=20).block_differences
        assert found.p == found.p_holm == pytest.approx(34 / 70)
        assert found.difference.value == 0.5 and found.family == 1

    def test_holm_by_hand(self):
        assert holm([0.01, None, 0.04, 0.03]) == pytest.approx([0.03, None, 0.06, 0.06])
        assert holm([]) == [] and holm([None]) == [None]
        ps = np.random.default_rng(0).random(20)
        assert holm(list(ps)) == pytest.approx(multipletests(ps, method="holm")[1])

    def test_blocks_are_compared_by_reader_and_over_readers(self):
        rows = [
            answers_of((5, 5, 5, 5), reader=reader, block=block)
            for reader in ("x", "y")
            for block in ("a", "b", "c")
        ]
        found = analyse(pd.concat(rows, ignore_index=True), draws=20).block_differences
        assert [one.reader for one in found] == ["x"] * 3 + ["y"] * 3 + [""] * 3
        assert all(one.family == 3 for one in found)
        assert found[-1].first_n == 40 and found[-1].p == pytest.approx(1)

    def test_blocks_over_readers_hold_for_other_images(self):
        """Readers alike who share images: intervals of pooled answers are too narrow for others."""
        alike = Population(d_prime=1, criterion=0, d_prime_sd=0, criterion_sd=0.3, image_sd=0.7)
        held, said = 0, 0
        for study in range(24):
            random = np.random.default_rng((3, study))
            parts, panels = [], {}
            for block in ("a", "b"):
                drawn = draw_reading(alike, 6, 60, random)
                counted = pd.DataFrame(
                    {
                        "reader": np.repeat([f"R{i}" for i in range(6)], 60),
                        "group": "",
                        "block": block,
                        "case": np.tile([f"{block}{i}" for i in range(60)], 6),
                        "truth": np.tile(np.where(drawn.real, "real", "synthetic"), 6),
                        "answer": np.where(drawn.called_real, "real", "synthetic").ravel(),
                        "confidence": np.nan,
                        "decided": True,
                    }
                )
                parts.append(counted.assign(right=counted["answer"] == counted["truth"]))
                panels[block] = panel(parts[-1], study, block, 200)
            found = block_differences(pd.concat(parts, ignore_index=True), panels)[-1]
            held += found.difference.interval.low <= 0 <= found.difference.interval.high
            pooled = unpaired(found.first_k, found.first_n, found.second_k, found.second_n)
            said += pooled.interval.low <= 0 <= pooled.interval.high
        assert held >= 19  # fewer come once in 1,000 times at 95 %
        assert said < held

    def test_one_reader_of_both_blocks_says_nothing_of_others(self):
        rows = [answers_of((5, 5, 5, 5), reader="x", block=block) for block in ("a", "b")]
        rows.append(answers_of((5, 5, 5, 5), reader="y", block="a"))
        found = analyse(pd.concat(rows, ignore_index=True), draws=20).block_differences[-1]
        assert found.reader == "" and found.p is None and "two readers" in found.note

    def test_mcnemar_by_hand(self):
        """Eight images only the first got right, two only the second."""
        one, other = answers_of((20, 0, 0, 0), reader="x"), answers_of((20, 0, 0, 0), reader="y")
        one.loc[[0, 1], "answer"] = other.loc[range(2, 10), "answer"] = "synthetic"
        found = analyse(pd.concat([one, other], ignore_index=True), draws=20)
        (pair,) = found.reader_differences
        assert (pair.both, pair.first_only, pair.second_only, pair.neither) == (10, 8, 2, 0)
        assert pair.p == pytest.approx(2 * (1 + 10 + 45) / 2**10)
        assert pair.difference.value == pytest.approx(0.3)

    def test_paired_interval_by_hand(self):
        found = paired(8, 2, 20).interval
        half = norm.ppf(0.975) * ((11 - 36 / 22) ** 0.5) / 22
        assert (found.low, found.high) == pytest.approx((6 / 22 - half, 6 / 22 + half))

    def test_readers_of_other_images_are_not_paired(self, kazuhiro):
        assert kazuhiro.reader_differences == ()


class TestConcordance:
    # Krippendorff 2011, Computing Krippendorff's alpha-reliability, section A: alpha is 0.095.
    MEG = (0, 1, 0, 0, 0, 0, 0, 0, 1, 0)
    OWEN = (1, 1, 1, 0, 0, 1, 0, 0, 0, 0)

    def coders(self):
        rows = answers_of((10, 0, 0, 0))
        said = [np.where(np.array(one), "real", "synthetic") for one in (self.MEG, self.OWEN)]
        both = [rows.assign(reader=name, answer=one) for name, one in zip("mo", said)]
        return pd.concat(both, ignore_index=True)

    def test_published_alpha_and_kappa_by_hand(self):
        (found,) = analyse(self.coders(), draws=50).concordances
        assert found.alpha.value == pytest.approx(1 - 19 * 8 / (2 * 14 * 6))
        assert round(found.alpha.value, 3) == 0.095
        assert found.observed.value == pytest.approx(0.6)
        assert found.fleiss.value == pytest.approx((0.6 - 0.58) / 0.42)

    def test_samples_agree_with_the_libraries(self):
        random = np.random.default_rng(0)
        ratings = random.integers(0, 2, (30, 4))
        called = aggregate_raters(ratings, n_cat=2)[0]
        times = random.multinomial(30, np.full(30, 1 / 30), 20)
        for sample, kappa, reliability in zip(times, fleiss(called, times), alpha(called, times)):
            drawn = np.repeat(called, sample, axis=0)
            assert kappa == pytest.approx(fleiss_kappa(drawn))
            library = krippendorff.alpha(value_counts=drawn, level_of_measurement="nominal")
            assert reliability == pytest.approx(library)

    def test_missing_answers(self):
        rows = self.coders()
        third = rows[rows["reader"] == "m"].assign(reader="third")
        third.loc[:3, "answer"] = ["unknown", "none", "unknown", "none"]
        rows = pd.concat([rows, third], ignore_index=True)
        (found,) = analyse(rows, draws=50).concordances
        assert (found.images, found.complete, found.missing) == (10, 6, 4)
        codes = rows["answer"].map({"real": 1.0, "synthetic": 0.0}).to_numpy().reshape(3, 10)
        library = krippendorff.alpha(codes, level_of_measurement="nominal")
        assert found.alpha.value == pytest.approx(library)
        complete = aggregate_raters(codes[:, 4:].T.astype(int), n_cat=2)[0]
        assert found.fleiss.value == pytest.approx(fleiss_kappa(complete))

    def test_one_answer_only_is_undefined(self):
        rows = [answers_of((5, 0, 5, 0), reader=name) for name in "xy"]
        (found,) = analyse(pd.concat(rows, ignore_index=True), draws=20).concordances
        assert found.fleiss.value is found.alpha.value is None
        assert found.observed.value == 1 and "only one answer" in found.alpha.note
