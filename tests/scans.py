"""One phantom in every format, as bytes, and what is known of those bytes.

The phantom is small, but nothing about it is trivial: its axes are stored as PSR, its
voxels measure 1 x 2 x 3 mm, its origin is off the middle and no two voxels that change
places would go unnoticed.
"""

import locale
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

SHAPE = (12, 14, 10)  # as stored
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Truth:
    """What a scan holds: voxels in the order of the file, and their places (RAS+)."""

    voxels: np.ndarray
    affine: np.ndarray

    @property
    def in_ras(self) -> tuple[np.ndarray, np.ndarray]:
        """Give voxels and affine with axes turned to RAS+."""
        turn = nib.orientations.io_orientation(self.affine)
        undo = nib.orientations.inv_ornt_aff(turn, self.voxels.shape)
        return nib.orientations.apply_orientation(self.voxels, turn), self.affine @ undo


def phantom(axes: str = "PSR", dtype: str = "<i2") -> Truth:
    """Draw the phantom with its axes stored as `axes`."""
    random = np.random.default_rng(7)
    voxels = random.permutation(np.prod(SHAPE)).reshape(SHAPE)
    letters = ["RL", "AP", "SI"]
    affine = np.eye(4)
    affine[:3, :3] = 0
    for column, (letter, spacing) in enumerate(zip(axes, (1.0, 2.0, 3.0))):
        row = next(i for i, pair in enumerate(letters) if letter in pair)
        affine[row, column] = spacing if letters[row][0] == letter else -spacing
    affine[:3, 3] = (7, -11, 5)
    return Truth(voxels.astype(dtype), affine)


def to_itk(truth: Truth) -> sitk.Image:
    """Give SimpleITK's image of a phantom."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(truth.voxels.T))
    lps = LPS @ truth.affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


def write_dicom(
    truth: Truth,
    folder: Path,
    series: str = "1",
    names: str = "{:03d}.dcm",
    patient: str = "phantom",
    **told: str,
) -> Path:
    """Write a series of one file a slice, as scanners do; `told` are more tags and their values."""
    folder.mkdir(parents=True, exist_ok=True)
    image = to_itk(truth)
    direction = image.GetDirection()
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    before = locale.setlocale(locale.LC_ALL)  # GDCM's writer leaves the process in "C"
    for index in range(image.GetSize()[2]):
        one = image[:, :, index]
        tags = {
            "0008|0008": "ORIGINAL\\PRIMARY",
            "0008|0016": "1.2.840.10008.5.1.4.1.1.4",
            "0008|0018": f"1.2.826.0.1.3680043.2.1125.{series}.{index + 1}",
            "0008|0060": "MR",
            "0008|103e": "t1 mprage",
            "0010|0020": patient,
            "0018|0050": str(image.GetSpacing()[2]),
            "0020|000d": "1.2.826.0.1.3680043.2.1125.9",
            "0020|000e": f"1.2.826.0.1.3680043.2.1125.{series}",
            "0020|0013": str(index + 1),
            "0020|0032": "\\".join(map(str, image.TransformIndexToPhysicalPoint((0, 0, index)))),
            "0020|0037": "\\".join(str(direction[k]) for k in (0, 3, 6, 1, 4, 7)),
            "0028|0030": f"{image.GetSpacing()[1]}\\{image.GetSpacing()[0]}",
        }
        for tag, value in (tags | told).items():
            one.SetMetaData(tag, value)
        writer.SetFileName(str(folder / names.format(index)))
        writer.Execute(one)
    locale.setlocale(locale.LC_ALL, before)
    return folder


def _nibabel(kind: type, name: str, dtype: str) -> Callable[[Path], tuple[Path, Truth]]:
    def write(folder: Path) -> tuple[Path, Truth]:
        truth = phantom(dtype=dtype)
        image = kind(truth.voxels, truth.affine)
        if isinstance(image, nib.Nifti1Pair):  # as converters of scanners' files do
            image.header.set_qform(truth.affine, 1)
            image.header.set_sform(truth.affine, 1)
        if dtype[0] == ">" and not isinstance(image, nib.freesurfer.MGHImage):
            image = kind(truth.voxels, image.affine, image.header.as_byteswapped(">"))
        nib.save(image, folder / name)
        return folder / name, truth

    return write


def _analyze(folder: Path) -> tuple[Path, Truth]:
    truth = phantom("LAS")
    image = nib.AnalyzeImage(truth.voxels, None)
    image.header.set_zooms((1, 2, 3))
    nib.save(image, folder / "scan.hdr")
    # Analyze knows no origin: its readers take the middle of the scan.
    affine = np.diag([-1.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    return folder / "scan.hdr", Truth(truth.voxels, affine)


def _itk(name: str, dtype: str, *, packed: bool) -> Callable[[Path], tuple[Path, Truth]]:
    def write(folder: Path) -> tuple[Path, Truth]:
        truth = phantom(dtype=dtype)
        sitk.WriteImage(to_itk(truth), str(folder / name), packed)
        return folder / name, truth

    return write


def _dicom(folder: Path) -> tuple[Path, Truth]:
    truth = phantom("PSL")  # slices run along the third axis of a right-handed frame
    return write_dicom(truth, folder / "t1"), truth


KINDS: dict[str, Callable[[Path], tuple[Path, Truth]]] = {
    "nifti1": _nibabel(nib.Nifti1Image, "scan.nii", "<i2"),
    "nifti1-gz": _nibabel(nib.Nifti1Image, "scan.nii.gz", "<f4"),
    "nifti1-big": _nibabel(nib.Nifti1Image, "scan.nii", ">f4"),
    "nifti2": _nibabel(nib.Nifti2Image, "scan.nii", "<f4"),
    "nifti-pair": _nibabel(nib.Nifti1Pair, "scan.hdr", "<i2"),
    "analyze": _analyze,
    "mgz": _nibabel(nib.freesurfer.MGHImage, "scan.mgz", ">f4"),
    "mgh": _nibabel(nib.freesurfer.MGHImage, "scan.mgh", ">i2"),
    "mha": _itk("scan.mha", "<i2", packed=False),
    "mha-packed": _itk("scan.mha", "<f4", packed=True),
    "mhd": _itk("scan.mhd", "<f4", packed=False),
    "nrrd": _itk("scan.nrrd", "<f4", packed=False),
    "nrrd-packed": _itk("scan.nrrd", "<i2", packed=True),
    "dicom": _dicom,
}
PACKED = {"nifti1-gz", "mgz", "mha-packed", "nrrd-packed"}
