"""Walks through latent space and projections of real slices, laid out for people."""

from pathlib import Path
from typing import Any

import pandas as pd

from mrgantry.common.errors import DataError
from mrgantry.common.files import read_json
from mrgantry.pages import figures
from mrgantry.pages.rendering import between, number


def read_finished(path: Path) -> dict[str, Any]:
    """Read what tells of a folder of results.

    Raises:
        DataError: Whoever wrote it was interrupted.
    """
    facts: dict[str, Any] = read_json(path)
    if not facts.get("complete"):
        raise DataError(f"{path.parent} is not finished; run the command that makes it again.")
    return facts


def walked(folder: Path) -> dict[str, Any]:
    """Show a walk: all its images, and how evenly they change."""
    facts = read_finished(folder / "walk.json")
    table, choices = pd.read_csv(folder / "walk.csv"), facts["choices"]
    labels = facts["labels_of_all_images"]
    return {
        "name": folder.resolve().name,
        "images": facts["images"],
        "method": choices["method"],
        "seeds": choices["seeds"],
        "labels": ", ".join(f"{key} {value}" for key, value in labels.items()),
        "strip": figures.png_file(folder / "strip.png"),
        "changes": figures.walk_changes(
            table["position"].to_numpy(), table["change"].to_numpy(), choices["seeds"]
        ),
        "median": number(facts["median_change"]),
        "largest": number(facts["largest_change"]),
        "jump": number(facts["largest_over_median"]),
    }


def projected(folder: Path) -> dict[str, Any]:
    """Show projections beside their real slices, and what they tell of overfitting."""
    facts = read_finished(folder / "project.json")
    overfitting = facts["overfitting"]
    return {
        "name": folder.resolve().name,
        "picture": figures.png_file(folder / "project.png"),
        "verdict": facts["verdict"],
        "medians": [
            {
                "split": row["split"],
                "slices": row["slices"],
                "subjects": row["subjects"],
                "rmse": number(row["rmse"]),
                "correlation": number(row["correlation"]),
                "velocity_error": number(row["velocity_error"]) if "velocity_error" in row else "",
            }
            for row in facts["medians"]
        ],
        "ratio": overfitting
        and {
            "value": number(overfitting["ratio"]),
            "interval": between(overfitting["low"], overfitting["high"]),
            "p": f"{overfitting['p']:.2g}",
        },
    }
