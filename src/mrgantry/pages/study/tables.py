"""The tables of a reader study's page: confusion as papers print it, readers, differences."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import pandas as pd
from scipy.stats import norm

from mrgantry.common.tables import harmless
from mrgantry.pages.study import words
from mrgantry.pages.study.words import TableCell
from mrgantry.study.printed import Printed, PrintedRow
from mrgantry.study.protocol import Protocol
from mrgantry.study.statistics.decisions import LEVEL
from mrgantry.study.statistics.measured import Confusion, Estimate, TumourTable
from mrgantry.study.statistics.proportions import chance_test, equivalence
from mrgantry.study.statistics.results import ALL, Analysis, Reading
from mrgantry.study.statistics.signal_detection import detection

Layout = Literal["blocks", "readers"]
MANY = 30  # rows from which on a table is folded away
RATES = ("TP", "FN", "FP", "TN")


def layout_of(protocol: Protocol) -> Layout:
    """Say what a row of the confusion table is: a block (Han et al.) or a reader (Kazuhiro)."""
    return "readers" if protocol.table == "readers" else "blocks"


def confusion_table(analysis: Analysis, protocol: Protocol) -> dict[str, Any]:
    """Lay the counts out as the paper of the protocol does."""
    layout = layout_of(protocol)
    word = protocol.synthetic_word
    columns = ["real as real", f"real as {word}", f"{word} as real", f"{word} as {word}"]
    if protocol.table == "initials":
        columns = ["R as R", "R as S", "S as R", "S as S"]
    if layout == "readers":
        columns = list(RATES)
    left_out = any(reading.confusion.undecided for reading in analysis.readings)
    rows = [
        _counts(reading, analysis, layout, left_out)
        for block in words.parts(analysis)
        for reading in _sorted(words.readings_of(analysis, block), layout)
        if block or reading.block == ALL
    ]
    return {
        "layout": layout,
        "word": word,
        "columns": columns,
        "left_out": left_out,
        "rows": rows,
        "folded": len(rows) > MANY,
        "readers": len(analysis.readers) > 1,
        "blocks": len(analysis.blocks) > 1,
        "groups": len(analysis.groups) > 1,
    }


def _sorted(readings: Sequence[Reading], layout: Layout) -> list[Reading]:
    return (
        sorted(readings, key=lambda reading: reading.group)
        if layout == "readers"
        else list(readings)
    )


def _counts(reading: Reading, analysis: Analysis, layout: Layout, left_out: bool) -> dict[str, Any]:
    """Write one row of counts, with their percentages where the paper prints these."""
    all_of = reading.confusion
    cells = [
        _of(all_of.rr, all_of.real, layout),
        _of(all_of.rs, all_of.real, layout),
        _of(all_of.sr, all_of.synthetic, layout),
        _of(all_of.ss, all_of.synthetic, layout),
    ]
    unknown = all_of.unknown_real + all_of.unknown_synthetic
    return {
        "reader": reading.reader,
        "group": reading.group,
        "block": words.block_name(reading.block) if len(analysis.blocks) > 1 else "",
        "total": reading.block == ALL and len(analysis.blocks) > 1,
        "accuracy": words.exactly(reading.accuracy.value),
        "balanced": words.exactly(reading.balanced_accuracy.value),
        "cells": cells,
        "left_out": [unknown, all_of.undecided - unknown] if left_out else [],
    }


def _of(k: int, n: int, layout: Layout) -> TableCell:
    return TableCell(str(k), "", words.percent(k / n) if n and layout == "readers" else "")


def tumour_tables(analysis: Analysis) -> list[dict[str, Any]]:
    """Lay the answers to "tumour or not" out, a table for each reading."""
    return [
        {
            "reader": reading.reader if len(analysis.readers) > 1 else "",
            "block": words.block_name(reading.block) if len(analysis.blocks) > 1 else "",
            "rows": [_tumour(table) for table in reading.tumour],
            "left_out": any(t.undecided_tumour + t.undecided_non for t in reading.tumour),
        }
        for reading in analysis.readings
        if reading.tumour
    ]


def _tumour(tumour_table: TumourTable) -> dict[str, Any]:
    return {
        "images": tumour_table.images,
        "counts": [tumour_table.tt, tumour_table.tn, tumour_table.nt, tumour_table.nn],
        "accuracy": words.exactly(tumour_table.accuracy.value),
        "left_out": tumour_table.undecided_tumour + tumour_table.undecided_non,
        "shares": [
            words.share(x)
            for x in (tumour_table.accuracy, tumour_table.sensitivity, tumour_table.specificity)
        ],
    }


# --- as printed -----------------------------------------------------------------------


def printed_table(printed: Printed, margin: float) -> dict[str, Any]:
    """Lay out a printed table, with what our statistics say of its counts."""
    truth = printed.classes[0] == "real"
    return {
        "title": printed.title,
        "citation": printed.citation,
        "columns": printed.columns,
        "rows_are": {"images": "images", "block": "block", "reader": "reader"}[printed.rows_are],
        "unit": printed.unit,
        "truth": truth,
        "groups": any(row.group for row in printed.rows),
        "rows": [_printed_row(row, printed, margin if truth else None) for row in printed.rows],
        "notes": printed.notes,
    }


def _printed_row(row: PrintedRow, printed: Printed, margin: float | None) -> dict[str, Any]:
    values: dict[str, Any] = {
        "label": row.label,
        "group": row.group,
        "counts": row.counts,
        "accuracy": words.exactly(row.accuracy),
    }
    if margin is None:
        return values
    if printed.unit == "percent":
        # Of an unknown number of images: values without intervals, and no test.
        hit, alarm = row.counts[0] / 100, row.counts[2] / 100
        z_hit, z_alarm = float(norm.ppf(hit)), float(norm.ppf(alarm))
        return values | {
            "d_prime": TableCell(words.decimal(z_hit - z_alarm)),
            "criterion": TableCell(words.decimal(-(z_hit + z_alarm) / 2)),
            "verdict": "n unknown",
        }
    rr, rs, sr, ss = row.counts
    counts = Confusion(rr=rr, rs=rs, sr=sr, ss=ss)
    detected = detection(counts)
    equal = equivalence(counts.right, counts.n, margin)
    said = words.finding_of(counts, chance_test(counts), equal)
    return values | {
        "d_prime": words.figure(detected.d_prime),
        "criterion": words.figure(detected.criterion),
        "verdict": f"{said.word}; equivalence: {equal.verdict}",
    }


# --- readers --------------------------------------------------------------------------


def reader_rows(analysis: Analysis) -> list[dict[str, Any]]:
    """Write all numbers of every reading."""
    return [_reader(reading) for reading in analysis.readings]


def _reader(reading: Reading) -> dict[str, Any]:
    shares = (
        reading.accuracy,
        reading.fool_rate,
        reading.real_recall,
        reading.accuracy_all,
        reading.late,
    )
    return {
        "reader": reading.reader,
        "group": reading.group,
        "years": words.NOTHING if reading.years is None else f"{reading.years:g}",
        "block": words.block_name(reading.block),
        "shares": [(words.share(part), words.range_percent(part.exact)) for part in shares],
        "balanced": words.mean_share(reading.balanced_accuracy),
        "chance": reading.chance,
        "p": [
            words.probability(p)
            for p in (reading.chance.p, reading.chance.p_below, reading.chance.p_independent)
        ],
        "d_prime": words.figure(reading.detection.d_prime),
        "criterion": words.figure(reading.detection.criterion),
        "tost": words.probability(reading.equivalence.p),
        "equivalence": reading.equivalence.verdict,
        "power": words.percent(reading.equivalence.power),
        "auc": words.figure(reading.roc.auc) if reading.roc else None,
        "finding": words.finding(reading),
    }


def choice_rows(analysis: Analysis) -> list[dict[str, Any]]:
    """Write all numbers of every reader's answers to pairs; none of a study of single images."""
    readings = {(reading.reader, reading.block): reading for reading in analysis.readings}
    return [
        {
            "reader": choice.reader,
            "group": readings[choice.reader, choice.block].group,
            "block": words.block_name(choice.block),
            "finding": words.finding(readings[choice.reader, choice.block]),
            "right": words.share(choice.right),
            "p": words.probability(choice.p),
            "d_prime": words.figure(choice.d_prime),
            "sides": [
                words.share(share)
                for share in (choice.right_left, choice.right_right, choice.said_left)
            ],
            "bias": words.decimal(choice.side_bias),
            "p_side": words.probability(choice.p_side),
            "undecided": choice.undecided,
        }
        for choice in analysis.forced_choices
    ]


def mean_rows(analysis: Analysis) -> list[dict[str, Any]]:
    """Write the means over several readers."""
    return [
        {
            "block": words.block_name(mean.block),
            "group": mean.group or "all readers",
            "readers": len(mean.readers),
            "design": mean.design,
            "cells": [
                words.mean_share(part)
                for part in (
                    mean.accuracy,
                    mean.balanced_accuracy,
                    mean.fool_rate,
                    mean.real_recall,
                )
            ],
            "auc": words.figure(mean.auc) if mean.auc else TableCell(words.NOTHING),
            "method": mean.accuracy.interval.method,
            "notes": mean.notes,
        }
        for mean in analysis.means
    ]


def group_rows(analysis: Analysis) -> list[dict[str, Any]]:
    """Write the differences between groups of readers."""
    return [
        {
            "block": words.block_name(difference.block),
            "first": f"{difference.first} ({difference.first_readers})",
            "second": f"{difference.second} ({difference.second_readers})",
            "cells": [_difference(difference.accuracy), _difference(difference.balanced_accuracy)],
            "method": difference.accuracy.interval.method,
            "notes": difference.notes,
        }
        for difference in analysis.group_differences
    ]


def _difference(estimate: Estimate) -> TableCell:
    """Write a difference of shares, in points."""
    value, ends = estimate.value, estimate.interval
    if value is None:
        return TableCell(words.NOTHING)
    sign = f"{100 * value:+.0f}".replace("-", "−")
    if ends.low is None or ends.high is None:
        return TableCell(sign)
    return TableCell(sign, f"{100 * ends.low:+.0f} to {100 * ends.high:+.0f}".replace("-", "−"))


def agreement_rows(analysis: Analysis) -> list[dict[str, Any]]:
    """Write how far readers agree."""
    return [
        {
            "block": words.block_name(concordance.block),
            "readers": len(concordance.readers),
            "images": concordance.images,
            "complete": concordance.complete,
            "missing": concordance.missing,
            "observed": words.mean_share(concordance.observed),
            "fleiss": words.figure(concordance.fleiss),
            "alpha": words.figure(concordance.alpha),
            "undefined": concordance.fleiss.note or concordance.alpha.note,
        }
        for concordance in analysis.concordances
    ]


def conduct_rows(analysis: Analysis) -> list[dict[str, Any]]:
    """Write how each reader answered, apart from what is right."""
    return [
        {
            "reader": conduct.reader,
            "most": words.share(conduct.most),
            "most_given": conduct.most_given,
            "run": conduct.longest_run,
            "fast": words.share(conduct.fast),
            "checks": words.share(conduct.checks) if conduct.checks.n else None,
            "same": words.share(conduct.with_oneself.same) if conduct.with_oneself else None,
            "kappa": words.decimal(conduct.with_oneself.kappa) if conduct.with_oneself else None,
            "remarks": words.listed(conduct.remarks) if conduct.remarks else "",
        }
        for conduct in analysis.conducts
    ]


def block_rows(analysis: Analysis) -> list[dict[str, Any]]:
    """Write the differences between blocks, of each reader and of the mean over readers."""
    return [
        {
            "reader": difference.reader or "mean over readers",
            "pair": f"{difference.first} − {difference.second}",
            "counts": f"{difference.first_k}/{difference.first_n}, "
            f"{difference.second_k}/{difference.second_n}",
            "difference": _difference(difference.difference),
            "p": words.probability(difference.p),
            "p_holm": words.probability(difference.p_holm),
            "differs": difference.p_holm is not None and difference.p_holm < LEVEL,
            "method": difference.difference.interval.method,
            "note": difference.note,
        }
        for difference in analysis.block_differences
    ]


def pair_rows(analysis: Analysis) -> list[dict[str, Any]]:
    """Write the differences between readers on the same images."""
    return [
        {
            "block": words.block_name(difference.block),
            "pair": f"{difference.first} − {difference.second}",
            "counts": f"{difference.first_only} / {difference.second_only}",
            "images": difference.both
            + difference.first_only
            + difference.second_only
            + difference.neither,
            "difference": _difference(difference.difference),
            "p": words.probability(difference.p),
            "p_holm": words.probability(difference.p_holm),
            "differs": difference.p_holm is not None and difference.p_holm < LEVEL,
            "method": difference.difference.interval.method,
        }
        for difference in analysis.reader_differences
    ]


# --- for spreadsheets -----------------------------------------------------------------


def readings_csv(analysis: Analysis) -> str:
    """Write one row for each reading, with all its numbers and methods."""
    rows = [choice.model_dump() for choice in analysis.forced_choices]
    table = pd.json_normalize(rows or list(map(_flat, analysis.readings)), sep="_")
    return table.map(harmless).to_csv(index=False, lineterminator="\n")


def _flat(reading: Reading) -> dict[str, Any]:
    values = reading.model_dump()
    values["times"] = {f"{t['truth']}_{t['answer']}": _without(t) for t in values["times"]}
    values["tumour"] = {t["images"]: _without(t) for t in values["tumour"]}
    if values["roc"]:
        del values["roc"]["points"]
    return dict(_filled(values))


def _without(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in ("truth", "answer", "images")}


def _filled(values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Leave out what is empty: it would make columns without a meaning."""
    for key, value in values.items():
        if value not in ({}, None) or key == "years":
            yield key, value
