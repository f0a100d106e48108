"""How a folder was made: the command that makes it again, and the versions used."""

import platform
import shlex
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "nibabel")


def command_line(verb: str, *words: Any, **options: Any) -> str:
    """Spell the shell command that repeats a call of a public function.

    Options that are None or False are left out, True becomes a bare flag, and a
    list becomes one option for each of its values.

    >>> command_line("sample", "run", "out dir", count=8, seed=0)
    "mrgantry sample run 'out dir' --count 8 --seed 0"
    """
    parts = ["mrgantry", *verb.split(), *map(str, words)]
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        for word in value if isinstance(value, list | tuple) else [value]:
            if word is True:
                parts.append(flag)
            elif word is not None and word is not False:
                parts += [flag, str(word)]
    return shlex.join(parts)


def versions() -> dict[str, str]:
    """Name the versions of mrgantry, Python and the libraries that shape results."""
    own = {"mrgantry": _version("mrgantry"), "python": platform.python_version()}
    return own | {name: _version(name) for name in LIBRARIES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def short(path: Path) -> str:
    """Write a path as a person would: relative to here where that is shorter."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
