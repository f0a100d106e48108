"""How the page of a reader study says things: shares, intervals and verdicts."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mrgantry.study.statistics.decisions import mean_is_guessing, one_answer, told
from mrgantry.study.statistics.measured import (
    ChanceTest,
    Confusion,
    Equivalence,
    Estimate,
    Interval,
    Proportion,
    Verdict,
)
from mrgantry.study.statistics.proportions import balanced_accuracy
from mrgantry.study.statistics.results import ALL, Analysis, ManyReaders, Reading

NOTHING = "–"


class TableCell(NamedTuple):
    """A number as it stands in a table.

    Attributes:
        value: The number.
        interval: Of 95 %.
        of: What it was counted from, or its percentage.
    """

    value: str
    interval: str = ""
    of: str = ""


class Finding(NamedTuple):
    """What may be said of whether readers can tell.

    Attributes:
        kind: "told", "inverted", "guessing" or "open".
        sign: Of the badge.
        word: For a table.
        sentence: For the head of the page.
    """

    kind: str
    sign: str
    word: str
    sentence: str


def percent(value: float | None, digits: int = 0) -> str:
    """Write a share in percent."""
    return NOTHING if value is None else f"{100 * value:.{digits}f}\u00a0%".replace("-", "−")


def exactly(value: float | None) -> str:
    """Write a share in percent, with a decimal only where there is one."""
    return NOTHING if value is None else f"{round(100 * value, 1):g}\u00a0%"


def decimal(value: float | None) -> str:
    """Write a number with two decimals."""
    return NOTHING if value is None else f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−")


def probability(p: float | None) -> str:
    """Write a p-value."""
    return NOTHING if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def range_percent(interval: Interval) -> str:
    """Write an interval of shares."""
    if interval.low is None or interval.high is None:
        return ""
    ends = f"{100 * interval.low:.0f} to {100 * interval.high:.0f}\u00a0%"
    return ends.replace("-0 ", "0 ").replace("-", "−")


def range_decimal(interval: Interval) -> str:
    """Write an interval of numbers."""
    if interval.low is None or interval.high is None:
        return ""
    return f"{decimal(interval.low)} to {decimal(interval.high)}"


def share(proportion: Proportion) -> TableCell:
    """Write a share with Wilson's interval and its counts."""
    return TableCell(
        percent(proportion.value),
        range_percent(proportion.wilson),
        f"{proportion.k}/{proportion.n}",
    )


def mean_share(estimate: Estimate) -> TableCell:
    """Write a mean of shares with its interval."""
    return TableCell(percent(estimate.value), range_percent(estimate.interval))


def figure(estimate: Estimate) -> TableCell:
    """Write a number with its interval."""
    return TableCell(decimal(estimate.value), range_decimal(estimate.interval))


def spread(values: Iterable[float | None]) -> TableCell:
    """Write the mean of several readers' numbers, and the least and greatest."""
    numbers = [value for value in values if value is not None]
    if not numbers:
        return TableCell(NOTHING)
    low, high = decimal(min(numbers)), decimal(max(numbers))
    ends = f"readers: {low} to {high}" if len(numbers) > 1 else ""
    return TableCell(decimal(sum(numbers) / len(numbers)), ends)


def points(margin: float) -> str:
    """Write the margin of equivalence."""
    return f"±{100 * margin:g} points"


def counted(count: int, noun: str) -> str:
    """Write a number with its noun."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def listed(words: Sequence[str]) -> str:
    """Write words in a row, with "and" before the last."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def block_name(block: str) -> str:
    """Name a block, or all of them."""
    return "All blocks" if block == ALL else block


def finding(reading: Reading) -> Finding:
    """Say whether a reader can tell, from the tests of one reading."""
    return finding_of(reading.confusion, reading.chance, reading.equivalence)


HOW_FAR: dict[Verdict, tuple[str, str]] = {
    "fail": ("told apart", "; the accuracy is not within {} of 1/2"),
    "pass": ("told apart, slightly", ", although the accuracy is within {} of 1/2"),
    "inconclusive": ("told apart", "; whether the accuracy is within {} of 1/2 is open"),
}


def finding_of(counts: Confusion, chance: ChanceTest, equal: Equivalence) -> Finding:
    """Say whether somebody can tell, from counts and their tests."""
    margin, p = points(equal.margin), chance.p_apart
    balanced = balanced_accuracy(counts).value
    if balanced is None:
        return _nothing()
    # The accuracy also leaves 1/2 where classes are unequal: only p says that they are told apart.
    apart = told(p)
    if chance.below_chance or (apart and balanced < 0.5):
        return _inverted()
    if apart:
        word, how = HOW_FAR[equal.verdict]
        return _told(word, how.format(margin))
    if one_answer(counts, equal.margin):
        return _one_answer()
    return _guessing(margin) if equal.verdict == "pass" else _open(margin)


def finding_of_many(
    many_readers: ManyReaders, readings: Sequence[Reading], margin: float
) -> Finding:
    """Say whether readers can tell, from the one test of all of them together.

    That alone says whether images were told apart; which way round, and by how much, follows from
    the interval of the mean and, where that leaves it open, from the readers one by one. That
    readers guess is shown by the interval, if all of them give both answers.

    Args:
        many_readers: The means over readers.
        readings: Of these readers.
        margin: Of equivalence.
    """
    mean = many_readers.balanced_accuracy
    low, high = mean.interval.low, mean.interval.high
    p = many_readers.together.p_apart if many_readers.together else None
    if mean.value is None:
        return _nothing()
    if not told(p):
        return _not_told(many_readers, readings, margin)
    if low is not None and high is not None and (high < 0.5 or low > 0.5):
        return _inverted() if high < 0.5 else _told_by_many(low, high, margin)
    return _told_by_some([finding(reading).kind for reading in readings], mean.value)


def _told_by_some(kinds: Sequence[str], mean: float) -> Finding:
    """Say who tells, where the mean does not say it of other readers."""
    told_apart, inverted = kinds.count("told"), kinds.count("inverted")
    if not told_apart and (inverted or mean < 0.5):
        return _inverted()
    if told_apart and inverted:
        sentence = (
            f"Readers differ: {told_apart + inverted} of {len(kinds)} told images apart, of them "
            f"{inverted} the wrong way round."
        )
    else:
        who = f"{told_apart} of {len(kinds)} did so by themselves" if told_apart else "together"
        sentence = (
            f"These readers told real and synthetic images apart ({who}); that other readers "
            "would, on average, is not shown."
        )
    return Finding("told", "−", "told apart by some", sentence)


def _not_told(many_readers: ManyReaders, readings: Sequence[Reading], margin: float) -> Finding:
    interval = many_readers.balanced_accuracy.interval
    if any(one_answer(reading.confusion, margin) for reading in readings):
        return _one_answer(" by some readers")
    if mean_is_guessing(interval, margin):
        return _guessing(points(margin) + " on average")
    return _open(points(margin), " on average")


def _told_by_many(low: float, high: float, margin: float) -> Finding:
    if high <= 0.5 + margin:
        return _told(
            "told apart, slightly", f", by no more than {100 * margin:g} points on average"
        )
    if low > 0.5 + margin:
        return _told("told apart", f", by more than {100 * margin:g} points on average")
    return _told("told apart", f" on average; whether by more than {100 * margin:g} points is open")


def _told(word: str, how: str) -> Finding:
    return Finding("told", "−", word, f"Real and synthetic images were told apart{how}.")


def _inverted() -> Finding:
    return Finding(
        "inverted",
        "!",
        "told apart, inverted",
        "Real and synthetic images were told apart and named the wrong way round. That is no sign "
        "of realism.",
    )


def _guessing(margin: str) -> Finding:
    return Finding(
        "guessing",
        "=",
        f"guessing to within {margin}",
        f"Answers were as right as guessing, to within {margin}.",
    )


def _open(margin: str, average: str = "") -> Finding:
    return Finding(
        "open",
        "?",
        "not shown to be guessing",
        f"Images were not shown to be told apart{average}, and answers not shown to be guesses to "
        f"within {margin}.",
    )


def _one_answer(whom: str = "") -> Finding:
    return Finding(
        "open",
        "?",
        "one answer nearly always",
        f"Images were not shown to be told apart, and one answer was given nearly always{whom}: "
        "that shows nothing of whether it was a guess.",
    )


def _nothing() -> Finding:
    return Finding(
        "open",
        "?",
        "nothing can be said",
        "Nothing can be said: one class of images has no answers.",
    )


def told_among(readings: Sequence[Reading]) -> int:
    """Count the readers who told images apart, also the wrong way round."""
    return sum(finding(reading).kind in ("told", "inverted") for reading in readings)


def tally(readings: Sequence[Reading]) -> str:
    """Count the readers by what was found of each."""
    kinds = Counter(finding(reading).kind for reading in readings)
    told_apart = kinds["told"] + kinds["inverted"]
    inverted = f" ({kinds['inverted']} the wrong way round)" if kinds["inverted"] else ""
    return (
        f"Of {len(readings)} readers, {told_apart} told images apart{inverted}, "
        f"{kinds['guessing']} {'was' if kinds['guessing'] == 1 else 'were'} shown to guess, "
        f"and for {kinds['open']} neither was shown."
    )


def lean(reading: Reading, word: str) -> str:
    """Say to which answer a reader leans, where the interval of the criterion leaves 0 out.

    Args:
        reading: The reading.
        word: What readers call a synthetic image.
    """
    ends = reading.detection.criterion.interval
    if ends.low is not None and ends.low > 0:
        return f"leans to “{word}”"
    if ends.high is not None and ends.high < 0:
        return "leans to “real”"
    return ""


def parts(analysis: Analysis) -> tuple[str, ...]:
    """Give the blocks, and all of several last."""
    return (*analysis.blocks, ALL) if len(analysis.blocks) > 1 else analysis.blocks


def readings_of(analysis: Analysis, block: str) -> list[Reading]:
    """Give all readers' readings of a block, or of all; a reader of one block has that one."""
    readings = [reading for reading in analysis.readings if reading.block == block]
    if block == ALL:
        readers = {reading.reader for reading in readings}
        readings += [reading for reading in analysis.readings if reading.reader not in readers]
    return readings
