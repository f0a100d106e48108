"""How many readers and images a study needs, by simulated studies.

Studies are drawn with readers and images that vary, and are judged by the rules that the page of
a scored study goes by. Its intervals take the covariances of readers from bootstrap samples;
here these are computed, as infinitely many samples would give them.
"""

from collections.abc import Sequence
from itertools import product
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from mrgantry.common.errors import RecipeError
from mrgantry.common.frozen import Frozen
from mrgantry.common.progress import progress
from mrgantry.study.statistics.bootstrap import generator
from mrgantry.study.statistics.decisions import mean_is_guessing, one_answer, told
from mrgantry.study.statistics.hillis import ReaderMean, half_width
from mrgantry.study.statistics.measured import Confusion, Interval, Proportion
from mrgantry.study.statistics.population import Population, SimulatedReading, draw_reading
from mrgantry.study.statistics.proportions import chance_test, equivalence, proportion
from mrgantry.study.statistics.together import told_by_complete

Goal = Literal["told", "equivalence"]
READERS, IMAGES = (1, 3, 5, 8, 12), (50, 100, 200, 400)
PERMUTATIONS = 199


class StudyPlan(Frozen):
    """What a study is planned for.

    Attributes:
        goal: "told" is to show that readers tell images apart; "equivalence" that they guess.
        margin: How far from 1/2 an accuracy may be and still count as guessing.
        accuracy: Expected balanced accuracy under the goal "told".
        power: Wished chance of reaching the goal.
        readers: Numbers of readers that are tried.
        images: Numbers of images that are tried; half of them real.
        studies: Simulated studies of each number of readers and images.
        seed: Of all draws.
    """

    goal: Goal = "equivalence"
    margin: Annotated[float, Field(ge=0.005, lt=0.5)] = 0.10
    accuracy: Annotated[float, Field(gt=0, lt=1)] = 0.65
    power: Annotated[float, Field(gt=0, lt=1)] = 0.80
    readers: Annotated[tuple[Annotated[int, Field(ge=1, le=1000)], ...], Field(min_length=1)] = (
        READERS
    )
    images: Annotated[tuple[Annotated[int, Field(ge=4, le=10_000)], ...], Field(min_length=1)] = (
        IMAGES
    )
    studies: Annotated[int, Field(ge=20, le=100_000)] = 500
    seed: Annotated[int, Field(ge=0)] = 0


class PlannedSize(Frozen):
    """A number of readers and images, and how often such studies reached the goal.

    Attributes:
        readers: Who read.
        images: That each of them read.
        power: Share of the simulated studies that reached the goal, with its intervals.
    """

    readers: int
    images: int
    power: Proportion

    @property
    def answers(self) -> int:
        """Give the number of answers that the study takes."""
        return self.readers * self.images


def simulate_plan(plan: StudyPlan, population: Population) -> tuple[PlannedSize, ...]:
    """Simulate studies of every number of readers and images.

    What is drawn for one size does not depend on which others are tried.

    Args:
        plan: What is tried, and for what.
        population: How readers and images vary. For the goal "equivalence" its readers tell
            nothing apart; for "told" its mean d' becomes that of the expected accuracy.

    Returns:
        All sizes, by readers and then by images.

    Raises:
        RecipeError: The expected accuracy cannot be reached.
    """
    truth = drawn_from(plan, population)
    sizes = list(product(sorted(set(plan.readers)), sorted(set(plan.images))))
    planned = []
    with progress("plan", len(sizes) * plan.studies) as advance:
        for readers, images in sizes:
            random = generator(plan.seed, "plan", plan.goal, str(readers), str(images))
            reached = 0
            for _ in range(plan.studies):
                reached += _reaches(plan, draw_reading(truth, readers, images, random), random)
                advance(1, f"{readers} readers, {images} images")
            share = proportion(reached, plan.studies)
            planned.append(PlannedSize(readers=readers, images=images, power=share))
    return tuple(planned)


def drawn_from(plan: StudyPlan, population: Population) -> Population:
    """Give the population under which the goal should be reached.

    Args:
        plan: What the goal is.
        population: How readers and images vary.

    Raises:
        RecipeError: The expected accuracy cannot be reached.
    """
    if plan.goal == "equivalence":
        return population.unable()
    return population.with_accuracy(plan.accuracy)


def choose_size(
    plan: StudyPlan, sizes: Sequence[PlannedSize], wished: tuple[int, int] | None = None
) -> PlannedSize | None:
    """Choose the size with the fewest answers whose power is as wished, luck aside.

    The lower end of the interval of the power counts, so that luck in the simulation chooses
    nothing. Of sizes with as many answers the one with more readers is taken, and a single
    reader, who says nothing of others, never unless wished.

    Args:
        plan: Which power is wished.
        sizes: That were simulated.
        wished: Readers and images that are to be taken whatever their power.

    Returns:
        None if none of them has the power.

    Raises:
        RecipeError: The wished size is not among those simulated.
    """
    if wished is not None:
        for size in sizes:
            if (size.readers, size.images) == wished:
                return size
        raise RecipeError(
            f"{wished[0]} readers and {wished[1]} images were not simulated; add --readers "
            f"{wished[0]} --images {wished[1]}."
        )
    enough = [
        size
        for size in sizes
        if size.readers > 1 and size.power.wilson.low and size.power.wilson.low >= plan.power
    ]
    return min(enough, key=lambda size: (size.answers, -size.readers), default=None)


def _reaches(plan: StudyPlan, drawn: SimulatedReading, random: np.random.Generator) -> bool:
    """Say whether the page of a study would say what it is to show."""
    counts = _confusions(drawn)
    if len(counts) == 1:
        p = chance_test(counts[0]).p_apart
        equal = equivalence(counts[0].right, counts[0].n, plan.margin).verdict == "pass"
    else:
        p = told_by_complete(drawn.real, drawn.called_real, PERMUTATIONS, random)
        equal = mean_is_guessing(_interval(drawn), plan.margin)
    if plan.goal == "told":
        return told(p)
    return equal and not told(p) and not any(one_answer(each, plan.margin) for each in counts)


def _confusions(drawn: SimulatedReading) -> list[Confusion]:
    cells = [
        (drawn.called_real == said)[:, drawn.real == truth].sum(1)
        for truth in (True, False)
        for said in (True, False)
    ]
    return [
        Confusion(rr=int(rr), rs=int(rs), sr=int(sr), ss=int(ss))
        for rr, rs, sr, ss in zip(*cells, strict=True)
    ]


def _interval(drawn: SimulatedReading) -> Interval:
    """Give the interval of the mean balanced accuracy, for other readers and images."""
    parts = [(drawn.called_real == truth)[:, drawn.real == truth] for truth in (True, False)]
    values = np.mean([part.mean(1) for part in parts], axis=0)
    covariance = sum(np.cov(part, bias=True) / part.shape[1] for part in parts) / 4
    mean = ReaderMean.of(values, np.ones(len(values)), np.asarray(covariance))
    width = half_width(mean.common, mean)
    ends = (None, None) if width is None else (mean.value - width.half, mean.value + width.half)
    return Interval(low=ends[0], high=ends[1], n=drawn.called_real.size, method="")
