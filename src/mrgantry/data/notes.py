"""What is told of a set of slices beside what it is: facts for people, and for later verbs."""

from collections.abc import Callable
from typing import Any

from pydantic import model_serializer

from mrgantry.common.frozen import Frozen

INTENSITIES, TISSUE = "intensities", "tissue"


class Repeat(Frozen):
    """Two subjects who look like one person.

    Attributes:
        subject, other: Their names, in the order of the set.
        split, other_split: The splits that they stand in.
        ratio: Their distance over that to third people: 0 for copies, 0.6 and more for
            different people; None if there is no third person, or all are copies.
        distance: One minus the correlation of their small images, the median over
            slices.
        id, other_id: The two slices that are most alike.
        by: By what they were told: intensities; or tissue, where contrast or side differ.
    """

    subject: str
    other: str
    split: str
    other_split: str
    ratio: float | None
    distance: float
    id: str
    other_id: str
    by: str = INTENSITIES


class Notes(Frozen):
    """Notes on a set; each verb writes its own, and what nobody wrote is left out of the file.

    Attributes:
        brain: Of cut scans: how brains were found, and in how many.
        skipped: Scans or files that were not used, each with its reason.
        assumed: What was taken for granted of some.
        range: Of imported files: which stored values became -1 and 1.
        fit: And how images were brought to the size.
        repeats: Subjects who look like one person; None if nobody looked.
        repeats_settled: Who of them was left out or merged, as the plan asked; `repeats` is
            then empty.
        repeats_missed: What could not be looked for.
        recipe: Of synthetic images: what drew them.
        trained_on: The fingerprint of its training images.
        started_from: Whose weights it began with.
        unfinished: How far training had come, if it was not over.
        specks: Of drawn label maps: how many small parts were left out.
        selected: By what rule `select` kept these images, and how many.
        near: How far images are from the slices that they were drawn near.
        refined: How far `refine` changed these images, and what it left of anatomy.
    """

    brain: dict[str, int] = {}
    skipped: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    range: str = ""
    fit: str = ""
    repeats: tuple[Repeat, ...] | None = None
    repeats_settled: tuple[str, ...] = ()
    repeats_missed: str = ""
    recipe: str = ""
    trained_on: str = ""
    started_from: dict[str, Any] = {}
    unfinished: str = ""
    specks: int = 0
    selected: dict[str, Any] = {}
    near: dict[str, Any] = {}
    refined: dict[str, Any] = {}

    @model_serializer(mode="wrap")
    def _written(self, write: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """Leave out what nobody wrote."""
        written = write(self)
        return {key: written[key] for key in written if key in self.model_fields_set}
