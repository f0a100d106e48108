"""One progress bar for all long work: in a terminal, in a notebook, and as lines in a file."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
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
NOTEBOOK = "JPY_PARENT_PID"  # what Jupyter sets in its kernels, and so in what they start
BLINK = 0.5  # seconds between two changes of a notebook's bar


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
            print(self.line(now, note), file=sys.stderr, flush=True)

    def line(self, now: float, note: str = "") -> str:
        """Write how far the work is, and how long it will take."""
        spent = now - self.began
        left = spent * (self.total - self.done) / max(self.done - self.already, 1)
        parts = [f"{self.title} {self.done:,} of {self.total:,}", f"{minutes(spent)} spent"]
        parts += [f"about {minutes(left)} left"] if self.done > self.already else []
        parts += [note] if note else []
        return ", ".join(parts)


class NotebookBar(Lines):
    """Progress as a bar below a notebook's cell, which goes when the work is done.

    Args:
        title: What is going on, one or two words.
        total: Items of work in all.
        done: Items that an earlier, interrupted call has already done.
    """

    def __init__(self, title: str, total: int, done: int) -> None:
        super().__init__(title, total, done)
        from IPython.display import HTML, display  # noqa: PLC0415  # there only in notebooks

        self.written = HTML
        self.shown = display(HTML(self.bar(self.began)), display_id=True)

    def __call__(self, items: int = 1, note: str = "") -> None:
        """Count some items as done."""
        self.done += items
        now = time.monotonic()
        if now - self.last >= BLINK:
            self.last = now
            self.shown.update(self.written(self.bar(now, note)))

    def bar(self, now: float, note: str = "") -> str:
        """Write the bar, with the same words as a line."""
        told = escape(self.line(now, note))
        return f"<progress max='{self.total}' value='{self.done}'></progress> {told}"

    def close(self) -> None:
        """Take the bar away; what was done tells the result."""
        self.shown.update(self.written(""))


def in_notebook() -> bool:
    """Say whether this runs in a notebook's kernel, which shows HTML."""
    if "IPython" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    return shell is not None and hasattr(shell, "kernel")


def minutes(seconds: float) -> str:
    """Write a duration for people."""
    total = round(seconds / 60)
    return f"{total // 60} h {total % 60} min" if total >= 60 else f"{total} min"


@contextmanager
def progress(title: str, total: int, done: int = 0) -> Iterator[Advance]:
    """Show a bar with the remaining time on standard error while the block runs.

    Where that is no terminal, as in the log of a cluster's job, a line a minute is written; in a
    notebook the bar stands below the cell.

    Args:
        title: What is going on, one or two words.
        total: Items of work in all.
        done: Items that an earlier, interrupted call has already done; they count
            for the bar but not for the speed.

    Yields:
        A function to call after each piece of work.
    """
    if speaks() and in_notebook():
        bar = NotebookBar(title, total, done)
        try:
            yield bar
        finally:
            bar.close()
        return
    console = Console(stderr=True)
    # A command in a notebook's cell is told that it writes to a terminal, which cannot move back.
    if speaks() and (not console.is_terminal or NOTEBOOK in os.environ):
        yield Lines(title, total, done)
        return
    drawn = Progress(
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
    with drawn:
        task = drawn.add_task(title, total=total, completed=done, note="")

        def advance(items: int = 1, note: str = "") -> None:
            drawn.update(task, advance=items, note=note)

        yield advance
