"""Figures and the page: what lies in folders, for people."""

from mrgantry.report.page import report

__all__ = ["report"]
