"""One progress bar for all long work, and quiet where nobody watches."""

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


@runtime_checkable
class Advance(Protocol):
    """Report progress: how many items more, and what to show behind the bar."""

    def __call__(self, items: int = 1, note: str = "") -> None:
        """Count some items as done."""


@contextmanager
def progress(title: str, total: int, done: int = 0) -> Iterator[Advance]:
    """Show a bar with the remaining time on standard error while the block runs.

    Args:
        title: What is going on, one or two words.
        total: Items of work in all.
        done: Items that an earlier, interrupted call has already done; they count
            for the bar but not for the speed.

    Yields:
        A function to call after each piece of work.
    """
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description:<10}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=not (console.is_terminal and speaks()),
    )
    with bar:
        task = bar.add_task(title, total=total, completed=done, note="")

        def advance(items: int = 1, note: str = "") -> None:
            bar.update(task, advance=items, note=note)

        yield advance
