"""Every error that mrgantry raises on purpose.

    MrgantryError
    ├── DataError      a scan, a cohort or a set of slices is not what it should be
    ├── RecipeError    a recipe, a plan or one of their values is not what it should be
    └── RunError       long work cannot begin, or go on, in a folder
        └── DivergedError  one of its losses became NaN or infinite

The message is one or two sentences for a person: what is wrong, where, what was
expected, and what to do. The command line prints it and exits with status 1.
"""

import difflib


class MrgantryError(Exception):
    """Base of all errors that a user can cause and mend."""


class DataError(MrgantryError):
    """A scan, a cohort or a set of slices is not what it should be."""


class RecipeError(MrgantryError):
    """A recipe, a plan or one of their values is not what it should be."""


class RunError(MrgantryError):
    """Long work cannot begin, or go on: its folder holds something else, or is not ready."""


class DivergedError(RunError):
    """A loss became NaN or infinite: the recipe failed, not the program."""


def unknown(kind: str, word: str, choices: list[str], where: str) -> str:
    """Say that a word is not known, and which one may have been meant.

    Args:
        kind: What it should name, such as "column".
        word: As it was given.
        choices: All that it could be.
        where: What was looked into, without an article, such as "table of slices".
    """
    close = difflib.get_close_matches(
        word.rsplit(".", maxsplit=1)[-1], [k.split(".")[-1] for k in choices], 1
    )
    match = next((k for k in choices if close and k.split(".")[-1] == close[0]), None)
    hint = f"Did you mean {match!r}?" if match else f"Known: {', '.join(sorted(choices))}."
    return f"Unknown {kind} {word!r} in the {where}. {hint}"
