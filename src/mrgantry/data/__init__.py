"""Scans in, slices out: volumes, subjects, plans and sets of slices."""

from mrgantry.data.exchange.export import export
from mrgantry.data.exchange.imports import import_slices
from mrgantry.data.exchange.plan import ImportPlan
from mrgantry.data.generated import Generated
from mrgantry.data.inspection import inspect
from mrgantry.data.notes import Repeat
from mrgantry.data.plan import SlicePlan
from mrgantry.data.preparation import prepare
from mrgantry.data.repeats import find_repeats
from mrgantry.data.slices import SliceSet
from mrgantry.data.subjects import Subject, find_subjects
from mrgantry.data.volume import Volume, read_volume

__all__ = [
    "Generated",
    "ImportPlan",
    "Repeat",
    "SlicePlan",
    "SliceSet",
    "Subject",
    "Volume",
    "export",
    "find_repeats",
    "find_subjects",
    "import_slices",
    "inspect",
    "prepare",
    "read_volume",
]
