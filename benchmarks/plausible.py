"""How many real and how many spoilt images `mrgantry select` would discard.

    python benchmarks/plausible.py SLICES [SYNTHETIC ...]

Subjects of a real set are dealt anew into training and held-out ones, as many to train with
as the set's own split has. The limit comes from the former. What is discarded of the latter
should be 5 %; what is discarded of the same images once they are spoilt, much more.
"""

import sys
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from scipy.ndimage import gaussian_filter

from mrgantry.data.slices import SliceSet
from mrgantry.evaluation.brain.features import brain_networks
from mrgantry.evaluation.extractors.features import Images, random_network
from mrgantry.evaluation.measures.manifold import kth_nearest
from mrgantry.evaluation.selection.plausible import NOBODY, USUAL, fit_distances

DEALS = 20
KEEP = 0.95


def spoilt(images: Images, seed: int) -> dict[str, Images]:
    """Spoil images in several ways."""
    random = np.random.default_rng(seed)
    plain = images.astype(np.float32)
    size = plain.shape[-1]
    others = plain[random.permutation(len(plain))]
    halves, hole = plain.copy(), plain.copy()
    halves[..., : size // 2] = others[..., : size // 2]
    half_heads = plain.copy()
    half_heads[..., size // 2 :] = -1
    middle = slice(size * 3 // 8, size * 5 // 8)
    hole[..., middle, middle] = -1

    def noisy(spread: float) -> np.ndarray:
        return (plain + spread * random.standard_normal(plain.shape)).clip(-1, 1)

    found = {
        "as they are": plain,
        "noise of 2.5 % of the range": noisy(0.05),
        "noise of 5 %": noisy(0.1),
        "noise of 10 %": noisy(0.2),
        "blur, sd 1 pixel": gaussian_filter(plain, (0, 0, 1, 1)),
        "blur, sd 1.5 pixels": gaussian_filter(plain, (0, 0, 1.5, 1.5)),
        "a black square of a quarter of the width": hole,
        "upside down": plain[:, :, ::-1],
        "left half of another image": halves,
        "half heads": half_heads,
        "mean of two images": (plain + others) / 2,
    }
    return {name: some.astype(np.float16) for name, some in found.items()}


def shares(real: SliceSet, sets: dict[str, Images], seed: int) -> dict[str, float]:
    """Deal the subjects once, and give the share that is discarded of everything."""
    people = real.table["subject"].to_numpy(dtype=str)
    names = np.unique(people)
    count = real.split("train").table["subject"].nunique()
    train = np.isin(people, np.random.default_rng(seed).permutation(names)[:count])
    _, owners = np.unique(people[train], return_inverse=True)
    images = real.images[train]
    networks = [random_network(images), *brain_networks(images)]
    networks = [network for network in networks if network.name in USUAL]
    rules = fit_distances(networks, [network.extract(images) for network in networks], owners, KEEP)

    def discarded(images: Images) -> float:
        nobody = np.full(len(images), NOBODY)
        far = [
            kth_nearest(rule.extractor.extract(images), nobody, rule.rows, owners) > rule.limit
            for rule in rules
        ]
        return float(np.any(far, axis=0).mean())

    everything = spoilt(real.images[~train], seed) | sets
    return {name: discarded(images) for name, images in everything.items()}


def main() -> None:
    """Print the shares."""
    real, *synthetic = (SliceSet.open(Path(word)) for word in sys.argv[1:])
    sets = {f"synthetic: {one.name}": one.images for one in synthetic}
    found = [shares(real, sets, seed) for seed in range(DEALS)]
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("images", "discarded, mean", f"least and greatest of {DEALS} deals"):
        table.add_column(name)
    for name in found[0]:
        some = [one[name] for one in found]
        table.add_row(name, f"{np.mean(some):.1%}", f"{min(some):.1%} to {max(some):.1%}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
