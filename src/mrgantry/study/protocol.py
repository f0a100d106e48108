"""What readers are asked, and how: a protocol is one complete value."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mrgantry.common.errors import RecipeError, unknown
from mrgantry.common.files import read_json
from mrgantry.common.frozen import Frozen
from mrgantry.study.cases.shown import FLOOR

Display = Literal["none", "noted", "required"]
Question = Literal["truth", "tumour"]
Share = Annotated[float, Field(gt=0, lt=1)]
Table = Literal["blocks", "initials", "readers"]
TRUTHS = ("real", "synthetic")
SIDES = ("left", "right")
TABLES: dict[str, Table] = {"han2018-pggan": "initials", "kazuhiro2018": "readers"}


class Protocol(Frozen):
    """A complete reading protocol; those of published studies stand in `papers/`.

    Attributes:
        name: Short name.
        pairs: Whether each case is a real and a synthetic image side by side, of which readers
            say which one is real (two-alternative forced choice), and not a single image.
        volumes: Whether each case is a whole head, whose slices in three planes readers scroll
            through, and not a single image.
        cases: Images of each block, real and synthetic together; or pairs of each block.
        share: Least and greatest share of synthetic images; drawn once for each set of
            cases, evenly between them. Equal ends fix it.
        balance: Columns whose values come in equal numbers among the real images and among
            the synthetic ones, where they have several, such as "tumour".
        questions: "truth" asks real or synthetic, "tumour" asks tumour or none.
        synthetic_word: What the readers' pages call a synthetic image.
        unknown: Whether "I cannot tell" is an answer.
        seconds: How long an image is shown; None: until it is answered.
        late: What an answer after that counts as: "recorded" keeps it and marks it,
            "no answer" drops it, and the next image comes by itself.
        practice: Images read before each study that are not scored, and not used again.
        shown_again: Images of each block that are shown a second time, later in it, to see how far
            a reader agrees with oneself; the first answer counts. At most a third of `cases`.
        attention_checks: Images in each block besides `cases`: real ones whose pieces were
            shuffled, which nobody who looks can take for real; in pairs they stand beside
            themselves as they were. They count in no rate.
        same_cases: Whether all readers see the same images, each in an order of their own.
        shuffle_blocks: Whether each reader gets the blocks in an order of their own.
        confidence: Whether to ask for a confidence of 1 to 5 with each answer.
        reason: Whether to ask for a reason, in free text.
        window: Whether readers may change brightness and contrast.
        zoom: Whether readers may enlarge the image.
        display: The display check before the first image: "noted" keeps what a reader sees,
            "required" also lets nobody read on a screen that fails it, "none" leaves it out.
        floor: Intensity, in [-1, 1], at and below which all images are black: a generator's
            background is never exactly so.
        margin: How far from 1/2 an accuracy may be and still count as guessing; below 0.005
            more than 80,000 answers would be needed to show it.
        table: How its answers are laid out, as its paper does: a row a block with whole words,
            or with initials, or a row a reader with rates.
        source: Where the protocol is from.
        changes: What `set` was told.
    """

    name: str
    pairs: bool = False
    volumes: bool = False
    cases: Annotated[int, Field(ge=2, le=10_000)] = 100
    share: tuple[Share, Share] = (0.5, 0.5)
    balance: tuple[str, ...] = ("sequence",)
    questions: Annotated[tuple[Question, ...], Field(min_length=1)] = ("truth",)
    synthetic_word: Annotated[str, Field(min_length=1, max_length=30)] = "synthetic"
    unknown: bool = False
    seconds: Annotated[float, Field(ge=0.5, le=3600)] | None = None
    late: Literal["recorded", "no answer"] = "recorded"
    practice: Annotated[int, Field(ge=0, le=1000)] = 0
    shown_again: Annotated[int, Field(ge=0)] = 0
    attention_checks: Annotated[int, Field(ge=0, le=100)] = 0
    same_cases: bool = True
    shuffle_blocks: bool = True
    confidence: bool = False
    reason: bool = False
    window: bool = False
    zoom: bool = False
    display: Display = "noted"
    floor: Annotated[float, Field(ge=-1, lt=1)] = FLOOR
    margin: Annotated[float, Field(ge=0.005, lt=0.5)] = 0.10
    # Studies that were made before there was this field are known by name.
    table: Table = Field(default_factory=lambda values: TABLES.get(values["name"], "blocks"))
    source: str = ""
    changes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> "Protocol":
        if self.share[0] > self.share[1]:
            raise ValueError("the least share must not exceed the greatest")
        if self.questions[0] != "truth":
            raise ValueError("the first question must be 'truth'")
        if len(set(self.questions)) < len(self.questions):
            raise ValueError("a question stands there twice")
        if self.pairs and (self.questions != ("truth",) or self.share != (0.5, 0.5)):
            raise ValueError("of a pair one image is real, and no more is asked than which")
        if self.pairs and self.volumes:
            raise ValueError("two heads do not fit side by side: pairs are of images")
        if self.late == "no answer" and self.seconds is None:
            raise ValueError("without `seconds` no answer can be late")
        if self.shown_again > self.cases // 3:
            raise ValueError(
                f"at most a third of the images, here {self.cases // 3}, can be shown twice"
            )
        return self

    @property
    def alternatives(self) -> tuple[str, str]:
        """Give the two answers that are right or wrong: of pairs, the side of the real image."""
        return SIDES if self.pairs else TRUTHS

    @property
    def images_shown(self) -> int:
        """Give the number of images that a reader sees in each block, all showings."""
        return self.cases + self.shown_again + self.attention_checks

    def set(self, changes: Sequence[str]) -> "Protocol":
        """Give the protocol with values changed, each written as `key=value`, value in JSON.

        Raises:
            RecipeError: A key is unknown, or its value will not do.
        """
        values = self.model_dump()
        for change in changes:
            key, sign, text = change.partition("=")
            if not sign:
                raise RecipeError(f"The change {change!r} must read key=value.")
            if key not in CHANGEABLE:
                raise RecipeError(unknown("key", key, CHANGEABLE, f"protocol {self.name}"))
            values[key] = _parsed(text)
        values["changes"] = (*self.changes, *changes)
        return Protocol.of(values, f"protocol {self.name}")


CHANGEABLE = [key for key in Protocol.model_fields if key not in ("name", "source", "changes")]


def read_protocol(path: Path) -> Protocol:
    """Read a protocol of a user's own from a JSON file.

    Raises:
        DataError: The file is no JSON.
        RecipeError: A key is unknown or a value will not do.
    """
    values = read_json(path)
    if not isinstance(values, dict):
        raise RecipeError(f"{path} must hold one JSON object, with the keys of a protocol.")
    return Protocol.of({"name": path.stem} | values, f"protocol {path}")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
