"""Train the start that comes with mrgantry: `python -m mrgantry.workflows.heads OUT`.

OUT gets a set of slices of simulated heads of all sequences, planes and fields of view, with
and without tumours, a run trained on them, and `heads-SIZE.safetensors`, its weights in half
precision with what they were trained on. Nobody else gets these heads: `simulate` refuses their
seed. With a size of three numbers, as 64x72x64, the set holds whole heads, each of them turned as
heads lie in scanners. Interrupted, the same command goes on.
"""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from jaxtyping import Float, Float16
from scipy.spatial.transform import Rotation

from mrgantry.common.progress import progress
from mrgantry.common.provenance import versions
from mrgantry.common.workers import each
from mrgantry.data.about import About
from mrgantry.data.heads import keep_head
from mrgantry.data.making import begin_set, finish
from mrgantry.data.parts import has_part, write_part
from mrgantry.data.plan import Plane, SlicePlan, Voxels
from mrgantry.data.resample import Grid, resample
from mrgantry.data.scan import Scan
from mrgantry.data.sections import cut_stack
from mrgantry.data.slices import SliceSet
from mrgantry.data.subjects import Subject
from mrgantry.data.volume import Volume
from mrgantry.generate.recipe import FlowRecipe
from mrgantry.generate.start import save_start
from mrgantry.generate.training_run import train
from mrgantry.papers import find_recipe
from mrgantry.simulation.cohort import person_name
from mrgantry.simulation.contrast import SEQUENCES
from mrgantry.simulation.patient import Patient, draw_patient
from mrgantry.simulation.template import CITATION, NOTICE, load_template

PEOPLE, IMAGES = 480, 200_000
SEED = 1_000_000_017  # reserved; 1,000,000,016 made the brain network's heads
GRADES = ("healthy", "HGG", "healthy", "LGG")  # of one person after the other
PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")
FIELD_MM = (172, 242)  # side of the images, of each person another
LOWEST, HIGHEST = (0.08, 0.16), 0.92  # of the brain's extent
BODY = 64  # pixels of the images from which the body of the network learns
SPACING = 9  # millimetres from one slice to the next
# Whole heads: degrees by which they are turned about the axes to the right, front and top.
TURNS = (12.0, 4.0, 4.0)
LEAST_BRAIN = 0.35  # of the fullest slice: what people train on shows a good part of the brain


def cut_heads(folder: Path, people: int, recipe: FlowRecipe, command: str = "") -> SliceSet:
    """Make a set of simulated heads, using all cores; they are not written as scans.

    Args:
        folder: Where the set goes.
        people: How many heads; a tenth is held out for validation.
        recipe: What is trained on it: on slices, or on whole heads.
        command: That makes the set and the weights.
    """
    about = About(
        source="simulated",
        channels=("pooled",),
        size=recipe.size,
        voxels=recipe.voxels or (),
        command=command,
        choices={"seed": SEED, "people": people},
        versions=versions(),
    )
    begin_set(folder, about)
    load_template()  # prepared once, before several processes want it
    numbers = range(1, people + 1)
    names = [person_name(SEED, number) for number in numbers]
    missing = [n for n, name in zip(numbers, names, strict=True) if not has_part(folder, name)]
    work = (
        partial(_keep_head, folder=folder, voxels=recipe.voxels)
        if recipe.voxels
        else partial(_cut_head, folder=folder, size=recipe.size)
    )
    with progress("heads", people, people - len(missing)) as advance:
        for _ in each(work, missing):
            advance()
    return finish(folder, about, names)


def _cut_head(number: int, folder: Path, size: int) -> None:
    """Cut one head in all sequences and planes, and write its part."""
    grade = GRADES[number % len(GRADES)]
    patient = draw_patient(load_template(), SEED, number, grade)
    random = np.random.default_rng((SEED, number))
    field, low = random.uniform(*FIELD_MM), random.uniform(*LOWEST)
    images: list[Float16[np.ndarray, "n c h w"]] = []
    tables = []
    subject = Subject(person_name(SEED, number), {})
    for sequence in SEQUENCES:
        scan = scan_of(patient, sequence)
        for plane in PLANES:
            plan = SlicePlan(
                sequences=(sequence,),
                plane=plane,
                slices=f"{low:.3f}:{HIGHEST}:{SPACING}",
                size=size,
                field_mm=field,
                min_brain=LEAST_BRAIN,
            )
            made = cut_stack(scan, subject, (sequence,), plan)
            clear = (made.rows["tumour"] != "unclear").to_numpy()
            images.append(np.asarray(made.images)[clear])
            tables.append(made.rows[clear])
    rows = pd.concat(tables).assign(split=split_of(number))
    write_part(folder, subject.id, np.concatenate(images), rows)


def _keep_head(number: int, folder: Path, voxels: Voxels) -> None:
    """Keep one head in all sequences as volumes, and write its part."""
    patient = draw_patient(load_template(), SEED, number, GRADES[number % len(GRADES)])
    turn = np.random.default_rng((SEED, number)).uniform(-1, 1, 3) * TURNS
    subject = Subject(person_name(SEED, number), {})
    plan = SlicePlan(plane="volume", voxels=voxels)
    made = [
        keep_head(
            turned(scan_of(patient, sequence), turn, plan.cube_mm), subject, (sequence,), plan
        )
        for sequence in SEQUENCES
    ]
    rows = pd.concat([head.rows for head in made])
    rows = rows.assign(split=split_of(number))
    write_part(folder, subject.id, np.concatenate([head.images for head in made]), rows)


def split_of(number: int) -> str:
    """Hold every tenth four people out, so that all grades are in both splits."""
    return "validation" if number // len(GRADES) % 10 == 0 else "train"


def turned(scan: Scan, degrees: Float[np.ndarray, "3"], voxel_mm: float) -> Scan:
    """Turn a scan about its middle, and read it on cubes.

    Args:
        scan: Of one volume.
        degrees: About the axes to the right, to the front and to the top.
        voxel_mm: Side of the cubes.
    """
    volume = scan.volumes[0]
    middle = (np.array(volume.voxels.shape) - 1) / 2
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    affine[:3, 3] = -affine[:3, :3] @ middle
    side = int(np.ceil(np.linalg.norm(volume.voxels.shape) / voxel_mm))
    cubes = np.diag([voxel_mm] * 3 + [1.0])
    cubes[:3, 3] = -voxel_mm * (side - 1) / 2
    grid = Grid((side, side, side), cubes, "RAS")

    def read(voxels: np.ndarray, how: Literal["linear", "nearest"]) -> Volume:
        placed = replace(volume, voxels=voxels.astype(np.float32), affine=affine)
        return resample(placed, grid, how)

    tumour = None if scan.tumour is None else read(scan.tumour, "nearest").voxels > 0.5
    brain = read(scan.brain, "nearest").voxels > 0.5
    return Scan([read(volume.voxels, "linear")], brain, scan.brain_from, tumour)


def scan_of(patient: Patient, sequence: str) -> Scan:
    """Scan a simulated patient into memory, skull-stripped as a file would be."""
    voxels = patient.scan(sequence).numpy().astype(np.float32)
    volume = Volume(voxels, np.eye(4), "RAS", simulated=True)
    return Scan([volume], voxels != 0, "foreground", patient.labels().numpy() > 0)


def heads_recipe(size: str, images: int) -> FlowRecipe:
    """Give the recipe of the weights: that of gantry-SIZE, told all there is.

    Of slices of 64 pixels it begins with nothing. Of larger slices only what sees details is
    learnt: the body of the network is that of 64 pixels, which is kept once for all. Whole heads
    begin with slices, as everybody's do.
    """
    recipe = cast(FlowRecipe, find_recipe(f"gantry-{size}"))
    labels = ("tumour", "sequence") if recipe.voxels else ("tumour", "sequence", "plane")
    update: dict[str, Any] = {
        "name": f"heads-{size}",
        "images": images,
        "ema": recipe.ema if recipe.voxels else 20_000,
        "start": f"heads-{recipe.voxels[0]}" if recipe.voxels else None,
        "labels": labels,
    }
    if recipe.voxels:
        update["stop"] = None  # all the heads that are asked for, however little each still adds
    if recipe.size > BODY and not recipe.voxels:
        network = recipe.network.model_copy(update={"learns": "details"})
        update |= {"start": f"heads-{BODY}", "network": network}
    return recipe.model_copy(update=update)


def main() -> None:
    """Cut heads, train on them and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", default="64", choices=("64", "128", "256", "64x72x64"))
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--images", type=int, default=IMAGES)
    options = parser.parse_args()
    slices, run = options.out / "slices", options.out / "run"
    recipe = heads_recipe(options.size, options.images)
    command = (
        f"python -m mrgantry.workflows.heads OUT --size {options.size} --people {options.people} "
        f"--images {options.images}"
    )
    cut_heads(slices, options.people, recipe, command)
    done = train(slices, run, recipe)
    path = options.out / f"heads-{options.size}.safetensors"
    save_start(path, done, f"{NOTICE} {CITATION}", command)
    print(f"{path} holds {path.stat().st_size / 1e6:.1f} MB.")


if __name__ == "__main__":
    main()
