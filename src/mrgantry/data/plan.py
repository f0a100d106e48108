"""Every choice that turns subjects into slices, in one frozen value."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from mrgantry.common.errors import RecipeError, unknown
from mrgantry.common.frozen import Frozen
from mrgantry.data.label_maps import read_classes
from mrgantry.data.names import SEQUENCES

Plane = Literal["axial", "coronal", "sagittal", "oblique", "volume"]
Repeats = Literal["keep", "drop", "merge"]
Count = Annotated[int, Field(ge=8, le=512)]
Voxels = tuple[Count, Count, Count]  # from right to left, front to back and bottom to top
# The axis of a RAS+ volume that a plane's slices are stacked along.
NORMAL: dict[str, int] = {"sagittal": 0, "coronal": 1, "axial": 2}


AHEAD_MM = 216.0  # from front to back of whole heads, unless chosen: 72 voxels of 3 mm
OBLIQUE_FIELD_MM = 240.64  # 256 pixels of 0.94 mm


@dataclass(frozen=True)
class Extent:
    """Which slices: a half-open range, its unit, and every how many-th.

    The unit is "index" (along the axis as stored, counted from 0), "mm" (scanner
    coordinates) or "fraction" (of the brain's extent, from left, posterior or
    inferior).
    """

    low: float
    high: float
    step: int
    unit: Literal["index", "mm", "fraction"]

    @classmethod
    def parse(cls, text: str) -> "Extent":
        """Read `80:150`, `-20mm:30mm` or `0.4:0.6`, each with an optional `:STEP`.

        Raises:
            RecipeError: The text is none of these, or the range is empty.
        """
        number = r"(-?\d+(?:\.\d+)?)"
        match = re.fullmatch(rf"{number}(mm)?:{number}(mm)?(?::(\d+))?", text.replace(" ", ""))
        if match and match[2] == match[4]:
            low, high, step = float(match[1]), float(match[3]), int(match[5] or 1)
            decimal = "." in match[1] or "." in match[3]
            unit: Any = "mm" if match[2] else "fraction" if decimal else "index"
            inside = unit != "fraction" or 0 <= low < high <= 1
            if low < high and step > 0 and inside and (unit != "index" or low >= 0):
                return cls(low, high, step, unit)
        raise RecipeError(
            f"The slices {text!r} are not understood. Write indices as 80:150, millimetres "
            "as -20mm:30mm or parts of the brain as 0.4:0.6; 0.4:0.6:3 takes every third."
        )


def spacing_of(text: str) -> float | None:
    """Read a side of voxels such as "1.5" or "1.5mm"; None if it is none."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(mm)?", text)
    return float(match[1]) if match and 0.1 <= float(match[1]) <= 20 else None


class SlicePlan(Frozen):
    """How slices are cut from scans, scaled, labelled and split.

    Attributes:
        sequences: MR sequences to take.
        combine: "pool" makes one single-channel slice of each sequence, "channels"
            stacks them into one slice of several channels. With one sequence both
            are the same.
        plane: Cutting plane. "oblique" keeps the volumes, of which training draws any of
            the 48,510 poses of kazuhiro2018 as it goes; see `oblique.Pose`. "volume" keeps whole
            heads, of which each is one image.
        slices: Which slices; see `Extent.parse`. An oblique pose has its own section.
        poses: Oblique: how many poses a volume shows in `slices.csv`, for measuring.
        centre_mm: Oblique: where the poses turn, in scanner mm, or the path of a table that
            names it for each head (`centres.py`); None estimates the level of the basal ganglia
            from each brain's extent.
        size: Height and width of the images in pixels.
        voxels: Volumes: how many voxels from right to left, front to back and bottom to top.
        voxel_mm: Volumes: side of a voxel; None lets the field measure 216 mm from front to back.
        fit: How a rectangle becomes a square: "pad" with background, "crop" the
            longer side, or "squash" (han2018 squashed 240 x 155).
        field_mm: Side of the square in mm; None takes the whole slice.
        field_on: Where that square is centred: the middle of the "brain" or of the "image".
        percentiles: Percentiles of the brain's intensities that become -1 and 1.
        window: Intensities that become -1 and 1 in all scans instead, as 0:80 HU for CT.
        min_brain: Slices with less brain than this share of the fullest slice of
            the volume are left out; 0 leaves none out.
        resample_to: A sequence, whose grid the others are read on, or the side of cubic
            voxels in mm; None takes scans as they are.
        tumour_labels: Pattern of the names of tumour label maps, as "*lesion*"; None
            takes those that the layout or their names declare.
        tumour_by: Folder of a classifier that `detect --keep` has kept, which labels the slices
            of scans without a label map; `prepare` is given it as `label`.
        person: Regular expression whose group finds the person in a scan's path, where
            the folders' names do not tell.
        series: Patterns of names or series descriptions: of two scans of one sequence in a
            visit, the first that meets one is taken; unless given, the first.
        vouch_sides: Left and right are as stored in files whose header does not say so.
        label_maps: Keep the label map of each slice beside its image.
        classes: Which values of label maps are which class, as "1=core" or "3+4=enhancing";
            unless given, a single value is the tumour, and values up to 4 are those of BRATS.
        tumour_mm2: Tumour area from which a slice counts as a tumour slice; 0 is
            none, between is unclear.
        where: Only subjects with these attributes, such as ("grade=HGG",).
        splits: Shares of subjects for train, validation and test.
        split_column: A column of the subjects' table that names the split instead.
        seed: Seed of the draw of splits.
        repeats: Of people who look like one under two names: "keep" both and warn, "drop"
            the later one, or "merge" them into one person, who is then in one split.
    """

    sequences: Annotated[tuple[str, ...], Field(min_length=1)] = ("t1",)
    combine: Literal["pool", "channels"] = "pool"
    plane: Plane = "axial"
    slices: str = "0.4:0.6"
    poses: Annotated[int, Field(ge=1, le=48510)] = 50
    centre_mm: tuple[float, float, float] | str | None = None
    size: Annotated[int, Field(ge=8, le=1024)] = 64
    voxels: Voxels = (64, 72, 64)
    voxel_mm: Annotated[float, Field(ge=0.5, le=10)] | None = None
    fit: Literal["pad", "crop", "squash"] = "pad"
    field_mm: Annotated[float, Field(ge=10, le=1000)] | None = None
    field_on: Literal["brain", "image"] = "brain"
    percentiles: tuple[float, float] = (0.5, 99.5)
    window: tuple[float, float] | None = None
    min_brain: Annotated[float, Field(ge=0, lt=1)] = 0.1
    resample_to: str | None = None
    tumour_labels: str | None = None
    tumour_by: str | None = None
    person: str | None = None
    series: tuple[str, ...] = ()
    vouch_sides: bool = False
    label_maps: bool = False
    classes: tuple[str, ...] = ()
    tumour_mm2: Annotated[float, Field(gt=0)] = 50.0
    where: tuple[str, ...] = ()
    splits: tuple[float, float, float] = (0.6, 0.1, 0.3)
    split_column: str | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    repeats: Repeats = "keep"

    @field_validator("sequences")
    @classmethod
    def _known(cls, sequences: tuple[str, ...]) -> tuple[str, ...]:
        for sequence in sequences:
            if sequence not in SEQUENCES:
                raise RecipeError(unknown("sequence", sequence, list(SEQUENCES), "plan"))
        if len(set(sequences)) != len(sequences):
            raise RecipeError(f"A sequence is asked for twice: {', '.join(sequences)}.")
        return sequences

    @field_validator("slices")
    @classmethod
    def _readable(cls, slices: str) -> str:
        Extent.parse(slices)
        return slices

    @field_validator("resample_to")
    @classmethod
    def _a_grid(cls, grid: str | None) -> str | None:
        if grid is not None and grid not in SEQUENCES and spacing_of(grid) is None:
            raise RecipeError(
                f"--resample-to takes a sequence ({', '.join(SEQUENCES)}) or millimetres "
                f"between 0.1 and 20, as 1.5; not {grid!r}."
            )
        return grid

    @model_validator(mode="after")
    def _sound(self) -> "SlicePlan":
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            raise RecipeError(f"The percentiles {low}, {high} must rise within 0 to 100.")
        if self.window and not self.window[0] < self.window[1]:
            raise RecipeError(f"The window {self.window[0]:g}:{self.window[1]:g} must rise.")
        if self.window and self.percentiles != (0.5, 99.5):
            raise RecipeError("--window and --percentiles both scale intensities; give one.")
        if min(self.splits) < 0 or abs(sum(self.splits) - 1) > 1e-6:
            raise RecipeError(f"The split shares {self.splits} must be positive and sum to 1.")
        for condition in self.where:
            if "=" not in condition:
                raise RecipeError(f"The filter {condition!r} must read name=value.")
        self._refuse_for_plane()
        if self.field_on == "image" and (self.plane == "oblique" or not self.field_mm):
            raise RecipeError(
                "--field-on image says where the square of --field-mm lies: give that too. "
                "Oblique poses have a centre of their own, --centre-mm."
            )
        if self.classes and not self.label_maps:
            raise RecipeError("--classes names the classes of label maps; add --label-maps.")
        read_classes(self.classes)
        if self.field_mm and self.fit != "pad":
            raise RecipeError(f"--field-mm names the square itself; leave out --fit {self.fit}.")
        return self

    def _refuse_for_plane(self) -> None:
        """Refuse choices that mean nothing where the plan's plane is cut.

        Raises:
            RecipeError: There are some.
        """
        if self.plane == "oblique" and self.slices != "0.4:0.6":
            raise RecipeError("An oblique pose names its own section; leave out --slices.")
        if self.plane != "oblique" and (self.poses != 50 or self.centre_mm):
            raise RecipeError("--poses and --centre-mm are for --plane oblique alone.")
        usual = SlicePlan.model_fields
        if self.plane != "volume":
            if (self.voxels, self.voxel_mm) != (usual["voxels"].default, usual["voxel_mm"].default):
                raise RecipeError("Three numbers as --size, and --voxel-mm, need --plane volume.")
            return
        for name in ("slices", "size", "fit", "field_mm", "resample_to", "min_brain"):
            if getattr(self, name) != usual[name].default:
                raise RecipeError(
                    f"--{name.replace('_', '-')} is for slices. With --plane volume, whole heads "
                    "are read on cubes: --size 64x72x64."
                )

    @property
    def extent(self) -> Extent:
        """Give the slices' range."""
        return Extent.parse(self.slices)

    @property
    def channels(self) -> tuple[str, ...]:
        """Name the channels of one image."""
        if self.combine == "channels" and len(self.sequences) > 1:
            return self.sequences
        return ("mixed",) if len(self.sequences) > 1 else self.sequences

    @property
    def field(self) -> float:
        """Give the side of an oblique image in mm; unless chosen, kazuhiro2018's."""
        return self.field_mm or OBLIQUE_FIELD_MM

    @property
    def cube_mm(self) -> float:
        """Give the side of a volume's voxels in mm."""
        return self.voxel_mm or AHEAD_MM / self.voxels[1]

    @property
    def spacing(self) -> float | None:
        """Give the side of the voxels that scans are resampled to in mm, if they are."""
        if self.plane == "volume":
            return self.cube_mm
        return spacing_of(self.resample_to) if self.resample_to else None

    def options(self) -> dict[str, Any]:
        """Give the command-line options of `prepare` that differ from the defaults."""
        changed = {
            name: getattr(self, name)
            for name, default in SlicePlan.model_fields.items()
            if getattr(self, name) != default.default and name not in ("sequences", "combine")
        }
        several = len(self.sequences) > 1
        joined: dict[str, Any] = {
            name: ":".join(f"{share:g}" for share in changed.pop(name))
            for name in ("percentiles", "window", "splits", "centre_mm")
            if name in changed and not isinstance(changed[name], str)
        }
        if "voxels" in changed:
            joined["size"] = "x".join(map(str, changed.pop("voxels")))
        if self.classes:
            joined["classes"] = ",".join(changed.pop("classes"))
        return {
            "sequence": self.sequences,
            "pool": several and self.combine == "pool",
            "channels": several and self.combine == "channels",
            **changed,
            **joined,
        }
