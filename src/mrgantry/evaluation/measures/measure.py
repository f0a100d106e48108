"""What a measure is: what it computes, and what people should know of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from mrgantry.common.score import Better
from mrgantry.evaluation.cloud import Pair

# Scores that look at the same thing, so that one fault moves them together.
Family = Literal[
    "distances", "fidelity", "variety", "similarity", "classifiers", "copying", "spectrum"
]

DRAWS, COSTLY_DRAWS = 40, 10  # half-samples for most measures, and for Delplace's
# Features that every cloud has beside the extractors': small images, spectra, and how far into
# the tail of real training images each image lies (1 is the limit).
REDUCED, SPECTRUM, DIRECTIONS, OUTLYING = "reduced", "spectrum", "directions", "outlying"
MAPS = "label maps"  # descriptions of the label maps, where both sets have some of the same classes
HEADS = "heads"  # what each image's head measures, where sets hold heads of many slices
MIRRORED = "mirrored "  # before the name of features of the mirrored images; of real clouds alone
TO_TRAIN = "to train, "  # before a name: the distance to the nearest training image, and its row


# What people ask, in the order of the report.
QUESTIONS = {
    "population": "Same population?",
    "plausible": "Plausible? Varied?",
    "classifier": "Can a classifier tell?",
    "spectrum": "Up-sampling traces?",
    "maps": "Label maps as of people?",
    "heads": "Heads as of people?",
    "copies": "Copies of patients?",
    "delplace": "As Delplace measured",
}


@dataclass(frozen=True)
class Kind:
    """One number that a measure gives: its name, what is better, and what to say of it."""

    name: str
    better: Better
    method: str
    relative: bool = False  # divided by what real images score, so that 1 is as these


@dataclass(frozen=True)
class Measure:
    """What is computed of one draw: a number of each kind.

    Attributes:
        kinds: What the numbers are.
        features: What it is said to look at: an extractor's name; or "pixels" for all else, which
            are `images` of a cloud, or `features` of it by one of the names above.
        compute: The function; costs are shared between the kinds. Images are float16.
        draws: How many draws it is computed of.
        alone: It looks at the measured images, and compares them with no others of the draw or
            not with these alone; see `floor_of`.
        needs: A feature that a cloud may lack, without which it is not computed.
    """

    kinds: tuple[Kind, ...]
    features: str
    compute: Callable[[Pair], Sequence[float]]
    draws: int = DRAWS
    alone: bool = False
    needs: str = ""


@dataclass(frozen=True)
class Explanation:
    """One score, or forms of one, for people.

    Attributes:
        titles: What each name in `scores.json` is called.
        question: A key of `QUESTIONS`.
        word: The method in a word or two.
        answers: The question that it answers.
        how: How it is computed.
        good: Which values are good.
        blind: What it does not notice, and where it misleads.
        source: The paper.
        heading: Of the entry; the first title unless given.
        beyond: What to call values beyond those of real images on the good side.
        family: Of scores that a fault should move together, with a column in the tables of
            `sensitivity` for each of `leads` and `joins`; "" has none, until a table shows which
            faults it notices.
        short: The score in heads of columns; its name with spaces unless given.
        leads: Features on which tests hold it to the faults that it must, and must not, notice.
        joins: Features on which it is enough that one of the family notices a fault.
    """

    titles: dict[str, str]
    question: str
    word: str
    answers: str
    how: str
    good: str
    blind: str
    source: str
    heading: str = ""
    beyond: str = "better"
    family: Family | Literal[""] = ""
    short: str = ""
    leads: tuple[str, ...] = ()
    joins: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Give the names of its scores."""
        return tuple(self.titles)

    @property
    def title(self) -> str:
        """Give the entry's heading."""
        return self.heading or next(iter(self.titles.values()))

    @property
    def anchor(self) -> str:
        """Name the entry's place on a page."""
        return f"score-{next(iter(self.titles))}"
