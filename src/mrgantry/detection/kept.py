"""A classifier of tumours that is kept, to label slices that nobody has mapped.

classifier.safetensors   the weights
classifier.json          what they belong to, the unclear band, and how sure the labels are

Of an experiment's classifiers the one with the lowest loss on validation people is kept. Between
two probabilities, chosen on these people, a slice is unclear; how often the rest is right is
told by the test people, whom it has not met.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mrgantry.common.device import best_device
from mrgantry.common.errors import DataError, RunError
from mrgantry.common.files import fingerprint, read_json, whole, write_json
from mrgantry.common.frozen import Frozen
from mrgantry.common.progress import progress
from mrgantry.data.fitness import check_shape
from mrgantry.data.slices import SliceSet
from mrgantry.detection.classifier import (
    Classifier,
    ClassifierTraining,
    Trained,
    judge,
    predict,
    untrained_classifier,
)
from mrgantry.detection.sets import Real
from mrgantry.detection.sources import Images

MARK, WEIGHTS = "classifier.json", "classifier.safetensors"
WRONG = 0.05  # of the validation slices that are called yes, or no, beyond the unclear band
BLOCK = 1024  # slices that are labelled at once


class Kept(Frozen):
    """What `classifier.json` holds.

    Attributes:
        training: How it was trained.
        channels: Names of the channels that it looks at.
        size: Height and width of its images in pixels.
        learnt_from: What it learnt from, in words.
        low: Probability of a tumour up to which a slice is called "no".
        high: Probability from which it is called "yes"; between them it is "unclear".
        images: Slices of test people by which the shares were found.
        subjects: How many people these are.
        unclear: Share of these slices that are unclear.
        right: Share of the others whose label is right; None if all are unclear.
        source: "simulated" if its scans were.
        data: Fingerprint of the set that it learnt from.
        weights: Fingerprint of the weights.
    """

    training: ClassifierTraining
    channels: tuple[str, ...]
    size: int
    learnt_from: str
    low: float
    high: float
    images: int
    subjects: int
    unclear: float
    right: float | None
    source: Literal["real", "simulated"]
    data: str
    weights: str

    def sure(self) -> str:
        """Say how sure its labels are."""
        right = "–" if self.right is None else f"{self.right:.1%}"
        simulated = ", simulated ones" if self.source == "simulated" else ""
        return (
            f"of {self.images:,} slices of {self.subjects} people whom it has not met{simulated}, "
            f"{self.unclear:.1%} are unclear and {right} of the others right"
        )

    def words(self, probability: Float[np.ndarray, " n"]) -> list[str]:
        """Give the labels of probabilities: yes, no, or unclear within the band."""
        called = np.where(
            probability >= self.high, "yes", np.where(probability <= self.low, "no", "unclear")
        )
        return [str(word) for word in called]


def check_free(folder: Path) -> None:
    """Refuse a folder for a classifier that holds something else.

    Raises:
        RunError: It does.
    """
    taken = folder.is_file() or (folder.is_dir() and any(folder.iterdir()))
    if taken and not (folder / MARK).is_file():
        raise RunError(f"{folder} is not empty and holds no classifier; name another folder.")


def write_kept(
    folder: Path,
    trained: Trained,
    training: ClassifierTraining,
    data: Real,
    learnt_from: str,
) -> Kept:
    """Write a classifier with its unclear band, and how sure it is of people it has not met.

    Args:
        folder: Where to.
        trained: The classifier.
        training: How it was trained.
        data: The real set, whose validation people choose the band and whose test people judge.
        learnt_from: In words.
    """
    device = best_device()
    answers = [
        [tensor.numpy() for tensor in judge(trained.classifier, Images.of(part, device))]
        for part in (data.validation, data.test)
    ]
    low, high = unclear_band(*answers[0])
    probability, label = answers[1]
    clear = (probability <= low) | (probability >= high)
    right = ((probability >= high) == (label == 1))[clear]
    path = folder / WEIGHTS
    state = {k: v.contiguous().cpu() for k, v in trained.classifier.state_dict().items()}
    with whole(path) as aside:
        save_file(state, aside)
    about = data.whole.about
    kept = Kept(
        training=training.model_copy(update={"precision": trained.precision}),
        channels=about.channels,
        size=about.size,
        learnt_from=learnt_from,
        low=low,
        high=high,
        images=len(label),
        subjects=data.truth.subjects,
        unclear=float(1 - clear.mean()),
        right=float(right.mean()) if len(right) else None,
        source=about.source,
        data=about.fingerprint,
        weights=fingerprint([path.read_bytes()]),
    )
    write_json(folder / MARK, kept.model_dump())
    return kept


def unclear_band(
    probability: Float[np.ndarray, " n"], label: Int[np.ndarray, " n"]
) -> tuple[float, float]:
    """Choose between which probabilities a slice is unclear.

    Up to the lower one, at most one in twenty has a tumour; from the higher one, at most one in
    twenty has none. Where the two would overlap, both are their middle, and nothing is unclear.

    Args:
        probability: Of a tumour.
        label: 1 with tumour, 0 without.
    """
    order = np.argsort(probability)
    p, y = probability[order], label[order]
    missed = np.cumsum(y) / np.arange(1, len(y) + 1)
    alarms = np.cumsum(1 - y[::-1])[::-1] / np.arange(len(y), 0, -1)
    # The last of equal probabilities counts for all of them, and the first from the other side.
    last, first = np.append(p[1:] != p[:-1], True), np.insert(p[1:] != p[:-1], 0, True)
    below, above = (
        np.flatnonzero((missed <= WRONG) & last),
        np.flatnonzero((alarms <= WRONG) & first),
    )
    low = float(p[below[-1]]) if len(below) else -1.0
    high = float(p[above[0]]) if len(above) else 2.0
    if low >= high:
        return (low + high) / 2, (low + high) / 2
    return low, high


@dataclass(frozen=True, eq=False)
class Labeller:
    """A kept classifier, ready to label slices.

    Attributes:
        folder: Where it lies.
        kept: What it is.
        classifier: Its network.
    """

    folder: Path
    kept: Kept
    classifier: Classifier

    @classmethod
    def open(cls, folder: Path) -> "Labeller":
        """Read a classifier that `detect --keep` has written.

        Raises:
            DataError: There is none, or it is damaged.
        """
        if not (folder / MARK).is_file():
            raise DataError(
                f"{folder} holds no classifier; keep one by `mrgantry detect ... --keep {folder}`."
            )
        kept = Kept.of(read_json(folder / MARK), f"classifier in {folder}")
        scratch = kept.training.model_copy(update={"weights": "scratch"})
        classifier = untrained_classifier(scratch, len(kept.channels), torch.device("cpu"))
        try:
            mark = fingerprint([(folder / WEIGHTS).read_bytes()])
            classifier.load_state_dict(load_file(folder / WEIGHTS))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise DataError(
                f"The classifier in {folder} is damaged ({error}); keep it anew."
            ) from error
        if mark != kept.weights:
            raise DataError(f"The classifier in {folder} is not the one that was kept there.")
        return cls(folder, kept, classifier.eval().to(best_device()))

    def label(self, data: SliceSet) -> SliceSet:
        """Label the slices of a set that have no label, and note by whom and how sure that is.

        Raises:
            DataError: The slices are of another size, or of other sequences, than it knows, or
                are poses, which are not stored.
        """
        kept = self.kept
        if data.about.poses:
            raise DataError("Poses of volumes are not stored and cannot be labelled; cut slices.")
        shape = len(kept.channels), kept.size
        check_shape(data, shape, self.folder, f"prepare with --size {kept.size}")
        if data.about.channels != kept.channels:
            raise DataError(
                f"{self.folder} has learnt from {' + '.join(kept.channels)}, and these slices show "
                f"{' + '.join(data.about.channels)}; it cannot tell of others."
            )
        rows = np.flatnonzero((data.table["tumour"] == "unknown").to_numpy())
        words = data.table["tumour"].to_numpy(dtype=object).copy()
        with progress("label", len(rows)) as advance:
            for start in range(0, len(rows), BLOCK):
                some = rows[start : start + BLOCK]
                mask = np.zeros(len(data), dtype=bool)
                mask[some] = True
                images = torch.from_numpy(data.where(mask).images)
                words[some] = kept.words(predict(self.classifier, images).numpy())
                advance(len(some))
        notes = data.about.notes
        said = f"tumour of {len(rows):,} slices by the classifier in {self.folder}: {kept.sure()}"
        notes = notes.model_copy(update={"assumed": (*notes.assumed, said)}) if len(rows) else notes
        about = data.about.model_copy(update={"notes": notes})
        return replace(data, table=data.table.assign(tumour=words), about=about)


def best_of(losses: Sequence[Sequence[float]]) -> int:
    """Give the place of the classifier with the lowest validation loss in any of its epochs."""
    return int(np.argmin([min(of_epochs) for of_epochs in losses]))
