"""What the server answers. Nothing here knows which image is real, but when it teaches.

GET  /                 the page that the person is at; the investigator's own for that role
GET  /enter            the page behind a personal link; its script sends the token on
POST /enter            begins a session
POST /leave            ends it
POST /step             a step is taken: welcome, consent, decline, reconsider, ...
GET  /next             the current trial, and what is left of its time
GET  /image/{trial}    its image, while the time lasts
POST /display          the image stands on the screen: its time begins
POST /chosen           notes when the first of several questions was answered
POST /answer           keeps an answer
POST /event            notes a pause, its end, or the screen
GET  /response/{trial} the truth about an answered trial of a teaching study
GET  /progress         how far the readers are, for the investigator
GET  /pages/{name}     scripts and styles
"""

from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException

from mrgantry.study.cases.shown import png
from mrgantry.study.database.store import Person, Store, Trial, hashed
from mrgantry.study.server.access import Attempts, Gate, Origins, RefusedError, cookie_name, said
from mrgantry.study.server.asked import (
    TRIAL,
    Answered,
    Chosen,
    Displayed,
    Happened,
    LinkToken,
    Stepped,
)
from mrgantry.study.server.display import DARK, LIGHT, arranged, judged
from mrgantry.study.server.languages import catalogues
from mrgantry.study.server.progress import canvas, progress, taught
from mrgantry.study.server.rendering import Pages, duration, marked_up, scripts
from mrgantry.study.server.steps import STEPS, Place, place_of
from mrgantry.study.study import Study

NOTED = 120  # events a minute that one person can add to the log
ALL_NOTED = 6000
GUESS = 6.0  # seconds an image, to tell how long a study without a limit may take

router = APIRouter()


@dataclass(frozen=True)
class Desk:
    """What every answer needs."""

    study: Study
    store: Store
    pages: Pages
    attempts: Attempts
    noted: Attempts
    consent: str
    canvas: tuple[int, int]

    @property
    def seconds(self) -> float | None:
        """Give the time limit."""
        return self.study.about.protocol.seconds

    @property
    def teaching(self) -> bool:
        """Say whether readers are told the truth."""
        return self.study.about.kind == "teaching"

    def place(self, reader: Person) -> Place:
        """Find where a reader is."""
        display = self.study.about.protocol.display
        place = place_of(self.store, reader, display, bool(self.consent))
        return replace(place, page="paused") if self.store.is_halted() else place

    def note(self, person: Person) -> None:
        """Count an event that a person adds to the log.

        Raises:
            RefusedError: There were too many of late: nobody may fill the disk.
        """
        if wait := self.noted.wait(person.id):
            raise RefusedError(429, "much", retry=wait, wait=wait)
        self.noted.count(person.id)


def make_app(study: Study, store: Store, origins: Origins | None = None) -> FastAPI:
    """Make the application that serves one study.

    Args:
        study: Which. Of its folder, `study.json` and `consent.md` are read, and no more.
        store: Its database.
        origins: Under which names it may be asked, besides this machine's addresses.
    """
    pages = Pages(study.about)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    # Wrong tokens count; right ones do not: a class opens its links at once, from one address.
    noted = Attempts(each=NOTED, together=ALL_NOTED)
    consent = study.consent.strip()
    size = study.about.stack.canvas if study.about.stack else canvas(store)
    app.state.desk = Desk(study, store, pages, Attempts(), noted, consent, size)
    app.add_exception_handler(HTTPException, _unknown)
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.include_router(router)
    app.add_middleware(
        Gate, store=store, pages=pages, origins=origins or Origins(), study=study.about.id
    )
    return app


async def _unknown(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    refused = RefusedError(error.status_code, "unread" if error.status_code == 400 else "nowhere")
    refused.headers = dict(error.headers or {})
    return said(request.app.state.desk.pages, request, refused)


async def _unreadable(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # A path that cannot be one is unknown; what stands in a body can be wrong.
    asked = any(part["loc"][0] == "path" for part in error.errors())
    refused = RefusedError(404, "nowhere") if asked else RefusedError(422, "unread")
    return said(request.app.state.desk.pages, request, refused)


async def _desk(request: Request) -> Desk:
    return request.app.state.desk


async def _reader(request: Request) -> Person:
    if request.state.person.role != "reader":
        raise RefusedError(404, "nowhere")
    return request.state.person


async def _investigator(request: Request) -> Person:
    if request.state.person.role != "investigator":
        raise RefusedError(404, "nowhere")
    return request.state.person


AtDesk = Annotated[Desk, Depends(_desk)]
Reader = Annotated[Person, Depends(_reader)]
TrialId = Annotated[str, Path(pattern=TRIAL)]


@router.get("/pages/{name}")
async def file(request: Request, name: str) -> Response:
    """Give a script or a style; what scripts say is in the language of the page."""
    if name == "messages.js":
        script = catalogues()[request.state.language].script
        return Response(script, media_type="text/javascript")
    if name not in scripts():
        raise RefusedError(404, "nowhere")
    data, kind = scripts()[name]
    return Response(data, media_type=kind)


@router.get("/enter")
async def entrance(request: Request, desk: AtDesk) -> HTMLResponse:
    """Give the page behind every personal link."""
    return HTMLResponse(desk.pages.render("enter.html", language=request.state.language))


@router.post("/enter")
def enter(request: Request, entry: LinkToken, desk: AtDesk) -> Response:
    """Begin a session with the token of a personal link."""
    client = request.client.host if request.client else ""
    person = desk.store.person_of(entry.token)
    if person is None:
        if wait := desk.attempts.wait(client):
            raise RefusedError(429, "many_links", retry=wait, wait=wait)
        desk.attempts.count(client)
        desk.store.record(None, "wrong token")
        raise RefusedError(401, "unknown_link")
    desk.note(person)
    secret = desk.store.begin_session(person)
    https, prefix = request.state.https, request.state.prefix
    name = cookie_name(desk.study.about.id, https, prefix)
    answer = JSONResponse({"page": "/"})
    # It ends with the browser: the next person at this computer must not read on.
    options = {"secure": https, "httponly": True, "samesite": "strict", "path": f"{prefix}/"}
    answer.set_cookie(name, secret, **options)
    return answer


@router.post("/leave")
def leave(request: Request, desk: AtDesk) -> Response:
    """End the session, on a computer that others use too."""
    desk.store.end_session(request.state.person, request.state.secret)
    https, prefix = request.state.https, request.state.prefix
    answer = JSONResponse({"page": "enter"})
    answer.delete_cookie(
        cookie_name(desk.study.about.id, https, prefix),
        path=f"{prefix}/",
        secure=https,
        httponly=True,
        samesite="strict",
    )
    return answer


@router.get("/")
def page(request: Request, desk: AtDesk) -> HTMLResponse:
    """Give the page that a person is at."""
    person, language = request.state.person, request.state.language
    about = {"csrf": request.state.csrf, "language": language}
    if person.role == "investigator":
        readers = len(desk.store.readers())
        return HTMLResponse(desk.pages.render("investigator.html", readers=readers, **about))
    place = desk.place(person)
    values = {"place": place, **_values(desk, person, place, language)}
    return HTMLResponse(desk.pages.render(f"{place.page}.html", **about, **values))


def _values(desk: Desk, reader: Person, place: Place, language: str) -> dict[str, Any]:
    """Give what a page says besides the place and the protocol."""
    if place.page == "welcome":
        images = place.images + place.practice
        length = duration(images * (desk.seconds or GUESS), language)
        return {"length": length, "guess": GUESS}
    if place.page == "consent":
        return {"consent": marked_up(desk.consent)}
    if place.page == "display":
        attempt = _checks(desk, reader)
        dark, light = (arranged(fields, reader.id, attempt) for fields in (DARK, LIGHT))
        return {"canvas": desk.canvas, "dark": dark, "light": light, "failed": attempt > 0}
    if place.page == "reading":
        # Teaching tells the truth about each image; what a blinded page gets never has it.
        return {"canvas": desk.canvas, "teaching": desk.teaching}
    if place.page == "thanks":
        counts = taught(desk.store, reader) if desk.teaching else {}
        return {"counts": counts, "score": _score(counts)}
    return {}


def _checks(desk: Desk, reader: Person) -> int:
    """Count the display checks that a reader has done."""
    return sum(event.kind == "display" for event in desk.store.events(reader))


def _score(counts: dict[tuple[str, str], int]) -> dict[str, int]:
    right = sum(count for (truth, given), count in counts.items() if truth == given)
    return {"right": right, "of": sum(counts.values())}


@router.post("/step")
def step(request: Request, stepped: Stepped, desk: AtDesk, reader: Reader) -> dict[str, str]:
    """Take a step, if it is the next one."""
    place = desk.place(reader)
    wrong_part = stepped.part is not None and stepped.part != place.part
    if stepped.step not in STEPS[place.page] or wrong_part:
        raise RefusedError(409, "another_page")
    desk.note(reader)
    detail: dict[str, Any] = {}
    if stepped.part is not None:
        detail = {"part": stepped.part, "language": request.state.language}
    if stepped.screen is not None:
        seen = judged(stepped.dark, stepped.light, reader.id, _checks(desk, reader))
        detail = seen | stepped.screen.model_dump()
    if stepped.step in ("consent", "decline"):
        detail = {"text": hashed(desk.consent)}  # which text it was, should it ever change
    desk.store.record(reader, stepped.step, **detail)
    return {"page": desk.place(reader).page}


@router.get("/next")
def next_trial(desk: AtDesk, reader: Reader) -> dict[str, Any]:
    """Tell of the current trial, or that another page is next."""
    place = desk.place(reader)
    trial = desk.store.current(reader)
    if place.page != "reading" or trial is None:
        return {"page": place.page}
    reply: dict[str, Any] = {"page": "reading", "trial": trial.id, "number": trial.number}
    reply |= {"part": trial.part, "parts": place.parts, "place": trial.place, "of": trial.of}
    reply |= {"remaining": _remaining(trial, desk), "displayed": trial.displayed}
    reply["elapsed"] = round(desk.store.elapsed(reader, trial), 3)
    if desk.teaching:
        reply["score"] = _score(taught(desk.store, reader))
    return reply


def _remaining(trial: Trial, desk: Desk) -> float | None:
    """Give the seconds for which the image may still be seen."""
    if desk.seconds is None or trial.started is None:
        return desk.seconds
    return round(max(0.0, trial.end(desk.seconds) - desk.store.clock.now()), 3)


@router.get("/image/{trial}")
def image(request: Request, trial: TrialId, desk: AtDesk, reader: Reader) -> Response:
    """Give the image of the current trial: the same work and the same headers for each."""
    # In a tab of its own it would stay when its time is over. Old browsers do not say where.
    if request.headers.get("sec-fetch-dest", "image") != "image":
        raise RefusedError(403, "alone")
    if desk.place(reader).page != "reading":
        raise RefusedError(404, "nowhere")
    grey = desk.store.image(reader, trial, desk.seconds)
    if grey is None:
        raise RefusedError(404, "nowhere")
    return Response(png(grey), media_type="image/png")


@router.post("/display")
def display(displayed: Displayed, desk: AtDesk, reader: Reader) -> dict[str, float | None]:
    """Note that an image stands on the screen."""
    trial = desk.store.display(reader, displayed.trial)
    if trial is None or not trial.displayed:
        raise RefusedError(409, "another_image")
    return {"remaining": _remaining(trial, desk)}


@router.post("/chosen")
def choose(chosen: Chosen, desk: AtDesk, reader: Reader) -> dict[str, str]:
    """Note when the first of several questions was answered: a time limit is on it alone."""
    desk.note(reader)
    protocol = desk.study.about.protocol
    if chosen.truth not in (*protocol.alternatives, *(["unknown"] if protocol.unknown else [])):
        raise RefusedError(422, "no_answer")
    if not desk.store.choose(reader, chosen.trial, chosen.truth):
        raise RefusedError(409, "another_image")
    return {"kept": "kept"}


@router.post("/answer")
def answer(answered: Answered, desk: AtDesk, reader: Reader) -> dict[str, str]:
    """Keep an answer; the second one to the same image changes nothing."""
    if not answered.fits(desk.study.about.protocol):
        raise RefusedError(422, "no_answer")
    kept = desk.store.answer(reader, answered.trial, answered.given, desk.seconds)
    if kept == "refused":
        raise RefusedError(409, "another_image")
    return {"kept": kept}


@router.post("/event")
def event(happened: Happened, desk: AtDesk, reader: Reader) -> dict[str, str]:
    """Note a pause, its end, or the screen."""
    desk.note(reader)
    detail = happened.screen.model_dump() if happened.screen else {}
    desk.store.record(reader, happened.kind, **detail)
    return {"kept": "kept"}


@router.get("/response/{trial}")
def response(trial: TrialId, desk: AtDesk, reader: Reader) -> dict[str, Any]:
    """Tell a learner what an answered image was."""
    truth = desk.store.truth(reader, trial) if desk.teaching else None
    if truth is None:
        raise RefusedError(404, "nowhere")
    return {"truth": truth[0], "tumour": truth[1], "score": _score(taught(desk.store, reader))}


@router.get("/progress")
def progress_of_all(
    request: Request, desk: AtDesk, _: Annotated[Person, Depends(_investigator)]
) -> dict[str, Any]:
    """Tell the investigator how far the readers are; not what they answered."""
    protocol, consent = desk.study.about.protocol, bool(desk.consent)
    readers = desk.store.readers()
    language = catalogues()[request.state.language]
    rows = [asdict(progress(desk.store, reader, protocol, consent, language)) for reader in readers]
    halted = desk.store.is_halted()
    return {"now": desk.store.clock.now(), "paused": halted, "readers": rows}
