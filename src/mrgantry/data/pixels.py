"""What training draws its batches from: images, poses of volumes, or volumes that stay on disk."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float16, Int
from torch import Tensor

from mrgantry.data import oblique


@dataclass(frozen=True, eq=False)
class StoredPixels:
    """Images that lie on the device: an epoch then costs no loading."""

    images: Float16[Tensor, "n c *s"]

    def __len__(self) -> int:
        """Give the number of images."""
        return len(self.images)

    def batch(self, rows: Int[Tensor, " n"]) -> Float[Tensor, "n c *s"]:
        """Give some images by their numbers."""
        return self.images[rows.to(self.images.device)].float()


@dataclass(frozen=True, eq=False)
class PosedPixels:
    """All poses of some volumes on the device: number 48,510 v + p is pose p of volume v."""

    heads: list[oblique.ObliqueVolume]
    size: int
    field_mm: float

    def __len__(self) -> int:
        """Give the number of poses of all volumes."""
        return len(self.heads) * oblique.POSES

    def batch(self, rows: Int[Tensor, " n"]) -> Float[Tensor, "n c *s"]:
        """Draw some poses by their numbers."""
        places = [divmod(int(row), oblique.POSES) for row in rows]
        drawn = [(head, oblique.Pose.at(index)) for head, index in places]
        return oblique.draw_poses(self.heads, drawn, self.size, self.field_mm)


@dataclass(frozen=True, eq=False)
class FiledPixels:
    """Volumes that stay on disk, since there are more than memory should hold.

    Attributes:
        count: How many there are.
        read: Reads one by its number, as an array of one row.
        device: Where batches go.
    """

    count: int
    read: Callable[[int], Float16[np.ndarray, "1 c *s"]]
    device: torch.device

    def __len__(self) -> int:
        """Give the number of volumes."""
        return self.count

    def batch(self, rows: Int[Tensor, " n"]) -> Float[Tensor, "n c *s"]:
        """Read some volumes by their numbers."""
        read = np.concatenate([self.read(row) for row in rows.tolist()])
        return torch.from_numpy(read).float().to(self.device)


Pixels = StoredPixels | PosedPixels | FiledPixels
