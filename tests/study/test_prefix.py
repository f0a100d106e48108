"""A study lies under any path that a proxy puts it under, all of it."""

import re
from urllib.parse import urljoin

import pytest
from starlette.testclient import TestClient

from mrgantry.common.errors import RunError
from mrgantry.study.server.access import Origins
from mrgantry.study.server.app import make_app
from mrgantry.study.study import checked_url
from reading import SCREEN, make_study

PUBLIC = "https://example.org/study/"
ORIGIN = {"Origin": "https://example.org"}


def proxied(app, strips):
    """Put an application under /study, as proxies do: they leave the path, or take it off."""

    async def proxy(scope, receive, send):
        assert scope["path"].startswith("/study"), scope["path"]  # all else is another's
        path = scope["path"].removeprefix("/study") if strips else scope["path"]
        await app({**scope, "path": path}, receive, send)

    return proxy


@pytest.fixture(params=[True, False], ids=["stripped", "left"])
def client(tmp_path, request):
    made = make_study(tmp_path / "s", parts=(0, 1))
    app = make_app(made.study, made.store, Origins(PUBLIC.rstrip("/")))
    opened = TestClient(proxied(app, request.param), base_url="https://example.org")
    opened.made, opened.strips = made, request.param
    return opened


def addresses(page, at):
    """Give all that a page leads to or loads."""
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    return [urljoin(at, link) for link in links if not link.startswith("?")]  # the page itself


def test_all_of_a_study_lies_under_its_path(client):
    entry = {"token": client.made.tokens["anna"]}
    sent = client.post(f"{PUBLIC}enter", json=entry, headers=ORIGIN)
    assert sent.status_code == 200
    cookie = sent.headers["set-cookie"]
    assert cookie.startswith("__Secure-mrgantry-") and "Path=/study/;" in cookie
    for path in ("enter", "", "nothing", "image/nothing", "a/b/c"):
        page = client.get(PUBLIC + path)
        linked = addresses(page.text, PUBLIC + path)
        assert linked and all(client.get(each).status_code == 200 for each in linked), path
        assert all(each.startswith(PUBLIC) for each in linked)
    csrf = re.search(r'name="csrf" content="(\w+)"', client.get(PUBLIC).text)[1]
    known = ORIGIN | {"X-CSRF-Token": csrf, "Accept": "application/json"}
    for step in ({"step": "welcome"}, {"step": "instructions"}, {"step": "display"}):
        body = step | ({"screen": SCREEN} if step["step"] == "display" else {})
        assert client.post(f"{PUBLIC}step", json=body, headers=known).status_code == 200
    client.post(f"{PUBLIC}step", json={"step": "begin", "part": 1}, headers=known)
    trial = client.get(f"{PUBLIC}next").json()["trial"]
    assert client.get(f"{PUBLIC}image/{trial}").status_code == 200


def test_no_script_names_an_address_from_the_root(client):
    page = client.get(f"{PUBLIC}pages/steps.js").text
    assert page
    for name in ("clock", "display", "enter", "leave", "pause", "paused", "progress", "questions",
                 "reading", "screen", "send", "steps", "view"):  # fmt: skip
        text = client.get(f"{PUBLIC}pages/{name}.js").text
        assert not re.search(r"[\"'`]/[\w\"'`]", text), name


def test_the_path_without_its_end_leads_to_the_study(client):
    if client.strips:
        pytest.skip("a proxy that takes the path off leads there itself")
    answer = client.get(PUBLIC.rstrip("/"), follow_redirects=False)
    assert answer.status_code == 307 and answer.headers["location"] == "/study/"


@pytest.mark.parametrize("url", ["https://x.org/a b", "https://x.org/a?b", "https://x.org/<a>"])
def test_addresses_that_will_not_do(url):
    with pytest.raises(RunError, match="must read like"):
        checked_url(url)
    assert checked_url("https://x.org/a/b-1/") == "https://x.org/a/b-1"
