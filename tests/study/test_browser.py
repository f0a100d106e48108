"""Whole sessions in a real browser, by keyboard alone, with all that can go wrong in one."""

from contextlib import closing
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from browsing import Sitting, make, served
from mrgantry.papers import find_protocol
from mrgantry.study.running import halt
from mrgantry.study.statistics.readings import read_answers, read_key

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def refreshed(sitting, number):
    sitting.page.reload()
    sitting.wait_for(number)
    sitting.answer(number)


def gone_back(sitting, number):
    sitting.page.go_back()
    sitting.page.go_forward()
    if not sitting.page.url.startswith(sitting.address):
        sitting.page.goto(sitting.address)
    sitting.wait_for(number)
    sitting.answer(number)


def pressed_twice(sitting, number):
    sitting.answer(number)
    sitting.press("2", "1", "2")  # slips on the way to the next image


def in_two_tabs(sitting, number):
    other = sitting.context.new_page()
    other.goto(sitting.address)
    sitting.wait_for(number, other)
    sitting.answer(number)  # in the first tab
    sitting.wait_for(number + 1)
    other.bring_to_front()
    for key in ("2", *sitting.then):  # the second tab comes too late with the same image
        other.keyboard.press(key)
        other.wait_for_timeout(280)
    sitting.wait_for(number + 1, other)
    other.close()


def without_connection(sitting, number):
    sitting.context.set_offline(True)
    sitting.answer(number)
    sitting.page.get_by_text("Connection lost").wait_for()
    sitting.page.wait_for_timeout(700)
    sitting.context.set_offline(False)


def server_killed(sitting, number):
    sitting.server.kill()
    sitting.answer(number)
    sitting.page.get_by_text("Connection lost").wait_for()
    sitting.server.start()


def killed_before_it_said_so(sitting, number):
    """Kill the server when it has kept the answer, and before the browser knows."""

    def keep_silent(route):
        route.fetch()
        route.abort()

    sitting.page.route("**/answer", keep_silent)
    sitting.answer(number)
    sitting.page.get_by_text("Connection lost").wait_for()
    sitting.server.kill()
    sitting.page.unroute("**/answer")
    sitting.server.start()


def window_closed(sitting, number):
    sitting.page.close()
    sitting.open()
    sitting.wait_for(number)
    sitting.answer(number)


def paused(sitting, number):
    sitting.press("p")
    sitting.page.locator("#paused").wait_for()
    sitting.press("1")  # goes on, and is no answer
    sitting.page.locator("#paused").wait_for(state="hidden")
    sitting.answer(number)


MISCHIEF = {
    5: refreshed,
    9: pressed_twice,
    13: in_two_tabs,
    17: without_connection,
    21: server_killed,
    25: gone_back,
    29: killed_before_it_said_so,
    33: window_closed,
    37: paused,
}


def test_han2018(tmp_path, chromium):
    study = make(tmp_path, find_protocol("han2018"), blocks=2)
    with served(study.folder) as server:
        sitting = Sitting(chromium, study, server, of=100)
        sitting.begin()
        for part, mischief in ((1, MISCHIEF), (2, {})):
            sitting.go_on(f"Part {part} of 2")
            sitting.read(mischief)
        sitting.heading("Thank you")
        sitting.check()
        store = study.store()
        scored = read_answers(study, store, read_key(study))
        store.engine.dispose()
    assert len(scored) == 200 and not scored["late"].any()
    assert scored.groupby("block")["truth"].value_counts().tolist() == [50] * 4


def test_han2018_pggan(tmp_path, chromium):
    (tmp_path / "consent.md").write_text("# Consent\n\nAnswers are kept under a code.\n")
    study = make(tmp_path, find_protocol("han2018-pggan"), consent=tmp_path / "consent.md")

    def taken_back(sitting, number):
        sitting.press("21"[(number * 7 // 3) % 2])
        sitting.page.wait_for_timeout(280)
        sitting.press("Backspace")
        sitting.answer(number)

    with served(study.folder) as server:
        sitting = Sitting(chromium, study, server, of=200, then=("2",))
        sitting.begin()
        sitting.go_on("Now it counts")
        sitting.read(MISCHIEF | {40: taken_back})
        sitting.heading("Thank you")
        sitting.check()
    assert {row["tumour"] for row in sitting.answers()} == {"no"}


def test_kazuhiro2018(tmp_path, chromium):
    study = make(tmp_path, find_protocol("kazuhiro2018"))

    def too_late(sitting, number):
        image = sitting.page.locator("#frame img")
        image.wait_for()
        sitting.page.wait_for_timeout(8_000)
        assert image.count() == 1
        sitting.page.reload()  # begins no new ten seconds
        sitting.page.get_by_text("Time is up: please answer").wait_for(timeout=6_000)
        assert image.count() == 0
        sitting.page.wait_for_timeout(1_200)
        sitting.answer(number)

    def cannot_tell(sitting, number):
        sitting.said.append("unknown")
        sitting.press("3")

    with served(study.folder) as server:
        sitting = Sitting(chromium, study, server, of=10)
        sitting.begin()
        sitting.go_on("Practice")
        sitting.read({3: refreshed})
        sitting.go_on("Now it counts")
        sitting.of = 50
        sitting.read(MISCHIEF | {2: too_late, 4: cannot_tell})
        sitting.heading("Thank you")
        sitting.check()
        late = [row["late"] for row in sitting.answers()]
    assert late == [number == 11 for number in range(60)]  # the second after ten for practice


def test_no_answer_in_time(tmp_path, chromium):
    changes = ["late=no answer", "seconds=2", "cases=6", "practice=0", "share=[0.5,0.5]"]
    study = make(tmp_path, find_protocol("kazuhiro2018").set(changes))
    with served(study.folder) as server:
        sitting = Sitting(chromium, study, server, of=6)
        sitting.begin()
        sitting.go_on("Now it counts")

        def nothing(sitting, number):
            sitting.said.append("none")  # the next image comes by itself

        sitting.read({2: nothing, 3: nothing})
        sitting.heading("Thank you")
        sitting.check()


class Proxy(BaseHTTPRequestHandler):
    """Puts what is served at another port of this machine under /study, and nothing else."""

    port = 0

    def do_GET(self):
        if not self.path.startswith("/study/"):
            self.send_error(404)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with closing(HTTPConnection("127.0.0.1", self.port)) as line:
            line.request(self.command, self.path.removeprefix("/study"), body, dict(self.headers))
            answer = line.getresponse()
            data = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "date"):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_GET

    def log_message(self, *_):
        pass


def test_a_study_under_a_path_of_a_proxy(tmp_path, chromium):
    study = make(tmp_path, find_protocol("han2018").set(["cases=4"]))
    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        address = f"http://127.0.0.1:{proxy.server_port}/study/"
        Thread(target=proxy.serve_forever, daemon=True).start()
        with served(study.folder, "--url", address, "--behind-proxy") as server:
            Proxy.port = server.port
            sitting = Sitting(chromium, study, server, of=4, address=address)
            asked = []
            sitting.page.on("request", lambda request: asked.append(request.url))
            sitting.begin()
            sitting.go_on("Now it counts")
            sitting.read({3: refreshed})
            sitting.heading("Thank you")
            sitting.check()
            [cookie] = sitting.context.cookies()
        proxy.shutdown()
    assert all(url.startswith(address) for url in asked) and cookie["path"] == "/study/"


def test_a_pause_of_the_whole_study(tmp_path, chromium):
    study = make(tmp_path, find_protocol("han2018").set(["cases=4"]))
    with served(study.folder) as server:
        sitting = Sitting(chromium, study, server, of=4)
        sitting.begin()
        sitting.go_on("Now it counts")

        def halted(sitting, number):
            halt(study.folder)
            sitting.answer(number)  # who looks at an image may answer
            sitting.heading("The study is paused")
            halt(study.folder, resume=True)  # and the page goes on by itself

        sitting.read({2: halted})
        sitting.heading("Thank you")
        sitting.check()


def test_nothing_is_left_on_a_shared_computer(tmp_path, chromium):
    study = make(tmp_path, find_protocol("han2018").set(["cases=4"]))
    with served(study.folder) as server:
        sitting = Sitting(chromium, study, server, of=4)
        sitting.begin()
        sitting.go_on("Now it counts")
        sitting.wait_for(1)
        sitting.answer(1)
        sitting.wait_for(2)
        sitting.press("p")
        sitting.go_to("leave")
        sitting.press("Enter")
        sitting.page.get_by_text("You have logged out").wait_for()
        assert not sitting.context.cookies()
        assert sitting.page.evaluate("sessionStorage.length + localStorage.length") == 0
        token = sitting.link.partition("#")[2]
        for _ in range(3):  # back, as far as it goes
            assert token not in sitting.page.url and not sitting.page.locator("#frame").count()
            sitting.page.go_back()
            sitting.page.wait_for_timeout(300)
        sitting.page.goto(sitting.address)
        sitting.page.get_by_text("Please open your personal link").wait_for()
        sitting.page.goto(sitting.link)
        sitting.wait_for(2)  # and the link goes on where it was
        sitting.check()


def test_a_reload_does_not_begin_the_time_of_an_answer_anew(tmp_path, chromium):
    study = make(tmp_path, find_protocol("han2018").set(["cases=4"]))
    with served(study.folder) as server:
        sitting = Sitting(chromium, study, server, of=4)
        sitting.begin()
        sitting.go_on("Now it counts")

        def long_looked_at(sitting, number):
            sitting.page.wait_for_timeout(3_000)
            refreshed(sitting, number)

        sitting.read({2: long_looked_at})
        sitting.heading("Thank you")
        times = [row["client_seconds"] for row in sitting.answers()]
    assert times[1] > 3 > max(times[0], *times[2:])


def test_a_reason_may_take_its_time(tmp_path, chromium):
    changes = ["late=no answer", "seconds=3", "cases=4", "practice=0", "reason=true"]
    study = make(tmp_path, find_protocol("kazuhiro2018").set([*changes, "share=[0.5,0.5]"]))
    with served(study.folder) as server:
        sitting = Sitting(chromium, study, server, of=4)
        sitting.begin()
        sitting.go_on("Now it counts")

        def slowly(sitting, number):
            sitting.press("1")
            sitting.page.locator("#reason:focus").wait_for()
            sitting.page.get_by_text("The image is gone").wait_for(timeout=6_000)
            assert sitting.page.locator("#frame img").count() == 0
            assert sitting.page.locator("#take-back").is_hidden()
            sitting.page.keyboard.type("12 edges")
            sitting.press("Enter")
            sitting.said.append("real")

        def typing_on(sitting, number):
            slowly(sitting, number)
            for _ in range(12):  # the keys go on when the next image is there
                sitting.press("2", "1")
                sitting.page.wait_for_timeout(100)

        def quickly(sitting, number):
            sitting.press("2")
            sitting.page.locator("#reason:focus").wait_for()
            sitting.press("Enter")
            sitting.said.append("synthetic")

        held = []

        def paused_while_it_loads(sitting, number):
            """The server has sent the next image; the browser has it after the pause only."""
            hold = lambda route: held.append((route, route.fetch()))  # noqa: E731
            sitting.page.route("**/image/*", hold)
            quickly(sitting, number)
            while not held:
                sitting.page.wait_for_timeout(100)
            sitting.press("p")
            sitting.page.locator("#paused").wait_for()
            sitting.page.wait_for_timeout(9_000)
            (route, response), *_ = held
            route.fulfill(response=response)
            sitting.page.unroute("**/image/*")
            sitting.press("1")

        ways = {1: slowly, 2: typing_on, 3: paused_while_it_loads, 4: quickly}
        sitting.read(ways)
        sitting.heading("Thank you")
        sitting.check()
    rows = sitting.answers()
    assert [row["reason"] for row in rows] == ["12 edges", "12 edges", "", ""]
    assert not any(row["late"] for row in rows)


def test_a_lesson(tmp_path, chromium):
    changes = ["cases=4", "practice=0", "seconds=null"]
    study = make(tmp_path, find_protocol("han2018").set(changes), kind="teaching")
    with served(study.folder) as server:
        sitting = Sitting(chromium, study, server, of=4)
        sitting.begin()
        sitting.go_on("Now it counts")

        def told(sitting, number):
            sitting.answer(number)
            sitting.page.locator("#feedback-say").wait_for()
            sitting.press("Enter")

        sitting.read(dict.fromkeys(range(1, 5), told))
        sitting.heading("Thank you")
        assert "of 4 answers were right" in sitting.page.locator("#score").inner_text()
        sitting.check()


def test_a_lesson_of_pairs(tmp_path, chromium):
    changes = ["cases=2", "confidence=true"]
    study = make(tmp_path, find_protocol("two-alternative").set(changes), kind="teaching")
    with served(study.folder) as server:
        sitting = Sitting(chromium, study, server, of=2)
        sitting.begin()
        sitting.go_on("Now it counts")
        told = []
        for number in (1, 2):
            sitting.page.get_by_text(f"Pair {number} of 2").wait_for()
            sitting.page.locator("#stage img").wait_for()
            sitting.page.wait_for_timeout(600)  # until keys count
            sitting.press("1")
            sitting.page.get_by_text("How sure are you that the left one is real?").wait_for()
            sitting.press("4")
            sitting.page.locator("#feedback-say").wait_for()
            told.append(sitting.page.locator("#feedback-say").inner_text())
            sitting.press("Enter")
        sitting.heading("Thank you")
        assert sorted(told) == [  # one on either side
            "Not right: the real image is on the right.",
            "Right: the real image is on the left.",
        ]
        assert "1 of 2 answers were right" in sitting.page.locator("#score").inner_text()
