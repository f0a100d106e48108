"""The one gate that every request passes: who asks, from where, and how much they send.

It fails closed: what it does not know is refused. Every answer leaves through it too, so that
none is without its headers, and none shows a trace of the program.
"""

import asyncio
import hashlib
import hmac
import ipaddress
import json
import logging
import time
from collections import deque
from dataclasses import dataclass, field
from threading import Lock
from urllib.parse import urlsplit

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mrgantry.study.database.store import Store, hashed
from mrgantry.study.server.languages import catalogues, language_of
from mrgantry.study.server.rendering import Pages

LARGEST = 16 * 1024  # bytes of a request's body
PATIENCE = 20.0  # seconds that a body may take to arrive
OPEN = ("/enter", "/pages/")  # what can be had without a session
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
}
LANGUAGE = "mrgantry-language"  # the cookie of the language that a reader has chosen

log = logging.getLogger("mrgantry.study")


class RefusedError(Exception):
    """A request that is not served, with the message for the person who made it.

    Attributes:
        status: Of the answer.
        key: Of the message, in the section [refused] of the catalogues.
        values: What is filled in.
        headers: Further headers of the answer.
    """

    def __init__(self, status: int, key: str, *, retry: int | None = None, **values: object):
        super().__init__(key)
        self.status, self.key, self.values = status, key, values
        self.headers = {} if retry is None else {"Retry-After": str(retry)}


@dataclass(frozen=True)
class Origins:
    """Under which names the server may be asked.

    A page of elsewhere could give its own name this machine's address, and then read what the
    browser of a reader gets. So a name must be known; an address says nothing about names.

    Attributes:
        url: The public address, such as https://study.example.org, if there is one.
        names: Further names of this machine.
    """

    url: str = ""
    names: frozenset[str] = frozenset()

    @property
    def prefix(self) -> str:
        """Give the path that a proxy has put the study under, such as /study; empty if none."""
        return urlsplit(self.url).path.rstrip("/")

    @property
    def origin(self) -> str:
        """Give the public address without a path; empty if there is none."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}".lower() if self.url else ""

    def known(self, host: str) -> bool:
        """Say whether a Host header names this server."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in {"localhost", urlsplit(self.url).hostname, *self.names}:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def own(self, request: Request) -> set[str]:
        """List the origins that are this server itself."""
        host = request.headers.get("host", "").lower()
        return {f"{request.scope['scheme']}://{host}", self.origin} - {""}

    def https(self, request: Request) -> bool:
        """Say whether the browser speaks https, with us or with a proxy before us."""
        public = f"//{request.headers.get('host', '').lower()}"
        return request.scope["scheme"] == "https" or self.origin == f"https:{public}"


@dataclass
class Attempts:
    """Limits how often something is done, by each client and by all.

    Attributes:
        each: Attempts of one client within `seconds`.
        together: Attempts of all clients.
        seconds: How long an attempt counts.
    """

    each: int = 30
    together: int = 300
    seconds: float = 60.0
    _made: deque[tuple[float, str]] = field(default_factory=deque)
    _lock: Lock = field(default_factory=Lock)

    def count(self, client: str) -> None:
        """Count an attempt."""
        with self._lock:
            self._made.append((time.monotonic(), client))

    def wait(self, client: str) -> int:
        """Give the seconds that a client has to wait before another attempt; 0 if none."""
        now = time.monotonic()
        with self._lock:
            while self._made and self._made[0][0] <= now - self.seconds:
                self._made.popleft()
            mine = [at for at, who in self._made if who == client]
            if len(mine) < self.each and len(self._made) < self.together:
                return 0
            first = mine[0] if len(mine) >= self.each else self._made[0][0]
        return max(1, int(first + self.seconds - now) + 1)


def csrf_of(secret: str) -> str:
    """Give what a page must send back with each POST: only a page of this session knows it."""
    return hashlib.sha256(f"csrf{secret}".encode()).hexdigest()


def cookie_name(study: str, https: bool, prefix: str = "") -> str:
    """Name the cookie: each study has its own, as two may run on one machine.

    Args:
        study: Its id.
        https: Whether the browser speaks https.
        prefix: Path that the study lies under; browsers take "__Host-" for the path / alone.
    """
    kept = ("__Secure-" if prefix else "__Host-") if https else ""
    return f"{kept}mrgantry-{hashed(study)[:8]}"


@dataclass
class Gate:
    """The middleware round the whole application."""

    app: ASGIApp
    store: Store
    pages: Pages
    origins: Origins
    study: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it; never let an error through."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        if scope["type"] != "http":
            return
        request = Request(scope)
        wanted = request.query_params.get("language", "")
        accepted = request.headers.get("accept-language", "")
        language = language_of(wanted, request.cookies.get(LANGUAGE, ""), accepted)
        scope.setdefault("state", {})["language"] = language
        leaving = _Leaving(send, self._chosen(language) if wanted == language else "")
        if scope["path"] == self.origins.prefix:  # addresses are relative to a folder
            await RedirectResponse(f"{self.origins.prefix}/")(scope, receive, leaving)
            return
        scope = _below(self.origins.prefix, scope)
        request = Request(scope, receive)
        try:
            body = await self._admit(request)
            await self.app(scope, _again(body, receive), leaving)
        except RefusedError as refused:
            await said(self.pages, request, refused)(scope, receive, leaving)
        except Exception as error:
            database = isinstance(error, (DBAPIError, PoolTimeoutError))
            _log(request, error, database)
            if not leaving.begun:
                wrong = RefusedError(503, "busy", retry=2) if database else None
                wrong = wrong or RefusedError(500, "failed")
                await said(self.pages, request, wrong)(scope, receive, leaving)

    def _chosen(self, language: str) -> str:
        """Write the cookie that keeps the language which a reader has chosen; it is no secret."""
        return (
            f"{LANGUAGE}={language}; Path={self.origins.prefix}/; Max-Age=31536000; SameSite=strict"
        )

    async def _admit(self, request: Request) -> bytes:
        """Check a request and find out whose it is; give its body.

        Raises:
            RefusedError: It is not to be served.
        """
        if not self.origins.known(request.headers.get("host", "")):
            raise RefusedError(421, "name")
        _check_site(request)
        body = b""
        if request.method not in ("GET", "HEAD"):
            self._check_origin(request)
            body = await _body(request)
        https, prefix = self.origins.https(request), self.origins.prefix
        secret = request.cookies.get(cookie_name(self.study, https, prefix), "")
        person = await run_in_threadpool(self.store.person_in, secret) if secret else None
        request.state.person, request.state.https, request.state.prefix = person, https, prefix
        request.state.secret = secret if person else ""
        request.state.csrf = csrf_of(secret) if person else ""
        path = request.scope["path"]
        if path == OPEN[0] or path.startswith(OPEN[1]):
            return body
        if person is None:
            raise RefusedError(401, "link")
        sent = request.headers.get("x-csrf-token", "").encode()
        if request.method not in ("GET", "HEAD") and not hmac.compare_digest(
            sent, request.state.csrf.encode()
        ):
            raise RefusedError(403, "old_page")
        return body

    def _check_origin(self, request: Request) -> None:
        origin = request.headers.get("origin")
        site = request.headers.get("sec-fetch-site")
        foreign = origin is not None and origin.lower() not in self.origins.own(request)
        if foreign or (origin is None and site != "same-origin"):
            raise RefusedError(403, "elsewhere")


def _below(prefix: str, scope: Scope) -> Scope:
    """Take the path off that a proxy has put the study under, if the proxy has left it there."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    if prefix and (path == prefix or path.startswith(f"{prefix}/")):
        path = path.removeprefix(prefix)
    return {**scope, "path": path or "/", "root_path": ""}


def _log(request: Request, error: Exception, database: bool) -> None:
    """Write down what failed: an outage in a line, since it fails for everybody all the time."""
    asked = f"{request.method} {request.scope['path']}"
    if database:
        said = str(getattr(error, "orig", error)).partition("\n")[0]
        log.error("%s failed, as the study's database does: %s", asked, said)
    else:
        log.error("%s failed", asked, exc_info=error)


def _check_site(request: Request) -> None:
    """Refuse what pages of elsewhere load; links into the study may stand there."""
    site = request.headers.get("sec-fetch-site", "none")
    entrance = request.method == "GET" and request.scope["path"] in ("/", "/enter")
    if site not in ("same-origin", "none") and not entrance:
        raise RefusedError(403, "asked_elsewhere")


async def _body(request: Request) -> bytes:
    """Read a body of JSON that is not too long.

    Raises:
        RefusedError: It is something else, too long, or does not arrive.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RefusedError(415, "json")
    body = b""
    try:
        async with asyncio.timeout(PATIENCE):
            async for piece in request.stream():
                body += piece
                if len(body) > LARGEST:
                    raise RefusedError(413, "large", bytes=LARGEST)
    except TimeoutError as error:
        raise RefusedError(408, "lost") from error
    return body


def _again(body: bytes, receive: Receive) -> Receive:
    """Give a body that was read once to those who read it next."""
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return left.pop() if left else await receive()

    return next_message


@dataclass
class _Leaving:
    """Puts the headers on every answer, and takes off those that tell of files."""

    send: Send
    cookie: str = ""
    begun: bool = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(scope=message)
            for name in ("etag", "last-modified", "server"):
                del headers[name]
            for name, value in HEADERS.items():
                headers[name] = value
            if self.cookie:
                headers.append("set-cookie", self.cookie)
        await self.send(message)


def said(pages: Pages, request: Request, refused: RefusedError) -> Response:
    """Answer with a sentence: to a script as JSON, to a person as a page."""
    language = request.state.language
    sentence = catalogues()[language].say(f"refused.{refused.key}", **refused.values)
    if "application/json" in request.headers.get("accept", ""):
        text, kind = json.dumps({"say": sentence}), "application/json"
    else:
        root = "../" * (request.scope["path"].count("/") - 1)
        text = pages.render("say.html", language=language, sentence=sentence, root=root)
        kind = "text/html"
    return Response(text, refused.status, refused.headers, kind)
