"""Which sets augment best: detection experiments with several sets, in one table.

Each experiment has a real set of its own, so that its gain is judged by its own test slices; the
p values are corrected for all experiments together, since the best of them is looked for.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mrgantry.common.statistics import holm
from mrgantry.data.about import read_about
from mrgantry.detection.effects import ALPHA, FEWEST_SEEDS
from mrgantry.detection.findings import Arm, Detection
from mrgantry.pages.experiment import points

UNKNOWN = "–"


def augmented_sets(experiments: Sequence[tuple[dict[str, Any], Detection]]) -> list[dict[str, Any]]:
    """Lay the gains of several experiments out, the largest first; nothing of fewer than two.

    Args:
        experiments: What a page says of each, with its name and link, and what came of it; those
            that have no synthetic images are left out.
    """
    answered = [
        (said, found, found.answer)
        for said, found in experiments
        if found.answer is not None and found.synthetic
    ]
    if len(answered) < 2:
        return []
    corrected = holm([effect.p for _, _, effect in answered])
    rows = []
    for (said, found, effect), p in zip(answered, corrected, strict=True):
        sequences, pixels = shape_of(found)
        rows.append(
            {
                "name": said["name"],
                "link": said["link"],
                "sequences": sequences,
                "pixels": pixels,
                "recipes": ", ".join(
                    dict.fromkeys(made.recipe or made.name for made in found.synthetic)
                ),
                "without": percent(found, effect.other),
                "with": percent(found, effect.one),
                "gain": points(effect.value),
                "interval": f"{points(effect.low)} to {points(effect.high)}",
                "p": f"{p:.2g}",
                "verdict": verdict(effect.value, p, len(found.seeds)),
                "value": effect.value,
            }
        )
    return sorted(rows, key=lambda row: -float(row["value"]))


def shape_of(found: Detection) -> tuple[str, str]:
    """Give the sequences and the pixels of an experiment's real set, if it still lies there."""
    folder = Path(found.real)
    if not (folder / "about.json").is_file():
        return UNKNOWN, UNKNOWN
    about = read_about(folder)
    sequences = about.choices.get("sequences") or about.channels
    return " + ".join(sequences), str(about.size)


def percent(found: Detection, arm: Arm) -> str:
    """Write an arm's accuracy in percent."""
    value = found.score(arm, "accuracy").value
    return UNKNOWN if value is None else points(value, sign=False)


def verdict(value: float, p: float, seeds: int) -> str:
    """Say whether synthetic images helped, after correction for all experiments."""
    if seeds < FEWEST_SEEDS:
        return "too few seeds"
    if p >= ALPHA:
        return "not shown"
    return "helps" if value > 0 else "hurts"
