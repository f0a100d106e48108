"""A table of detection results as its paper prints it, to lay beside one's own."""

from mrgantry.common.frozen import Frozen


class PrintedCondition(Frozen):
    """A row of a printed table.

    Attributes:
        label: Of the condition, in the paper's words.
        condition: Ours that comes nearest.
        ratio: Synthetic images to each real one; None if there are none, or it is unsaid.
        counts: Tumour slices called tumour and not, then others called tumour and not.
        accuracy: As printed, in percent.
        sensitivity: As printed, in percent.
        specificity: As printed, in percent.
    """

    label: str
    condition: str
    ratio: float | None = None
    counts: tuple[int, int, int, int]
    accuracy: float
    sensitivity: float
    specificity: float

    @property
    def n(self) -> int:
        """Give the number of test images."""
        return sum(self.counts)

    @property
    def right(self) -> int:
        """Give how many are called what they are."""
        return self.counts[0] + self.counts[3]

    @property
    def shares(self) -> tuple[float, float, float]:
        """Give accuracy, sensitivity and specificity, in percent, by the counts."""
        hit, missed, alarms, passed = self.counts
        return (
            100 * self.right / self.n,
            100 * hit / (hit + missed),
            100 * passed / (alarms + passed),
        )


class PrintedDetection(Frozen):
    """A printed table of conditions.

    Attributes:
        recipes: Beginning of the names of the recipes that repeat the study.
        title: What was asked.
        citation: Of the paper.
        columns: Names of the counts.
        rows: In the paper's order.
        compared: Labels of two rows, of which the first minus the second is of interest.
        notes: What is wrong or unsaid in it.
    """

    recipes: str
    title: str
    citation: str
    columns: tuple[str, str, str, str]
    rows: tuple[PrintedCondition, ...]
    compared: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
