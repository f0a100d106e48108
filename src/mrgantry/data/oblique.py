"""Oblique sections of a head in any pose, drawn when they are asked for.

Source: Kazuhiro et al. 2018 drew two-dimensional images from rotated copies of each
volume: right/left -10 to 10 degrees, up/down -10 to 10, cephalad/caudal -5 to 5, all
in steps of 1, five sections 2 mm apart, and a right/left flip: 48,510 images a volume.
Stored at 256 x 256 they would fill 6 GB a volume; drawn, none is ever stored.

The paper names no axes. Here, in this order and by the right-hand rule about the
patient's right, anterior and superior (RAS+) axes: yaw about superior (positive turns
the nose to the patient's left), pitch about right (positive lifts the nose), roll
about anterior (positive leans the head to its right).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float16, Float32
from scipy.spatial.transform import Rotation
from torch import Tensor

from mrgantry.data.volume import Volume

YAWS = range(-10, 11)
PITCHES = range(-10, 11)
ROLLS = range(-5, 6)
SECTIONS = (-4.0, -2.0, 0.0, 2.0, 4.0)
_CHOICES = (len(YAWS), len(PITCHES), len(ROLLS), len(SECTIONS), 2)
POSES = int(np.prod(_CHOICES))  # 48,510
# In the ICBM 152 average brain a section through caudate, putamen and thalamus (10 mm
# above the commissures) lies 0.52 of the brain's width below its top, and the middle
# between the commissures 5 mm before the middle of its length.
BELOW_TOP = 0.52
BEFORE_MIDDLE_MM = 5.0
UPPER_MM = 60.0  # the part in which the width is measured: above the ears and the skull base


@dataclass(frozen=True)
class Pose:
    """How a head is turned, and where it is cut.

    Attributes:
        yaw, pitch, roll: Degrees, applied in this order; any number, not only those of
            the paper.
        section: Height of the axial section above the centre in mm.
        flip: Whether right and left are exchanged.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    section: float = 0.0
    flip: bool = False

    @classmethod
    def at(cls, index: int) -> "Pose":
        """Give the pose of an index from 0 to 48,509; the flip changes fastest.

        >>> Pose.at(24254), Pose.at(24255).flip
        (Pose(yaw=0, pitch=0, roll=0, section=0.0, flip=False), True)
        """
        yaw, pitch, roll, section, flip = np.unravel_index(index, _CHOICES)
        return cls(YAWS[yaw], PITCHES[pitch], ROLLS[roll], SECTIONS[section], bool(flip))

    @property
    def index(self) -> int:
        """Give the index of one of the paper's poses.

        Raises:
            ValueError: It is none of them.
        """
        places = (
            YAWS.index(self.yaw),  # type: ignore[arg-type]
            PITCHES.index(self.pitch),  # type: ignore[arg-type]
            ROLLS.index(self.roll),  # type: ignore[arg-type]
            SECTIONS.index(self.section),
            int(self.flip),
        )
        return int(np.ravel_multi_index(places, _CHOICES))

    def matrix(self, pixel_mm: float, size: int) -> Float[np.ndarray, "4 4"]:
        """Map (column, row, 0, 1) of the image to mm from the centre of an unturned head.

        Row 0 is anterior and column 0 the patient's right, as in all axial slices.
        """
        middle = (size - 1) / 2
        side = 1.0 if self.flip else -1.0
        image = np.array(
            [
                [side * pixel_mm, 0, 0, -side * pixel_mm * middle],
                [0, -pixel_mm, 0, pixel_mm * middle],
                [0, 0, pixel_mm, self.section],
                [0, 0, 0, 1],
            ]
        )
        turned = np.eye(4)  # lower case: about the fixed axes, one after the other
        turned[:3, :3] = Rotation.from_euler(
            "zxy", [self.yaw, self.pitch, self.roll], degrees=True
        ).as_matrix()
        return np.linalg.inv(turned) @ image


@dataclass(frozen=True, eq=False)
class StoredHead:
    """A volume to draw sections from, as a set of slices keeps it.

    Attributes:
        voxels: Intensities in [-1, 1], -1 outside the brain; axes RAS+.
        affine: Voxel indices to mm.
        centre: Where poses turn, in mm.
    """

    voxels: Float16[np.ndarray, "c x y z"]
    affine: Float[np.ndarray, "4 4"]
    centre: Float[np.ndarray, "3"]

    def beside(self, other: "StoredHead") -> "StoredHead":
        """Give one volume with the channels of both, which lie on one grid."""
        return replace(self, voxels=np.concatenate([self.voxels, other.voxels]))

    def lay_out(self, device: torch.device | str = "cpu") -> "ObliqueVolume":
        """Put the volume where sections are drawn from."""
        return ObliqueVolume(self.voxels, self.affine, self.centre, device)


def save_heads(path: Path, heads: Sequence[StoredHead]) -> None:
    """Write one person's volumes."""
    arrays = {
        f"{key}{k}": value for k, head in enumerate(heads) for key, value in vars(head).items()
    }
    np.savez(path, **arrays)


def load_heads(path: Path) -> list[StoredHead]:
    """Read one person's volumes.

    Raises:
        OSError, ValueError, KeyError, zipfile.BadZipFile: The file is damaged.
    """
    with path.open("rb") as file, np.load(file) as arrays:
        count = len(arrays.files) // 3
        return [
            StoredHead(arrays[f"voxels{k}"], arrays[f"affine{k}"], arrays[f"centre{k}"])
            for k in range(count)
        ]


class ObliqueVolume:
    """A volume laid out for drawing.

    The slices of the volume lie in one tall image, one below the other with a row of
    nothing between: a point between two slices is read in both by the two-dimensional
    sampler, and the two are blended. That is trilinear interpolation, and several
    times faster than the three-dimensional sampler, which no processor vectorises.
    """

    def __init__(
        self,
        voxels: Float[np.ndarray, "c x y z"],
        affine: Float[np.ndarray, "4 4"],
        centre: Float[np.ndarray, "3"],
        device: torch.device | str = "cpu",
    ) -> None:
        """Lay out a volume for drawing.

        Args:
            voxels: Intensities in [-1, 1], -1 outside the brain; axes RAS+.
            affine: Voxel indices to mm.
            centre: Where poses turn, in mm.
            device: Where sections are drawn.
        """
        channels, width, height, depth = voxels.shape
        self.to_voxels = np.linalg.inv(affine)
        self.spacing = float(np.linalg.norm(affine[:3, :3], axis=0)[:2].min())
        self.centre = centre
        self.shape = (depth, height, width)
        # One slice more than there are: the last one's neighbour above.
        tall = torch.zeros(channels, depth + 1, height + 1, width, device=device)
        stack = torch.from_numpy(voxels).to(device).permute(0, 3, 2, 1)
        tall[:, :depth, :height] = stack.float() + 1  # 0 outside, where the sampler reads 0
        self.tall = tall

    def read(self, maps: Float[np.ndarray, "n 4 4"], side: int) -> Float32[Tensor, "n c side side"]:
        """Interpolate the volume where some images lie, 0 outside of it.

        Args:
            maps: For each image, (column, row, 0, 1) to mm.
            side: Height and width of an image.
        """
        depth, height, width = self.shape
        rows = depth * (height + 1)
        # The sampler counts from -1 to 1 over all columns and over all rows: those units
        # come out of the maps themselves, since every further pass costs memory traffic.
        units = np.diag([2 / (width - 1), 2 / (rows - 1), 1.0])
        to_units = units @ (self.to_voxels @ maps)[:, :3, [0, 1, 3]]
        to_units[:, :2, 2] -= 1
        linear = torch.from_numpy(to_units).float().to(self.tall.device)
        steps = torch.arange(side, dtype=torch.float32, device=self.tall.device)
        along = (linear[..., :1] * steps)[:, :, None]  # n 3 1 side
        down = (linear[..., 1:2] * steps + linear[..., 2:])[..., None]  # n 3 side 1
        above = (along[:, 2] + down[:, 2]).clamp_(-1, depth)
        below = above.floor()
        row = 2 / (rows - 1)
        grid = torch.empty(len(maps), side, side, 2, device=self.tall.device)
        torch.add(along[:, 0], down[:, 0], out=grid[..., 0])
        within = (along[:, 1] + down[:, 1]).clamp_(-row - 1, row * height - 1)
        torch.add(within, below, alpha=row * (height + 1), out=grid[..., 1])
        between = above.sub_(below)
        drawn = []
        for channel in self.tall:
            # Two channels over the same memory: every slice, and the one above it.
            both = channel.as_strided((2, rows, width), ((height + 1) * width, width, 1))
            pair = F.grid_sample(both.expand(len(grid), -1, -1, -1), grid, align_corners=True)
            drawn.append(torch.lerp(pair[:, 0], pair[:, 1], between))
        return torch.stack(drawn, 1) if len(drawn) > 1 else drawn[0][:, None]


def draw_poses(
    heads: Sequence[ObliqueVolume],
    drawn: Sequence[tuple[int, Pose]],
    size: int,
    field_mm: float,
) -> Float32[Tensor, "n c s s"]:
    """Draw poses of heads, each as an upright axial image.

    Where pixels are coarser than voxels, several points a pixel are read and averaged.

    Args:
        heads: The volumes, all on one device and of the same channels.
        drawn: For each image, the number of its head and its pose.
        size: Height and width in pixels.
        field_mm: Side of the image in mm.

    Returns:
        Images in [-1, 1] on the heads' device, in the order of `drawn`.
    """
    pixel_mm = field_mm / size
    finest = min(head.spacing for head in heads)
    points = max(1, int(np.ceil(pixel_mm / finest - 0.1)))  # a pixel and direction
    side = size * points
    device, channels = heads[0].tall.device, len(heads[0].tall)
    # On a processor, as many as its caches hold; a GPU takes them all.
    at_once = max(1, len(drawn) if device.type != "cpu" else 2 * torch.get_num_threads())
    images = torch.empty(len(drawn), channels, size, size, device=device)
    of_head: dict[int, list[int]] = {}
    for place, (number, _) in enumerate(drawn):
        of_head.setdefault(number, []).append(place)
    for number, places in of_head.items():
        head = heads[number]
        for start in range(0, len(places), at_once):
            block = places[start : start + at_once]
            poses = [drawn[place][1] for place in block]
            maps = [placed(pose, pixel_mm / points, side, head.centre) for pose in poses]
            read = head.read(np.stack(maps), side)
            images[block] = F.avg_pool2d(read, points) if points > 1 else read
    return images.sub_(1).clamp_(-1, 1)


def placed(
    pose: Pose, pixel_mm: float, size: int, centre: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "4 4"]:
    """Map (column, row, 0, 1) of a pose's image to scanner mm."""
    moved = pose.matrix(pixel_mm, size)
    moved[:3, 3] += centre
    return moved


def basal_level(brain: Bool[np.ndarray, "x y z"], volume: Volume) -> Float[np.ndarray, "3"]:
    """Estimate the centre of the section through the basal ganglia in mm.

    It is read off the box round the upper part of the brain, or of the head, whose
    scalp adds as much above as at the sides. Heads are assumed to lie about upright;
    for scans that are aligned better, the plan names the centre.
    """
    x_mm, y_mm, z_mm = volume.spacing
    top = int(np.flatnonzero(brain.any((0, 1)))[-1]) + 1
    upper = brain[:, :, max(0, top - round(UPPER_MM / z_mm)) : top]
    columns, rows = np.flatnonzero(upper.any((1, 2))), np.flatnonzero(upper.any((0, 2)))
    width = float(columns[-1] - columns[0] + 1) * x_mm
    level = top - 0.5 - BELOW_TOP * width / z_mm
    middle = float(columns[0] + columns[-1]) / 2, float(rows[0] + rows[-1]) / 2
    return (volume.affine @ [middle[0], middle[1] + BEFORE_MIDDLE_MM / y_mm, level, 1])[:3]


def drawn_for(name: str, count: int, seed: int) -> list[int]:
    """Draw which poses of a volume stand in `slices.csv`: the same for the same name."""
    letters = chain([seed], name.encode())
    random = np.random.default_rng(list(letters))
    return sorted(int(index) for index in random.choice(POSES, count, replace=False))
