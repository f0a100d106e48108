"""What all experiments do: begin a folder on terms, train a network, leave one file of each.

`experiment.json` holds the terms, `parts/` what each network has answered, whole or absent.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from mrgantry.common import workfolder
from mrgantry.common.device import device_name
from mrgantry.common.errors import RunError
from mrgantry.common.files import read_json, write_json
from mrgantry.common.frozen import Frozen
from mrgantry.detection.classical import Classical
from mrgantry.detection.findings import NetworkRun
from mrgantry.detection.learning import Epoch, NetworkTraining
from mrgantry.detection.sources import ImageSource, Mixture, shares

Precision = Literal["fp32", "bf16"]


class ExperimentTerms(Frozen):
    """What was asked for; the same for all networks of an experiment.

    Attributes:
        data: Fingerprint of the real set.
        synthetic: Those of the synthetic sets.
        only: Conditions on the real rows, such as ("sequence=t1c",).
        classical: How images are changed.
        real_share: Share of unchanged ones beside classically changed ones.
        seed: Of all draws.
    """

    data: str
    synthetic: tuple[str, ...]
    only: tuple[str, ...]
    classical: Classical
    real_share: float
    seed: int


Terms = TypeVar("Terms", bound=ExperimentTerms)


class Begun(Frozen, Generic[Terms]):
    """What `experiment.json` holds.

    Attributes:
        terms: What was asked for.
        precision: Arithmetic that was found faster, or asked for.
        device: What the first network was trained on.
    """

    terms: Terms
    precision: Precision
    device: str


Settings = TypeVar("Settings", bound=NetworkTraining)


def training_of(training: Settings, cell: NetworkRun, precision: Precision, epoch: int) -> Settings:
    """Give how a network is trained: with its seed, in settled arithmetic and epochs of a length.

    Args:
        training: What was asked for.
        cell: Which network.
        precision: Of the experiment.
        epoch: Images of an epoch where nothing else was asked for.
    """
    settled = {"seed": cell.seed, "epoch": training.epoch or epoch, "precision": precision}
    return training.model_copy(update=settled)


def facts_of_training(
    cell: NetworkRun, subjects: int, images: int, history: Sequence[Epoch], best: int
) -> dict[str, Any]:
    """Give the fields of `Training`: how a network was trained.

    Args:
        cell: Which network.
        subjects: Real people to learn from.
        images: Their images.
        history: All epochs.
        best: Number of the one that was kept.
    """
    alone = cell.condition == "synthetic alone"
    return {
        "cell": cell,
        "subjects": 0 if alone else subjects,
        "images": 0 if alone else images,
        "epochs": len(history),
        "best": best,
        "seen": history[-1].images,
        "seconds": history[-1].seconds,
        "device": device_name(),
        "losses": tuple(epoch.validation_loss for epoch in history),
    }


def announced(number: int, count: int, cell: NetworkRun, subjects: int, images: int) -> str:
    """Say which network is about to be trained, and from what."""
    alone = cell.condition == "synthetic alone"
    what = "no real slices" if alone else f"{subjects} subjects, {images} slices"
    return f"{number}/{count}  {cell}: {what}"


def source_of(
    cell: NetworkRun,
    real: ImageSource,
    changed: Callable[[], ImageSource],
    synthetic: ImageSource | None,
    real_share: float,
) -> ImageSource:
    """Make what a network learns from.

    Counts say how often each kind comes; sets are gone through again where they are shorter.

    Args:
        cell: Which network.
        real: Real images.
        changed: Makes the classically changed ones.
        synthetic: Synthetic images, if there are any.
        real_share: Share of unchanged images beside classically changed ones.
    """
    source = real
    if "classical" in cell.condition:
        virtual = changed()
        source = Mixture([real, virtual], shares(len(virtual), (real_share, 1 - real_share)))
    if synthetic is None or "synthetic" not in cell.condition:
        return source
    if cell.ratio is None:
        return synthetic
    # So often that every synthetic image has its turn.
    count = math.ceil(len(synthetic) / (cell.ratio * len(source))) * len(source)
    return Mixture([source, synthetic], (count, max(1, round(cell.ratio * count))))


def settle(
    out: Path, terms: Terms, begun: type[Begun[Terms]], precision: Callable[[], Precision]
) -> Begun[Terms]:
    """Begin an experiment, or go on with one on the same terms.

    Args:
        out: Its folder.
        terms: What is asked for.
        begun: What `experiment.json` is read as.
        precision: Settles the arithmetic of a new experiment.

    Raises:
        RunError: The folder holds one on other terms, or other things.
    """
    path = out / "experiment.json"
    if workfolder.is_begun(out, path.name, "an experiment") and any((out / "parts").glob("*.json")):
        stored = begun.of(read_json(path), f"experiment {path}")
        workfolder.refuse_changes(out, stored.terms.model_dump(mode="json"), terms.model_dump())
        return stored
    new = begun(terms=terms, precision=precision(), device=device_name())
    write_json(path, new.model_dump())
    return new


def refuse_leaving_out(out: Path, cells: Sequence[NetworkRun]) -> None:
    """Refuse to report less than was looked at.

    Raises:
        RunError: The folder holds networks that are not asked for.
    """
    paths = {cell.path(out) for cell in cells}
    left_out = sorted(set((out / "parts").glob("*.json")) - paths)
    if left_out:
        path = left_out[0]
        cell = NetworkRun.of(read_json(path)["cell"], f"part {path}")
        raise RunError(
            f"{out} holds {len(left_out)} networks that this call leaves out, such as: {cell}. "
            "Name all conditions, shares, ratios and seeds that were looked at, since p values are "
            "adjusted for them, or choose another folder."
        )
