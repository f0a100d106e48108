"""How far images may be refined: as far as anatomy stays as between two visits of one person."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float16
from PIL import Image, ImageDraw, ImageFont

from mrgantry.brain.network import load_network
from mrgantry.common.errors import DataError
from mrgantry.common.files import whole
from mrgantry.common.picture import strip
from mrgantry.common.progress import progress
from mrgantry.data.rows import by_turns
from mrgantry.data.slices import SliceSet
from mrgantry.generate.labels import Labels
from mrgantry.refinement.agreement import TWO_VISITS, Kept, kept_of, tissue_maps
from mrgantry.refinement.way import STRENGTHS, Way

TRIED_ON = 64  # slices, of as many people as possible
BATCH = 32  # images refined at once
SHOWN, ROWS = 6, 6  # slices in the picture, and strengths,
TILE = 128  # pixels that small ones are enlarged to
GAP, LINE, MARGIN = 4, 16, 210  # pixels: between images, of a line of text, left of the rows
PAPER, INK, MARK = 255, 40, 140  # grey values


@dataclass(frozen=True, eq=False)
class Trial:
    """What a strength leaves of the anatomy of some slices.

    Attributes:
        strength: How far they were refined.
        kept: What is the same.
        images: The refined slices.
    """

    strength: float
    kept: Kept
    images: Float16[np.ndarray, "n c h w"]

    @property
    def holds(self) -> bool:
        """Say whether as much is the same as between two visits."""
        return self.kept.holds(TWO_VISITS)


def refined_images(
    way: Way, data: SliceSet, labels: Labels, strength: float
) -> Float16[np.ndarray, "n c h w"]:
    """Refine some images of a set, each as it would be refined beside any others."""
    codes, places = labels.of_rows(data.table), data.places.tolist()
    images = torch.from_numpy(data.images).float()
    parts = [
        way.refine(images[i : i + BATCH], codes[i : i + BATCH], places[i : i + BATCH], strength)
        for i in range(0, len(images), BATCH)
    ]
    return torch.cat(parts).to(torch.float16).numpy()


def trials(
    way: Way, data: SliceSet, labels: Labels
) -> tuple[Float16[np.ndarray, "n c h w"], list[Trial]]:
    """Refine some slices further and further, until anatomy no longer holds.

    Args:
        way: How.
        data: The whole set; slices of as many people as possible are tried.
        labels: What the way is told of images.

    Returns:
        The slices as they were, and what came of each strength.
    """
    order = by_turns(data.table["subject"], np.random.default_rng(0))[:TRIED_ON]
    chosen = data.where(np.isin(np.arange(len(data)), order))
    network = load_network()
    before = tissue_maps(network, chosen.images)
    made: list[Trial] = []
    strengths = [strength for strength in STRENGTHS if strength <= way.most]
    with progress("strengths", len(strengths)) as advance:
        for strength in strengths:
            images = refined_images(way, chosen, labels, strength)
            after = tissue_maps(network, images)
            kept = kept_of(before, after, chosen.table["tumour"].tolist())
            made.append(Trial(strength, kept, images))
            advance()
            if not made[-1].holds:
                break
    return chosen.images, made


def largest(made: list[Trial], folder: Path) -> float:
    """Give the largest strength that keeps anatomy.

    Args:
        made: Trials, from the least strength on.
        folder: Of the set, for the message.

    Raises:
        DataError: Not even the least does.
    """
    holding = [trial.strength for trial in made if trial.holds]
    if holding:
        return holding[-1]
    least = made[0]
    raise DataError(
        f"Already at strength {least.strength:g}, refined images of {folder} no longer show what "
        f"they did: {told(least.kept)}; two visits of one person share {told(TWO_VISITS)}. Train "
        "on images of the same sequence, plane and field of view, longer or on more people; or "
        "name a strength with --strength, which the set then tells of itself."
    )


def told(kept: Kept) -> str:
    """Write what is kept as words of a sentence."""
    words = f"{kept.tissue:.2f} of tissue (worst slices {kept.tissue_low:.2f})"
    if np.isnan(kept.lesion):
        return words
    return f"{words} and {kept.lesion:.2f} of lesions (worst {kept.lesion_low:.2f})"


def table_of(made: list[Trial]) -> pd.DataFrame:
    """List what was tried."""
    return pd.DataFrame(
        {"strength": trial.strength, **trial.kept._asdict(), "holds": trial.holds} for trial in made
    )


def save_trials(
    path: Path, before: Float16[np.ndarray, "n c h w"], made: list[Trial], chosen: float
) -> None:
    """Draw some slices at some of the strengths, below each other; the last two are among them.

    Args:
        path: Where to, as PNG.
        before: The slices that were tried.
        made: The trials.
        chosen: The strength that was taken.
    """
    rows = np.linspace(0, len(before) - 1, min(SHOWN, len(before))).astype(int)
    lines = [("as they were", "", before)]
    even = np.linspace(0, len(made) - 1, min(ROWS, len(made))).astype(int)
    for number in sorted({*even, max(0, len(made) - 2)}):
        trial = made[number]
        mark = "  taken" if trial.strength == chosen else "" if trial.holds else "  too far"
        lines.append((f"strength {trial.strength:g}{mark}", told(trial.kept), trial.images))
    strips = [strip(images[rows], TILE, GAP) for _, _, images in lines]
    height = sum(each.height + GAP for each in strips) + GAP
    sheet = Image.new("L", (MARGIN + strips[0].width + GAP, height), PAPER)
    pen, y = ImageDraw.Draw(sheet), GAP
    font, small = ImageFont.load_default(13), ImageFont.load_default(10)
    for (name, words, _), each in zip(lines, strips, strict=True):
        pen.text((GAP, y + each.height // 2 - LINE), name, INK, font)
        for number, line in enumerate(words.split(" and ")):
            pen.text((GAP, y + each.height // 2 + 2 + number * LINE * 0.8), line, MARK, small)
        sheet.paste(each, (MARGIN, y))
        y += each.height + GAP
    with whole(path) as aside:
        sheet.save(aside, format="PNG")
