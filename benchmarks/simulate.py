"""What a simulated person costs, and how much simulated people differ.

`python benchmarks/simulate.py` times healthy and tumour subjects on one core, with one
thread and the template already cached, from nothing to four scans and labels on disk.
`--diversity` draws 200 healthy people and compares one axial level of their T1.
`--realism` puts numbers on what a look at the images finds wrong, over 20 tumour subjects.
"""

import argparse
import resource
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table
from scipy import ndimage
from torch import Tensor

from mrgantry.simulation import simulate
from mrgantry.simulation.anatomy import CANVAS, GRID, draw_head, to_template
from mrgantry.simulation.fields import refine, stream
from mrgantry.simulation.patient import Patient, draw_patient
from mrgantry.simulation.template import load_template

LEVEL = 80  # axial voxel of the canvas: through the lateral ventricles
TIMED, ROUNDS = 4, 3  # subjects a cohort, cohorts a kind


def main() -> None:
    """Print one of the two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--diversity", action="store_true")
    parser.add_argument("--realism", action="store_true")
    parser.add_argument("--subjects", type=int, help="200 for diversity, 20 for realism")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    load_template()
    if chosen.diversity:
        rows = diversity(chosen.subjects or 200, chosen.seed)
    elif chosen.realism:
        rows = realism(chosen.subjects or 20, chosen.seed)
    else:
        rows = costs(chosen.device)
    table = Table("figure", "value", box=box.SIMPLE_HEAD)
    for name, value in rows.items():
        table.add_row(name, value)
    Console(width=100).print(table)


def costs(device: str) -> dict[str, str]:
    """Time cohorts of each kind, all four sequences, preview and files included."""
    found = {}
    for kind, healthy in (("healthy", 1.0), ("tumour", 0.0)):
        wall, busy = [], []
        for seed in range(ROUNDS):
            with TemporaryDirectory() as folder:
                started, used = time.perf_counter(), time.process_time()
                simulate(Path(folder) / "cohort", TIMED, seed, healthy, workers=1, device=device)
                wall.append((time.perf_counter() - started) / TIMED)
                busy.append((time.process_time() - used) / TIMED)
        found[f"s a subject, {kind}, wall: least, median"] = (
            f"{min(wall):.2f}, {statistics.median(wall):.2f}"
        )
        found[f"s a subject, {kind}, CPU: least, median"] = (
            f"{min(busy):.2f}, {statistics.median(busy):.2f}"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # KiB on Linux
    return found | {"peak memory of the process, GiB": f"{peak:.2f}"}


def diversity(subjects: int, seed: int) -> dict[str, str]:
    """Compare people at one axial level: pairs of the first 20, components of all."""
    levels = np.stack([axial_t1(seed, number) for number in range(1, subjects + 1)])
    first = levels[:20]
    pairs = [(a, b) for i, a in enumerate(first) for b in first[:i]]
    correlation = statistics.mean(correlation_in_brain(a, b) for a, b in pairs)
    similarity = statistics.mean(ssim_in_brain(a, b) for a, b in pairs)
    small = ndimage.uniform_filter(levels, (0, 3, 3))[:, 1::3, 1::3].reshape(subjects, -1)
    variance = np.linalg.svd(small - small.mean(0), compute_uv=False) ** 2
    share = np.cumsum(variance) / variance.sum()
    return {
        f"mean correlation of the pairs of {len(first)}": f"{correlation:.3f}",
        f"mean SSIM of the pairs of {len(first)}": f"{similarity:.3f}",
        **{
            f"components for {part:.0%} of the variance of {subjects} slices": str(
                int((share < part).sum()) + 1
            )
            for part in (0.55, 0.95)
        },
    }


def realism(subjects: int, seed: int) -> dict[str, str]:
    """Measure lesions in FLAIR, fluid in the cortex and the thickness of the insula."""
    found = []
    for number in range(1, subjects + 1):
        patient = draw_patient(load_template(), seed, number, "HGG")
        found.append(
            lesion_in_flair(patient) | bubbles(patient) | insula(patient) | volumes(patient)
        )
    return {key: f"{statistics.median(one[key] for one in found):.3g}" for key in found[0]}


def volume_of(patient: Patient, values: Tensor) -> NDArray[np.float32]:
    """Put values of a patient's voxels into the box; 0 elsewhere."""
    volume = np.zeros(patient.anatomy.box.size, np.float32)
    volume.reshape(-1)[patient.anatomy.voxels] = values
    return volume


def lesion_in_flair(patient: Patient) -> dict[str, float]:
    """Measure how uneven the tumour is in FLAIR, and how much of it is shown as white."""
    scan, labels = patient.scan("flair").numpy(), patient.labels().numpy()
    lesion, brain = scan[labels > 0], scan[scan > 0]
    edges = np.percentile(lesion, [5, 95]) / np.median(brain[brain > np.median(brain) / 2])
    return {
        "FLAIR, lesion, 5th percentile over brain's median": edges[0],
        "FLAIR, lesion, 95th percentile over brain's median": edges[1],
        "FLAIR, lesion, coefficient of variation": lesion.std() / lesion.mean(),
        "FLAIR, lesion, share within 15 % of its 99th percentile": float(
            (lesion > 0.85 * np.percentile(lesion, 99)).mean()
        ),
    }


def bubbles(patient: Patient) -> dict[str, float]:
    """Count fluid that is shut in: 3 to 100 voxels, wider than half as long."""
    fluid = volume_of(patient, patient.anatomy.tissues[[2, 4]].sum(0)) > 0.5
    parts, _ = ndimage.label(fluid)
    count = 0
    for number, where in enumerate(ndimage.find_objects(parts), start=1):
        sides = [s.stop - s.start for s in where]
        size = int((parts[where] == number).sum()) if max(sides) <= 10 else 0
        count += 3 <= size <= 100 and min(sides) >= max(sides) / 2
    return {"round fluid bubbles": count}


def insula(patient: Patient) -> dict[str, float]:
    """Measure the thickness of grey matter at the insula: a sheet is 4 mean depths thick."""
    template = load_template()
    head = draw_head(template, stream(patient.seed, patient.number, "head"))
    points = to_template(template, head, head.velocity) + torch.tensor(template.origin).reshape(
        3, 1, 1, 1
    )
    x, y, z = refine(points, GRID, patient.anatomy.box).numpy()
    grey = volume_of(patient, patient.anatomy.tissues[1]) > 0.5
    place = (np.abs(x) > 34) & (np.abs(x) < 44) & (y > -15) & (y < 18) & (z > -6) & (z < 12)
    depth = ndimage.distance_transform_edt(grey) - 0.5
    return {"thickness of the insula, mm": 4 * float(depth[grey & place].mean())}


def volumes(patient: Patient) -> dict[str, float]:
    """Give the volumes of brain and tumour in cm3."""
    labels = patient.labels().numpy()
    return {
        "brain, cm3": int(patient.anatomy.brain.sum()) / 1000,
        **{
            f"{name}, cm3": int((labels == label).sum()) / 1000
            for name, label in (("necrosis", 1), ("oedema", 2), ("enhancing", 4))
        },
    }


def axial_t1(seed: int, number: int) -> NDArray[np.float64]:
    """Scan a healthy person's T1 and cut out one level, its brain scaled to 0 to 1."""
    patient = draw_patient(load_template(), seed, number, "healthy")
    volume = np.zeros(CANVAS)
    volume[patient.anatomy.box.slices()] = patient.scan("t1").numpy()
    level = volume[:, :, LEVEL]
    return np.clip(level / np.percentile(level[level > 0], 99.5), 0, 1)


def correlation_in_brain(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Correlate two images where both show brain."""
    both = (a > 0) & (b > 0)
    return float(np.corrcoef(a[both], b[both])[0, 1])


def ssim_in_brain(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Average the structural similarity of 7x7 windows where both images show brain.

    Source: Wang et al., IEEE TIP 13 (2004) 600, eq. 13.
    """
    mean_a, mean_b = (ndimage.uniform_filter(image, 7) for image in (a, b))
    var_a = ndimage.uniform_filter(a * a, 7) - mean_a**2
    var_b = ndimage.uniform_filter(b * b, 7) - mean_b**2
    both = ndimage.uniform_filter(a * b, 7) - mean_a * mean_b
    brightness = (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2)
    structure = (2 * both + 0.03**2) / (var_a + var_b + 0.03**2)
    return float((brightness * structure)[(a > 0) & (b > 0)].mean())


if __name__ == "__main__":
    main()
