"""What an experiment with segmenters has found, as `segmentation.json` holds it."""

from collections.abc import Sequence
from pathlib import Path

from mrgantry.common.files import read_json
from mrgantry.common.frozen import Frozen
from mrgantry.detection.findings import Condition, Experiment, Training
from mrgantry.segmentation.obedience import Obeyed
from mrgantry.segmentation.overlap import measures_of

METHOD = (
    "A score is the mean over test people of each person's own, all slices of a scan taken as one "
    "stack; where neither map holds anything, Dice is 1 and the distance 0, where one does, 0 and "
    "the image's diagonal, as BRATS scores them. Intervals: of the mean over seeds, over test "
    "people (jackknife, Student's t; of shares on the logit). Differences: paired by person and "
    "seed; Student's t on the variance over people plus that over seeds less what both count "
    "(Cameron et al. 2011), Satterthwaite's degrees of freedom; p values after Holm over the "
    "differences in one measure: what is added, at the greatest share and the ratio nearest to 1, "
    "is one family, all else another. Fewer than three seeds give no verdict. Neither covers "
    "training the generator again, nor looking at results before deciding on more seeds."
)


class SegmenterPart(Training):
    """What one segmenter scores.

    Attributes:
        tested: Names of the test people.
        values: Each measure of each of them; None where there is nothing to measure.
        obeyed: Of segmenters that have learnt from real images alone: what they find again in real
            test slices and in every synthetic set.
    """

    tested: tuple[str, ...]
    values: dict[str, tuple[float | None, ...]]
    obeyed: tuple[Obeyed, ...] = ()

    def drawn(self, out: Path) -> Path:
        """Say where the maps lie that it has drawn of the test slices."""
        return self.cell.path(out).with_suffix(".npz")


class ShownCase(Frozen):
    """A test person to look at.

    Attributes:
        kind: "best", "median" or "worst", by the mean Dice over all conditions and seeds.
        subject: Who it is.
        id: The slice with the largest mapped area; of nobody mapped, the first.
        dice: That mean.
    """

    kind: str
    subject: str
    id: str
    dice: float


class Obedience(Frozen):
    """How far images of one set show what their maps say.

    Attributes:
        name: Of the set; "" for the real test slices.
        condition: What the segmenters have learnt from.
        images: On which something is mapped.
        value: Mean Dice over images and segmenters.
        low, high: Its 95 % interval, over people for real slices, and else over images.
        classes: The mean of each class.
        share: Of the value that real test slices reach; None for themselves.
    """

    name: str
    condition: Condition
    images: int
    value: float
    low: float | None
    high: float | None
    classes: tuple[float | None, ...]
    share: float | None


class Segmentation(Experiment):
    """An experiment with segmenters.

    Attributes:
        classes: What label maps tell apart.
        cases: Test people to look at.
        obedience: How far images show what their maps say, of the real test slices first.
        runs: How each segmenter was trained, and what it scores a person.
        method: How intervals and p values were obtained.
    """

    question = "dice"

    classes: tuple[str, ...]
    cases: tuple[ShownCase, ...]
    obedience: tuple[Obedience, ...] = ()
    runs: tuple[SegmenterPart, ...]
    method: str = METHOD

    @property
    def trainings(self) -> Sequence[Training]:
        """Say how each segmenter was trained."""
        return self.runs

    def title_of(self, measure: str) -> str:
        """Give what people call a measure."""
        return measures_of(self.classes)[measure]


def read_segmentation(out: Path) -> Segmentation:
    """Read an experiment's result.

    Raises:
        DataError: There is none.
        RecipeError: It is not one as this version writes it.
    """
    return Segmentation.of(read_json(out / "segmentation.json"), f"experiment in {out}")
