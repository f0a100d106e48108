"""The display check: does a reader's screen show what is faint?

A reader ticks the fields in which there is a faint square. The squares of 5 % and 95 % of the
greatest grey are those that a screen for reading must show (SMPTE RP 133); fainter ones are noted
and not asked for. A square that is seen where there is none fails the check, too.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from mrgantry.study.server.languages import Catalogue

Field = tuple[int, int]  # the grey of a field, and of the square in it; equal: there is none

DARK: tuple[Field, ...] = ((0, 6), (0, 13), (0, 0), (0, 4), (0, 9))
LIGHT: tuple[Field, ...] = ((255, 246), (255, 251), (255, 242), (255, 255), (255, 249))
NEEDED = {13, 242}  # greys of the squares that must be seen


def arranged(fields: Sequence[Field], reader: str, attempt: int) -> tuple[Field, ...]:
    """Give the fields in the order in which a reader sees them, which another attempt changes.

    Args:
        fields: Dark or light ones.
        reader: Id of the reader.
        attempt: How many checks the reader has done before.
    """
    if not attempt:
        return tuple(fields)
    return tuple(random.Random(f"{reader} {attempt}").sample(fields, len(fields)))


def judged(dark: Sequence[int], light: Sequence[int], reader: str, attempt: int) -> dict[str, Any]:
    """Judge what a reader has ticked, for the log of events.

    Args:
        dark: Numbers of the dark fields with a square, as the reader sees them, from 0.
        light: Of the light ones.
        reader: Id of the reader.
        attempt: How many checks the reader has done before.

    Returns:
        The greys of the squares that were seen, dark and light, and whether the check is passed.
    """
    seen = [
        {arranged(fields, reader, attempt)[number][1] for number in ticked}
        for fields, ticked in ((DARK, dark), (LIGHT, light))
    ]
    # The greys of the two fields without a square are those of the fields themselves.
    passed = seen[0] | seen[1] >= NEEDED and 0 not in seen[0] and 255 not in seen[1]
    return {"dark": sorted(seen[0]), "light": sorted(seen[1]), "passed": passed}


def in_words(detail: Mapping[str, Any], language: Catalogue) -> str:
    """Say how many of the faint squares were seen, and whether one that is not there was."""
    words = []
    for name, fields in (("dark", DARK), ("light", LIGHT)):
        squares = {inner for outer, inner in fields if inner != outer}
        seen = set(detail[name])
        said = language.say(f"check.{name}", seen=len(seen & squares), of=len(squares))
        words.append(language.say("check.false", squares=said) if seen - squares else said)
    said = "; ".join(words)
    return language.say("check.failed", squares=said) if detail.get("passed") is False else said
