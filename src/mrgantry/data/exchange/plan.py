"""What a folder of images does not say of itself, in one frozen value."""

import re
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from mrgantry.common.errors import RecipeError
from mrgantry.common.frozen import Frozen
from mrgantry.data.exchange.pictures import Limits
from mrgantry.data.plan import Plane, Repeats, SlicePlan

LARGEST = 1024  # pixels that images can be resized to


class ImportPlan(Frozen):
    """What a folder of images does not say of itself.

    Attributes:
        range: The stored values that become -1 and 1. "auto": the full range of 8- and
            16-bit pictures; floats within [-1, 1] as they are, within [0, 1] stretched;
            else "percentiles": each image's own 0.5 and 99.5. Or LOW:HIGH.
        size: Height and width to pad and resize to; None takes images as they are.
        channel: Channels that the names of files end in, as ID_t1.png, or that one
            `.npy` holds.
        sequence: What single-channel images show; None is "unknown".
        plane: The plane of files that do not tell it; None is "unknown".
        pixel_mm: Side of a pixel, as stored, of files that do not tell it; or "unknown".
        table: A table with the columns of `slices.csv`, by `file` or `id`; None takes
            a `slices.csv` in the folder, if there is one.
        subject: A regular expression, whose first group in a file's path is the subject.
        tumour_labels: Pattern of the names of masks that mark tumours, as `*_mask.png`; None
            takes those whose names say so.
        label_maps: Keep those masks as label maps, with the images.
        classes: What their values mean; see `SlicePlan`.
        real: The images are of people, not from a generator.
        simulated: They stem from simulated scans.
        made_by: The generator; None is the folder's name.
        trained_on: A set of real slices; the people of its split "train" are whom the generator
            has seen, so that they do not judge it. None: nobody knows.
        turn: Degrees to turn images clockwise by, but for those whose affine tells how
            they lie.
        mirror: Exchange left and right, after turning. An array (x, y) of a RAS+ scan
            becomes upright by 270 and mirror, one of an LPS scan by 90 and mirror.
        splits: Shares of subjects for train, validation and test, of real images.
        seed: Seed of the draw of splits.
        repeats: What becomes of real people who look like one; see `SlicePlan`.
    """

    range: str = "auto"
    size: Annotated[int, Field(ge=8, le=LARGEST)] | None = None
    channel: tuple[str, ...] = ()
    sequence: str | None = None
    plane: Plane | None = None
    pixel_mm: Annotated[float, Field(gt=0)] | Literal["unknown"] | None = None
    table: str | None = None
    subject: str | None = None
    tumour_labels: str | None = None
    label_maps: bool = False
    classes: tuple[str, ...] = ()
    real: bool = False
    simulated: bool = False
    made_by: str | None = None
    trained_on: str | None = None
    turn: Literal[0, 90, 180, 270] = 0
    mirror: bool = False
    splits: tuple[float, float, float] = (0.6, 0.1, 0.3)
    seed: Annotated[int, Field(ge=0)] = 0
    repeats: Repeats = "keep"

    @field_validator("pixel_mm", mode="before")
    @classmethod
    def _in_mm(cls, size: object) -> object:
        try:
            return float(size) if isinstance(size, str) and size != "unknown" else size
        except ValueError as error:
            raise RecipeError(
                f"--pixel-mm takes a number of mm, as 0.94, or unknown; not {size!r}."
            ) from error

    @field_validator("subject")
    @classmethod
    def _with_a_group(cls, pattern: str | None) -> str | None:
        try:
            groups = re.compile(pattern).groups if pattern is not None else 1
        except re.error as error:
            raise RecipeError(
                f"--subject {pattern!r} is no regular expression: {error}."
            ) from error
        if not groups:
            raise RecipeError(
                f"--subject {pattern!r} has no group; put what names the subject in brackets, "
                "as '(OAS1_[0-9]+)_'."
            )
        return pattern

    @model_validator(mode="after")
    def _sound(self) -> "ImportPlan":
        _ = self.limits
        SlicePlan(splits=self.splits, label_maps=self.label_maps, classes=self.classes)
        for name in (*self.channel, *([self.sequence] if self.sequence else [])):
            if not re.fullmatch(r"[\w.-]+", name):
                raise RecipeError(f"{name!r} is no name of a channel; use letters and digits.")
        if len(set(self.channel)) != len(self.channel):
            raise RecipeError(f"A channel is named twice: {', '.join(self.channel)}.")
        return self

    @property
    def side(self) -> float:
        """Give the side of a pixel in mm of files that do not tell it; 0 if it is not known."""
        return self.pixel_mm if isinstance(self.pixel_mm, float) else 0.0

    @property
    def limits(self) -> Limits | None:
        """Give the values that become -1 and 1, where the user named them.

        Raises:
            RecipeError: The range is not understood.
        """
        if self.range in ("auto", "percentiles"):
            return None
        try:
            low, high = (float(number) for number in self.range.split(":"))
        except ValueError:
            low = high = 0.0
        if not -np.inf < low < high < np.inf:
            raise RecipeError(
                f"The range {self.range!r} is not understood; write auto, percentiles, or two "
                "rising numbers as 0:255."
            )
        return low, high

    def options(self) -> dict[str, Any]:
        """Give the command-line options of `import` that differ from the defaults."""
        fields = type(self).model_fields.items()
        given = {name: getattr(self, name) for name, field in fields}
        changed = {name: given[name] for name, field in fields if given[name] != field.default}
        if "splits" in changed:
            changed["splits"] = ":".join(f"{share:g}" for share in self.splits)
        if "classes" in changed:
            changed["classes"] = ",".join(self.classes)
        return changed
