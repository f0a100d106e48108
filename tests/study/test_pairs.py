"""Pairs of a real and a synthetic image: drawn, shown, answered and scored."""

from collections import Counter

import numpy as np
import pytest

from answers import answers_of
from conftest import blobs, write_slices
from mrgantry.common.errors import DataError, RecipeError
from mrgantry.pages.study import write_study
from mrgantry.papers import find_protocol
from mrgantry.study.cases import create as creating
from mrgantry.study.cases.additions import add_readers
from mrgantry.study.cases.cases import Cases
from mrgantry.study.cases.create import create
from mrgantry.study.cases.draw import PRACTICE, draw_cases
from mrgantry.study.cases.pools import Sources
from mrgantry.study.cases.shown import beside
from mrgantry.study.protocol import SIDES, TRUTHS, Protocol
from mrgantry.study.server.asked import Answered
from mrgantry.study.statistics.analysis import analyse
from mrgantry.study.statistics.readings import read_key
from mrgantry.study.statistics.score import score
from mrgantry.study.study import Reader
from reading import Made
from reading import Reader as ReaderAt

PAIRS = Protocol(name="pairs", pairs=True, cases=20, practice=2, confidence=True)


@pytest.fixture
def sources(tmp_path):
    """Real slices that are bright, synthetic ones that are dark, of two sequences."""
    for name, synthetic in (("real", False), ("made", True)):
        images = 0.2 * blobs(80, 16, int(synthetic)) + np.float16(-0.3 if synthetic else 0.3)
        people = ["block0"] * 80 if synthetic else [f"p{row // 4:02d}" for row in range(80)]
        splits = [""] * 80 if synthetic else ["test"] * 80
        write_slices(tmp_path / name, images, people, splits, synthetic=synthetic)
    return Sources("T1", tmp_path / "real", (tmp_path / "made",))


def pool_of(sources, sequences=("t1",)):
    pool = creating.open_pool(sources, PAIRS, "test", ())
    pool.rows["sequence"] = [sequences[row % len(sequences)] for row in range(len(pool.rows))]
    return pool


def test_pairs_are_of_one_kind_and_show_no_image_twice(sources):
    pool = pool_of(sources, ("t1", "t2"))
    picks = draw_cases([pool], PAIRS, (0, 0))
    rows = pool.rows
    assert Counter(pick.block for pick in picks) == {0: 20, PRACTICE: 2}
    assert {rows.loc[pick.row, "truth"] for pick in picks} == {"real"}
    assert {rows.loc[pick.beside, "truth"] for pick in picks} == {"synthetic"}
    for pick in picks:
        assert rows.loc[pick.row, "sequence"] == rows.loc[pick.beside, "sequence"]
    used = [row for pick in picks for row in (pick.row, pick.beside)]
    assert len(set(used)) == 44
    assert Counter(pick.side for pick in picks if pick.block == 0) == {"left": 10, "right": 10}


def test_without_practice(sources):
    protocol = PAIRS.model_copy(update={"practice": 0})
    assert len(draw_cases([pool_of(sources)], protocol, (0, 0))) == 20


def test_the_side_does_not_follow_from_the_seed(sources):
    pool = pool_of(sources)
    drawn = [draw_cases([pool], PAIRS, (0, 0), (secret,)) for secret in (1, 2)]
    assert [pick.row for pick in drawn[0]] == [pick.row for pick in drawn[1]]
    assert [pick.side for pick in drawn[0]] != [pick.side for pick in drawn[1]]


def test_a_pair_shows_what_its_key_says(sources):
    pool = pool_of(sources)
    protocol = PAIRS.model_copy(update={"attention_checks": 3})
    picks = draw_cases([pool], protocol, (0, 0))
    cases = Cases.of([pool], [[picks]], protocol)
    grey = {row["id"]: row for row in cases.rows}
    assert len(cases.key) == 25
    for row in cases.key:
        shape = grey[row["case"]]["height"], grey[row["case"]]["width"]
        assert shape == (16, 36)  # two of 16, and a strip between
        pixels = np.frombuffer(grey[row["case"]]["grey"], np.uint8).reshape(shape)
        left, right = pixels[:, :16], pixels[:, 20:]
        assert not pixels[:, 16:20].any()
        if row["set"] == "attention check":
            assert np.array_equal(np.sort(left, axis=None), np.sort(right, axis=None))
            continue
        brighter = "left" if left.mean() > right.mean() else "right"
        assert row["truth"] == brighter and row["set"] == "real | made"
        assert row["slice"].endswith(row["truth"])


def test_beside_keeps_both_images():
    left, right = np.full((8, 8), 10, np.uint8), np.full((8, 8), 20, np.uint8)
    pair = beside(left, right)
    assert pair.shape == (8, 20) and (pair[:, :8] == 10).all() and (pair[:, 12:] == 20).all()


def test_a_pair_is_answered_by_a_side():
    for truth, fits in (("left", True), ("right", True), ("real", False), ("unknown", False)):
        sure = 3 if truth in SIDES else None
        assert Answered(trial="x", truth=truth, confidence=sure).fits(PAIRS) is fits
    assert not Answered(trial="x", truth="left").fits(Protocol(name="single"))


@pytest.mark.parametrize("change", ['questions=["truth","tumour"]', "share=[0.4,0.6]"])
def test_what_pairs_cannot_ask(change):
    with pytest.raises(RecipeError, match="no more is asked than which"):
        PAIRS.set([change])


def test_the_protocol_has_a_name():
    assert find_protocol("two-alternative").alternatives == SIDES
    assert find_protocol("han2018").alternatives == TRUTHS


def test_from_two_sets_to_a_page(sources, tmp_path):
    """A reader who sees it, and one who says "left"; a third comes later."""
    people = [Reader(name="sees"), Reader(name="leans")]
    study = create(tmp_path / "study", PAIRS, [sources], people)
    study = add_readers(tmp_path / "study", [Reader(name="late")])
    key = read_key(study)
    truths = dict(zip(key["case"], key["truth"], strict=True))
    store = study.store()
    with store.reading() as connection:
        cases = dict(connection.exec_driver_sql("SELECT id, case_id FROM trials").all())
    with (tmp_path / "study/links.csv").open() as file:
        lines = [line.strip().split(",") for line in file][1:]
    tokens = {name: link.partition("#")[2] for name, _, link in lines}
    made = Made(study, store, tokens, {}, {})
    for name in ("sees", "leans", "late"):
        reader = ReaderAt(made, made.client(), name).start()
        while (told := reader.get("/next").json())["page"] != "thanks":
            if told["page"] != "reading":
                reader.begin()
                continue
            trial = reader.show()
            assert reader.answer(trial, "real", confidence=5).status_code == 422
            right = truths[cases[trial]]
            said = right if name == "sees" else "left"
            assert reader.post("/chosen", {"trial": trial, "truth": "real"}).status_code == 422
            assert reader.answer(trial, said, confidence=5).json()["kept"] == "kept"
    scored = score(tmp_path / "study", tmp_path / "scored", draws=50)
    _, leans, sees = scored.analysis.forced_choices  # by name
    assert (sees.right.k, sees.right.n, sees.d_prime.value) == (20, 20, None)
    assert (leans.right.k, leans.said_left.value, leans.d_prime.value) == (10, 1.0, 0.0)
    assert leans.right_left.value == 1.0 and leans.right_right.value == 0.0
    assert [conduct.most_given for conduct in scored.analysis.conducts][:2] == ["left", "left"]
    assert not (tmp_path / "scored/imrmc.txt").exists()
    write_study(
        tmp_path / "scored",
        scored.study,
        scored.answers,
        scored.analysis,
        pictures=scored.pictures,
    )
    page = (tmp_path / "scored/study.html").read_text()
    assert "can readers tell which is real?" in page and "Pairs whose synthetic image" in page
    assert "two-alternative forced choice" in page
    assert "fool rate" not in page.lower() and "criterion c" not in page
    assert "right_value" in (tmp_path / "scored/readings.csv").read_text()


def test_analysis_knows_sides_only_where_they_are_meant():
    pairs = answers_of((40, 10, 20, 30)).replace({"real": "left", "synthetic": "right"})
    found = analyse(pairs, draws=10, alternatives=SIDES)
    choice = found.forced_choices[0]
    assert (choice.right.k, choice.right.n) == (70, 100)
    assert choice.d_prime.value == pytest.approx(0.7416, abs=1e-3)  # √2 z(0.7)
    assert analyse(answers_of((40, 10, 20, 30)), draws=10).forced_choices == ()
    with pytest.raises(DataError, match="is no side"):
        analyse(answers_of((40, 10, 20, 30)), draws=10, alternatives=SIDES)
    with pytest.raises(DataError, match="one of 'real', 'synthetic'"):
        analyse(pairs, draws=10)
