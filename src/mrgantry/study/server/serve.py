"""Serves a study to its readers, on this machine unless told otherwise."""

import ipaddress
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvicorn

from mrgantry.common.errors import RunError
from mrgantry.study.server.access import Origins
from mrgantry.study.server.app import make_app
from mrgantry.study.server.connections import Connection, allow_many
from mrgantry.study.study import Study, checked_url

GOODBYE = 5  # seconds that requests have to end when the server is stopped


def serve(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    database: str | None = None,
    certificate: Path | None = None,
    private_key: Path | None = None,
    behind_proxy: bool = False,
    url: str = "",
    say: Callable[[str], object] = print,
) -> None:
    """Serve a study until Ctrl-C.

    Args:
        folder: The study.
        host: Address of this machine to listen at; 0.0.0.0 is all of them.
        port: Where to listen; 0 lets the system choose.
        database: URL of the PostgreSQL server, if the study has its answers there.
        certificate: Chain of certificates for https, a PEM file.
        private_key: Its key.
        behind_proxy: Whether a proxy on this machine speaks https with the readers.
        url: Public address, which a proxy may hide; unless given, that of the links.
        say: Tells the user where to look.

    Raises:
        DataError: The folder is no study, or its database cannot be opened.
        RunError: The port is taken, or the certificate or the public address will not do.
    """
    secure = _check_https(certificate, private_key)
    study = Study.open(folder)
    origins = Origins(checked_url(url or study.about.url), frozenset({host.lower()}))
    store = study.store(database)
    allow_many()
    listening = _listen(host, port)
    port = listening.getsockname()[1]  # where it was 0, the system has chosen one
    config = uvicorn.Config(
        make_app(study, store, origins),
        http=Connection,
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=behind_proxy,
        forwarded_allow_ips="127.0.0.1,::1",
        ws="none",
        lifespan="off",
        ssl_certfile=certificate,
        ssl_keyfile=private_key,
        timeout_graceful_shutdown=GOODBYE,
    )
    logging.getLogger("mrgantry.study").setLevel(logging.ERROR)
    try:
        _load(config, certificate)
        for line in _told(study, host, port, url, secure, behind_proxy):
            say(line)
        with suppress(KeyboardInterrupt):  # uvicorn raises it once more when all has ended
            uvicorn.Server(config).run(sockets=[listening])
    finally:
        listening.close()
        store.engine.dispose()
    say("The server has stopped. Every answer is kept; start it again to go on.")


def _check_https(certificate: Path | None, private_key: Path | None) -> bool:
    if (certificate is None) != (private_key is None):
        raise RunError("https needs both --certificate and --private-key.")
    for path in (certificate, private_key):
        if path is not None and not path.is_file():
            raise RunError(f"{path} does not exist; https needs a certificate and its key.")
    return certificate is not None


def _listen(host: str, port: int) -> socket.socket:
    """Take the port.

    Raises:
        RunError: It is taken, or there is no such address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise RunError(
            f"The server cannot listen at {host}, port {port} ({error}). If another server is "
            "there, stop it, or choose another port with --port."
        ) from error


def _load(config: Any, certificate: Path | None) -> None:
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        raise RunError(
            f"The certificate {certificate} and its key will not do: {error}."
        ) from error


def _told(
    study: Study, host: str, port: int, url: str, secure: bool, behind_proxy: bool
) -> list[str]:
    """Say where the study is, where its links are, and what is not safe."""
    name = f"[{host}]" if ":" in host else host
    address = url or f"{'https' if secure else 'http'}://{name}:{port}"
    lines = [
        f"{study.about.title}: serving at {address}, until Ctrl-C.",
        f"The personal links are in {study.folder / 'links.csv'}: send each reader their own. "
        "Yours shows how far they are.",
    ]
    if study.about.kind == "blinded" and (study.folder / "key.csv").exists():
        lines.append(
            f"Warning: {study.folder / 'key.csv'} tells which images are real. Move it where "
            "neither readers nor this machine see it; `mrgantry study score` takes it by --key."
        )
    if not _loopback(host) and not (secure or behind_proxy):
        lines.append(
            f"Warning: {host} can be reached from other machines, and without https others on the "
            "network can read links and answers. Give --certificate and --private-key, or put a "
            "proxy that speaks https before the server."
        )
    return lines


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
