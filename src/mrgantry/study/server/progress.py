"""How far the readers are, and how a learner does. The first tells nothing about answers."""

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import func, select

from mrgantry.study.database.store import Person, Store
from mrgantry.study.database.tables import answers, cases, displays, sendings, trials, truths
from mrgantry.study.protocol import Protocol
from mrgantry.study.server.display import in_words
from mrgantry.study.server.languages import Catalogue
from mrgantry.study.server.steps import Page, place_of


@dataclass(frozen=True)
class Progress:
    """How far one reader is.

    Attributes:
        name: Of the reader.
        page: Where the reader is.
        parts: Answered and all images of each part; practice comes first, if there is any.
        answered: Answers that count.
        images: Images that count.
        last: When anything happened last, in seconds since 1970; None: not yet.
        consented: Whether the reader agreed; None where there is no text to agree to.
        check: The last display check, in words; empty until one is done.
        pauses: How often the reader paused.
        resent: How often an image was sent that had been sent before.
        seconds: Mean time from display to answer; None before the first answer.
        removed: Whether the investigator has removed the reader.
    """

    name: str
    page: Page
    parts: list[tuple[int, int, int]]
    answered: int
    images: int
    last: float | None
    consented: bool | None
    check: str
    pauses: int
    resent: int
    seconds: float | None
    removed: bool


def progress(
    store: Store, reader: Person, protocol: Protocol, consent: bool, language: Catalogue
) -> Progress:
    """Find how far a reader is, without a look at what was answered.

    Args:
        store: The database.
        reader: Who reads.
        protocol: What is asked, and how.
        consent: Whether there is a text to agree to.
        language: In which the display check is told of.
    """
    events = store.events(reader)
    kinds = Counter(event.kind for event in events)
    place = place_of(store, reader, protocol.display, consent)
    checks = [event.detail for event in events if event.kind == "display"]
    mine = trials.c.reader == reader.id
    sent = select(func.count(), func.count(sendings.c.trial.distinct()))
    sent = sent.join(trials, trials.c.id == sendings.c.trial).where(mine)
    shown = select(func.max(displays.c.at)).join(trials, trials.c.id == displays.c.trial)
    kept = select(func.max(answers.c.at), func.avg(answers.c.at - answers.c.started))
    with store.reading() as connection:
        every, once = connection.execute(sent).one()
        displayed = connection.execute(shown.where(mine)).scalar()
        answered, seconds = connection.execute(kept.where(answers.c.reader == reader.id)).one()
    times = [events[-1].at if events else None, displayed, answered]
    return Progress(
        name=reader.name,
        page=place.page,
        parts=store.parts(reader),
        answered=place.answered,
        images=place.images,
        last=max((time for time in times if time is not None), default=None),
        consented=(place.page not in ("welcome", "consent", "declined")) if consent else None,
        check=in_words(checks[-1], language) if checks else "",
        pauses=kinds["pause"],
        resent=every - once,
        seconds=None if seconds is None else float(seconds),
        removed=reader.id in store.removed(),
    )


def taught(store: Store, reader: Person) -> dict[tuple[str, str], int]:
    """Count a learner's answers by truth and answer; practice is left out.

    Only a teaching study's database knows truths; elsewhere nothing is counted.
    """
    wanted = (
        select(truths.c.truth, answers.c.truth, func.count())
        .join(trials, trials.c.case_id == truths.c.case_id)
        .join(answers, answers.c.trial == trials.c.id)
        .where(trials.c.reader == reader.id, trials.c.part > 0)
        .group_by(truths.c.truth, answers.c.truth)
    )
    with store.reading() as connection:
        return {(truth, given): count for truth, given, count in connection.execute(wanted)}


def canvas(store: Store) -> tuple[int, int]:
    """Give the height and width, in pixels, that hold every image of the study."""
    with store.reading() as connection:
        row = connection.execute(select(func.max(cases.c.height), func.max(cases.c.width))).one()
    return int(row[0] or 1), int(row[1] or 1)
