"""Label maps that images, or heads, are drawn for: those of other people, or drawn by hand."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mrgantry.common.errors import DataError, RecipeError
from mrgantry.data.formats import times
from mrgantry.data.label_maps import to_channels
from mrgantry.data.slices import SliceSet
from mrgantry.generate.recipe import FlowRecipe
from mrgantry.generate.run import Run


@dataclass(frozen=True, eq=False)
class GivenMaps:
    """Label maps, and whose they are.

    Attributes:
        maps: Numbers of the run's classes.
        ids: Of the slices, or heads, that they are of.
        fingerprint: Of their set.
        subjects: People whose maps they are, and whom a generator of them has seen: images for
            these maps tell of them.
    """

    maps: UInt8[np.ndarray, "n ..."]
    ids: tuple[str, ...]
    fingerprint: str
    subjects: tuple[str, ...]

    def rows_of(self, numbers: range) -> list[int]:
        """Give which map each image is drawn for; after the last comes the first again."""
        return [number % len(self.maps) for number in numbers]

    def channels(self, numbers: range, classes: int) -> Float[Tensor, "n p"]:
        """Give the maps of some images as flat channels, 1 inside a class and -1 outside.

        Args:
            numbers: Of the images, from 0.
            classes: How many classes there are.
        """
        channels = to_channels(self.maps[self.rows_of(numbers)], classes).swapaxes(0, 1)
        return torch.from_numpy(np.ascontiguousarray(channels)).flatten(1)

    def inputs(
        self,
        run: Run,
        inputs: Float[Tensor, "n z"],
        values: list[tuple[str, ...]],
        numbers: range,
    ) -> tuple[Float[Tensor, "n z2"], list[tuple[str, ...]]]:
        """Put label maps behind a flow's inputs, and tell it of tumours what the maps show.

        Args:
            run: The flow.
            inputs: Latents with one-hot labels behind them.
            values: The labels' values of each image.
            numbers: Of the images, from 0, which is for the first map.
        """
        labels = run.facts.labels
        if "yes" in labels.levels.get("tumour", ()):  # no map that is given is empty
            place = list(labels.levels).index("tumour")
            values = [(*row[:place], "yes", *row[place + 1 :]) for row in values]
        latents = inputs[:, : inputs.shape[1] - labels.width]
        channels = self.channels(numbers, len(run.facts.classes))
        return torch.cat([latents, labels.encode(values), channels], 1), values


def read_given_maps(masks: Path, split: str, run: Run) -> GivenMaps:
    """Read the label maps of a set for a run to draw images for; empty maps are left out.

    Args:
        masks: Folder of a set with label maps.
        split: Which of its rows: a split, or "all".
        run: A flow that has learnt label maps.

    Raises:
        RecipeError: The run is a GAN, which draws maps and images in one step.
        DataError: The run has learnt no maps; or the set has none, or those of other classes or
            of another size.
    """
    if not isinstance(run.recipe, FlowRecipe):
        raise RecipeError(
            f"{run.folder} is a GAN, which draws map and image in one step; only a flow, as "
            "gantry-64, draws an image for a given map."
        )
    if not run.facts.classes:
        raise DataError(
            f"{run.folder} has learnt no label maps. Train it with --set label_maps=true on a set "
            "prepared with --label-maps."
        )
    data = SliceSet.open(masks, volumes=bool(run.recipe.voxels))
    data.refuse_without_maps()
    size = data.about.voxels or (data.about.size,) * 2
    learnt = run.recipe.voxels or (run.recipe.size,) * 2
    if (data.about.classes, size) != (run.facts.classes, learnt):
        raise DataError(
            f"The label maps of {masks} tell apart {', '.join(data.about.classes)} at "
            f"{times(size)} pixels, but {run.folder} has learnt "
            f"{', '.join(run.facts.classes)} at {times(learnt)}."
        )
    data = data.split(split)
    data = data.where(np.array([bool(each.any()) for each in data.maps]))
    if not len(data):
        raise DataError(f"All label maps of the split {split!r} of {masks} are empty.")
    people = {*data.table["subject"], *data.about.training_subjects} - {""}
    ids = tuple(map(str, data.table["id"]))
    return GivenMaps(data.maps, ids, data.about.fingerprint, tuple(sorted(people)))
