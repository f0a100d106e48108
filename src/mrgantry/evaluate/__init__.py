"""Whether synthetic images are any good: one file a measure, one door for all."""

from mrgantry.evaluate.evaluate import evaluate
from mrgantry.evaluate.selection.select import select, summary
from mrgantry.evaluate.sensitivity import sensitivity

__all__ = ["evaluate", "select", "sensitivity", "summary"]
