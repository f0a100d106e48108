"""What a paper prints of its readers and its measures, to lay beside one's own."""

from typing import Literal

from mrgantry.common.frozen import Frozen


class PrintedRow(Frozen):
    """A row of a printed table.

    Attributes:
        label: Block or reader, in the paper's words.
        counts: Of the first class called first and second, then of the second class called
            first and second: (rr, rs, sr, ss), or the same of tumour and non-tumour.
        accuracy: As printed, in [0, 1]; None if it is not printed.
        group: Of readers; empty if there are none.
    """

    label: str
    counts: tuple[int, int, int, int]
    accuracy: float | None
    group: str = ""


class PlannedContrast(Frozen):
    """A comparison that a paper draws its conclusion from, to be tested by itself.

    Attributes:
        claim: What the paper concludes, in a sentence.
        found: What its printed counts say of that, recomputed, in a sentence.
        first: What the first blocks of the pairs have in common.
        second: What the second ones have in common.
        pairs: Labels of two printed rows each.
    """

    claim: str
    found: str
    first: str
    second: str
    pairs: tuple[tuple[str, str], ...]


class Printed(Frozen):
    """A table of a reader study as its paper prints it.

    Attributes:
        study: Name of the study's recipes and protocol.
        title: What was asked of whom.
        citation: Of the paper.
        classes: The two answers; the first is the positive class.
        rows_are: What a row is: a block that one reader read, or a reader.
        columns: The paper's own names of the counts, in the order of `PrintedRow.counts`.
        unit: Whether counts are images or percent of the images of their class.
        rows: The rows, in the paper's order.
        notes: What is wrong or unsaid in it.
        contrast: What the paper concludes from comparing its rows, if it does.
    """

    study: str
    title: str
    citation: str
    classes: tuple[str, str]
    rows_are: Literal["block", "reader", "images"]
    columns: tuple[str, str, str, str]
    unit: Literal["images", "percent"]
    rows: tuple[PrintedRow, ...]
    notes: tuple[str, ...] = ()
    contrast: PlannedContrast | None = None


class PrintedValues(Frozen):
    """A table of numbers as its paper prints it.

    Attributes:
        title: What was measured of what.
        citation: Of the paper.
        rows_are: What a row is.
        columns: The paper's own names of the numbers.
        measures: The scores of `evaluate` that are laid beside them, one a column.
        rows: The rows in the paper's order: label and numbers.
        notes: What is wrong or unsaid in it.
    """

    title: str
    citation: str
    rows_are: str
    columns: tuple[str, ...]
    measures: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float, ...]], ...]
    notes: tuple[str, ...] = ()
