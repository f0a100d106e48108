"""A comparison of recipes that is fair: equal time for all, and several seeds each.

Lucic et al. (2018) found that, given equal budgets, most losses tie, and that seeds
differ more than losses. So each recipe is timed first, a budget in minutes becomes a
number of images, and each is trained with every seed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from mrgantry.common import workfolder
from mrgantry.common.device import device_name
from mrgantry.common.errors import DivergedError, RecipeError
from mrgantry.common.files import AnyPath, read_json, write_json
from mrgantry.common.frozen import Frozen
from mrgantry.common.provenance import command_line, versions
from mrgantry.common.score import read_scores
from mrgantry.data.about import read_about
from mrgantry.data.parts import safe_name
from mrgantry.data.rows import choose_rows
from mrgantry.data.slices import SliceSet
from mrgantry.evaluation.comparison import Comparison, Entrant, RunOutcome, spread_of
from mrgantry.evaluation.evaluation import evaluate, held_out
from mrgantry.evaluation.record import read_evaluation
from mrgantry.evaluation.scoring import Floors
from mrgantry.generate import AnyRecipe, Run, sample, train
from mrgantry.generate.pace import Pace, measure_paces
from mrgantry.pages.comparison import write_comparison

OURS = {"images", "seed"}  # keys of a recipe that a comparison sets itself


class ComparisonTerms(Frozen):
    """What was asked for; the same for all runs of a comparison.

    Attributes:
        data: Fingerprint of the set of slices.
        only: Conditions on the training rows, such as ("tumour=yes",).
        against: Split to score against.
        minutes: Of training for each run.
        count: Synthetic images to score.
        recipes: What is compared.
    """

    data: str
    only: tuple[str, ...]
    against: str
    minutes: Annotated[float, Field(gt=0)]
    count: Annotated[int, Field(ge=2)]
    recipes: tuple[AnyRecipe, ...]


class Budget(Frozen):
    """What `budget.json` holds: the terms, and the lengths that follow from timing.

    Attributes:
        terms: What was asked for.
        device: What was timed.
        paces: Of each recipe.
        images: Length of each recipe's runs.
    """

    terms: ComparisonTerms
    device: str
    paces: tuple[Pace, ...]
    images: tuple[int, ...]

    def recipe(self, place: int, seed: int) -> AnyRecipe:
        """Give the recipe to train, so that its run's command repeats all of it."""
        recipe = self.terms.recipes[place]
        changes = [f"images={self.images[place]}", f"seed={seed}"]
        # What is faster is timed anew by each run, and could differ between seeds.
        if recipe.precision == "auto":
            changes.append(f"precision={self.paces[place].precision}")
        return recipe.set(changes)


@dataclass(frozen=True)
class ComparisonRun:
    """One recipe with one seed, in a folder of its own: run, synthetic, scores."""

    recipe: AnyRecipe
    folder: Path

    @property
    def drawn(self) -> bool:
        """Say whether its images are there, all of them."""
        there = (self.folder / "synthetic/about.json").is_file()
        return there and read_about(self.folder / "synthetic").complete

    @property
    def scored(self) -> bool:
        """Say whether its scores are there, and are those of these images."""
        if not (self.drawn and (self.folder / "scores/scores.json").is_file()):
            return False
        (scored,) = read_evaluation(self.folder / "scores").synthetic
        return bool(scored.fingerprint == read_about(self.folder / "synthetic").fingerprint)

    @property
    def failed(self) -> str:
        """Say why it diverged; empty if it did not."""
        path = self.folder / "failed.json"
        return str(read_json(path)["reason"]) if path.is_file() else ""

    def go(self, slices: Path, terms: ComparisonTerms, floors: Floors) -> None:
        """Train, sample and score, as far as that is not done yet."""
        run, synthetic, scores = (self.folder / n for n in ("run", "synthetic", "scores"))
        if not self.drawn:
            try:
                train(slices, run, self.recipe, only=terms.only)
            except DivergedError as error:  # what failed once would fail again: it is not repeated
                write_json(self.folder / "failed.json", {"reason": str(error)})
                return
            sample(run, synthetic, terms.count)
        evaluate(
            slices,
            scores,
            [synthetic],
            against=terms.against,
            only=terms.only,
            floors=floors,
            maps=False,
        )

    def outcome(self) -> RunOutcome:
        """Tell what came of it."""
        run = Run.open(self.folder / "run")
        commands = [run.facts.command]
        if not self.failed:
            commands.append(read_about(self.folder / "synthetic").command)
            commands.append(read_evaluation(self.folder / "scores").command)
        log = run.log()
        return RunOutcome(
            recipe=self.recipe.name,
            seed=self.recipe.seed,
            folder=str(self.folder),
            images=run.images,
            seconds=log[-1]["seconds"] if log else 0.0,
            failed=self.failed,
            commands=tuple(commands),
        )


def compare(
    slices: AnyPath,
    out: AnyPath,
    recipes: Sequence[AnyRecipe],
    *,
    seeds: int = 3,
    minutes: float = 10.0,
    count: int = 1000,
    changes: Sequence[str] = (),
    only: Sequence[str] = (),
    against: str = "test",
    say: Callable[[str], None] = print,
) -> Comparison:
    """Train recipes for equally long with several seeds, and compare their scores.

    Interrupted, the same call goes on where it stopped; more seeds can be added. A run
    that diverges is listed as failed and does not stop the others. Writes
    `comparison.html`, `comparison.json` and `comparison.csv` after each seed.

    Args:
        slices: Folder of the real set.
        out: Folder to write everything to.
        recipes: Two or more of the set's size.
        seeds: Runs of each recipe, with the seeds 0, 1, 2 ...
        minutes: Of training for each run.
        count: Synthetic images to score of each run.
        changes: Values to change in all recipes, as `key=value`.
        only: Conditions on the training rows, such as "tumour=yes".
        against: Split of the real set to score against.
        say: Told which run is about to be done.

    Raises:
        RecipeError: A recipe does not fit the set, or the changes do not fit a recipe.
        RunError: The folder holds a comparison on other terms.
        DataError: The set cannot be used.
    """
    slices, out = Path(slices), Path(out)
    real = SliceSet.open(slices)
    rows = choose_rows(real.split("train"), only)
    held_out(real, against, only)
    chosen = [recipe.set(changes) if changes else recipe for recipe in recipes]
    check(chosen, changes, rows, seeds)
    terms = {"minutes": minutes, "count": count, "only": tuple(only), "against": against}
    terms |= {"data": real.about.fingerprint, "recipes": tuple(chosen)}
    budget = settle(out, ComparisonTerms.of(terms, "comparison"), rows, say)
    command = command_line(
        "compare",
        slices,
        out,
        recipe=[recipe.name for recipe in chosen],
        seeds=seeds,
        minutes=f"{minutes:g}",
        count=count,
        set=tuple(changes),
        only=tuple(only),
        against=against,
    )
    trials = trials_of(out, budget, seeds)
    floors = Floors()
    for number, trial in enumerate(trials, 1):
        if not (trial.failed or trial.scored):
            what = f"{trial.recipe.name} seed {trial.recipe.seed}"
            say(f"{number}/{len(trials)}  {what}: {trial.recipe.images:,} images")
            trial.go(slices, budget.terms, floors)
        if number % len(chosen) == 0:
            comparison = gather_comparison(real, budget, trials[:number], command)
            write_comparison(out, comparison)
    return comparison


def trials_of(out: Path, budget: Budget, seeds: int) -> list[ComparisonRun]:
    """List what is to be done, in order.

    All recipes have the first seed before any gets the second: a comparison that is
    stopped is smaller, and as fair.
    """
    recipes = budget.terms.recipes
    return [
        ComparisonRun(budget.recipe(place, seed), out / safe_name(recipe.name) / f"seed-{seed}")
        for seed in range(seeds)
        for place, recipe in enumerate(recipes)
    ]


def check(recipes: Sequence[AnyRecipe], changes: Sequence[str], rows: SliceSet, seeds: int) -> None:
    """Refuse what cannot be compared before anything is trained.

    Raises:
        RecipeError: A size is not the set's, a recipe stands there twice or alone, or the
            changes set what the comparison sets.
    """
    if seeds < 1:
        raise RecipeError(f"A comparison needs 1 seed or more, not {seeds}.")
    names = [safe_name(recipe.name) for recipe in recipes]
    if len(set(names)) < max(2, len(names)):
        raise RecipeError(
            "A comparison needs two or more recipes of different names, not "
            f"{', '.join(names) or 'none'}."
        )
    of_names = [change for recipe in recipes for change in recipe.name.split()[1:]]
    for change in (*changes, *of_names):
        if change.partition("=")[0] in OURS:
            raise RecipeError(
                f"The change {change!r} is not yours to make in a comparison: lengths follow "
                "from --minutes, and seeds from --seeds."
            )
    for recipe in recipes:
        if recipe.size != rows.about.size:
            raise RecipeError(
                f"The recipe {recipe.name} makes images of {recipe.size} pixels, but "
                f"{rows.folder} has {rows.about.size}. Compare recipes of that size, or prepare "
                f"the set again with --size {recipe.size}."
            )


def settle(out: Path, terms: ComparisonTerms, rows: SliceSet, say: Callable[[str], None]) -> Budget:
    """Time the recipes and write down how long each is trained, or read it back.

    Raises:
        RunError: The folder holds a comparison on other terms, or other things.
    """
    path = out / "budget.json"
    if workfolder.is_begun(out, path.name, "a comparison"):
        budget = Budget.of(read_json(path), f"budget {path}")
        workfolder.refuse_changes(out, budget.terms.model_dump(mode="json"), terms.model_dump())
        return budget
    say(f"Timing {len(terms.recipes)} recipes, so that each gets {terms.minutes:g} minutes a run")
    paces = tuple(measure_paces(rows, terms.recipes))
    lengths = [
        pace.images(terms.minutes, recipe.batch)
        for pace, recipe in zip(paces, terms.recipes, strict=True)
    ]
    budget = Budget(terms=terms, device=device_name(), paces=paces, images=tuple(lengths))
    write_json(path, budget.model_dump())
    return budget


def gather_comparison(
    real: SliceSet, budget: Budget, trials: Sequence[ComparisonRun], command: str
) -> Comparison:
    """Collect what the folders of all runs hold."""
    terms = budget.terms
    spreads = []
    for recipe in terms.recipes:
        finished = [
            trial for trial in trials if trial.recipe.name == recipe.name and not trial.failed
        ]
        scores = {trial.recipe.seed: read_scores(trial.folder / "scores") for trial in finished}
        spreads += spread_of(recipe.name, scores)
    return Comparison(
        command=command,
        versions=versions(),
        slices=str(real.folder),
        fingerprint=real.about.fingerprint,
        source=real.about.source,
        device=budget.device,
        minutes=terms.minutes,
        count=terms.count,
        against=terms.against,
        entrants=tuple(
            Entrant(
                recipe=recipe.name,
                network=recipe.network.kind,
                loss=recipe.objective,
                generator=pace.generator,
                critic=pace.critic,
                seconds_per_image=pace.seconds,
                images=images,
                precision=pace.precision,
            )
            for recipe, pace, images in zip(terms.recipes, budget.paces, budget.images, strict=True)
        ),
        outcomes=tuple(trial.outcome() for trial in trials),
        spreads=tuple(spreads),
    )
