"""Whether a study's answers outlive a server that is killed again and again while readers read.

    python benchmarks/kills.py [URL of an empty PostgreSQL database] [--kills 100] [--readers 8]

Readers answer without pause, and note each answer that the server says it has kept. Meanwhile the
server is killed (SIGKILL) at a random moment within two seconds of its being up, and started again.
Then all is read from the database: what was lost, what was changed, and what stands there twice.
"""

import argparse
import csv
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from sqlalchemy import select

from mrgantry.study.cases.create import create
from mrgantry.study.cases.pools import Sources
from mrgantry.study.database.tables import answers
from mrgantry.study.protocol import Protocol
from mrgantry.study.study import Reader, Study
from study import PORT, Browser, images

CASES = 1500  # so many that nobody is done before the last kill


@dataclass
class Stubborn(Browser):
    """A reader who asks again until somebody answers, and remembers what was kept."""

    kept: dict[str, str] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)
    chance: random.Random = field(default_factory=random.Random)

    def ask(self, path: str, body: dict | None = None) -> bytes:
        """Send a request until it is answered; what was refused is no answer kept."""
        while not self.stop.is_set():
            try:
                return super().ask(path, body)
            except (OSError, HTTPException, AssertionError):
                self.line.close()
                self.line = HTTPConnection("127.0.0.1", PORT, timeout=60)
                if path == "/answer":
                    return b""  # kept or not: the next trial tells
                time.sleep(0.05)
        raise InterruptedError

    def choose(self, trial: str) -> None:
        """Answer a trial, and note the answer if the server says that it is kept."""
        said = self.chance.choice(["real", "synthetic"])
        body = {"trial": trial, "truth": said, "client_seconds": 1.0}
        if b'"kept"' in self.ask("/answer", body):
            self.kept.setdefault(trial, said)


def up() -> None:
    """Wait until the server answers."""
    for _ in range(600):
        try:
            HTTPConnection("127.0.0.1", PORT, timeout=1).connect()
            return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError


def main(database: str | None, kills: int, readers: int) -> None:
    """Read, kill, and look what is there."""
    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sets = images(folder / "real", False, CASES), (images(folder / "made", True, CASES),)
        people = [Reader(name=f"R{i}") for i in range(readers)]
        create(
            folder / "study",
            Protocol(name="kills", cases=CASES),
            [Sources("A", *sets)],
            people,
            database=database,
        )
        with (folder / "study/links.csv").open() as file:
            tokens = [row["link"].partition("#")[2] for row in csv.DictReader(file)][:readers]
        command = [sys.executable, "-m", "mrgantry", "study", "serve", str(folder / "study")]
        command += ["--port", str(PORT)] + (["--database", database] if database else [])
        stop = threading.Event()
        browsers = [Stubborn(token, [], 0.0, stop=stop) for token in tokens]
        threads = [threading.Thread(target=quietly, args=(browser,)) for browser in browsers]
        server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        up()
        for thread in threads:
            thread.start()
        while not all(browser.kept for browser in browsers):  # all have begun to read
            time.sleep(0.1)
        started = time.perf_counter()
        for _ in range(kills):
            time.sleep(chance.uniform(0.05, 2))
            server.send_signal(signal.SIGKILL)
            server.wait()
            server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            up()
        time.sleep(2)
        stop.set()
        for thread in threads:
            thread.join()
        server.send_signal(signal.SIGKILL)
        server.wait()
        seconds = time.perf_counter() - started
        report(Study.open(folder / "study"), database, browsers, kills, seconds)


def quietly(browser: Stubborn) -> None:
    """Read until told to stop."""
    with suppress(InterruptedError):
        browser.read()


def report(
    study: Study, database: str | None, browsers: list[Stubborn], kills: int, seconds: float
) -> None:
    """Compare what readers were told is kept with what is there."""
    store = study.store(database, to_read=True)
    with store.reading() as connection:
        rows = connection.execute(select(answers.c.trial, answers.c.truth)).all()
    store.engine.dispose()
    there = {row.trial: row.truth for row in rows}
    kept = {trial: said for browser in browsers for trial, said in browser.kept.items()}
    lost = [trial for trial in kept if trial not in there]
    changed = [trial for trial, said in kept.items() if there.get(trial, said) != said]
    twice = [trial for trial, count in Counter(row.trial for row in rows).items() if count > 1]
    print(f"{'PostgreSQL' if database else 'SQLite'}: {kills} kills in {seconds:.0f} s")
    print(f"{len(kept):,} answers were said to be kept, {len(there):,} are there")
    print(f"lost {len(lost)}, changed {len(changed)}, twice {len(twice)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database", nargs="?")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--readers", type=int, default=8)
    given = parser.parse_args()
    main(given.database, given.kills, given.readers)
