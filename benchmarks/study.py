"""How a study's server bears many readers at once: errors, and "submit and next image".

    python benchmarks/study.py [URL of an empty PostgreSQL database] [--pace SECONDS]

Fifty readers answer a hundred images each. Without a pace they do so as fast as the server lets
them, which no person does: it is always at its limit, and clients and server share this machine.
With one, each looks at an image for so long. A round is what a reader waits for between two
images: the answer is sent and kept, the next trial is told of, and its image arrives whole.
"""

import argparse
import csv
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pandas as pd

from mrgantry.data.about import About
from mrgantry.data.making import begin_set, finish
from mrgantry.data.parts import COLUMNS, write_part
from mrgantry.study.cases.create import create
from mrgantry.study.cases.pools import Sources
from mrgantry.study.protocol import Protocol
from mrgantry.study.study import Reader

READERS, CASES, SIZE, PORT = 50, 100, 128, 8765


@dataclass
class Browser:
    """A reader who does without a browser."""

    token: str
    rounds: list[float]
    pace: float
    answered: int = 0

    def ask(self, path: str, body: dict | None = None) -> bytes:
        """Send a request as a page of the study does; give the body of the answer."""
        headers = {"Cookie": self.cookie, "X-CSRF-Token": self.csrf}
        if body is not None:
            headers |= {"Content-Type": "application/json", "Origin": f"http://127.0.0.1:{PORT}"}
        method = "GET" if body is None else "POST"
        self.line.request(method, path, json.dumps(body) if body else None, headers)
        answer = self.line.getresponse()
        text = answer.read()
        assert answer.status == 200, (path, answer.status, text[:200])
        if cookie := answer.headers.get("Set-Cookie"):
            self.cookie = cookie.partition(";")[0]
        return text

    def choose(self, trial: str) -> None:
        """Answer a trial."""
        self.ask("/answer", {"trial": trial, "truth": "real", "client_seconds": 1.0})

    def read(self) -> None:
        """Read the whole study."""
        self.line, self.cookie, self.csrf = HTTPConnection("127.0.0.1", PORT, timeout=60), "", ""
        self.ask("/enter", {"token": self.token})
        self.csrf = re.search(rb'name="csrf" content="(\w+)"', self.ask("/"))[1].decode()
        screen = {"width": 1280, "height": 800, "ratio": 1, "scale": 4}
        for step in ({"step": "welcome"}, {"step": "instructions"}):
            self.ask("/step", step)
        self.ask("/step", {"step": "display", "dark": [], "light": [], "screen": screen})
        self.ask("/step", {"step": "begin", "part": 1})
        told = json.loads(self.ask("/next"))
        self.ask(f"/image/{told['trial']}")
        while told["page"] == "reading":
            self.ask("/display", {"trial": told["trial"]})
            time.sleep(self.pace)
            start = time.perf_counter()
            self.choose(told["trial"])
            self.answered += 1
            told = json.loads(self.ask("/next"))
            if told["page"] == "reading":
                self.ask(f"/image/{told['trial']}")
                self.rounds.append(time.perf_counter() - start)


def images(folder: Path, synthetic: bool, count: int = CASES) -> Path:
    """Write a set of noise."""
    pixels = np.random.default_rng(synthetic).uniform(-1, 1, (count, 1, SIZE, SIZE))
    facts = {"channels": ("t1",), "size": SIZE, "command": "", "choices": {}, "versions": {}}
    about = About(synthetic=synthetic, **facts)
    begin_set(folder, about)
    usual = dict.fromkeys(COLUMNS, "") | {"index": 0, "position_mm": 0.0, "pixel_mm": 1.0}
    rows = [
        usual
        | {
            "id": str(i),
            "subject": "" if synthetic else f"s{i}",
            "split": "" if synthetic else "test",
        }
        for i in range(count)
    ]
    write_part(folder, "all", pixels.astype(np.float16), pd.DataFrame(rows))
    finish(folder, about, ["all"])
    return folder


def main(database: str | None, pace: float) -> None:
    """Make a study, serve it, let all read at once, and count."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sets = images(folder / "real", False), (images(folder / "made", True),)
        readers = [Reader(name=f"R{i}") for i in range(READERS)]
        protocol = Protocol(name="load", cases=CASES)
        create(
            folder / "study", protocol, [Sources("A", *sets)], readers, database=database
        )  # fmt: skip
        with (folder / "study/links.csv").open() as file:
            tokens = [row["link"].partition("#")[2] for row in csv.DictReader(file)]
        command = [sys.executable, "-m", "mrgantry", "study", "serve", str(folder / "study")]
        command += ["--port", str(PORT)] + (["--database", database] if database else [])
        server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            report(read_all(tokens[:READERS], pace), database)
        finally:
            server.terminate()
            server.wait()


def read_all(tokens: list[str], pace: float) -> tuple[list[Browser], float]:
    """Let all readers read at once; give them, and the seconds it took."""
    for _ in range(300):
        try:
            HTTPConnection("127.0.0.1", PORT, timeout=1).connect()
            break
        except OSError:
            time.sleep(0.1)
    browsers = [Browser(token, [], pace) for token in tokens]
    threads = [threading.Thread(target=browser.read) for browser in browsers]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
        time.sleep(0.1)  # they do not come in the same instant
    for thread in threads:
        thread.join()
    return browsers, time.perf_counter() - start


def report(found: tuple[list[Browser], float], database: str | None) -> None:
    """Print what was measured."""
    browsers, seconds = found
    rounds = np.array([one for browser in browsers for one in browser.rounds]) * 1000
    answers = sum(browser.answered for browser in browsers)
    complete = sum(browser.answered == CASES for browser in browsers)
    print(f"{'PostgreSQL' if database else 'SQLite'}: {complete} of {READERS} readers answered all")
    print(f"{answers:,} answers in {seconds:.1f} s, {answers / seconds:.0f} a second")
    p50, p95, p99 = np.percentile(rounds, (50, 95, 99))
    print(f"submit and next image: median {p50:.0f}, p95 {p95:.0f}, p99 {p99:.0f} ms")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("database", nargs="?")
    parser.add_argument("--pace", type=float, default=0.0)
    given = parser.parse_args()
    main(given.database, given.pace)
