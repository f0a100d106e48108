"""What readers' pages say, in each language: one file of messages a language.

The files in `languages/` have the same messages. Those under [script] go to the pages' scripts
as a module of their own, so that no page has a script within.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from markupsafe import Markup

Message = str | Mapping[str, str]
DEFAULT = "en"


@dataclass(frozen=True)
class Catalogue:
    """The messages of one language.

    Attributes:
        code: Of the language, as browsers name it.
        name: Of the language, in itself.
        messages: By section and name, as "welcome.title"; a message whose form depends on a
            number has its forms by name.
    """

    code: str
    name: str
    messages: Mapping[str, Message]

    def say(self, key: str, /, **values: object) -> str:
        """Give a message as text.

        Args:
            key: Its section and name.
            values: What is filled in; `n` is the number that a form depends on.
        """
        return self._form(key, values).format(**values)

    def write(self, key: str, /, **values: object) -> Markup:
        """Give a message as HTML, with what is filled in escaped."""
        return Markup(self._form(key, values)).format(**values)

    def _form(self, key: str, values: Mapping[str, object]) -> str:
        message = self.messages[key]
        if isinstance(message, str):
            return message
        return message["one"] if values.get("n") == 1 and "one" in message else message["other"]

    def word(self, word: str) -> str:
        """Give what real or synthetic images are called; an investigator's own word as it is."""
        message = self.messages.get(f"word.{word}", word)
        return message if isinstance(message, str) else word

    @property
    def script(self) -> bytes:
        """Give the module of the messages that scripts say."""
        own = {
            key.removeprefix("script."): message
            for key, message in self.messages.items()
            if key.startswith("script.")
        }
        return f"export const messages = {json.dumps(own, ensure_ascii=False)};\n".encode()


@cache
def catalogues() -> dict[str, Catalogue]:
    """Read the catalogues of all languages, by their codes, the default one first."""
    found = {}
    for path in (files("mrgantry.study.server") / "languages").iterdir():
        code, _, kind = path.name.partition(".")
        if kind == "toml":
            found[code] = _read(code, path.read_text(encoding="utf-8"))
    return dict(sorted(found.items(), key=lambda item: (item[0] != DEFAULT, item[0])))


def _read(code: str, text: str) -> Catalogue:
    values = tomllib.loads(text)
    name = values.pop("name")
    messages = {
        f"{section}.{key}": message
        for section, inner in values.items()
        for key, message in inner.items()
    }
    return Catalogue(code, name, messages)


def language_of(wanted: str, chosen: str, accepted: str) -> str:
    """Choose a language: what is wanted now, was chosen before, or the browser prefers.

    Args:
        wanted: Of the page's address.
        chosen: Of the cookie.
        accepted: The header Accept-Language, such as "ja,en-US;q=0.7,en;q=0.3".
    """
    for code in (wanted, chosen):
        if code in catalogues():
            return code
    ranked = []
    for place, part in enumerate(accepted[:500].split(",")):
        tag, _, weight = part.strip().partition(";q=")
        try:
            ranked.append((-float(weight or 1), place, tag.partition("-")[0].lower()))
        except ValueError:
            continue
    return next((code for _, _, code in sorted(ranked) if code in catalogues()), DEFAULT)
