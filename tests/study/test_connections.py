"""Connections to a server that really listens: quick ones, slow ones, and very many."""

import http.client
import socket
import threading
from contextlib import contextmanager

import pytest
import uvicorn

from mrgantry.study.server.serve import serve
from reading import make_study


@pytest.fixture
def serving(tmp_path, monkeypatch):
    """Serve a study in another thread; yield its port and its running server."""
    run, running, begun = uvicorn.Server.run, [], threading.Event()

    def noted(server, sockets):
        running.append((server, sockets[0].getsockname()[1]))
        begun.set()
        run(server, sockets=sockets)

    monkeypatch.setattr(uvicorn.Server, "run", noted)
    made = make_study(tmp_path / "s")
    made.store.engine.dispose()
    options = {"port": 0, "say": lambda _: None}
    thread = threading.Thread(target=serve, args=(made.study.folder,), kwargs=options)
    thread.start()
    assert begun.wait(30)
    server, port = running[0]
    yield server, port
    server.should_exit = True
    thread.join(30)


@contextmanager
def connected(port):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as one:
        yield one


def test_no_answer_waits_for_the_one_before_to_be_acknowledged(serving):
    server, port = serving
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    client.request("GET", "/enter")
    assert client.getresponse().read()
    [connection] = server.server_state.connections
    far = connection.transport.get_extra_info("socket")
    assert far.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    client.close()
