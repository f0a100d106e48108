"""Intervals over readers: a published example, weights by hand, and the test of all together."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from answers import answers_of
from mrgantry.study.statistics.analysis import analyse
from mrgantry.study.statistics.counting import checked
from mrgantry.study.statistics.hillis import ReaderMean, half_width
from mrgantry.study.statistics.together import told_apart

# Areas under the ROC curve of five readers in two modalities, of Van Dyke et al. 1993 (cine and
# spin echo MRI in the diagnosis of thoracic aortic dissection), with what RJafroc gives of them:
# mean covariance of two readers (jackknife); mean, standard error, degrees of freedom, interval.
# Source: Chakraborty, The RJafroc ROC Book, on the Obuchowski-Rockette analysis of its dataset02.
VAN_DYKE = [
    (
        (0.91964573, 0.85877617, 0.90386473, 0.97310789, 0.82979066),
        0.00048396180,
        (0.89703704, 0.033173597, 12.744648, 0.82522360, 0.96885048),
    ),
    (
        (0.94782609, 0.90531401, 0.92173913, 0.99935588, 0.92995169),
        0.00020418785,
        (0.94083736, 0.021566368, 12.710190, 0.89413783, 0.98753689),
    ),
]


@pytest.mark.parametrize(("values", "covariance", "printed"), VAN_DYKE)
def test_van_dyke(values, covariance, printed):
    mean = ReaderMean.of(np.array(values), np.ones(5), np.full((5, 5), covariance))
    error, half, free = half_width(mean.common, mean)
    found = (mean.value, error, free, mean.value - half, mean.value + half)
    assert found == pytest.approx(printed, rel=1e-6)


def test_readers_count_for_what_they_answered():
    mean = ReaderMean.of(np.array([0.8, 0.5]), np.array([300.0, 100.0]), np.zeros((2, 2)))
    assert mean.value == pytest.approx(0.725) and mean.free == pytest.approx(1)
    # Two readers differ by 0.3: their variance is 0.3² / 2, that of the mean 5/8 of it.
    assert mean.spread == pytest.approx(0.045 * (0.75**2 + 0.25**2))
    assert half_width(0.0, mean).half == pytest.approx(t.ppf(0.975, 1) * mean.spread**0.5)


def test_readers_who_are_alike_by_chance_still_vary_with_their_images():
    mean = ReaderMean.of(np.full(3, 0.7), np.ones(3), np.diag(np.full(3, 0.03)))
    assert half_width(mean.common, mean).error == pytest.approx(0.1)
    nothing = ReaderMean.of(np.full(3, 1.0), np.ones(3), np.zeros((3, 3)))
    assert half_width(nothing.common, nothing) is None


class TestTogether:
    def test_one_reader_by_hand(self):
        """Four images, all told: of six ways to deal the truth out one fits, one is inverted."""
        rows = checked(answers_of((2, 0, 0, 2)))
        p = told_apart(rows, 0, "", "", 20_000).p
        assert p == pytest.approx(2 / 6, abs=0.01)

    def test_who_answers_nothing_or_one_thing_changes_nothing(self):
        sure = answers_of((30, 20, 20, 30), reader="A")
        alone = analyse(sure, draws=400).means[0].together.p
        same = answers_of((0, 50, 0, 50), reader="B")
        none = answers_of((0, 0, 0, 0), undecided=(50, 50, 0, 0), reader="C")
        with_them = pd.concat([sure, same, none], ignore_index=True)
        assert analyse(with_them, draws=400).means[0].together.p == pytest.approx(alone)

    def test_one_kind_of_image_or_of_answer_is_no_test(self):
        for counts in ((3, 4, 0, 0), (3, 0, 4, 0)):
            assert told_apart(checked(answers_of(counts)), 0, "", "", 10).p is None

    @pytest.mark.parametrize("own", [False, True])
    def test_false_alarms_are_as_rare_as_they_should_be(self, own):
        """Readers who agree, since all like the same images, and of whom some answer little."""
        random, told = np.random.default_rng(5), 0
        for study in range(150):
            rows = []
            likes = random.normal(size=40)
            for reader, answered in (("A", 40), ("B", 40), ("C", 12)):
                images = answers_of((20, 0, 0, 20), reader=reader, cases=reader * own)
                seen = (random.normal(size=40) if own else likes) + random.normal(0, 0.5, 40)
                said = np.where(seen > 0.3, "real", "synthetic")
                rows.append(images.assign(answer=said).sample(answered, random_state=study))
            every = checked(pd.concat(rows, ignore_index=True))
            told += told_apart(every, study, "", "", 99).p <= 0.05
        assert told <= 15  # 7.5 are expected; more than 15 come once in 300 times
