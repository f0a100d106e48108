"""What the experiment may use: real images by subject, and synthetic ones that know no test.

Nothing that is judged was seen by whatever learnt: neither by a classifier nor by the
generator behind its synthetic images.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mrgantry.common.errors import DataError
from mrgantry.data.fitness import check_alike, check_unseen, people_behind
from mrgantry.data.pixels import StoredPixels
from mrgantry.data.rows import choose_rows
from mrgantry.data.slices import SPLITS, SliceSet
from mrgantry.detection.effects import Truth
from mrgantry.detection.sources import CLASSES, Images

FEWEST = 4  # test subjects with slices of a class; fewer tell nothing of others
UNLIKE = math.log(3)  # odds of a tumour that differ by more than this factor are remarked


@dataclass(frozen=True, eq=False)
class Real:
    """The real slices with a known label, by split.

    Attributes:
        whole: The set that they are from.
        train: What classifiers learn from.
        validation: What tells when to stop, and which threshold to take.
        test: What they are judged by.
    """

    whole: SliceSet
    train: SliceSet
    validation: SliceSet
    test: SliceSet

    @property
    def truth(self) -> Truth:
        """Give what is known of the test images."""
        table = self.test.table
        return Truth(
            label=table["tumour"].map(CLASSES).to_numpy(dtype=np.int64),
            subject=np.unique(table["subject"].astype(str), return_inverse=True)[1],
            mm2=table["tumour_mm2"].to_numpy(dtype=np.float64, na_value=np.nan),
        )

    def at(self, share: float, seed: int) -> SliceSet:
        """Keep the training slices of a share of the training subjects.

        Raises:
            DataError: Their slices have one label alone.
        """
        drawn = draw_subjects(subject_names(self.train), share, seed)
        kept = self.train.where(self.train.table["subject"].isin(drawn).to_numpy())
        need_both(kept, f"{share:g} of the training subjects ({len(drawn)}, seed {seed})")
        return kept


def subject_names(data: SliceSet) -> list[str]:
    """List the people of a set in the order of their names."""
    return sorted(set(data.table["subject"].astype(str)) - {""})


def draw_subjects(subjects: Sequence[str], share: float, seed: int) -> list[str]:
    """Draw a share of the subjects; a smaller share of one seed lies within a greater one.

    Args:
        subjects: All, in a fixed order.
        share: In (0, 1]; rounded up to whole people.
        seed: Of the order in which they are drawn.
    """
    order = np.random.default_rng(seed).permutation(len(subjects))
    count = math.ceil(round(share * len(subjects), 9))  # 0.1 times 30 is 3, not 4
    return sorted(subjects[place] for place in order[:count])


def open_real(folder: Path, only: Sequence[str] = ()) -> Real:
    """Open the real set, and keep of each split the slices with tumour=yes and tumour=no.

    Raises:
        DataError: The images are synthetic or oblique, a split is empty or lacks a label, or
            too few test subjects have one.
    """
    data = SliceSet.open(folder)
    if data.about.synthetic or (data.table["source"] == "synthetic").any():
        raise DataError(
            f"{folder} holds synthetic images; classifiers are judged by real ones alone. Name "
            "the real set first, and synthetic sets with --synthetic."
        )
    if data.about.poses:
        raise DataError(f"{folder} is oblique; prepare the scans with --plane axial to detect.")
    splits = []
    for name in SPLITS:
        if not (data.table["split"] == name).any():
            raise DataError(
                f"{folder} has no {name} subjects. Detection learns from one split, stops by "
                "another and judges by a third: prepare with --splits 0.6:0.15:0.25, and more "
                "subjects if these are few."
            )
        rows = choose_rows(data.split(name), only)
        labelled = rows.where(rows.table["tumour"].astype(str).isin(list(CLASSES)).to_numpy())
        need_both(labelled, f"The split {name!r}")
        splits.append(labelled)
    for word in CLASSES:
        test = splits[-1]
        people = subject_names(test.where((test.table["tumour"] == word).to_numpy()))
        if len(people) < FEWEST:
            raise DataError(
                f"{len(people)} test subjects of {folder} have slices with tumour={word}; "
                f"{FEWEST} are the fewest, and tens tell something. Prepare with another --splits."
            )
    return Real(data, *splits)


def need_both(data: SliceSet, what: str) -> None:
    """Refuse slices of one label alone.

    Raises:
        DataError: They have but one, or none.
    """
    words = set(data.table["tumour"].astype(str)) & set(CLASSES)
    if len(words) < len(CLASSES):
        have = f"only tumour={words.pop()}" if words else "neither"
        raise DataError(
            f"{what} of {data.folder} must have slices with tumour=yes and with tumour=no, and "
            f"has {have}. Take more people, another share or another --seed, or scans with tumour "
            "label maps."
        )


def open_synthetic(folders: Sequence[Path], real: Real) -> list[SliceSet]:
    """Open the synthetic sets; together they have both labels.

    Raises:
        DataError: One does not fit, or its generator has seen a person of the validation or
            the test split, or a label is missing.
    """
    sets = [SliceSet.open(folder) for folder in folders]
    for data in sets:
        check_alike(real.whole, data)
        if not set(data.table["tumour"].astype(str)) & set(CLASSES):
            raise DataError(
                f"{data.folder} does not say which images show a tumour. Sample with --label "
                "tumour=..., or import the images with a table that has the column tumour."
            )
        gain = "what its images gain would be no gain"
        check_unseen(people_behind(data), real.whole, data, gain)
    words = {word for data in sets for word in set(data.table["tumour"].astype(str))}
    missing = set(CLASSES) - words
    if sets and missing:
        raise DataError(
            f"The synthetic images have none with tumour={sorted(missing)[0]}. Sample a generator "
            "that is told the label (--label tumour=...), or train one with --only "
            f"tumour={sorted(missing)[0]} and name its images with another --synthetic."
        )
    return sets


def joined(sets: Sequence[SliceSet], device: torch.device, seed: int) -> Images:
    """Put the images of several synthetic sets together, in an order drawn once.

    So the first ones have both labels, as all of them have.
    """
    parts = [Images.of(data, torch.device("cpu")) for data in sets]
    pixels: list[Float[Tensor, "n c h w"]] = []
    for part in parts:
        assert isinstance(part.pixels, StoredPixels)  # Images.of refuses others
        pixels.append(part.pixels.images)
    labels = torch.cat([part.labels for part in parts])
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(labels)))
    return Images(StoredPixels(torch.cat(pixels)[order].to(device)), labels[order])


def remarks_on(sets: Sequence[SliceSet], real: Real, shares: Sequence[float]) -> Iterator[str]:
    """Say what makes a gain by synthetic images something else than it seems."""
    yield from alike(real)
    own = set(subject_names(real.train))
    for data in sets:
        yield from of_another_kind(data, real)
        seen = people_behind(data)
        if not seen:
            yield (
                f"{data.name} does not tell whom its generator has seen. If it was a person of the "
                "validation or test split, what its images gain is no gain."
            )
            continue
        if seen - own:
            yield (
                f"The generator of {data.name} has seen {len(seen - own)} people outside this "
                "set's training split, from whom the networks without its images do not learn."
            )
        counts = {
            share: count
            for share in sorted(set(shares))
            if share < 1 and (count := len(draw_subjects(sorted(own), share, 0))) < len(seen)
        }
        if counts:
            yield (
                f"The generator of {data.name} has seen {len(seen)} people. At shares of "
                f"{', '.join(f'{share:.0%}' for share in counts)} networks learn from "
                f"{', '.join(map(str, counts.values()))} real subjects: what its images gain "
                "there may be the other people's doing."
            )
    yield from unlike(sets, real)


def alike(real: Real) -> Iterator[str]:
    """Say which people of different splits look like one, as `prepare` has found, or has not."""
    across = [
        f"{repeat.subject} ({repeat.split}) and {repeat.other} ({repeat.other_split})"
        for repeat in real.whole.about.notes.repeats or ()
        if repeat.split != repeat.other_split
    ]
    if across:
        yield (
            f"Some people of different splits look like one person: {'; '.join(across)}. If they "
            "are, networks are judged by whom they know."
        )
    if missed := real.whole.about.notes.repeats_missed:
        yield missed


def of_another_kind(synthetic: SliceSet, real: Real) -> Iterator[str]:
    """Say when synthetic images show what the real slices of this experiment do not."""
    real_table, table = real.train.table, synthetic.table
    for column in ("sequence", "plane"):
        extra = set(table[column].astype(str)) - set(real_table[column].astype(str)) - {""}
        if extra:
            yield (
                f"{synthetic.name} has images of {column} {', '.join(sorted(extra))}, which the "
                "real training slices have not."
            )
    real_mm, mm = real_table["pixel_mm"].median(), table["pixel_mm"].median()
    if mm > 0 and real_mm > 0 and not 0.9 < mm / real_mm < 1.1:
        yield f"Pixels of {synthetic.name} are {mm:.2f} mm wide, real ones {real_mm:.2f} mm."


def unlike(sets: Sequence[SliceSet], real: Real) -> Iterator[str]:
    """Say when synthetic images have tumours much more often, or rarely, than real ones."""
    words = [word for data in sets for word in data.table["tumour"].astype(str) if word in CLASSES]
    if not words:
        return
    real_share = np.mean(real.train.table["tumour"] == "yes")
    share = np.mean(np.array(words) == "yes")
    if abs(np.log(share / (1 - share)) - np.log(real_share / (1 - real_share))) > UNLIKE:
        yield (
            f"{share:.0%} of the synthetic images have a tumour, and {real_share:.0%} of the real "
            "training slices: that alone moves sensitivity, specificity and calibration."
        )
