"""From scans to slices: speed as ratios to what people would write, and memory.

    python benchmarks/scans.py            all tables
    python benchmarks/scans.py --volumes 20 --many 200     smaller

Compared are `prepare` with a plain nibabel and SciPy loop and with a MONAI pipeline
that make the same slices of the same files; oblique poses with SciPy's
`affine_transform`; and a run over many small volumes, by local processes and by a
local Dask cluster, with the highest memory of the parent and of any worker.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np
import psutil
import torch
import torch.nn.functional as F
from rich import box
from rich.console import Console
from rich.table import Table
from scipy import ndimage

from mrgantry.data import SlicePlan, prepare
from mrgantry.data.oblique import POSES, Pose, StoredHead, draw_poses, placed
from mrgantry.simulation import simulate

PLAN = SlicePlan(sequences=("t1",), slices="60:110", size=64)
ROUNDS = 2
Row = tuple[str, str, str]


def cohort(folder: Path, volumes: int) -> Path:
    """Simulate four subjects, and give each of them several names."""
    made = simulate(folder / "made", subjects=4, sequences=("t1",), healthy=1.0)
    scans = sorted(made.rglob("*_t1.nii.gz"))
    for number in range(volumes):
        place = folder / f"scans/p{number:03d}"
        place.mkdir(parents=True)
        shutil.copy(scans[number % len(scans)], place / f"p{number:03d}_t1.nii.gz")
    return folder / "scans"


def prepared_by_us(scans: Path, out: Path, workers: int) -> np.ndarray:
    """Prepare with mrgantry; give the first subject's slices."""
    made = prepare(scans, out, PLAN, workers=workers)
    return made.where((made.table["subject"] == "p000").to_numpy()).images


def prepared_by_scipy(scans: Path, out: Path) -> np.ndarray:
    """Prepare as a careful script would: nibabel to read, SciPy for the rest."""
    out.mkdir()
    for path in sorted(scans.rglob("*.nii.gz")):
        voxels = nib.as_closest_canonical(nib.load(path)).get_fdata(dtype=np.float32)
        objects, _ = ndimage.label(voxels > 0)
        brain = ndimage.binary_fill_holes(objects == np.bincount(objects.ravel())[1:].argmax() + 1)
        low, high = np.percentile(voxels[brain], PLAN.percentiles)
        slices = []
        for level in range(int(PLAN.extent.low), int(PLAN.extent.high)):
            unit = np.clip((voxels[:, :, level] - low) * 2 / (high - low) - 1, -1, 1)
            upright = np.where(brain[:, :, level], unit, -1)[::-1, ::-1].T
            factor = PLAN.size / upright.shape[0]
            smooth = ndimage.gaussian_filter(upright, 0.5 / factor)
            slices.append(ndimage.zoom(smooth, factor, order=1, grid_mode=True, mode="nearest"))
        np.save(out / f"{path.parent.name}.npy", np.stack(slices)[:, None].astype(np.float16))
    return np.load(out / "p000.npy")


def prepared_by_monai(scans: Path, out: Path) -> np.ndarray:
    """Prepare with MONAI's own transforms."""
    from monai import transforms as T

    out.mkdir()
    read = T.Compose(
        [T.LoadImage(image_only=True), T.EnsureChannelFirst(), T.Orientation("RAS", labels=None)]
    )
    mask = T.Compose([T.KeepLargestConnectedComponent(), T.FillHoles()])
    resize = T.Resize((PLAN.size, PLAN.size), mode="bilinear", anti_aliasing=True)
    low, high = int(PLAN.extent.low), int(PLAN.extent.high)
    for path in sorted(scans.rglob("*.nii.gz")):
        volume = read(path)
        brain = mask((volume > 0).float()) > 0
        bottom, top = np.percentile(volume[brain].numpy(), PLAN.percentiles)
        scale = T.ScaleIntensityRange(float(bottom), float(top), -1, 1, clip=True)
        unit = torch.where(brain, scale(volume), -1)[0, :, :, low:high]
        stack = unit.flip(0, 1).permute(2, 1, 0)
        slices = np.stack([np.asarray(resize(one[None])) for one in stack])
        np.save(out / f"{path.parent.name}.npy", slices.astype(np.float16))
    return np.load(out / "p000.npy")


def prepare_rows(volumes: int) -> list[Row]:
    """Time all ways, one thread each, in turns; the slow ones on a fifth of the files."""
    torch.set_num_threads(1)
    ways: dict[str, Callable[[Path, Path], np.ndarray]] = {
        "nibabel + SciPy loop": prepared_by_scipy,
        "MONAI pipeline": prepared_by_monai,
        "mrgantry, 1 process": lambda scans, out: prepared_by_us(scans, out, 1),
        "mrgantry, 2 processes": lambda scans, out: prepared_by_us(scans, out, 2),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    images: dict[str, np.ndarray] = {}
    with TemporaryDirectory() as folder:
        all_scans = cohort(Path(folder), volumes)
        some_scans = cohort(Path(folder) / "some", max(1, volumes // 5))
        for turn in range(ROUNDS):
            for number, (name, way) in enumerate(ways.items()):
                out = Path(folder) / f"out-{turn}-{number}"
                scans = all_scans if name.startswith("mrgantry") else some_scans
                began = time.perf_counter()
                images[name] = way(scans, out)
                seconds[name].append((time.perf_counter() - began) / len(list(scans.iterdir())))
                shutil.rmtree(out)
    ours = images["mrgantry, 1 process"].astype(np.float32)
    for name, other in images.items():
        same = np.corrcoef(ours.ravel(), other.astype(np.float32).ravel())[0, 1]
        if other.shape != ours.shape or same < 0.98:
            raise RuntimeError(f"{name} makes other slices (correlation {same:.3f})")
    best = {name: min(times) for name, times in seconds.items()}
    plain = best["nibabel + SciPy loop"]
    return [
        (name, f"{1 / took:.2f} volumes/s", f"{plain / took:.2f}") for name, took in best.items()
    ]


def oblique_rows() -> list[Row]:
    """Time drawing poses of a 256 x 256 x 124 volume at 256 x 256."""
    random = np.random.default_rng(0)
    voxels = random.uniform(-1, 1, (1, 256, 256, 124)).astype(np.float16)
    affine = np.diag([0.94, 0.94, 1.5, 1.0])
    affine[:3, 3] = (-120, -120, -93)
    stored = StoredHead(voxels, affine, np.zeros(3))
    poses = [Pose.at(int(index)) for index in random.integers(0, POSES, 64)]
    single = voxels[0].astype(np.float32)
    to_voxels = np.linalg.inv(affine)

    def scipy_loop() -> None:
        for pose in poses[:16]:
            matrix = to_voxels @ placed(pose, 0.94, 256, stored.centre)
            ndimage.affine_transform(
                single, matrix[:3, :3], matrix[:3, 3], (256, 256, 1), order=1, cval=-1
            )

    def three_dimensional() -> None:
        maps = [to_voxels @ placed(pose, 0.94, 256, stored.centre) for pose in poses[:16]]
        units = np.diag([2 / 255, 2 / 255, 2 / 123, 1.0])
        units[:3, 3] = -1
        theta = torch.from_numpy(np.stack([units @ one for one in maps]))[:, :3].float()
        steps = torch.arange(256.0)
        row, column = torch.meshgrid(steps, steps, indexing="ij")
        points = torch.stack([column, row, 0 * row, 0 * row + 1], -1)
        grid = torch.einsum("nkj,hwj->nhwk", theta, points)[:, None]
        stack = torch.from_numpy(single.transpose(2, 1, 0).copy())[None, None]
        F.grid_sample(stack.expand(16, -1, -1, -1, -1), grid, align_corners=True)

    head = stored.lay_out()

    def ours() -> object:
        return draw_poses([head], [(0, pose) for pose in poses], 256, 240.64)

    rows = []
    slow = 0.0
    for threads in (1, 2):
        torch.set_num_threads(threads)
        ways: dict[str, tuple[int, Callable[[], object]]] = {
            "3-D grid_sample": (16, three_dimensional),
            "mrgantry": (64, ours),
        }
        if threads == 1:
            ways = {"SciPy affine_transform, linear": (16, scipy_loop)} | ways
        for name, (count, way) in ways.items():
            took = min(_timed(way) for _ in range(ROUNDS)) / count
            slow = slow or took
            told = "" if name.startswith("SciPy") else f", {threads} threads"
            rows.append((name + told, f"{1 / took:.0f} poses/s", f"{slow / took:.1f}"))
    return rows


def _timed(way: Callable[[], object]) -> float:
    began = time.perf_counter()
    way()
    return time.perf_counter() - began


def many_rows(many: int) -> list[Row]:
    """Run over few and many small volumes, each in a fresh process that reports its memory."""
    rows = []
    with TemporaryDirectory() as folder:
        for count in (many // 4, many):
            scans = small_cohort(Path(folder) / f"scans-{count}", count)
            for way in ("processes", "dask"):
                out = Path(folder) / f"out-{count}-{way}"
                command = [sys.executable, __file__, "--child", way, str(scans), str(out)]
                done = subprocess.run(command, capture_output=True, check=True, text=True)
                told = json.loads(done.stdout.splitlines()[-1])
                rows.append(
                    (
                        f"{count:,} volumes, {'2 processes' if way == 'processes' else 'Dask, 2'}",
                        f"{count / told['seconds']:.0f} volumes/s",
                        f"{told['parent']:.0f} and {told['worker']:.0f} MB",
                    )
                )
    return rows


def small_cohort(folder: Path, count: int) -> Path:
    """Write many small simulated heads: noisy ellipsoids of 64 x 72 x 56 voxels."""
    random = np.random.default_rng(0)
    shape = (64, 72, 56)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"))
    for number in range(count):
        stretch = 0.7 + 0.2 * random.random((3, 1, 1, 1))
        inside = ((grid / stretch) ** 2).sum(0) < 1
        voxels = np.where(inside, 300 + 100 * grid[1] + random.normal(0, 20, shape), 0)
        image = nib.Nifti1Image(voxels.astype(np.int16), np.diag([3.0, 3.0, 3.0, 1.0]))
        image.header["descrip"] = "simulated"
        place = folder / f"p{number:04d}"
        place.mkdir(parents=True)
        nib.save(image, place / "t1.nii.gz")
    return folder


def child(way: str, scans: Path, out: Path) -> None:
    """Prepare one folder and print seconds and the highest memory in MB."""
    plan = SlicePlan(slices="0.2:0.8", size=64)
    peaks = Peaks()
    if way == "dask":
        from distributed import LocalCluster

        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
            took = _timed(lambda: prepare(scans, out, plan, cluster=cluster.scheduler_address))
            peaks.look()
    else:
        took = _timed(lambda: prepare(scans, out, plan, workers=2))
    print(json.dumps({"seconds": took, "parent": peaks.parent, "worker": peaks.worker}))


class Peaks(threading.Thread):
    """Watch the highest memory in MB that this process and any of its children held.

    Read from /proc: what `getrusage` tells includes the process that started this one.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.parent = self.worker = 0.0
        self.start()

    def run(self) -> None:
        """Look ten times a second; a process that has ended tells nothing any more."""
        while True:
            self.look()
            time.sleep(0.1)

    def look(self) -> None:
        """Read the high-water marks."""
        me = psutil.Process()
        self.parent = max(self.parent, high_water(me.pid))
        for module in me.children(recursive=True):
            self.worker = max(self.worker, high_water(module.pid))


def high_water(pid: int) -> float:
    """Give a process's highest memory in MB, 0 if it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in text.splitlines() if "VmHWM" in line), 0.0)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--volumes", type=int, default=120)
    parser.add_argument("--many", type=int, default=1000)
    parser.add_argument("--child", nargs=3, metavar=("WAY", "SCANS", "OUT"))
    chosen = parser.parse_args()
    if chosen.child:
        child(chosen.child[0], Path(chosen.child[1]), Path(chosen.child[2]))
        return
    console = Console()
    for title, last, rows in (
        ("Scans of 240 x 240 x 155 to 50 slices", "ratio", lambda: prepare_rows(chosen.volumes)),
        ("Oblique poses at 256 x 256", "ratio", oblique_rows),
        ("Small volumes, memory", "parent and worker", lambda: many_rows(chosen.many)),
    ):
        table = Table("way", "rate", last, box=box.SIMPLE_HEAD, title=title)
        for row in rows():
            table.add_row(*row)
        console.print(table)
    console.print(f"{os.cpu_count()} cores, torch {torch.__version__}")


if __name__ == "__main__":
    main()
