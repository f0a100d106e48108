"""What is read from the folders of a reproduction, with answers of known truth."""

import pytest
from sqlalchemy import insert, select

from conftest import blobs, write_slices
from mrgantry.papers import find_study
from mrgantry.study.cases.create import create
from mrgantry.study.cases.pools import Sources
from mrgantry.study.database.tables import answers, displays, sendings, trials
from mrgantry.study.study import Reader, Study
from mrgantry.workflows.reproduce import score_answers, unread
from mrgantry.workflows.results import (
    labelled,
    lasting,
    quiz_command,
    reader_study,
    readers_to_come,
)
from mrgantry.workflows.work import Work


@pytest.fixture
def work(tmp_path):
    """A reproduction whose reader study lies there, for one reader of four images."""
    subjects = [f"s{number}" for number in range(12)]
    write_slices(tmp_path / "real", blobs(12), subjects, ["test"] * 12)
    write_slices(tmp_path / "net", blobs(12, seed=1), ["g"] * 12, [""] * 12, synthetic=True)
    study = find_study("kazuhiro2018")
    protocol = study.reading.protocol.set(["cases=4", "practice=0"])
    blocks = [Sources("T1", tmp_path / "real", (tmp_path / "net",))]
    create(tmp_path / "out/study", protocol, blocks, [Reader(name="R1")])
    return Work(study, tmp_path / "out", None)


def test_slices_are_counted_by_split_and_label(tmp_path):
    subjects = [f"s{number}" for number in range(7)]
    splits = ["train"] * 3 + ["test"] * 4
    tumour = ["yes", "yes", "no", "yes", "no", "no", "unknown"]
    data = write_slices(tmp_path / "slices", blobs(7), subjects, splits, tumour=tumour)
    assert labelled(data) == (
        "with a tumour and without: 2 and 1 to train on, 0 and 0 to validate, 1 and 2 to test"
    )


def test_times_are_in_the_unit_that_fits():
    assert [lasting(spent) for spent in (0.4, 1.2, 59.4, 90, 7200)] == [
        "0 seconds", "1 second", "59 seconds", "1.5 minutes", "2.0 hours"
    ]  # fmt: skip


def test_the_command_of_the_quiz_speaks_as_the_paper_does(tmp_path):
    work = Work(find_study("kazuhiro2018").at("smoke"), tmp_path, None)
    assert quiz_command(work).endswith(
        "--cases 20 --title 'Real or created?' --synthetic-word created --against train"
    )


def answer(folder, said="real"):
    """Answer all images alike."""
    store = Study.open(folder).store()
    with store.engine.begin() as connection:
        for row in connection.execute(select(trials)).all():
            connection.execute(insert(sendings), {"trial": row.id, "at": 1.0})
            connection.execute(insert(displays), {"trial": row.id, "at": 1.0})
            values = {"trial": row.id, "reader": row.reader, "truth": said, "tumour": ""}
            values |= {"confidence": None, "reason": "", "late": False, "started": 1.0, "at": 2.0}
            connection.execute(insert(answers), values | {"client_seconds": 1.0})
    store.engine.dispose()


def scored(work):
    score_answers(work)
    return reader_study(work)


def test_before_anybody_has_read_the_key_may_lie_elsewhere(work):
    (work.out / "study/key.csv").rename(work.out / "key.csv")
    assert readers_to_come(work.out / "study") == "1 place for readers to come, 1 block of 4 images"
    assert readers_to_come(work.out / "other") == "none"
    assert unread(work)
    found = reader_study(work)
    assert found.ready and found.analysis is None and found.unscored == ""
    assert found.serve == f"mrgantry study serve {work.out / 'study'}"
    assert found.seats[0] == (
        "R1: neuroradiologists; in the paper a neuroradiologist of 15 years or more"
    )


def test_answers_are_scored_with_the_key_wherever_it_lies(work):
    answer(work.out / "study")
    (work.out / "study/key.csv").rename(work.out / "away.csv")
    assert not unread(work)
    found = scored(work)
    assert found.analysis is None and "cannot be read" in found.unscored
    assert "--key" in found.unscored
    found = scored(Work(work.study, work.out, None, work.out / "away.csv"))
    (reading,) = found.analysis.readings
    counts = reading.confusion
    assert counts.rr + counts.sr == 4 and counts.rs == counts.ss == 0 and found.unscored == ""
    page = (work.out / "scored/study.html").read_text()
    assert f"--key {work.out / 'away.csv'}" in page
    (work.out / "away.csv").rename(work.out / "study/key.csv")
    (work.out / "study/key.csv").write_text("case,truth\n")
    assert "is not the key" in scored(work).unscored
