"""What an experiment has found, as `detection.json` holds it."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import pandas as pd

from mrgantry.common.display import Display, Displayed
from mrgantry.common.files import read_json
from mrgantry.common.frozen import Frozen
from mrgantry.detection.effects import MEASURES, Verdict

Condition = Literal["none", "classical", "synthetic", "classical+synthetic", "synthetic alone"]

METHOD = (
    "Intervals of scores: of the mean over seeds, over test subjects (jackknife, Student's t on "
    "the logit). The calibration error has none: chance alone raises it, the more so the fewer "
    "images. Differences: paired by image and seed; Student's t on the variance over subjects "
    "(jackknife) plus that over seeds less what both count (Cameron et al. 2011), Satterthwaite's "
    "degrees of freedom; p values after Holm over the differences in one measure: what is added, "
    "at the greatest share and the ratio nearest to 1, is one family, all else another. Fewer "
    "than three seeds give no verdict. Neither covers training the generator again, nor looking "
    "at results before deciding on more seeds. A ratio says how often synthetic images are seen; "
    "all of them are used at every ratio."
)


class NetworkRun(Frozen):
    """One classifier of the experiment.

    Attributes:
        condition: What it learns from.
        share: Of the training subjects.
        ratio: Synthetic images to each other one; None where there is nothing to mix.
        seed: Of its weights, its order of images, and its subjects.
    """

    condition: Condition
    share: float
    ratio: float | None = None
    seed: int

    def __str__(self) -> str:
        ratio = "" if self.ratio is None else f", ratio {self.ratio:g}"
        return f"{self.condition}, share {self.share:g}{ratio}, seed {self.seed}"

    def path(self, out: Path) -> Path:
        """Say where its answers lie."""
        ratio = "" if self.ratio is None else f"_ratio-{self.ratio:g}"
        name = f"{self.condition.replace(' ', '-')}_share-{self.share:g}{ratio}_seed-{self.seed}"
        return out / f"parts/{name}.json"


class Training(Frozen):
    """How one network was trained.

    Attributes:
        cell: Which it is.
        subjects: Real ones that it has learnt from.
        images: Real ones that it has learnt from, unchanged or as changed.
        epochs: How many it took.
        best: The one whose weights were kept.
        seen: Images seen in all.
        seconds: Of training.
        device: What it was trained on.
        losses: On validation images, an epoch each.
    """

    cell: NetworkRun
    subjects: int
    images: int
    epochs: int
    best: int
    seen: int
    seconds: float
    device: str = ""
    losses: tuple[float, ...]


class Part(Training):
    """What one classifier has answered.

    Attributes:
        threshold: Chosen on validation images, after Youden.
        probability: Of a tumour, for every test image.
    """

    threshold: float
    probability: tuple[float, ...]


class Arm(Frozen):
    """A condition at one share and ratio.

    Attributes:
        condition: What classifiers learn from.
        share: Of the training subjects.
        ratio: Synthetic images to each other one.
    """

    condition: Condition
    share: float
    ratio: float | None = None


class ArmScore(Frozen):
    """A measure of an arm.

    Attributes:
        arm: Which.
        measure: A key of `MEASURES`.
        value: Mean over seeds; None where no image bears on it.
        low: Lower end of the 95 % interval over test subjects.
        high: Upper end.
        seeds: Values of the seeds.
    """

    arm: Arm
    measure: str
    value: float | None
    low: float | None
    high: float | None
    seeds: tuple[float, ...]


class Effect(Frozen):
    """A measure of one arm minus that of another, and what it shows.

    Attributes:
        measure: A key of `MEASURES`.
        one: An arm.
        other: What it is compared with.
        value: Mean over seeds.
        low: Lower end of the 95 % interval over test subjects and seeds.
        high: Upper end.
        p: Of no difference.
        main: Whether it is of the first family of `METHOD`.
        p_holm: After Holm over the differences in this measure and family.
        freedom: Degrees of freedom of t.
        verdict: Whether the first helps, at p_holm < 0.05 and with seeds enough.
        seeds: Values of the seeds.
    """

    measure: str
    one: Arm
    other: Arm
    value: float
    low: float
    high: float
    p: float
    main: bool
    p_holm: float
    freedom: float
    verdict: Verdict
    seeds: tuple[float, ...]


class Calibration(Frozen):
    """Bins of an arm's probabilities, all seeds together.

    Attributes:
        arm: Which.
        mean: Mean probability in each of ten bins of equal width; None where it is empty.
        tumours: Share of tumours in it.
        counts: Answers in it.
    """

    arm: Arm
    mean: tuple[float | None, ...]
    tumours: tuple[float | None, ...]
    counts: tuple[int, ...]


class Examples(Frozen):
    """Test images of a kind.

    Attributes:
        kind: What they have in common.
        count: How many there are.
        ids: Some of them: the largest tumour of each person, the largest first.
    """

    kind: Literal["missed by all", "found with synthetic", "lost with synthetic"]
    count: int
    ids: tuple[str, ...]


class Synthetic(Frozen):
    """A synthetic set that was used.

    Attributes:
        name: Of its folder.
        folder: Where it lay.
        fingerprint: Of its images.
        recipe: Of its generator; empty if unknown.
        counts: Images by the word of the column "tumour", or by whether something is mapped.
        subjects: People its generator has seen; 0 if it does not say.
        command: That makes it again.
    """

    name: str
    folder: str
    fingerprint: str
    recipe: str
    counts: dict[str, int]
    subjects: int
    command: str


class Split(Frozen):
    """A split of the real set: people, and slices with tumour (or what is mapped) and without."""

    split: str
    subjects: int
    tumour: int
    none: int


class Experiment(Displayed, Frozen):
    """What was compared and what came of it.

    Attributes:
        command: That makes it again.
        versions: Of libraries.
        device: What the first network was trained on.
        real: Folder of the real set.
        fingerprint: Of it.
        source: "simulated" if its scans were.
        real_command: That makes the real set.
        synthetic: What was put together.
        choices: The terms.
        splits: Of the real set.
        arms: All that was trained.
        seeds: Of the networks of each arm.
        scores: Of all arms.
        effects: Differences between arms; the first answers the question.
        remarks: What to keep in mind.
    """

    question: ClassVar[str]  # the measure that the experiment was made for

    command: str
    versions: dict[str, str]
    device: str
    real: str
    fingerprint: str
    source: Literal["real", "simulated"]
    real_command: str
    synthetic: tuple[Synthetic, ...]
    choices: dict[str, Any]
    splits: tuple[Split, ...]
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    scores: tuple[ArmScore, ...]
    effects: tuple[Effect, ...]
    remarks: tuple[str, ...]

    @property
    def trainings(self) -> Sequence[Training]:
        """Say how each network was trained."""
        raise NotImplementedError

    @property
    def display(self) -> Display:
        """Show the difference that it was made for, and the arms' scores."""
        answer, title = self.answer, self.title_of(self.question)
        said = [f"{title}, mean over {len(self.seeds)} seeds, 95 % interval over people."]
        if answer is not None:
            said.append(
                f"{answer.one.condition} − {answer.other.condition}: {answer.value:+.3f} "
                f"({answer.low:+.3f} to {answer.high:+.3f}): {answer.verdict}."
            )
        rows = [
            {
                "learned from": score.arm.condition,
                "share of people": score.arm.share,
                "synthetic to each other": score.arm.ratio,
                title: score.value,
                "low": score.low,
                "high": score.high,
            }
            for score in self.scores
            if score.measure == self.question
        ]
        return Display(said, pd.DataFrame(rows))

    def title_of(self, measure: str) -> str:
        """Give what people call a measure."""
        raise NotImplementedError

    def score(self, arm: Arm, measure: str) -> ArmScore:
        """Look a score up."""
        return next(score for score in self.scores if (score.arm, score.measure) == (arm, measure))

    def differences_in(self, measure: str) -> list[Effect]:
        """Give all differences in a measure."""
        return [effect for effect in self.effects if effect.measure == measure]

    @property
    def main(self) -> list[Arm]:
        """Give the arms at the greatest share and the ratio nearest to one."""
        return main_arms(self.arms)

    @property
    def answer(self) -> Effect | None:
        """Give the difference that the experiment was made for, if there is one."""
        arms = set(self.main)
        effects = self.differences_in(self.question)
        return next((effect for effect in effects if {effect.one, effect.other} <= arms), None)


class Detection(Experiment):
    """An experiment with classifiers.

    Attributes:
        limits: Areas in mm2 between small, medium and large tumours; None if not known.
        calibration: Of all arms.
        examples: Test images at the greatest share and first ratio.
        runs: Cells with how they were trained; answers left out.
        method: How intervals and p values were obtained.
    """

    question = "accuracy"

    limits: tuple[float, float] | None
    calibration: tuple[Calibration, ...]
    examples: tuple[Examples, ...]
    runs: tuple[Part, ...]
    method: str = METHOD

    @property
    def trainings(self) -> Sequence[Training]:
        """Say how each classifier was trained."""
        return self.runs

    def title_of(self, measure: str) -> str:
        """Give what people call a measure."""
        return MEASURES[measure].title


def nearest_to_one(ratios: Iterable[float]) -> float:
    """Choose the ratio that is neither many times nor a small part, the smaller of two."""
    return min(sorted(ratios), key=lambda ratio: abs(math.log(ratio)))


def main_arms(arms: Sequence[Arm]) -> list[Arm]:
    """Keep the arms at the greatest share and the ratio nearest to one."""
    share = max(arm.share for arm in arms)
    ratios = {arm.ratio for arm in arms if arm.ratio is not None}
    ratio = nearest_to_one(ratios) if ratios else None
    return [arm for arm in arms if arm.share == share and arm.ratio in (None, ratio)]


def read_detection(out: Path) -> Detection:
    """Read an experiment's result.

    Raises:
        DataError: There is none.
        RecipeError: It is not one as this version writes it.
    """
    return Detection.of(read_json(out / "detection.json"), f"experiment in {out}")
