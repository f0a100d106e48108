"""Scans that we make, as files: NIfTI, compressed, marked as what they are."""

import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from mrgantry.common.files import whole

LONGEST = 79  # characters of a NIfTI header's description


def write_nifti(
    file: Path, voxels: NDArray[Any], affine: Float[np.ndarray, "4 4"], said: str
) -> None:
    """Write a scan, whole or not at all.

    Args:
        file: A .nii.gz file.
        voxels: Whole numbers, as they are stored.
        affine: Voxel indices to millimetres, RAS+.
        said: What the header says of the scan; readers know by its first word that a scan is
            simulated or synthetic.
    """
    image = nib.Nifti1Image(voxels, affine)
    image.header["descrip"] = said[:LONGEST]
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_slope_inter(1, 0)
    with whole(file) as aside:
        aside.write_bytes(_gzip(image.to_bytes()))


def _gzip(data: bytes) -> bytes:
    """Compress without a time stamp, so that the same scan is the same bytes.

    Scans are noise on black: runs are all that there is to find, and the fastest.
    """
    squeeze = zlib.compressobj(1, wbits=31, strategy=zlib.Z_RLE)
    return squeeze.compress(data) + squeeze.flush()
