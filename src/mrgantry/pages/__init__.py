"""Figures and the page: what lies in folders, for people."""

from mrgantry.pages.detection import write_detection
from mrgantry.pages.page import report
from mrgantry.pages.segmentation import write_segmentation
from mrgantry.pages.sensitivity import write_sensitivity

__all__ = ["report", "write_detection", "write_segmentation", "write_sensitivity"]
