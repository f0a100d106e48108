"""A PostgreSQL server for tests: one that is named, or one that is started for them."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

NAMED = "MRGANTRY_POSTGRESQL"  # URL of a server on which databases may be made


def programs() -> Path | None:
    """Find initdb and pg_ctl: in the path, or where Debian hides them."""
    found = shutil.which("initdb")
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return Path(found).parent if found else next(iter(places), None)


@contextmanager
def postgresql() -> Iterator[str]:
    """Yield the URL of a server, without a database's name; skip where there is none."""
    if os.environ.get(NAMED):
        yield os.environ[NAMED].rstrip("/")
        return
    where = programs()
    if where is None:
        pytest.skip(f"no PostgreSQL is at hand: name a server in {NAMED}, or install one")
    # It refuses to run as root, so as whom its package made.
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    user = {"user": "postgres", "group": "postgres"} if root else {}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp())
    if root:
        shutil.chown(folder, "postgres", "postgres")

    def call(program: str, *words: str) -> None:
        command = [str(where / program), "-D", str(folder / "data"), *words]
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False, **user)
        assert done.returncode == 0, done.stderr.decode()

    call("initdb", "-U", "tester", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
    listen = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    call("pg_ctl", "-w", "-l", str(folder / "log"), "-o", listen, "start")
    try:
        yield f"postgresql://tester@127.0.0.1:{port}"
    finally:
        call("pg_ctl", "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder)


def new_database(server: str, name: str) -> str:
    """Make an empty database; give its URL."""
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    return f"{server}/{name}"
