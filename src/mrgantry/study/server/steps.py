"""Which page a reader is to see: it follows from what happened, and from nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mrgantry.study.database.store import Event, Person, Store
from mrgantry.study.protocol import Display

Page = Literal[
    "welcome",
    "consent",
    "declined",
    "instructions",
    "display",
    "practice",
    "break",
    "reading",
    "paused",
    "thanks",
]
Step = Literal["welcome", "consent", "decline", "reconsider", "instructions", "display", "begin"]
STEPS: dict[Page, tuple[Step, ...]] = {
    "welcome": ("welcome",),
    "consent": ("consent", "decline"),
    "declined": ("reconsider",),
    "instructions": ("instructions",),
    "display": ("display",),
    "practice": ("begin",),
    "break": ("begin",),
    "reading": (),
    "paused": (),
    "thanks": (),
}


@dataclass(frozen=True)
class Place:
    """Where a reader is.

    Attributes:
        page: What is to be seen.
        part: The part that is read or is next; 0 is practice.
        parts: Parts that count.
        answered: Answers that count, so far.
        images: Images that count, in all parts.
        practice: Images for practice.
        of: Images of this part.
    """

    page: Page
    part: int
    parts: int
    answered: int
    images: int
    practice: int
    of: int


def place_of(store: Store, reader: Person, display: Display, consent: bool) -> Place:
    """Find where a reader is.

    Args:
        store: The database.
        reader: Who reads.
        display: What the protocol has of the display check.
        consent: Whether there is a text to agree to.
    """
    parts = store.parts(reader)
    left = [(part, of) for part, answered, of in parts if answered < of]
    part, of = left[0] if left else (0, 0)
    return Place(
        page=_page(store.events(reader), display, consent, part if left else None),
        part=part,
        parts=sum(number > 0 for number, _, _ in parts),
        answered=sum(answered for number, answered, _ in parts if number > 0),
        images=sum(total for number, _, total in parts if number > 0),
        practice=sum(total for number, _, total in parts if number == 0),
        of=of,
    )


def _page(events: Sequence[Event], display: Display, consent: bool, part: int | None) -> Page:
    done = {event.kind for event in events}
    passed = any(event.detail.get("passed") for event in events if event.kind == "display")
    checked = {"none": True, "noted": "display" in done, "required": passed}[display]
    decided = [e.kind for e in events if e.kind in ("consent", "decline", "reconsider")]
    if not consent or decided[-1:] == ["consent"]:
        done.add("agreed")
    begun = {event.detail.get("part") for event in events if event.kind == "begin"}
    due: list[tuple[Page, bool]] = [
        ("welcome", "welcome" not in done),
        ("declined", "agreed" not in done and decided[-1:] == ["decline"]),
        ("consent", "agreed" not in done),
        ("instructions", "instructions" not in done),
        ("display", not checked),
        ("thanks", part is None),
        ("reading", part in begun),
        ("practice", part == 0),
    ]
    return next((page for page, is_due in due if is_due), "break")
