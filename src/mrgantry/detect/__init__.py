"""Tumour detection: whether synthetic images help a classifier."""

from mrgantry.detect.experiment import detect
from mrgantry.detect.kept import Labeller

__all__ = ["Labeller", "detect"]
