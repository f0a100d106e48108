"""What can be asked of an experiment, and what cannot."""

from collections.abc import Sequence
from typing import TypeVar, get_args

from mrgantry.common.errors import RecipeError, unknown
from mrgantry.common.frozen import Frozen
from mrgantry.detection.classical import Classical
from mrgantry.detection.findings import Condition, NetworkRun, nearest_to_one
from mrgantry.detection.gather import PAIRS
from mrgantry.detection.learning import NetworkTraining

Training = TypeVar("Training", bound=NetworkTraining)

USUAL: tuple[Condition, ...] = ("none", "classical", "synthetic", "classical+synthetic")


def conditions_of(words: Sequence[str], synthetic: bool) -> tuple[Condition, ...]:
    """Read the names of conditions.

    Args:
        words: Two names or more.
        synthetic: Whether there are synthetic images.

    Raises:
        RecipeError: One is unknown, or stands there twice, or needs images that are not there.
    """
    conditions: dict[str, Condition] = {name: name for name in get_args(Condition)}
    words = ["+".join(sorted(word.split("+"))) for word in words]
    for word in words:
        if word not in conditions:
            listed = ", ".join(map(repr, conditions))
            raise RecipeError(f"There is no condition {word!r}; there are {listed}.")
        if "synthetic" in word and not synthetic:
            raise RecipeError(
                f"The condition {word!r} needs synthetic images: name a set with --synthetic, or "
                "take --condition none --condition classical."
            )
    if len(set(words)) < max(2, len(words)):
        raise RecipeError("An experiment compares two or more conditions, each named once.")
    if not any({condition, other} <= set(words) for condition, other in PAIRS):
        raise RecipeError(
            f"{' and '.join(words)} are not compared with each other; add --condition none."
        )
    return tuple(conditions[word] for word in words)


def check(
    seeds: int,
    shares: Sequence[float],
    ratios: Sequence[float],
    real_share: float,
    training: NetworkTraining,
) -> None:
    """Refuse numbers that cannot be, before anything is read.

    Raises:
        RecipeError: One of them.
    """
    if seeds < 1:
        raise RecipeError(f"An experiment needs 1 seed or more, not {seeds}.")
    if not shares or not all(0 < share <= 1 for share in shares):
        raise RecipeError(f"Shares of the training subjects lie in (0, 1], not {written(shares)}.")
    if not ratios or not all(0 < ratio < 1e6 for ratio in ratios):
        raise RecipeError(f"Ratios of synthetic images are greater than 0, not {written(ratios)}.")
    if not 0 <= real_share <= 1:
        raise RecipeError(f"The share of real images lies in [0, 1]; it is {real_share:g}.")
    if training.seed:
        raise RecipeError("The training's seed is not yours to set here; take --seed instead.")


def written(numbers: Sequence[float]) -> str:
    """Write numbers as they are asked for."""
    return ":".join(f"{number:g}" for number in numbers)


def change(changes: Sequence[str], kind: type[Training], of: str) -> tuple[Training, Classical]:
    """Give training and classical changes with some values changed, each as `key=value`.

    Args:
        changes: Such as "epochs=20".
        kind: How networks are trained.
        of: What has these settings, as a sentence names it.

    Raises:
        RecipeError: A key is unknown, or its value will not do.
    """
    values: dict[str, dict[str, str | None]] = {"training": {}, "classical": {}}
    keys = (*kind.keys(), *Classical.keys())
    for setting in changes:
        key, sign, text = setting.partition("=")
        if not sign:
            raise RecipeError(f"The change {setting!r} must read key=value.")
        if key not in keys:
            offered = [name for name in keys if name != "seed"]
            raise RecipeError(unknown("key", key, offered, f"settings of {of}"))
        values["training" if key in kind.keys() else "classical"][key] = (  # noqa: SIM118
            None if text == "null" else text
        )
    return (
        kind.of(dict(values["training"]), "training"),
        Classical.of(dict(values["classical"]), "classical changes"),
    )


def changes_of(value: Frozen) -> tuple[str, ...]:
    """Write what differs from the usual as `key=value`."""
    defaults = type(value)().model_dump()
    words = {True: "true", False: "false"}
    return tuple(
        f"{key}={words[now] if isinstance(now, bool) else now}"
        for key, now in value.model_dump().items()
        if now != defaults[key]
    )


def cells_of(
    conditions: Sequence[Condition],
    seeds: int,
    shares: Sequence[float],
    ratios: Sequence[float],
    first: int = 0,
) -> list[NetworkRun]:
    """List what is to be trained, seed after seed: what is stopped is smaller, and as fair.

    Shares and ratios are taken in rising order, each once. What has no real images to draw a
    share of, or nothing to add in a ratio, is trained once. Where there are several of both, the
    shares have the ratio nearest to 1, and the other ratios the greatest share: a curve of each.
    """
    shares, ratios = sorted(set(shares)), sorted(set(ratios))
    nearest = nearest_to_one(ratios)
    cells = []
    for number in range(first, first + seeds):
        for share in shares:
            for condition in conditions:
                alone = condition == "synthetic alone"
                if alone and share < shares[-1]:
                    continue
                mixed = "synthetic" in condition and not alone
                chosen = (ratios if share == shares[-1] else [nearest]) if mixed else [None]
                cells += [
                    NetworkRun(condition=condition, share=share, ratio=ratio, seed=number)
                    for ratio in chosen
                ]
    return cells
