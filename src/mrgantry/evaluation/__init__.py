"""Whether synthetic images are any good: one file a measure, one door for all."""

from mrgantry.evaluation.evaluation import evaluate
from mrgantry.evaluation.selection.select import select, summary
from mrgantry.evaluation.sensitivity_table import sensitivity

__all__ = ["evaluate", "select", "sensitivity", "summary"]
