"""The t-SNE map of real, classically changed and synthetic images, with tumour and without."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float16

from mrgantry.common.tables import write_table
from mrgantry.data.pixels import StoredPixels
from mrgantry.data.slices import SliceSet
from mrgantry.detection.classical import Classical
from mrgantry.detection.sets import Real
from mrgantry.detection.sources import Augmented, Images
from mrgantry.evaluation.extractors.embedding import EACH, PERPLEXITY, tsne
from mrgantry.evaluation.extractors.features import fit_directions, principal_components
from mrgantry.evaluation.reference import COMPONENTS

FEWEST = 12  # images in all, below which a map shows nothing
FITTED = 2000  # real images from which directions are found
WORDS = {"yes": "tumour", "no": "no tumour"}


def write_map(
    out: Path, data: Real, sets: Sequence[SliceSet], classical: Classical, seed: int
) -> None:
    """Write `map.csv`, unless it is there: the place of up to 300 images of each group.

    Distances are those of principal components of the real training images. The perplexity is
    100 where there are over 300 images in all, otherwise a third of them.
    """
    if (out / "map.csv").is_file():
        return
    groups = pixels_of_groups(data, sets, classical, seed)
    fitted = np.concatenate([drawn([data.train], word, seed, FITTED // 2) for word in WORDS])
    features = principal_components(fit_directions(fitted, COMPONENTS))
    count = sum(map(len, groups.values()))
    if count < FEWEST:
        return
    places = tsne(
        {name: features.extract(images) for name, images in groups.items()},
        perplexity=min(PERPLEXITY, count // 3),
        seed=seed,
    )
    table = pd.concat(
        [pd.DataFrame({"group": name, "x": xy[:, 0], "y": xy[:, 1]}) for name, xy in places.items()]
    )
    write_table(out / "map.csv", table)


def pixels_of_groups(
    data: Real, sets: Sequence[SliceSet], classical: Classical, seed: int
) -> dict[str, Float16[np.ndarray, "_ c h w"]]:
    """Draw the images of the groups: of real images, those of the training split.

    Only what is drawn is read: sets can be large.
    """
    real = {name: drawn([data.train], word, seed) for word, name in WORDS.items()}
    groups = {
        "real": real,
        "classical": {name: changed(images, classical, seed) for name, images in real.items()},
        "synthetic": {name: drawn(sets, word, seed) for word, name in WORDS.items()},
    }
    return {
        f"{source}, {name}": images
        for source, by_name in groups.items()
        for name, images in by_name.items()
        if len(images)
    }


def changed(
    images: Float16[np.ndarray, "n c h w"], classical: Classical, seed: int
) -> Float16[np.ndarray, "_ c h w"]:
    """Change some images classically, each about equally often."""
    own = Images(StoredPixels(torch.from_numpy(images)), torch.zeros(len(images)).long())
    pixels, _ = Augmented(own, classical, EACH, seed).batch(torch.arange(EACH))
    return pixels.to(torch.float16).numpy()


def drawn(
    sets: Sequence[SliceSet], word: str, seed: int, most: int = EACH
) -> Float16[np.ndarray, "_ c h w"]:
    """Draw images with a word in the column "tumour" from several sets together."""
    rows = [np.flatnonzero((data.table["tumour"] == word).to_numpy()) for data in sets]
    places = [(number, row) for number, of_set in enumerate(rows) for row in of_set]
    order = np.random.default_rng(seed).permutation(len(places))[:most]
    pieces = []
    for number, data in enumerate(sets):
        kept = np.zeros(len(data), dtype=bool)
        kept[[places[place][1] for place in order if places[place][0] == number]] = True
        if kept.any():
            pieces.append(data.where(kept).images)
    return np.concatenate(pieces) if pieces else np.empty((0, 0, 0, 0), np.float16)


def read_map(out: Path) -> dict[str, Float[np.ndarray, "_ 2"]]:
    """Read the places of all groups; nothing if there is no map."""
    if not (out / "map.csv").is_file():
        return {}
    table = pd.read_csv(out / "map.csv")
    return {
        str(name): rows[["x", "y"]].to_numpy(dtype=np.float64)
        for name, rows in table.groupby("group", sort=False)
    }
