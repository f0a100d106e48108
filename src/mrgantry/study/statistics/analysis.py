"""All statistics of a reader study in one call."""

from collections.abc import Iterator
from itertools import combinations

import pandas as pd

from mrgantry.common.errors import DataError, RecipeError
from mrgantry.study.protocol import SIDES, TRUTHS
from mrgantry.study.statistics.concordance import concordance
from mrgantry.study.statistics.conduct import conducts
from mrgantry.study.statistics.contrasts import block_differences, reader_differences
from mrgantry.study.statistics.counting import checked, confusion, counted, times, tumour_tables
from mrgantry.study.statistics.forced_choice import forced_choice
from mrgantry.study.statistics.mrmc import Panel, group_difference, many_readers, panel
from mrgantry.study.statistics.proportions import (
    balanced_accuracy,
    chance_test,
    corrected,
    equivalence,
    holm,
    least_n,
    proportion,
)
from mrgantry.study.statistics.results import (
    ALL,
    Analysis,
    ChanceTest,
    Concordance,
    ForcedChoice,
    GroupDifference,
    ManyReaders,
    Reading,
)
from mrgantry.study.statistics.signal_detection import detection, roc

DRAWS = 2000  # bootstrap samples


def analyse(
    answers: pd.DataFrame,
    margin: float = 0.10,
    seed: int = 0,
    draws: int = DRAWS,
    alternatives: tuple[str, str] = TRUTHS,
) -> Analysis:
    """Analyse the answers of a reader study.

    "unknown" and no answer are left out of all rates and counted apart; `accuracy_all` counts
    them as wrong. Of several answers of a reader to an image the first counts.

    Args:
        answers: One row an answered trial, in the order of reading, with the columns reader,
            group, years, block, case (one id for one image, whoever saw it), truth ("real" or
            "synthetic"), answer (these, "unknown" or "none"), tumour, tumour_answer, confidence (1
            to 5), response_s (seconds) and late. A column use may say "check" of attention checks.
        margin: Distance of the accuracy from 1/2 that counts as none, in [0.005, 0.5).
        seed: Of the bootstraps.
        draws: Bootstrap samples, at least 1.
        alternatives: What stands for "real" and "synthetic" in truth and answer: of pairs "left"
            and "right", the side of the real image.

    Raises:
        DataError: There are no answers, or they are not what they should be.
        RecipeError: The margin or the number of samples is out of range.
    """
    if draws < 1:
        raise RecipeError(f"A bootstrap needs 1 sample or more, not {draws}.")
    least_n(margin)  # refuses a margin out of range
    given = checked(_renamed(answers, alternatives))
    rows = counted(given)
    if rows.empty:
        raise DataError("There are no answers to analyse yet.")
    readers, blocks = (tuple(dict.fromkeys(rows[name])) for name in ("reader", "block"))
    groups = tuple(name for name in dict.fromkeys(rows["group"]) if name)
    parts = list(_blocks(rows, blocks))
    panels = {block: panel(part, seed, block, draws) for block, part in parts}
    means, differences = _readers(parts, panels, groups, seed)
    return Analysis(
        trials=len(given),
        readers=readers,
        blocks=blocks,
        groups=groups,
        margin=margin,
        seed=seed,
        draws=draws,
        readings=tuple(_side_by_side(list(_readings(rows, blocks, margin)))),
        means=tuple(_over_blocks(means)),
        block_differences=tuple(block_differences(rows, panels)),
        reader_differences=tuple(reader_differences(rows)),
        concordances=tuple(_concordances(parts, seed, draws)),
        group_differences=tuple(differences),
        notes=tuple(_notes(given, rows)),
        conducts=tuple(conducts(given, dict(zip(TRUTHS, alternatives, strict=True)))),
        alternatives=alternatives,
        forced_choices=tuple(_forced_choices(rows, blocks) if alternatives == SIDES else ()),
    )


def _renamed(answers: pd.DataFrame, alternatives: tuple[str, str]) -> pd.DataFrame:
    """Call two alternatives "real" and "synthetic", as all rates, tests and means have them."""
    if alternatives == TRUTHS or not {"truth", "answer"} <= set(answers):
        return answers
    names = dict(zip(alternatives, TRUTHS, strict=True))
    odd = answers.loc[answers["truth"].isin(TRUTHS) | answers["answer"].isin(TRUTHS)]
    if len(odd):
        raise DataError(f"The answers to pairs hold {odd['truth'].iloc[0]!r}, which is no side.")
    return answers.replace({"truth": names, "answer": names})


def _forced_choices(rows: pd.DataFrame, blocks: tuple[str, ...]) -> Iterator[ForcedChoice]:
    """Give sensitivity and leaning to a side, of each reader in each block and in all."""
    sides = dict(zip(TRUTHS, SIDES, strict=True))
    named = rows.replace({"truth": sides, "answer": sides})
    for reader, mine in named.groupby("reader", sort=False):
        own = tuple(block for block in blocks if (mine["block"] == block).any())
        for block, part in _blocks(mine, own):
            choice = forced_choice(part)
            yield choice.model_copy(update={"reader": str(reader), "block": block})


def _blocks(rows: pd.DataFrame, blocks: tuple[str, ...]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Give the rows of each block, and of all of several under the name ""."""
    if len(blocks) > 1:
        for block in blocks:
            yield block, rows[rows["block"] == block]
        yield ALL, rows
    else:
        yield blocks[0], rows


def _readings(rows: pd.DataFrame, blocks: tuple[str, ...], margin: float) -> Iterator[Reading]:
    for reader, mine in rows.groupby("reader", sort=False):
        own = [block for block in blocks if (mine["block"] == block).any()]
        for block, part in _blocks(mine, tuple(own)):
            yield _reading(str(reader), block, part, margin)


def _side_by_side(readings: list[Reading]) -> Iterator[Reading]:
    """Correct the tests of single blocks for all readers and blocks, those of all for readers."""
    tests: dict[int, ChanceTest] = {}
    for whole in (False, True):
        places = [i for i, reading in enumerate(readings) if (reading.block == ALL) == whole]
        tests |= dict(zip(places, corrected([readings[i].chance for i in places]), strict=True))
    for place, reading in enumerate(readings):
        yield reading.model_copy(update={"chance": tests[place]})


def _over_blocks(means: list[ManyReaders]) -> Iterator[ManyReaders]:
    """Correct the test of all readers together for how many blocks there are."""
    for mean in means:
        family = [each for each in means if each.group == mean.group and each.block != ALL]
        if mean.block == ALL or len(family) < 2 or mean.together is None:
            yield mean
            continue
        ps = holm([each.together.p if each.together else None for each in family])
        raised = ps[[each.block for each in family].index(mean.block)]
        together = mean.together.model_copy(update={"p_holm": raised})
        yield mean.model_copy(update={"together": together})


def _reading(reader: str, block: str, rows: pd.DataFrame, margin: float) -> Reading:
    counts = confusion(rows)
    years = rows["years"].dropna()
    return Reading(
        reader=reader,
        group=str(rows["group"].iloc[0]),
        years=float(years.iloc[0]) if len(years) else None,
        block=block,
        confusion=counts,
        accuracy=proportion(counts.right, counts.n),
        accuracy_all=proportion(counts.right, len(rows)),
        balanced_accuracy=balanced_accuracy(counts),
        fool_rate=proportion(counts.sr, counts.synthetic),
        real_recall=proportion(counts.rr, counts.real),
        chance=chance_test(counts),
        detection=detection(counts),
        equivalence=equivalence(counts.right, counts.n, margin),
        roc=roc(rows),
        tumour=tumour_tables(rows),
        times=times(rows),
        late=proportion(int(rows["late"].sum()), len(rows)),
    )


def _readers(
    parts: list[tuple[str, pd.DataFrame]],
    panels: dict[str, Panel],
    groups: tuple[str, ...],
    seed: int,
) -> tuple[list[ManyReaders], list[GroupDifference]]:
    means, differences = [], []
    for block, rows in parts:
        drawn = panels[block]
        there = [name for name in groups if (rows["group"] == name).any()]
        for group in (ALL, *(there if len(groups) > 1 else ())):
            means.append(many_readers(rows, drawn, group, block, seed))
        for first, second in combinations(there, 2):
            difference = group_difference(drawn, first, second, block)
            differences += [difference] if difference else []
    return means, differences


def _concordances(
    parts: list[tuple[str, pd.DataFrame]], seed: int, draws: int
) -> Iterator[Concordance]:
    for block, rows in parts:
        agreement = concordance(rows, block, seed, draws)
        if agreement:
            yield agreement


def _notes(given: pd.DataFrame, rows: pd.DataFrame) -> Iterator[str]:
    """Say of all answers, and of those that count, what numbers cannot."""
    undecided = int((~rows["decided"]).sum())
    if undecided:
        yield (
            f'{undecided} of {len(rows)} answers are "unknown" or were not given in time; they are '
            "left out of all rates, and one accuracy more counts them as wrong."
        )
    again, checks = (int((given["use"] == use).sum()) for use in ("again", "check"))
    if again:
        yield (
            f"{again} times a reader saw one image once more in a block; the first answer counts, "
            "and the second says how far readers agree with themselves."
        )
    if checks:
        yield f"{checks} answers are to attention checks, and count in no other number."
    decided = rows[rows["decided"]]
    confident = int(decided["confidence"].notna().sum())
    if 0 < confident < len(decided):
        yield f"{confident} of {len(decided)} answers have a confidence; the ROC is of these."
