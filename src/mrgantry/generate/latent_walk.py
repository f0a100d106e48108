"""A walk through latent space, from the image of one seed to that of the next.

If a generator has learnt how heads vary, neighbouring latents give neighbouring images. If
it has memorised its training images, the walk rests at them and jumps between. Radford et
al. (2016, section 6.1) looked for sharp transitions so, and Delplace (2020) for overfitting,
in 20 images between two vectors.

frames/0000.png ...     every image; channels side by side
walk.gif                there and back, endlessly
strip.png               all images in rows of ten, for print
walk.csv                position and change of every image
walk.json               how it was made, and the largest change
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from mrgantry.common.device import best_device
from mrgantry.common.display import Display, Displayed
from mrgantry.common.errors import DataError
from mrgantry.common.files import AnyPath, fingerprint, whole
from mrgantry.common.picture import grid, save_gif, save_grid
from mrgantry.common.progress import progress
from mrgantry.common.provenance import command_line
from mrgantry.common.tables import write_table
from mrgantry.generate.drawing import draw_images
from mrgantry.generate.latents import METHODS, Prior, linear, onto_prior, spherical, usual_method
from mrgantry.generate.results import begin_results, finish_results
from mrgantry.generate.run import Run

COLUMNS = 10  # images in a row of the strip


@dataclass(frozen=True, eq=False, repr=False)
class Walk(Displayed):
    """What a walk has left.

    Attributes:
        folder: Where it lies.
        method: How it went.
        table: One row an image: `frame`; `position`, 0 at the first seed, 1 at the second
            and so on; `change`, the mean absolute difference from the image before, of
            intensities in [-1, 1].
    """

    folder: Path
    method: str
    table: pd.DataFrame

    @property
    def display(self) -> Display:
        """Show the strip, and how even the walk is."""
        said = f"{len(self.table)} images; the largest change is {self.jump:.1f} times the median."
        return Display([said], picture=self.folder / "strip.png")

    @property
    def jump(self) -> float:
        """Give the largest change over the median one; 1 is perfectly even."""
        changes = self.table["change"].dropna()
        return float(changes.max() / max(changes.median(), 1e-8))


def walk(
    run: AnyPath,
    out: AnyPath,
    seeds: Sequence[int] = (0, 1),
    steps: int = 20,
    method: str | None = None,
    labels: Sequence[str] = (),
    gif_seconds: float = 4.0,
) -> Walk:
    """Walk from the latents of each seed to those of the next.

    The first and last image of each leg are those that `sample` draws from the seeds; of a
    conditional run, with the labels of the first seed. It takes seconds, so the same call
    after an interruption simply does it again.

    Args:
        run: Folder of a trained run.
        out: Folder to write to.
        seeds: Where the walk starts, passes and ends: two or more.
        steps: Images of a leg, both ends included; legs share their ends.
        method: "spherical" goes along the great circle, "linear" along the straight line,
            as Delplace did; unless given, what `usual_method` says of the run's prior.
        labels: Of a conditional generator, such as "tumour=yes". All images have the same
            labels: where these leave several, those of the first seed.
        gif_seconds: How long the animation takes there and back.

    Raises:
        DataError: There are too few seeds or steps, no such method, or the run has no such
            label.
        RunError: The run has no weights yet, or the folder holds something else.
    """
    run, out = Path(run), Path(out)
    if len(seeds) < 2 or steps < 2:
        raise DataError(
            f"A walk needs 2 or more seeds and steps, not {len(seeds)} seed(s) and {steps} step(s)."
        )
    if not gif_seconds > 0:
        raise DataError(f"The animation must take more than 0 seconds, not {gif_seconds}.")
    opened = Run.open(run)
    opened.refuse_volumes()
    prior, latent = opened.recipe.prior, opened.recipe.latent(opened.facts.drawn)
    method = method or usual_method(prior)
    if method not in METHODS:
        raise DataError(f"Unknown method {method!r}; it is {' or '.join(METHODS)}.")
    inputs, values = opened.inputs(seeds, labels)
    ends, codes = inputs[:, :latent], inputs[:1, latent:]
    asked = {
        "seeds": tuple(seeds),
        "steps": steps,
        "method": method,
        "label": tuple(labels),
        "gif_seconds": gif_seconds,
    }
    device = best_device()
    generator = opened.generator().to(device)
    choices = {"weights": fingerprint([opened.weights()])} | asked
    begin_results(out, "walk.json", command_line("walk", run, out, **asked), choices)
    latents = way(ends, steps, method, prior)
    images = draw_images(generator, torch.cat([latents, codes.expand(len(latents), -1)], 1))
    table = table_of(images, steps)
    write_pictures(out, images, gif_seconds)
    write_table(out / "walk.csv", table, digits=6)
    done = Walk(out, method, table)
    facts = {
        "source": opened.facts.source,
        "recipe": opened.recipe.name,
        "prior": prior,
        "labels_of_all_images": dict(zip(opened.facts.labels.levels, values[0], strict=True)),
        "images": len(table),
        "median_change": float(table["change"].median()),
        "largest_change": float(table["change"].max()),
        "largest_over_median": done.jump,
    }
    finish_results(out, "walk.json", facts)
    return done


def way(ends: Float[Tensor, "s z"], steps: int, method: str, prior: Prior) -> Float[Tensor, "n z"]:
    """Lay latents from each end to the next: n = (s - 1) (steps - 1) + 1.

    The great circle is brought back onto the prior, which mends rounding on spheres and
    corners of a cube. The line is left as it is, which is how it was published.
    """
    shares = torch.linspace(0, 1, steps, dtype=torch.float64)
    between = spherical if method == "spherical" else linear
    legs = [between(a, b, shares) for a, b in pairwise(ends.double())]
    latents = torch.cat([legs[0], *(leg[1:] for leg in legs[1:])])
    return (onto_prior(latents, prior) if method == "spherical" else latents).to(ends.dtype)


def table_of(images: Float[np.ndarray, "n c h w"], steps: int) -> pd.DataFrame:
    """Say how far along the walk each image is, and how much changed since the one before."""
    changes = np.abs(np.diff(images.astype(np.float32), axis=0)).mean((1, 2, 3))
    frames = np.arange(len(images))
    changes = np.concatenate([[np.nan], changes])
    return pd.DataFrame({"frame": frames, "position": frames / (steps - 1), "change": changes})


def write_pictures(out: Path, images: Float[np.ndarray, "n c h w"], gif_seconds: float) -> None:
    """Write every image, the animation and the strip."""
    frames = [grid(image[None], 1) for image in images]
    with progress("walk", len(frames)) as advance:
        for number, frame in enumerate(frames):
            with whole(out / f"frames/{number:04d}.png") as aside:
                Image.fromarray(frame).save(aside, format="PNG")
            advance()
    save_gif(out / "walk.gif", [*frames, *frames[-2:0:-1]], gif_seconds)
    save_grid(out / "strip.png", torch.from_numpy(images), min(COLUMNS, len(images)))
