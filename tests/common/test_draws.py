import numpy as np
from scipy import stats

from mrgantry.common.draws import splitmix, uniform


def test_splitmix_gives_its_published_numbers():
    """Seed 1234567, as other implementations print it."""
    seeds, turns = np.full(5, 1234567, np.uint64), np.arange(5, dtype=np.uint64)
    assert splitmix(seeds, turns).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_an_item_does_not_depend_on_the_others():
    whole = uniform(3, np.arange(1000), 8)
    assert np.array_equal(uniform(3, np.array([999, 7, 7]), 8), whole[[999, 7, 7]])
    assert np.array_equal(uniform(3, np.arange(1000), 3), whole[:, :3])
    assert not np.isin(uniform(4, np.arange(1000), 8), whole).any()


def test_numbers_are_uniform_and_independent():
    for seed in (0, 1, 2**63):
        drawn = uniform(seed, np.arange(100_000), 8)
        assert drawn.min() >= 0 and drawn.max() < 1
        cells = np.apply_along_axis(lambda x: np.histogram(x, 100, (0, 1))[0], 0, drawn)
        assert (stats.chisquare(cells).pvalue > 1e-4).all()
        # Between the numbers of an item, and of an item and the next: |r| ~ 1 / sqrt(n).
        beside = np.corrcoef(np.hstack([drawn[:-1], drawn[1:]]).T) - np.eye(16)
        assert np.abs(beside).max() < 5 / np.sqrt(1e5)
        pairs = np.histogram2d(drawn[:, 2], drawn[:, 3], 20)[0]
        assert stats.chisquare(pairs.ravel()).pvalue > 1e-4
