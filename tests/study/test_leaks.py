"""Nothing that a reader's browser gets, but the pixels, depends on which image is real."""

import io
import sys
import time

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from mrgantry.study.database.tables import truths
from reading import make_study

OPENED: list[str] = []


def _note(event: str, details: tuple) -> None:
    if event == "open":
        OPENED.append(str(details[0]))


sys.addaudithook(_note)  # for good: hooks cannot be taken off


def unlike(count: int) -> np.ndarray:
    """Draw noise, which compresses badly, and smooth ramps, which compress well, in turns."""
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (count, 24, 24), dtype=np.uint8)
    images[1::2] = np.arange(24, dtype=np.uint8) * random.integers(1, 10, (count // 2, 1, 1))
    return images


def read_all(folder, each: int):
    """Read a study of so many real and synthetic images; give all that came with each."""
    parts = (0, 2 * each)
    made = make_study(folder, readers=("anna",), parts=parts, images=unlike(2 * each))
    before = b"".join(p.read_bytes() for p in folder.glob("study.sqlite*"))
    OPENED.clear()
    reader = made.enter("anna").start()
    rows = []
    for _ in range(2 * each):
        told = reader.get("/next")
        trial = told.json()["trial"]
        begun = time.perf_counter()
        sent = reader.client.get(f"/image/{trial}")
        taken = time.perf_counter() - begun
        reader.post("/display", {"trial": trial})
        answered = reader.answer(trial, "real")
        rows.append((trial, told, sent, taken, answered))
    return made, before, rows, list(OPENED)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    return read_all(tmp_path_factory.mktemp("leaks") / "s", 8)


def _row(trial, told, sent, taken, answered) -> list[float]:
    facts = told.json()
    sizes = [len(one.content) for one in (told, sent, answered)]
    heads = [sum(map(ord, f"{k}{v}")) for one in (told, sent) for k, v in one.headers.items()]
    place = [facts["number"], facts["place"], facts["of"], facts["number"] % 2]
    return [*bytes.fromhex(trial), *sizes, sum(heads), len(heads), *place, taken]


@pytest.mark.slow
def test_a_classifier_given_all_but_the_pixels_guesses(tmp_path):
    made, _, rows, _ = read_all(tmp_path / "s", 100)
    truth = np.array([made.truth_of(trial) == "real" for trial, *_ in rows])
    forest = RandomForestClassifier(200, random_state=0)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    called = cross_val_predict(forest, np.array([_row(*row) for row in rows]), truth, cv=folds)
    right = int((called == truth).sum())
    # The bound is wide, since a test that is random must not fail by chance.
    assert binomtest(right, len(rows), 0.5).pvalue > 1e-4, f"{right} of {len(rows)}"
    # And that a leak would be found: compressed files tell the two apart.
    leaky = [[*_row(*row), len(_compressed(row[2].content))] for row in rows]
    called = cross_val_predict(forest, np.array(leaky), truth, cv=folds)
    assert (called == truth).mean() > 0.95


def _compressed(data: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(data)).save(buffer, "PNG")
    return buffer.getvalue()


def test_all_images_come_with_the_same_headers_and_length(session):
    _, _, rows, _ = session
    assert len({len(sent.content) for _, _, sent, *_ in rows}) == 1
    assert len({tuple(sent.headers.items()) for _, _, sent, *_ in rows}) == 1
    assert len({tuple(told.headers) for _, told, *_ in rows}) == 1


def test_the_server_opens_no_key(session):
    made, _, _, opened = session
    assert (made.study.folder / "key.csv").is_file() and (made.study.folder / "links.csv").is_file()
    assert not [name for name in opened if name.endswith(".csv")]
    (made.study.folder / "key.csv").read_bytes()
    assert OPENED[-1].endswith("key.csv")  # the hook would have seen it


def test_a_blinded_database_knows_no_truth(session):
    made, before, _, _ = session
    with made.store.reading() as connection:
        assert not connection.execute(truths.select()).all()
    # Words of the schema apart, neither class is named before anybody answers.
    words = before.replace(b"already", b"")
    assert b"synthetic" not in words and b"real" not in words
