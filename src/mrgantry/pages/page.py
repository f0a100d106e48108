"""One HTML page from any folders that the verbs have written."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mrgantry.common.errors import DataError
from mrgantry.common.files import AnyPath, read_json, write_text
from mrgantry.common.picture import png
from mrgantry.data.generated import COHORT, read_generated
from mrgantry.data.preview import colours_of, outlined, tumour_counts
from mrgantry.data.repeats import about_splits
from mrgantry.data.slices import SPLITS, SliceSet
from mrgantry.detection.findings import read_detection
from mrgantry.evaluation.record import read_evaluation
from mrgantry.generate.run import Run
from mrgantry.pages import figures
from mrgantry.pages.augmented import augmented_sets
from mrgantry.pages.detection import summary
from mrgantry.pages.experiment import summarised
from mrgantry.pages.latents import projected, walked
from mrgantry.pages.rendering import render
from mrgantry.pages.scores import evaluation, glossary
from mrgantry.pages.segmentation import TABLE
from mrgantry.segmentation.findings import read_segmentation

# What a plan says of stacks of slices alone, of oblique poses alone, and of whole heads alone.
STACKED, POSED = {"slices", "fit", "min_brain", "field_on"}, {"poses", "centre_mm"}
WHOLE = {"voxels", "voxel_mm"}
SHOWN = 36  # images in a grid,
SHOWN_HEADS = 8  # or heads, each in three planes
LISTED = 8  # entries of a list that are printed


@dataclass
class PageFolders:
    """What the folders hold, by kind."""

    cohorts: list[Path] = field(default_factory=list)
    synthetic_cohorts: list[Path] = field(default_factory=list)
    real: list[SliceSet] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    synthetic: list[SliceSet] = field(default_factory=list)
    scores: list[Path] = field(default_factory=list)
    walks: list[Path] = field(default_factory=list)
    projections: list[Path] = field(default_factory=list)
    detections: list[Path] = field(default_factory=list)
    segmentations: list[Path] = field(default_factory=list)

    @property
    def results(self) -> list[Path]:
        """Give the files that tell of walks, projections and experiments."""
        return [
            *(folder / "walk.json" for folder in self.walks),
            *(folder / "project.json" for folder in self.projections),
            *(folder / "detection.json" for folder in self.detections),
            *(folder / "segmentation.json" for folder in self.segmentations),
        ]

    @property
    def simulated(self) -> bool:
        """Say whether anything stems from simulated scans."""
        sets = [*self.real, *self.synthetic]
        return (
            bool(self.cohorts)
            or any(
                read_json(folder / COHORT)["source"] == "simulated"
                for folder in self.synthetic_cohorts
            )
            or any(data.about.source == "simulated" for data in sets)
            or any(run.facts.source == "simulated" for run in self.runs)
            or any(read_evaluation(folder).real.source == "simulated" for folder in self.scores)
            or any(read_json(path).get("source") == "simulated" for path in self.results)
        )


def report(folders: Sequence[AnyPath], out: AnyPath) -> Path:
    """Write one self-contained page: pictures, scores, and how it was made.

    Args:
        folders: Cohorts, sets of slices, runs, scores, walks, projections, and experiments of
            detection and segmentation, in any order.
        out: The HTML file.

    Returns:
        The HTML file.

    Raises:
        DataError: A folder holds nothing that a report can show.
    """
    out = Path(out)
    contents = find(tuple(map(Path, folders)))
    evaluations = [evaluation(folder) for folder in contents.scores]
    experiments = [
        (summary(found, out, folder), found)
        for folder in contents.detections
        for found in [read_detection(folder)]
    ]
    page = render(
        "page.html",
        simulated=contents.simulated,
        galleries=[gallery(data) for data in (*contents.real, *contents.synthetic)],
        selections=[selection(data) for data in contents.synthetic if data.about.notes.selected],
        evaluations=evaluations,
        detections=[said for said, _ in experiments],
        segmentations=[
            summarised(read_segmentation(folder), TABLE, out, folder / "segmentation.html")
            for folder in contents.segmentations
        ],
        augmented=augmented_sets(experiments),
        walks=[walked(folder) for folder in contents.walks],
        projections=[projected(folder) for folder in contents.projections],
        runs=[training(run) for run in contents.runs],
        datasets=[dataset(data) for data in contents.real],
        cohorts=[cohort(folder) for folder in (*contents.cohorts, *contents.synthetic_cohorts)],
        commands=commands(contents),
        provenance=provenance(contents),
        glossary=glossary(
            [name for entry in evaluations for name in entry["scores"]],
            dict.fromkeys(name for entry in evaluations for name in entry["features"]),
        ),
    )
    write_text(out, page)
    return out


def find(folders: Sequence[Path]) -> PageFolders:
    """Tell each folder's kind by the file that only this kind has.

    Raises:
        DataError: A folder is of no known kind.
    """
    contents = PageFolders()
    for folder in folders:
        if (folder / "about.json").is_file():
            data = SliceSet.open(folder, volumes=True)
            (contents.synthetic if data.about.synthetic else contents.real).append(data)
        elif (folder / "run.json").is_file():
            contents.runs.append(Run.open(folder))
        elif (folder / "scores.json").is_file():
            contents.scores.append(folder)
        elif read_generated(folder):
            contents.synthetic_cohorts.append(folder)
        elif (folder / COHORT).is_file():
            contents.cohorts.append(folder)
        elif (folder / "walk.json").is_file():
            contents.walks.append(folder)
        elif (folder / "project.json").is_file():
            contents.projections.append(folder)
        elif (folder / "detection.json").is_file():
            contents.detections.append(folder)
        elif (folder / "segmentation.json").is_file():
            contents.segmentations.append(folder)
        else:
            raise DataError(
                f"{folder} holds nothing to report: it is no cohort, set of slices, run, scores, "
                f"walk, projection, detection or segmentation experiment.{own_page(folder)}"
            )
    return contents


def own_page(folder: Path) -> str:
    """Name the page that a folder has already, if it has one."""
    pages = sorted(folder.glob("*.html"))
    return f" It has a page of its own: {pages[0]}." if pages else ""


def gallery(data: SliceSet) -> dict[str, Any]:
    """Show some images of a set: held-out ones of a real set, spread over subjects."""
    synthetic = data.about.synthetic
    held = np.flatnonzero(data.table["split"] == "test")
    pool = held if len(held) else np.arange(len(data))
    most = SHOWN_HEADS if data.about.voxels else SHOWN
    chosen = np.random.default_rng(0).permutation(pool)[:most]
    shown = data.where(np.isin(np.arange(len(data)), chosen))
    columns = 6 if shown.images.shape[1] == 1 else 3 if data.about.voxels else 2
    if data.about.classes:
        picture = png(outlined(shown.pictures, shown.picture_maps, columns))
        legend = f"; outlined are {colours_of(data.about.classes)}"
    else:
        picture, legend = figures.image_grid(shown.pictures, columns), ""
    origin = "simulated" if data.about.source == "simulated" else "real"
    return {
        "title": f"Synthetic: {data.name}" if synthetic else f"{origin.capitalize()}: {data.name}",
        "caption": (
            f"{len(data):,} {data.noun} {made_of(data, origin)}{left_of(data)}"
            if synthetic
            else f"{len(data):,} {rows_of(data)} of {data.table['subject'].nunique()} subjects"
            + ("; these are held out from training" if len(held) else "")
        )
        + legend,
        "synthetic": synthetic,
        "picture": picture,
    }


def made_of(data: SliceSet, origin: str) -> str:
    """Say how a synthetic set was made: drawn, drawn near slices, or refined.

    Args:
        data: The set.
        origin: What it owes its pixels to, real or simulated.
    """
    notes = data.about.notes
    if refined := notes.refined:
        rule = ", as far as anatomy stays" if refined["chosen"] else ", however anatomy changes"
        return f"refined towards {origin} scans to strength {refined['strength']:g}{rule}"
    drawn = f"drawn by the generator, trained on {origin} scans"
    if near := notes.near:
        return (
            f"{drawn}, near {near['slices']:,} slices; {near['nearer_than_strangers']:,} are "
            "nearer to theirs than anybody else's slice is"
        )
    return drawn


def rows_of(data: SliceSet) -> str:
    """Name what the rows of a real set are."""
    return "heads" if data.about.voxels else "slices"


def left_of(data: SliceSet) -> str:
    """Say of how many images these are what `select` has left."""
    chosen = data.about.notes.selected
    if "looked_at" not in chosen:
        return ""
    return f"; what a rule has left of {chosen['looked_at']:,}"


def selection(data: SliceSet) -> dict[str, Any]:
    """Print what a set's notes say of how its images were chosen, whatever that is."""
    rows = data.about.notes.selected
    return {
        "name": data.name,
        "rows": {str(key).replace("_", " "): plain(value) for key, value in rows.items()},
    }


def plain(value: Any) -> str:
    """Write a note for people; of a long list, its length and beginning."""
    if isinstance(value, dict):
        return "; ".join(f"{key}: {plain(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        shown = ", ".join(plain(item) for item in value[:LISTED])
        return shown if len(value) <= LISTED else f"{len(value):,}: {shown}, ..."
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def training(run: Run) -> dict[str, Any]:
    """Show how a run went: curves, the same latents over time, the recipe."""
    log, recipe = run.log(), run.recipe
    shots = sorted((run.folder / "samples").glob("[0-9]*.png"))
    picked = [shots[int(i)] for i in np.linspace(0, len(shots) - 1, min(5, len(shots)))]
    size, channels = recipe.size, run.facts.drawn
    steps = [
        {
            "images": f"{int(path.stem):,}",
            "picture": png(np.asarray(Image.open(path))[: size * 3, : size * channels * 3]),
        }
        for path in picked
    ]
    seconds = log[-1]["seconds"] if log else 0
    levels = run.facts.labels.levels
    labels = "; ".join(f"{name} ({', '.join(values)})" for name, values in levels.items())
    started = run.facts.started_from
    return {
        "name": run.name,
        "recipe": recipe.model_dump_json(indent=2),
        "recipe_name": recipe.name,
        "curves": figures.training_curves(log),
        "steps": steps,
        "summary": f"{run.images:,} images seen in {seconds / 60:.1f} minutes "
        f"({run.facts.precision}), trained on {run.facts.training_images:,} "
        f"{'heads' if recipe.voxels else 'slices'} of "
        f"{len(run.facts.training_subjects)} subjects"
        + (f", those of its start {started.name} among them" if started else "")
        + (f"; told {labels}" if labels else "")
        + (f". {run.stopped}" if run.stopped else ""),
    }


def dataset(data: SliceSet) -> dict[str, Any]:
    """Count a real set by split."""
    table, mm = data.table, data.table["pixel_mm"].median()
    notes, alike = data.about.notes, data.folder / "repeats.png"
    hidden = POSED | WHOLE
    if data.about.poses:
        hidden = STACKED | WHOLE
    elif data.about.voxels:
        hidden = STACKED | POSED | {"size"}
    splits = [
        {
            "split": split,
            "subjects": part["subject"].nunique(),
            "slices": f"{len(part):,}",
            "tumour": tumour_counts(part) or "not known",
        }
        for split in SPLITS
        if len(part := table[table["split"] == split])
    ]
    return {
        "name": data.name,
        "rows": rows_of(data).capitalize(),
        "splits": splits,
        "plan": {
            key: value
            for key, value in data.about.choices.items()
            if value is not None
            and value is not False
            and value not in ((), [], "")
            and key not in hidden
        },
        "apart": about_splits(notes),
        "alike": figures.png_file(alike) if alike.is_file() else "",
        "brain": notes.brain,
        "skipped": notes.skipped,
        "assumed": (*notes.repeats_settled, *notes.assumed),
        "scaled": "; ".join(filter(None, (notes.range, notes.fit))),
        "pixel": f"is {mm:.2f} mm wide" if mm > 0 else "is of unknown size",
    }


def cohort(folder: Path) -> dict[str, Any]:
    """Show the contact sheet of a cohort, a simulated one or synthetic heads."""
    preview = folder / "preview.png"
    made = read_generated(folder)
    return {
        "name": folder.resolve().name,
        "title": f"Synthetic heads, by {made.made_by}" if made else "Simulated cohort",
        "about": read_json(folder / COHORT),
        "picture": png(np.asarray(Image.open(preview).convert("RGB"))) if preview.is_file() else "",
    }


def commands(contents: PageFolders) -> list[str]:
    """List the commands that make everything on the page again, in order."""
    return [
        *(read_json(folder / COHORT)["command"] for folder in contents.cohorts),
        *(data.about.command for data in contents.real),
        *(run.facts.command for run in contents.runs),
        *(read_json(folder / COHORT)["command"] for folder in contents.synthetic_cohorts),
        *(data.about.command for data in contents.synthetic),
        *(read_evaluation(folder).command for folder in contents.scores),
        *(read_json(path)["command"] for path in contents.results),
    ]


def provenance(contents: PageFolders) -> list[tuple[str, str]]:
    """Name versions and fingerprints."""
    versions: dict[str, str] = {}
    for data in (*contents.real, *contents.synthetic):
        versions |= data.about.versions
    rows = [(name, value) for name, value in versions.items()]
    rows += [(f"slices {data.name}", data.about.fingerprint) for data in contents.real]
    rows += [(f"synthetic {data.name}", data.about.fingerprint) for data in contents.synthetic]
    for folder in contents.scores:
        extractors = read_evaluation(folder).extractors
        rows += [(f"extractor {name}", mark) for name, mark in extractors.items()]
    return rows
