"""The page of a comparison: budgets, seeds, differences and images of several recipes."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from mrgantry.common.files import write_json, write_text
from mrgantry.common.tables import write_table
from mrgantry.data.slices import SliceSet
from mrgantry.evaluation.comparison import (
    Comparison,
    Entrant,
    RunOutcome,
    Spread,
    chance,
    expected_by_chance,
    wins,
)
from mrgantry.evaluation.explained import title_of
from mrgantry.pages import figures
from mrgantry.pages.rendering import number, render
from mrgantry.pages.scores import anchor_of, glossary

SHOWN = 8  # images of each seed
OFF = 0.15  # share of the budget by which a run may miss it unremarked


def write_comparison(out: Path, comparison: Comparison) -> None:
    """Write `comparison.json` for programs, `.csv` for spreadsheets, `.html` for people."""
    write_json(out / "comparison.json", comparison.model_dump())
    rows = (
        {
            name: " ".join(map(str, value)) if isinstance(value, tuple) else value
            for name, value in spread.model_dump().items()
        }
        for spread in comparison.spreads
    )
    write_table(out / "comparison.csv", rows, Spread.keys())
    judged, recipes = comparison.judged(), [entrant.recipe for entrant in comparison.entrants]
    page = render(
        "comparison.html",
        comparison=comparison,
        simulated=comparison.source == "simulated",
        entrants=[entrant_row(entrant, comparison) for entrant in comparison.entrants],
        off=list(off_budget(comparison)),
        failures=[outcome for outcome in comparison.outcomes if outcome.failed],
        dots=figures.seed_dots(judged, recipes) if judged else "",
        titles=[(title(spreads), anchor_of(spreads[0].score)) for spreads in judged],
        floors=[number(spreads[0].floor) for spreads in judged],
        table=[
            (recipe, fewer(comparison, recipe), [cell(spreads, recipe) for spreads in judged])
            for recipe in recipes
        ],
        verdicts=[verdict(spreads) for spreads in judged],
        luck=luck(judged),
        galleries=list(galleries(comparison)),
        glossary=glossary(
            [spreads[0].score for spreads in judged],
            dict.fromkeys(spreads[0].features for spreads in judged),
        ),
    )
    write_text(out / "comparison.html", page)


def entrant_row(entrant: Entrant, comparison: Comparison) -> dict[str, str]:
    """Say what a recipe is and what it was given."""
    spent = [run.seconds for run in finished(comparison, entrant.recipe)]
    return {
        "recipe": entrant.recipe,
        "networks": f"{entrant.network}, {entrant.loss}",
        "generator": millions(entrant.generator),
        "critic": millions(entrant.critic) if entrant.critic else "none",
        "pace": f"{1000 * entrant.seconds_per_image:.3g}",
        "images": f"{entrant.images:,}",
        "spent": between([seconds / 60 for seconds in spent]) if spent else "all failed",
        "precision": entrant.precision,
    }


def finished(comparison: Comparison, recipe: str) -> list[RunOutcome]:
    """Give the runs of a recipe that did not fail."""
    return [run for run in comparison.outcomes if run.recipe == recipe and not run.failed]


def off_budget(comparison: Comparison) -> Iterator[str]:
    """Say which runs took much longer or shorter than they were given."""
    given = 60 * comparison.minutes
    for outcome in comparison.outcomes:
        if not outcome.failed and abs(outcome.seconds / given - 1) > OFF:
            share = f"{abs(outcome.seconds / given - 1):.0%}"
            more = "more" if outcome.seconds > given else "less"
            yield f"{outcome.recipe}, seed {outcome.seed}: {share} {more}"


def fewer(comparison: Comparison, recipe: str) -> str:
    """Say how many seeds are left of a recipe where some failed."""
    kept = len(finished(comparison, recipe))
    runs = sum(run.recipe == recipe for run in comparison.outcomes)
    return "" if kept == runs else f"{kept} of {runs} seeds"


def cell(spreads: Sequence[Spread], recipe: str) -> dict[str, str] | None:
    """Write one score of one recipe: its mean, and the least and greatest of its seeds."""
    for spread in spreads:
        if spread.recipe == recipe:
            several = len(spread.values) > 1
            return {"mean": number(spread.mean), "range": between(spread.values) if several else ""}
    return None


def verdict(spreads: Sequence[Spread]) -> dict[str, Any]:
    """Say which recipes differ beyond the spread in one score."""
    winners = wins(spreads)
    pairs = list(combinations(spreads, 2))
    return {
        "title": title(spreads),
        "direction": spreads[0].direction,
        "wins": {
            winner: "all others" if len(beaten) == len(spreads) - 1 > 1 else ", ".join(beaten)
            for winner, beaten in winners.items()
        },
        "count": sum(map(len, winners.values())),
        "pairs": len(pairs),
    }


def luck(judged: Sequence[Sequence[Spread]]) -> dict[str, Any]:
    """Say how easily luck gives a difference beyond the spread."""
    counts = {len(spread.values) for spreads in judged for spread in spreads}
    most = max(counts, default=0)
    return {
        "seeds": most,
        "unequal": len(counts) > 1,
        "one_in": f"{1 / chance(most, most):g}" if most else "",
        "expected": f"{expected_by_chance(judged):.2g}",
        "found": sum(len(beaten) for spreads in judged for beaten in wins(spreads).values()),
        "pairs": sum(len(list(combinations(spreads, 2))) for spreads in judged),
    }


def galleries(comparison: Comparison) -> Iterator[dict[str, Any]]:
    """Show held-out real images, and the first ones of every seed, a row each."""
    held = SliceSet.open(Path(comparison.slices)).split(comparison.against)
    seeds = max([1, *(1 + outcome.seed for outcome in comparison.outcomes)])
    rows = np.random.default_rng(0).permutation(len(held))[: SHOWN * seeds]
    columns = max(1, SHOWN // len(held.about.channels))
    yield {
        "title": "Simulated" if comparison.source == "simulated" else "Real",
        "kind": "real",
        "caption": f"slices of the {comparison.against} split",
        "picture": figures.image_grid(held.images[np.sort(rows)], columns),
    }
    for entrant in comparison.entrants:
        runs = finished(comparison, entrant.recipe)
        sets = [SliceSet.open(Path(run.folder) / "synthetic").images[:SHOWN] for run in runs]
        if sets:
            yield {
                "title": entrant.recipe,
                "kind": "synthetic",
                "caption": f"first images of seed {', '.join(str(run.seed) for run in runs)}",
                "picture": figures.image_grid(np.concatenate(sets), columns),
            }


def title(spreads: Sequence[Spread]) -> str:
    """Name the score that some recipes have."""
    return title_of(spreads[0].score, spreads[0].features)


def between(values: Sequence[float]) -> str:
    """Write a range, or the one value."""
    low, high = number(min(values)), number(max(values))
    return low if low == high else f"{low} to {high}"


def millions(count: int) -> str:
    """Write a number of parameters."""
    return f"{count / 1e6:.2f} M" if count >= 1e4 else f"{count:,}"
