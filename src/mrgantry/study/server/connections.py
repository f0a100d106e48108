"""How the server treats a connection, below what is asked through it."""

import asyncio
import socket
from contextlib import suppress

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE = 20.0  # seconds that the head of a request may take to arrive
LINES = 8192  # connections at once, where the system gives so many


class Connection(H11Protocol):
    """A connection whose small answers leave at once, and that is cut where nothing is asked.

    Unless told so, asyncio holds the body of an answer back until the browser has acknowledged its
    head, which takes it 40 ms: it sees to it only for sockets that say they are of TCP, and
    those of `socket.create_server` do not.
    """

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin with a new connection."""
        super().connection_made(transport)
        far = transport.get_extra_info("socket")
        far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take what has arrived; from the first byte of a head its time runs."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._wait()
        else:
            self._wait_no_more()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._wait_no_more()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._waiting is None:
            self._waiting = self.loop.call_later(PATIENCE, self.transport.abort)

    def _wait_no_more(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


def allow_many() -> None:
    """Ask the system for as many open files as a study could have connections."""
    try:
        import resource  # noqa: PLC0415  Windows has no such limit
    except ImportError:
        return
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = LINES if most == resource.RLIM_INFINITY else min(LINES, most)
    with suppress(OSError, ValueError):
        if now != resource.RLIM_INFINITY and now < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
