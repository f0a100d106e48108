"""One scan in memory, and the one door through which every scan comes in."""

import glob
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Float, Float32

from mrgantry.common.errors import DataError
from mrgantry.data.formats import (
    READERS,
    Stored,
    is_dicom,
    naming,
    read_dicom,
    read_nifti_volume,
    series_of,
    times,
)

SUFFIXES = tuple(READERS)
SPACINGS = (0.01, 50.0)  # mm; what lies outside is a damaged header
DIMMEST = 1e-15  # floats in the wrong byte order are all smaller, or some larger than this:
BRIGHTEST = 1e15  # scanners give thousands; a damaged scale factor gives this


@dataclass(frozen=True, eq=False)
class Volume:
    """A scan whose axes run to the patient's right, anterior and superior (RAS+).

    Attributes:
        voxels: Intensities in the scanner's units.
        affine: Voxel indices to millimetres in scanner space.
        stored_axes: Where the axes pointed in the file, such as "LPS": papers count
            slices along those.
        simulated: True if the file says that it was simulated, or drawn of simulated people.
        assumed: What was taken for granted, "" if nothing was.
        synthetic: True if the file says that a generator drew it.
    """

    voxels: Float32[np.ndarray, "x y z"]
    affine: Float[np.ndarray, "4 4"]
    stored_axes: str
    simulated: bool = False
    assumed: str = ""
    synthetic: bool = False

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Give the voxel size along x, y and z in millimetres."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def stored_order(self) -> tuple[int, int, int]:
        """Give, for each axis of the file, the axis of the volume that it became."""
        x, y, z = (["RL", "AP", "SI"].index(pair) for pair in map(_pair, self.stored_axes))
        return x, y, z

    def same_grid(self, other: "Volume") -> bool:
        """Say whether both volumes have the same voxels in the same places."""
        return self.voxels.shape == other.voxels.shape and np.allclose(
            self.affine, other.affine, atol=1e-3
        )

    def stored_index(self, axis: int, index: int) -> int:
        """Give the index along the stored axis of a slice counted in RAS+ order."""
        reversed_in_file = any(letter in self.stored_axes for letter in "LPI"[axis])
        return self.voxels.shape[axis] - 1 - index if reversed_in_file else index


def _pair(letter: str) -> str:
    return next(pair for pair in ("RL", "AP", "SI") if letter in pair)


def parts_of(path: Path) -> list[Path]:
    """List the files that a scan is read from: its own, or all slices of its series."""
    path, _ = split_number(path)
    if path.is_dir():
        return sorted(path.iterdir())
    if suffix_of(path) in (".hdr", ".mhd", ".nhdr"):  # the voxels lie beside it
        return sorted(path.parent.glob(f"{glob.escape(path.name[:-4])}*"))
    if not suffix_of(path) and is_dicom(path):
        return [file for series in series_of(path) for file in series.files]
    return [path]


def split_number(path: Path) -> tuple[Path, int | None]:
    """Split the name of one volume of a file of several, `FILE#1`, into the file and its number."""
    name, mark, number = path.name.rpartition("#")
    if mark and number.isdigit() and suffix_of(Path(name)) and not path.exists():
        return path.with_name(name), int(number)
    return path, None


def suffix_of(path: Path) -> str:
    """Give the ending by which a scan's format is known, "" if there is none."""
    name = path.name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")


def is_scan(path: Path) -> bool:
    """Say whether the file's name is that of a scan we can read."""
    return bool(suffix_of(path)) and not path.name.startswith(".")


def read_volume(path: Path) -> Volume:
    """Read one scan, turn its axes to RAS+ and check that it is usable.

    Args:
        path: NIfTI (.nii, .nii.gz, .hdr with .img), Analyze (.hdr with .img), MGH (.mgz,
            .mgh), MetaImage (.mha, .mhd), NRRD (.nrrd, .nhdr), the folder of one DICOM
            series, or a file of one. `FILE#1` is the second volume of a NIfTI file of several.

    Raises:
        DataError: The file is missing, truncated, damaged or of no known format; has
            not three axes, holds colours, NaN or infinity; or does not say where its
            voxels lie.
    """
    path, number = split_number(path)
    if not path.exists():
        link = ": it is a link to nothing; fetch its data" if path.is_symlink() else ""
        raise DataError(f"{path} does not exist{link}.")
    if not (path.is_file() or path.is_dir()):  # reading a pipe would wait for ever
        raise DataError(f"{path} is neither a file nor a folder.")
    read = READERS.get(suffix_of(path)) if path.is_file() else read_dicom
    if read is None and is_dicom(path):
        read = read_dicom
    if read is None:
        raise DataError(f"{path} is no scan by its name; known are {', '.join(SUFFIXES)}.")
    with naming(path):
        if path.is_file() and path.stat().st_size == 0:
            raise DataError("it is empty; copy it again")
        return _checked(read(path) if number is None else read_nifti_volume(path, number))


@np.errstate(all="ignore")  # what overflows is found by the checks
def _checked(stored: Stored) -> Volume:
    """Turn to RAS+ and check intensities and geometry."""
    matrix = stored.affine[:3, :3]
    spacing = np.linalg.norm(matrix, axis=0)
    sound = np.isfinite(stored.affine).all() and abs(np.linalg.det(matrix)) > 1e-9
    if not sound or not np.all((spacing > SPACINGS[0]) & (spacing < SPACINGS[1])):
        steps = times([f"{step:.3g}" for step in spacing])
        raise DataError(f"it has no usable geometry (its voxels would measure {steps} mm)")
    voxels = np.asarray(stored.array, dtype=np.float32)
    low, high = float(voxels.min()), float(voxels.max())  # NaN passes through both
    if not (-BRIGHTEST < low <= high < BRIGHTEST):
        bad = int((~np.isfinite(voxels)).sum())
        what = f"{bad:,} voxels that are NaN or infinite" if bad else f"values up to {high:.3g}"
        raise DataError(f"it holds {what}")
    if 0 < max(-low, high) < DIMMEST:
        raise DataError(f"it holds no value above {max(-low, high):.3g}; its byte order is wrong")
    turn = nib.orientations.io_orientation(stored.affine)
    affine = stored.affine @ nib.orientations.inv_ornt_aff(turn, voxels.shape)
    return Volume(
        voxels=nib.orientations.apply_orientation(voxels, turn),
        affine=affine,
        stored_axes="".join(nib.aff2axcodes(stored.affine)),
        simulated=stored.simulated,
        assumed=stored.assumed,
        synthetic=stored.synthetic,
    )
