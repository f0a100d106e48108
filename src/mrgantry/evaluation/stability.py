"""Whether a training of a GAN has held, by numbers: not by NaN alone.

A generator that has collapsed draws few kinds of images: they vary in fewer directions than
real ones. One that has diverged is beaten ever more clearly: the losses grow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from mrgantry.common.score import Score

COLLAPSED = 0.5  # of the directions of as many real images, below which variety has collapsed
GROWN = 10.0  # times the size of a loss in the first half of training, beyond which it diverges
FEWEST_LINES = 20  # of the log, below which growth is not judged
RULE = (
    "A training has collapsed where its images have less than half as many directions (δ, "
    "corrected) as equally many real ones, and has diverged where it stopped at a number that is "
    "none, or where the generator's or the critic's loss in the last tenth is in size ten times "
    "that of the first half (the median, but at least 1)."
)


@dataclass(frozen=True)
class Stability:
    """Whether a training has held, by `RULE`.

    Attributes:
        verdict: "holds", "collapsed", "diverged" or "not judged".
        why: The numbers that say so.
    """

    verdict: Literal["holds", "collapsed", "diverged", "not judged"]
    why: str


def judge_stability(
    failed: str, log: Sequence[Mapping[str, Any]], scores: Sequence[Score]
) -> Stability:
    """Judge a training by why it stopped, its losses and the variety of its images.

    Args:
        failed: Why it stopped before its end; empty if it did not.
        log: Rows of the run's log, in order.
        scores: Of its images; without `delta` among them, variety is not judged.
    """
    if failed:
        return Stability("diverged", failed)
    for name, words in (("generator_loss", "generator's"), ("critic_loss", "critic's")):
        losses = [abs(float(row[name])) for row in log if name in row]
        if len(losses) >= FEWEST_LINES:
            before = max(1.0, median(losses[: len(losses) // 2]))
            after = median(losses[-max(1, len(losses) // 10) :])
            if after > GROWN * before:
                return Stability(
                    "diverged", f"The {words} loss grew from {before:.3g} to {after:.3g}."
                )
    for score in scores:
        if score.name == "delta":
            why = f"{score.value:.3g} directions against {score.floor:.3g} of real images."
            fallen = score.value < COLLAPSED * score.floor
            return Stability("collapsed" if fallen else "holds", why)
    return Stability("not judged", "Its images were not measured.")
