"""The page of a sensitivity table: which measures notice which faults."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.colors import TwoSlopeNorm

from mrgantry.common.files import write_text
from mrgantry.evaluate.faults import FAULTS, Fault
from mrgantry.evaluate.sensitivity import Cell, Sensitivity
from mrgantry.report.drawing import INK, STYLE, blank, svg
from mrgantry.report.rendering import render

FULL = 5.0  # widths of the interval at which the picture's colour ends
SIGNS = {"worse": "+", "alike": "0", "better": "−"}
NET = "random-net"
Kind = tuple[str, str]  # of a score: its name, and what it looked at


class Family(NamedTuple):
    """Scores that a fault should move together.

    Attributes:
        name: As people call them.
        kinds: The scores.
        every: Whether all of them must notice what the family must notice, or one is enough.
    """

    name: str
    kinds: tuple[Kind, ...]
    every: bool = True


# In the order of the signs in `Fault.expected`.
FAMILIES = (
    Family("FD, KID", (("relative_fd", NET), ("kernel_distance", NET))),
    Family("precision, density", (("precision", NET), ("density", NET))),
    Family("recall, coverage", (("recall", NET), ("coverage", NET))),
    Family("MS-SSIM of pairs", (("ms_ssim_pairs", "pixels"),)),
    Family(
        "C2ST",
        (
            ("c2st_logistic", "pca64"),
            ("c2st_neighbours", "pca64"),
            ("c2st_cnn", "pixels"),
            ("c2st_low_pass", "pixels"),
        ),
        every=False,
    ),
    Family("copying", (("copying_ratio", "pixels"), ("copying_ratio_rare", "pixels")), every=False),
    Family("spectrum", (("spectral_difference", "pixels"),)),
)
# What else the table shows, without a claim.
BESIDE = (("relative_fd", "pca64"), ("kernel_distance", "pca64"))
SHORT = {
    ("relative_fd", NET): "FD",
    ("kernel_distance", NET): "KID",
    ("relative_fd", "pca64"): "FD (pca)",
    ("kernel_distance", "pca64"): "KID (pca)",
    ("ms_ssim_pairs", "pixels"): "MS-SSIM",
    ("c2st_logistic", "pca64"): "C2ST logistic",
    ("c2st_neighbours", "pca64"): "C2ST neighb.",
    ("c2st_cnn", "pixels"): "C2ST CNN",
    ("c2st_low_pass", "pixels"): "C2ST low-pass",
    ("copying_ratio", "pixels"): "copying",
    ("copying_ratio_rare", "pixels"): "copying, rare",
    ("spectral_difference", "pixels"): "spectrum",
}


class Entry(NamedTuple):
    """A place in the table, over all partitions: its sign and how far out it lies."""

    sign: str
    excess: float
    agreed: int
    partitions: int

    @property
    def text(self) -> str:
        """Write it, with a question mark where partitions disagree."""
        value = abs(self.excess) if self.sign != "0" else self.excess
        written = f"{value:.1f}" if value < 99.5 else "> 99"
        return f"{self.sign} {written}" + ("" if self.agreed == self.partitions else " ?")


class Table:
    """The cells of a sensitivity study, by fault, strength and score."""

    def __init__(self, found: Sensitivity):
        self.found = found
        self.cells: dict[tuple[str, float, Kind], list[Cell]] = {}
        for one in found.cells:
            key = (one.fault, one.strength, (one.score, one.features))
            self.cells.setdefault(key, []).append(one)
        claimed = [kind for family in FAMILIES for kind in family.kinds]
        have = dict.fromkeys((one.score, one.features) for one in found.cells)
        self.kinds = [kind for kind in (*claimed, *BESIDE) if kind in have]
        self.rows = [(fault, strength) for fault in FAULTS for strength in fault.strengths]

    def entry(self, fault: Fault, strength: float, kind: Kind) -> Entry:
        """Put the partitions of one place together; their majority gives the sign."""
        cells = [
            one
            for one in self.cells[fault.name, strength, kind]
            if one.partition < self.found.repeats
        ]
        verdicts = [one.verdict for one in cells]
        verdict = max(SIGNS, key=verdicts.count)
        return Entry(
            SIGNS[verdict],
            mean(one.excess for one in cells),
            verdicts.count(verdict),
            len(verdicts),
        )

    def outside(self, kind: Kind) -> list[bool]:
        """Say of each set of other subjects whether a score set it apart."""
        return [one.verdict != "alike" for one in self.cells[FAULTS[0].name, 0.0, kind]]


def write_sensitivity(out: Path, found: Sensitivity) -> None:
    """Write `sensitivity.md` and its picture, `sensitivity.svg`."""
    table = Table(found)
    write_text(out / "sensitivity.svg", picture(table))
    write_text(out / "sensitivity.md", page(table))


def page(table: Table) -> str:
    """Write the table and what it says, in Markdown."""
    counts = [one.n for one in table.found.cells]
    met, missed = checks(table)
    outside = {kind: table.outside(kind) for kind in table.kinds}
    return render(
        "sensitivity.md",
        found=table.found,
        fewest=min(counts),
        most=max(counts),
        names=[name_of(kind) for kind in table.kinds],
        rows=[
            (title(*row), [table.entry(*row, kind).text for kind in table.kinds])
            for row in table.rows
        ],
        faults=[(fault.name, fault.text.format(strengths(fault))) for fault in FAULTS],
        met=met,
        missed=missed,
        outside=sum(map(sum, outside.values())),
        sets=sum(map(len, outside.values())),
        rates=[(name_of(kind), sum(found)) for kind, found in outside.items()],
    )


def checks(table: Table) -> tuple[int, list[str]]:
    """Compare with what was expected: how many expectations hold, and which do not."""
    met, missed = 0, []
    for fault in FAULTS:
        for family, sign in zip(FAMILIES, fault.expected, strict=True):
            for problem in problems(table, fault, family, sign):
                if problem:
                    missed.append(problem)
                else:
                    met += 1
    return met, missed


def problems(table: Table, fault: Fault, family: Family, sign: str) -> Iterator[str]:
    """Check each strength of a fault, and their order; "" where all is as expected."""
    if sign == "?":
        return
    kinds = [kind for kind in family.kinds if kind in table.kinds]
    enough = all if family.every and sign == "+" else any
    seen = {
        strength: [table.entry(fault, strength, kind) for kind in kinds]
        for strength in fault.strengths
    }
    for strength, entries in seen.items():
        wrong = [one.sign != sign for one in entries]
        bad = any(wrong) if enough is all or sign == "0" else all(wrong)
        read = ", ".join(f"{name_of(k)} {one.text}" for k, one in zip(kinds, entries, strict=True))
        yield (
            f"{title(fault, strength)}: expected {sign} of {family.name}, found {read}"
            if bad
            else ""
        )
    if sign == "+" and len(seen) > 1:
        lists = [[entries[i].excess for entries in seen.values()] for i in range(len(kinds))]
        rising = [all(b >= a for a, b in pairwise(values)) for values in lists]
        yield (
            ""
            if enough(rising)
            else (f"{fault.name}: {family.name} does not rise with its strength")
        )


def picture(table: Table) -> str:
    """Draw the table as colours."""
    values = np.array(
        [[table.entry(*row, kind).excess for kind in table.kinds] for row in table.rows]
    )
    figure, (axes,) = blank(9.5, 0.3 * len(table.rows) + 1.3)
    with mpl.rc_context(STYLE):
        axes.grid(visible=False)
        shown = axes.imshow(values, cmap="RdBu_r", norm=TwoSlopeNorm(0, -FULL, FULL), aspect="auto")
        for (y, x), _ in np.ndenumerate(values):
            entry = table.entry(*table.rows[y], table.kinds[x])
            strong = abs(entry.excess) > 0.7 * FULL
            axes.text(x, y, entry.text.split()[0], ha="center", va="center", fontsize=8,
                      color="white" if strong else INK)  # fmt: skip
        axes.set_xticks(range(len(table.kinds)), map(name_of, table.kinds), rotation=40, ha="left")
        axes.set_yticks(range(len(table.rows)), [title(*row) for row in table.rows])
        axes.tick_params(length=0, labeltop=True, labelbottom=False)
        bar = figure.colorbar(shown, ax=axes, shrink=0.6, pad=0.01)
        bar.set_label("distance from real images,\nin widths of their interval", fontsize=8)
    return svg(figure)


def name_of(kind: Kind) -> str:
    """Name a score for the head of a column."""
    return SHORT.get(kind, kind[0].replace("_", " "))


def title(fault: Fault, strength: float) -> str:
    """Name a fault with its strength."""
    return f"{fault.name} {strength:g}" if strength else fault.name


def strengths(fault: Fault) -> str:
    """List the strengths of a fault."""
    return " / ".join(f"{strength:g}" for strength in fault.strengths)
