"""Train the start that comes with mrgantry: `python -m mrgantry.workflows.heads OUT`.

OUT gets a set of slices of simulated heads of all sequences, planes and fields of view, with
and without tumours, a run trained on them, and `heads-SIZE.safetensors`, its weights in half
precision with what they were trained on. Nobody else gets these heads: `simulate` refuses their
seed. Interrupted, the same command goes on.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float16

from mrgantry.common.progress import progress
from mrgantry.common.provenance import versions
from mrgantry.common.workers import each
from mrgantry.data.plan import Plane, SlicePlan
from mrgantry.data.scan import Scan
from mrgantry.data.sections import cut_stack
from mrgantry.data.slices import About, SliceSet, begin_set, finish, has_part, write_part
from mrgantry.data.subjects import Subject
from mrgantry.data.volume import Volume
from mrgantry.generate.recipe import FlowRecipe
from mrgantry.generate.start import save_start
from mrgantry.generate.training_run import train
from mrgantry.papers.gantry import gantry_recipe
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
LEAST_BRAIN = 0.35  # of the fullest slice: what people train on shows a good part of the brain


def cut_heads(folder: Path, people: int, size: int) -> SliceSet:
    """Cut simulated heads into a set of slices, using all cores; it is not written as scans.

    Args:
        folder: Where the set goes.
        people: How many heads; every tenth is held out for validation.
        size: Height and width of the images in pixels.
    """
    about = About(
        source="simulated",
        channels=("pooled",),
        size=size,
        command=f"python -m mrgantry.workflows.heads {folder.parent} --people {people}",
        choices={"seed": SEED, "people": people},
        versions=versions(),
    )
    begin_set(folder, about)
    load_template()  # prepared once, before several processes want it
    numbers = range(1, people + 1)
    names = [person_name(SEED, number) for number in numbers]
    missing = [n for n, name in zip(numbers, names, strict=True) if not has_part(folder, name)]
    with progress("heads", people, people - len(missing)) as advance:
        for _ in each(partial(_cut_head, folder=folder, size=size), missing):
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
    rows = pd.concat(tables).assign(split="validation" if number % 10 == 0 else "train")
    write_part(folder, subject.id, np.concatenate(images), rows)


def scan_of(patient: Patient, sequence: str) -> Scan:
    """Scan a simulated patient into memory, skull-stripped as a file would be."""
    voxels = patient.scan(sequence).numpy().astype(np.float32)
    volume = Volume(voxels, np.eye(4), "RAS", simulated=True)
    return Scan([volume], voxels != 0, "foreground", patient.labels().numpy() > 0)


def heads_recipe(size: int, images: int) -> FlowRecipe:
    """Give the recipe of the weights: that of gantry-SIZE, told all there is.

    At 64 pixels it begins with nothing. At more, only what sees details is learnt: the body of the
    network is that of 64 pixels, which is then kept once for all sizes.
    """
    recipe = gantry_recipe(size)
    update: dict[str, Any] = {
        "name": f"heads-{size}",
        "images": images,
        "ema": 20_000,
        "start": None,
        "labels": ("tumour", "sequence", "plane"),
    }
    if size > BODY:
        network = recipe.network.model_copy(update={"learns": "details"})
        update |= {"start": f"heads-{BODY}", "network": network}
    return recipe.model_copy(update=update)


def main() -> None:
    """Cut heads, train on them and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, default=64, choices=(64, 128, 256))
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--images", type=int, default=IMAGES)
    options = parser.parse_args()
    slices, run = options.out / "slices", options.out / "run"
    cut_heads(slices, options.people, options.size)
    done = train(slices, run, heads_recipe(options.size, options.images))
    command = (
        f"python -m mrgantry.workflows.heads OUT --size {options.size} --people {options.people}"
    )
    path = options.out / f"heads-{options.size}.safetensors"
    save_start(path, done, f"{NOTICE} {CITATION}", f"{command} --images {options.images}")
    print(f"{path} holds {path.stat().st_size / 1e6:.1f} MB.")


if __name__ == "__main__":
    main()
