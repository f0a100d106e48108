"""Whole sessions in a real browser, by keyboard alone, with all that can go wrong in one."""

import csv
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from sqlalchemy import select

from conftest import blobs, write_slices
from mrgantry.papers import find_protocol
from mrgantry.study.cases.create import create
from mrgantry.study.cases.pools import Sources
from mrgantry.study.database import tables
from mrgantry.study.statistics.readings import read_answers, read_key
from mrgantry.study.study import Reader

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
WORDS = {"1": "real", "2": "synthetic", "3": "unknown"}
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def chromium():
    """Playwright's own browser, or one that is installed."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as library:
        names = (library.chromium.executable_path, "chromium", "chromium-browser", "google-chrome")
        found = next(filter(None, map(shutil.which, names)), None)
        if found is None:
            pytest.skip("no browser is at hand: run `make browser`")
        opened = library.chromium.launch(executable_path=found, args=SWITCHES)
        yield opened
        opened.close()


class Server:
    """The server as people start it, which can be killed."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder = folder
        self.start()

    def start(self):
        words = ["study", "serve", str(self.folder), "--port", str(self.port)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mrgantry", *words], stderr=subprocess.DEVNULL
        )
        for _ in range(400):
            with socket.socket() as line:
                if line.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError("the server does not answer")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def served(folder):
    server = Server(folder)
    try:
        yield server
    finally:
        server.kill()


def make(tmp_path, protocol, blocks=1, **options):
    """Make a study of blobs, large enough for the protocol."""
    count = protocol.cases + protocol.practice
    sources = []
    for number in range(blocks):
        folder = tmp_path / str(number)
        people = [f"s{i // 2}" for i in range(2 * count)]
        labels = ["yes" if i % 2 else "no" for i in range(2 * count)]
        images = blobs(2 * count, 24, number), blobs(count, 24, number + 9)
        write_slices(folder / "real", images[0], people, ["test"] * 2 * count, tumour=labels)
        write_slices(
            folder / "made",
            images[1],
            ["b"] * count,
            [""] * count,
            synthetic=True,
            tumour=labels[:count],
        )
        sources.append(Sources(f"block {number}", folder / "real", (folder / "made",)))
    return create(tmp_path / "study", protocol, sources, [Reader(name="AB")], **options)


class Sitting:
    """A reader at a browser, who has a keyboard.

    Attributes:
        said: What was answered, in order, as the reader means it.
        of: Images of the part that is read.
        then: Keys for the questions after the first.
    """

    def __init__(self, browser, study, server, of, then=()):
        self.study, self.server, self.of, self.then = study, server, of, then
        self.said, self.problems = [], []
        self.context = browser.new_context(viewport={"width": 1280, "height": 800})
        with (study.folder / "links.csv").open() as file:
            token = next(csv.DictReader(file))["link"].partition("#")[2]
        self.address = f"http://127.0.0.1:{server.port}/"
        self.link = f"{self.address}enter#{token}"
        self.open()

    def open(self):
        self.page = self.context.new_page()
        self.page.set_default_timeout(30_000)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.goto(self.link)

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def go_to(self, name):
        """Go to an element with the tabulator."""
        for _ in range(40):
            if self.page.evaluate("document.activeElement.id") == name:
                return
            self.press("Tab")
        raise AssertionError(f"{name} cannot be reached by keyboard")

    def heading(self, text):
        self.page.get_by_role("heading", name=text).wait_for()

    def go_on(self, text):
        """Press Enter on a page, once its script is there."""
        self.heading(text)
        self.page.locator("#go:focus").wait_for()
        self.press("Enter")

    def begin(self):
        """Take all steps up to the first part."""
        self.go_on("Welcome")
        if self.study.consent:
            self.page.locator("#consent").wait_for()
            self.go_to("agree")
            self.press("Space")
            self.go_to("go")
            self.press("Enter")
        self.go_on("What to do")
        self.heading("Your screen")
        self.page.locator("#fits").wait_for()
        self.go_to("dark-0")
        self.press("Space")
        self.go_to("go")
        self.press("Enter")

    def wait_for(self, number, page=None):
        """Wait until an image is displayed and asked about, and for the calm after it."""
        page = page or self.page
        page.locator("#where", has_text=re.compile(f"mage {number} of {self.of}$")).wait_for()
        page.locator("#ask-truth").wait_for()
        self.page.wait_for_timeout(330)

    def answer(self, number):
        """Answer the displayed image; which way follows from its number."""
        key = "12"[(number * 7 // 3) % 2]
        self.said.append(WORDS[key])
        self.press(key)
        for more in self.then:
            self.page.wait_for_timeout(280)  # the same key sooner is a slip
            self.press(more)

    def read(self, mischief=None):
        """Read a part, with something untoward at some images."""
        for number in range(1, self.of + 1):
            self.wait_for(number)
            (mischief or {}).get(number, Sitting.answer)(self, number)

    def answers(self):
        """Read what the database has, in the order of reading."""
        store = self.study.store()
        wanted = select(tables.answers).join(tables.trials).order_by(tables.trials.c.number)
        with store.reading() as connection:
            rows = connection.execute(wanted).mappings().all()
        store.engine.dispose()
        return rows

    def check(self):
        """No answer is lost, none is there twice, none was changed."""
        assert [row["truth"] for row in self.answers()] == self.said
        assert not self.problems


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
