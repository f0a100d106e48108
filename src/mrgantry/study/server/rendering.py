"""The readers' pages: templates, scripts and styles, read once and served from memory."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from markdown_it import MarkdownIt

from mrgantry.common.templates import fill_in
from mrgantry.study.study import StudyFacts

KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@cache
def scripts() -> dict[str, tuple[bytes, str]]:
    """Give scripts and styles by their names, with their types."""
    contents = {}
    for path in (files("mrgantry.study.server") / "pages").iterdir():
        kind = KINDS.get(f".{path.name.rpartition('.')[2]}")
        if kind:
            contents[path.name] = (path.read_bytes(), kind)
    return contents


@dataclass(frozen=True)
class Pages:
    """The pages of one study."""

    about: StudyFacts

    def render(self, template: str, *, csrf: str = "", **values: Any) -> str:
        """Fill a page in."""
        about = {"about": self.about, "protocol": self.about.protocol, "csrf": csrf}
        return fill_in("study/server/pages", template, about | values)


def marked_up(text: str) -> str:
    """Turn the investigator's Markdown into HTML; no HTML and no pictures pass through."""
    return str(MarkdownIt("commonmark", {"html": False}).disable("image").render(text))


def duration(seconds: float) -> str:
    """Write a length of time as people say it."""
    minutes = max(1, round(seconds / 60))
    if minutes < 90:
        return f"{minutes} minute{'s' * (minutes > 1)}"
    return f"{minutes / 60:.1f} hours"
