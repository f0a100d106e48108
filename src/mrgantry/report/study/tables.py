"""The tables of a reader study's page: confusion as papers print it, readers, differences."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import pandas as pd
from scipy.stats import norm

from mrgantry.report.study import words
from mrgantry.report.study.words import TableCell
from mrgantry.study.detection import detection
from mrgantry.study.measured import Confusion, Estimate, TumourTable
from mrgantry.study.printed import Printed, PrintedRow
from mrgantry.study.proportions import balanced_accuracy, chance_test, equivalence
from mrgantry.study.protocol import Protocol
from mrgantry.study.results import ALL, Analysis, Concordance, GroupDifference, Reading

Layout = Literal["blocks", "readers"]
MANY = 30  # rows from which on a table is folded away
RATES = ("TP", "FN", "FP", "TN")


def layout_of(protocol: Protocol) -> Layout:
    """Say what a row of the confusion table is: a block (Han et al.) or a reader (Kazuhiro)."""
    return "readers" if protocol.name == "kazuhiro2018" else "blocks"


def confusion_table(found: Analysis, protocol: Protocol) -> dict[str, Any]:
    """Lay the counts out as the paper of the protocol does."""
    layout = layout_of(protocol)
    word = protocol.synthetic_word
    columns = ["real as real", f"real as {word}", f"{word} as real", f"{word} as {word}"]
    if protocol.name == "han2018-pggan":
        columns = ["R as R", "R as S", "S as R", "S as S"]
    if layout == "readers":
        columns = list(RATES)
    left_out = any(one.confusion.undecided for one in found.readings)
    rows = [
        _counts(one, found, layout, left_out)
        for block in words.parts(found)
        for one in _sorted(words.readings_of(found, block), layout)
        if block or one.block == ALL
    ]
    return {
        "layout": layout,
        "word": word,
        "columns": columns,
        "left_out": left_out,
        "rows": rows,
        "folded": len(rows) > MANY,
        "readers": len(found.readers) > 1,
        "blocks": len(found.blocks) > 1,
        "groups": len(found.groups) > 1,
    }


def _sorted(readings: Sequence[Reading], layout: Layout) -> list[Reading]:
    return sorted(readings, key=lambda one: one.group) if layout == "readers" else list(readings)


def _counts(one: Reading, found: Analysis, layout: Layout, left_out: bool) -> dict[str, Any]:
    """Write one row of counts, with their percentages where the paper prints these."""
    all_of = one.confusion
    cells = [
        _of(all_of.rr, all_of.real, layout),
        _of(all_of.rs, all_of.real, layout),
        _of(all_of.sr, all_of.synthetic, layout),
        _of(all_of.ss, all_of.synthetic, layout),
    ]
    unknown = all_of.unknown_real + all_of.unknown_synthetic
    return {
        "reader": one.reader,
        "group": one.group,
        "block": words.block_name(one.block) if len(found.blocks) > 1 else "",
        "total": one.block == ALL and len(found.blocks) > 1,
        "accuracy": words.exactly(one.accuracy.value),
        "balanced": words.exactly(one.balanced_accuracy.value),
        "cells": cells,
        "left_out": [unknown, all_of.undecided - unknown] if left_out else [],
    }


def _of(k: int, n: int, layout: Layout) -> TableCell:
    return TableCell(str(k), "", words.percent(k / n) if n and layout == "readers" else "")


def tumour_tables(found: Analysis) -> list[dict[str, Any]]:
    """Lay the answers to "tumour or not" out, a table for each reading."""
    return [
        {
            "reader": one.reader if len(found.readers) > 1 else "",
            "block": words.block_name(one.block) if len(found.blocks) > 1 else "",
            "rows": [_tumour(table) for table in one.tumour],
            "left_out": any(t.undecided_tumour + t.undecided_non for t in one.tumour),
        }
        for one in found.readings
        if one.tumour
    ]


def _tumour(one: TumourTable) -> dict[str, Any]:
    return {
        "images": one.images,
        "counts": [one.tt, one.tn, one.nt, one.nn],
        "accuracy": words.exactly(one.accuracy.value),
        "left_out": one.undecided_tumour + one.undecided_non,
        "shares": [words.share(x) for x in (one.accuracy, one.sensitivity, one.specificity)],
    }


# --- as printed -----------------------------------------------------------------------


def printed_table(one: Printed, margin: float) -> dict[str, Any]:
    """Lay out a printed table, with what our statistics say of its counts."""
    truth = one.classes[0] == "real"
    return {
        "title": one.title,
        "citation": one.citation,
        "columns": one.columns,
        "rows_are": {"images": "images", "block": "block", "reader": "reader"}[one.rows_are],
        "unit": one.unit,
        "truth": truth,
        "groups": any(row.group for row in one.rows),
        "rows": [_printed_row(row, one, margin if truth else None) for row in one.rows],
        "notes": one.notes,
    }


def _printed_row(row: PrintedRow, one: Printed, margin: float | None) -> dict[str, Any]:
    values: dict[str, Any] = {
        "label": row.label,
        "group": row.group,
        "counts": row.counts,
        "accuracy": words.exactly(row.accuracy),
    }
    if margin is None:
        return values
    if one.unit == "percent":
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
    found = detection(counts)
    equal = equivalence(counts.right, counts.n, margin)
    said = words.finding_of(balanced_accuracy(counts).value, chance_test(counts), equal)
    return values | {
        "d_prime": words.figure(found.d_prime),
        "criterion": words.figure(found.criterion),
        "verdict": f"{said.word}; equivalence: {equal.verdict}",
    }


# --- readers --------------------------------------------------------------------------


def reader_rows(found: Analysis) -> list[dict[str, Any]]:
    """Write all numbers of every reading."""
    return [_reader(one) for one in found.readings]


def _reader(one: Reading) -> dict[str, Any]:
    shares = (one.accuracy, one.fool_rate, one.real_recall, one.accuracy_all, one.late)
    return {
        "reader": one.reader,
        "group": one.group,
        "years": words.NOTHING if one.years is None else f"{one.years:g}",
        "block": words.block_name(one.block),
        "shares": [(words.share(part), words.range_percent(part.exact)) for part in shares],
        "balanced": words.mean_share(one.balanced_accuracy),
        "chance": one.chance,
        "p": [
            words.probability(p)
            for p in (one.chance.p, one.chance.p_below, one.chance.p_independent)
        ],
        "d_prime": words.figure(one.detection.d_prime),
        "criterion": words.figure(one.detection.criterion),
        "tost": words.probability(one.equivalence.p),
        "equivalence": one.equivalence.verdict,
        "power": words.percent(one.equivalence.power),
        "auc": words.figure(one.roc.auc) if one.roc else None,
        "finding": words.finding(one),
    }


def mean_rows(found: Analysis) -> list[dict[str, Any]]:
    """Write the means over several readers."""
    return [
        {
            "block": words.block_name(one.block),
            "group": one.group or "all readers",
            "readers": len(one.readers),
            "design": one.design,
            "cells": [
                words.mean_share(part)
                for part in (one.accuracy, one.balanced_accuracy, one.fool_rate, one.real_recall)
            ],
            "auc": words.figure(one.auc) if one.auc else TableCell(words.NOTHING),
            "method": one.accuracy.interval.method,
            "notes": one.notes,
        }
        for one in found.means
    ]


def group_rows(found: Analysis) -> list[dict[str, Any]]:
    """Write the differences between groups of readers."""

    def row(one: GroupDifference) -> dict[str, Any]:
        return {
            "block": words.block_name(one.block),
            "first": f"{one.first} ({one.first_readers})",
            "second": f"{one.second} ({one.second_readers})",
            "cells": [_difference(one.accuracy), _difference(one.balanced_accuracy)],
            "method": one.accuracy.interval.method,
            "notes": one.notes,
        }

    return [row(one) for one in found.group_differences]


def _difference(one: Estimate) -> TableCell:
    """Write a difference of shares, in points."""
    value, ends = one.value, one.interval
    if value is None:
        return TableCell(words.NOTHING)
    sign = f"{100 * value:+.0f}".replace("-", "−")
    if ends.low is None or ends.high is None:
        return TableCell(sign)
    return TableCell(sign, f"{100 * ends.low:+.0f} to {100 * ends.high:+.0f}".replace("-", "−"))


def agreement_rows(found: Analysis) -> list[dict[str, Any]]:
    """Write how far readers agree."""

    def row(one: Concordance) -> dict[str, Any]:
        return {
            "block": words.block_name(one.block),
            "readers": len(one.readers),
            "images": one.images,
            "complete": one.complete,
            "missing": one.missing,
            "observed": words.mean_share(one.observed),
            "fleiss": words.figure(one.fleiss),
            "alpha": words.figure(one.alpha),
            "undefined": one.fleiss.note or one.alpha.note,
        }

    return [row(one) for one in found.concordances]


def block_rows(found: Analysis) -> list[dict[str, Any]]:
    """Write the differences between blocks; of one reader, not once more for all pooled."""
    alone = len(found.readers) == 1
    return [
        {
            "reader": one.reader or "all, pooled",
            "pair": f"{one.first} − {one.second}",
            "counts": f"{one.first_k}/{one.first_n}, {one.second_k}/{one.second_n}",
            "difference": _difference(one.difference),
            "p": words.probability(one.p),
            "p_holm": words.probability(one.p_holm),
            "differs": one.p_holm is not None and one.p_holm < words.LEVEL,
            "method": one.difference.interval.method,
            "note": one.note,
        }
        for one in found.block_differences
        if one.reader or not alone
    ]


def pair_rows(found: Analysis) -> list[dict[str, Any]]:
    """Write the differences between readers on the same images."""
    return [
        {
            "block": words.block_name(one.block),
            "pair": f"{one.first} − {one.second}",
            "counts": f"{one.first_only} / {one.second_only}",
            "images": one.both + one.first_only + one.second_only + one.neither,
            "difference": _difference(one.difference),
            "p": words.probability(one.p),
            "p_holm": words.probability(one.p_holm),
            "differs": one.p_holm is not None and one.p_holm < words.LEVEL,
            "method": one.difference.interval.method,
        }
        for one in found.reader_differences
    ]


# --- for spreadsheets -----------------------------------------------------------------


def readings_csv(found: Analysis) -> str:
    """Write one row for each reading, with all its numbers and methods."""
    table = pd.json_normalize(list(map(_flat, found.readings)), sep="_")
    return table.to_csv(index=False, lineterminator="\n")


def _flat(one: Reading) -> dict[str, Any]:
    values = one.model_dump()
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
