"""Two-alternative forced choice: tabled values of d', leaning to a side, and what cannot be."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from mrgantry.common.errors import DataError
from mrgantry.study.statistics.forced_choice import forced_choice


def pairs(left_right, left_wrong, right_right, right_wrong, undecided=0):
    """Pairs whose real image is on the left, found or not, then those with it on the right."""
    rows = [("left", "left")] * left_right + [("left", "right")] * left_wrong
    rows += [("right", "right")] * right_right + [("right", "left")] * right_wrong
    rows += [("left", "unknown")] * undecided
    return pd.DataFrame(rows, columns=["truth", "answer"])


@pytest.mark.parametrize(
    # As tables of two alternatives have it, such as those of Hacker and Ratcliff 1979.
    ("right", "d_prime"),
    [(50, 0.0), (60, 0.36), (76, 1.00), (84, 1.41), (92, 1.99), (40, -0.36)],
)
def test_tabled_sensitivities(right, d_prime):
    found = forced_choice(pairs(right, 100 - right, right, 100 - right))
    assert found.right.value == right / 100
    assert found.d_prime.value == pytest.approx(d_prime, abs=0.006)
    assert found.d_prime.interval.low < d_prime < found.d_prime.interval.high
    assert found.side_bias == pytest.approx(0) and found.p_side == 1


def test_percent_correct_by_hand():
    found = forced_choice(pairs(40, 10, 30, 20, undecided=3))
    assert (found.right.k, found.right.n, found.undecided) == (70, 100, 3)
    assert found.right.wilson.low == pytest.approx(0.6042, abs=1e-4)
    assert found.d_prime.interval.low == pytest.approx(2**0.5 * norm.ppf(0.6042), abs=1e-3)
    assert found.p == pytest.approx(0.000079, abs=1e-6)


def test_leaning_to_a_side_is_no_sensitivity():
    found = forced_choice(pairs(50, 0, 0, 50))
    assert found.right.value == 0.5 and found.d_prime.value == 0
    assert found.said_left.value == 1 and found.p_side < 1e-20
    assert found.side_bias == pytest.approx(norm.ppf(0.5 / 51))  # far to "left"
    assert forced_choice(pairs(0, 50, 50, 0)).side_bias == pytest.approx(-found.side_bias)


def test_all_right_has_no_finite_sensitivity():
    found = forced_choice(pairs(20, 0, 20, 0))
    assert found.d_prime.value is None and found.d_prime.interval.low is None
    assert "no finite" in found.d_prime.note and found.right.wilson.low > 0.9


def test_a_drawn_reader_is_recovered():
    """The difference of two impressions has variance 2: of d' 1, 76 % are right."""
    random = np.random.default_rng(0)
    held = 0
    for _ in range(80):
        left = random.random(150) < 0.5
        seen = random.normal(np.where(left, 1, -1) * 1.0, 2**0.5)
        rows = pd.DataFrame(
            {
                "truth": np.where(left, "left", "right"),
                "answer": np.where(seen > 0, "left", "right"),
            }
        )
        ends = forced_choice(rows).d_prime.interval
        held += ends.low <= 1 <= ends.high
    assert held >= 70  # 76 are expected, fewer than 70 once in 200 times


def test_nothing_is_nothing():
    found = forced_choice(pairs(0, 0, 0, 0, undecided=2))
    assert found.p is None and found.side_bias is None and found.d_prime.value is None
    one_side = forced_choice(pairs(5, 5, 0, 0))
    assert one_side.side_bias is None and one_side.p_side is None


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (pd.DataFrame({"truth": ["left"]}), "no column 'answer'"),
        (pd.DataFrame({"truth": ["real"], "answer": ["left"]}), "'truth' .* holds 'real'"),
        (pd.DataFrame({"truth": ["left"], "answer": ["up"]}), "'answer' .* holds 'up'"),
    ],
)
def test_what_are_no_pairs_is_said(rows, message):
    with pytest.raises(DataError, match=message):
        forced_choice(rows)
