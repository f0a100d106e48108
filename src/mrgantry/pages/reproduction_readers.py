"""The readers' part of a repeated study's page: printed tables, and this run's answers beside."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from mrgantry.pages.rendering import number
from mrgantry.pages.reproduced import ModelResult, Reproduced
from mrgantry.pages.scores import cell
from mrgantry.pages.study import words
from mrgantry.pages.study.words import TableCell
from mrgantry.study.printed import PlannedContrast, Printed, PrintedRow
from mrgantry.study.statistics.contrasts import compare_blocks
from mrgantry.study.statistics.proportions import holm
from mrgantry.study.statistics.results import ALL, Analysis, BlockDifference, Reading

POOLED = (
    "Pairs of blocks are compared by the means over readers, whose intervals and tests hold for "
    "other readers and other images. Only in the last row answers of several readers are pooled "
    "as if each were of another image and reader; where readers saw the same images its interval "
    "is too narrow and its p value too small."
)
CLASSIFIER = "c2st_cnn"  # the score that answers what readers are asked


def readers(printed: Printed, reproduced: Reproduced) -> dict[str, Any]:
    """Lay a printed table of a reader study out, this run's answers beside it."""
    assert reproduced.reading is not None
    analysis = reproduced.reading.analysis
    tumour = printed.classes[0] != "real"
    rows = [
        {
            "label": row.label,
            "group": row.group,
            "accuracy": words.exactly(row.accuracy),
            "counts": row.counts,
            "ours": answers(analysis, printed, place, tumour=tumour) if analysis else None,
            "classifier": judged_as(row.label, reproduced.models) if not tumour else [],
        }
        for place, row in enumerate(printed.rows)
    ]
    return {
        "title": printed.title,
        "citation": printed.citation,
        "rows_are": printed.rows_are,
        "columns": printed.columns,
        "unit": printed.unit,
        "groups": any(row.group for row in printed.rows),
        "contrast": contrast(printed, analysis),
        "means": group_means(printed, analysis),
        "classifier": printed.rows_are == "block" and not tumour,
        "read": analysis is not None,
        "rows": rows,
        "notes": printed.notes,
    }


def answers(analysis: Analysis, printed: Printed, place: int, *, tumour: bool) -> dict[str, Any]:
    """Give what readers here answered in the place of one printed row."""
    if tumour:
        images = printed.rows[place].label
        for table in (table for reading in analysis.readings for table in reading.tumour):
            if table.images == images:
                counts = [table.tt, table.tn, table.nt, table.nn]
                return {"counts": counts, "accuracy": words.share(table.accuracy)}
    elif reading := fitting(analysis, printed, place):
        k = reading.confusion
        return {"counts": [k.rr, k.rs, k.sr, k.ss], "accuracy": words.share(reading.accuracy)}
    return {"counts": [words.NOTHING] * 4, "accuracy": TableCell(words.NOTHING)}


def contrast(printed: Printed, analysis: Analysis | None) -> dict[str, Any] | None:
    """Lay the comparison out that the paper concludes from: of its counts, and of this run's."""
    planned = printed.contrast
    if planned is None:
        return None
    theirs = {row.label: (row.counts[0] + row.counts[3], sum(row.counts)) for row in printed.rows}
    printed_tests = compare_blocks(ALL, theirs, planned.pairs)
    sides = [compared(planned, theirs, printed_tests), {}]
    if analysis:
        ours = {
            mean.block: (mean.confusion.right, mean.confusion.n)
            for mean in analysis.means
            if mean.group == ALL
        }
        sides[1] = compared(planned, ours, planned_tests(planned, analysis))
    names = [f"{first}, {second}" for first, second in planned.pairs]
    names.append(f"All {planned.first}, all {planned.second}")
    several = analysis is not None and len(analysis.readers) > 1
    return {
        "planned": planned,
        "rows": [
            {"label": name, "printed": sides[0].get(name), "ours": sides[1].get(name)}
            for name in names
        ],
        "note": POOLED if several else "",
    }


def planned_tests(planned: PlannedContrast, analysis: Analysis) -> list[BlockDifference]:
    """Give the tests of the planned pairs that were read, corrected for these alone.

    Of several readers they are those of the mean over readers.
    """
    reader = ALL if len(analysis.readers) > 1 else analysis.readers[0]
    known = {
        frozenset((test.first, test.second)): test
        for test in analysis.block_differences
        if test.reader == reader
    }
    found = [
        known[pair] if known[pair].first == first else turned(known[pair])
        for first, second in planned.pairs
        if (pair := frozenset((first, second))) in known
    ]
    corrected = holm([test.p for test in found])
    return [
        test.model_copy(update={"p_holm": p, "family": sum(p is not None for p in corrected)})
        for test, p in zip(found, corrected, strict=True)
    ]


def turned(test: BlockDifference) -> BlockDifference:
    """Compare the second block with the first."""
    value, interval = test.difference.value, test.difference.interval
    ends = {
        name: None if end is None else -end
        for name, end in (("low", interval.high), ("high", interval.low))
    }
    difference = test.difference.model_copy(
        update={
            "value": None if value is None else -value,
            "interval": interval.model_copy(update=ends),
        }
    )
    return test.model_copy(
        update={
            "first": test.second,
            "second": test.first,
            "first_k": test.second_k,
            "first_n": test.second_n,
            "second_k": test.first_k,
            "second_n": test.first_n,
            "difference": difference,
        }
    )


def compared(
    planned: PlannedContrast,
    counts: Mapping[str, tuple[int, int]],
    tests: Sequence[BlockDifference],
) -> dict[str, dict[str, Any]]:
    """Write the tests of all pairs, and test all of these pooled by themselves.

    Args:
        planned: The pairs.
        counts: Right answers and answers of each block.
        tests: Of the pairs of which both blocks were read.
    """
    if not tests:
        return {}
    found = {f"{test.first}, {test.second}": contrasted(test) for test in tests}
    pairs = [(test.first, test.second) for test in tests]
    sums = [
        (sum(counts[pair[side]][0] for pair in pairs), sum(counts[pair[side]][1] for pair in pairs))
        for side in (0, 1)
    ]
    names = (planned.first, planned.second)
    (pooled,) = compare_blocks(ALL, dict(zip(names, sums, strict=True)), [names])
    return found | {f"All {names[0]}, all {names[1]}": contrasted(pooled) | {"corrected": "–"}}


def contrasted(test: BlockDifference) -> dict[str, Any]:
    """Write a comparison of two blocks: counts, difference in points with interval, p values."""
    value, interval = test.difference.value, test.difference.interval
    ends = ""
    if interval.low is not None and interval.high is not None:
        ends = f"{in_points(interval.low)} to {in_points(interval.high)}"
    return {
        "counts": f"{test.first_k} of {test.first_n}, {test.second_k} of {test.second_n}",
        "points": TableCell(words.NOTHING if value is None else in_points(value), ends),
        "p": words.probability(test.p),
        "corrected": words.probability(test.p_holm),
    }


def group_means(printed: Printed, analysis: Analysis | None) -> list[dict[str, Any]]:
    """Lay the means of two groups of readers out, and their difference."""
    names = list(dict.fromkeys(row.group for row in printed.rows if row.group))
    if len(names) != 2:
        return []
    means = [fmean(balanced(row) for row in printed.rows if row.group == name) for name in names]
    cells: list[TableCell | None] = [None] * 3
    if analysis:
        block = analysis.blocks[0] if len(analysis.blocks) == 1 else ALL
        by_group = {mean.group: mean for mean in analysis.means if mean.block == block}
        cells = [
            *(words.mean_share(by_group[name].balanced_accuracy) if name in by_group else None
              for name in names),
            group_difference(analysis, block, names),
        ]  # fmt: skip
    return [
        {"label": f"Mean of {names[0]}", "printed": words.exactly(means[0]), "ours": cells[0]},
        {"label": f"Mean of {names[1]}", "printed": words.exactly(means[1]), "ours": cells[1]},
        {
            "label": f"{names[0].capitalize()} less {names[1]}",
            "printed": in_points(means[0] - means[1]),
            "ours": cells[2],
        },
    ]


def balanced(row: PrintedRow) -> float:
    """Give the mean of both classes' shares of right answers."""
    rr, rs, sr, ss = row.counts
    return (rr / (rr + rs) + ss / (sr + ss)) / 2


def group_difference(analysis: Analysis, block: str, names: Sequence[str]) -> TableCell | None:
    """Write how much better the first group is than the second, in points."""
    for difference in analysis.group_differences:
        if difference.block != block or {difference.first, difference.second} != set(names):
            continue
        estimate, sign = difference.balanced_accuracy, 1 if difference.first == names[0] else -1
        if estimate.value is None:
            return TableCell(words.NOTHING)
        ends = [estimate.interval.low, estimate.interval.high][::sign]
        bounds = [in_points(sign * end) for end in ends if end is not None]
        return TableCell(
            in_points(sign * estimate.value), " to ".join(bounds) if len(bounds) == 2 else ""
        )
    return None


def in_points(value: float) -> str:
    """Write a difference of shares in points, with a true minus."""
    return f"{100 * value:+.1f}".replace("-", "−")


def fitting(analysis: Analysis, printed: Printed, place: int) -> Reading | None:
    """Find the reading that stands for a printed row: of the same block, or the next reader."""
    if printed.rows_are == "reader":
        name = f"R{place + 1}"
        return next((reading for reading in analysis.readings if reading.reader == name), None)
    label = printed.rows[place].label
    return next((reading for reading in analysis.readings if reading.block == label), None)


def judged_as(block: str, models: Sequence[ModelResult]) -> list[dict[str, Any]]:
    """Give what a classifier scores on the images of a block, in a reader's place."""
    of_block = [model for model in models if model.block == block]
    return [
        cell(score)
        | {
            "floor": number(score.floor),
            "of": " ".join(filter(None, (model.label if len(of_block) > 1 else "", word))),
        }
        for model in of_block
        for word, folder in model.sets[-1:]
        for score in model.scores.get(folder.name, ())
        if score.name == CLASSIFIER
    ]
