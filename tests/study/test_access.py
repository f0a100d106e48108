"""Who gets in, and what is refused: a gate that fails closed."""

import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update
from sqlalchemy.exc import DBAPIError
from starlette.responses import Response
from starlette.testclient import TestClient

from mrgantry.study.database import store as stores
from mrgantry.study.database.tables import answers
from mrgantry.study.server import access
from mrgantry.study.server.access import Attempts, Gate, Origins, cookie_name
from mrgantry.study.server.app import make_app
from mrgantry.study.server.rendering import Pages
from reading import BOSS, SCREEN, URL, make_study

PATHS = [
    *("/", "/enter", "/leave", "/step", "/next", "/display", "/answer", "/event", "/progress"),
    *("/image/abc", "/response/abc", "/pages/style.css", "/pages/nothing", "/nothing"),
]
METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A study that no test here answers."""
    return make_study(tmp_path_factory.mktemp("studies") / "s")


@pytest.fixture(scope="module")
def reader(made):
    return made.enter("anna").start()


def test_no_page_without_a_session(made):
    client = made.client()
    for path in PATHS:
        got = client.get(path)
        if path.startswith(("/enter", "/pages")):
            assert got.status_code == (404 if "nothing" in path else 200)
        else:
            assert got.status_code == 401 and "open your personal link" in got.text, path
    for path in ("/docs", "/redoc", "/openapi.json", "/study.json", "/key.csv", "/links.csv"):
        assert client.get(path).status_code == 401
    for token in made.tokens.values():
        assert token not in client.get(f"/enter?{token}").text


def test_unknown_pages_are_404_in_a_session(reader):
    for path in ("/nothing", "/docs", "/openapi.json", "/key.csv", "/image/", "/enter/", "/next/"):
        assert reader.client.get(path).status_code == 404, path
    assert reader.client.delete("/").status_code in (403, 405, 415)


@pytest.mark.parametrize("trick", ["../key.csv", "..%2fkey.csv", "%2e%2e/%2e%2e/links.csv", "%00"])
def test_no_file_but_the_pages_can_be_had(made, reader, trick):
    for start in ("/pages/", "/image/", "/", "/pages/%2e%2e/"):
        got = reader.client.get(start + trick)
        assert got.status_code in (401, 404), got.url
        assert made.tokens["bo"] not in got.text


def test_every_answer_has_the_headers(made, reader):
    for client in (made.client(), reader.client):
        for path in PATHS:
            for method in METHODS:
                got = client.request(method, path, headers={"Origin": URL})
                for name, value in access.HEADERS.items():
                    assert got.headers[name] == value, (method, path)
                assert not {"etag", "last-modified", "server"} & set(got.headers)
                assert "Traceback" not in got.text
    policy = access.HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy and "http" not in policy and "*" not in policy


def test_no_page_has_inline_scripts_or_styles(made, reader):
    pages = [made.client().get("/enter").text, made.client().get("/").text, reader.page()]
    for page in [*pages, made.enter("bo").page(), made.enter(BOSS).page()]:
        assert not re.search(r"<script(?! type=\"module\" src=\"pages/)", page)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|https?://", page)


def test_one_reader_gets_nothing_of_another(made, tmp_path):
    made = make_study(tmp_path / "s")
    anna, bo = made.enter("anna").start(), made.enter("bo").start()
    theirs = bo.show()
    assert anna.get(f"/image/{theirs}").status_code == 404
    assert anna.post("/display", {"trial": theirs}).status_code == 409
    assert anna.answer(theirs).status_code == 409
    assert anna.get(f"/response/{theirs}").status_code == 404
    later = made.trials["anna"][1]["id"]
    assert anna.get(f"/image/{later}").status_code == 404  # one's own, but not its turn
    with made.store.reading() as connection:
        assert connection.execute(select(func.count()).select_from(answers)).scalar() == 0


def test_roles_do_not_mix(made, reader):
    boss = made.enter(BOSS)
    assert reader.get("/progress").status_code == 404
    assert "Progress" not in reader.page()
    assert boss.get("/next").status_code == 404
    trial = made.trials["anna"][0]["id"]
    assert boss.get(f"/image/{trial}").status_code == 404
    assert boss.step("welcome").status_code == 404
    assert boss.answer(trial).status_code == 404


def test_the_database_holds_hashes_only(made, reader):
    secret = reader.client.cookies[cookie_name(made.study.about.id, https=False)]
    data = b"".join(p.read_bytes() for p in made.study.folder.glob("study.sqlite*"))
    assert stores.hashed(secret).encode() in data
    for word in (secret, *made.tokens.values()):
        assert word.encode() not in data


def test_the_cookie(made):
    body = {"token": made.tokens["anna"]}
    plain = made.client().post("/enter", json=body, headers={"Origin": URL})
    cookie = plain.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Path=/" in cookie
    assert "Secure" not in cookie and "Domain" not in cookie and made.tokens["anna"] not in cookie
    client = made.client(base_url="https://127.0.0.1")
    cookie = client.post("/enter", json=body, headers={"Origin": "https://127.0.0.1"})
    assert cookie.headers["set-cookie"].startswith("__Host-mrgantry-")
    assert "Secure" in cookie.headers["set-cookie"]
    assert client.get("/").status_code == 200


def test_a_proxy_that_speaks_https_gets_a_secure_cookie(made):
    app = make_app(made.study, made.store, Origins("https://study.example.org"))
    client = TestClient(app, base_url="http://study.example.org")
    origin = {"Origin": "https://study.example.org"}
    got = client.post("/enter", json={"token": made.tokens["anna"]}, headers=origin)
    assert got.headers["set-cookie"].startswith("__Host-")


def test_who_logs_out_is_out_on_that_computer_alone(tmp_path):
    made = make_study(tmp_path / "s")
    here, elsewhere = made.enter("anna").start(), made.enter("anna")
    trial = here.show()
    name = cookie_name(made.study.about.id, https=False)
    secret = here.client.cookies[name]
    gone = here.post("/leave", {})
    assert gone.status_code == 200 and "Max-Age=0" in gone.headers["set-cookie"]
    assert name not in here.client.cookies
    here.client.cookies[name] = secret  # as somebody would who had copied it
    for path in ("/", "/next", f"/image/{trial}"):
        assert here.get(path).status_code == 401
    assert here.answer(trial).status_code == 401
    assert elsewhere.answer(trial).json() == {"kept": "kept"}
    assert made.enter("anna").get("/next").status_code == 200  # the link opens again


def test_sessions_end(made, monkeypatch):
    reader = made.enter("anna")
    monkeypatch.setattr(stores, "SESSION", -1.0)
    assert reader.get("/next").status_code == 401
    assert reader.step("welcome").status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://elsewhere.org"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": URL.replace("8000", "9000")}, 403),
        ({"Origin": URL.replace("http", "https")}, 403),
        ({"Origin": ""}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"X-CSRF-Token": ""}, 403),
        ({"X-CSRF-Token": "0" * 64}, 403),
        ({"X-CSRF-Token": "\u00e9"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Host": "elsewhere.org"}, 421),
        ({"Host": "localhost.elsewhere.org:8000"}, 421),
        ({"Host": "[::1"}, 421),
    ],
)
def test_posts_of_elsewhere_are_refused(reader, headers, status):
    encoded = {name: value.encode() for name, value in headers.items()}
    assert reader.post("/event", {"kind": "pause"}, **encoded).status_code == status
    assert reader.post("/event", {"kind": "pause"}).status_code == 200


def test_a_post_without_an_origin_needs_the_browsers_word(reader):
    known = {"X-CSRF-Token": reader.csrf}
    body = {"kind": "pause"}
    assert reader.client.post("/event", json=body, headers=known).status_code == 403
    known["Sec-Fetch-Site"] = "same-origin"
    assert reader.client.post("/event", json=body, headers=known).status_code == 200


def test_pages_of_elsewhere_load_no_image(reader):
    trial = reader.get("/next").json()["trial"]
    for site in ("cross-site", "same-site"):
        headers = {"Sec-Fetch-Site": site}
        assert reader.client.get(f"/image/{trial}", headers=headers).status_code == 403
        assert reader.client.get("/enter", headers=headers).status_code == 200


def test_large_and_odd_bodies_are_refused(reader):
    headers = {"Origin": URL, "X-CSRF-Token": reader.csrf, "Content-Type": "application/json"}
    for data, status in [
        (b'{"kind":"pause","x":"' + b"x" * access.LARGEST + b'"}', 413),
        (b"x" * (1 << 20), 413),
        (b"[" * 10_000, 400),
        (b'{"kind":"pause"', 422),
        (b"", 422),
        (b"\xff\xfe", 422),
        (b'"\\ud800"', 422),
        (b'{"kind":"\\ud800"}', 422),
    ]:
        got = reader.client.post("/event", content=data, headers=headers)
        assert got.status_code == status, data[:20]


def test_tokens_cannot_be_tried_for_long(made, monkeypatch):
    client = made.client()
    entry = {"json": {"token": "wrong"}, "headers": {"Origin": URL, "Accept": "application/json"}}
    got = [client.post("/enter", **entry) for _ in range(Attempts().each + 1)]
    assert {one.status_code for one in got[:-1]} == {401}
    assert got[-1].status_code == 429 and "Too many" in got[-1].json()["say"]
    assert 0 < int(got[-1].headers["retry-after"]) <= 61
    right = {"json": {"token": made.tokens["anna"]}, "headers": {"Origin": URL}}
    assert client.post("/enter", **right).status_code == 200  # nobody is shut out by others


def test_a_class_opens_its_links_from_one_address(made):
    client = made.client()
    for _ in range(Attempts().each + 5):
        made.enter("anna", client)


def test_attempts_are_forgotten_after_a_while(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(access.time, "monotonic", lambda: now[0])
    attempts = Attempts(each=2, together=3, seconds=60)
    waits = []
    for client in "aaab":
        waits.append(attempts.wait(client))
        attempts.count(client)
    assert waits == [0, 0, 61, 61]  # "b": all of them together
    assert attempts.wait("c") == 61
    now[0] = 59.0
    assert attempts.wait("a") == 2
    now[0] = 61.0
    assert attempts.wait("a") == 0 and attempts.wait("c") == 0


def test_a_wrong_token_leaves_no_token_behind(made):
    body = {"token": "a-token-of-another-study"}
    assert made.client().post("/enter", json=body, headers={"Origin": URL}).status_code == 401
    data = b"".join(p.read_bytes() for p in made.study.folder.glob("study.sqlite*"))
    assert b"a-token-of-another-study" not in data and b"wrong token" in data


def test_answers_cannot_be_changed_even_by_a_program(tmp_path):
    made = make_study(tmp_path / "s")
    reader = made.enter("anna").start()
    reader.answer(reader.show())
    with pytest.raises(DBAPIError, match="only grows"), made.store.writing() as connection:
        connection.execute(update(answers).values(truth="synthetic"))


def test_names_that_are_ours():
    origins = Origins("https://study.example.org", frozenset({"ward7"}))
    for host in ("study.example.org", "localhost:8000", "127.0.0.1", "[::1]:8000", "ward7:80"):
        assert origins.known(host), host
    for host in ("", "elsewhere.org", "study.example.org.elsewhere.org", "[", "a@b", "//"):
        assert not origins.known(host), host


WORDS = st.sampled_from(["trial", "truth", "step", "kind", "screen", "token", "part", "dark", "x"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
SENSIBLE = st.sampled_from(
    [
        {"step": "display", "screen": SCREEN},
        {"step": "begin", "part": 1},
        {"kind": "screen", "screen": SCREEN},
        {"trial": "abc", "truth": "real"},
        {"token": "x"},
    ]
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    method=st.sampled_from(METHODS),
    path=st.sampled_from(PATHS)
    | st.builds("{}{}".format, st.sampled_from(["/image/", "/response/", "/pages/"]), st.text()),
    body=JSON | SENSIBLE,
    extra=st.dictionaries(WORDS, JSON, max_size=2),
    who=st.sampled_from(["reader", "nobody"]),
)
def test_nothing_makes_the_server_fail(made, reader, method, path, body, extra, who):
    client = reader.client if who == "reader" else made.client()
    body = {**body, **extra} if isinstance(body, dict) else body
    headers = {"Origin": URL, "X-CSRF-Token": reader.csrf, "Content-Type": "application/json"}
    path = "/" + "".join(f"%{byte:02x}" for byte in path[1:].encode("utf-8", "replace"))
    got = client.request(method, path, content=json.dumps(body).encode(), headers=headers)
    assert got.status_code < 500
    assert got.headers["content-security-policy"]


def test_the_gate_takes_off_what_tells_of_files(made):
    async def leaky(scope, receive, send):
        headers = {"ETag": '"583"', "Last-Modified": "yesterday", "Server": "x"}
        await Response("x", headers=headers)(scope, receive, send)

    gate = Gate(leaky, made.store, Pages(made.study.about), Origins(), made.study.about.id)
    got = TestClient(gate, base_url=URL).get("/enter")
    assert got.text == "x" and not {"etag", "last-modified", "server"} & set(got.headers)
