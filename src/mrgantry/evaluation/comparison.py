"""Scores of several recipes with several seeds: which differences exceed the spread.

Given equal budgets most losses tie, and one seed's luck looks like a recipe's merit
(Lucic et al. 2018, "Are GANs created equal?"). So the rule here is plain: a recipe is
better than another *beyond the spread* if its worst seed is better than the other's best.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations, permutations
from math import comb, isfinite
from statistics import mean

import pandas as pd

from mrgantry.common.display import Display, Displayed
from mrgantry.common.frozen import Frozen
from mrgantry.common.score import Better, Score

# The scores that recipes are judged by, with what they look at. Not by copying: noise is farthest
# from all patients.
JUDGED = (
    ("relative_fd", "brain-net"),
    ("relative_fd", "random-net"),
    ("recall", "brain-net"),
    ("coverage", "brain-net"),
    ("outlying_share", "brain-map"),
    ("spectral_direction", "pixels"),
    ("c2st_cnn_auc", "pixels"),
    ("c2st_low_pass_auc", "pixels"),
)
DIRECTIONS: dict[Better, str] = {
    "lower": "lower is better",
    "higher": "higher is better",
    "enough": "higher is better, up to real images",
    "half": "nearer 0.5 is better",
    "real": "nearer to real images is better",
}


class Entrant(Frozen):
    """A recipe that was compared.

    Attributes:
        recipe: Its name.
        network: Kind of its networks.
        loss: Kind of its loss.
        generator: Parameters of the generator.
        critic: Parameters of the critic; 0 where there is none.
        seconds_per_image: As timed before training.
        images: Length of each run, which follows from it.
        precision: Arithmetic of the networks.
    """

    recipe: str
    network: str
    loss: str
    generator: int
    critic: int
    seconds_per_image: float
    images: int
    precision: str


class RunOutcome(Frozen):
    """What came of a recipe with one seed.

    Attributes:
        recipe: Its name.
        seed: Of weights, latents and the order of images.
        folder: Where run, images and scores lie.
        images: How many it has seen.
        seconds: How long it was trained.
        failed: Why it diverged; empty if it did not.
        commands: What makes run, images and scores again.
    """

    recipe: str
    seed: int
    folder: str
    images: int
    seconds: float
    failed: str = ""
    commands: tuple[str, ...] = ()


class Spread(Frozen):
    """One score of one recipe over its seeds.

    Attributes:
        recipe: Name of the recipe.
        score: Name of the score.
        features: What it looked at.
        better: Which values are better.
        mean: Of the seeds' values.
        low: The least of them.
        high: The greatest.
        values: One a seed.
        distances: How far each is from the best there is.
        seeds: Those that did not fail.
        floor: What real images score.
        floor_low: Lower end of its interval.
        floor_high: Upper end.
    """

    recipe: str
    score: str
    features: str
    better: Better
    mean: float
    low: float
    high: float
    values: tuple[float, ...]
    distances: tuple[float, ...]
    seeds: tuple[int, ...]
    floor: float
    floor_low: float
    floor_high: float

    @property
    def direction(self) -> str:
        """Say which values are better."""
        return DIRECTIONS[self.better]

    @property
    def text(self) -> str:
        """Write it as mean [least, greatest]."""
        if len(self.values) == 1:
            return f"{self.mean:.3g}"
        return f"{self.mean:.3g} [{self.low:.3g}, {self.high:.3g}]"

    def beats(self, other: "Spread") -> bool:
        """Say whether the worst seed of this is better than the best of the other."""
        return max(self.distances) < min(other.distances)


class Comparison(Displayed, Frozen):
    """All of a comparison, as `comparison.json` holds it.

    Attributes:
        command: The shell command that makes it again.
        versions: Of the libraries.
        slices: Folder of the real set.
        fingerprint: Of the real set.
        source: Where its pixels come from in the end.
        device: What was trained on.
        minutes: Of training that each run was given.
        count: Synthetic images that were scored.
        against: Split that they were compared with.
        entrants: The recipes.
        outcomes: Recipes times seeds, as far as they are done.
        spreads: Recipes times scores.
    """

    command: str
    versions: dict[str, str]
    slices: str
    fingerprint: str
    source: str
    device: str
    minutes: float
    count: int
    against: str
    entrants: tuple[Entrant, ...]
    outcomes: tuple[RunOutcome, ...]
    spreads: tuple[Spread, ...]

    @property
    def display(self) -> Display:
        """Show the main scores of each recipe."""
        heads, rows = self.table()
        said = (
            f"{len(self.entrants)} recipes, {self.minutes:g} minutes each on {self.device}, "
            "mean [least, greatest] over seeds; the page is comparison.html."
        )
        return Display([said], pd.DataFrame(rows, columns=list(heads)))

    def judged(self) -> list[list[Spread]]:
        """Give the scores that recipes are judged by, each for all recipes."""
        kinds = {(spread.score, spread.features) for spread in self.spreads}
        return [
            [spread for spread in self.spreads if (spread.score, spread.features) == kind]
            for kind in JUDGED
            if kind in kinds
        ]

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Lay the main scores out: heads, and a row a recipe with mean [least, greatest]."""
        judged = self.judged()
        heads = [
            row[0].score if row[0].features == "pixels" else f"{row[0].score} ({row[0].features})"
            for row in judged
        ]
        rows = []
        for entrant in self.entrants:
            spent = [
                f"{run.seconds:.0f}"
                for run in self.outcomes
                if run.recipe == entrant.recipe and not run.failed
            ]
            cells = [
                next((s.text for s in row if s.recipe == entrant.recipe), "") for row in judged
            ]
            rows.append(
                (entrant.recipe, f"{entrant.images:,}", " ".join(spent) or "failed", *cells)
            )
        return ("recipe", "images", "seconds", *heads), rows


def spread_of(recipe: str, scores: Mapping[int, Sequence[Score]]) -> list[Spread]:
    """Put the scores of a recipe's seeds together.

    Args:
        recipe: Its name.
        scores: Of each seed, as `evaluate` gave them.
    """
    by_kind: dict[tuple[str, str], dict[int, Score]] = {}
    for seed, seed_scores in scores.items():
        for score in seed_scores:
            if isfinite(score.value):
                by_kind.setdefault((score.name, score.features), {})[seed] = score
    spreads = []
    for (name, features), by_seed in by_kind.items():
        values, first = [score.value for score in by_seed.values()], next(iter(by_seed.values()))
        distances = [score.distance(score.value) for score in by_seed.values()]
        spreads.append(
            Spread(
                recipe=recipe,
                score=name,
                features=features,
                better=first.better,
                mean=mean(values),
                low=min(values),
                high=max(values),
                values=tuple(values),
                distances=tuple(distances),
                seeds=tuple(by_seed),
                floor=first.floor,
                floor_low=first.floor_low,
                floor_high=first.floor_high,
            )
        )
    return spreads


def wins(spreads: Sequence[Spread]) -> dict[str, list[str]]:
    """Say which recipes each is better than beyond the spread, for one score.

    A single seed has no spread, so nothing can exceed it.
    """
    better: dict[str, list[str]] = {}
    for spread, rival in permutations(spreads, 2):
        if min(len(spread.values), len(rival.values)) > 1 and spread.beats(rival):
            better.setdefault(spread.recipe, []).append(rival.recipe)
    return better


def chance(n: int, m: int) -> float:
    """Give the probability that seeds of two equal recipes separate by luck, either way.

    All orders of the seeds' values are then equally likely, and 2 of C(n + m, n) ways to
    share the places out have all of one recipe before all of the other.
    """
    return min(1.0, 2 / comb(n + m, n))


def expected_by_chance(judged: Sequence[Sequence[Spread]]) -> float:
    """Give how many differences beyond the spread to expect if all recipes were equal."""
    pairs = (pair for spreads in judged for pair in combinations(spreads, 2))
    counts = ((len(spread.values), len(rival.values)) for spread, rival in pairs)
    return sum(chance(*count) for count in counts if min(count) > 1)
