"""Drawing near projected slices: latents between theirs and fresh ones.

Han et al. (2019) name latents that belong to training images as what might suit best ("suitable
vectors"). Images from there are as realistic as the generator can be, and they may also be those
very people: so each is compared with the slice that it was drawn near, and with what lies between
that slice and the nearest one of anybody else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float16
from torch import Tensor

from mrgantry.common.errors import DataError
from mrgantry.common.files import fingerprint, read_json
from mrgantry.data.slices import SliceSet
from mrgantry.generate.latents import METHODS, linear, onto_prior, spherical, usual_method
from mrgantry.generate.projection import codes_of, find
from mrgantry.generate.run import Run


@dataclass(frozen=True, eq=False)
class NearLatents:
    """Latents of projected slices, near which images are drawn.

    Attributes:
        latents: Of each slice.
        slices: The slices themselves, in the same order.
        strangers: How far each lies from the nearest training slice of anybody else, as the root
            mean square of intensities from -1 to 1.
        spread: How far to go towards fresh latents: 0 stays, 1 forgets the slice.
        mark: Fingerprint of the projection.
    """

    latents: Float[Tensor, "k z"]
    slices: SliceSet
    strangers: Float[np.ndarray, " k"]
    spread: float
    mark: str

    @property
    def subjects(self) -> set[str]:
        """Name whose slices they are: images near these tell of them."""
        return set(self.slices.table["subject"].astype(str)) - {""}

    def rows_of(self, numbers: range) -> list[int]:
        """Give near which slice each image is drawn; after the last comes the first again."""
        return [number % len(self.latents) for number in numbers]

    def inputs(
        self, run: Run, drawn: Float[Tensor, "n z"], numbers: range
    ) -> tuple[Float[Tensor, "n z"], list[tuple[str, ...]]]:
        """Give what the generator is fed with: latents near those of slices, with their labels.

        Args:
            run: Whose generator.
            drawn: Its fresh inputs.
            numbers: Of the images, from 0.

        Returns:
            Latents with one-hot labels behind them, and the labels' values.
        """
        labels, prior = run.facts.labels, run.recipe.prior
        between = spherical if usual_method(prior) == METHODS[0] else linear
        share = torch.tensor([float(self.spread)])
        rows = self.rows_of(numbers)
        fresh = drawn[:, : self.latents.shape[1]]
        pairs = zip(self.latents[rows], fresh, strict=True)
        latents = torch.cat([between(old, new, share) for old, new in pairs])
        told = self.slices.table[list(labels.levels)].astype(str)
        values = [tuple(map(str, told.iloc[row])) for row in rows]
        return torch.cat([onto_prior(latents, prior), labels.encode(values)], 1), values

    def compare(self, images: Float16[np.ndarray, "n c h w"], ids: Sequence[str]) -> pd.DataFrame:
        """Say how far each image is from the slice that it was drawn near.

        Args:
            images: All that were drawn.
            ids: Theirs.
        """
        rows = self.rows_of(range(len(images)))
        away = images.astype(np.float32) - self.slices.images[rows].astype(np.float32)
        return pd.DataFrame(
            {
                "id": ids,
                "near": self.slices.table["id"].to_numpy()[rows],
                "rmse": np.sqrt((away**2).mean((1, 2, 3))),
                "nearest_stranger": self.strangers[rows],
            }
        )


def read_near(projection: Path, run: Run, spread: float) -> NearLatents:
    """Read the latents of a projection.

    Args:
        projection: Folder that `project` wrote.
        run: The run that slices were projected with.
        spread: How far to go from them, from 0 to 1.

    Raises:
        DataError: The folder is no complete projection of this run, the set that it is of is gone,
            or the spread is out of range.
    """
    if not 0 <= spread <= 1:
        raise DataError(f"The spread must be from 0 (stay) to 1 (fresh latents), not {spread:g}.")
    path = projection / "project.json"
    facts = read_json(path) if path.is_file() else {}
    if not (facts.get("complete") and "slices" in facts):  # older ones do not say of what they are
        raise DataError(
            f"{projection} is not a whole projection of this version. Make one with `mrgantry "
            f"project {run.folder} SLICES PROJECTION`."
        )
    if facts["choices"]["weights"] != fingerprint([run.weights()]):
        raise DataError(
            f"{projection} holds latents of other weights than {run.folder} has now; project again."
        )
    table = pd.read_csv(projection / "projection.csv", dtype={"id": str})
    data = SliceSet.open(facts["slices"])
    if data.about.fingerprint != facts["choices"]["slices"]:
        raise DataError(f"{data.folder} is no longer the set that {projection} is of.")
    chosen = find(data, table["id"].tolist())
    codes_of(run, chosen)
    order = pd.Index(chosen.table["id"]).get_indexer(table["id"])
    latents = torch.from_numpy(np.load(projection / "latents.npy"))
    latents = latents[np.argsort(order)]  # in the order of the set
    strangers = nearest_strangers(chosen, data.split("train"))
    mark = fingerprint([path.read_bytes(), latents.numpy().tobytes()])
    return NearLatents(latents, chosen, strangers, spread, mark)


def nearest_strangers(slices: SliceSet, others: SliceSet) -> Float[np.ndarray, " k"]:
    """Say how far each slice lies from the nearest slice of anybody else.

    Args:
        slices: Some slices.
        others: Among which the nearest is looked for.
    """
    theirs = others.images.reshape(len(others), -1).astype(np.float32)
    names = others.table["subject"].to_numpy()
    found = []
    for image, name in zip(slices.images, slices.table["subject"], strict=True):
        apart = theirs[names != name] - image.reshape(1, -1).astype(np.float32)
        found.append(np.sqrt((apart**2).mean(1)).min() if len(apart) else np.inf)
    return np.array(found)


def copies_in(table: pd.DataFrame) -> int:
    """Count the images that lie nearer to their slice than anybody else's slice does."""
    return int((table["rmse"] < table["nearest_stranger"]).sum())


def facts_of(near: NearLatents, table: pd.DataFrame) -> dict[str, Any]:
    """Describe for the record how near images lie to the slices that they were drawn near."""
    return {
        "slices": len(near.slices),
        "people": len(near.subjects),
        "spread": near.spread,
        "median_rmse": round(float(table["rmse"].median()), 4),
        "median_nearest_stranger": round(float(table["nearest_stranger"].median()), 4),
        "nearer_than_strangers": copies_in(table),
    }
