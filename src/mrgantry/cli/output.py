"""What verbs print: sentences and what next on standard error, tables on standard output."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mrgantry.common.speaker import speaks

if TYPE_CHECKING:
    from mrgantry.data import SliceSet

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


def say_preview(data: "SliceSet", what: str) -> None:
    """Name the picture of a set, and say how many of its slices show a tumour."""
    from mrgantry.data.preview import colours_of, tumour_counts

    say(f"See in {data.folder / 'preview.png'} whether they {what}.")
    rows = "Heads" if data.about.voxels else "Slices"
    say(f"{rows} with a tumour: {tumour_counts(data.table) or 'not known'}.")
    if data.about.classes:
        specks = data.about.notes.specks
        without = f" {specks:,} specks of less than 25 mm2 were left out." if specks else ""
        say(f"Label maps, outlined in the picture: {colours_of(data.about.classes)}.{without}")


def say_repeats(data: "SliceSet", remedy: str) -> None:
    """Warn of people who look like one person under two names, and of what was not looked for."""
    repeats = data.about.notes.repeats or ()
    lines = [
        f"{repeat.subject} and {repeat.other} look like one person, "
        + (
            f"both in {repeat.split}: "
            if repeat.split == repeat.other_split
            else f"in two splits, {repeat.split} and {repeat.other_split}: "
        )
        + f"see the slices {repeat.id} and {repeat.other_id}."
        for repeat in repeats
    ]
    say_some("Warning", lines, data.folder / "about.json")
    if repeats:
        say(
            "A person under two names can stand in two splits, and then every score is too good. "
            f"Look at {data.folder / 'repeats.png'}; {remedy}"
        )
    if settled := data.about.notes.repeats_settled:
        say_some("Repeats", settled, data.folder / "about.json")
        say(f"Look at {data.folder / 'repeats.png'}.")
    if missed := data.about.notes.repeats_missed:
        say(f"Note: {missed}")


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


def recipe_for(data: "SliceSet") -> tuple[str, ...]:
    """Give the options that train our own recipe on a set."""
    size, voxels = data.about.size, data.about.voxels
    maps = ("--set", "label_maps=true") if data.about.classes else ()
    if voxels:
        return (*_recipe_of_heads(voxels), *maps)
    if size in {64, 128, 256}:
        return ("--recipe", f"gantry-{size}", *maps)
    return ("--recipe", "gantry-64", "--set", f"size={size}", *maps)


def _recipe_of_heads(voxels: tuple[int, ...]) -> tuple[str, ...]:
    """Name the recipe of heads of so many voxels, or the smallest one and what to change of it."""
    from mrgantry.papers.gantry import VOLUMES

    if voxels in VOLUMES:
        return ("--recipe", f"gantry-{'x'.join(map(str, voxels))}")
    smallest = "x".join(map(str, min(VOLUMES)))
    shape = ("--set", f"voxels={list(voxels)}", "--set", f"size={max(voxels)}")
    return ("--recipe", f"gantry-{smallest}", *shape)
