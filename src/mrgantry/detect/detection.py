"""What an experiment has found: every condition's scores, and what its differences show."""

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool

from mrgantry.common.errors import DataError
from mrgantry.common.files import read_json, whole, write_json
from mrgantry.common.frozen import Frozen
from mrgantry.common.provenance import versions
from mrgantry.data.slices import SPLITS, SliceSet
from mrgantry.detect.effects import (
    BINS,
    MEASURES,
    Answers,
    Truth,
    Verdict,
    bin_of,
    bootstrap,
    difference,
    estimate,
    holm,
    verdict,
)
from mrgantry.detect.sets import Real, remarks_on, seen_by, subjects_of

Condition = Literal["none", "classical", "synthetic", "classical+synthetic", "synthetic alone"]

# Which conditions are compared: what is added, with what it is added to. The first pair that
# was trained is the question of the experiment.
PAIRS: tuple[tuple[Condition, Condition], ...] = (
    ("classical+synthetic", "classical"),
    ("synthetic", "none"),
    ("classical+synthetic", "none"),
    ("classical", "none"),
    ("synthetic alone", "none"),
)
METHOD = (
    "Intervals of scores: percentiles of 2,000 bootstrap samples of the test subjects, of the mean "
    "over seeds. Differences: paired by image and seed; Student's t on the variance over subjects "
    "(jackknife) plus that over seeds less what both count (Cameron et al. 2011), Satterthwaite's "
    "degrees of freedom; p values after Holm over the differences in one measure: those at the "
    "greatest share and the ratio nearest to 1 are one family, all others another."
)
SHOWN = 8  # examples of a kind


class Cell(Frozen):
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


class Part(Frozen):
    """What one classifier has answered, and how it was trained.

    Attributes:
        cell: Which it is.
        subjects: Real ones that it has learnt from.
        images: Real ones that it has learnt from, unchanged or as changed.
        epochs: How many it took.
        best: The one whose weights were kept.
        seen: Images seen in all.
        seconds: Of training.
        losses: On validation images, an epoch each.
        threshold: Chosen on validation images, after Youden.
        probability: Of a tumour, for every test image.
    """

    cell: Cell
    subjects: int
    images: int
    epochs: int
    best: int
    seen: int
    seconds: float
    losses: tuple[float, ...]
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


class Scored(Frozen):
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
        p_holm: After Holm over the differences in this measure, as `METHOD` says.
        freedom: Degrees of freedom of t.
        verdict: Whether the first helps, at p_holm < 0.05.
        seeds: Values of the seeds.
    """

    measure: str
    one: Arm
    other: Arm
    value: float
    low: float
    high: float
    p: float
    p_holm: float = 1.0
    freedom: float
    verdict: Verdict = "not shown"
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
        counts: Images by the word of the column "tumour".
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
    """A split of the real set: people, and slices with tumour and without."""

    split: str
    subjects: int
    tumour: int
    none: int


class Detection(Frozen):
    """An experiment: what was compared and what came of it.

    Attributes:
        command: That makes it again.
        versions: Of libraries.
        device: What the first classifier was trained on.
        real: Folder of the real set.
        fingerprint: Of it.
        source: "simulated" if its scans were.
        real_command: That makes the real set.
        synthetic: What was put together.
        choices: The terms.
        splits: Of the real set.
        arms: All that was trained.
        seeds: Of the classifiers of each arm.
        limits: Areas in mm2 between small, medium and large tumours; None if not known.
        scores: Of all arms.
        effects: Differences between arms; the first answers the question.
        calibration: Of all arms.
        examples: Test images at the greatest share and first ratio.
        runs: Cells with how they were trained; answers left out.
        remarks: What to keep in mind.
        method: How intervals and p values were obtained.
    """

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
    limits: tuple[float, float] | None
    scores: tuple[Scored, ...]
    effects: tuple[Effect, ...]
    calibration: tuple[Calibration, ...]
    examples: tuple[Examples, ...]
    runs: tuple[Part, ...]
    remarks: tuple[str, ...]
    method: str = METHOD

    def score(self, arm: Arm, measure: str) -> Scored:
        """Look a score up."""
        return next(one for one in self.scores if (one.arm, one.measure) == (arm, measure))

    def differences_in(self, measure: str) -> list[Effect]:
        """Give all differences in a measure."""
        return [one for one in self.effects if one.measure == measure]

    @property
    def main(self) -> list[Arm]:
        """Give the arms at the greatest share and the ratio nearest to one."""
        return main_arms(self.arms)

    @property
    def answer(self) -> Effect | None:
        """Give the difference in accuracy that the experiment was made for, if there is one."""
        arms = self.main
        found = [
            one for one in self.differences_in("accuracy") if one.one in arms and one.other in arms
        ]
        return found[0] if found else None


def main_arms(arms: Sequence[Arm]) -> list[Arm]:
    """Keep the arms at the greatest share and the ratio nearest to one."""
    share = max(one.share for one in arms)
    ratios = {one.ratio for one in arms if one.ratio is not None}
    ratio = min(sorted(ratios), key=lambda one: abs(math.log(one)), default=None)
    return [one for one in arms if one.share == share and one.ratio in (None, ratio)]


def read_detection(out: Path) -> Detection:
    """Read an experiment's result.

    Raises:
        DataError: There is none.
        RecipeError: It is not one as this version writes it.
    """
    return Detection.of(read_json(out / "detection.json"), f"experiment in {out}")


def gather(
    data: Real,
    sets: Sequence[SliceSet],
    parts: Sequence[Part],
    command: str,
    device: str,
    choices: dict[str, Any],
) -> Detection:
    """Score the answers of all classifiers.

    Raises:
        DataError: Answers are not those of this test split.
    """
    truth, about = data.truth, data.whole.about
    if any(len(one.probability) != len(truth.label) for one in parts):
        raise DataError("Some answers have another number of test images; use another folder.")
    arms = dict.fromkeys(arm_of(one.cell) for one in parts)
    answers = {
        arm: [
            Answers(np.array(one.probability), one.threshold)
            for one in parts
            if arm_of(one.cell) == arm
        ]
        for arm in arms
    }
    made = Detection(
        command=command,
        versions=versions(),
        device=device,
        real=str(data.whole.folder),
        fingerprint=about.fingerprint,
        source=about.source,
        real_command=about.command,
        synthetic=tuple(map(facts, sets)),
        choices=choices,
        splits=tuple(
            count_split(name, one)
            for name, one in zip(SPLITS, (data.train, data.validation, data.test), strict=True)
        ),
        arms=tuple(arms),
        seeds=tuple(dict.fromkeys(one.cell.seed for one in parts)),
        limits=truth.limits,
        scores=tuple(scores_of(truth, answers)),
        effects=tuple(effects_of(truth, answers)),
        calibration=tuple(calibrate(truth, arm, some) for arm, some in answers.items()),
        examples=(),
        runs=tuple(one.model_copy(update={"probability": ()}) for one in parts),
        remarks=tuple(remarks_on(sets, data, [one.share for one in arms])),
    )
    return made.model_copy(update={"examples": tuple(examples(data, made.main, answers))})


def arm_of(cell: Cell) -> Arm:
    """Name a cell without its seed."""
    return Arm(condition=cell.condition, share=cell.share, ratio=cell.ratio)


def facts(data: SliceSet) -> Synthetic:
    """Say what a synthetic set is."""
    return Synthetic(
        name=data.name,
        folder=str(data.folder),
        fingerprint=data.about.fingerprint,
        recipe=str(data.about.notes.get("recipe", "")),
        counts={str(k): int(v) for k, v in data.table["tumour"].value_counts().items()},
        subjects=len(seen_by(data)),
        command=data.about.command,
    )


def count_split(name: str, data: SliceSet) -> Split:
    """Count a split."""
    tumour = int((data.table["tumour"] == "yes").sum())
    return Split(
        split=name, subjects=len(subjects_of(data)), tumour=tumour, none=len(data) - tumour
    )


def scores_of(truth: Truth, answers: dict[Arm, list[Answers]]) -> Iterator[Scored]:
    """Score every arm in every measure, with the same bootstrap samples."""
    drawn = bootstrap(truth.subjects, seed=0)
    for arm, some in answers.items():
        for name, measure in MEASURES.items():
            one = estimate(truth, some, measure, drawn)
            known = math.isfinite(one.value)
            yield Scored(
                arm=arm,
                measure=name,
                value=one.value if known else None,
                low=one.low if known else None,
                high=one.high if known else None,
                seeds=one.seeds if known else (),
            )


def pairs_of(arms: Sequence[Arm]) -> list[tuple[Arm, Arm]]:
    """Find the arms to compare: of one share, and of one ratio where both have one."""
    return [
        (one, other)
        for first, second in PAIRS
        for one in arms
        for other in arms
        if (one.condition, other.condition) == (first, second) and one.share == other.share
    ]


def effects_of(truth: Truth, answers: dict[Arm, list[Answers]]) -> Iterator[Effect]:
    """Judge all differences; p values are adjusted within each measure."""
    pairs = pairs_of(list(answers))
    main = set(main_arms(list(answers)))
    for name, measure in MEASURES.items():
        if not measure.compared:
            continue
        found = [difference(truth, answers[a], answers[b], measure) for a, b in pairs]
        families = [{a, b} <= main for a, b in pairs]
        adjusted = holm_within([one.p for one in found], families)
        for (one, other), seen, p in zip(pairs, found, adjusted, strict=True):
            yield Effect(
                measure=name,
                one=one,
                other=other,
                p_holm=p,
                verdict=verdict(seen.value, p, measure.better),
                **vars(seen),
            )


def holm_within(p: Sequence[float], families: Sequence[bool]) -> list[float]:
    """Adjust p values within two families, so that curves do not blunt the main question."""
    adjusted = {
        kind: iter(holm([one for one, own in zip(p, families, strict=True) if own == kind]))
        for kind in (True, False)
    }
    return [next(adjusted[own]) for own in families]


def calibrate(truth: Truth, arm: Arm, answers: Sequence[Answers]) -> Calibration:
    """Fill the bins of an arm."""
    probability = np.concatenate([one.probability for one in answers])
    label = np.tile(truth.label, len(answers))
    bins = bin_of(probability)
    counts = np.bincount(bins, minlength=BINS)
    sums = [np.bincount(bins, some, BINS) for some in (probability, label)]
    means = [
        tuple(float(a / n) if n else None for a, n in zip(one, counts, strict=True)) for one in sums
    ]
    return Calibration(arm=arm, mean=means[0], tumours=means[1], counts=tuple(counts.tolist()))


def examples(
    data: Real, arms: Sequence[Arm], answers: dict[Arm, list[Answers]]
) -> Iterator[Examples]:
    """Choose tumours by who finds them, at a probability of 0.5, the mean over seeds.

    "Synthetic alone" is left out: it has not learnt from real images.
    """
    found = {
        arm: np.mean([one.probability for one in answers[arm]], 0) >= 0.5
        for arm in arms
        if arm.condition != "synthetic alone"
    }
    tumour = (data.test.table["tumour"] == "yes").to_numpy()
    with_them = [rows for arm, rows in found.items() if arm.ratio is not None]
    without = [rows for arm, rows in found.items() if arm.ratio is None]
    none_found = ~np.any(list(found.values()), axis=0)
    yield choose(data.test, "missed by all", tumour & none_found)
    if with_them and without:
        gained = np.all(with_them, axis=0) & ~np.any(without, axis=0)
        lost = np.all(without, axis=0) & ~np.any(with_them, axis=0)
        yield choose(data.test, "found with synthetic", tumour & gained)
        yield choose(data.test, "lost with synthetic", tumour & lost)


def choose(
    test: SliceSet,
    kind: Literal["missed by all", "found with synthetic", "lost with synthetic"],
    rows: Bool[np.ndarray, " n"],
) -> Examples:
    """Choose the largest tumour of each person, the largest first."""
    some = test.table[rows].sort_values("tumour_mm2", ascending=False, kind="stable")
    ids = some.drop_duplicates("subject")["id"].astype(str).tolist()[:SHOWN]
    return Examples(kind=kind, count=int(rows.sum()), ids=tuple(ids))


def write_tables(out: Path, found: Detection, data: Real, parts: Sequence[Part]) -> None:
    """Write `detection.json` for programs, and three tables for spreadsheets."""
    write_rows(out / "measures.csv", [flat(one) for one in found.scores])
    write_rows(out / "differences.csv", [flat(one) for one in found.effects])
    table = data.test.table[["id", "subject", "tumour", "tumour_mm2"]].copy()
    for one in parts:
        table[str(one.cell)] = one.probability
    with whole(out / "answers.csv") as aside:
        table.to_csv(aside, index=False)
    write_json(out / "detection.json", found.model_dump())


def flat(one: Scored | Effect) -> dict[str, Any]:
    """Lay a value out as one row."""
    row: dict[str, Any] = {}
    for key, value in one.model_dump().items():
        if isinstance(value, dict):
            prefix = "" if key == "arm" else f"{key}_"
            row |= {prefix + name: inner for name, inner in value.items()}
        else:
            row[key] = " ".join(map(str, value)) if isinstance(value, tuple) else value
    return row


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write a table."""
    with whole(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else ["measure"])
        writer.writeheader()
        writer.writerows(rows)
