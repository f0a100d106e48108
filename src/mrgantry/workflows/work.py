"""The folders of a reproduction, and what stands in them.

cohort/                  simulated scans, unless there are others
TYPE/slices              one type of images
TYPE/runs/MODEL          what is trained on them
TYPE/walks/MODEL         from one of its images to another, if the paper has such walks
TYPE/synthetic/MODEL     what it draws, and MODEL-selected, what a rule has left
TYPE/scores              all measures
TYPE/report.html         all of that
ablations/               the comparison of ablations, if a user has made it
detection/               the detection experiment, if the paper has one
study/                   the reader study, ready to serve; scored/ once somebody has read
quiz.html                a quiz with its answers, if the paper has one
report.html              the paper's tables, printed and ours
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mrgantry.common.errors import DataError
from mrgantry.common.files import read_json, write_json
from mrgantry.data.about import read_about
from mrgantry.data.rows import choose_rows
from mrgantry.data.slices import SliceSet
from mrgantry.evaluation.evaluation import FEWEST_IMAGES
from mrgantry.generate.recipe import GanRecipe
from mrgantry.papers.reproduction import ImageType, Model, Reproduction
from mrgantry.study.cases.draw import draw_cases
from mrgantry.study.cases.pools import Sources, open_pool
from mrgantry.study.protocol import Protocol

Scores = tuple[Path, tuple[str, ...], list[Model]]  # folder, conditions, models


@dataclass(frozen=True)
class Work:
    """A study at its scale and the folders that it is done in.

    Attributes:
        study: At its scale.
        out: The folder of all.
        scans: A user's own; None simulates.
        key: Where the key of the reader study is kept, if not in its folder.
        given: A set of slices of a user's own in place of those that would be cut.
    """

    study: Reproduction
    out: Path
    scans: Path | None
    key: Path | None = None
    given: Path | None = None

    @property
    def cohort(self) -> Path:
        """Give the folder of scans."""
        return self.scans or self.out / "cohort"

    def slices(self, image_type: ImageType) -> Path:
        """Give the folder of a real set."""
        return self.given or self.out / image_type.name / "slices"

    def run(self, image_type: ImageType, model: Model) -> Path:
        """Give the folder of a run."""
        return self.out / image_type.name / "runs" / model.name

    def recipe(self, image_type: ImageType, model: Model) -> GanRecipe:
        """Give the recipe that a model is trained by; its slices must be cut.

        Its length is the paper's; where epochs are counted over the slices that are really
        trained on, it is as many passes over these.
        """
        if not (self.study.own_epochs and model.epochs):
            return model.trained
        data = SliceSet.open(self.slices(image_type)).split("train")
        if image_type.poses:
            volumes = len(data.table[["subject", "session"]].drop_duplicates())
            count = volumes * image_type.poses
        else:
            count = len(choose_rows(data, model.only))
        return model.trained.set([f"images={model.epochs * count}"])

    def walk(self, image_type: ImageType, model: Model) -> Path:
        """Give the folder of a walk between two images of a model."""
        return self.out / image_type.name / "walks" / model.name

    def failure(self, image_type: ImageType, model: Model) -> Path:
        """Give the file that says why a run diverged."""
        return self.out / image_type.name / "runs" / f"{model.name}-failed.json"

    def synthetic(self, image_type: ImageType, model: Model) -> Path:
        """Give the folder of what a model draws."""
        return self.out / image_type.name / "synthetic" / model.name

    def selected(self, image_type: ImageType, model: Model) -> Path:
        """Give the folder of what a rule has left of it."""
        return self.out / image_type.name / "synthetic" / f"{model.name}-selected"

    def rejected(self, image_type: ImageType, model: Model) -> Path:
        """Give the file that says why nothing is left of it."""
        return self.out / image_type.name / "synthetic" / f"{model.name}-not-selected.json"

    @property
    def scored(self) -> Path:
        """Give the folder of what readers' answers say."""
        return self.out / "scored"

    def missing(self, folder: Path) -> Path:
        """Give the file that says why a folder was not made."""
        return folder.with_name(f"{folder.name}-not-made.json")

    def page(self, image_type: ImageType) -> Path:
        """Give the page of one type of images."""
        return self.out / image_type.name / "report.html"

    @property
    def ablations(self) -> Path:
        """Give the folder of the comparison of ablations."""
        return self.out / "ablations"

    @property
    def detection(self) -> Path:
        """Give the folder of the detection experiment."""
        return self.out / "detection"

    @property
    def quiz(self) -> Path:
        """Give the quiz."""
        return self.out / "quiz.html"

    def failed(self, image_type: ImageType, model: Model) -> str:
        """Say why a model diverged; empty if it did not."""
        return reason_in(self.failure(image_type, model))

    @property
    def fewest(self) -> int:
        """Give how many selected images of a model are needed."""
        reading = self.study.reading
        return max(FEWEST_IMAGES, reading.protocol.cases // 2 if reading else 0)

    def unselected(self, image_type: ImageType, model: Model) -> str:
        """Say why all images of a model are used; empty if the selected ones are, or none yet."""
        if reason := reason_in(self.rejected(image_type, model)):
            return reason
        chosen = self.selected(image_type, model)
        left = sum(read_about(chosen).rows) if complete(chosen) else self.fewest
        if left < self.fewest:
            return f"The rule has left {left} images, and {self.fewest} are needed."
        return ""

    def used(self, image_type: ImageType, model: Model) -> Path:
        """Give the images that readers and classifiers get: the selected ones, if there are any."""
        chosen = self.selected(image_type, model)
        fits = complete(chosen) and not self.unselected(image_type, model)
        return chosen if fits else self.synthetic(image_type, model)

    def sets(self, image_type: ImageType, model: Model) -> list[tuple[str, Path]]:
        """List the synthetic sets of a model that can be measured."""
        synthetic = self.synthetic(image_type, model)
        if not complete(synthetic):
            return []
        used = self.used(image_type, model)
        return [("", synthetic), *([("selected", used)] if used != synthetic else [])]

    def scores(self, image_type: ImageType) -> list[Scores]:
        """List the folders of scores: one for all models that were trained on the same slices."""
        groups: dict[tuple[str, ...], list[Model]] = {}
        for model in image_type.models:
            groups.setdefault(model.only, []).append(model)
        return [
            (
                self.out / image_type.name / "-".join(["scores", *only]).replace("=", "-"),
                only,
                models,
            )
            for only, models in groups.items()
        ]


def complete(folder: Path) -> bool:
    """Say whether a set of slices is there, all of it."""
    return (folder / "about.json").is_file() and read_about(folder).complete


@contextmanager
def noted(missing: Path, *errors: type[Exception]) -> Iterator[None]:
    """Note why something could not be made, and go on; what was noted before goes."""
    missing.unlink(missing_ok=True)
    try:
        yield
    except errors as error:
        write_json(missing, {"reason": str(error)})


def reason_in(path: Path) -> str:
    """Read why something is not there; empty if nothing says so."""
    return str(read_json(path)["reason"]) if path.is_file() else ""


def folders_of(work: Work, image_type: ImageType) -> list[Path]:
    """List what the page of one type of images shows."""
    cohort = [] if work.scans or work.given else [work.cohort]
    runs = [work.run(image_type, model) for model in image_type.models]
    sets = [place for model in image_type.models for _, place in work.sets(image_type, model)]
    scores = [
        folder for folder, _, _ in work.scores(image_type) if (folder / "scores.json").is_file()
    ]
    walks = [work.walk(image_type, model) for model in image_type.models]
    walked = [folder for folder in walks if (folder / "walk.json").is_file()]
    return [*cohort, work.slices(image_type), *runs, *walked, *sets, *scores]


def blocks_of(work: Work) -> Iterator[tuple[Sources, str]]:
    """Give the blocks of the reader study, each with why it cannot be read; "" if it can."""
    reading = work.study.reading
    assert reading is not None
    models = {model.name: (image_type, model) for image_type, model in work.study.models()}
    for block in reading.blocks:
        pairs = [models[name] for name in block.models]
        real = work.slices(pairs[0][0])
        sources = Sources(block.name, real, tuple(work.used(*pair) for pair in pairs))
        lacking = [model.label for image_type, model in pairs if not work.sets(image_type, model)]
        diverged = f"{' and '.join(lacking)} diverged." if lacking else ""
        yield sources, diverged or unfit(sources, reading.protocol)


def unfit(sources: Sources, protocol: Protocol) -> str:
    """Say why no cases can be drawn from a block; empty if they can."""
    try:
        draw_cases([open_pool(sources, protocol, "test", ())], protocol, (0, 0))
    except DataError as error:
        return str(error)
    return ""


def detected_with(work: Work) -> tuple[Path, list[Path]]:
    """Give the real set of the detection experiment, and its synthetic sets."""
    assert work.study.detection is not None
    name = work.study.detection.image_type
    image_type = next(kind for kind in work.study.image_types if kind.name == name)
    sets = [
        work.used(image_type, model) for model in image_type.models if work.sets(image_type, model)
    ]
    return work.slices(image_type), sets
