"""A page for each verb, made from what the command line says of itself."""

import re
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Any, get_args, get_origin

import typer

import mrgantry
from mrgantry.cli import app

# The verbs by what somebody wants to do.
PARTS = {
    "Look and cut": ("guide", "simulate", "inspect", "prepare", "import", "export"),
    "Train and draw": ("recipes", "train", "sample", "walk", "project", "refine", "select"),
    "Judge": ("evaluate", "sensitivity", "compare", "detect", "segment", "study"),
    "Whole ways": ("demo", "reproduce", "report"),
}
IN_PYTHON = {"import": "import_slices"}
KINDS = {"Path": "path", "str": "text", "int": "whole number", "float": "number"}


def write_verbs(folder: Path) -> None:
    """Write a page for each verb, and the page that lists them.

    Args:
        folder: Of the pages; pages of verbs that are gone are deleted.

    Raises:
        KeyError: A verb stands in no part of the list, or the list names one that is gone.
    """
    folder.mkdir(exist_ok=True)
    commands = typer.main.get_command(app).commands
    listed = [name for names in PARTS.values() for name in names]
    if set(listed) != set(commands):
        raise KeyError(f"PARTS must name the verbs: {set(listed) ^ set(commands)}")
    pages = {name: "\n".join(_page(name, commands[name])) + "\n" for name in listed}
    pages["index"] = "\n".join(_index(commands)) + "\n"
    for path in folder.glob("*.md"):
        if path.stem not in pages:
            path.unlink()
    for name, text in pages.items():
        path = folder / f"{name}.md"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _index(commands: dict[str, Any]) -> Iterator[str]:
    yield "# Verbs\n"
    yield "Each is a command, `mrgantry VERB`, and most are a function of the same name in Python"
    yield "([reference](../reference.md)). A verb without arguments shows its help.\n"
    for part, names in PARTS.items():
        yield f"## {part}\n"
        for name in names:
            yield f"[{name}]({name}.md)\n: {_sentence(commands[name])}\n"
        yield "```{toctree}\n:hidden:\n:caption: " + part
        yield from names
        yield "```\n"


def _page(name: str, command: Any) -> Iterator[str]:
    yield f"# {name}\n"
    yield from _told(name, command, 2)
    function = IN_PYTHON.get(name, name)
    if function in mrgantry.__all__:
        yield f"In Python this is [`mrgantry.{function}`](#mrgantry.{function}).\n"


def _told(name: str, command: Any, level: int) -> Iterator[str]:
    """Tell of a command, and of the commands below it."""
    yield _prose(command.help or "") + "\n"
    below = getattr(command, "commands", {})
    if not below:
        yield from _usage(name, command)
        return
    for word, each in below.items():
        yield f"{'#' * level} {name} {word}\n"
        yield from _told(f"{name} {word}", each, level + 1)


def _usage(name: str, command: Any) -> Iterator[str]:
    given = [each for each in command.params if not each.opts[0].startswith("-")]
    options = [each for each in command.params if each.opts[0].startswith("-")]
    words = [_placeholder(each) for each in given]
    yield "```text"
    yield " ".join(["mrgantry", name, *words, *(["[OPTIONS]"] if options else [])])
    yield "```\n"
    if command.epilog:
        yield "For example:\n\n```"
        yield command.epilog.removeprefix("Example: ")
        yield "```\n"
    for each in given:
        yield f"`{_placeholder(each)}`\n: {_prose(each.help or '')}\n"
    if options:
        yield ":::{rubric} Options\n:::\n"
    for each in options:
        names = ", ".join(f"`{opt}`" for opt in (*each.opts, *each.secondary_opts))
        about = "; ".join(filter(None, (_kind(each), _default(each))))
        yield f"{names}{f' ({about})' if about else ''}\n: {_prose(each.help or '')}\n"


def _placeholder(given: Any) -> str:
    word = given.name.upper()
    word += "..." if given.nargs != 1 else ""
    return word if given.required else f"[{word}]"


def _kind(option: Any) -> str:
    """Say what is given to an option; nothing for a switch."""
    if option.is_flag:
        return ""
    kind = option.type_descriptor.annotation
    while get_origin(kind) is not None:
        kind = get_args(kind)[0]
    text = KINDS.get(getattr(kind, "__name__", ""), "text")
    if option.min is not None:
        text += (
            f", {option.min} or more" if option.max is None else f", {option.min} to {option.max}"
        )
    return text + ("; repeat for several" if option.multiple else "")


def _default(option: Any) -> str:
    value = option.default
    if option.required:
        return "must be given"
    return "" if value in (None, "", (), []) or option.is_flag else f"{value} unless given"


def _sentence(command: Any) -> str:
    return _prose(cleandoc(command.help or "").split("\n\n")[0])


def _prose(text: str) -> str:
    """Write what a terminal shows so that Markdown shows the same."""
    return re.sub(r"(?<!`)([*_<>\[\]|])(?![^`]*`(?:[^`]*`[^`]*`)*[^`]*$)", r"\\\1", cleandoc(text))
