"""Small reader studies for tests: a folder and a database, filled as a study's maker does."""

import csv
import io
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from starlette.testclient import TestClient

from mrgantry.study.database.store import Person, Store, fill, hashed
from mrgantry.study.protocol import Protocol
from mrgantry.study.server.app import make_app
from mrgantry.study.study import Study, StudyFacts

URL = "http://127.0.0.1:8000"
SCREEN = {"width": 1280, "height": 800, "ratio": 1.0, "scale": 2, "depth": 24}
BOSS = "investigator"


@dataclass
class Made:
    """A study with its tokens by name, its trials by reader, and the truth of each case."""

    study: Study
    store: Store
    tokens: dict[str, str]
    trials: dict[str, list[dict]]
    truths: dict[str, str]

    def client(self, **options) -> TestClient:
        return TestClient(make_app(self.study, self.store), **{"base_url": URL} | options)

    def enter(self, name: str, client: TestClient | None = None) -> "Reader":
        return Reader(self, client or self.client(), name)

    def person(self, name: str) -> Person:
        return self.store.person_of(self.tokens[name])

    def truth_of(self, trial: str) -> str:
        rows = (row for rows in self.trials.values() for row in rows)
        return self.truths[next(row["case_id"] for row in rows if row["id"] == trial)]


class Reader:
    """Somebody at a browser."""

    def __init__(self, made: Made, client: TestClient, name: str):
        self.made, self.client, self.name = made, client, name
        body = {"token": made.tokens[name]}
        assert client.post("/enter", json=body, headers={"Origin": URL}).status_code == 200
        self.csrf = self.page().split('name="csrf" content="')[1].split('"')[0]

    def page(self) -> str:
        return self.client.get("/").text

    def get(self, path: str):
        return self.client.get(path, headers={"Accept": "application/json"})

    def post(self, path: str, body, **headers):
        known = {"Origin": URL, "X-CSRF-Token": self.csrf, "Accept": "application/json"}
        return self.client.post(path, json=body, headers=known | headers)

    def step(self, step: str, **values):
        return self.post("/step", {"step": step, **values})

    def start(self) -> "Reader":
        """Take all steps up to the first image."""
        self.step("welcome")
        if self.made.study.consent:
            self.step("consent", agreed=True)
        self.step("instructions")
        self.step("display", screen=SCREEN, dark=[0, 1])
        return self.begin()

    def begin(self) -> "Reader":
        parts = self.made.store.parts(self.made.person(self.name))
        part = next(part for part, answered, of in parts if answered < of)
        assert self.step("begin", part=part).status_code == 200
        return self

    def show(self) -> str:
        """Fetch the current image and display it; give the trial."""
        trial = self.get("/next").json()["trial"]
        assert self.get(f"/image/{trial}").status_code == 200
        assert self.post("/display", {"trial": trial}).status_code == 200
        return trial

    def answer(self, trial: str, truth: str = "real", **values):
        return self.post("/answer", {"trial": trial, "truth": truth, **values})


def make_study(
    folder: Path,
    *,
    protocol: Protocol | None = None,
    kind: str = "blinded",
    readers: Sequence[str] = ("anna", "bo"),
    parts: Sequence[int] = (0, 4, 4),
    consent: str = "",
    images: np.ndarray | None = None,
    seed: int = 0,
) -> Made:
    """Make a study whose parts have so many images, practice first, every other one real."""
    protocol = protocol or Protocol(name="test")
    random = np.random.default_rng(seed)
    if images is None:
        images = random.integers(0, 256, (sum(parts), 8, 6), dtype=np.uint8)
    cases = [
        {"id": secrets.token_hex(8), "height": image.shape[0], "width": image.shape[1]}
        | {"grey": image.tobytes()}
        for image in images
    ]
    truths = {case["id"]: protocol.alternatives[i % 2] for i, case in enumerate(cases)}
    people, tokens = [], {}
    for name in (*readers, BOSS):
        tokens[name] = secrets.token_urlsafe(24)
        role = BOSS if name == BOSS else "reader"
        row = {"id": secrets.token_hex(8), "role": role, "name": name}
        people.append(row | {"token_hash": hashed(tokens[name])})
    trials = {person["name"]: _trials(person["id"], cases, parts, random) for person in people[:-1]}
    about = _about(protocol, kind, readers)
    folder.mkdir()
    (folder / "study.json").write_text(json.dumps(about.model_dump()))
    if consent:
        (folder / "consent.md").write_text(consent)
    _write(folder / "key.csv", [{"case": k, "truth": v} for k, v in truths.items()])
    _write(
        folder / "links.csv", [{"name": k, "link": f"{URL}/enter#{v}"} for k, v in tokens.items()]
    )
    told = [{"case_id": k, "truth": v, "tumour": "yes"} for k, v in truths.items()]
    rows = {
        "people": people,
        "cases": sorted(cases, key=lambda case: case["id"]),
        "trials": sorted((t for rows in trials.values() for t in rows), key=lambda one: one["id"]),
        "truths": told if kind == "teaching" else [],
    }
    fill(folder / "study.sqlite", about.id, rows)
    study = Study.open(folder)
    return Made(study, study.store(), tokens, trials, truths)


def _trials(person: str, cases: list[dict], parts: Sequence[int], random) -> list[dict]:
    rows, first = [], 0
    for part, count in enumerate(parts):
        for place in random.permutation(count):
            row = {"id": secrets.token_hex(8), "reader": person, "number": len(rows) + 1}
            row |= {"part": part, "block": part - 1, "case_id": cases[first + place]["id"]}
            rows.append(row)
        first += count
    return rows


def _about(protocol: Protocol, kind: str, readers: Sequence[str]) -> StudyFacts:
    return StudyFacts.of(
        {
            "id": secrets.token_hex(8),
            "kind": kind,
            "title": "Brain MR images",
            "protocol": protocol.model_dump(),
            "blocks": [],
            "readers": [{"name": name} for name in readers],
            "seed": 0,
            "simulated": False,
            "created": "2026-01-31",
            "command": "",
            "versions": {},
            "key_fingerprint": "",
        },
        "test",
    )


def _write(path: Path, rows: list[dict]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue())
