"""The page of a reader study: can readers tell, how surely, and from what."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mrgantry.common.files import read_json, write_text
from mrgantry.pages.rendering import render
from mrgantry.pages.study import charts as study_charts
from mrgantry.pages.study import checklists, words
from mrgantry.pages.study import images as study_images
from mrgantry.pages.study import methods as study_methods
from mrgantry.pages.study import tables as study_tables
from mrgantry.pages.study.images import Pictures
from mrgantry.pages.study.words import TableCell
from mrgantry.study.printed import Printed
from mrgantry.study.statistics.conduct import FAST
from mrgantry.study.statistics.counting import counted
from mrgantry.study.statistics.results import ALL, Analysis, ManyReaders, Reading
from mrgantry.study.study import Study, StudyFacts

MOST = 150  # rows that the chart of shares may have before it shows blocks alone
INVERTED = 6  # readings that the flag of the alarm names one by one


def write_study(
    out: Path,
    study: Study,
    answers: pd.DataFrame,
    analysis: Analysis,
    printed: Sequence[Printed] = (),
    cues: Mapping[str, dict[str, Any]] | None = None,
    pictures: Pictures | None = None,
    command: str = "",
    changed: Sequence[str] = (),
    happened: Sequence[str] = (),
) -> None:
    """Write `study.html` for people, `readings.csv` for spreadsheets, charts for a paper.

    Args:
        out: The folder.
        study: That was read.
        answers: With the columns of `readings.COLUMNS`.
        analysis: Of the answers.
        printed: Tables of the paper that the protocol is from.
        cues: The audit of trivial cues of each block; unless given, the study's cues.json.
        pictures: Of the cases, as readers saw them.
        command: The shell command that writes this page.
        changed: Sentences on files that are not as they were when the study was made.
        happened: Sentences on who came and left while it ran, and on screens that failed.
    """
    about, cues = study.about, read_cues(study) if cues is None else cues
    every, answers = answers, counted(answers)
    drawn = charts(about, answers, analysis)
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "readings.csv", study_tables.readings_csv(analysis))
    for name in ("accuracy", "detection", "roc", "times"):
        if drawn[name]:
            write_text(out / f"{name}.svg", drawn[name])
    page = render(
        "study/page.html",
        about=about,
        analysis=analysis,
        command=command,
        fast=FAST,
        changed=changed,
        happened=happened,
        word=about.protocol.synthetic_word,
        **head(about, every, analysis, cues),
        counts=study_tables.confusion_table(analysis, about.protocol),
        tumour=study_tables.tumour_tables(analysis),
        printed=[study_tables.printed_table(table, analysis.margin) for table in printed],
        charts=drawn,
        **tables(analysis),
        choice_rows=study_tables.choice_rows(analysis),
        **images(about, answers, pictures or {}),
        flow=study_methods.flow(about, answers),
        **texts(about, answers, analysis, cues),
    )
    write_text(out / "study.html", page)


def read_cues(study: Study) -> dict[str, dict[str, Any]]:
    """Read the audit of trivial cues that a study was made with; nothing if it has none."""
    path = study.folder / "cues.json"
    return dict(read_json(path)) if path.is_file() else {}


def texts(
    about: StudyFacts, answers: pd.DataFrame, analysis: Analysis, cues: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    """Give the paragraph of methods and the checklists."""
    said = study_methods.sentences(about, analysis)
    return {
        "methods": said,
        "audits": study_methods.audits(cues),
        "checklists": [
            ("CLAIM 2024", CLAIM, checklists.claim(about, analysis, answers, said, cues)),
            ("GRRAS", GRRAS, checklists.grras(about, analysis, said)),
        ],
    }


CLAIM = "Tejani et al., Radiology: Artificial Intelligence 6(4):e240300, 2024"
GRRAS = "Kottner et al., Journal of Clinical Epidemiology 64(1):96, 2011"


# --- head -----------------------------------------------------------------------------


def head(
    about: StudyFacts, answers: pd.DataFrame, analysis: Analysis, cues: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    """Give the answer in short: flags, a sentence, and a row for each block."""
    rows = [_row(analysis, block, about.protocol.synthetic_word) for block in words.parts(analysis)]
    return {
        "headline": rows[-1]["finding"],
        "summary": summary(analysis, about),
        "head_rows": rows,
        "inverted": list(inverted(analysis)),
        "careless": [
            f"{conduct.reader}: {words.listed(conduct.remarks)}"
            for conduct in analysis.conducts
            if conduct.remarks
        ],
        "inverted_more": max(0, sum(1 for _ in inverted(analysis)) - INVERTED),
        "told_by_cues": [
            audit["block"] for audit in study_methods.audits(cues) if audit["beats_chance"]
        ],
        "no_audit": not cues,
        "unfinished": study_methods.unfinished(about, answers),
        "power": power(analysis),
    }


def _row(analysis: Analysis, block: str, word: str) -> dict[str, Any]:
    """Give the main numbers of one block; of pairs, d' by its own formula."""
    readings = words.readings_of(analysis, block)
    row = _row_of_images(analysis, block, readings, word)
    if analysis.forced_choices:
        of = {(choice.reader, choice.block): choice.d_prime for choice in analysis.forced_choices}
        found = [of[reading.reader, reading.block] for reading in readings]
        endless = sum(each.value is None for each in found)
        if len(found) == 1:
            row["d_prime"] = words.figure(found[0])
        elif endless:  # all or none right: a mean of the others would leave the best out
            row["d_prime"] = TableCell(words.NOTHING, f"not finite for {endless} of {len(found)}")
        else:
            row["d_prime"] = words.spread(each.value for each in found)
    return row


def _row_of_images(
    analysis: Analysis, block: str, readings: Sequence[Reading], word: str
) -> dict[str, Any]:
    """Give the main numbers of one block, as of single images."""
    many = next((mean for mean in analysis.means if mean.block == block and not mean.group), None)
    if len(readings) == 1:
        return {"block": words.block_name(block)} | _alone(readings[0], word)
    assert many is not None
    return {"block": words.block_name(block)} | _together(many, readings, analysis.margin)


def _alone(reading: Reading, word: str) -> dict[str, Any]:
    return {
        "finding": words.finding(reading),
        "lean": words.lean(reading, word),
        "fool_rate": words.share(reading.fool_rate),
        "real_recall": words.share(reading.real_recall),
        "d_prime": words.figure(reading.detection.d_prime),
        "criterion": words.figure(reading.detection.criterion),
        "accuracy": words.share(reading.accuracy),
        "equivalence": reading.equivalence.verdict,
    }


def _together(many: ManyReaders, readings: Sequence[Reading], margin: float) -> dict[str, Any]:
    passed = sum(reading.equivalence.verdict == "pass" for reading in readings)
    return {
        "finding": words.finding_of_many(many, readings, margin),
        "lean": "",
        "fool_rate": words.mean_share(many.fool_rate),
        "real_recall": words.mean_share(many.real_recall),
        "d_prime": words.spread(reading.detection.d_prime.value for reading in readings),
        "criterion": words.spread(reading.detection.criterion.value for reading in readings),
        "accuracy": words.mean_share(many.accuracy),
        "equivalence": f"{passed} of {len(readings)} pass",
    }


def summary(analysis: Analysis, about: StudyFacts) -> str:
    """Say in one sentence how often images were called real."""
    row = _row(analysis, words.parts(analysis)[-1], about.protocol.synthetic_word)
    if about.protocol.pairs:
        return _summary_of_pairs(row["accuracy"], analysis, about)
    fool, recall = row["fool_rate"], row["real_recall"]
    word = about.protocol.synthetic_word
    several = len(analysis.readers) > 1
    more = f" The reader {row['lean']}." if row["lean"] else ""
    if several:
        more = " " + words.tally(words.readings_of(analysis, words.parts(analysis)[-1]))
    return (
        f"{_capital(_article(word))} image was called real in {_with(fool)}"
        f"{' on average' if several else ''}, a {'simulated' if about.simulated else 'real'} one "
        f"in {_with(recall)}.{more}"
    )


def _summary_of_pairs(right: TableCell, analysis: Analysis, about: StudyFacts) -> str:
    """Say in one sentence of how many pairs the real image was found."""
    several = len(analysis.readers) > 1
    kind = "simulated" if about.simulated else "real"
    more = f" {words.tally(words.readings_of(analysis, words.parts(analysis)[-1]))}"
    return (
        f"The {kind} image of a pair was found in {_with(right)}"
        f"{' on average' if several else ''}, where guessing finds half.{more if several else ''}"
    )


def _article(word: str) -> str:
    return f"an {word}" if word[:1].lower() in "aeiou" else f"a {word}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _with(cell: TableCell) -> str:
    inside = ", ".join(filter(None, (cell.of, cell.interval and f"95 % interval {cell.interval}")))
    return f"{cell.value} of cases" + (f" ({inside})" if inside else "")


def inverted(analysis: Analysis) -> Iterator[str]:
    """Name the readings that raise the alarm of accuracies below chance."""
    several = len(analysis.blocks) > 1
    for reading in analysis.readings:
        if reading.chance.below_chance:
            block = reading.block
            where = f", {words.block_name(block).lower() if block == ALL else block}"
            yield (
                f"{reading.reader}{where if several else ''}: "
                f"{words.exactly(reading.accuracy.value)} right, {reading.chance.k} of "
                f"{reading.chance.n}"
            )


def power(analysis: Analysis) -> str:
    """Say how well the study could have shown that readers guess."""
    tests = [reading.equivalence for reading in analysis.readings if reading.block != ALL]
    least, most = min(tests, key=lambda test: test.n), max(tests, key=lambda test: test.n)
    margin = words.points(analysis.margin)
    count = f"{most.n:,}" if least.n == most.n else f"{least.n:,} to {most.n:,}"
    low, high = sorted(words.percent(test.power) for test in (least, most))
    chance = high if low == high else f"{low} to {high}"
    each = " for a reader and block" if len(analysis.blocks) > 1 else " of each reader"
    return (
        f"With {count} answers{each if len(tests) > 1 else ''}, the chance to show that somebody "
        f"who guesses does guess, to within {margin}, is {chance}; from {most.needed:,} answers "
        "on it stays above 80\u00a0%."
    )


# --- the rest -------------------------------------------------------------------------


def charts(about: StudyFacts, answers: pd.DataFrame, analysis: Analysis) -> dict[str, Any]:
    """Draw all charts; those that have nothing to show are ""."""
    styles = study_charts.group_styles(analysis)
    over_blocks = len(analysis.blocks) > 1
    per_block = {
        block if over_blocks else "": study_charts.lanes(analysis, block, styles)
        for block in analysis.blocks
    }
    rows = sum(map(len, per_block.values()))
    blocks = {"": study_charts.lanes_of_blocks(analysis)} if over_blocks else None
    alone = len(analysis.readers) == 1
    main = blocks if blocks and (alone or rows > MOST) else per_block
    last = words.readings_of(analysis, words.parts(analysis)[-1])
    points = [reading for reading in analysis.readings if reading.block] if alone else last
    scored = [reading for reading in last if reading.roc]
    paired = bool(analysis.forced_choices)
    return {
        "accuracy": study_charts.shares_chart(main, analysis.margin, rates=not paired),
        "blocks_alone": blocks is not None and not alone and rows > MOST,
        "detection": "" if paired else study_charts.detection_space(points, styles),
        "points": [point.block or point.reader if alone else point.reader for point in points],
        "numbered": len(points) <= study_charts.FEW,
        "groups": [
            {"name": name, "colour": style.colour, "sign": style.sign}
            for name, style in styles.items()
            if name
        ],
        "roc": study_charts.roc_chart(scored, styles) if scored and not paired else "",
        "times": ""
        if paired
        else study_charts.times_chart(
            answers, about.protocol.synthetic_word, about.protocol.seconds
        ),
    }


def tables(analysis: Analysis) -> dict[str, Any]:
    """Lay the long tables out."""
    return {
        "reader_rows": study_tables.reader_rows(analysis),
        "mean_rows": study_tables.mean_rows(analysis) if len(analysis.readers) > 1 else [],
        "group_rows": study_tables.group_rows(analysis),
        "agreement_rows": study_tables.agreement_rows(analysis),
        "block_rows": study_tables.block_rows(analysis),
        "pair_rows": study_tables.pair_rows(analysis),
        "conduct_rows": study_tables.conduct_rows(analysis),
    }


def images(about: StudyFacts, answers: pd.DataFrame, pictures: Pictures) -> dict[str, Any]:
    """Show the images most often mistaken, and what readers said."""
    word = about.protocol.synthetic_word
    origin = "Simulated" if about.simulated else "Real"
    if about.stack:  # of a whole head the middle slices are shown
        middle = about.stack.middle
        pictures = {case: middle(np.asarray(pictures[case])[None])[0] for case in pictures}
    if about.protocol.pairs:
        gallery = study_images.mistaken(answers, pictures, about.protocol.alternatives)
        title = f"Pairs whose {word} image was taken for the {origin.lower()} one"
        galleries = [{"title": title, "kind": "synthetic"} | gallery]
        return {
            "galleries": galleries,
            "reasons": list(study_images.reasons(answers, pictures, word)),
        }
    return {
        "galleries": [
            {"title": f"{_capital(word)}, called real", "kind": "synthetic"}
            | study_images.mistaken(answers, pictures, ("synthetic",)),
            {"title": f"{origin}, called {word}", "kind": "real"}
            | study_images.mistaken(answers, pictures, ("real",)),
        ],
        "reasons": list(study_images.reasons(answers, pictures, word)),
    }
