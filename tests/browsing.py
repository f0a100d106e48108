"""A server as people start it, and a reader at a browser."""

import csv
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

from sqlalchemy import select

from conftest import blobs, write_slices
from mrgantry.study.cases.create import create
from mrgantry.study.cases.pools import Sources
from mrgantry.study.database import tables
from mrgantry.study.study import Reader

WORDS = {"1": "real", "2": "synthetic", "3": "unknown"}


class Server:
    """The server as people start it, which can be killed."""

    def __init__(self, folder, *words):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder, self.words = folder, words
        self.start()

    def start(self):
        words = ["study", "serve", str(self.folder), "--port", str(self.port), *self.words]
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
def served(folder, *words):
    server = Server(folder, *words)
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

    def __init__(self, browser, study, server, of, then=(), address=""):
        self.study, self.server, self.of, self.then = study, server, of, then
        self.said, self.problems = [], []
        self.context = browser.new_context(viewport={"width": 1280, "height": 800})
        with (study.folder / "links.csv").open() as file:
            token = next(csv.DictReader(file))["link"].partition("#")[2]
        self.address = address or f"http://127.0.0.1:{server.port}/"
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
