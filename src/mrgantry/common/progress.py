"""One progress bar for all long work; a line now and then where it goes into a file."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from mrgantry.common.speaker import speaks

PAUSE = 60.0  # seconds between two lines


@runtime_checkable
class Advance(Protocol):
    """Report progress: how many items more, and what to show behind the bar."""

    def __call__(self, items: int = 1, note: str = "") -> None:
        """Count some items as done."""


class Lines:
    """Progress as lines, the first after a minute: short work writes none.

    Args:
        title: What is going on, one or two words.
        total: Items of work in all.
        done: Items that an earlier, interrupted call has already done.
    """

    def __init__(self, title: str, total: int, done: int) -> None:
        self.title, self.total, self.done = title, total, done
        self.already = done
        self.began = self.last = time.monotonic()

    def __call__(self, items: int = 1, note: str = "") -> None:
        """Count some items as done."""
        self.done += items
        now = time.monotonic()
        if now - self.last >= PAUSE:
            self.last = now
            spent = now - self.began
            left = spent * (self.total - self.done) / max(self.done - self.already, 1)
            parts = [f"{self.title} {self.done:,} of {self.total:,}", f"{minutes(spent)} spent"]
            parts += [f"about {minutes(left)} left"] if self.done > self.already else []
            parts += [note] if note else []
            print(", ".join(parts), file=sys.stderr, flush=True)


def minutes(seconds: float) -> str:
    """Write a duration for people."""
    total = round(seconds / 60)
    return f"{total // 60} h {total % 60} min" if total >= 60 else f"{total} min"


@contextmanager
def progress(title: str, total: int, done: int = 0) -> Iterator[Advance]:
    """Show a bar with the remaining time on standard error while the block runs.

    Where that is no terminal, as in the log of a cluster's job, a line a minute is written.

    Args:
        title: What is going on, one or two words.
        total: Items of work in all.
        done: Items that an earlier, interrupted call has already done; they count
            for the bar but not for the speed.

    Yields:
        A function to call after each piece of work.
    """
    console = Console(stderr=True)
    if speaks() and not console.is_terminal:
        yield Lines(title, total, done)
        return
    bar = Progress(
        TextColumn("{task.description:<10}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=not speaks(),
    )
    with bar:
        task = bar.add_task(title, total=total, completed=done, note="")

        def advance(items: int = 1, note: str = "") -> None:
            bar.update(task, advance=items, note=note)

        yield advance
