"""A contact sheet of a simulated cohort."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mrgantry.common.files import whole

TITLES = {"t1": "T1", "t1c": "T1c", "t2": "T2", "flair": "FLAIR"}
FILES = {"t1": "t1", "t1c": "t1ce", "t2": "t2", "flair": "flair"}
INK, PAPER = "#c8ccd0", "#0c0d0f"
# Labels 1 to 4; 3 is not used.
LABELS = ListedColormap(["#4c8dd6", "#7fc97f", "#000000", "#e0574f"])


def write_preview(cohort: Path, sequences: list[str], columns: int = 8) -> Path:
    """Draw one axial level of a few subjects: a column each, sequences and labels below.

    Args:
        cohort: A folder that `simulate` has written.
        sequences: Rows.
        columns: At most this many subjects, with tumours first.
    """
    table = pd.read_csv(cohort / "cohort.csv")
    sick, healthy = (table[(table["grade"] == "healthy") == kind] for kind in (False, True))
    table = pd.concat([sick.head(max(columns // 2, columns - len(healthy))), healthy])
    table = table.head(columns)
    rows = len(sequences) + bool(len(sick))
    figure = Figure(figsize=(1.5 * len(table) + 0.3, 1.7 * rows + 0.55), facecolor=PAPER)
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, len(table), squeeze=False)
    for column, (_, row) in zip(axes.T, table.iterrows(), strict=True):
        _draw_subject(column, cohort, row, sequences)
    for axis, title in zip(axes[:, 0], [TITLES[s] for s in sequences] + ["labels"], strict=False):
        axis.text(
            -0.06, 0.5, title, color=INK, fontsize=9, rotation=90, ha="right", va="center",
            transform=axis.transAxes,
        )  # fmt: skip
    figure.text(
        0.5, 0.01, "simulated - no evidence about patients", color=INK, ha="center", fontsize=8
    )
    height, width = figure.get_figheight(), figure.get_figwidth()
    figure.subplots_adjust(0.3 / width, 0.25 / height, 1, 1 - 0.25 / height, 0.02, 0.02)
    with whole(cohort / "preview.png") as aside:
        figure.savefig(aside, dpi=110, metadata={"Software": "mrgantry"}, format="png")
    return cohort / "preview.png"


def _draw_subject(
    column: NDArray[np.object_], cohort: Path, row: pd.Series, sequences: list[str]
) -> None:
    """Draw one subject's column at the level of its tumour, or of the ventricles."""
    name = row["subject"]
    folder = cohort / row["grade"] / name
    level = 80 if pd.isna(row["centre_z"]) else int(np.clip(row["centre_z"], 40, 115))
    slices = [_axial(folder / f"{name}_{FILES[key]}.nii.gz", level) for key in sequences]
    for axis, image in zip(column, [*slices, slices[0]], strict=False):
        brain = image[image > 0]
        top = np.percentile(brain, 99.5) if brain.size else 1
        axis.imshow(image, cmap="gray", vmin=0, vmax=top, interpolation="bilinear")
        axis.set_axis_off()
    column[0].set_title(f"{name} {row['grade']}", color=INK, fontsize=7)
    if len(column) > len(sequences):
        labels = _axial(folder / f"{name}_seg.nii.gz", level)
        shown = np.ma.masked_equal(labels, 0)
        column[-1].imshow(shown, cmap=LABELS, vmin=1, vmax=4, alpha=0.6, interpolation="nearest")


def _axial(file: Path, level: int) -> NDArray[np.int16]:
    """Read one level as shown: anterior up, patient right on the left."""
    stored = nib.load(file).dataobj[:, :, level]
    return np.asarray(stored, np.int16)[20:220, 8:232].T
