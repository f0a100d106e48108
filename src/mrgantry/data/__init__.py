"""Scans in, slices out: volumes, subjects, plans and sets of slices."""

from mrgantry.data.export import export
from mrgantry.data.import_plan import ImportPlan
from mrgantry.data.imports import import_slices
from mrgantry.data.inspect import inspect
from mrgantry.data.plan import SlicePlan
from mrgantry.data.prepare import prepare
from mrgantry.data.slices import SliceSet
from mrgantry.data.subjects import Subject, find_subjects
from mrgantry.data.volume import Volume, read_volume

__all__ = [
    "ImportPlan",
    "SlicePlan",
    "SliceSet",
    "Subject",
    "Volume",
    "export",
    "find_subjects",
    "import_slices",
    "inspect",
    "prepare",
    "read_volume",
]
