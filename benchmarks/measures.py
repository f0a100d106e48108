"""What measures cost: the Frechet step against others' ways, and everything against n.

python benchmarks/measures.py frechet        2048 features, against torchmetrics and a matrix root
python benchmarks/measures.py all            all measures at 1,000, 3,000 and 10,000 images a side
python benchmarks/measures.py all --n 1000   at one size

Images are simulated blobs of 128 x 128: costs do not depend on what images show.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import linalg

SIZE, DIMS = 128, 2048
SIZES = (1_000, 3_000, 10_000)


def frechet() -> None:
    """Time the Frechet step from means and covariances, and compare its values."""
    import torch
    from torchmetrics.image.fid import _compute_fid

    from mrgantry.evaluation.measures.frechet import distance_of_moments, moments

    random = np.random.default_rng(0)
    mixing = random.standard_normal((DIMS, DIMS)) / DIMS**0.5
    x = random.standard_normal((4000, DIMS)) @ mixing
    y = 1.1 * random.standard_normal((4000, DIMS)) @ mixing + 0.1
    facts = [moments(rows) for rows in (x, y)]
    tensors = [torch.from_numpy(part) for fact in facts for part in fact]

    def by_root() -> float:
        (mu, cov), (nu, other) = facts
        root = linalg.sqrtm(cov @ other).real
        return float(((mu - nu) ** 2).sum() + np.trace(cov + other - 2 * root))

    ways: dict[str, Callable[[], float]] = {
        "mrgantry": lambda: distance_of_moments(*facts),
        "torchmetrics": lambda: float(_compute_fid(*tensors)),
        "general matrix root (scipy.linalg.sqrtm)": by_root,
    }
    ours = base = 0.0
    for name, way in ways.items():
        start = time.perf_counter()
        value = way()
        spent = time.perf_counter() - start
        ours, base = (value, spent) if not base else (ours, base)
        print(f"{name:42} {spent:7.2f} s  {spent / base:6.2f}  {value:.10g}  "
              f"relative difference {abs(value / ours - 1):.1e}", flush=True)  # fmt: skip


def everything(n: int) -> None:
    """Evaluate n synthetic images against n held-out ones, with n to train extractors with."""
    with tempfile.TemporaryDirectory() as folder:
        make = [sys.executable, __file__, "make", "--n", str(n), "--folder", folder]
        subprocess.run(make, check=True)  # elsewhere, so that its memory is not counted
        from mrgantry.evaluation import evaluate

        start = time.perf_counter()
        evaluate(Path(folder, "real"), Path(folder, "out"), [Path(folder, "synthetic")])
        spent = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{n:7,} images a side: {spent:6.0f} s, {memory:.1f} GiB", flush=True)


def make(n: int, folder: Path) -> None:
    """Write a real set, half to train with, and a synthetic one."""
    write(folder / "real", 2 * n, synthetic=False)
    write(folder / "synthetic", n, synthetic=True)


def write(folder: Path, count: int, *, synthetic: bool) -> None:
    """Write a set of blobs: fifty images a subject."""
    from mrgantry.data.about import About
    from mrgantry.data.making import begin_set, finish
    from mrgantry.data.parts import COLUMNS, write_part

    about = About(channels=("t1",), size=SIZE, command="benchmark", choices={}, versions={},
                  synthetic=synthetic)  # fmt: skip
    begin_set(folder, about)
    parts = []
    for number, start in enumerate(range(0, count, 50)):
        name = f"s{number:04}"
        table = pd.DataFrame("", index=range(min(50, count - start)), columns=list(COLUMNS))
        table["id"] = [f"{name}-{row:02}" for row in table.index]
        if not synthetic:
            table["subject"] = name
            table["split"] = "train" if start < count // 2 else "test"
        table[["index", "position_mm", "pixel_mm", "tumour_mm2"]] = 1
        write_part(folder, name, blobs(len(table), number + 10_000 * synthetic), table)
        parts.append(name)
    finish(folder, about, parts)


def blobs(count: int, seed: int) -> np.ndarray:
    """Draw images with a smooth blob and some noise each."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    centres = random.uniform(0.3, 0.7, (count, 2, 1, 1)) + random.normal(0, 0.03, (2, 1, 1))
    squares = (y - centres[:, 0]) ** 2 + (x - centres[:, 1]) ** 2
    images = 1.8 * np.exp(-squares / 0.02) - 0.9 + random.normal(0, 0.03, squares.shape)
    return images[:, None].astype(np.float16)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["frechet", "all", "make"])
    parser.add_argument("--n", type=int)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.what == "frechet":
        frechet()
    elif given.what == "make":
        make(given.n, given.folder)
    elif given.n:
        everything(given.n)
    else:
        for size in SIZES:  # each in a process of its own, whose peak of memory it shows
            subprocess.run([sys.executable, __file__, "all", "--n", str(size)], check=True)
