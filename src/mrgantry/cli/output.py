"""What verbs print: sentences and what next on standard error, tables on standard output."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from mrgantry.common.speaker import speaks

SAID = 12  # lines of one kind that are printed


def say(text: str) -> None:
    """Print a sentence on standard error, from the first process alone."""
    if speaks():
        typer.echo(text, err=True)


def say_some(what: str, lines: Sequence[str], where: Path) -> None:
    """Print the first lines of what may be many."""
    for line in lines[:SAID]:
        say(f"{what}: {line}")
    if len(lines) > SAID:
        say(f"{what}: {len(lines) - SAID} more, see {where}.")


def say_next(*words: object) -> None:
    """Print the command that comes next, ready to be copied."""
    say(f"Next: mrgantry {shlex.join(map(str, words))}")


def print_table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Print a table on standard output, 120 columns wide where that is no terminal."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for name in head:
        # What does not fit goes on, nothing is cut; the first column holds names to copy.
        table.add_column(name, overflow="fold", no_wrap=name == head[0])
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 120).print(table)
