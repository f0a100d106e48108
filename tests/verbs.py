"""Stand-ins for what `reproduce` calls, each of which leaves what tells that it was done."""

import importlib
from types import SimpleNamespace

from conftest import blobs, write_slices
from mrgantry.common.errors import DataError, DivergedError
from mrgantry.common.files import read_json, write_json
from mrgantry.data.about import read_about
from mrgantry.data.slices import SliceSet
from mrgantry.evaluation.record import Evaluation, RealRecord, record_of
from mrgantry.papers import find_study

module = importlib.import_module("mrgantry.workflows.reproduce")


class Verbs:
    """Stand-ins for the verbs: each leaves what tells that it was done, and is counted."""

    def __init__(self, monkeypatch, real, diverging=(), picky=(), unfit=()):
        self.calls, self.stop_at = [], None
        self.real, self.diverging, self.picky, self.unfit = real, diverging, picky, unfit
        for name in (
            "simulate", "prepare", "train", "sample", "select", "evaluate", "report", "create",
            "detect", "make_quiz", "walk",
        ):  # fmt: skip
            monkeypatch.setattr(module, name, self.counted(name))
        monkeypatch.setattr(module, "read_detection", self.read_detection)
        monkeypatch.setattr(module, "write_detection", self.write_detection)
        monkeypatch.setattr(module, "unread", lambda work: True)
        monkeypatch.setattr(module, "gather_results", lambda work: work)
        monkeypatch.setattr(module, "write_reproduction", lambda page, found: page.touch())

    def counted(self, name):
        def call(*args, **options):
            if len(self.calls) == self.stop_at:
                raise KeyboardInterrupt
            self.calls.append(name)
            return getattr(self, name)(*args, **options)

        return call

    def simulate(self, cohort, subjects, **options):
        cohort.mkdir()
        (cohort / "preview.png").touch()

    def prepare(self, cohort, slices, plan):
        subjects = [f"s{number // 4}" for number in range(96)]
        splits = ["train"] * 40 + ["validation"] * 8 + ["test"] * 48
        write_slices(slices, blobs(96), subjects, splits, tumour=["yes", "no"] * 48)

    def train(self, slices, run, recipe, *, only=()):
        if run.name in self.diverging:
            raise DivergedError("Training stopped.")
        run.mkdir(parents=True, exist_ok=True)

    def sample(self, run, synthetic, count):
        seed = sum(map(ord, synthetic.name))
        made(synthetic, 40, seed, "no" if "non" in synthetic.name else "yes")

    def walk(self, run, out, **options):
        out.mkdir(parents=True)
        (out / "strip.png").touch()

    def select(self, slices, out, against, *, label, only):
        self.selected_label = label
        if slices.name in self.picky:
            raise DataError("Not one is plausible.")
        made(out, 38, 0, "no" if "non" in slices.name else "yes")

    def evaluate(self, real, out, synthetic, **options):
        if out.parent.name in self.unfit:
            raise DataError("Too few images.")
        held = record_of(SliceSet.open(real))
        Evaluation(
            real=RealRecord(**held.model_dump(), split="test"),
            synthetic=tuple(record_of(SliceSet.open(folder)) for folder in synthetic),
            features=(),
            seed=0,
            command="",
            versions={},
            extractors={},
        ).write(out)
        write_json(out / "scores.json", [])

    def report(self, folders, page):
        page.touch()

    def detect(self, real, out, synthetic, **options):
        write_json(out / "detection.json", [read_about(one).fingerprint for one in synthetic])

    def make_quiz(self, out, blocks, **options):
        self.quiz = options
        out.touch()

    def write_detection(self, out, found, printed):
        (out / "detection.html").touch()

    def read_detection(self, out):
        marks = read_json(out / "detection.json")
        return SimpleNamespace(synthetic=[SimpleNamespace(fingerprint=mark) for mark in marks])

    def create(self, out, protocol, blocks, readers, **options):
        self.blocks, self.readers = blocks, readers
        write_json(out / "study.json", {})


def made(folder, count, seed, tumour):
    """Write synthetic images of one label."""
    images, tumours = blobs(count, seed=seed), [tumour] * count
    write_slices(folder, images, ["g"] * count, [""] * count, synthetic=True, tumour=tumours)


def smoke(name):
    return find_study(name).at("smoke")


def quiet(_):
    pass
