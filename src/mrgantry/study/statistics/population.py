"""How readers and images vary, as printed tables tell, and reader studies drawn from that.

An image makes an impression on a reader: d'/2 if it is real and -d'/2 if it is synthetic, less
the reader's criterion c, plus how real the image looks to all readers, plus chance. The reader
says "real" where that exceeds 0. Readers differ in d' and c, images in their looks; looks and
chance together have variance 1.

Source: the equal-variance model of signal detection with random readers and cases, as Roe and
Metz 1997, Academic Radiology 4:298, simulate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Annotated, Any

import numpy as np
from jaxtyping import Bool, Float
from pydantic import Field
from scipy.stats import norm

from mrgantry.common.errors import RecipeError
from mrgantry.common.frozen import Frozen
from mrgantry.study.printed import Printed, PrintedRow
from mrgantry.study.statistics.measured import Confusion
from mrgantry.study.statistics.rates import rates, variance

Spread = Annotated[float, Field(ge=0, le=10)]
LEANING_SD = 0.15  # of readers' leaning to a side of pairs: nobody has published it; a guess


class Population(Frozen):
    """Readers and images that a study is drawn from.

    Attributes:
        d_prime: Mean sensitivity of readers; 0 if real and synthetic images are not told apart.
        criterion: Mean criterion; above 0 if readers tend to say "synthetic".
        d_prime_sd: Standard deviation of d' over readers.
        criterion_sd: Standard deviation of the criterion over readers.
        image_sd: Standard deviation of how real images of one truth look to all readers, in
            units of a reader's whole impression of an image; at most 1.
    """

    d_prime: float
    criterion: float
    d_prime_sd: Spread
    criterion_sd: Spread
    image_sd: Annotated[float, Field(ge=0, le=1)]

    def set(self, changes: Sequence[str]) -> "Population":
        """Give the population with values changed, each written as `key=number`.

        Raises:
            RecipeError: A key is unknown, or its value will not do.
        """
        values: dict[str, Any] = self.model_dump()
        for change in changes:
            key, sign, text = change.partition("=")
            if not sign:
                raise RecipeError(f"The change {change!r} must read key=number, as image_sd=0.4.")
            values[key] = text
        return Population.of(values, "spread of readers and images")

    def rates(self) -> tuple[float, float]:
        """Give the expected shares of real and of synthetic images that are called real."""
        width = sqrt(1 + self.d_prime_sd**2 / 4 + self.criterion_sd**2)
        return (
            float(norm.cdf((self.d_prime / 2 - self.criterion) / width)),
            float(norm.cdf((-self.d_prime / 2 - self.criterion) / width)),
        )

    @property
    def balanced_accuracy(self) -> float:
        """Give the expected mean of real recall and of the share of synthetic images called so."""
        hit, alarm = self.rates()
        return (hit + 1 - alarm) / 2

    def unable(self) -> "Population":
        """Give the readers who tell nothing apart: d' is 0 for each, all else is kept."""
        return self.model_copy(update={"d_prime": 0.0, "d_prime_sd": 0.0})

    def in_pairs(self) -> "Population":
        """Give the same readers and images where a real and a synthetic image stand side by side.

        A reader compares two impressions: their difference has a mean of d' and twice the
        variance, so that sensitivity grows by the square root of 2 in units of what is compared.
        A reader's criterion cancels; what is left is a leaning to a side, none on average.

        Source: Macmillan and Creelman 2005, Detection Theory, chapter 7.
        """
        return self.model_copy(
            update={
                "d_prime": sqrt(2) * self.d_prime,
                "d_prime_sd": sqrt(2) * self.d_prime_sd,
                "criterion": 0.0,
                "criterion_sd": LEANING_SD,
            }
        )

    def with_accuracy(self, accuracy: float) -> "Population":
        """Give the population whose expected balanced accuracy is as stated, by its mean d'.

        Raises:
            RecipeError: The accuracy is not above 0 and below 1, or no mean d' reaches it.
        """
        if not 0 < accuracy < 1:
            raise RecipeError(
                f"The expected accuracy is {accuracy:g}; it must lie between 0 and 1, such as 0.65."
            )
        low, high = -40.0, 40.0
        for _ in range(80):
            middle = (low + high) / 2
            tried = self.model_copy(update={"d_prime": middle})
            low, high = (middle, high) if tried.balanced_accuracy < accuracy else (low, middle)
        return self.model_copy(update={"d_prime": round((low + high) / 2, 9)})


def population_of(tables: Sequence[Printed]) -> Population:
    """Estimate how readers and images vary from printed tables of real and synthetic images.

    Each reader counts once: one who read several blocks by the mean over them. Chance is not
    taken off the spread of readers, since a table in percent does not say of how many images it
    is (it is taken as of 100 each): that spread is rather too large. The spread of images is what
    is left, after chance, of the spread of one reader's rates between blocks: blocks differ less
    than single images do, so it is rather too small.

    Args:
        tables: At least one whose rows are readers or blocks, with two readers in all and one
            reader with two blocks.

    Raises:
        RecipeError: The tables hold too few readers, or no reader with several blocks.
    """
    asked = [table for table in tables if table.classes[0] == "real"]
    readers = [row for table in asked if table.rows_are == "reader" for row in table.rows]
    quantiles = [[_quantiles(row)] for row in readers]
    alone = [table.rows for table in asked if table.rows_are == "block"]
    quantiles += [[_quantiles(row) for row in rows] for rows in alone]
    several = [rows for rows in alone if len(rows) > 1]
    if len(quantiles) < 2 or not several:
        raise RecipeError(
            "How readers vary needs printed tables of two readers or more, one of whom read two "
            f"blocks or more; these have {len(quantiles)} readers."
        )
    means = np.array([np.mean(each, axis=0) for each in quantiles])
    d_prime, criterion = means[:, 0] - means[:, 1], -means.sum(1) / 2
    return Population(
        d_prime=float(d_prime.mean()),
        criterion=float(criterion.mean()),
        d_prime_sd=float(d_prime.std(ddof=1)),
        criterion_sd=float(criterion.std(ddof=1)),
        image_sd=sqrt(np.mean([_between_blocks(rows) for rows in several])),
    )


def _quantiles(row: PrintedRow) -> tuple[float, float]:
    """Give the normal quantiles of the hit rate and of the false-alarm rate of a row."""
    rr, rs, sr, ss = row.counts
    hit, alarm = rates(Confusion(rr=rr, rs=rs, sr=sr, ss=ss))
    return float(norm.ppf(hit)), float(norm.ppf(alarm))


def _between_blocks(rows: Sequence[PrintedRow]) -> float:
    """Give the variance of a reader's quantiles between blocks that chance does not explain."""
    found = np.array([_quantiles(row) for row in rows]).var(0, ddof=1)
    chance = []
    for row in rows:
        rr, rs, sr, ss = row.counts
        hit, alarm = rates(Confusion(rr=rr, rs=rs, sr=sr, ss=ss))
        chance.append((variance(hit, rr + rs), variance(alarm, sr + ss)))
    return max(0.0, float((found - np.mean(chance, axis=0)).mean()))


@dataclass(frozen=True, eq=False)
class SimulatedReading:
    """A reader study that was drawn: all readers judge the same images.

    Attributes:
        d_prime: Of each reader.
        criterion: Of each reader.
        real: Whether each image is real.
        impression: Of each image on each reader, less the criterion: above 0 is "real".
    """

    d_prime: Float[np.ndarray, " readers"]
    criterion: Float[np.ndarray, " readers"]
    real: Bool[np.ndarray, " images"]
    impression: Float[np.ndarray, "readers images"]

    @property
    def called_real(self) -> Bool[np.ndarray, "readers images"]:
        """Say of which images which reader says that they are real."""
        return self.impression > 0


def draw_reading(
    population: Population, readers: int, images: int, random: np.random.Generator
) -> SimulatedReading:
    """Draw readers, images and impressions.

    Args:
        population: That they are drawn from.
        readers: How many, at least 1.
        images: How many; half of them are real, the odd one is synthetic.
        random: Of all draws.
    """
    real = np.arange(images) < images // 2
    d_prime = random.normal(population.d_prime, population.d_prime_sd, readers)
    criterion = random.normal(population.criterion, population.criterion_sd, readers)
    looks = random.normal(0, population.image_sd, images)
    chance = random.normal(0, sqrt(1 - population.image_sd**2), (readers, images))
    means = np.where(real, 0.5, -0.5) * d_prime[:, None] - criterion[:, None]
    return SimulatedReading(d_prime, criterion, real, means + looks + chance)
