"""What the experiment may use: real slices with label maps, synthetic ones that know no test."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from mrgantry.common.errors import DataError
from mrgantry.data.fitness import check_alike, check_unseen, people_behind
from mrgantry.data.rows import choose_rows
from mrgantry.data.slices import SPLITS, SliceSet
from mrgantry.detection.sets import FEWEST, Real, draw_subjects, subject_names


@dataclass(frozen=True, eq=False)
class MappedReal(Real):
    """Real slices with their label maps, by split; those on which nothing is mapped too."""

    def at(self, share: float, seed: int) -> SliceSet:
        """Keep the training slices of a share of the training subjects.

        Raises:
            DataError: Nothing is mapped on them.
        """
        drawn = draw_subjects(subject_names(self.train), share, seed)
        kept = self.train.where(self.train.table["subject"].isin(drawn).to_numpy())
        _need_maps(kept, f"{share:g} of the training subjects ({len(drawn)}, seed {seed})")
        return kept


def open_mapped(folder: Path, only: Sequence[str] = ()) -> MappedReal:
    """Open the real set with its label maps.

    Args:
        folder: Of the set.
        only: Conditions on its rows, such as ("sequence=t1c",).

    Raises:
        DataError: The images are synthetic or oblique or without maps, a split is empty or has
            nothing mapped, or too few test subjects have.
    """
    data = SliceSet.open(folder)
    if data.about.synthetic or (data.table["source"] == "synthetic").any():
        raise DataError(
            f"{folder} holds synthetic images; segmenters are judged by real ones alone. Name "
            "the real set first, and synthetic sets with --synthetic."
        )
    data.refuse_without_maps()
    if data.about.poses:
        raise DataError(f"{folder} is oblique; prepare the scans with --plane axial to segment.")
    splits = []
    for name in SPLITS:
        if not (data.table["split"] == name).any():
            raise DataError(
                f"{folder} has no {name} subjects. Segmentation learns from one split, stops by "
                "another and judges by a third: prepare with --splits 0.6:0.15:0.25, and more "
                "subjects if these are few."
            )
        rows = choose_rows(data.split(name), only)
        _need_maps(rows, f"The split {name!r}")
        splits.append(rows)
    test = splits[-1]
    people = subject_names(test.where(mapped_rows(test)))
    if len(people) < FEWEST:
        raise DataError(
            f"{len(people)} test subjects of {folder} have something mapped; {FEWEST} are the "
            "fewest, and tens tell something. Prepare with another --splits."
        )
    return MappedReal(data, *splits)


def open_synthetic_mapped(folders: Sequence[Path], real: MappedReal) -> list[SliceSet]:
    """Open the synthetic sets.

    Args:
        folders: Of the sets.
        real: What their images are laid beside.

    Raises:
        DataError: One does not fit, has no maps or those of other classes, or its generator has
            seen a person of the validation or the test split.
    """
    sets = open_alike(folders, real)
    for data in sets:
        gain = "what its images gain would be no gain"
        check_unseen(people_behind(data), real.whole, data, gain)
    if sets and not any(mapped_rows(data).any() for data in sets):
        raise DataError("Nothing is mapped on any synthetic image, so there is nothing to learn.")
    return sets


def open_alike(folders: Sequence[Path], real: MappedReal) -> list[SliceSet]:
    """Open sets whose images and label maps are like the real ones.

    Raises:
        DataError: One does not fit, or has no maps or those of other classes.
    """
    sets = [SliceSet.open(folder) for folder in folders]
    for data in sets:
        check_alike(real.whole, data)
        data.refuse_without_maps()
        if data.about.classes != real.whole.about.classes:
            raise DataError(
                f"The label maps of {data.folder} tell apart {', '.join(data.about.classes)}, "
                f"those of {real.whole.folder} {', '.join(real.whole.about.classes)}."
            )
    return sets


def mapped_rows(data: SliceSet) -> Bool[np.ndarray, " n"]:
    """Mark the slices on which something is mapped."""
    return np.asarray(data.maps.any((1, 2)))


def _need_maps(data: SliceSet, what: str) -> None:
    if not len(data) or not mapped_rows(data).any():
        raise DataError(
            f"{what} of {data.folder} has nothing mapped on any slice. Take more people, another "
            "share or another --seed, or scans with label maps."
        )
