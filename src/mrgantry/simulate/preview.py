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


def write_preview(cohort: Path, sequences: list[str], rows: int = 5) -> Path:
    """Draw one axial level of a few subjects in all sequences, with the labels on top.

    Args:
        cohort: A folder that `simulate` has written.
        sequences: Columns.
        rows: At most this many subjects.
    """
    table = pd.read_csv(cohort / "cohort.csv")
    picked = np.unique(np.linspace(0, len(table) - 1, min(rows, len(table))).astype(int))
    table = table.iloc[picked]
    tumours = bool((table["grade"] != "healthy").any())
    columns = len(sequences) + tumours
    figure = Figure(figsize=(2.0 * columns, 2.35 * len(table) + 0.5), facecolor=PAPER)
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(table), columns, squeeze=False)
    for line, (_, row) in zip(axes, table.iterrows(), strict=True):
        _draw_subject(line, cohort, row, sequences)
    for axis, title in zip(axes[0], [TITLES[s] for s in sequences] + ["labels"], strict=False):
        axis.set_title(title, color=INK, fontsize=9)
    figure.text(
        0.5, 0.006, "simulated - no evidence about patients", color=INK, ha="center", fontsize=8
    )
    figure.subplots_adjust(0.005, 0.4 / figure.get_figheight(), 0.995, 0.955, 0.02, 0.02)
    with whole(cohort / "preview.png") as aside:
        figure.savefig(aside, dpi=110, metadata={"Software": "mrgantry"}, format="png")
    return cohort / "preview.png"


def _draw_subject(
    line: NDArray[np.object_], cohort: Path, row: pd.Series, sequences: list[str]
) -> None:
    """Draw one subject's row at the level of its tumour, or of the ventricles."""
    name = row["subject"]
    folder = cohort / row["grade"] / name
    level = 80 if pd.isna(row["centre_z"]) else int(np.clip(row["centre_z"], 40, 115))
    slices = [_axial(folder / f"{name}_{FILES[key]}.nii.gz", level) for key in sequences]
    for axis, image in zip(line, [*slices, slices[0]], strict=False):
        brain = image[image > 0]
        top = np.percentile(brain, 99.5) if brain.size else 1
        axis.imshow(image, cmap="gray", vmin=0, vmax=top, interpolation="bilinear")
        axis.set_axis_off()
    line[0].text(4, 10, f"{name} {row['grade']}", color=INK, fontsize=7, va="top")
    if len(line) > len(sequences):
        labels = _axial(folder / f"{name}_seg.nii.gz", level)
        shown = np.ma.masked_equal(labels, 0)
        line[-1].imshow(shown, cmap=LABELS, vmin=1, vmax=4, alpha=0.6, interpolation="nearest")


def _axial(file: Path, level: int) -> NDArray[np.int16]:
    """Read one level as shown: anterior up, patient right on the left."""
    stored = nib.load(file).dataobj[:, :, level]
    return np.asarray(stored, np.int16)[20:220, 8:232].T
