"""The readers' way from the first page to the last, and that no answer is lost or changed."""

import io
import itertools
import re
import socket
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import func, insert, select
from sqlalchemy.exc import DBAPIError, OperationalError

from mrgantry.common.errors import DataError, RunError
from mrgantry.study.database import store as stores
from mrgantry.study.database.tables import answers, events, sendings
from mrgantry.study.protocol import Protocol
from mrgantry.study.running import happened
from mrgantry.study.server.app import NOTED
from mrgantry.study.server.display import DARK, LIGHT, arranged
from mrgantry.study.server.serve import serve
from reading import BOSS, SCREEN, make_study

TIMED = Protocol(name="timed", seconds=10)
DROPPED = Protocol(name="dropped", seconds=10, late="no answer", questions=("truth", "tumour"))


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets; it stands still otherwise."""

    one = SimpleNamespace(now=1_800_000_000.0)
    monkeypatch.setattr(stores.Clock, "now", lambda _: one.now)
    return one


def kept(made, *columns):
    with made.store.reading() as connection:
        return connection.execute(select(*(columns or (answers,)))).all()


def test_the_whole_way(tmp_path):
    consent = (
        "# Information\n\n- voluntary\n\n<script>no</script> ![x](https://elsewhere.org/x.png)"
    )
    made = make_study(tmp_path / "s", parts=(2, 2, 3), consent=consent)
    reader = made.enter("anna")
    assert "Welcome" in reader.page() and "5 brain MR images in 2 parts" in reader.page()
    assert "2 images for practice" in reader.page()
    reader.step("welcome")
    assert "<li>voluntary</li>" in reader.page()
    assert "<script>no" not in reader.page() and "<img" not in reader.page()
    assert reader.step("consent").status_code == 422  # the box is not ticked
    reader.step("decline")
    assert "not to take part" in reader.page()
    assert reader.step("consent", agreed=True).status_code == 409
    reader.step("reconsider")
    reader.step("consent", agreed=True)
    assert "What to do" in reader.page()
    reader.step("instructions")
    assert reader.get("/next").json() == {"page": "display"}
    reader.step("display", screen=SCREEN, dark=[0, 1], light=[])
    assert "does not count" in reader.page()
    for part, count, title in ((0, 2, "Practice"), (1, 2, "Part 1 of 2"), (2, 3, "Part 2 of 2")):
        assert title in reader.page()
        assert reader.get("/next").json()["page"] == ("break" if part else "practice")
        reader.begin()
        for place in range(1, count + 1):
            told = reader.get("/next").json()
            assert (told["part"], told["place"], told["of"]) == (part, place, count)
            assert reader.answer(reader.show()).json() == {"kept": "kept"}
    assert "answered all 5 images" in reader.page()
    assert reader.get("/next").json() == {"page": "thanks"}
    assert len(kept(made)) == 7
    noted = [event.kind for event in made.store.events(made.person("anna"))]
    assert noted == [
        *("entered", "welcome", "decline", "reconsider", "consent", "instructions", "display"),
        *("begin", "begin", "begin"),
    ]


def headings(page):
    return [int(level) for level in re.findall(r"<h([1-6])\b", page)]


@pytest.mark.parametrize("kind", ["blinded", "teaching"])
def test_the_headings_of_every_page_are_in_order(tmp_path, kind):
    consent = "### Study\n\n# Information\n\n#### Risks\n\n## Contact\n\n# Agreement\n"
    made = make_study(tmp_path / "s", parts=(1, 1), consent=consent, kind=kind)
    reader, client = made.enter("anna"), made.client()
    pages = [client.get("/enter").text, client.get("/").text, made.enter(BOSS).page()]
    pages.append(reader.page())
    reader.step("welcome")
    assert headings(reader.page())[:6] == [1, 2, 2, 3, 3, 2]  # the investigator's below the page's
    for step, values in [
        ("decline", {}),
        ("reconsider", {}),
        ("consent", {"agreed": True}),
        ("instructions", {}),
        ("display", {"screen": SCREEN}),
    ]:
        pages.append(reader.page())
        assert reader.step(step, **values).status_code == 200
    for _ in range(2):
        pages.append(reader.page())
        reader.begin()
        pages.append(reader.page())
        reader.answer(reader.show())
    pages.append(reader.page())
    for page in pages:
        levels = headings(page)
        assert levels.count(1) == 1 and levels[0] == 1, page
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_a_display_check_that_must_be_passed(tmp_path):
    made = make_study(tmp_path / "s", protocol=Protocol(name="strict", display="required"))
    reader, person = made.enter("anna"), made.person("anna")
    reader.step("welcome")
    reader.step("instructions")

    def tick(attempt, *greys):
        """Tick the fields with squares of these greys, wherever they are."""
        found = [arranged(fields, person.id, attempt) for fields in (DARK, LIGHT)]
        dark, light = ([i for i, field in enumerate(row) if field[1] in greys] for row in found)
        return reader.step("display", screen=SCREEN, dark=dark, light=light).json()["page"]

    assert "did not show" not in reader.page()
    assert tick(0, 13) == "display" and "did not show" in reader.page()
    assert tick(1, 13, 242, 255) == "display"  # 255 is the field without a square
    assert tick(2, 0, 13, 242) == "display"
    assert tick(3, 13, 242, 9) == "break"
    anna, _ = made.enter(BOSS).get("/progress").json()["readers"]
    assert anna["check"] == "2 of 4 dark squares; 1 of 4 light squares"
    [sentence] = happened(made.study)
    assert (
        sentence.startswith("anna failed 3 display checks") and "later one was passed" in sentence
    )


def test_squares_of_the_display_check_move_with_every_attempt():
    orders = [arranged(DARK, "anna", attempt) for attempt in range(6)]
    assert orders[0] == DARK and len(set(orders)) > 3
    assert all(sorted(order) == sorted(DARK) for order in orders)
    assert orders[1:] != [arranged(DARK, "bo", attempt) for attempt in range(1, 6)]


def test_a_display_check_is_left_out_or_noted(tmp_path):
    made = make_study(tmp_path / "none", protocol=Protocol(name="none", display="none"))
    reader = made.enter("anna")
    reader.step("welcome")
    assert reader.step("instructions").json()["page"] == "break"
    made = make_study(tmp_path / "noted")
    made.enter("anna").start()
    [sentence] = happened(made.study)  # start() sees two dark squares and no light one
    assert sentence.startswith("anna failed 1 display check ") and "later" not in sentence
    anna, _ = made.enter(BOSS).get("/progress").json()["readers"]
    assert anna["check"] == "failed: 2 of 4 dark squares; 0 of 4 light squares"


def test_steps_are_taken_in_order(tmp_path):
    made = make_study(tmp_path / "s", consent="Agree.")
    reader = made.enter("anna")
    trial = made.trials["anna"][0]["id"]
    for step, values in [
        ("consent", {"agreed": True}),
        ("instructions", {}),
        ("display", {"screen": SCREEN}),
        ("begin", {"part": 1}),
    ]:
        assert reader.step(step, **values).status_code == 409
    assert reader.get("/next").json() == {"page": "welcome"}
    assert reader.get(f"/image/{trial}").status_code == 404
    assert reader.post("/display", {"trial": trial}).status_code == 409
    assert reader.answer(trial).status_code == 409
    reader.start()
    assert reader.step("begin", part=2).status_code == 409
    assert reader.show() == trial


def test_an_image_is_shown_as_it_is(tmp_path):
    made = make_study(tmp_path / "s", parts=(0, 1))
    reader = made.enter("anna").start()
    sent = reader.get(f"/image/{reader.get('/next').json()['trial']}")
    assert sent.headers["content-type"] == "image/png"
    expected = np.random.default_rng(0).integers(0, 256, (1, 8, 6), dtype=np.uint8)[0]
    assert np.array_equal(Image.open(io.BytesIO(sent.content)), expected)


def test_an_answer_is_kept_once(tmp_path):
    made = make_study(tmp_path / "s")
    reader = made.enter("anna").start()
    trial = reader.show()
    assert reader.answer(trial, "real", client_seconds=1.5).json() == {"kept": "kept"}
    assert reader.answer(trial, "synthetic").json() == {"kept": "already"}
    [row] = kept(made)
    assert (row.truth, row.client_seconds, row.late) == ("real", 1.5, False)


def test_an_image_that_was_not_displayed_takes_no_answer(tmp_path):
    made = make_study(tmp_path / "s")
    reader = made.enter("anna").start()
    trial = reader.get("/next").json()["trial"]
    assert reader.post("/display", {"trial": trial}).status_code == 409  # nothing was sent
    assert reader.answer(trial).status_code == 409
    reader.get(f"/image/{trial}")
    assert reader.answer(trial).status_code == 409
    assert not kept(made)


def test_two_tabs_read_one_study(tmp_path):
    made = make_study(tmp_path / "s")
    first = made.enter("anna").start()
    second = made.enter("anna")  # a session of its own, the same reader
    trial = first.show()
    assert second.show() == trial
    first.answer(trial, "real")
    assert second.answer(trial, "synthetic").json() == {"kept": "already"}
    assert second.show() == first.get("/next").json()["trial"] != trial
    assert [row.truth for row in kept(made)] == ["real"]


def test_another_server_goes_on_where_the_first_was(tmp_path):
    made = make_study(tmp_path / "s")
    reader = made.enter("anna").start()
    reader.answer(reader.show())
    trial = reader.show()
    again = made.client(cookies=dict(reader.client.cookies))
    assert again.get("/next").json()["trial"] == trial
    assert again.get("/next").json()["displayed"]
    assert again.get(f"/image/{trial}").status_code == 200


def test_what_is_left_of_the_time(tmp_path, clock):
    made = make_study(tmp_path / "s", protocol=TIMED)
    reader = made.enter("anna").start()
    assert reader.get("/next").json()["remaining"] == 10
    trial = reader.show()
    clock.now += 4
    assert reader.get("/next").json()["remaining"] == 6
    assert reader.post("/display", {"trial": trial}).json() == {"remaining": 6}  # once
    assert reader.get(f"/image/{trial}").status_code == 200
    clock.now += 6.5
    assert reader.get("/next").json()["remaining"] == 0
    assert reader.get(f"/image/{trial}").status_code == 404  # the image has vanished
    assert reader.answer(trial, "synthetic").json() == {"kept": "kept"}  # the keys stay
    trial = reader.show()
    clock.now += 11.1
    reader.answer(trial, "real")
    assert [(row.truth, row.late) for row in kept(made)] == [("synthetic", False), ("real", True)]


def test_the_time_of_an_answer_counts_from_the_first_showing(tmp_path, clock):
    made = make_study(tmp_path / "s")
    reader = made.enter("anna").start()
    assert reader.get("/next").json()["elapsed"] == 0
    trial = reader.show()
    clock.now += 4
    assert reader.get("/next").json()["elapsed"] == 4  # the page is loaded again
    reader.post("/event", {"kind": "pause"})
    clock.now += 60
    reader.post("/event", {"kind": "resume"})
    clock.now += 1
    assert reader.show() == trial
    assert reader.get("/next").json()["elapsed"] == 5  # and a pause is left out


def test_an_image_that_is_hoarded_runs_out_of_time(tmp_path, clock):
    made = make_study(tmp_path / "s", protocol=TIMED)
    reader = made.enter("anna").start()
    trial = reader.get("/next").json()["trial"]
    reader.get(f"/image/{trial}")
    clock.now += 60
    assert reader.post("/display", {"trial": trial}).json() == {"remaining": 0}
    reader.answer(trial)
    assert kept(made)[0].late


def test_an_image_that_never_came_to_the_screen_runs_out_of_time(tmp_path, clock):
    made = make_study(tmp_path / "s", protocol=TIMED)
    reader = made.enter("anna").start()
    trial = reader.get("/next").json()["trial"]
    assert reader.get(f"/image/{trial}").status_code == 200
    clock.now += 9
    assert reader.get("/next").json()["remaining"] == 6
    clock.now += 7
    assert reader.get(f"/image/{trial}").status_code == 404
    assert reader.get("/next").json()["remaining"] == 0  # so the page asks without it
    assert reader.post("/display", {"trial": trial}).json() == {"remaining": 0}
    assert reader.answer(trial).json() == {"kept": "kept"}


@pytest.mark.parametrize("place", ["document", "iframe", "empty", "script"])
def test_an_image_is_had_by_the_page_alone(tmp_path, place):
    made = make_study(tmp_path / "s", protocol=TIMED)
    reader = made.enter("anna").start()
    trial = reader.get("/next").json()["trial"]
    alone = reader.client.get(f"/image/{trial}", headers={"Sec-Fetch-Dest": place})
    assert alone.status_code == 403 and "page" in alone.text
    assert made.enter("anna").get("/next").json()["remaining"] == 10  # nothing was sent
    shown = reader.client.get(f"/image/{trial}", headers={"Sec-Fetch-Dest": "image"})
    assert shown.status_code == 200


def test_reasons_may_take_their_time(tmp_path, clock):
    made = make_study(tmp_path / "s", protocol=TIMED.set(["reason=true"]))
    reader = made.enter("anna").start()
    trial = reader.show()
    clock.now += 9
    assert reader.post("/chosen", {"trial": trial, "truth": "real"}).json() == {"kept": "kept"}
    clock.now += 60
    reader.answer(trial, "real", reason="edges")
    assert reader.post("/chosen", {"trial": trial, "truth": "real"}).status_code == 409
    assert reader.post("/chosen", {"trial": trial, "truth": "none"}).status_code == 422
    assert [(row.truth, row.late) for row in kept(made)] == [("real", False)]


def test_no_answer_comes_with_the_end_of_the_time(tmp_path, clock):
    made = make_study(tmp_path / "s", protocol=DROPPED)
    reader = made.enter("anna").start()
    trial = reader.show()
    clock.now += 5
    assert reader.answer(trial, "none", tumour="none").status_code == 409  # it is not over
    clock.now += 5
    assert reader.answer(trial, "none", tumour="none").json() == {"kept": "kept"}
    trial = reader.show()
    clock.now += 20
    assert reader.answer(trial, "real", tumour="yes").json() == {"kept": "kept"}
    rows = [(row.truth, row.tumour, row.late) for row in kept(made)]
    assert rows == [("none", "none", True), ("real", "yes", True)]


@pytest.mark.parametrize(
    ("options", "right", "wrong"),
    [
        ({}, [{}], [{"truth": "unknown"}, {"truth": "none"}, {"tumour": "yes"}, {"confidence": 3}]),
        ({}, [{"truth": "synthetic"}], [{"reason": "edges"}, {"truth": "created"}]),
        ({"unknown": True}, [{"truth": "unknown"}], [{"truth": "none"}]),
        ({"questions": ("truth", "tumour")}, [{"tumour": "no"}], [{}, {"tumour": "none"}]),
        ({"confidence": True}, [{"confidence": 5}], [{}, {"confidence": 0}, {"confidence": 6}]),
        ({"reason": True}, [{"reason": "odd\u0000 edges "}], [{"reason": "x" * 2001}]),
        ({}, [{"client_seconds": 3}], [{"client_seconds": -1}, {"trial": "../x"}, {"late": False}]),
    ],
)
def test_answers_are_to_what_is_asked(tmp_path, options, right, wrong):
    made = make_study(tmp_path / "s", protocol=Protocol(name="test", **options))
    reader = made.enter("anna").start()
    trial = reader.show()
    for values in wrong:
        body = {"trial": trial, "truth": "real", **values}
        assert reader.post("/answer", body).status_code == 422, values
    for values in right:
        body = {"trial": trial, "truth": "real", **values}
        assert reader.post("/answer", body).json() == {"kept": "kept"}, values
    [row] = kept(made)
    assert row.reason == right[0].get("reason", "").replace("\0", " ").strip()


def test_i_cannot_tell_has_no_confidence(tmp_path):
    made = make_study(tmp_path / "s", protocol=Protocol(name="test", unknown=True, confidence=True))
    reader = made.enter("anna").start()
    trial = reader.show()
    assert reader.answer(trial, "unknown", confidence=2).status_code == 422
    assert reader.answer(trial, "unknown").json() == {"kept": "kept"}


def test_a_teaching_study_tells_the_truth_after_each_answer(tmp_path):
    made = make_study(tmp_path / "s", kind="teaching", parts=(1, 2))
    reader = made.enter("anna").start()
    practised = reader.show()
    assert reader.get(f"/response/{practised}").status_code == 404  # not before the answer
    reader.answer(practised)
    assert reader.get(f"/response/{practised}").json()["score"] == {"right": 0, "of": 0}
    reader.begin()
    for right in (1, 2):
        trial = reader.show()
        reader.answer(trial, made.truth_of(trial))
        told = reader.get(f"/response/{trial}").json()
        assert told["truth"] == made.truth_of(trial) and told["tumour"] == "yes"
        assert told["score"] == {"right": right, "of": right}
    assert "2 of 2 answers were right" in reader.page()
    assert "Teaching: not a blinded study" in reader.page()
    assert made.enter("bo").get(f"/response/{practised}").status_code == 404


def test_a_blinded_study_tells_nothing(tmp_path):
    made = make_study(tmp_path / "s", parts=(0, 1))
    reader = made.enter("anna").start()
    trial = reader.show()
    reader.answer(trial)
    assert reader.get(f"/response/{trial}").status_code == 404
    assert "right" not in reader.page() and "Teaching" not in reader.page()


def test_the_investigator_sees_how_far_readers_are_and_no_answers(tmp_path):
    made = make_study(tmp_path / "s", parts=(1, 2), consent="Agree.")
    reader = made.enter("anna").start()
    reader.answer(reader.show())
    reader.begin()
    trial = reader.show()
    reader.get(f"/image/{trial}")
    for kind in ("pause", "resume"):
        assert reader.post("/event", {"kind": kind}).status_code == 200
    boss = made.enter(BOSS)
    assert "Progress of 2 readers" in boss.page()
    anna, bo = boss.get("/progress").json()["readers"]
    assert anna["parts"] == [[0, 1, 1], [1, 0, 2]]
    assert (anna["name"], anna["page"], anna["answered"], anna["images"]) == (
        "anna",
        "reading",
        0,
        2,
    )
    assert (anna["pauses"], anna["resent"], anna["consented"]) == (1, 1, True)
    assert anna["check"] == "failed: 2 of 4 dark squares; 0 of 4 light squares"
    assert (bo["last"], bo["consented"], bo["page"]) == (None, False, "welcome")
    text = boss.get("/progress").text
    assert "real" not in text.replace("reading", "") and "synthetic" not in text


def test_progress_of_one_answer_does_not_show_which(tmp_path):
    shown = []
    for truth in ("real", "synthetic"):
        made = make_study(tmp_path / truth, readers=("anna",))
        reader = made.enter("anna").start()
        reader.answer(reader.show(), truth)
        [row] = made.enter(BOSS).get("/progress").json()["readers"]
        shown.append({k: v for k, v in row.items() if k not in ("last", "seconds")})
    assert shown[0] == shown[1]


def test_a_failure_is_told_calmly_and_nothing_is_lost(tmp_path, monkeypatch):
    made = make_study(tmp_path / "s")
    reader = made.enter("anna").start()
    trial = reader.show()
    monkeypatch.setattr(stores, "_current", lambda *_: 1 / 0)
    failed = reader.answer(trial)
    assert failed.status_code == 500 and "Nothing that was answered is lost" in failed.json()["say"]
    assert "ZeroDivision" not in failed.text and "content-security-policy" in failed.headers
    monkeypatch.undo()
    assert reader.answer(trial).json() == {"kept": "kept"}


def test_images_sent_are_counted(tmp_path):
    made = make_study(tmp_path / "s")
    reader = made.enter("anna").start()
    trial = reader.show()
    reader.get(f"/image/{trial}")
    with made.store.reading() as connection:
        assert connection.execute(select(func.count()).select_from(sendings)).scalar() == 2
        assert connection.execute(select(func.count()).select_from(events)).scalar() == 5


def test_what_serve_refuses(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="not a reader study"):
        serve(tmp_path)
    made = make_study(tmp_path / "s")
    with pytest.raises(RunError, match="both --certificate and --private-key"):
        serve(made.study.folder, certificate=tmp_path / "x.pem")
    with pytest.raises(RunError, match="does not exist"):
        serve(made.study.folder, certificate=tmp_path / "x", private_key=tmp_path / "y")
    with pytest.raises(RunError, match="must read like"):
        serve(made.study.folder, url="study.example.org")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RunError, match=f"port {port} .* --port"):
            serve(made.study.folder, port=port)


def test_serve_says_where_and_warns_of_an_open_network(tmp_path, monkeypatch):
    monkeypatch.setattr("uvicorn.Server.run", lambda *_, **__: None)
    made = make_study(tmp_path / "s")
    (made.study.folder / "key.csv").unlink(missing_ok=True)
    said: list[str] = []
    serve(made.study.folder, port=0, say=said.append)
    assert re.search(r"http://127\.0\.0\.1:[1-9]\d+,", said[0]) and "links.csv" in said[1]
    assert not any("Warning" in line for line in said)
    assert not any(token in "".join(said) for token in made.tokens.values())
    (made.study.folder / "key.csv").touch()
    serve(made.study.folder, port=0, say=said.append)
    assert "Warning" in said[-2] and "key.csv" in said[-2]
    serve(made.study.folder, host="0.0.0.0", port=0, say=said.append)
    assert "without https" in said[-2] and "stopped" in said[-1]


def test_a_database_that_does_not_answer_is_asked_again(tmp_path, monkeypatch, caplog):
    made = make_study(tmp_path / "s")
    reader = made.enter("anna").start()
    trial = reader.show()

    def locked(*_):
        lines = Exception("database is locked\nand more of it")
        raise OperationalError("INSERT", {"reason": "what anna wrote"}, lines)

    monkeypatch.setattr(stores, "_current", locked)
    failed = reader.answer(trial)
    assert (failed.status_code, failed.headers["retry-after"]) == (503, "2")
    assert "locked" not in failed.text and "Nothing is lost" in failed.json()["say"]
    [line] = caplog.text.splitlines()  # an outage fills no disk, and tells of nobody
    assert "POST /answer" in line and "database is locked" in line and "anna" not in line
    monkeypatch.undo()
    assert reader.answer(trial).json() == {"kept": "kept"}


def test_what_one_reader_makes_happen_fills_no_disk(tmp_path):
    made = make_study(tmp_path / "s")
    anna, bo = made.enter("anna").start(), made.enter("bo").start()
    got = [anna.post("/event", {"kind": "pause"}) for _ in range(NOTED + 5)]
    assert {one.status_code for one in got[:60]} == {200}
    assert got[-1].status_code == 429 and int(got[-1].headers["retry-after"]) <= 61
    trial = anna.get("/next").json()["trial"]
    assert anna.post("/chosen", {"trial": trial, "truth": "real"}).status_code == 429
    assert bo.post("/event", {"kind": "pause"}).status_code == 200
    assert anna.answer(anna.show()).json() == {"kept": "kept"}  # answers are no events
    assert len(kept(made, events.c.id)) <= NOTED + 20


def test_parameters_are_in_no_message(tmp_path):
    store = make_study(tmp_path / "s").store
    with pytest.raises(DBAPIError) as found, store.writing() as connection:
        connection.execute(insert(answers), {"trial": "x", "reader": "anna", "reason": "edges"})
    assert "edges" not in str(found.value)
