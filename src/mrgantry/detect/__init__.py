"""Tumour detection: whether synthetic images help a classifier."""

from mrgantry.detect.experiment import detect

__all__ = ["detect"]
