"""Phantoms: small scans whose every answer is known."""

import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from threadpoolctl import threadpool_limits

from mrgantry.data import SlicePlan, prepare
from mrgantry.data.about import About
from mrgantry.data.making import begin_set, finish
from mrgantry.data.parts import COLUMNS, write_part
from mrgantry.data.slices import SliceSet
from mrgantry.evaluation import pictures, reference
from mrgantry.evaluation.measures import classifiers, ms_ssim
from mrgantry.evaluation.measures import listed as measures
from mrgantry.simulation import simulate

# One, here and in what tests start: threads that wait for each other lose more beside other
# programs than they gain, up to seven times the time. What tests say must hold with any number;
# set another now and then to see whether it does.
THREADS = os.environ.get("MRGANTRY_TEST_THREADS", "1")
os.environ["OMP_NUM_THREADS"] = THREADS
torch.set_num_threads(int(THREADS))
threadpool_limits(int(THREADS))
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def write_nifti(path: Path, voxels: np.ndarray, axes: str = "RAS", spacing=(1.0, 1.0, 1.0)) -> Path:
    """Write RAS+ voxels with the axes turned as `axes`, such as "LPS" or "PSR"."""
    affine = np.diag([*spacing, 1.0])
    image = nib.Nifti1Image(voxels, affine)
    target = nib.orientations.axcodes2ornt(axes)
    start = nib.orientations.io_orientation(affine)
    image = image.as_reoriented(nib.orientations.ornt_transform(start, target))
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
    return path


def brain_phantom(seed: int = 0, shape=(24, 28, 20)) -> np.ndarray:
    """Draw an ellipsoid of noise, brighter in front, on a background of 0."""
    random = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"))
    stretch = 0.75 + 0.15 * random.random(3)
    inside = ((grid / stretch[:, None, None, None]) ** 2).sum(0) < 1
    voxels = 100 + 40 * grid[1] + 10 * random.standard_normal(shape)
    return np.where(inside, voxels.clip(1), 0).astype(np.float32)


def tumour_phantom(shape=(24, 28, 20)) -> np.ndarray:
    """Mark 8 x 8 x 4 voxels: an axial slice through them has 64 mm2 of tumour."""
    labels = np.zeros(shape, np.uint8)
    labels[8:16, 8:16, 9:13] = 4
    return labels


@pytest.fixture
def cohort(tmp_path):
    """Ten BRATS-like subjects of two sequences, half with tumour."""
    folder = tmp_path / "cohort"
    for number in range(10):
        name = f"BraTS20_Training_{number:03d}"
        for word in ("t1", "flair"):
            write_nifti(folder / name / f"{name}_{word}.nii.gz", brain_phantom(number), "LPS")
        labels = tumour_phantom() if number % 2 else np.zeros((24, 28, 20), np.uint8)
        write_nifti(folder / name / f"{name}_seg.nii.gz", labels, "LPS")
    return folder


def write_slices(
    folder: Path,
    images: np.ndarray,
    subjects: list[str],
    splits: list[str],
    *,
    synthetic: bool = False,
    tumour: Sequence[str] = (),
    columns: Mapping[str, object] | None = None,
    maps: np.ndarray | None = None,
    classes: Sequence[str] = ("core", "oedema"),
) -> SliceSet:
    """Write a set of slices from arrays; `columns` replace what all rows have in common."""
    about = About(
        synthetic=synthetic,
        channels=tuple(["t1", "t1c", "t2", "flair"][: images.shape[1]]),
        size=images.shape[-1],
        classes=() if maps is None else tuple(classes),
        command="made by a test",
        choices={},
        versions={},
    )
    begin_set(folder, about)
    names = pd.unique(np.array(subjects))
    for name in names:
        rows = np.flatnonzero(np.array(subjects) == name)
        table = pd.DataFrame(
            [
                dict.fromkeys(COLUMNS, "")
                | {
                    "id": f"{name}-{row}",
                    "subject": "" if synthetic else name,
                    "split": splits[row],
                    "sequence": "t1",
                    "plane": "axial",
                    "index": row,
                    "position_mm": 0.0,
                    "pixel_mm": 1.0,
                    "tumour": tumour[row] if tumour else "unknown",
                    "source": "synthetic" if synthetic else "real",
                }
                | dict(columns or {})
                for row in rows
            ]
        )
        of_part = None if maps is None else maps[rows].astype(np.uint8)
        write_part(folder, name, images[rows].astype(np.float16), table, of_part)
    return finish(folder, about, list(names))


def blobs(count: int, size: int = 16, seed: int = 0) -> np.ndarray:
    """Draw images with one smooth blob each, somewhere."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    centres = random.uniform(0.3, 0.7, (count, 2, 1, 1))
    widths = random.uniform(0.05, 0.15, (count, 1, 1))
    squares = (y - centres[:, 0]) ** 2 + (x - centres[:, 1]) ** 2
    return (2 * np.exp(-squares / (2 * widths**2)) - 1)[:, None].astype(np.float16)


@pytest.fixture
def slices(tmp_path) -> SliceSet:
    """A small set of 8 subjects x 6 slices of 16 pixels: 5 train, 3 test."""
    subjects = [f"s{number // 6}" for number in range(48)]
    splits = ["train" if number < 30 else "test" for number in range(48)]
    return write_slices(tmp_path / "slices", blobs(48), subjects, splits)


@pytest.fixture(scope="session")
def brains(tmp_path_factory) -> SliceSet:
    """Simulated slices, as FLAIR shows them, of two people with tumours and their label maps."""
    folder = tmp_path_factory.mktemp("brains")
    simulate(folder / "cohort", subjects=2, seed=5, sequences=("flair",), workers=1)
    plan = SlicePlan(
        sequences=("flair",), slices="0.4:0.7:6", size=64, field_mm=192, label_maps=True
    )
    return prepare(folder / "cohort", folder / "slices", plan, workers=1)


def killed_by(item: int) -> int:
    """Square a number in a worker process; 3 kills the process, as lack of memory does."""
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return item * item


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real scans that MRGANTRY_REAL_DATA names."""
    folder = os.environ.get("MRGANTRY_REAL_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("MRGANTRY_REAL_DATA names no folder of real scans")
    return Path(folder)


@pytest.fixture
def few_draws(monkeypatch):
    """Measure a few draws instead of forty, and train classifiers but briefly."""
    everything = measures.all_measures

    def fewer(*args, **options):
        for one in everything(*args, **options):
            yield replace(one, draws=8)

    monkeypatch.setattr(reference, "all_measures", fewer)
    monkeypatch.setattr(classifiers, "MOST_STEPS", 20)
    monkeypatch.setattr(ms_ssim, "PAIRS", 50)
    monkeypatch.setattr(pictures, "tsne", partial(pictures.tsne, iterations=250))


@pytest.fixture(scope="session")
def chromium():
    """Playwright's own browser, or one that is installed."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as library:
        names = (library.chromium.executable_path, "chromium", "chromium-browser", "google-chrome")
        found = next(filter(None, map(shutil.which, names)), None)
        if found is None:
            pytest.skip("no browser is at hand: run `make browser`")
        opened = library.chromium.launch(executable_path=found, args=SWITCHES)
        yield opened
        opened.close()
