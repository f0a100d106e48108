"""The page of a sensitivity table: which measures notice which faults, and from which strength."""

from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise
from math import isnan, nan
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np

from mrgantry.common.files import write_text
from mrgantry.evaluation.faults import FAULTS, GROUPS, Fault
from mrgantry.evaluation.measures.listed import EXPLANATIONS
from mrgantry.evaluation.measures.measure import Family
from mrgantry.evaluation.sensitivity_table import FaultScore, Sensitivity
from mrgantry.pages.drawing import INK, SETTINGS, blank, svg
from mrgantry.pages.rendering import render

SIGNS = {"worse": "+", "better": "−"}
MOVED = tuple(SIGNS.values())
NET, BRAIN, MAP, PCA, PIXELS = "random-net", "brain-net", "brain-map", "pca64", "pixels"
# How features are called in heads of columns.
PLACES = {NET: "net", BRAIN: "brain", MAP: "map", PCA: "pca"}
LATEST = 0.75  # of the range of colours, for what notices the greatest strength alone
PALE = "#9aa3ab"  # for places where nothing can be said
Kind = tuple[str, str]  # of a score: its name, and what it looked at


class Scores(NamedTuple):
    """Scores of one family: what a fault should move together.

    A score that the table does not hold is left out.

    Attributes:
        title: As people call them.
        kinds: Scores of which it is also claimed what they must not notice.
        also: Others, of which it is only claimed that one of the family notices.
    """

    title: str
    kinds: tuple[Kind, ...]
    also: tuple[Kind, ...] = ()


TITLES: dict[Family, str] = {
    "distances": "FD, KID",
    "fidelity": "precision",
    "variety": "recall, coverage",
    "similarity": "MS-SSIM of pairs",
    "classifiers": "C2ST",
    "copying": "copying",
    "spectrum": "spectrum",
}


def scores_of(family: Family) -> Scores:
    """Gather the scores of a family; of several forms of one, its first stands for all."""
    members = [explanation for explanation in EXPLANATIONS if explanation.family == family]
    return Scores(
        TITLES[family],
        tuple((member.names[0], features) for member in members for features in member.leads),
        tuple((member.names[0], features) for member in members for features in member.joins),
    )


FAMILIES: dict[Family, Scores] = {family: scores_of(family) for family in TITLES}
# Scores on pretrained features that a user asked for stand at the end.
ELSEWHERE = (
    *("relative_fid", "relative_fd", "kernel_distance"),
    *("precision", "density", "recall", "coverage"),
)
SHORT = {
    explanation.names[0]: explanation.short for explanation in EXPLANATIONS if explanation.short
} | {"relative_fid": "FID"}


class TableEntry(NamedTuple):
    """A place in the table, over all partitions: its sign and how far out it lies.

    Attributes:
        sign: That of most partitions, "0" where none is that of most; "" where the set has no
            place for the fault.
        excess: Mean distance from the real score, in widths of its interval.
        sure: Whether all partitions agree.
    """

    sign: str
    excess: float
    sure: bool

    @property
    def text(self) -> str:
        """Write it, with a question mark where partitions disagree."""
        if not self.sign:
            return "n/a"
        value = abs(self.excess) if self.sign != "0" else self.excess
        written = f"{value:.1f}" if value < 99.5 else "> 99"
        return f"{self.sign} {written}" + ("" if self.sure else " ?")


class Least(NamedTuple):
    """The smallest strength that a score notices.

    Attributes:
        text: The strength; "yes" where the fault has but one, "–" for never, "n/a" where the set
            has no place for it, "?" where the score calls real images worse, too.
        shade: 0 for the weakest of all, 1 for never; not a number where nothing can be said.
    """

    text: str
    shade: float


class SensitivityTable:
    """The cells of a sensitivity study, by fault, strength and score."""

    def __init__(self, sensitivity: Sensitivity):
        self.sensitivity = sensitivity
        self.cells: dict[tuple[str, float, Kind], list[FaultScore]] = {}
        for cell in sensitivity.cells:
            self.cells.setdefault((cell.fault, cell.strength, kind_of(cell)), []).append(cell)
        present = dict.fromkeys(map(kind_of, sensitivity.cells))
        ordered = [kind for family in FAMILIES.values() for kind in (*family.kinds, *family.also)]
        built_in = (*PLACES, PIXELS)
        pretrained = [kind for kind in present if kind[0] in ELSEWHERE and kind[1] not in built_in]
        self.kinds = [kind for kind in ordered if kind in present] + pretrained
        self.groups = [
            [fault for fault in group if fault.name in sensitivity.faults] for group in GROUPS
        ]
        self.faults = [fault for group in self.groups for fault in group]
        self.faulty = self.faults[1:] or self.faults
        self.rows = [(fault, strength) for fault in self.faults for strength in fault.strengths]

    def entry(self, fault: Fault, strength: float, kind: Kind) -> TableEntry:
        """Put the partitions of one place together; their majority gives the sign."""
        cells = self.cells.get((fault.name, strength, kind), [])
        cells = [cell for cell in cells if cell.partition < self.sensitivity.repeats]
        if not cells:
            return TableEntry("", nan, sure=True)
        sure = len({cell.verdict for cell in cells}) == 1
        return TableEntry(majority(cells), mean(cell.excess for cell in cells), sure)

    def signs(self, fault: Fault, kind: Kind) -> list[str]:
        """Give the signs of all strengths, "" where no partition tells anything.

        A partition in which a score calls real images worse does not tell that it notices a
        fault, and is left out.
        """
        none = self.cells.get((FAULTS[0].name, 0.0, kind), [])
        alarmed = {cell.partition for cell in none if cell.verdict == "worse"}
        quiet = set(range(self.sensitivity.repeats)) - alarmed
        seen = [self.cells.get((fault.name, strength, kind), []) for strength in fault.strengths]
        return [majority([cell for cell in cells if cell.partition in quiet]) for cells in seen]

    def least(self, fault: Fault, kind: Kind) -> Least:
        """Give the smallest strength that most partitions notice, as they do all greater ones."""
        signs = self.signs(fault, kind)
        if not any(signs):
            tried = any((fault.name, strength, kind) in self.cells for strength in fault.strengths)
            return Least("?" if tried else "n/a", nan)
        first = len(signs)
        while first and signs[first - 1] == "+":
            first -= 1
        if first == len(signs):
            return Least("–", 1.0)
        strength = fault.strengths[first]
        shade = LATEST * first / max(len(signs) - 1, 1)
        return Least(f"{strength:g}" if strength else "yes", shade)

    def outside(self, kind: Kind) -> list[bool]:
        """Say of each set of other subjects whether a score set it apart."""
        return [cell.verdict != "alike" for cell in self.cells[FAULTS[0].name, 0.0, kind]]

    @cached_property
    def starts(self) -> list[int]:
        """Give the columns at which a family starts, but for the first."""
        families = [family_of(kind) for kind in self.kinds]
        return [place for place, (a, b) in enumerate(pairwise(families), 1) if a != b]


def write_sensitivity(out: Path, sensitivity: Sensitivity) -> None:
    """Write `sensitivity.md` and its picture, `sensitivity.svg`."""
    table = SensitivityTable(sensitivity)
    write_text(out / "sensitivity.svg", svg(picture(table)))
    write_text(out / "sensitivity.md", page(table))


def page(table: SensitivityTable) -> str:
    """Write the table and what it says, in Markdown."""
    counts = [cell.n for cell in table.sensitivity.cells]
    met, missed = checks(table)
    outside = {kind: table.outside(kind) for kind in table.kinds}
    return render(
        "sensitivity.md",
        sensitivity=table.sensitivity,
        fewest=min(counts),
        most=max(counts),
        names=[name_of(kind) for kind in table.kinds],
        smallest=[
            (fault.name, [table.least(fault, kind).text for kind in table.kinds])
            for fault in table.faulty
        ],
        rows=[
            (title(*row), [table.entry(*row, kind).text for kind in table.kinds])
            for row in table.rows
        ],
        faults=[(fault.name, fault.text.format(strengths(fault))) for fault in table.faults],
        tumours=[fault.name for fault in table.faults if fault.tumours],
        met=met,
        missed=missed,
        outside=sum(map(sum, outside.values())),
        sets=sum(map(len, outside.values())),
        rates=[(name_of(kind), sum(flags), len(flags)) for kind, flags in outside.items()],
    )


def checks(table: SensitivityTable) -> tuple[int, list[str]]:
    """Compare with what was expected: how many expectations hold, and which do not."""
    problems = [
        problem
        for fault in table.faults
        for family in FAMILIES
        for problem in (*must_notice(table, fault, family), *must_not_move(table, fault, family))
    ]
    return problems.count(""), [problem for problem in problems if problem]


def must_notice(table: SensitivityTable, fault: Fault, family: Family) -> Iterator[str]:
    """Check that a family notices a fault's greatest strength, and no score a smaller one alone.

    Yields:
        What is otherwise than expected, or "" for each expectation that holds.
    """
    kinds = [kind for kind in table.kinds if family_of(kind) == family]
    seen = [table.signs(fault, kind) for kind in kinds]
    if family not in fault.noticed_by or not any(map(any, seen)):
        return
    name = title(fault, fault.strengths[-1])
    alert = any(signs[-1] == "+" for signs in seen)
    yield "" if alert else f"{name}: not noticed by {FAMILIES[family].title}"
    for kind, signs in zip(kinds, seen, strict=True):
        if "+" in signs and len(signs) > 1:
            lost = [b for a, b in pairwise(signs) if a == "+" and b != "+"]
            yield f"{fault.name}: {name_of(kind)} loses sight of it as it grows" if lost else ""


def must_not_move(table: SensitivityTable, fault: Fault, family: Family) -> Iterator[str]:
    """Check that a family does not move with a fault at any strength.

    Yields:
        What is otherwise than expected, or "" for each expectation that holds.
    """
    kinds = [kind for kind in FAMILIES[family].kinds if kind in table.kinds]
    for strength in fault.strengths if family in fault.unmoved else ():
        entries = {kind: table.entry(fault, strength, kind) for kind in kinds}
        moved = [
            f"{name_of(k)} {entry.text}" for k, entry in entries.items() if entry.sign in MOVED
        ]
        if any(entry.sign for entry in entries.values()):
            yield f"{title(fault, strength)}: moves {', '.join(moved)}" if moved else ""


def picture(table: SensitivityTable) -> Any:
    """Draw the smallest strengths as colours."""
    faults = table.faulty
    places = [[table.least(fault, kind) for kind in table.kinds] for fault in faults]
    shades = np.array([[least.shade for least in row] for row in places])
    figure, (axes,) = blank(0.34 * len(table.kinds) + 2.2, 0.24 * len(faults) + 1.7)
    with mpl.rc_context(SETTINGS):
        axes.grid(visible=False)
        colours = mpl.colormaps["YlGnBu"].with_extremes(bad="white")
        axes.imshow(np.ma.masked_invalid(shades), cmap=colours, vmin=-0.05, vmax=1, aspect="auto")
        for (y, x), shade in np.ndenumerate(shades):
            colour = PALE if isnan(shade) else "white" if shade > LATEST / 2 else INK
            axes.text(x, y, places[y][x].text, ha="center", va="center", fontsize=7, color=colour)
        rule(axes, table)
        axes.set_xticks(range(len(table.kinds)), map(name_of, table.kinds), rotation=60, ha="left")
        axes.set_yticks(range(len(faults)), [fault.name for fault in faults])
        axes.tick_params(length=0, labeltop=True, labelbottom=False)
        for label in axes.get_xticklabels():
            label.set_rotation_mode("anchor")
    return figure


def rule(axes: Any, table: SensitivityTable) -> None:
    """Draw lines between places, bold ones between families and between groups of faults."""
    ends = np.cumsum([len(group) for group in table.groups[1:] if group])
    for place in range(1, len(table.kinds)):
        bold = place in table.starts
        axes.axvline(place - 0.5, color="white", linewidth=3 if bold else 0.6)
    for place in range(1, len(table.faulty)):
        axes.axhline(place - 0.5, color="white", linewidth=3 if place in ends else 0.6)


def majority(cells: list[FaultScore]) -> str:
    """Give the sign of most partitions, "0" where none is that of most; "" without any."""
    verdicts = [cell.verdict for cell in cells]
    most = [sign for name, sign in SIGNS.items() if 2 * verdicts.count(name) > len(verdicts)]
    return most[0] if most else "0" if verdicts else ""


def kind_of(cell: FaultScore) -> Kind:
    """Say which score it is; few images have fewer principal directions than 64."""
    return cell.score, PCA if cell.features.startswith("pca") else cell.features


def family_of(kind: Kind) -> str:
    """Name the family of a score, "" for one of which nothing is claimed."""
    families = (name for name, scores in FAMILIES.items() if kind in (*scores.kinds, *scores.also))
    return next(families, "")


def name_of(kind: Kind) -> str:
    """Name a score for the head of a column."""
    name, features = kind
    written = SHORT.get(name, name.replace("_", " "))
    return written if features == PIXELS else f"{written} ({PLACES.get(features, features)})"


def title(fault: Fault, strength: float) -> str:
    """Name a fault with its strength."""
    return f"{fault.name} {strength:g}" if strength else fault.name


def strengths(fault: Fault) -> str:
    """List the strengths of a fault."""
    return " / ".join(f"{strength:g}" for strength in fault.strengths)
