"""An experiment's folder: begun on certain terms, gone on with on the same, one file a network.

`experiment.json` holds the terms, `parts/` what each network has answered, whole or absent.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, Literal, TypeVar

from mrgantry.common import workfolder
from mrgantry.common.device import device_name
from mrgantry.common.errors import RunError
from mrgantry.common.files import read_json, write_json
from mrgantry.common.frozen import Frozen
from mrgantry.detection.classical import Classical
from mrgantry.detection.findings import NetworkRun

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
