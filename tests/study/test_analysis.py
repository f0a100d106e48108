"""Several readers, exports and whole analyses: coverage, formats, and input of any kind."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import binom, norm
from sklearn.metrics import roc_auc_score

from answers import answers_of, read_by
from mrgantry.common.errors import DataError, RecipeError
from mrgantry.study.statistics.analysis import analyse
from mrgantry.study.statistics.counting import checked, confusion
from mrgantry.study.statistics.hillis import half_width
from mrgantry.study.statistics.imrmc import imrmc
from mrgantry.study.statistics.measured import Estimate, Interval, Proportion
from mrgantry.study.statistics.mrmc import panel
from mrgantry.study.statistics.results import Analysis


def holds(interval, value):
    return interval.low <= value <= interval.high


class TestManyReaders:
    def test_one_reader_has_a_binomial_interval_and_a_warning(self):
        found = analyse(answers_of((35, 15, 15, 35)), draws=4000).means[0]
        assert found.design == "one reader" and "nothing is known of other" in found.notes[0]
        half = 1.96 * (0.7 * 0.3 / 100) ** 0.5
        ends = (found.accuracy.interval.low, found.accuracy.interval.high)
        assert ends == pytest.approx((0.7 - half, 0.7 + half), abs=0.01)

    def test_readers_who_agree_fully_vary_as_one(self):
        """Same images and same answers: nothing but the images varies."""
        rows = [answers_of((35, 15, 15, 35), reader=name) for name in "abcdef"]
        found = analyse(pd.concat(rows, ignore_index=True), draws=4000).means[0]
        assert found.design == "same cases"
        width = found.accuracy.interval.high - found.accuracy.interval.low
        assert width == pytest.approx(2 * 1.96 * (0.21 / 100) ** 0.5, abs=0.01)

    def test_readers_count_for_what_they_answered(self):
        rows = [
            answers_of((10, 0, 0, 10), reader="few", cases="few"),
            answers_of((50, 50, 50, 50), reader="many", cases="many"),
        ]
        found = analyse(pd.concat(rows, ignore_index=True), draws=50).means[0]
        assert found.accuracy.value == pytest.approx(120 / 220) and found.design == "own cases"
        assert found.confusion.n == found.accuracy.interval.n == 220

    def test_mean_auc(self):
        random = np.random.default_rng(1)
        rows = [read_by(random, d, reader=str(d)) for d in (0.5, 1.0, 2.0)]
        found = analyse(pd.concat(rows, ignore_index=True), draws=100)
        areas = [reading.roc.auc.value for reading in found.readings]
        assert found.means[0].auc.value == pytest.approx(np.mean(areas))
        assert holds(found.means[0].auc.interval, np.mean(areas))

    def test_samples_do_not_depend_on_what_else_is_drawn(self):
        rows = [answers_of((30, 20, 10, 40), block=name) for name in "ab"]
        found = analyse(rows[1], draws=200).means[0]
        both = analyse(pd.concat(rows, ignore_index=True), draws=200).means[1]
        # Blocks that stand side by side are corrected for that; all else is the same.
        assert both.together.p == found.together.p
        assert both.model_copy(update={"together": found.together}) == found
        assert analyse(rows[1], draws=200, seed=1).means[0] != found

    def test_intervals_cover_the_true_mean(self):
        assert covered(50, 200, readers=5, spread=0.3) >= binom.ppf(0.001, 50, 0.95)

    @pytest.mark.slow
    @pytest.mark.parametrize("readers", [2, 3, 5, 10])
    @pytest.mark.parametrize(("spread", "images"), [(0.2, 100), (0.5, 400)])
    def test_intervals_cover_the_true_mean_closely(self, readers, spread, images):
        share = covered(500, 200, readers, spread, images) / 500
        assert share >= 0.92


def covered(studies, draws, readers, spread, images=100):
    """Count the intervals of the mean accuracy that hold that of all readers and images.

    Readers differ in d' and criterion, images in how real they look to all.
    """
    random = np.random.default_rng(4)
    d_prime, criterion = random.normal(1, spread, 10**5), random.normal(0, spread, 10**5)
    truth = np.mean(norm.cdf(d_prime / 2 - criterion) + norm.cdf(d_prime / 2 + criterion)) / 2
    shown = answers_of((images // 2, 0, 0, images // 2))
    sign = np.where(shown["truth"] == "real", 1, -1)
    held = 0
    for _ in range(studies):
        looks = random.normal(0, 0.5, images)
        rows = []
        for name in range(readers):
            seen = sign * random.normal(1, spread) / 2 - random.normal(0, spread)
            seen = seen + looks + random.normal(0, 0.75**0.5, images)
            answer = np.where(seen > 0, "real", "synthetic")
            rows.append(shown.assign(reader=str(name), answer=answer))
        every = pd.concat(rows, ignore_index=True)
        every = every.assign(decided=True, right=every["answer"] == every["truth"])
        found = panel(every, 0, "", draws).mean("accuracy", range(readers))
        held += abs(found.value - truth) <= half_width(found.common, found).half
    return held


class TestImrmc:
    def test_format(self):
        random = np.random.default_rng(0)
        rows = pd.concat([read_by(random, 1.0, n=5, reader=f"R: {i}") for i in (1, 2)])
        rows = rows.reset_index(drop=True)
        rows.loc[3, "answer"] = "unknown"
        before, after = imrmc(rows).split("BEGIN DATA:\n")
        assert {"NR: 2", "N0: 5", "N1: 5", "NM: 1"} <= set(before.splitlines())
        assert "Reader 1 is R 1" in before
        lines = after.splitlines()
        assert all(re.fullmatch(r"-?\d+,\d+,\d+,-?\d+(\.\d+)?", line) for line in lines)
        values = [line.split(",") for line in lines]
        truth = {case: int(score) for reader, case, _, score in values if reader == "-1"}
        assert len([1 for value in values if value[0] == "-1"]) == len(truth) == 10
        second = [(truth[case], float(score)) for reader, case, _, score in values if reader == "2"]
        area = roc_auc_score(*zip(*second))
        assert area == analyse(rows, draws=20).readings[1].roc.auc.value
        assert len(values) == 10 + 9 + 10

    def test_without_confidence_scores_are_0_and_1(self):
        lines = imrmc(answers_of((2, 1, 1, 3))).split("BEGIN DATA:\n")[1].splitlines()
        assert sorted(line.split(",")[3] for line in lines[7:]) == list("0000111")

    def test_nothing_decided_is_still_a_file(self):
        text = imrmc(answers_of((0, 0, 0, 0), undecided=(1, 1, 0, 0)))
        assert text.endswith("BEGIN DATA:\n") and "NR: 0" in text


class TestAnalysis:
    def test_unknown_and_late_answers_are_counted_apart(self):
        rows = answers_of((30, 10, 10, 30), undecided=(4, 3, 2, 1), late=[True] * 5 + [False] * 85)
        found = analyse(rows, draws=20)
        (one,) = found.readings
        assert one.accuracy.value == 0.75 and one.accuracy_all.value == pytest.approx(60 / 90)
        table = one.confusion
        assert (table.unknown_real, table.unknown_synthetic) == (4, 3)
        assert (table.none_real, table.none_synthetic, table.undecided) == (2, 1, 10)
        assert one.late.k == 5 and "10 of 90 answers" in found.notes[0]

    def test_times(self):
        rows = answers_of((4, 0, 0, 1), response_s=[1.0, 2.0, 3.0, 4.0, float("nan")])
        (found,) = analyse(rows, draws=20).readings[0].times
        assert (found.truth, found.answer, found.n) == ("real", "real", 4)
        assert (found.lower, found.median, found.upper) == (1.75, 2.5, 3.25)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"truth": "fake"}, "'fake' in row 1"),
            ({"answer": "maybe"}, "'maybe' in row 1"),
            ({"confidence": 7}, "between 1 and 5"),
            ({"confidence": "high"}, "must hold numbers"),
            ({"reader": ""}, "no reader"),
            ({"case": "one"}, "more than one truth"),
            ({"group": list("ab")}, "more than one group"),
            ({"block": ["", "b"]}, "no block"),
        ],
    )
    def test_wrong_answers_are_refused(self, change, message):
        with pytest.raises(DataError, match=message):
            analyse(answers_of((1, 0, 0, 1)).assign(**change))

    def test_missing_columns_and_rows_are_refused(self):
        rows = answers_of((1, 0, 0, 1))
        with pytest.raises(DataError, match="no column 'truth'"):
            analyse(rows.drop(columns="truth"))
        with pytest.raises(DataError, match="no answers"):
            analyse(rows[:0])
        with pytest.raises(RecipeError, match="1 sample"):
            analyse(rows, draws=0)

    def test_repeated_images_are_said(self):
        rows = answers_of((2, 0, 0, 2))
        found = analyse(pd.concat([rows, rows], ignore_index=True), draws=20)
        assert "4 times a reader saw one image once more" in found.notes[0]
        assert (found.trials, found.readings[0].accuracy.n) == (8, 4)

    @given(data=st.data())
    @settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
    def test_anything_is_analysed(self, data):
        rows = data.draw(frames())
        found = analyse(rows, draws=20)
        assert Analysis.model_validate_json(found.model_dump_json()) == found
        for part in parts(found):
            ends = (part.wilson, part.exact) if isinstance(part, Proportion) else (part.interval,)
            assert all((end.low is None) == (end.high is None) for end in ends)
            assert all(end.method for end in ends)
            if part.value is not None:
                assert all(end.low is None or holds(end, part.value) for end in ends)
        first = rows.drop_duplicates(["reader", "block", "case"])
        counts = confusion(checked(first))
        assert counts.n + counts.undecided == len(first) and found.trials == len(rows)
        assert (
            imrmc(rows).count("\n-1,")
            == first.loc[first["answer"].isin(["real", "synthetic"]), "case"].nunique()
        )


@st.composite
def frames(draw):
    """Draw studies: few or many readers and blocks, missing values, same or own images."""
    n = draw(st.integers(1, 30))
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    readers = random.integers(0, draw(st.integers(1, 4)), n)
    cases = random.integers(0, draw(st.integers(1, 10)), n)
    shared = draw(st.booleans())
    allowed = draw(st.sets(st.sampled_from(["real", "synthetic", "unknown", "none"]), min_size=1))
    only = draw(st.sampled_from([("real",), ("synthetic",), ("real", "synthetic")]))
    blocks, grouped = draw(st.integers(1, 3)), draw(st.booleans())
    confidence = random.integers(1, 6, n).astype(float)
    confidence[random.random(n) < draw(st.sampled_from([0, 0.5, 1]))] = np.nan
    return pd.DataFrame(
        {
            "reader": [f"r{i}" for i in readers],
            "group": [grouped * f"g{i % 2}" for i in readers],
            "years": np.nan,
            "block": [f"b{case % blocks}" for case in cases],
            "position": 1,
            "case": [f"{case}" if shared else f"{i}-{case}" for i, case in zip(readers, cases)],
            "truth": [only[case % len(only)] for case in cases],
            "answer": random.choice(sorted(allowed), n),
            "tumour": random.choice(["yes", "no", ""], n),
            "tumour_answer": random.choice(["yes", "no", "unknown", "none", ""], n),
            "confidence": confidence,
            "reason": "",
            "response_s": np.where(random.random(n) < 0.2, np.nan, random.exponential(3, n)),
            "late": random.random(n) < 0.1,
            "sequence": "t1",
            "subject": "",
        }
    )


def parts(found):
    """List all estimates and proportions in a result."""
    if isinstance(found, Estimate | Proportion):
        yield found
    elif isinstance(found, tuple):
        for one in found:
            yield from parts(one)
    elif hasattr(found, "model_fields_set") and not isinstance(found, Interval):
        for name in type(found).model_fields:
            yield from parts(getattr(found, name))
