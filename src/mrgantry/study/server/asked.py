"""What readers' pages may send: whatever else comes is refused."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from mrgantry.common.frozen import Frozen
from mrgantry.study.database.store import Given
from mrgantry.study.protocol import Protocol
from mrgantry.study.server.display import DARK
from mrgantry.study.server.steps import Step

TRIAL = r"^[A-Za-z0-9_-]{1,32}$"

Trial = Annotated[str, Field(pattern=TRIAL)]
Pixels = Annotated[int, Field(ge=0, le=100_000)]
Seen = Annotated[tuple[Annotated[int, Field(ge=0, lt=len(DARK))], ...], Field(max_length=5)]


def _printable(text: str) -> str:
    """Take control characters away: a database may not hold them, and no page shows them."""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()


class LinkToken(Frozen):
    """The token of a personal link."""

    token: Annotated[str, Field(min_length=1, max_length=200)]


class Screen(Frozen):
    """How a browser shows the page.

    Attributes:
        width: Of the window, in CSS pixels.
        height: Of the window.
        ratio: Device pixels to a CSS pixel.
        scale: Device pixels to a pixel of the image; 0 if the window is too small for one.
        depth: Bits of a colour, as the browser tells it.
    """

    width: Pixels
    height: Pixels
    ratio: Annotated[float, Field(gt=0, le=100)]
    scale: Pixels
    depth: Annotated[int, Field(ge=0, le=1000)] = 0


class Stepped(Frozen):
    """A step that a reader has taken.

    Attributes:
        step: Which.
        agreed: With "consent": that the box is ticked.
        part: With "begin": which part.
        dark: With "display": numbers of the dark fields with a square in them.
        light: With "display": the light ones.
        screen: With "display".
    """

    step: Step
    agreed: bool = False
    part: Annotated[int, Field(ge=0, le=10_000)] | None = None
    dark: Seen = ()
    light: Seen = ()
    screen: Screen | None = None

    @model_validator(mode="after")
    def _complete(self) -> "Stepped":
        if self.step == "consent" and not self.agreed:
            raise ValueError("the box is not ticked")
        if (self.step == "begin") != (self.part is not None):
            raise ValueError("a part is begun by its number")
        if (self.step == "display") != (self.screen is not None):
            raise ValueError("the display check tells of the screen")
        return self


class Displayed(Frozen):
    """An image stands on the screen."""

    trial: Trial


class Chosen(Frozen):
    """The first of several questions is answered; the answer may still be taken back."""

    trial: Trial
    truth: Literal["real", "synthetic", "left", "right", "unknown"]


class Happened(Frozen):
    """Something to note: a pause, its end, or how the page is shown."""

    kind: Literal["pause", "resume", "screen"]
    screen: Screen | None = None


class Answered(Frozen):
    """A reader's answer to one image."""

    trial: Trial
    truth: Literal["real", "synthetic", "left", "right", "unknown", "none"]
    tumour: Literal["", "yes", "no", "none"] = ""
    confidence: Annotated[int, Field(ge=1, le=5)] | None = None
    reason: Annotated[str, Field(max_length=2000), AfterValidator(_printable)] = ""
    client_seconds: Annotated[float, Field(ge=0, le=1e7)] | None = None

    def fits(self, protocol: Protocol) -> bool:
        """Say whether all that the protocol asks is answered, and no more."""
        none = self.truth == "none"
        allowed = {*protocol.alternatives}
        allowed |= {"unknown"} if protocol.unknown else set()
        allowed |= {"none"} if protocol.late == "no answer" else set()
        if self.truth not in allowed:
            return False
        tumour = ("none",) if none else ("yes", "no")
        if self.tumour not in (tumour if "tumour" in protocol.questions else ("",)):
            return False
        sure = protocol.confidence and self.truth in protocol.alternatives
        return sure == (self.confidence is not None) and (protocol.reason or not self.reason)

    @property
    def given(self) -> Given:
        """Give what is kept of it."""
        return Given(**self.model_dump(exclude={"trial"}))
