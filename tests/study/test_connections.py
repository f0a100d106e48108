"""Connections to a server that really listens: quick ones, slow ones, and very many."""

import http.client
import socket
import threading
import time
from contextlib import ExitStack

import pytest
import uvicorn

from mrgantry.study.server import connections
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


@pytest.fixture
def few_files():
    """Give this process as few open files as systems do that were not told otherwise."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def connected(port):
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def test_no_answer_waits_for_the_one_before_to_be_acknowledged(serving):
    server, port = serving
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    client.request("GET", "/enter")
    assert client.getresponse().read()
    [connection] = server.server_state.connections
    far = connection.transport.get_extra_info("socket")
    assert far.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    client.close()


def drip(line, seconds):
    """Send the head of a request a byte at a time; give the seconds until the line is cut."""
    begun = time.monotonic()
    while time.monotonic() < begun + seconds:
        try:
            line.sendall(b"x")
            line.settimeout(0.1)
            if line.recv(1) == b"":
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - begun


def test_a_head_that_does_not_arrive_is_waited_for_no_longer(serving, monkeypatch):
    monkeypatch.setattr(connections, "PATIENCE", 1.0)
    _, port = serving
    with connected(port) as silent, connected(port) as slow:
        slow.sendall(b"GET /enter HTTP/1.1\r\nHost: 127.0.0.1\r\nX-")
        assert drip(slow, 20) < 10  # a byte now and then buys no time
        assert silent.recv(1) == b""


def test_a_line_that_is_used_again_is_not_cut(serving, monkeypatch):
    monkeypatch.setattr(connections, "PATIENCE", 1.0)
    client = http.client.HTTPConnection("127.0.0.1", serving[1], timeout=30)
    client.connect()
    line = client.sock
    for _ in range(4):
        time.sleep(0.5)
        client.request("GET", "/enter")
        assert client.getresponse().read() and client.sock is line
    line.sendall(b"GET /ent")  # the next head, too, must arrive
    assert line.recv(1) == b""
    client.close()


def test_half_open_lines_shut_nobody_out(few_files, serving):
    """More of them than a process may have files open, unless it asks for more."""
    with ExitStack() as lines:
        for _ in range(1030):
            lines.enter_context(connected(serving[1])).sendall(b"GET / HTTP/1.1\r\n")
        client = http.client.HTTPConnection("127.0.0.1", serving[1], timeout=10)
        client.request("GET", "/enter")
        assert client.getresponse().read()
        client.close()
