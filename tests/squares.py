"""Sets for the experiment: blobs, and a bright square as the tumour."""

import json

import numpy as np

from conftest import write_slices
from mrgantry.data.slices import SliceSet


def heads(subjects, each, size=24, seed=0):
    """Images of people whose heads differ, every other one with a small bright square.

    What a square and its surroundings look like depends on the person.
    """
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    images, tumours = [], []
    for _ in range(subjects):
        centre, width = random.uniform(0.4, 0.6, 2), random.uniform(0.15, 0.3)
        level, side = random.uniform(0.35, 1.1), random.integers(3, 5)
        for number in range(each):
            head = 1.4 * np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / (2 * width**2)) - 1
            head += 0.15 * random.standard_normal(head.shape)
            if number % 2:
                i, j = random.integers(size // 4, 3 * size // 4 - side, 2)
                head[i : i + side, j : j + side] += level
            images.append(head.clip(-1, 1))
            tumours.append("yes" if number % 2 else "no")
    return np.stack(images)[:, None].astype(np.float16), tumours


def write(folder, subjects, each, splits, size=24, seed=0, first=0) -> SliceSet:
    """Write a real set; `splits` says how many people train, validate and test."""
    images, tumours = heads(subjects, each, size, seed)
    names = [f"p{first + number:03d}" for number in range(subjects)]
    where = np.repeat(("train", "validation", "test"), splits)
    return write_slices(
        folder,
        images,
        list(np.repeat(names, each)),
        list(np.repeat(where, each)),
        tumour=tumours,
    )


def as_synthetic(folder, images, tumours, seen) -> SliceSet:
    """Pass images off as a generator's that has seen these people."""
    count = len(images)
    made = write_slices(
        folder, images, ["block"] * count, [""] * count, synthetic=True, tumour=tumours
    )
    path = folder / "about.json"
    about = json.loads(path.read_text()) | {"training_subjects": list(seen)}
    path.write_text(json.dumps(about))
    return SliceSet.open(made.folder)
