"""Images shown again, attention checks, and answers that look careless: counted, never dropped."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from answers import answers_of
from mrgantry.study.statistics.analysis import analyse
from mrgantry.study.statistics.conduct import chance_of_run


def again(rows, places, answers):
    """Let a reader see some images again, and give these answers."""
    more = rows.iloc[places].assign(answer=list(answers))
    return pd.concat([rows, more], ignore_index=True)


def mixed(counts, **columns):
    """Answers in an order in which no row of equal ones is long."""
    return answers_of(counts, **columns).sample(frac=1, random_state=1).reset_index(drop=True)


class TestRepeats:
    def test_kappa_with_oneself_by_hand_and_by_another_library(self):
        rows = answers_of((6, 4, 3, 7))
        places = [0, 1, 2, 6, 7, 10, 13, 14, 15, 16]
        second = ["real", "real", "synthetic", "synthetic", "real", "real"] + ["synthetic"] * 4
        (found,) = analyse(again(rows, places, second), draws=20).conducts
        first = rows.loc[places, "answer"]
        assert (found.with_oneself.same.k, found.with_oneself.same.n) == (8, 10)
        # Real 4 of 10 at first and 4 then: chance agrees in 0.4² + 0.6² = 0.52.
        assert found.with_oneself.kappa == pytest.approx((0.8 - 0.52) / 0.48)
        assert found.with_oneself.kappa == pytest.approx(cohen_kappa_score(first, second))

    def test_only_the_first_answer_counts(self):
        rows = answers_of((6, 4, 3, 7))
        alone = analyse(rows, draws=20)
        found = analyse(again(rows, [0, 1], ["synthetic", "synthetic"]), draws=20)
        assert found.readings == alone.readings and found.means == alone.means
        assert "2 times a reader saw one image once more" in found.notes[0]

    def test_unknown_is_no_agreement_and_one_kind_has_no_kappa(self):
        rows = answers_of((6, 4, 3, 7))
        (found,) = analyse(again(rows, [0, 1, 2], ["unknown", "real", "real"]), draws=20).conducts
        assert (
            found.with_oneself.images,
            found.with_oneself.same.k,
            found.with_oneself.same.n,
        ) == (3, 2, 2)
        assert found.with_oneself.kappa is None

    def test_without_repeats_there_is_none(self):
        assert analyse(answers_of((2, 2, 2, 2)), draws=20).conducts[0].with_oneself is None


class TestChecks:
    def test_checks_count_in_no_rate_and_are_reported(self):
        rows = mixed((6, 4, 3, 7))
        checks = answers_of((0, 0, 3, 2), cases="check").assign(use="check")
        found = analyse(pd.concat([rows, checks], ignore_index=True), draws=20)
        assert found.readings == analyse(rows, draws=20).readings
        (conduct,) = found.conducts
        assert (conduct.checks.k, conduct.checks.n) == (2, 5)
        assert conduct.remarks == ("2 of 5 attention checks are right",)
        assert "5 answers are to attention checks" in found.notes[-1]


class TestCareless:
    def test_a_careful_reader_is_not_remarked(self):
        for seed in range(5):
            rows = answers_of((30, 20, 20, 30)).sample(frac=1, random_state=seed)
            assert analyse(rows, draws=20).conducts[0].remarks == ()

    def test_one_answer_to_nearly_all(self):
        (found,) = analyse(mixed((1, 49, 1, 49)), draws=20).conducts
        assert found.remarks == ("98 of 100 answers are “synthetic”",)

    def test_a_long_row_of_equal_answers(self):
        (found,) = analyse(answers_of((50, 0, 0, 50)), draws=20).conducts
        assert found.longest_run == 50 and found.remarks == ("50 equal answers in a row",)

    def test_answers_faster_than_anyone(self):
        seconds = np.where(np.arange(100) < 10, 0.1, 2.0)
        (found,) = analyse(mixed((30, 20, 20, 30), response_s=seconds), draws=20).conducts
        assert found.remarks == ("10 of 100 answers came within 0.3 s",)

    def test_the_bound_on_rows_holds(self):
        """Rows of 12 and more of one answer given to half of 100 images, in 2,000 orders."""
        random = np.random.default_rng(0)
        longest = []
        for _ in range(2000):
            places = np.flatnonzero(np.diff(random.random(100) < 0.5, prepend=2, append=2))
            longest.append(np.diff(places).max())
        seen = np.mean(np.array(longest) >= 10)
        assert seen <= 2 * chance_of_run(10, 100, 0.5) <= 2 * seen + 0.02
