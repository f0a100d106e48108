"""The readers' pages: templates, scripts and styles, read once and served from memory."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup

from mrgantry.common.templates import fill_in
from mrgantry.study.server.languages import DEFAULT, catalogues
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

    def render(
        self,
        template: str,
        *,
        language: str = DEFAULT,
        csrf: str = "",
        root: str = "",
        **values: Any,
    ) -> str:
        """Fill a page in.

        Args:
            template: Its file.
            language: Code of the language.
            csrf: What the page sends back with each POST.
            root: Way from the page's address to that of the study's first page, such as "../".
                Addresses are relative, so that a proxy can put the study under any path.
            values: What the template names besides.
        """
        catalogue = catalogues()[language]
        about = {
            "about": self.about,
            "protocol": self.about.protocol,
            "word": catalogue.word(self.about.protocol.synthetic_word),
            "language": catalogue,
            "languages": list(catalogues().values()),
            "say": catalogue.write,
            "key": key,
            "csrf": csrf,
            "root": root,
        }
        return fill_in("study/server/pages", template, about | values)


def key(name: object) -> Markup:
    """Draw a key of the keyboard, or what is typed."""
    return Markup("<kbd>{}</kbd>").format(name)


def marked_up(text: str) -> str:
    """Turn the investigator's Markdown into HTML; no HTML and no pictures pass through.

    Its headings stand below that of the page, and skip no level, whatever theirs are.
    """
    markdown = MarkdownIt("commonmark", {"html": False}).disable("image")
    tokens = markdown.parse(text)
    above: list[int] = []  # levels of the headings that a heading stands under
    for token in tokens:
        if token.type == "heading_open":
            level = int(token.tag[1:])
            above = [*(other for other in above if other < level), level]
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, len(above) + 1)}"
    return str(markdown.renderer.render(tokens, markdown.options, {}))


def duration(seconds: float, language: str = DEFAULT) -> str:
    """Write a length of time as people say it."""
    minutes = max(1, round(seconds / 60))
    if minutes < 90:
        return catalogues()[language].say("welcome.minutes", n=minutes)
    return catalogues()[language].say("welcome.hours", n=f"{minutes / 60:.1f}")
