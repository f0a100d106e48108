"""From each person's scores to findings: scores of all conditions, differences, cases, tables."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import t

from mrgantry.common.errors import DataError
from mrgantry.common.files import write_json
from mrgantry.common.tables import write_table
from mrgantry.data.fitness import people_behind
from mrgantry.data.slices import SPLITS, SliceSet
from mrgantry.detection.effects import (
    ALPHA,
    ConditionEstimate,
    estimated,
    judged_by_persons,
    verdict,
)
from mrgantry.detection.findings import Arm, ArmScore, Effect, Split, Synthetic, main_arms
from mrgantry.detection.gather import (
    ADDED,
    arm_of,
    facts_of_experiment,
    flat,
    holm_within,
    mixed,
    pairs_of,
)
from mrgantry.detection.sets import remarks_on, subject_names
from mrgantry.segmentation.findings import Obedience, Segmentation, SegmenterPart, ShownCase
from mrgantry.segmentation.obedience import REAL_ALONE, by_person
from mrgantry.segmentation.overlap import better, measures_of
from mrgantry.segmentation.sets import MappedReal

SHARES = ("dice", "lesions_found")  # measures, and beginnings of their names, between 0 and 1
POOR = 0.1  # Dice below which a segmenter has learnt next to nothing

Table = Float[np.ndarray, "m k"]  # a value a person and seed


def gather_segmentation(
    data: MappedReal,
    sets: Sequence[SliceSet],
    shown: Sequence[SliceSet],
    parts: Sequence[SegmenterPart],
    command: str,
    device: str,
    choices: dict[str, Any],
) -> Segmentation:
    """Score all conditions by what their segmenters score of each person.

    Args:
        data: The real set.
        sets: The synthetic ones.
        shown: The test slices, and all sets of which segmenters say whether they obey their maps.
        parts: Of all segmenters.
        command: That makes the experiment again.
        device: What the first segmenter was trained on.
        choices: The terms.

    Raises:
        DataError: Parts are not those of this test split.
    """
    people = tuple(subject_names(data.test))
    if any(part.tested != people for part in parts):
        raise DataError("Some segmenters were judged by other test people; use another folder.")
    about = data.whole.about
    by_arm: dict[Arm, list[SegmenterPart]] = {}
    for part in parts:
        by_arm.setdefault(arm_of(part.cell), []).append(part)
    tables = {
        measure: {arm: table_of(of_arm, measure) for arm, of_arm in by_arm.items()}
        for measure in measures_of(about.classes)
    }
    segmentation = Segmentation(
        **facts_of_experiment(data, parts, command, device, choices),
        synthetic=tuple(map(facts, sets)),
        splits=tuple(
            count_split(name, split)
            for name, split in zip(SPLITS, (data.train, data.validation, data.test), strict=True)
        ),
        scores=tuple(scores_of(tables)),
        effects=tuple(effects_of(tables)),
        remarks=(*mixed(parts), *remarks_on(sets, data, [arm.share for arm in by_arm])),
        classes=about.classes,
        cases=tuple(cases(data, tables["dice"])),
        obedience=tuple(obedience(shown, parts)),
        runs=tuple(parts),
    )
    remarks = (*learnt_nothing(segmentation), *segmentation.remarks)
    return segmentation.model_copy(update={"remarks": remarks})


def table_of(parts: Sequence[SegmenterPart], measure: str) -> Table:
    """Lay an arm's scores out, those people left out of whom nothing can be measured."""
    values = [[np.nan if v is None else v for v in part.values[measure]] for part in parts]
    table = np.array(values, dtype=np.float64).T
    return table[np.isfinite(table).all(1)]


def without_each(table: Table) -> Float[np.ndarray, "_ k"]:
    """Average over all m people, then without each of them in turn."""
    count, total = len(table), table.sum(0)
    rest = (total - table) / (count - 1) if count > 1 else np.full_like(table, np.nan)
    return np.concatenate([total[None] / count, rest])


def estimate(table: Table, share: bool) -> ConditionEstimate:
    """Give the mean over seeds and people, with its interval over people.

    Args:
        table: A value a person and seed.
        share: Whether values lie between 0 and 1, and so does the interval.
    """
    if not len(table):
        return ConditionEstimate(math.nan, math.nan, math.nan, ())
    if share:
        return estimated(without_each(table))
    of_people, count = table.mean(1), len(table)
    value = float(of_people.mean())
    half = math.nan
    if count > 1:
        spread = float(of_people.std(ddof=1)) / math.sqrt(count)
        half = spread * float(t.ppf(1 - ALPHA / 2, count - 1))
    seeds = tuple(map(float, table.mean(0)))
    return ConditionEstimate(value, max(0.0, value - half), value + half, seeds)


def scores_of(tables: Mapping[str, Mapping[Arm, Table]]) -> Iterator[ArmScore]:
    """Score every arm in every measure."""
    for measure, by_arm in tables.items():
        for arm, table in by_arm.items():
            score = estimate(table, measure.startswith(SHARES))
            bounded = math.isfinite(score.low)
            yield ArmScore(
                arm=arm,
                measure=measure,
                value=score.value if math.isfinite(score.value) else None,
                low=score.low if bounded else None,
                high=score.high if bounded else None,
                seeds=score.seeds,
            )


def effects_of(tables: Mapping[str, Mapping[Arm, Table]]) -> Iterator[Effect]:
    """Judge all differences; p values are adjusted within each measure."""
    for measure, by_arm in tables.items():
        arms = list(by_arm)
        main = set(main_arms(arms))
        pairs = [(arm, other) for arm, other in pairs_of(arms) if len(by_arm[arm]) > 1]
        results = [judged_by_persons(without_each(by_arm[a] - by_arm[b])) for a, b in pairs]
        if measure.startswith(SHARES):  # no difference of two shares is larger
            results = [
                replace(result, low=max(result.low, -1.0), high=min(result.high, 1.0))
                for result in results
            ]
        families = [{a, b} <= main and (a.condition, b.condition) in ADDED for a, b in pairs]
        adjusted = holm_within([result.p for result in results], families)
        for (arm, other), result, p, first in zip(pairs, results, adjusted, families, strict=True):
            yield Effect(
                measure=measure,
                one=arm,
                other=other,
                main=first,
                p_holm=p,
                verdict=verdict(result.value, p, better(measure), len(result.seeds)),
                **vars(result),
            )


def obedience(shown: Sequence[SliceSet], parts: Sequence[SegmenterPart]) -> Iterator[Obedience]:
    """Sum up how far images show what their maps say, by segmenters that know real ones alone.

    Args:
        shown: The real test slices, and then each set that was looked at.
        parts: Of all segmenters; those of the largest share are asked.
    """
    most = max(part.cell.share for part in parts)
    for condition in REAL_ALONE:
        asked = [
            part
            for part in parts
            if part.cell.condition == condition and part.cell.share == most and part.obeyed
        ]
        real = math.nan
        for place, data in enumerate(shown if asked else ()):
            found = [part.obeyed[place] for part in asked]
            table = np.stack([by_person(data, each.values) for each in found], 1)
            score = estimate(table, share=True)
            real = score.value if place == 0 else real
            bounded = math.isfinite(score.low)
            yield Obedience(
                name=data.name if place else "",
                condition=condition,
                images=len(found[0].values),
                value=score.value,
                low=score.low if bounded else None,
                high=score.high if bounded else None,
                classes=tuple(
                    map(_mean_known, zip(*[each.classes for each in found], strict=True))
                ),
                share=score.value / real if place and real > 0 else None,
            )


def _mean_known(values: Sequence[float | None]) -> float | None:
    """Average what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def learnt_nothing(segmentation: Segmentation) -> Iterator[str]:
    """Say when what synthetic images are compared with has learnt next to nothing."""
    for arm in segmentation.main:
        value = segmentation.score(arm, "dice").value
        if arm.condition in ("none", "classical") and value is not None and value < POOR:
            yield (
                f"Segmenters learnt with {arm.condition} reach a Dice of {value:.2f}: comparing "
                "with them tells little. Take more people, a sequence that shows what is mapped, "
                "or longer training (--set epochs=200 --set patience=30)."
            )


def cases(data: MappedReal, by_arm: Mapping[Arm, Table]) -> Iterator[ShownCase]:
    """Choose the best, the median and the worst test person by the mean Dice of all segmenters."""
    people = subject_names(data.test)
    dice = np.mean([table.mean(1) for table in by_arm.values()], axis=0)
    order = np.argsort(dice, kind="stable")
    table, mapped = data.test.table, (data.test.maps > 0).sum((1, 2))
    for kind, place in (("best", order[-1]), ("median", order[len(order) // 2]),
                        ("worst", order[0])):  # fmt: skip
        rows = np.flatnonzero((table["subject"] == people[place]).to_numpy())
        row = int(rows[mapped[rows].argmax()])
        yield ShownCase(
            kind=kind,
            subject=people[place],
            id=str(table["id"].iloc[row]),
            dice=float(dice[place]),
        )


def facts(data: SliceSet) -> Synthetic:
    """Say what a synthetic set is."""
    mapped = int(data.maps.any((1, 2)).sum())
    return Synthetic(
        name=data.name,
        folder=str(data.folder),
        fingerprint=data.about.fingerprint,
        recipe=data.about.notes.recipe,
        counts={"mapped": mapped, "empty": len(data) - mapped},
        subjects=len(people_behind(data)),
        command=data.about.command,
    )


def count_split(name: str, data: SliceSet) -> Split:
    """Count a split."""
    mapped = int(data.maps.any((1, 2)).sum())
    return Split(
        split=name, subjects=len(subject_names(data)), tumour=mapped, none=len(data) - mapped
    )


def write_tables(out: Path, segmentation: Segmentation) -> None:
    """Write `segmentation.json` for programs, and three tables for spreadsheets."""
    for name, values in (("measures", segmentation.scores), ("differences", segmentation.effects)):
        write_table(out / f"{name}.csv", map(flat, values), None if values else ["measure"])
    people = [
        pd.DataFrame({"subject": part.tested, **part.values}).assign(**part.cell.model_dump())
        for part in segmentation.runs
    ]
    write_table(out / "people.csv", pd.concat(people))
    write_json(out / "segmentation.json", segmentation.model_dump())
