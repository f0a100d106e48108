"""Which images readers see: balanced, of many subjects, the same for the same seed."""

from collections import Counter

import numpy as np
import pytest

from conftest import blobs, write_slices
from mrgantry.common.errors import DataError, RecipeError
from mrgantry.data import SliceSet
from mrgantry.study.cases.draw import PRACTICE, Pool, draw_cases, order
from mrgantry.study.protocol import Protocol, read_protocol


def make_pool(folder, name="T1", subjects=30, each=4, synthetic=120, sequences=("t1",)):
    """Make a pool of slices whose sequence and tumour label go round."""
    folder = folder / name
    count = subjects * each
    people = [f"s{i // each:02d}" for i in range(count)]
    labels = ["yes" if i % 2 else "no" for i in range(count)]
    real = write_slices(folder / "real", blobs(count, 8), people, ["test"] * count, tumour=labels)
    table = real.table.copy()
    table["sequence"] = [sequences[i % len(sequences)] for i in range(count)]
    real = SliceSet(table, real.about, real.folder, real.places)
    labels = ["yes" if i % 3 else "no" for i in range(synthetic)]
    made = write_slices(
        folder / "synthetic",
        blobs(synthetic, 8, 1),
        ["block0"] * synthetic,
        [""] * synthetic,
        synthetic=True,
        tumour=labels,
    )
    return Pool(name, real, (made,))


def drawn(pool, picks, block=0):
    return pool.rows.loc[[pick.row for pick in picks if pick.block == block]]


def test_equal_numbers_and_no_subject_twice(tmp_path):
    pool = make_pool(tmp_path)
    cases = drawn(pool, draw_cases([pool], Protocol(name="x", cases=60), (0, 0)))
    assert Counter(cases["truth"]) == {"real": 30, "synthetic": 30}
    real = cases[cases["truth"] == "real"]
    assert real["subject"].nunique() == 30  # all thirty, once each
    assert cases.index.is_unique


def test_subjects_are_repeated_as_rarely_as_can_be(tmp_path):
    pool = make_pool(tmp_path, subjects=12)
    cases = drawn(pool, draw_cases([pool], Protocol(name="x", cases=60), (0, 0)))
    counts = Counter(cases.loc[cases["truth"] == "real", "subject"])
    assert len(counts) == 12 and set(counts.values()) == {2, 3}  # 30 of 12 people


def test_a_subject_of_one_block_comes_last_in_the_next(tmp_path):
    pools = [make_pool(tmp_path, name) for name in ("a", "b")]  # the same thirty people
    picks = draw_cases(pools, Protocol(name="x", cases=20, practice=10), (0, 0))
    people = [pools[pick.pool].rows.loc[pick.row, "subject"] for pick in picks]
    assert max(Counter(person for person in people if person).values()) == 1  # 10 + 10 + 5 of 30


def test_sequences_come_in_equal_numbers_as_in_the_paper(tmp_path):
    pool = make_pool(tmp_path, subjects=60, sequences=("t1", "t1c", "t2", "flair"))
    cases = drawn(pool, draw_cases([pool], Protocol(name="x", cases=100), (3, 0)))
    counts = Counter(cases.loc[cases["truth"] == "real", "sequence"])
    assert sorted(counts.values()) == [12, 12, 13, 13] and len(counts) == 4


def test_tumours_come_in_equal_numbers_on_both_sides(tmp_path):
    pool = make_pool(tmp_path, subjects=60)
    protocol = Protocol(name="x", cases=40, balance=("tumour",), questions=("truth", "tumour"))
    cases = drawn(pool, draw_cases([pool], protocol, (0, 0)))
    assert set(Counter(zip(cases["truth"], cases["tumour"])).values()) == {10}


def test_the_share_of_synthetic_images_is_drawn_between_its_ends(tmp_path):
    pool = make_pool(tmp_path)
    protocol = Protocol(name="x", cases=50, share=(0.4, 0.6))
    shares = [
        (drawn(pool, draw_cases([pool], protocol, (0, k)))["truth"] == "synthetic").sum()
        for k in range(40)
    ]
    assert min(shares) >= 20 and max(shares) <= 30 and len(set(shares)) > 5


def test_practice_is_of_other_images(tmp_path):
    pool = make_pool(tmp_path)
    picks = draw_cases([pool], Protocol(name="x", cases=50, practice=10), (0, 0))
    practice = {pick.image for pick in picks if pick.block == PRACTICE}
    assert len(practice) == 10
    assert not practice & {pick.image for pick in picks if pick.block != PRACTICE}


def test_the_seed_decides(tmp_path):
    pool = make_pool(tmp_path)
    protocol = Protocol(name="x", cases=50)
    assert draw_cases([pool], protocol, (0, 0)) == draw_cases([pool], protocol, (0, 0))
    assert draw_cases([pool], protocol, (0, 0)) != draw_cases([pool], protocol, (1, 0))


def test_each_reader_has_an_order_of_their_own(tmp_path):
    pools = [make_pool(tmp_path, name) for name in ("a", "b", "c")]
    protocol = Protocol(name="x", cases=20, practice=4)
    picks = draw_cases(pools, protocol, (0, 0))
    one, other = (order(picks, 3, protocol, (0, reader, 1)) for reader in (0, 1))
    assert one != other
    assert Counter(p for part in one for p in part) == Counter(picks)
    assert next(part[0].block for part in one) == PRACTICE
    blocks = [
        tuple(part[0].block for part in order(picks, 3, protocol, (0, reader, 1))[1:])
        for reader in range(20)
    ]
    assert len(set(blocks)) > 3  # blocks are shuffled, too
    given = Protocol(name="x", cases=20, shuffle_blocks=False)
    assert [part[0].block for part in order(picks, 3, given, (0, 5, 1))[1:]] == [0, 1, 2]


def test_the_order_tells_nothing_of_the_truth(tmp_path):
    pool = make_pool(tmp_path, subjects=100, synthetic=200)
    protocol = Protocol(name="x", cases=100)
    picks = draw_cases([pool], protocol, (0, 0))
    firsts = []
    for reader in range(200):
        part = order(picks, 1, protocol, (0, reader, 1))[1]
        firsts.append(np.mean([pool.rows.loc[one.row, "truth"] == "real" for one in part[:50]]))
    assert abs(np.mean(firsts) - 0.5) < 0.02


def test_what_is_shown_again_comes_late_and_is_each_readers_own(tmp_path):
    pool = make_pool(tmp_path)
    protocol = Protocol(name="x", cases=30, practice=3, shown_again=6)
    picks = draw_cases([pool], protocol, (0, 0))
    assert picks == draw_cases([pool], Protocol(name="x", cases=30, practice=3), (0, 0))
    chosen = set()
    for reader in range(20):
        practice, part = order(picks, 1, protocol, (0, reader, 1))
        assert len(practice) == 3 and len(part) == 36
        times = Counter(part)
        assert sorted(times.values()) == [1] * 24 + [2] * 6
        for pick in (pick for pick, count in times.items() if count == 2):
            first, second = (place for place, one in enumerate(part) if one == pick)
            assert first < 10 and second >= 20
        chosen.add(frozenset(pick for pick, count in times.items() if count == 2))
    assert len(chosen) > 10
    with pytest.raises(RecipeError, match="at most a third of the images, here 10"):
        Protocol(name="x", cases=30).set(["shown_again=11"])


def test_checks_change_no_other_image(tmp_path):
    pool = make_pool(tmp_path)
    plain = Protocol(name="x", cases=30, practice=3)
    picks = draw_cases([pool], plain.set(["attention_checks=4"]), (0, 0))
    assert [pick for pick in picks if not pick.check] == draw_cases([pool], plain, (0, 0))
    checks = [pick for pick in picks if pick.check]
    assert len({pick.image for pick in checks}) == 4
    assert {pool.rows.loc[pick.row, "truth"] for pick in checks} == {"real"}
    assert not {pick.image for pick in checks} & {p.image for p in picks if not p.check}
    with pytest.raises(DataError, match="to make 100 attention checks"):
        small = make_pool(tmp_path, "small", subjects=10)
        draw_cases([small], Protocol(name="x", cases=4, attention_checks=100), (0, 0))


def test_too_few_images_is_a_sentence(tmp_path):
    pool = make_pool(tmp_path, synthetic=20)
    with pytest.raises(DataError, match="needs 50 synthetic images, and there are 20"):
        draw_cases([pool], Protocol(name="x"), (0, 0))
    with pytest.raises(DataError, match="needs 60 real images"):
        draw_cases([make_pool(tmp_path, "b", subjects=2)], Protocol(name="x", cases=120), (0, 0))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("seconds=0", "seconds"),
        ("sharee=[0.5,0.5]", "Did you mean 'share'?"),
        ("name=y", "Unknown key 'name'"),
        ("share=[0.6,0.4]", "least share"),
        ('questions=["tumour"]', "first question"),
        ("late=no answer", "no answer can be late"),
        ("confidence", "key=value"),
    ],
)
def test_a_protocol_that_cannot_be(change, sentence):
    with pytest.raises(RecipeError, match=sentence.replace("?", r"\?")):
        Protocol(name="x").set([change])


def test_a_protocol_of_ones_own(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text('{"cases": 30, "seconds": 5, "confidence": true}')
    assert read_protocol(path) == Protocol(name="mine", cases=30, seconds=5, confidence=True)
    path.write_text("[]")
    with pytest.raises(RecipeError, match="one JSON object"):
        read_protocol(path)
