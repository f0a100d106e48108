"""A study's folder: what lies in it, what does not, and what is refused."""

import csv
import json
import sqlite3
import stat
from collections import Counter

import numpy as np
import pytest
from sqlalchemy import select

from conftest import blobs, write_slices
from mrgantry.common.errors import DataError, RecipeError, RunError
from mrgantry.common.files import fingerprint
from mrgantry.pages.study import write_study
from mrgantry.study.cases import create as creating
from mrgantry.study.cases.create import audited, create
from mrgantry.study.cases.pools import Sources
from mrgantry.study.database import tables
from mrgantry.study.database.backup import backup
from mrgantry.study.database.store import Given
from mrgantry.study.protocol import Protocol
from mrgantry.study.statistics import score as scoring
from mrgantry.study.statistics.codebook import codebook
from mrgantry.study.statistics.readings import read_answers, read_key
from mrgantry.study.statistics.score import score
from mrgantry.study.study import Reader, Study, read_readers

PROTOCOL = Protocol(name="small", cases=20, practice=4)
REAL_AUDIT, KNOWN = creating.audit_of, []
READERS = [Reader(name="AB", group="neuro", years=15), Reader(name="CD")]


@pytest.fixture(autouse=True)
def one_audit(monkeypatch):
    """Audit once for all tests but one: it takes seconds, and the images are the same."""

    def remembered(*words):
        if not KNOWN:
            KNOWN.append(REAL_AUDIT(*words))
        return KNOWN[0]

    monkeypatch.setattr(creating, "audit_of", remembered)


@pytest.fixture
def sources(tmp_path):
    """Two sets that differ in nothing but their names."""
    people = [f"person{i // 4:02d}" for i in range(80)]
    labels = ["yes" if i % 2 else "no" for i in range(80)]
    write_slices(tmp_path / "real", blobs(80, 16), people, ["test"] * 80, tumour=labels)
    write_slices(
        tmp_path / "made",
        blobs(60, 16, 1),
        ["block0"] * 60,
        [""] * 60,
        synthetic=True,
        tumour=labels[:60],
    )
    return Sources("T1", tmp_path / "real", (tmp_path / "made",))


def make(tmp_path, sources, protocol=PROTOCOL, name="study", **options):
    return create(tmp_path / name, protocol, [sources], READERS, **options)


def rows_of(store, table):
    with store.reading() as connection:
        return connection.execute(select(table)).mappings().all()


def test_key_and_database_belong_together(tmp_path, sources):
    study = make(tmp_path, sources)
    key = read_key(study)
    assert Counter(key["truth"]) == {"real": 12, "synthetic": 12}  # 20 and 4 for practice
    assert set(key.loc[key["truth"] == "synthetic", "subject"]) == {""}
    assert key.loc[key["truth"] == "real", "subject"].nunique() == 12
    store = study.store()
    cases = rows_of(store, tables.cases)
    assert {row["id"] for row in cases} == set(key["case"])
    trials = rows_of(store, tables.trials)
    assert len(trials) == 2 * 24  # both readers see the same
    assert Counter(row["part"] for row in trials) == {0: 8, 1: 40}
    store.engine.dispose()


def test_the_images_are_those_that_the_key_names(tmp_path, sources):
    study = make(tmp_path, sources)
    key = read_key(study).set_index("case")
    store = study.store()
    originals = {"real": blobs(80, 16), "made": blobs(60, 16, 1)}
    for row in rows_of(store, tables.cases):
        case = key.loc[row["id"]]
        number = int(case["slice"].rsplit("-", 1)[1])
        grey = np.frombuffer(row["grey"], np.uint8).reshape(16, 16)
        wanted = (originals[case["set"]][number, 0].astype(np.float32) + 1) * 127.5
        assert np.abs(grey - wanted)[wanted > 11].max() <= 0.51
        assert not grey[wanted < 10].any()  # the floor
    store.engine.dispose()


def test_nothing_but_the_key_tells_the_truth(tmp_path, sources):
    study = make(tmp_path, sources)
    store = study.store()
    assert rows_of(store, tables.truths) == []
    # Nothing about an image but its pixels, and random ids in random order.
    assert set(rows_of(store, tables.cases)[0]) == {"id", "height", "width", "grey"}
    ids = [row["id"] for row in rows_of(store, tables.cases)]
    assert ids == sorted(ids)
    store.engine.dispose()
    raw = (study.folder / "study.sqlite").read_bytes()
    for word in (b"synthetic", b"person0", b"made", b"real"):
        assert word not in raw
    about = (study.folder / "study.json").read_text()
    assert not any(case in about for case in ids)


def test_secrets_are_for_their_owner_alone(tmp_path, sources):
    study = make(tmp_path, sources, url="https://reading.example.org/")
    for name in ("key.csv", "links.csv", "study.sqlite"):
        assert stat.S_IMODE((study.folder / name).stat().st_mode) == 0o600
    with (study.folder / "links.csv").open() as file:
        links = list(csv.DictReader(file))
    assert [(link["name"], link["role"]) for link in links] == [
        ("AB", "reader"),
        ("CD", "reader"),
        ("investigator", "investigator"),
    ]
    store = study.store()
    for one in links:
        address, token = one["link"].split("#")
        assert address == "https://reading.example.org/enter" and len(token) == 32
        assert store.person_of(token).name == one["name"]
    store.engine.dispose()


def test_readers_can_have_cases_of_their_own(tmp_path, sources):
    study = make(tmp_path, sources, PROTOCOL.set(["same_cases=false"]))
    store = study.store()
    trials = rows_of(store, tables.trials)
    readers = {row["reader"] for row in trials}
    one, other = ({t["case_id"] for t in trials if t["reader"] == r} for r in readers)
    assert len(one) == len(other) == 24 and one != other
    store.engine.dispose()


def test_the_same_seed_draws_the_same_cases(tmp_path, sources):
    keys = [
        sorted(read_key(make(tmp_path, sources, name=name, seed=seed))["slice"])
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert keys[0] == keys[1] != keys[2]


def test_the_seed_does_not_tell_what_stands_where(tmp_path, sources):
    protocol = PROTOCOL.set(["share=[0.3, 0.7]"])
    orders = []
    for name in ("a", "b"):  # as if somebody made the study once more, to see the truth
        study = make(tmp_path, sources, protocol, name=name, seed=0)
        store, key = study.store(), read_key(study).set_index("case")
        trials = sorted(rows_of(store, tables.trials), key=lambda one: one["number"])
        ids = {p["id"]: p["name"] for p in rows_of(store, tables.people)}
        told = [(ids[t["reader"]], t["number"], key["truth"][t["case_id"]]) for t in trials]
        orders.append(sorted(told))
        store.engine.dispose()
    assert orders[0] != orders[1]


def test_a_teaching_study_has_its_key_within(tmp_path, sources):
    study = make(tmp_path, sources, kind="teaching")
    store = study.store()
    truths = {row["case_id"]: row["truth"] for row in rows_of(store, tables.truths)}
    key = read_key(study)
    assert truths == dict(zip(key["case"], key["truth"]))
    with pytest.raises(DataError, match="cannot be scored"):
        read_answers(study, store, key)
    store.engine.dispose()


def test_what_was_discarded_before_the_draw_is_told(tmp_path, sources):
    path = tmp_path / "made/about.json"
    about = json.loads(path.read_text())
    rules = ["discarded if far"]
    about["notes"] = {"selected": {"looked_at": 200, "kept": 60, "rules": rules}}
    path.write_text(json.dumps(about))
    block = make(tmp_path, sources).about.blocks[0]
    assert (block.synthetic[0].generated, block.synthetic[0].images) == (200, 60)
    assert block.synthetic[0].filter == "discarded if far"
    assert (block.real.images, block.real.subjects, block.split) == (80, 20, "test")


def test_trivial_cues_are_found(tmp_path, sources, monkeypatch):
    monkeypatch.setattr(creating, "audit_of", REAL_AUDIT)
    assert not any("beat" in line.lower() for line in audited(make(tmp_path, sources)))
    framed = blobs(60, 16, 1)
    framed[:, :, 0] = -0.5
    write_slices(tmp_path / "framed", framed, ["b"] * 60, [""] * 60, synthetic=True)
    study = make(tmp_path, Sources("T1", sources.real, (tmp_path / "framed",)), name="framed-study")
    assert any("border" in line for line in audited(study))


def answer(store, name, words):
    """Answer as many images as there are words."""
    reader = next(one for one in store.readers() if one.name == name)
    for word in words:
        trial = store.current(reader)
        store.image(reader, trial.id, None)
        store.display(reader, trial.id)
        assert store.answer(reader, trial.id, Given(word), None) == "kept"


def test_answers_are_joined_with_their_truth(tmp_path, sources):
    study = make(tmp_path, sources)
    store, key = study.store(), read_key(study)
    with pytest.raises(DataError, match="Nobody has answered"):
        read_answers(study, store, key)
    answer(store, "AB", ["real"] * 4 + ["synthetic"] * 20)
    answer(store, "CD", ["real"] * 9)
    found = read_answers(study, store, key)
    assert Counter(found["reader"]) == {"AB": 20, "CD": 5}  # without practice
    first = found[found["reader"] == "AB"]
    assert set(first["answer"]) == {"synthetic"} and set(first["block"]) == {"T1"}
    assert Counter(first["truth"]) == {"real": 10, "synthetic": 10}
    assert set(first["group"]) == {"neuro"} and set(first["years"]) == {15}
    truths = dict(zip(key["case"], key["truth"]))
    assert all(truths[row["case"]] == row["truth"] for _, row in found.iterrows())
    store.engine.dispose()


def test_what_was_drawn_can_be_scored(tmp_path, sources):
    labels = [("yes", "unclear", "no")[i % 3] for i in range(80)]
    people = [f"person{i // 4:02d}" for i in range(80)]
    unclear = tmp_path / "unclear"
    write_slices(unclear, blobs(80, 16), people, ["test"] * 80, tumour=labels)
    study = make(tmp_path, Sources("T1", unclear, sources.synthetic))
    assert "unclear" in set(read_key(study)["tumour"])
    store = study.store()
    answer(store, "AB", ["real"] * 24)
    store.engine.dispose()
    assert score(study.folder, tmp_path / "scored").analysis.trials == 20


def test_a_study_is_rehearsed_before_it_is_there(tmp_path, sources, monkeypatch):
    asks = ['questions=["truth","tumour"]', "confidence=true", "unknown=true", "reason=true"]
    late = ["seconds=5", "late=no answer", "share=[0.01, 0.01]", "same_cases=false", "practice=0"]
    for number, changes in enumerate(([], asks, [*asks, *late])):
        study = make(tmp_path, sources, PROTOCOL.set(changes), name=f"study{number}")
        store = study.store()
        assert not rows_of(store, tables.answers) and not rows_of(store, tables.displays)
        store.engine.dispose()
    make(tmp_path, sources, kind="teaching", name="taught")

    def unscorable(answers, *_):
        assert Counter(answers["reader"]) == {"AB": 20, "CD": 20}
        raise DataError("The tumour of an image is odd.")

    monkeypatch.setattr(scoring, "analyse", unscorable)
    with pytest.raises(DataError, match=r"rehearsal.*could not be scored.*tumour of an image"):
        make(tmp_path, sources)
    assert not (tmp_path / "study").exists()


def test_a_margin_that_score_would_refuse_is_refused_at_once():
    with pytest.raises(RecipeError, match="margin"):
        PROTOCOL.set(["margin=0.001"])


def test_a_backup_is_the_study(tmp_path, sources):
    study = make(tmp_path, sources)
    store = study.store()
    answer(store, "AB", ["real"] * 10)
    assert backup(study.folder, tmp_path / "copy.sqlite") == 10
    answer(store, "AB", ["real"] * 3)  # which the copy lacks
    copy = study.store(tmp_path / "copy.sqlite")
    assert len(rows_of(copy, tables.answers)) == 10 and len(rows_of(store, tables.answers)) == 13
    for table in (tables.cases, tables.trials, tables.people, tables.facts):
        assert rows_of(copy, table) == rows_of(store, table)
    answer(copy, "AB", ["synthetic"])  # it can be served
    copy.engine.dispose()
    store.engine.dispose()
    with pytest.raises(DataError, match="never written over"):
        backup(study.folder, tmp_path / "copy.sqlite")


def folder_of(path):
    return {one.name: one.read_bytes() for one in path.iterdir()}


@pytest.mark.parametrize("place", ["a folder", "read-only", "another name"])
def test_a_backup_is_scored_and_not_changed(tmp_path, sources, place, monkeypatch):
    study = make(tmp_path, sources)
    store = study.store()
    answer(store, "AB", ["real"] * 24)
    store.engine.dispose()
    copies = tmp_path / ("a?b%20#c" if place == "another name" else "copies")
    copies.mkdir()
    backup(study.folder, copies / "monday.sqlite")
    (copies / "monday.sqlite").chmod(0o400)
    before = folder_of(copies)
    if place == "read-only":
        copies.chmod(0o500)
        disk = type("Disk", (), {"mountpoint": str(copies), "fstype": "nfs4"})  # reading is safe
        monkeypatch.setattr(tables.psutil, "disk_partitions", lambda all: [disk])
    found = score(study.folder, tmp_path / "scored", database=copies / "monday.sqlite")
    copies.chmod(0o700)
    assert found.analysis.trials == 20 and folder_of(copies) == before


def test_a_study_on_a_disk_that_cannot_be_written_is_scored(tmp_path, sources, monkeypatch):
    """SQLite makes files beside a database that it reads, unless it is told that it cannot."""
    study = make(tmp_path, sources)
    store = study.store()
    answer(store, "AB", ["real"] * 24)
    store.engine.dispose()
    assert not list(study.folder.glob("study.sqlite-*"))

    def unwritable(*_, **__):
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr(tables.sqlite3, "connect", unwritable)
    assert score(study.folder, tmp_path / "scored").analysis.trials == 20
    (study.folder / "study.sqlite-wal").write_bytes(b"answers that are not in it yet")
    with pytest.raises(DataError, match=r"study\.sqlite-wal.*disk that can be written"):
        score(study.folder, tmp_path / "again")


def test_a_corrupt_database_is_told(tmp_path, sources):
    study = make(tmp_path, sources)
    store = study.store()
    answer(store, "AB", ["real"] * 24)
    store.engine.dispose()
    path = study.folder / "study.sqlite"
    data = bytearray(path.read_bytes())
    for start in range(3 * 4096, len(data), 2 * 4096):
        data[start : start + 2048] = b"\x5a" * 2048
    path.write_bytes(data)
    for use in (
        lambda: score(study.folder, tmp_path / "scored"),
        lambda: backup(study.folder, tmp_path / "copy.sqlite"),
    ):
        with pytest.raises(DataError, match=r"study\.sqlite is damaged, take a backup"):
            use()
    assert not (tmp_path / "copy.sqlite").exists()


def test_a_full_disk_is_told(tmp_path, sources):
    resource = pytest.importorskip("resource")
    study = make(tmp_path, sources)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(DataError, match=r"copy\.sqlite cannot be written"):
            backup(study.folder, tmp_path / "copy.sqlite")
        with pytest.raises(DataError, match="cannot be written"):
            make(tmp_path, sources, name="other")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (tmp_path / "copy.sqlite").exists() and not (tmp_path / "other").exists()
    assert backup(study.folder, tmp_path / "copy.sqlite") == 0


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_no_table_holds_a_formula(tmp_path, sources):
    write_slices(tmp_path / "@set", blobs(80, 16), ["-p"] * 80, ["test"] * 80)
    block = Sources("=cmd|' /C calc'!A0", tmp_path / "@set", sources.synthetic)
    readers = [Reader(name="=1+1", group="@x"), Reader(name="＝2")]
    study = create(tmp_path / "study", PROTOCOL, [block], readers)
    store = study.store()
    answer(store, "=1+1", ["real"] * 24)
    store.engine.dispose()
    scored = score(study.folder, tmp_path / "scored")
    write_study(tmp_path / "scored", study, scored.answers, scored.analysis)
    written = [study.folder / "key.csv", study.folder / "links.csv"]
    for path in [*written, *(tmp_path / "scored").glob("*.csv")]:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        numbers = [
            value for row in rows for value in row.values() if value and value[0] in "=+-@\t\r＝"
        ]
        assert all(number_of(value) is not None for value in numbers), path


def number_of(text):
    try:
        return float(text)
    except ValueError:
        return None


def test_what_was_changed_since_the_draw_is_told(tmp_path, sources):
    (tmp_path / "consent.md").write_text("# Agree\n")
    study = make(tmp_path, sources, consent=tmp_path / "consent.md")
    store = study.store()
    answer(store, "AB", ["real"] * 24)
    store.engine.dispose()

    def changed():
        return score(study.folder, tmp_path / "scored").changed

    assert changed() == ()
    about = json.loads((study.folder / "study.json").read_text())
    (study.folder / "study.json").write_text(json.dumps(about))  # laid out anew, nothing more
    assert changed() == ()
    change(study.folder / "study.json", protocol=about["protocol"] | {"margin": 0.2})
    [sentence] = changed()
    assert "study.json" in sentence and "margin" in sentence
    (study.folder / "cues.json").unlink()
    (study.folder / "consent.md").write_text("# Agree to more\n")
    assert [one.split()[0] for one in changed()] == ["study.json", "cues.json", "consent.md"]


def test_a_study_that_was_made_before_seals_is_scored(tmp_path, sources):
    study = make(tmp_path, sources)
    store = study.store()
    answer(store, "AB", ["real"] * 24)
    store.engine.dispose()
    lines = (study.folder / "key.csv").read_text().splitlines(keepends=True)
    text = "".join(line for line in lines if "seal" not in line)
    (study.folder / "key.csv").write_text(text)
    change(study.folder / "study.json", key_fingerprint=fingerprint([text]))
    assert score(study.folder, tmp_path / "scored").changed == ()


def test_a_renamed_reader_is_told(tmp_path, sources):
    study = make(tmp_path, sources)
    store = study.store()
    answer(store, "AB", ["real"] * 24)
    store.engine.dispose()
    change(study.folder / "study.json", readers=[{"name": "Anna B"}, {"name": "CD"}])
    with pytest.raises(DataError, match=r"answers of AB.*study\.json.*Anna B, CD"):
        score(study.folder, tmp_path / "scored")


def test_a_key_that_a_spreadsheet_saved(tmp_path, sources):
    study = make(tmp_path, sources)
    path, key = study.folder / "key.csv", read_key(study)
    text = path.read_text()
    for saved in (
        "\ufeff" + text.replace(",", ";").replace("\n", "\r\n"),
        text.replace("\n", "\r\n"),
    ):
        path.write_bytes(saved.encode())
        assert read_key(study).equals(key)
    path.write_bytes(("\ufeff" + text.replace(",", "\t")).encode("utf-16"))
    assert read_key(study).equals(key)
    case = key["case"].iloc[0]
    path.write_text(text.replace(case, "1.23457E+15"))
    with pytest.raises(DataError, match="is not the key.*spreadsheet"):
        read_key(study)
    path.write_bytes(b"\xff\x00\xd0\xcf" * 99)
    with pytest.raises(DataError, match="is not the key"):
        read_key(study)


def test_a_key_of_another_study_is_refused(tmp_path, sources):
    study, other = make(tmp_path, sources), make(tmp_path, sources, name="other")
    with pytest.raises(DataError, match="is not the key"):
        read_key(study, other.folder / "key.csv")
    with pytest.raises(DataError, match="--key"):
        read_key(study, tmp_path / "absent.csv")
    text = (study.folder / "key.csv").read_text()
    (study.folder / "key.csv").write_text(text.replace("synthetic", "real", 1))
    with pytest.raises(DataError, match="is not the key"):
        read_key(study)


def test_a_study_is_never_made_over_and_never_half(tmp_path, sources):
    make(tmp_path, sources)
    with pytest.raises(DataError, match="never made over"):
        make(tmp_path, sources)
    with pytest.raises(DataError, match="consent"):
        make(tmp_path, sources, name="other", consent=tmp_path / "absent.md")
    assert not (tmp_path / "other").exists()
    assert not list(tmp_path.glob(".*"))


def test_readers_are_not_shown_people_whom_the_generator_has_seen(tmp_path, sources):
    made = sources.synthetic[0]
    path = made / "about.json"
    about = json.loads(path.read_text())
    path.write_text(json.dumps(about | {"training_subjects": ["person03", "somebody else"]}))
    with pytest.raises(DataError, match="has seen person03 of the test split of .*1 such person"):
        make(tmp_path, sources, against="test")


def test_sets_that_will_not_do(tmp_path, sources):
    real, made = sources.real, sources.synthetic[0]
    write_slices(tmp_path / "small", blobs(60, 8), ["b"] * 60, [""] * 60, synthetic=True)
    unlabelled = write_slices(tmp_path / "x", blobs(60), ["b"] * 60, [""] * 60, synthetic=True)
    for blocks, sentence in (
        ([], "at least one block"),
        ([sources, sources], "named twice"),
        ([Sources("T1", made, (made,))], "is synthetic; the first"),
        ([Sources("T1", real, (real,))], "is not a synthetic set"),
        ([Sources("T1", real, (tmp_path / "small",))], "they must be alike"),
        ([Sources("T1", real, (tmp_path / "absent",))], "is not a set of slices"),
    ):
        with pytest.raises(DataError, match=sentence):
            create(tmp_path / "study", PROTOCOL, blocks, READERS, against="all")
    asks = PROTOCOL.set(['questions=["truth","tumour"]'])
    with pytest.raises(DataError, match="no image of .* is labelled"):
        make(tmp_path, Sources("T1", real, (unlabelled.folder,)), asks)
    with pytest.raises(RunError, match="must read like https"):  # before links bear it
        make(tmp_path, sources, url="reading.example.org")
    with pytest.raises(DataError, match="at least one reader"):
        create(tmp_path / "study", PROTOCOL, [sources], [])
    with pytest.raises(DataError, match="is synthetic; the first"):
        make(tmp_path, Sources("T1", made, (real,)), against="test")
    with pytest.raises(DataError, match="no images in the split"):
        make(tmp_path, sources, against="train")
    with pytest.raises(DataError, match="must read NAME=REAL,SYNTHETIC"):
        Sources.parse("T1=real")
    assert Sources.parse("T1=a,b,c").synthetic[1].name == "c"


def test_readers_come_from_a_table(tmp_path):
    path = tmp_path / "readers.csv"
    path.write_text("name,group,years\nAB,neuro,15\nCD,,\n")
    assert read_readers(path) == READERS
    path.write_text("name,years\nAB,many\n")
    with pytest.raises(RecipeError, match="'years' of the row 1"):
        read_readers(path)
    path.write_text("reader\nAB\n")
    with pytest.raises(DataError, match="must have the columns"):
        read_readers(path)
    with pytest.raises(DataError, match="not a readable table"):
        read_readers(tmp_path / "absent.csv")


def test_readers_come_from_a_spreadsheet(tmp_path):
    path = tmp_path / "readers.csv"
    path.write_bytes("\ufeffname;group;years\r\nMü;neuro;3,5\r\n;;\r\n".encode())
    assert read_readers(path) == [Reader(name="Mü", group="neuro", years=3.5)]
    path.write_bytes("name;group\r\nMü;neuro\r\n".encode("cp1252"))
    with pytest.raises(DataError, match="CSV UTF-8"):
        read_readers(path)


def test_a_folder_that_is_no_study(tmp_path):
    with pytest.raises(DataError, match="is not a reader study"):
        Study.open(tmp_path)


def test_repeats_and_checks_are_shown_and_scored_apart(tmp_path, sources):
    protocol = PROTOCOL.set(["shown_again=3", "attention_checks=2"])
    study = create(tmp_path / "again", protocol, [sources], READERS)
    key = read_key(study)
    checks = key[key["set"] == "attention check"]
    assert len(checks) == 2 and set(checks["truth"]) == {"synthetic"}
    assert set(checks["subject"]) == {""} and len(key) == 26
    store = study.store()
    trials = rows_of(store, tables.trials)
    assert len(trials) == 2 * (4 + 20 + 3 + 2)
    answer(store, "AB", ["real"] * 29)
    store.engine.dispose()
    scored = score(study.folder, tmp_path / "scored")
    uses = Counter(scored.answers["use"])
    assert uses == {"counts": 20, "again": 3, "check": 2}
    assert scored.analysis.readings[0].accuracy.n == 20
    (conduct,) = scored.analysis.conducts
    assert (conduct.checks.k, conduct.checks.n) == (0, 2) and conduct.with_oneself.same.k == 3
    write_study(tmp_path / "scored", scored.study, scored.answers, scored.analysis)
    page = (tmp_path / "scored/study.html").read_text()
    assert "Answers that look careless" in page and "0 of 2 attention checks are right" in page
    assert "Reading is not finished" in page  # of CD, and not of AB
    assert "AB (" not in page.partition("Answers so far")[2].partition("</p>")[0]


def test_the_codebook_explains_every_column(tmp_path, sources):
    study = make(tmp_path, sources)
    store = study.store()
    answer(store, "AB", ["real"] * 24)
    store.engine.dispose()
    score(study.folder, tmp_path / "scored")
    with (tmp_path / "scored/answers.csv").open() as file:
        head = next(csv.reader(file))
    with (tmp_path / "scored/codebook.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["column"] for row in rows] == head
    assert all(row["meaning"].endswith(".") and row["values"] for row in rows)
    units = {row["column"]: row["unit"] for row in rows}
    assert units["response_s"] == "seconds" and units["years"] == "years"
    values = {row["column"]: row["values"] for row in rows}
    assert values["answer"] == "real; synthetic" and "does not ask" in values["confidence"]
    asked = Protocol(
        name="x", unknown=True, confidence=True, seconds=5, late="no answer",
        questions=("truth", "tumour"),
    )  # fmt: skip
    values = {row.column: row for row in codebook(asked)}
    assert values["answer"].values == ("real; synthetic; unknown (cannot tell); none (not in time)")
    assert "5 s" in values["late"].meaning and values["confidence"].values.startswith("1 (least)")
