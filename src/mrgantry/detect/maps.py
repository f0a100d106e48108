"""The t-SNE map of real, classically changed and synthetic images, with tumour and without."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float16, Int
from torch import Tensor

from mrgantry.common.files import whole
from mrgantry.data.slices import SliceSet
from mrgantry.detect.classical import Classical
from mrgantry.detect.sets import Real, joined
from mrgantry.detect.sources import Augmented, Source
from mrgantry.evaluate.embedding import EACH, PERPLEXITY, tsne
from mrgantry.evaluate.features import fit_directions, principal_components
from mrgantry.evaluate.reference import COMPONENTS

FEWEST = 12  # images in all, below which a map shows nothing


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
    features = principal_components(fit_directions(data.train.images, COMPONENTS))
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
    with whole(out / "map.csv") as aside:
        table.to_csv(aside, index=False)


def pixels_of_groups(
    data: Real, sets: Sequence[SliceSet], classical: Classical, seed: int
) -> dict[str, Float16[np.ndarray, "_ c h w"]]:
    """Draw the images of the groups: of real images, those of the training split."""
    cpu = torch.device("cpu")
    real = joined([data.train], cpu, seed)
    changed = Augmented(real, classical, EACH, seed)
    sources: dict[str, tuple[Source, Int[Tensor, " n"]]] = {
        "real": (real, real.labels),
        "classical": (changed, real.labels[changed.rows]),
    }
    if sets:
        synthetic = joined(sets, cpu, seed)
        sources["synthetic"] = synthetic, synthetic.labels
    groups = {}
    for name, (source, labels) in sources.items():
        for number, word in ((1, "tumour"), (0, "no tumour")):
            images, _ = source.batch((labels == number).nonzero()[:EACH, 0])
            groups[f"{name}, {word}"] = images.to(torch.float16).numpy()
    return groups


def read_map(out: Path) -> dict[str, Float[np.ndarray, "_ 2"]]:
    """Read the places of all groups; nothing if there is no map."""
    if not (out / "map.csv").is_file():
        return {}
    table = pd.read_csv(out / "map.csv")
    return {
        str(name): rows[["x", "y"]].to_numpy(dtype=np.float64)
        for name, rows in table.groupby("group", sort=False)
    }
