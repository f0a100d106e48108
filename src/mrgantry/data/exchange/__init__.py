"""Slices out to other programs' files, and other programs' images in."""

from mrgantry.data.exchange.export import export
from mrgantry.data.exchange.imports import import_slices
from mrgantry.data.exchange.plan import ImportPlan

__all__ = ["ImportPlan", "export", "import_slices"]
