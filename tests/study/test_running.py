"""A study is changed while it runs: readers come and go, links are replaced, all is paused."""

import csv
import json
import sqlite3
from collections import Counter
from types import SimpleNamespace

import pytest
from sqlalchemy import select

from conftest import blobs, write_slices
from mrgantry.common.errors import DataError
from mrgantry.study.cases import additions
from mrgantry.study.cases import create as creating
from mrgantry.study.cases.additions import STAGED, add_readers, recovered
from mrgantry.study.cases.create import create
from mrgantry.study.cases.pools import Sources
from mrgantry.study.database import store as stores
from mrgantry.study.database import tables
from mrgantry.study.database.store import Given
from mrgantry.study.protocol import Protocol
from mrgantry.study.running import address_of, halt, happened, readdress, relink, remove
from mrgantry.study.statistics.readings import read_answers, read_key
from mrgantry.study.statistics.score import score
from mrgantry.study.study import Reader, Study
from reading import URL, make_study

PROTOCOL = Protocol(name="small", cases=8, practice=2)
TIMED = Protocol(name="timed", seconds=10)


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets; it stands still otherwise."""
    one = SimpleNamespace(now=1_800_000_000.0)
    monkeypatch.setattr(stores.Clock, "now", lambda _: one.now)
    return one


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """Two sets that differ in nothing but their names; audits are for other tests."""
    audit = SimpleNamespace(model_dump=lambda: {})
    monkeypatch.setattr(creating, "audit_of", lambda *_: audit)
    people = [f"person{i // 4:02d}" for i in range(40)]
    write_slices(tmp_path / "real", blobs(40), people, ["test"] * 40)
    write_slices(tmp_path / "made", blobs(40, 16, 1), ["b"] * 40, [""] * 40, synthetic=True)
    return Sources("T1", tmp_path / "real", (tmp_path / "made",))


def make(tmp_path, sources, changes=(), **options):
    readers = [Reader(name="AB"), Reader(name="CD")]
    return create(tmp_path / "study", PROTOCOL.set(list(changes)), [sources], readers, **options)


def rows_of(study, table):
    store = study.store()
    with store.reading() as connection:
        rows = connection.execute(select(table)).mappings().all()
    store.engine.dispose()
    return rows


def links_of(study):
    with (study.folder / "links.csv").open() as file:
        return {row["name"]: row["link"] for row in csv.DictReader(file)}


def read_all(study, name):
    """Answer everything that a reader has, from the reader's link on."""
    store = study.store()
    reader = store.person_of(links_of(study)[name].partition("#")[2])
    while trial := store.current(reader):
        store.image(reader, trial.id, None)
        store.display(reader, trial.id)
        store.answer(reader, trial.id, Given("real"), None)
    store.engine.dispose()


def test_an_added_reader_sees_what_the_others_do(tmp_path, sources):
    study = make(tmp_path, sources)
    read_all(study, "AB")
    before = rows_of(study, tables.answers)
    added = add_readers(study.folder, [Reader(name="EF", group="neuro")], command="mrgantry x")
    assert [reader.name for reader in added.about.readers] == ["AB", "CD", "EF"]
    trials, people = rows_of(study, tables.trials), rows_of(study, tables.people)
    name = {person["id"]: person["name"] for person in people}
    cases = {n: [t for t in trials if name[t["reader"]] == n] for n in ("AB", "EF")}
    blocks = [{(t["block"], t["case_id"]) for t in rows} for rows in cases.values()]
    assert blocks[0] == blocks[1] and len(blocks[1]) == 10
    orders = [
        [t["case_id"] for t in sorted(rows, key=lambda t: t["number"])] for rows in cases.values()
    ]
    assert orders[0] != orders[1]
    assert rows_of(study, tables.answers) == before
    read_all(added, "EF")
    scored = score(study.folder, tmp_path / "scored")  # whose key and seals are whole
    assert scored.changed == () and Counter(scored.answers["reader"]) == {"AB": 8, "EF": 8}
    assert set(scored.answers.loc[scored.answers["reader"] == "EF", "group"]) == {"neuro"}
    [sentence] = happened(scored.study)
    assert sentence.startswith("EF was added on 20")


@pytest.mark.parametrize("same", ["true", "false"])
def test_an_added_reader_sees_images_twice_and_checks_as_the_others_do(tmp_path, sources, same):
    changes = [f"same_cases={same}", "shown_again=2", "attention_checks=2", "practice=0"]
    study = make(tmp_path, sources, changes)
    added = add_readers(study.folder, [Reader(name="EF")], block=[sources])
    for name in ("AB", "EF"):
        read_all(added, name)
    uses = score(study.folder, tmp_path / "scored").answers.groupby("reader")["use"].value_counts()
    assert uses["AB"].to_dict() == uses["EF"].to_dict()
    assert uses["EF"].sum() == 12 and sorted(uses["EF"].tolist()) == [2, 2, 8]


def test_an_added_reader_gets_cases_of_their_own_by_the_same_rules(tmp_path, sources):
    study = make(tmp_path, sources, ["same_cases=false"])
    key = tmp_path / "safe.csv"
    (study.folder / "key.csv").rename(key)
    old = read_key(study, key)
    with pytest.raises(DataError, match="--block NAME=REAL,SYNTHETIC for T1"):
        add_readers(study.folder, [Reader(name="EF")], key=key)
    added = add_readers(study.folder, [Reader(name="EF")], block=[sources], key=key)
    new = read_key(added, key)
    assert set(old["case"]) < set(new["case"]) and key.stat().st_mode & 0o777 == 0o600
    assert new["slice"].is_unique  # an image that others read has the id that it had
    assert set(new["case"]) == {row["id"] for row in rows_of(study, tables.cases)}
    read_all(added, "EF")
    store = added.store()
    answers = read_answers(added, store, new)
    store.engine.dispose()
    assert Counter(answers["truth"]) == {"real": 4, "synthetic": 4}
    people = [f"person{i // 4:02d}" for i in range(40)]
    write_slices(tmp_path / "other", blobs(40, 16, 5), people, ["test"] * 40)
    other = Sources("T1", tmp_path / "other", sources.synthetic)
    with pytest.raises(DataError, match="not those that the study was drawn from"):
        add_readers(study.folder, [Reader(name="GH")], block=[other], key=key)


def test_who_cannot_be_added(tmp_path, sources):
    study = make(tmp_path, sources)
    with pytest.raises(DataError, match="'AB' is named twice"):
        add_readers(study.folder, [Reader(name="AB")])
    with pytest.raises(DataError, match="at least one reader"):
        add_readers(study.folder, [])
    with pytest.raises(DataError, match="--key"):
        add_readers(study.folder, [Reader(name="EF")], key=tmp_path / "absent.csv")
    path = study.folder / "study.json"
    about = json.loads(path.read_text())
    path.write_text(json.dumps(about | {"protocol": about["protocol"] | {"margin": 0.3}}))
    with pytest.raises(DataError, match=r"changed: study\.json"):
        add_readers(study.folder, [Reader(name="EF")])
    assert len(rows_of(study, tables.people)) == 3


@pytest.mark.parametrize("at", range(6))
def test_adding_is_whole_or_not_at_all(tmp_path, sources, monkeypatch, at):
    """It is killed at each file that it writes, and once more between them."""
    study = make(tmp_path, sources)
    steps = iter(range(100))

    def killed(real):
        def call(*words, **options):
            if next(steps) == at:
                raise KeyboardInterrupt
            return real(*words, **options)

        return call

    for name in ("write_secret", "write_text", "decide"):
        monkeypatch.setattr(additions, name, killed(getattr(additions, name)))
    if at < 5:
        with pytest.raises(KeyboardInterrupt):
            add_readers(study.folder, [Reader(name="EF")])
    else:
        add_readers(study.folder, [Reader(name="EF")])
    monkeypatch.undo()
    recovered(study.folder)
    there = {row["name"] for row in rows_of(study, tables.people)}
    again = Study.open(study.folder)
    assert ("EF" in there) == ("EF" in links_of(study)) == (at > 1)
    assert {reader.name for reader in again.about.readers} == there - {"investigator"}
    assert len(read_key(again)) == 10 and not (study.folder / STAGED).exists()


def test_a_removed_reader_is_out_and_their_answers_stay(tmp_path):
    made = make_study(tmp_path / "s")
    reader = made.enter("anna").start()
    reader.answer(reader.show())
    assert remove(made.study.folder, "anna") == 1
    assert reader.get("/next").status_code == 401 and reader.answer("x").status_code == 401
    entry = made.client().post(
        "/enter", json={"token": made.tokens["anna"]}, headers={"Origin": URL}
    )
    assert entry.status_code == 401 and "new one" in entry.text
    anna, bo = made.enter("investigator").get("/progress").json()["readers"]
    assert (anna["removed"], anna["answered"], bo["removed"]) == (True, 1, False)
    sentence, _ = happened(made.study)  # and the display check, which start() fails
    assert "anna was removed on" in sentence and "count" in sentence
    with pytest.raises(DataError, match="before"):
        remove(made.study.folder, "anna")
    with pytest.raises(DataError, match="Did you mean 'anna'"):
        remove(made.study.folder, "ana")
    with pytest.raises(DataError, match="is no reader"):
        remove(made.study.folder, "investigator")


def test_a_new_link_replaces_the_old_one(tmp_path):
    made = make_study(tmp_path / "s")
    old, bo = made.enter("anna").start(), made.enter("bo").start()
    trial = old.show()
    link = relink(made.study.folder, "anna")
    assert links_of(made.study)["anna"] == link and link.startswith(f"{URL}/enter#")
    assert links_of(made.study)["bo"].endswith(made.tokens["bo"])
    assert old.answer(trial).status_code == 401 and bo.get("/next").status_code == 200
    assert made.store.person_of(made.tokens["anna"]) is None
    made.tokens["anna"] = link.partition("#")[2]
    again = made.enter("anna")
    assert again.get("/next").json()["trial"] == trial  # where the reader was
    remove(made.study.folder, "anna")
    assert again.get("/next").status_code == 401
    made.tokens["anna"] = relink(made.study.folder, "anna").partition("#")[2]
    assert made.enter("anna").answer(trial).json() == {"kept": "kept"}
    assert sum(link.count("anna") for link in links_of(made.study)) == 1


def test_a_new_link_opens_though_the_servers_clock_is_behind(tmp_path, clock):
    made = make_study(tmp_path / "s")
    clock.now += 3600
    made.tokens["anna"] = relink(made.study.folder, "anna").partition("#")[2]
    clock.now -= 3600
    assert made.enter("anna").get("/next").status_code == 200


def test_links_lead_to_another_address_with_the_tokens_they_had(tmp_path):
    made = make_study(tmp_path / "s")
    reader = made.enter("anna")
    assert readdress(made.study.folder, "https://example.org/study/") == 3
    assert address_of(made.study) == "https://example.org/study"  # of new links, too
    links = links_of(made.study)
    assert links == {n: f"https://example.org/study/enter#{t}" for n, t in made.tokens.items()}
    assert reader.get("/next").status_code == 200
    (made.study.folder / "links.csv").unlink()
    with pytest.raises(DataError, match="relink"):
        readdress(made.study.folder, "https://example.org")


def test_a_pause_is_a_page_and_takes_no_time(tmp_path, clock):
    made = make_study(tmp_path / "s", protocol=TIMED)
    anna, bo = made.enter("anna").start(), made.enter("bo").start()
    seen, loading = anna.show(), bo.get("/next").json()["trial"]
    clock.now += 4
    halt(made.study.folder)
    assert "The study is paused" in anna.page() and anna.get("/next").json() == {"page": "paused"}
    assert bo.get(f"/image/{loading}").status_code == 404
    assert anna.step("begin", part=1).status_code == 409
    assert made.enter("investigator").get("/progress").json()["paused"]
    clock.now += 3600
    halt(made.study.folder, resume=True)
    told = anna.get("/next").json()
    assert (told["trial"], told["remaining"], told["elapsed"]) == (seen, 6, 4)
    clock.now += 2
    assert anna.answer(seen).json() == {"kept": "kept"}
    halt(made.study.folder)
    halt(made.study.folder, resume=True)
    trial = anna.show()
    halt(made.study.folder)
    clock.now += 5
    assert anna.answer(trial).json() == {"kept": "kept"}  # who looks at an image may answer
    with made.store.reading() as connection:
        rows = connection.execute(select(tables.answers)).all()
    assert [(row.at - row.started, row.late) for row in rows] == [(6, False), (0, False)]
    with pytest.raises(DataError, match="is paused"):
        halt(made.study.folder)


def test_a_study_of_before_there_were_decisions_is_served(tmp_path):
    made = make_study(tmp_path / "s")
    made.store.engine.dispose()
    with sqlite3.connect(made.study.folder / "study.sqlite") as connection:
        connection.execute("DROP TABLE decisions")
    assert happened(made.study) == ()
    assert not made.study.store().is_halted()
    halt(made.study.folder)
    with pytest.raises(sqlite3.IntegrityError, match="only grows"):
        sqlite3.connect(made.study.folder / "study.sqlite").execute("DELETE FROM decisions")
