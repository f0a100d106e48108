"""Scans in, slices out: volumes, subjects, plans and sets of slices."""

from mrgantry.data.export import export_png
from mrgantry.data.inspect import inspect
from mrgantry.data.plan import SlicePlan
from mrgantry.data.prepare import prepare
from mrgantry.data.slices import SliceSet
from mrgantry.data.subjects import Subject, find_subjects
from mrgantry.data.volume import Volume, read_volume

__all__ = [
    "SlicePlan",
    "SliceSet",
    "Subject",
    "Volume",
    "export_png",
    "find_subjects",
    "inspect",
    "prepare",
    "read_volume",
]
