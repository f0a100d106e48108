"""Whole sessions in a real browser, by keyboard alone, with all that can go wrong in one."""

import csv
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from conftest import blobs, write_slices
from sqlalchemy import select

from mrgantry.papers import find_protocol
from mrgantry.study import tables
from mrgantry.study.create import create
from mrgantry.study.pools import Sources
from mrgantry.study.readings import read_answers, read_key
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
        own = library.chromium.executable_path
        names = ("chromium", "chromium-browser", "google-chrome")
        found = own if os.path.exists(own) else next(filter(None, map(shutil.which, names)), None)
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
        write_slices(
            folder / "real", images[0], people, ["test"] * 2 * count, tumour=labels
        )
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
    """A reader at a browser, who has a keyboard."""

    def __init__(self, browser, study, server):
        self.study = study
        self.context = browser.new_context(viewport={"width": 1280, "height": 800})
        with (study.folder / "links.csv").open() as file:
            link = next(csv.DictReader(file))["link"]
        self.address = f"http://127.0.0.1:{server.port}"
        self.link = f"{self.address}/enter#{link.partition('#')[2]}"
        self.page = self.context.new_page()
        self.page.set_default_timeout(30_000)
        self.said, self.problems = [], []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.goto(self.link)

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def press_on(self, name):
        """Go to an element with the tabulator, and press Enter there."""
        self.go_to(name)
        self.press("Enter")

    def go_to(self, name):
        for _ in range(40):
            if self.page.evaluate("document.activeElement.id") == name:
                return
            self.press("Tab")
        raise AssertionError(f"{name} cannot be reached by keyboard")

    def heading(self, text):
        self.page.get_by_role("heading", name=text).wait_for()

    def begin(self):
        """Take all steps up to the first image."""
        self.heading("Welcome")
        self.press("Enter")
        if self.study.consent:
            self.page.locator("#consent").wait_for()
            self.go_to("agree")
            self.press("Space")
            self.press_on("go")
        self.heading("What to do")
        self.press("Enter")
        self.heading("Your screen")
        self.go_to("dark-0")
        self.press("Space")
        self.press_on("go")

    def wait_for(self, where, page=None):
        """Wait until an image is displayed and asked about, and for the calm after it."""
        page = page or self.page
        page.wait_for_function(
            "where => document.getElementById('where')?.textContent.endsWith(where)"
            " && !document.getElementById('ask-truth').hidden",
            arg=where,
        )
        page.wait_for_timeout(330)

    def answer(self, number, *more):
        """Answer the displayed image; which way follows from its number."""
        key = "12"[(number * 7 // 3) % 2]
        self.said.append(WORDS[key])
        self.press(key, *more)

    def read(self, count, more=(), mischief=None, word="image"):
        for number in range(1, count + 1):
            self.wait_for(f"mage {number} of {count}")
            if mischief and number in mischief:
                mischief[number](self, number)
            else:
                self.answer(number, *more)

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


def refresh(sitting, number):
    sitting.page.reload()
    sitting.wait_for(f"image {number} of 100".removeprefix("i").replace("100", sitting.of))
    sitting.answer(number, *sitting.more)


def back(sitting, number):
    sitting.page.go_back()
    sitting.page.goto(sitting.address)
    sitting.wait_for(f"mage {number} of {sitting.of}")
    sitting.answer(number, *sitting.more)


def twice(sitting, number):
    sitting.answer(number, *sitting.more)
    sitting.press("2", "1", "2")  # slips on the way to the next image


def two_tabs(sitting, number):
    other = sitting.context.new_page()
    other.goto(sitting.address)
    sitting.wait_for(f"mage {number} of {sitting.of}", other)
    sitting.answer(number, *sitting.more)  # in the first tab
    sitting.wait_for(f"mage {number + 1} of {sitting.of}")
    other.keyboard.press("2")  # the second tab comes too late with the same image
    for key in sitting.more:
        other.keyboard.press(key)
    sitting.wait_for(f"mage {number + 1} of {sitting.of}", other)
    other.close()


def lost_connection(sitting, number):
    sitting.context.set_offline(True)
    sitting.answer(number, *sitting.more)
    sitting.page.get_by_text("Connection lost").wait_for()
    sitting.page.wait_for_timeout(700)
    sitting.context.set_offline(False)


def killed_before(sitting, number):
    sitting.server.kill()
    sitting.answer(number, *sitting.more)
    sitting.page.get_by_text("Connection lost").wait_for()
    sitting.server.start()


def killed_between(sitting, number):
    """Let the answer be kept, but not be acknowledged."""
    sitting.page.route("**/answer", lambda route: (route.fetch(), route.abort()))
    sitting.answer(number, *sitting.more)
    sitting.page.get_by_text("Connection lost").wait_for()
    sitting.server.kill()
    sitting.page.unroute("**/answer")
    sitting.server.start()


def closed(sitting, number):
    """Close the browser's window, and come again by the link."""
    sitting.page.close()
    sitting.page = sitting.context.new_page()
    sitting.page.set_default_timeout(30_000)
    sitting.page.on("pageerror", lambda error: sitting.problems.append(str(error)))
    sitting.page.goto(sitting.link)
    sitting.wait_for(f"mage {number} of {sitting.of}")
    sitting.answer(number, *sitting.more)


def paused(sitting, number):
    sitting.press("p")
    sitting.page.locator("#paused").wait_for()
    sitting.press("1")  # goes on, and is no answer
    sitting.page.locator("#paused").wait_for(state="hidden")
    sitting.answer(number, *sitting.more)


MISCHIEF = {
    5: refresh,
    9: twice,
    13: two_tabs,
    17: lost_connection,
    21: killed_before,
    25: back,
    29: killed_between,
    33: closed,
    37: paused,
}


def test_han2018(tmp_path, chromium):
    protocol = find_protocol("han2018")
    study = make(tmp_path, protocol, blocks=2)
    with served(study.folder) as server:
        sitting = Sitting(chromium, study, server)
        sitting.server, sitting.of, sitting.more = server, "100", ()
        sitting.begin()
        for part, mischief in ((1, MISCHIEF), (2, {})):
            sitting.heading(f"Part {part} of 2")
            sitting.press("Enter")
            sitting.read(100, mischief=mischief)
        sitting.heading("Thank you")
        sitting.check()
        store = study.store()
        assert len(read_answers(study, store, read_key(study))) == 200
        store.engine.dispose()


def test_han2018_pggan(tmp_path, chromium):
    consent = tmp_path / "consent.md"
    consent.write_text("# Consent\n\nYour answers are kept under a code.\n")
    study = make(tmp_path, find_protocol("han2018-pggan"), consent=consent)
    with served(study.folder) as server:
        sitting = Sitting(chromium, study, server)
        sitting.server, sitting.of, sitting.more = server, "200", ("2",)
        sitting.begin()
        sitting.heading("Now it counts")
        sitting.press("Enter")

        def taken_back(sitting, number):
            sitting.press("1" if (number * 7 // 3) % 2 else "2", "Backspace")
            sitting.page.wait_for_timeout(300)
            sitting.answer(number, *sitting.more)

        # The same key for both questions would be taken for a slip: these are two keys.
        def both(sitting, number):
            sitting.answer(number)
            sitting.page.wait_for_timeout(300)
            sitting.press("2")

        plan = dict.fromkeys(range(1, 201), both)
        plan[40] = taken_back_with(both)
        plan |= {number: with_pause(act) for number, act in MISCHIEF.items()}
        sitting.read(200, mischief=plan)
        sitting.heading("Thank you")
        sitting.check()
        assert {row["tumour"] for row in sitting.answers()} == {"no"}
