"""The file formats of scans: a path in, an array with its affine out.

What a header says is not believed before it has been compared with the file: sizes
bound what is unpacked, checksums are checked to the end, and a file that holds more
or less than its header promises is refused.
"""

from collections.abc import Callable
from pathlib import Path

from mrgantry.data.formats.dicom import read_dicom
from mrgantry.data.formats.dicom_series import is_dicom, series_in, series_of
from mrgantry.data.formats.facts import ScanFacts, sidecar_facts
from mrgantry.data.formats.nibabel_formats import (
    SIDELESS,
    read_mgh,
    read_nifti,
    read_nifti_slice,
    read_nifti_volume,
    read_pair,
)
from mrgantry.data.formats.nifti_writing import write_nifti
from mrgantry.data.formats.stored import LARGEST, Stored, naming, times
from mrgantry.data.formats.text_headers import read_meta, read_nrrd

READERS: dict[str, Callable[[Path], Stored]] = {
    ".nii.gz": read_nifti,
    ".nii": read_nifti,
    ".hdr": read_pair,
    ".mgz": read_mgh,
    ".mgh": read_mgh,
    ".mha": read_meta,
    ".mhd": read_meta,
    ".nrrd": read_nrrd,
    ".nhdr": read_nrrd,
}

__all__ = [
    "LARGEST",
    "READERS",
    "SIDELESS",
    "ScanFacts",
    "Stored",
    "is_dicom",
    "naming",
    "read_dicom",
    "read_nifti_slice",
    "read_nifti_volume",
    "series_in",
    "series_of",
    "sidecar_facts",
    "times",
    "write_nifti",
]
