"""How readers vary, from printed tables, and what is drawn from it."""

import numpy as np
import pytest
from scipy.stats import norm

from mrgantry.common.errors import RecipeError
from mrgantry.papers import han2018, han2018_pggan, kazuhiro2018, reading_population
from mrgantry.study.statistics.population import Population, draw_reading, population_of


def test_the_spread_of_printed_readers():
    """By hand: d' of the readers of Kazuhiro et al., and the mean over the blocks of Han et al."""
    found = population_of((han2018.PRINTED, kazuhiro2018.PRINTED))
    rates = [(26, 6), (24, 3), (22, 8), (12, 8), (34, 7), (13, 9), (20, 6), (13, 8), (19, 11)]
    rates += [(16, 4), (31, 15), (18, 15)]
    quantile = norm.ppf((np.array(rates) + 0.5) / 51)
    five = [(56, 45), (30, 71), (90, 24), (83, 40), (73, 44)]
    all_six = np.vstack([norm.ppf((np.array(five) + 0.5) / 101), quantile.mean(0)])
    d_prime = all_six[:, 0] - all_six[:, 1]
    assert found.d_prime == pytest.approx(d_prime.mean())
    assert found.d_prime_sd == pytest.approx(d_prime.std(ddof=1))
    assert found.criterion_sd == pytest.approx((all_six.sum(1) / 2).std(ddof=1))
    rate = (np.array(rates) + 0.5) / 51
    chance = rate * (1 - rate) / (50 * norm.pdf(quantile) ** 2)
    left = (quantile.var(0, ddof=1) - chance.mean(0)).mean()
    assert found.image_sd == pytest.approx(left**0.5)
    assert reading_population() == found


def test_one_reader_is_no_spread():
    with pytest.raises(RecipeError, match="two readers or more"):
        population_of((han2018.PRINTED,))
    with pytest.raises(RecipeError, match="two readers or more"):
        population_of((han2018_pggan.PRINTED_TUMOUR, kazuhiro2018.PRINTED))


def test_expected_rates_are_those_drawn():
    population = Population(
        d_prime=1.0, criterion=0.2, d_prime_sd=0.5, criterion_sd=0.4, image_sd=0.6
    )
    drawn = draw_reading(population, 400, 401, np.random.default_rng(0))
    assert drawn.real.sum() == 200
    # Between readers: chance of 1 - 0.36, d' / 2 of 0.0625 and the criterion of 0.16.
    assert drawn.impression.std(0).mean() == pytest.approx(0.929, abs=0.02)
    called = [drawn.called_real[:, kind].mean() for kind in (drawn.real, ~drawn.real)]
    assert population.rates() == pytest.approx(called, abs=0.04)


def test_accuracy_by_mean_sensitivity():
    population = reading_population()
    assert population.with_accuracy(0.7).balanced_accuracy == pytest.approx(0.7)
    assert population.with_accuracy(0.4).balanced_accuracy == pytest.approx(0.4)
    assert population.unable().balanced_accuracy == 0.5
    with pytest.raises(RecipeError, match="between 0 and 1"):
        population.with_accuracy(1.0)


def test_pairs_are_told_apart_by_the_root_of_two_more():
    """A reader of d' finds the real image of Φ(d'/√2) of pairs, whatever the criterion."""
    alike = Population(d_prime=1.2, criterion=0.7, d_prime_sd=0, criterion_sd=0, image_sd=0.4)
    pairs = alike.in_pairs().set(["criterion_sd=0"])
    assert pairs.rates()[0] == pytest.approx(norm.cdf(1.2 / 2**0.5))
    assert pairs.balanced_accuracy > alike.balanced_accuracy
    assert pairs.criterion == 0 and pairs.image_sd == 0.4
