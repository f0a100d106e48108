"""How the server treats a connection, below what is asked through it."""

import asyncio
import socket

from uvicorn.protocols.http.h11_impl import H11Protocol


class Connection(H11Protocol):
    """A connection whose small answers leave at once.

    Without that, the body of each waits until the browser has acknowledged its head, which
    takes it 40 ms: asyncio sees to it only for sockets that say they are of TCP, and those of
    `socket.create_server` do not.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin with a new connection."""
        super().connection_made(transport)
        far = transport.get_extra_info("socket")
        far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
