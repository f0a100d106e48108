"""Whether synthetic images are any good: one file a measure, one door for all."""

from mrgantry.evaluate.evaluation import evaluate
from mrgantry.evaluate.selection.select import select, summary
from mrgantry.evaluate.sensitivity_table import sensitivity

__all__ = ["evaluate", "select", "sensitivity", "summary"]
