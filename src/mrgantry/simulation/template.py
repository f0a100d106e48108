"""The average brain that every simulated brain is bent from.

nilearn ships grey and white matter maps of the ICBM 2009a symmetric template at
1 mm. This module turns them, once, into the few maps that the simulation reads and
keeps those in the user's cache.

Source: Fonov et al., NeuroImage 47 (2009) S102; NeuroImage 54 (2011) 313.
"""

import os
import sys
import zipfile
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int8
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from mrgantry.common.errors import DataError
from mrgantry.common.files import fingerprint, whole

NOTICE = (
    "Drawn from the tissue maps of the ICBM 2009a nonlinear symmetric template, distributed by "
    "nilearn. Copyright (C) 1993-2009 Louis Collins, McConnell Brain Imaging Centre, Montreal "
    "Neurological Institute, McGill University. Permission to use, copy, modify, and distribute "
    "this software and its documentation for any purpose and without fee is hereby granted, "
    "provided that the above copyright notice appear in all copies. The authors and McGill "
    "University make no representations about the suitability of this software for any purpose. "
    'It is provided "as is" without express or implied warranty. The authors are not responsible '
    "for any data loss, equipment damage, property loss, or injury to subjects or patients "
    "resulting from the use or misuse of this software package."
)
CITATION = (
    "V. S. Fonov et al., Unbiased average age-appropriate atlases for pediatric studies, "
    "NeuroImage 54 (2011) 313-327; V. S. Fonov et al., Unbiased nonlinear average "
    "age-appropriate brain templates from birth to adulthood, NeuroImage 47 (2009) S102."
)
PREPARATION = "9"  # another number makes every user prepare the template again
MARGIN = 8  # voxels kept round the brain

# Stored as int8 in these steps: what is kept of each map, and one unit of it.
STEPS = {
    "csf": 1 / 32,  # log odds of cerebrospinal fluid against tissue
    "white": 1 / 32,  # log odds of white against grey matter
    "pial": 0.5,  # mm from the nearest outer fluid, negative in it
    "depth": 0.5,  # mm inside the hull of the brain, negative outside
    "barrier": 1 / 127,  # 1 where falx and tentorium stop a tumour
    "ventricle": 0.5,  # mm from the lateral and third ventricle, negative inside
    "soft": 1 / 127,  # 1 where grey and white truly mix: deep grey, brain stem
    "below": 1 / 127,  # 1 below the tentorium
    "thick": 1 / 127,  # 1 in grey matter so thick that it must hide folds
}
SHARP = 3  # so many of them need all voxels; the others are smooth, or wider than 4 mm


@dataclass(frozen=True)
class Template:
    """Maps of the average brain at 1 mm, RAS axes, cut to the brain and a margin.

    Attributes:
        maps: One channel for each name in `STEPS`, in that order.
        origin: MNI coordinates in mm of the first voxel.
    """

    maps: Float[Tensor, "9 x y z"]
    origin: tuple[float, float, float]

    def map(self, name: str) -> Float[Tensor, "1 x y z"]:
        """Give one map by its name in `STEPS`."""
        index = list(STEPS).index(name)
        return self.maps[index : index + 1]


def cache_file() -> Path:
    """Say where the prepared template is kept on this machine."""
    if base := os.environ.get("XDG_CACHE_HOME"):
        folder = Path(base)
    elif sys.platform == "win32":
        folder = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Caches"
    else:
        folder = Path.home() / ".cache"
    return folder / "mrgantry" / f"template-{fingerprint(['icbm2009a', PREPARATION])}.npz"


@lru_cache(maxsize=2)
def load_template(device: str = "cpu") -> Template:
    """Load the template, preparing it if this machine has not done so yet.

    Args:
        device: Where its maps shall lie.

    Raises:
        DataError: The user's cache folder cannot be written.
    """
    if device != "cpu":
        template = load_template()
        return replace(template, maps=template.maps.to(device))
    stored = cache_file()
    try:
        return _unpack(stored)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        pass  # absent, or damaged: make it afresh
    maps, origin = _prepare()
    try:
        stored.parent.mkdir(parents=True, exist_ok=True)
        with whole(stored) as aside:
            np.savez_compressed(aside, maps=maps, origin=origin)
    except (OSError, DataError) as error:
        raise DataError(
            f"The prepared template cannot be kept at {stored}: {error}. "
            "Set XDG_CACHE_HOME to a folder that can be written."
        ) from error
    return _unpack(stored)


def _unpack(stored: Path) -> Template:
    with np.load(stored) as file:
        steps = torch.tensor(list(STEPS.values())).reshape(-1, 1, 1, 1)
        x, y, z = (float(mm) for mm in file["origin"])
        return Template(torch.from_numpy(file["maps"]).float() * steps, (x, y, z))


def _prepare() -> tuple[Int8[np.ndarray, "9 x y z"], Float[np.ndarray, "3"]]:
    """Derive all maps from nilearn's three."""
    grey, white, brain, origin = _read_nilearn()
    csf = np.where(brain, 1 - grey - white, 0)
    x, y, z = np.meshgrid(
        *(o + np.arange(n, dtype=np.float32) for o, n in zip(origin, brain.shape, strict=True)),
        indexing="ij",
    )
    hull = ndimage.gaussian_filter(brain.astype(np.float32), 1.5) > 0.5
    depth = ndimage.gaussian_filter(_signed_distance(hull), 1.0)
    ventricle = _signed_distance(~_ventricles(csf, depth, x, y, z))
    grey, white = _without_rim(grey, white, csf, ventricle)
    falx = (np.abs(x) < 2.6) & (white < 0.4)
    outer = ~hull | ((csf > 0.4) & (ventricle > 5)) | (falx & (np.abs(x) < 1) & (ventricle > 8))
    pial = ndimage.gaussian_filter(_signed_distance(~outer), 0.7)
    white, grey = _thin_insula(white, grey, pial, x, y, z)
    below = _below_tentorium(x, y, z)
    fluid = np.log((csf + 0.02) / (grey + white + 0.02))  # sulci are ridges of it
    into_grey = _signed_distance(grey > white)
    deep = (np.abs(x) < 32) & (y > -36) & (y < 22) & (z > -16) & (z < 20) & (depth > 25)
    soft = ndimage.gaussian_filter((deep | below).astype(np.float32), 3)
    tentorium = ndimage.binary_dilation(below, iterations=3) & ~ndimage.binary_erosion(
        below, iterations=2
    )
    maps = {
        "csf": fluid + 1.2 * (fluid - ndimage.gaussian_filter(fluid, 3)) * (ventricle > 5),
        "white": np.log((white + 0.02) / (grey + 0.02)),
        "depth": depth,
        "pial": pial,
        "ventricle": ventricle,
        "soft": soft,
        "barrier": (falx | tentorium).astype(np.float32),
        "below": below.astype(np.float32),
        "thick": ndimage.gaussian_filter(np.clip((into_grey - 2) / 2, 0, 1), 1.5),
    }
    stored = [np.clip(np.round(maps[k] / step), -127, 127) for k, step in STEPS.items()]
    return np.stack(stored).astype(np.int8), np.asarray(origin, np.float64)


def _thin_insula(
    white: NDArray[np.float32],
    grey: NDArray[np.float32],
    pial: NDArray[np.float32],
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    z: NDArray[np.floating],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Put back the white matter behind the insula, which averaging has filled with grey."""
    box = (np.abs(x) > 33) & (np.abs(x) < 47) & (y > -24) & (y < 26) & (z > -14) & (z < 18)
    moved = grey * ndimage.gaussian_filter(box.astype(np.float32), 1.5) / (1 + np.exp(3.2 - pial))
    return white + moved, grey - moved


def _read_nilearn() -> tuple[
    Float[np.ndarray, "x y z"],
    Float[np.ndarray, "x y z"],
    Bool[np.ndarray, "x y z"],
    Float[np.ndarray, "3"],
]:
    """Read grey matter, white matter, the filled brain mask and the origin."""
    from nilearn import datasets  # noqa: PLC0415 - two seconds, needed once per machine

    t1 = datasets.load_mni152_template(resolution=1)
    gm = datasets.load_mni152_gm_template(resolution=1)
    wm = datasets.load_mni152_wm_template(resolution=1)
    head = np.pad(t1.get_fdata() > 0.05, MARGIN)
    brain = ndimage.binary_fill_holes(ndimage.binary_closing(head, iterations=4))
    box = tuple(
        slice(s.start - MARGIN, s.stop + MARGIN) for s in ndimage.find_objects(brain.astype(int))[0]
    )
    grey, white = (np.pad(image.get_fdata(dtype=np.float32), MARGIN)[box] for image in (gm, wm))
    origin = t1.affine[:3, 3] + [s.start - MARGIN for s in box]
    inside = brain[box]
    return grey * inside, white * inside, inside, origin


def _signed_distance(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Distance in mm to the edge of a mask, positive inside."""
    inside = ndimage.distance_transform_edt(mask)
    outside = ndimage.distance_transform_edt(~mask)
    signed: NDArray[np.float32] = np.where(mask, inside - 0.5, 0.5 - outside).astype(np.float32)
    return signed


def _ventricles(
    csf: NDArray[np.float32],
    depth: NDArray[np.float32],
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    z: NDArray[np.floating],
) -> NDArray[np.bool_]:
    """Find the lateral and third ventricles: deep fluid that is not cistern or fissure."""
    cistern = (np.abs(x) < 10) & (y < -22)
    box = (np.abs(x) < 42) & (y > -58) & (y < 42) & (z > -14) & (z < 34)
    fluid = (csf > 0.5) & box & (depth > 24) & ~cistern
    parts, _ = ndimage.label(fluid)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    large: NDArray[np.bool_] = np.isin(parts, np.flatnonzero(sizes > 400))
    return large


def _below_tentorium(
    x: NDArray[np.floating], y: NDArray[np.floating], z: NDArray[np.floating]
) -> NDArray[np.bool_]:
    """Cerebellum and brain stem, by a tent of two planes read off the template."""
    roof = np.minimum(0.6 * (y + 44), 0) - 0.6 * np.abs(x)
    cerebellum = (z < roof) & (y < -36)
    stem = (np.abs(x) < 18) & (y >= -48) & (y < -8) & (z < -8)
    below: NDArray[np.bool_] = cerebellum | stem
    return below


def _without_rim(
    grey: NDArray[np.float32],
    white: NDArray[np.float32],
    csf: NDArray[np.float32],
    ventricle: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Take away the grey rim round the ventricles, a partial volume of fluid and white."""
    excess = (grey - ndimage.grey_opening(grey, size=5)) * (ventricle < 5)
    fluid = csf / (csf + white + 1e-3)
    return grey - excess, white + excess * (1 - fluid)
