"""One scan in memory, and the one door through which every scan comes in."""

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Float, Float32
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import SpatialImage
from nibabel.wrapstruct import WrapStructError

from mrgantry.common.errors import DataError

SUFFIXES = (".nii.gz", ".nii")
LARGEST = 1024**3  # voxels; the finest whole-head scans have about a tenth of it


@dataclass(frozen=True, eq=False)
class Volume:
    """A scan whose axes run to the patient's right, anterior and superior (RAS+).

    Attributes:
        voxels: Intensities in the scanner's units.
        affine: Voxel indices to millimetres in scanner space.
        stored_axes: Where the axes pointed in the file, such as "LPS": papers count
            slices along those.
        simulated: True if the file says that it was simulated.
    """

    voxels: Float32[np.ndarray, "x y z"]
    affine: Float[np.ndarray, "4 4"]
    stored_axes: str
    simulated: bool = False

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Give the voxel size along x, y and z in millimetres."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    def same_grid(self, other: "Volume") -> bool:
        """Say whether both volumes have the same voxels in the same places."""
        return self.voxels.shape == other.voxels.shape and np.allclose(
            self.affine, other.affine, atol=1e-3
        )

    def stored_index(self, axis: int, index: int) -> int:
        """Give the index along the stored axis of a slice counted in RAS+ order."""
        reversed_in_file = any(letter in self.stored_axes for letter in "LPI"[axis])
        return self.voxels.shape[axis] - 1 - index if reversed_in_file else index


def is_scan(path: Path) -> bool:
    """Say whether the file's name is that of a scan we can read."""
    return path.name.lower().endswith(SUFFIXES) and not path.name.startswith(".")


def read_volume(path: Path) -> Volume:
    """Read one scan, turn its axes to RAS+ and check that it is usable.

    Args:
        path: A NIfTI file, `.nii` or `.nii.gz`.

    Raises:
        DataError: The file is missing, truncated or not NIfTI; has not three axes,
            holds colours, NaN or infinity, or has no usable affine.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist.")
    try:
        image = nib.load(path)
        _check_header(path, image)
        turned = nib.as_closest_canonical(image)
        voxels = np.asarray(turned.dataobj, dtype=np.float32)
    except (EOFError, OSError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is truncated or damaged ({error}); copy it again.") from error
    except (ImageFileError, WrapStructError, ValueError, KeyError, OverflowError) as error:
        raise DataError(f"{path} is not a readable NIfTI file: {error}") from error
    voxels = voxels.reshape(voxels.shape[:3])
    if not np.isfinite(voxels).all():
        bad = int((~np.isfinite(voxels)).sum())
        raise DataError(f"{path} holds {bad:,} voxels that are NaN or infinite.")
    description = bytes(image.header["descrip"]) if "descrip" in image.header else b""
    return Volume(
        voxels=voxels,
        affine=np.asarray(turned.affine, dtype=np.float64),
        stored_axes="".join(nib.aff2axcodes(image.affine)),
        simulated=description.startswith(b"simulated"),
    )


def _check_header(path: Path, image: SpatialImage) -> None:
    shape = image.shape
    if image.get_data_dtype().names:
        raise DataError(f"{path} holds colours (RGB); a scan has one intensity a voxel.")
    if len(shape) < 3 or any(n != 1 for n in shape[3:]):
        raise DataError(f"{path} has the shape {_times(shape)}; a scan has three axes.")
    if min(shape[:3]) < 2 or np.prod(shape[:3], dtype=float) > LARGEST:
        raise DataError(f"{path} has the shape {_times(shape)}; that is no scan of a brain.")
    matrix = image.affine[:3, :3]
    if not np.isfinite(image.affine).all() or abs(np.linalg.det(matrix)) < 1e-9:
        raise DataError(f"{path} has no usable affine; its header does not say where voxels lie.")


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)
