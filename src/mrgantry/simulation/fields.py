"""Smooth random fields, sampling between voxels, and maps that cannot fold.

Everything here lives on regular grids in PyTorch, axes (x, y, z). Grids of 4 mm carry
what is smooth; only the last step is at 1 mm.

Tensors are made on PyTorch's default device, so `with torch.device("cuda")` moves the work
to a GPU. Random numbers always come from the CPU, so that a patient is the same on both.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Spectrum = Callable[[Tensor], Tensor]
Shape = tuple[int, int, int]


def stream(seed: int, subject: int, purpose: str) -> torch.Generator:
    """Open the random stream of one purpose of one subject.

    Streams are independent, so the same patient can be drawn with and without a
    tumour, and no subject depends on how many others there are.
    """
    words = np.random.SeedSequence([seed, subject, *purpose.encode()]).generate_state(2)
    return torch.Generator().manual_seed(int(words[0]) << 31 | int(words[1]) >> 1)


def draw_normal(generator: torch.Generator, *shape: int) -> Tensor:
    """Draw standard normal numbers on the CPU and bring them to the default device."""
    drawn = torch.randn(*shape, generator=generator, device="cpu")
    return drawn.to(torch.get_default_device())


def normal(generator: torch.Generator, mean: float = 0.0, sd: float = 1.0) -> float:
    """Draw one normal number."""
    return mean + sd * float(torch.randn((), generator=generator, device="cpu"))


def uniform(generator: torch.Generator, low: float, high: float) -> float:
    """Draw one uniform number in [low, high)."""
    return low + (high - low) * float(torch.rand((), generator=generator, device="cpu"))


def smooth(sigma: float) -> Spectrum:
    """Give the amplitude of white noise after a Gaussian filter of `sigma` mm."""
    return lambda k: torch.exp(-2 * (math.pi * sigma * k) ** 2)


def band(wavelength: float, width: float = 0.25) -> Spectrum:
    """Give the amplitude of noise of one wavelength in mm, give or take `width` of it."""
    return lambda k: torch.exp(-0.5 * ((k * wavelength - 1) / width) ** 2)


def power_law(exponent: float) -> Spectrum:
    """Give the amplitude 1/f^exponent, flat below one cycle in 50 mm."""
    return lambda k: k.clamp(min=0.02) ** -exponent


def random_field(
    generator: torch.Generator, shape: Shape, spacing: float, spectrum: Spectrum, count: int = 1
) -> Float[Tensor, "count x y z"]:
    """Draw periodic Gaussian fields of mean 0 and standard deviation 1.

    Args:
        generator: Where the numbers come from.
        shape: Grid points along x, y and z.
        spacing: Distance of grid points in mm.
        spectrum: Amplitude at a frequency in cycles/mm.
        count: Independent fields.
    """
    frequencies = [torch.fft.fftfreq(n, spacing) for n in shape[:2]]
    frequencies.append(torch.fft.rfftfreq(shape[2], spacing))
    kx, ky, kz = torch.meshgrid(*frequencies, indexing="ij")
    k = (kx**2 + ky**2 + kz**2).sqrt()
    amplitude = spectrum(k) * (k > 0)
    # All but the first and last plane of a real transform stand for two frequencies.
    plane = torch.arange(shape[2] // 2 + 1)
    twice = torch.where(2 * plane % shape[2] == 0, 1.0, 2.0)
    power = (amplitude**2 * twice).sum() / math.prod(shape)
    white = draw_normal(generator, count, *shape)
    filtered = torch.fft.rfftn(white, dim=(1, 2, 3)) * (amplitude / power.sqrt())
    field: Tensor = torch.fft.irfftn(filtered, s=shape, dim=(1, 2, 3))
    return field


def sample(
    maps: Float[Tensor, "c x y z"], points: Float[Tensor, "3 ..."]
) -> Float[Tensor, "c ..."]:
    """Read maps between their voxels, linearly; points outside read the border.

    Args:
        maps: One or more maps on one grid.
        points: Voxel coordinates, not millimetres.
    """
    flat = points.reshape(3, -1)
    sizes = maps.shape[1:]
    # grid_sample names the last axis first and counts from -1 to 1.
    unit = torch.stack([flat[axis] * (2 / (sizes[axis] - 1)) for axis in (2, 1, 0)]) - 1
    grid = unit.T[None, None, None]
    read: Tensor = F.grid_sample(maps[None], grid, padding_mode="border", align_corners=True)
    return read.reshape(maps.shape[0], *points.shape[1:])


def lattice(shape: Shape, spacing: float = 1.0) -> Float[Tensor, "3 x y z"]:
    """Give every grid point's own coordinates."""
    axes = [torch.arange(n, dtype=torch.float32) * spacing for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


@dataclass(frozen=True)
class Box:
    """A part of the canvas, from `corner`, `size` voxels of 1 mm along each axis."""

    corner: Shape
    size: Shape

    def slices(self) -> tuple[slice, slice, slice]:
        """Cut this box out of a whole canvas."""
        x, y, z = (slice(c, c + n) for c, n in zip(self.corner, self.size, strict=True))
        return x, y, z


def refine(coarse: Float[Tensor, "c i j k"], spacing: int, box: Box) -> Float[Tensor, "c x y z"]:
    """Interpolate a grid over the canvas to the voxels of a box.

    Args:
        coarse: Values at every `spacing` voxels of the canvas, from voxel 0.
        spacing: Voxels between grid points.
        box: What part of the canvas is wanted.
    """
    # Hat functions as matrices: several times faster than torch's own interpolation.
    x, y, z = (
        (1 - (torch.arange(corner, corner + size)[:, None] / spacing - torch.arange(points)).abs())
        .clamp(min=0)
        for corner, size, points in zip(box.corner, box.size, coarse.shape[1:], strict=True)
    )  # fmt: skip
    along_x = (x @ coarse.flatten(2)).unflatten(2, coarse.shape[2:])
    return (y @ along_x) @ z.T


def exponential(
    velocity: Float[Tensor, "3 x y z"], spacing: float, squarings: int = 6
) -> Float[Tensor, "3 x y z"]:
    """Integrate a stationary velocity field to a displacement, both in mm.

    The result of following a smooth flow can be followed back, so it does not fold
    where a displacement field of the same size would.

    Source: Arsigny et al., MICCAI 2006, scaling and squaring.
    """
    x, y, z = velocity.shape[1:]
    here = lattice((x, y, z))
    moved: Tensor = velocity / 2**squarings
    for _ in range(squarings):
        moved = moved + sample(moved, here + moved / spacing)
    return moved


def jacobian(points: Float[Tensor, "3 x y z"], spacing: float) -> Float[Tensor, "i j k"]:
    """Give the least determinant of a map's derivative at the eight corners of each cell.

    Args:
        points: Where each grid point is sent, in units of `spacing`.
        spacing: Distance of grid points.
    """
    dx, dy, dz = (points.diff(dim=axis) / spacing for axis in (1, 2, 3))
    first, last = slice(None, -1), slice(1, None)
    least = torch.full([n - 1 for n in points.shape[1:]], math.inf)
    for x, y, z in itertools.product((first, last), repeat=3):
        a, b, c = dx[:, :, y, z], dy[:, x, :, z], dz[:, x, y, :]
        volume = (torch.linalg.cross(a, b, dim=0) * c).sum(0)
        least = torch.minimum(least, volume)
    return least
