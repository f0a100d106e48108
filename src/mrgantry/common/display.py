"""How results show themselves: as text; in a notebook as sentences, a picture and a table."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import pandas as pd

DIGITS = "{:.3g}".format


@dataclass(frozen=True)
class Display:
    """What a result shows of itself.

    Attributes:
        sentences: What it says.
        table: Its main numbers; None without any.
        picture: A PNG file, which may have been moved since; None without one.
    """

    sentences: Sequence[str]
    table: pd.DataFrame | None = None
    picture: Path | None = None


class Displayed:
    """A result that shows itself; it says what by `display`."""

    @property
    def display(self) -> Display:
        """Give what is to be seen."""
        raise NotImplementedError

    def __repr__(self) -> str:
        shown = self.display
        parts = list(shown.sentences)
        if shown.table is not None:
            parts += ["", shown.table.to_string(index=False, float_format=DIGITS)]
        return "\n".join(parts)

    def __str__(self) -> str:
        return repr(self)

    def _repr_html_(self) -> str:
        """Show sentences, picture and table in a notebook."""
        shown = self.display
        if len(shown.sentences) == 1:
            parts = [f"<p>{escape(shown.sentences[0])}</p>"]
        else:
            items = "".join(f"<li>{escape(sentence)}</li>" for sentence in shown.sentences)
            parts = [f"<ul>{items}</ul>"]
        if shown.picture is not None and shown.picture.is_file():
            coded = base64.b64encode(shown.picture.read_bytes()).decode()
            parts.append(f"<img src='data:image/png;base64,{coded}' alt='{shown.picture.stem}'>")
        if shown.table is not None:
            parts.append(shown.table.to_html(index=False, float_format=DIGITS))
        return "".join(parts)
