"""What a start is worth: one run from it and one from nothing, looked at after some minutes each.

    python benchmarks/starts.py SLICES OUT [--size 64] [--people 10] [--minutes 1 2 6 12 30]

SLICES is a prepared set with subjects in its splits "validation" and "test". Minutes become images
by timing the recipe first. A run is made longer from one look to the next, as anyone would do; at
each look it draws COUNT images, which are scored against the test split. Interrupted, the same
command goes on.
"""

import argparse
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from mrgantry.common.score import read_scores
from mrgantry.data.making import begin_set, finish
from mrgantry.data.parts import write_part
from mrgantry.data.rows import choose_rows
from mrgantry.data.slices import SliceSet
from mrgantry.evaluation.evaluation import evaluate
from mrgantry.evaluation.scoring import Floors
from mrgantry.generate import FlowRecipe, sample, train
from mrgantry.generate.pace import measure_paces
from mrgantry.papers import find_recipe

COUNT = 350  # images a look
SHOWN = {  # of all scores
    "relative FD": ("relative_fd", "brain-net"),
    "recall": ("recall", "brain-net"),
    "C2ST CNN": ("c2st_cnn_auc", "pixels"),
    "C2ST tissue": ("c2st_logistic_auc", "brain-map"),
    "spectral dB": ("spectral_radius", "pixels"),
    "copying": ("copying_ratio", "pixels"),
}


def fewer(slices: Path, out: Path, people: int) -> Path:
    """Make a set with fewer training people, all others as they are; give its folder."""
    whole = SliceSet.open(slices)
    train_people = sorted(set(whole.split("train").table["subject"]))[:people]
    kept = whole.table["subject"].isin(train_people) | (whole.table["split"] != "train")
    some = whole.where(kept.to_numpy())
    folder = out / f"slices-{people}"
    if not (folder / "slices.csv").is_file():
        choices = some.about.choices | {"training_people": people}
        about = some.about.model_copy(update={"choices": choices, "parts": (), "rows": ()})
        begin_set(folder, about)
        names = []
        for person, rows in some.table.groupby("subject"):
            images = some.images[rows.index.to_numpy()]
            write_part(folder, str(person), np.ascontiguousarray(images), rows)
            names.append(str(person))
        finish(folder, about, names)
    return folder


def main() -> None:
    """Train, look, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slices", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--people", type=int)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 2, 6, 12, 30])
    parser.add_argument("--start", nargs="+", default=["heads-64", "null"])
    parser.add_argument("--draws", type=int, default=4)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    slices = fewer(asked.slices, asked.out, asked.people) if asked.people else asked.slices
    base = find_recipe(f"gantry-{asked.size}")
    assert isinstance(base, FlowRecipe)
    pace_file = asked.out / "images_a_minute.txt"
    if not pace_file.is_file():
        (pace,) = measure_paces(choose_rows(SliceSet.open(slices).split("train"), ()), [base])
        pace_file.write_text(str(pace.images(1, base.batch)))
    a_minute = int(pace_file.read_text())
    table = Table("start", "minutes", "images", *SHOWN, box=box.SIMPLE_HEAD)
    floors = Floors()
    for start in asked.start:
        for minutes in asked.minutes:
            length = round(a_minute * minutes / base.batch) * base.batch
            name = f"{Path(start).name}-{asked.people or 'all'}"
            run, drawn = asked.out / name, asked.out / f"{name}-{minutes:g}min"
            recipe = base.set([f"start={start}", "stop=null", f"images={length}"])
            if not (drawn / "slices.csv").is_file():
                train(slices, run, recipe)
                sample(run, drawn, COUNT)
            scores = asked.out / f"scores-{drawn.name}"
            if not (scores / "scores.json").is_file():
                evaluate(slices, scores, [drawn], maps=False, draws=asked.draws, floors=floors)
            found = {(score.name, score.features): score for score in read_scores(scores)}
            cells = []
            for key in SHOWN.values():
                cells.append(f"{found[key].value:.3f} ({found[key].floor:.3f})")
            table.add_row(start, f"{minutes:g}", f"{length:,}", *cells)
            Console(stderr=True).print(table)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
