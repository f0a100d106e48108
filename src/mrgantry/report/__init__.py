"""Figures and the page: what lies in folders, for people."""

from mrgantry.report.detection import write_detection
from mrgantry.report.page import report
from mrgantry.report.segmentation import write_segmentation
from mrgantry.report.sensitivity import write_sensitivity

__all__ = ["report", "write_detection", "write_segmentation", "write_sensitivity"]
