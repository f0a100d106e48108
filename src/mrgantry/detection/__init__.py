"""Tumour detection: whether synthetic images help a classifier."""

from mrgantry.detection.experiment import detect
from mrgantry.detection.kept import Labeller

__all__ = ["Labeller", "detect"]
