"""Readers' pages in every language: no message is missing, and no text stands outside them."""

import re
import string
from importlib.resources import files

import pytest

from mrgantry.papers import find_protocol
from mrgantry.study.protocol import Protocol
from mrgantry.study.running import halt
from mrgantry.study.server.languages import Catalogue, catalogues, language_of
from reading import BOSS, SCREEN, make_study

SOURCES = files("mrgantry.study.server")
PAGES = SOURCES / "pages"
CODES = list(catalogues())
ALL = Protocol(
    name="all",
    questions=("truth", "tumour"),
    synthetic_word="created",
    unknown=True,
    seconds=600,
    late="no answer",
    confidence=True,
    reason=True,
    window=True,
    zoom=True,
    display="required",
)


def forms(message):
    return [message] if isinstance(message, str) else list(message.values())


def fields(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def read(*endings):
    """Give the sources of pages and scripts; the quiz is a file of its own, in English."""
    found = [path for path in PAGES.iterdir() if path.name.endswith(endings)]
    return {path.name: path.read_text() for path in found if "quiz" not in path.name}


@pytest.mark.parametrize("code", CODES)
def test_every_catalogue_has_all_messages(code):
    english, other = catalogues()["en"].messages, catalogues()[code].messages
    assert english.keys() == other.keys()
    for key, message in english.items():
        wanted = set().union(*map(fields, forms(message)))
        for form in forms(other[key]):
            assert form.strip() and fields(form) <= wanted, key
        assert set().union(*map(fields, forms(other[key]))) == wanted, key
        assert isinstance(other[key], str) or "other" in other[key]
        tags = [sorted(re.findall(r"</?\w+>", forms(m)[-1])) for m in (message, other[key])]
        assert tags[0] == tags[1], key


def test_no_catalogue_is_a_copy_of_another():
    english, japanese = catalogues()["en"].messages, catalogues()["ja"].messages
    alike = [key for key in english if english[key] == japanese[key]]
    assert alike == []
    assert all(re.search("[\u3040-\u30ff\u4e00-\u9fff]", str(one)) for one in japanese.values())


def test_every_message_is_said_somewhere_and_every_one_that_is_said_is_there():
    known = set(catalogues()["en"].messages)
    pages, scripts = "".join(read(".html").values()), "".join(read(".js").values())
    program = "".join(p.read_text() for p in SOURCES.iterdir() if p.name.endswith(".py"))
    said = set(re.findall(r"\"([a-z]+\.[a-z_]+)\"", pages + program)) & known
    said |= set(re.findall(r"say\(\"([a-z]+\.[a-z_]+)\"", pages + program))
    said |= {f"refused.{key}" for key in re.findall(r"RefusedError\(\d+, \"(\w+)\"", program)}
    said |= {"refused.unread", "refused.nowhere", "check.dark", "check.light"}
    said |= {f"investigator.{name}" for name in re.findall(r"\"(\w+)\"", pages)} & known
    said |= {f"script.{key}" for key in re.findall(r"\"(\w+)\"", scripts)} & known
    said |= {key for key in known if key.startswith(("script.page_", "word."))}
    assert said == known
    for key in re.findall(r"say\(\"(\w+)\"", scripts):
        assert f"script.{key}" in known


def test_scripts_say_nothing_but_messages():
    for name, text in read(".js").items():
        bare = re.sub(r"^\s*//.*$|\s// .*$", "", text, flags=re.MULTILINE)
        for literal in re.findall(r"\"([^\"\n]*)\"|`([^`\n]*)`", bare):
            words = re.sub(r"\$\{[^}]*\}", "", "".join(literal))
            if re.match(r"[.#\[a-z]?[\w-]+\[|footer |form\[|input\[|meta\[|#ask-", words):
                continue  # a selector
            sentence = re.search(r"[A-Za-z]{2,}[,.]? [A-Za-z]{2,}", words)
            assert not sentence or words == "no answer", (name, words)


def bare(page):
    """Give what a page says beside messages, which stand in brackets."""
    said = "".join(re.findall(r"(?:aria-label|placeholder|alt)=\"([^\"]*)\"", page))
    body = page[page.index("<body") :].replace(page[page.find("<nav") : page.find("</nav>")], "")
    body = re.sub(r"<kbd>.*?</kbd>|<div id=\"consent\">.*?</div>", "", body, flags=re.DOTALL)
    said += re.sub(r"<[^>]*>|&\w+;", " ", body).replace("Brain MR images", "")
    while re.search("⟦[^⟦⟧]*⟧", said):
        said = re.sub("⟦[^⟦⟧]*⟧", "", said)
    return re.sub(r"\b[A-E]\b|[\W\d_]", "", said)


@pytest.mark.parametrize("kind", ["blinded", "teaching"])
def test_no_text_of_a_page_stands_outside_the_catalogues(tmp_path, monkeypatch, kind):
    def bracketed(message):
        if isinstance(message, str):
            return f"⟦{message}⟧"
        return {form: f"⟦{text}⟧" for form, text in message.items()}

    english = catalogues()["en"].messages
    pseudo = Catalogue("xx", "xx", {key: bracketed(m) for key, m in english.items()})
    monkeypatch.setitem(catalogues(), "xx", pseudo)
    options = {"parts": (1, 1, 1), "consent": "Agree.", "kind": kind, "protocol": ALL}
    made = make_study(tmp_path / "s", **options)
    client = made.client(headers={"Accept-Language": "xx"})
    pages = {"enter": client.get("/enter").text, "refused": client.get("/").text}
    reader = made.enter("anna", client)
    for step, values in [
        ("welcome", {}),
        ("decline", {}),
        ("reconsider", {}),
        ("consent", {"agreed": True}),
        ("instructions", {}),
        ("display", {"screen": SCREEN}),
        ("display", {"screen": SCREEN, "dark": [1], "light": [2]}),
    ]:
        pages[step] = reader.page()
        if step == "display" and "dark" in values:
            made.store.record(made.person("anna"), "display", passed=True, dark=[], light=[])
        else:
            assert reader.step(step, **values).status_code == 200
    for part in range(3):
        pages[f"before {part}"] = reader.page()
        reader.begin()
        pages[f"reading {part}"] = reader.page()
        answer = {"tumour": "yes", "confidence": 3, "reason": ""}
        assert reader.answer(reader.show(), **answer).status_code == 200
    pages["thanks"] = reader.page()
    halt(made.study.folder)
    pages["paused"] = reader.page()
    pages["nowhere"] = reader.client.get("/nowhere").text
    pages["investigator"] = made.enter(BOSS, client).page()
    assert not any("Something went wrong" in page for page in pages.values())
    assert {name: bare(page) for name, page in pages.items() if bare(page)} == {}
    rows = client.get("/progress").json()["readers"]
    assert rows[0]["check"].startswith("⟦") and "⟦" in reader.get("/nothing").json()["say"]
    assert "⟦" in client.get("/pages/messages.js").text


def test_a_reader_may_switch(tmp_path):
    made = make_study(tmp_path / "s")
    reader = made.enter("anna")
    assert "Welcome" in reader.page() and '<html lang="en">' in reader.page()
    sent = reader.client.get("/?language=ja")
    assert "ようこそ" in sent.text and '<html lang="ja">' in sent.text
    assert "Path=/;" in sent.headers["set-cookie"]
    assert "ようこそ" in reader.page()  # from then on
    assert "時間切れ" in reader.client.get("/pages/messages.js").text
    assert "ここには何も" in reader.get("/nothing").json()["say"]
    reader.start()
    begun = [e.detail for e in made.store.events(made.person("anna")) if e.kind == "begin"]
    assert [detail["language"] for detail in begun] == ["ja"]  # is kept with the answers
    assert "set-cookie" not in reader.client.get("/?language=tlh").headers


@pytest.mark.parametrize(
    ("wanted", "chosen", "accepted", "language"),
    [
        ("", "", "", "en"),
        ("", "", "ja", "ja"),
        ("", "", "ja-JP,en;q=0.5", "ja"),
        ("", "", "de;q=0.9, en;q=0.2, ja;q=0.8", "ja"),
        ("", "", "en-US,ja;q=0.9", "en"),
        ("", "", "de, fr;q=x, *;q=0.1", "en"),
        ("", "en", "ja", "en"),
        ("ja", "en", "en", "ja"),
        ("../en", "<b>", "ja", "ja"),
    ],
)
def test_the_language_is_chosen(wanted, chosen, accepted, language):
    assert language_of(wanted, chosen, accepted) == language


def test_words_of_published_protocols_are_known_in_every_language():
    for name in ("han2018", "han2018-pggan", "kazuhiro2018"):
        word = find_protocol(name).synthetic_word
        assert all(f"word.{word}" in one.messages for one in catalogues().values())
    assert catalogues()["ja"].word("faked") == "faked"  # an investigator's own


def test_what_is_filled_in_is_escaped():
    written = catalogues()["en"].write("reading.truth", word="<b>")
    assert "&lt;b&gt;" in written and "<b>" not in written
