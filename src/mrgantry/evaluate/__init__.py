"""Whether synthetic images are any good: one file a measure, one door for all."""

from mrgantry.evaluate.evaluate import evaluate

__all__ = ["evaluate"]
