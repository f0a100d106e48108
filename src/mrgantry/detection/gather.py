"""From answers to findings: scores of all conditions, differences, examples, tables."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool

from mrgantry.common.errors import DataError
from mrgantry.common.files import write_json
from mrgantry.common.provenance import versions
from mrgantry.common.statistics import holm
from mrgantry.common.tables import write_table
from mrgantry.data.fitness import people_behind
from mrgantry.data.slices import SPLITS, SliceSet
from mrgantry.detection.effects import (
    BINS,
    MEASURES,
    Answers,
    Truth,
    bin_of,
    difference,
    estimate,
    verdict,
)
from mrgantry.detection.findings import (
    Arm,
    ArmScore,
    Calibration,
    Condition,
    Detection,
    Effect,
    Examples,
    NetworkRun,
    Part,
    Split,
    Synthetic,
    Training,
    main_arms,
)
from mrgantry.detection.sets import Real, remarks_on, subject_names

# Which conditions are compared: what is added, with what it is added to, and then others. The
# first pair that was trained is the question of the experiment.
ADDED: tuple[tuple[Condition, Condition], ...] = (
    ("classical+synthetic", "classical"),
    ("synthetic", "none"),
    ("classical+synthetic", "none"),
    ("classical", "none"),
    ("synthetic alone", "none"),
)
PAIRS: tuple[tuple[Condition, Condition], ...] = (
    *ADDED,
    ("synthetic", "classical"),
    ("classical+synthetic", "synthetic"),
)
SHOWN = 8  # examples of a kind


def gather_detection(
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
    truth = data.truth
    if any(len(part.probability) != len(truth.label) for part in parts):
        raise DataError("Some answers have another number of test images; use another folder.")
    answers: dict[Arm, list[Answers]] = {}
    for part in parts:
        answer = Answers(np.array(part.probability), part.threshold)
        answers.setdefault(arm_of(part.cell), []).append(answer)
    detection = Detection(
        **facts_of_experiment(data, parts, command, device, choices),
        synthetic=tuple(map(facts, sets)),
        splits=tuple(
            count_split(name, split)
            for name, split in zip(SPLITS, (data.train, data.validation, data.test), strict=True)
        ),
        limits=truth.limits,
        scores=tuple(scores_of(truth, answers)),
        effects=tuple(effects_of(truth, answers)),
        calibration=tuple(calibrate(truth, arm, of_arm) for arm, of_arm in answers.items()),
        examples=(),
        runs=tuple(part.model_copy(update={"probability": ()}) for part in parts),
        remarks=(*mixed(parts), *remarks_on(sets, data, [arm.share for arm in answers])),
    )
    update = {
        "examples": tuple(examples(data, detection.main, answers)),
        "remarks": (*guessing(detection), *one_sided(detection), *detection.remarks),
    }
    return detection.model_copy(update=update)


def facts_of_experiment(
    data: Real,
    parts: Sequence[Training],
    command: str,
    device: str,
    choices: dict[str, Any],
) -> dict[str, Any]:
    """Give what every experiment tells of itself: fields of `Experiment`.

    Args:
        data: The real set.
        parts: Of all networks.
        command: That makes the experiment again.
        device: What the first network was trained on.
        choices: The terms.
    """
    about = data.whole.about
    return {
        "command": command,
        "versions": versions(),
        "device": device,
        "real": str(data.whole.folder),
        "fingerprint": about.fingerprint,
        "source": about.source,
        "real_command": about.command,
        "choices": choices,
        "arms": tuple(dict.fromkeys(arm_of(part.cell) for part in parts)),
        "seeds": tuple(dict.fromkeys(part.cell.seed for part in parts)),
    }


def guessing(detection: Detection) -> Iterator[str]:
    """Say when what synthetic images are compared with has learnt nothing."""
    learnt = {"none": "with no augmentation", "classical": "with classical changes"}
    for arm in detection.main:
        if arm.condition in learnt:
            auc = detection.score(arm, "auc")
            if auc.value is not None and auc.low is not None and auc.low <= 0.5:
                yield (
                    f"Classifiers {learnt[arm.condition]} are not shown to be better than guessing "
                    f"(AUC {auc.value:.2f}, its interval begins at {auc.low:.2f}): comparing with "
                    "them tells little. Take more people, a sequence that shows tumours, longer "
                    "training, or labels that are less one-sided."
                )


def one_sided(detection: Detection) -> Iterator[str]:
    """Say which classifiers give one answer to everything."""
    for arm in detection.main:
        hits, passes = (detection.score(arm, name).seeds for name in ("sensitivity", "specificity"))
        same = [{0.0, 1.0} == {hit, none} for hit, none in zip(hits, passes, strict=True)]
        if any(same):
            yield (
                f"{sum(same)} of {len(same)} classifiers learnt with {arm.condition} call every "
                "slice the same at a probability of 0.5: their accuracy tells nothing. Train "
                "longer, or compare the AUC."
            )


def mixed(parts: Sequence[Training]) -> Iterator[str]:
    """Say when classifiers were trained on different machines."""
    devices = sorted({part.device for part in parts} - {""})
    if len(devices) > 1:
        yield (
            f"Networks were trained on {' and on '.join(devices)}: what differs between "
            "conditions may be the device's doing."
        )


def arm_of(cell: NetworkRun) -> Arm:
    """Name a cell without its seed."""
    return Arm(condition=cell.condition, share=cell.share, ratio=cell.ratio)


def facts(data: SliceSet) -> Synthetic:
    """Say what a synthetic set is."""
    return Synthetic(
        name=data.name,
        folder=str(data.folder),
        fingerprint=data.about.fingerprint,
        recipe=data.about.notes.recipe,
        counts={str(k): int(v) for k, v in data.table["tumour"].value_counts().items()},
        subjects=len(people_behind(data)),
        command=data.about.command,
    )


def count_split(name: str, data: SliceSet) -> Split:
    """Count a split."""
    tumour = int((data.table["tumour"] == "yes").sum())
    return Split(
        split=name, subjects=len(subject_names(data)), tumour=tumour, none=len(data) - tumour
    )


def scores_of(truth: Truth, answers: dict[Arm, list[Answers]]) -> Iterator[ArmScore]:
    """Score every arm in every measure."""
    for arm, of_arm in answers.items():
        for name, measure in MEASURES.items():
            score = estimate(truth, of_arm, measure)
            measured, bounded = math.isfinite(score.value), math.isfinite(score.low)
            yield ArmScore(
                arm=arm,
                measure=name,
                value=score.value if measured else None,
                low=score.low if bounded else None,
                high=score.high if bounded else None,
                seeds=score.seeds if measured else (),
            )


def pairs_of(arms: Sequence[Arm]) -> list[tuple[Arm, Arm]]:
    """Find the arms to compare: of one share, and of one ratio where both have one."""
    return [
        (arm, other)
        for first, second in PAIRS
        for arm in arms
        for other in arms
        if (arm.condition, other.condition) == (first, second)
        and arm.share == other.share
        and (None in (arm.ratio, other.ratio) or arm.ratio == other.ratio)
    ]


def effects_of(truth: Truth, answers: dict[Arm, list[Answers]]) -> Iterator[Effect]:
    """Judge all differences; p values are adjusted within each measure."""
    pairs = pairs_of(list(answers))
    main = set(main_arms(list(answers)))
    for name, measure in MEASURES.items():
        if not measure.compared:
            continue
        results = [difference(truth, answers[a], answers[b], measure) for a, b in pairs]
        families = [{a, b} <= main and (a.condition, b.condition) in ADDED for a, b in pairs]
        adjusted = holm_within([result.p for result in results], families)
        for (arm, other), result, p, first in zip(pairs, results, adjusted, families, strict=True):
            yield Effect(
                measure=name,
                one=arm,
                other=other,
                main=first,
                p_holm=p,
                verdict=verdict(result.value, p, measure.better, len(result.seeds)),
                **vars(result),
            )


def holm_within(p: Sequence[float], families: Sequence[bool]) -> list[float]:
    """Adjust p values within two families, so that curves do not blunt the main question."""
    adjusted = {
        kind: iter(holm([value for value, own in zip(p, families, strict=True) if own == kind]))
        for kind in (True, False)
    }
    return [next(adjusted[own]) for own in families]


def calibrate(truth: Truth, arm: Arm, answers: Sequence[Answers]) -> Calibration:
    """Fill the bins of an arm."""
    probability = np.concatenate([answer.probability for answer in answers])
    label = np.tile(truth.label, len(answers))
    bins = bin_of(probability)
    counts = np.bincount(bins, minlength=BINS)
    sums = [np.bincount(bins, values, BINS) for values in (probability, label)]
    means = [
        tuple(float(a / n) if n else None for a, n in zip(totals, counts, strict=True))
        for totals in sums
    ]
    return Calibration(arm=arm, mean=means[0], tumours=means[1], counts=tuple(counts.tolist()))


def examples(
    data: Real, arms: Sequence[Arm], answers: dict[Arm, list[Answers]]
) -> Iterator[Examples]:
    """Choose tumours by who finds them, at a probability of 0.5, the mean over seeds.

    "Synthetic alone" is left out: it has not learnt from real images.
    """
    hits = {
        arm: np.mean([answer.probability for answer in answers[arm]], 0) >= 0.5
        for arm in arms
        if arm.condition != "synthetic alone"
    }
    tumour = (data.test.table["tumour"] == "yes").to_numpy()
    with_them = [rows for arm, rows in hits.items() if arm.ratio is not None]
    without = [rows for arm, rows in hits.items() if arm.ratio is None]
    none_found = ~np.any(list(hits.values()), axis=0)
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
    table = test.table[rows].sort_values("tumour_mm2", ascending=False, kind="stable")
    ids = table.drop_duplicates("subject")["id"].astype(str).tolist()[:SHOWN]
    return Examples(kind=kind, count=int(rows.sum()), ids=tuple(ids))


def write_tables(out: Path, detection: Detection, data: Real, parts: Sequence[Part]) -> None:
    """Write `detection.json` for programs, and three tables for spreadsheets."""
    for name, values in (("measures", detection.scores), ("differences", detection.effects)):
        write_table(out / f"{name}.csv", map(flat, values), None if values else ["measure"])
    test = data.test.table[["id", "subject", "tumour", "tumour_mm2"]]
    answers = [
        test.assign(
            **part.cell.model_dump(),
            threshold=part.threshold,
            probability=np.array(part.probability),
        )
        for part in parts
    ]
    write_table(out / "answers.csv", pd.concat(answers))
    write_json(out / "detection.json", detection.model_dump())


def flat(scored: ArmScore | Effect) -> dict[str, Any]:
    """Lay a value out as one row."""
    row: dict[str, Any] = {}
    for key, value in scored.model_dump().items():
        if isinstance(value, dict):
            prefix = "" if key == "arm" else f"{key}_"
            row |= {prefix + name: inner for name, inner in value.items()}
        else:
            row[key] = " ".join(map(str, value)) if isinstance(value, tuple) else value
    return row
