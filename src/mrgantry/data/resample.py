"""One volume on another's grid."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from mrgantry.common.errors import DataError
from mrgantry.data.formats import LARGEST, times
from mrgantry.data.volume import Volume


@dataclass(frozen=True, eq=False)
class Grid:
    """Where voxels lie: their number along x, y and z, their affine and stored axes.

    The three are those of a `Volume`.
    """

    shape: tuple[int, ...]
    affine: Float[np.ndarray, "4 4"]
    stored_axes: str

    @classmethod
    def of(cls, volume: Volume) -> "Grid":
        """Give a volume's own grid."""
        return cls(volume.voxels.shape, volume.affine, volume.stored_axes)

    def fits(self, volume: Volume) -> bool:
        """Say whether a volume lies on this grid already."""
        return self.shape == volume.voxels.shape and np.allclose(
            self.affine, volume.affine, atol=1e-3
        )

    def overlaps(self, volume: Volume) -> bool:
        """Say whether a volume's field holds most of this grid."""
        lattice = np.stack(np.meshgrid(*[np.linspace(0.1, 0.9, 9)] * 3), -1).reshape(-1, 3)
        here = lattice * (np.array(self.shape) - 1)
        to_voxels = np.linalg.inv(volume.affine) @ self.affine
        there = here @ to_voxels[:3, :3].T + to_voxels[:3, 3]
        inside = (there > -0.5) & (there < np.array(volume.voxels.shape) - 0.5)
        return bool(inside.all(1).mean() > 0.5)

    def with_spacing(self, spacing: float) -> "Grid":
        """Give a grid of cubic voxels that covers the same field in the same directions.

        Args:
            spacing: Side of a voxel in mm.

        Raises:
            DataError: It would have more voxels than any scan.
        """
        steps = np.linalg.norm(self.affine[:3, :3], axis=0)
        sides = steps * self.shape
        shape = tuple(max(2, int(n)) for n in np.round(sides / spacing))
        if np.prod(shape, dtype=float) > LARGEST:
            raise DataError(f"at {spacing:g} mm it would have {times(shape)} voxels.")
        affine = self.affine.copy()
        affine[:3, :3] *= spacing / steps
        # Voxel centres move so that the corner of the field stays where it is.
        shift = (np.array(shape) - 1) / 2 * spacing / steps - (np.array(self.shape) - 1) / 2
        affine[:3, 3] -= self.affine[:3, :3] @ shift
        return Grid(shape, affine, self.stored_axes)


def resample(volume: Volume, grid: Grid, how: Literal["linear", "nearest"] = "linear") -> Volume:
    """Read a volume at the voxels of another grid; outside its field it is its lowest value.

    Going to coarser voxels it is smoothed first, so that nothing folds over.

    Args:
        volume: What to read.
        grid: Where to read it.
        how: "linear" for intensities, "nearest" for masks and labels.
    """
    to_source = np.linalg.inv(volume.affine) @ grid.affine
    voxels = volume.voxels
    if how == "linear":
        # How far a step of the grid goes along each axis of the volume, in its voxels.
        coarser = np.abs(to_source[:3, :3]).max(axis=1)
        # A voxel r times as long is a box r wide; sqrt(r^2 - 1) of it is still missing.
        sigma = np.sqrt(np.maximum(coarser**2 - 1, 0) / 12)
        if sigma.max() > 0.1:
            voxels = ndimage.gaussian_filter(voxels, sigma)
    read = ndimage.affine_transform(
        voxels,
        to_source[:3, :3],
        to_source[:3, 3],
        output_shape=grid.shape,
        order=1 if how == "linear" else 0,
        mode="grid-constant" if how == "linear" else "constant",
        cval=float(voxels.min()) if how == "linear" else 0.0,
    )
    return replace(volume, voxels=read, affine=grid.affine, stored_axes=grid.stored_axes)
