"""Discard implausible synthetic images by a stated rule.

Authors have looked at their images and left out what looked odd (Han et al. 2019, Combining
noise-to-image and image-to-image GANs, discard weird-looking ones). Here two rules do it,
the same for everybody, and the set records how many each has discarded.

The rules are in `plausible.py`: an image must lie near real training images, and look like its
label to a classifier of these, if there is one.

Held-out real images are never looked at, so comparing with them stays honest. But what has been
chosen by a distance scores well on it: precision on the same features must rise. What is
chosen also varies less: recall and coverage may fall. So evaluate both sets.

discarded.csv       a row a discarded image: the distance, the limit, the label, and why
discarded.png       the first of these rows: farthest ones and least like their label in turn
kept.png            the kept images that are nearest to the limit, farthest first
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Int, Shaped

from mrgantry.common.errors import DataError
from mrgantry.common.files import AnyPath
from mrgantry.common.picture import save_grid
from mrgantry.common.progress import progress
from mrgantry.common.provenance import command_line, versions
from mrgantry.common.tables import write_table
from mrgantry.data.about import About
from mrgantry.data.fitness import check_alike
from mrgantry.data.making import begin_set, begun, finish, reopen
from mrgantry.data.parts import write_part
from mrgantry.data.rows import choose_rows
from mrgantry.data.slices import SliceSet
from mrgantry.evaluation.measures.manifold import K
from mrgantry.evaluation.selection.agreement import AGREES, UNCLEAR, Agreement
from mrgantry.evaluation.selection.plausible import Rules, fit_rules

KEEP = 0.95  # of real images
BLOCK = 1000  # images a part, as in sampled sets
SHOWN = 64  # images in a picture
FAR, UNLIKE = "far from real images", "unlike the label"
BOTH = f"{FAR} and {UNLIKE}"


def select(
    slices: AnyPath,
    out: AnyPath,
    against: AnyPath,
    *,
    keep: float = KEEP,
    label: str = "",
    only: Sequence[str] = (),
    features: str = "",
    seed: int = 0,
) -> SliceSet:
    """Copy the plausible images of a synthetic set, and record what was discarded and why.

    Ids and columns stay. What the rules and the counts were stands in the new set's
    `about.notes.selected`. The training subjects of the real set join those whom the
    generator has seen, since they took part in the choice. Called again, it leaves a
    complete set as it is.

    Args:
        slices: Folder of a synthetic set.
        out: Folder to write the kept images to.
        against: Folder of a real set; only its training split is used.
        keep: Share of real images that the limit of the distance lets pass.
        label: A column such as "tumour"; images that do not look like theirs are discarded.
        only: Conditions on the real images near which a synthetic one must lie, such as
            "tumour=yes": those that the generator was trained on.
        features: "random-net", "brain-map", "brain-net" or a pretrained extractor; "" for both of
            the first two.
        seed: Of the folds in which the classifier of the label is checked.

    Raises:
        DataError: The sets do not fit each other or are unfit, there are too few real images
            or labels, or no image is left.
        RunError: `out` holds something else.
    """
    slices, out, against = Path(slices), Path(out), Path(against)
    if not 0 < keep <= 1:
        raise DataError(f"The share of real images to keep must be above 0 and at most 1: {keep}.")
    data, real = SliceSet.open(slices), SliceSet.open(against)
    check(data, real)
    options = {"keep": keep, "label": label or None, "only": tuple(only)}
    options["features"] = features or None
    about = describe_selection(data, real, options | {"seed": seed}, out)
    if begun(out, about):
        with suppress(DataError):  # if incomplete or damaged, it is made anew
            return SliceSet.open(out)
    # A condition on the label itself must not take the other labels from the classifier.
    wide = choose_rows(real.split("train"), [c for c in only if c.partition("=")[0] != label])
    rules = fit_rules(wide, only, keep, label, features, seed)
    check_labels(data, rules.agreement)
    with progress("select", len(data)) as advance:
        verdicts = []
        for block in blocks(data):
            verdicts.append(rules.judge(block))
            advance(len(block))
    verdict = pd.concat(verdicts, ignore_index=True)
    kept = ~(verdict["far"] | verdict["unlike"]).to_numpy()
    if not kept.any():
        nearest = verdict["distance"].min()
        raise DataError(
            f"Not one of the {len(data):,} images of {slices} is plausible ({reasons(verdict)}; "
            f"the nearest lies at {nearest:.2f} times the limit). Train longer, or check that "
            f"{against} is the set it was trained on."
        )
    facts = facts_of(rules, verdict, real, only, keep)
    return write(data, kept, verdict, about, facts, out)


def check(data: SliceSet, real: SliceSet) -> None:
    """Refuse sets that cannot be compared.

    Raises:
        DataError: One is not synthetic, the other not real, or they show different things.
    """
    if not data.about.synthetic:
        raise DataError(
            f"{data.folder} is not a synthetic set; only synthetic images are selected."
        )
    if real.about.synthetic:
        raise DataError(
            f"{real.folder} is a synthetic set; --against takes the real one with its splits."
        )
    check_alike(real, data)


def check_labels(data: SliceSet, agreement: Agreement | None) -> None:
    """Refuse synthetic images with labels that no real image has.

    Raises:
        DataError: There are some.
    """
    if agreement is None:
        return
    column, labels = agreement.column, [str(label) for label in agreement.model.classes_]
    strange = data.table.loc[~data.table[column].isin([*labels, UNCLEAR]), column]
    if len(strange):
        raise DataError(
            f"{len(strange):,} images of {data.folder} have {column}={strange.iloc[0]}, but real "
            f"training images have {' and '.join(labels)}. Leave --label out, or sample a "
            f"conditional run with --label {column}={labels[0]}."
        )


def describe_selection(data: SliceSet, real: SliceSet, options: dict[str, Any], out: Path) -> About:
    """Describe the new set as far as it is known beforehand."""
    marks = {"selected_from": data.about.fingerprint, "against": real.about.fingerprint}
    seen = {*data.about.training_subjects, *real.split("train").table["subject"]}
    return About(
        source="simulated" if "simulated" in (data.about.source, real.about.source) else "real",
        synthetic=True,
        channels=data.about.channels,
        size=data.about.size,
        classes=data.about.classes,
        command=command_line("select", data.folder, out, against=real.folder, **options),
        choices=marks | options,
        versions=versions(),
        notes=data.about.notes,
        training_subjects=tuple(sorted(seen)),
    )


def facts_of(
    rules: Rules, verdict: pd.DataFrame, real: SliceSet, only: Sequence[str], keep: float
) -> dict[str, Any]:
    """Record the rules in words, and what they did."""
    far, unlike = verdict["far"], verdict["unlike"]
    extractors = " or by ".join(distance.extractor.name for distance in rules.distances)
    words = [
        f"discarded if farther from the {K}th nearest real training image, by {extractors}, than "
        f"{keep:.4g} of real training images are from the same among other subjects"
    ]
    facts = {
        "against": {
            "name": real.name,
            "fingerprint": real.about.fingerprint,
            "split": "train",
            "only": tuple(only),
            "images": len(rules.distances[0].rows),
            "subjects": rules.subjects,
        },
        "features": [distance.extractor.name for distance in rules.distances],
        "features_fingerprints": [distance.extractor.fingerprint for distance in rules.distances],
        "limits": [distance.limit for distance in rules.distances],
        "looked_at": len(verdict),
        "kept": int((~far & ~unlike).sum()),
        "discarded": int((far | unlike).sum()),
        "discarded_far": int(far.sum()),
        "reasons": reasons(verdict),
    }
    if (agreement := rules.agreement) is not None:
        words.append(
            f"discarded if a logistic classifier of {agreement.column} on real training images "
            f"gives the image's own label a probability below {AGREES}"
        )
        facts |= {
            "discarded_unlike": int(unlike.sum()),
            "discarded_by_both": int((far & unlike).sum()),
            "not_judged_unclear": int(verdict["probability"].isna().sum()),
            "classifier": agreement.facts(),
        }
    return {"rules": words} | facts


def reasons(verdict: pd.DataFrame) -> str:
    """Count the discarded images by reason, in words."""
    far, unlike = verdict["far"], verdict["unlike"]
    counts = {FAR: (far & ~unlike).sum(), UNLIKE: (unlike & ~far).sum(), BOTH: (far & unlike).sum()}
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)


def summary(made: SliceSet) -> list[str]:
    """Say in sentences what a selection has left."""
    facts = made.about.notes.selected
    classifier = facts.get("classifier")
    said = [
        f"{made.folder} holds {facts['kept']:,} of {facts['looked_at']:,} synthetic slices.",
        f"Discarded are {facts['discarded']:,}: {facts['reasons']}. Look at "
        f"{made.folder / 'discarded.png'}, and at {made.folder / 'kept.png'}, the kept ones "
        "nearest to the limit."
        if facts["discarded"]
        else "None is discarded.",
    ]
    if classifier:
        said.append(
            f"The classifier of {classifier['column']} agrees with {classifier['accuracy']:.0%} of "
            f"the real slices of {classifier['subjects']} subjects, each held out in turn (95 % "
            f"interval {classifier['low']:.0%} to {classifier['high']:.0%}; guessing: "
            f"{classifier['chance']:.0%})."
        )
    if unclear := facts.get("not_judged_unclear"):
        said.append(f"{unclear:,} with an unclear label were not judged by it.")
    if classifier and classifier["weak"]:
        said.append(
            f"Warning: that is hardly better than guessing, so what it discards means little. "
            f"Leave out --label {classifier['column']}, or train on more subjects."
        )
    return said


def write(
    data: SliceSet,
    kept: Bool[np.ndarray, " n"],
    verdict: pd.DataFrame,
    about: About,
    facts: dict[str, Any],
    out: Path,
) -> SliceSet:
    """Write the kept images in parts, what was discarded, and pictures of both."""
    begin_set(out, about)
    reopen(out)
    order = ranked(verdict)
    write_table(out / "discarded.csv", listed(verdict.iloc[order]))
    near = np.flatnonzero(kept)
    near = near[np.argsort(-verdict["distance"].to_numpy()[near], kind="stable")]
    picture(out / "discarded.png", data, order)
    picture(out / "kept.png", data, near)
    names = []
    for number, block in enumerate(blocks(data)):
        chosen = block.where(kept[block.places])
        if len(chosen):
            names.append(f"rows-{number * BLOCK:07d}")
            maps = chosen.maps if about.classes else None
            write_part(out, names[-1], chosen.images, chosen.table, maps)
    earlier = about.notes.selected  # of a set that was selected by another rule before
    selected = facts | ({"before": earlier} if earlier else {})
    notes = about.notes.model_copy(update={"selected": selected})
    return finish(out, about.model_copy(update={"notes": notes}), names)


def ranked(verdict: pd.DataFrame) -> Int[np.ndarray, " n"]:
    """Give the numbers of the discarded images: the worst by either rule, in turn."""
    places = [
        verdict.loc[verdict["far"], "distance"].rank(method="first", ascending=False),
        verdict.loc[verdict["unlike"], "probability"].rank(method="first"),
    ]
    return pd.concat(places, axis=1).min(axis=1).sort_values(kind="stable").index.to_numpy()


def listed(verdict: pd.DataFrame) -> pd.DataFrame:
    """Put the reasons of discarded images into words."""
    words: Shaped[np.ndarray, " n"] = np.select(
        [verdict["far"] & verdict["unlike"], verdict["far"]], [BOTH, FAR], UNLIKE
    )
    return verdict.drop(columns=["far", "unlike"]).assign(reason=words)


def picture(path: Path, data: SliceSet, rows: Int[np.ndarray, " n"]) -> None:
    """Draw the first of some images in this order, if there are any."""
    rows = rows[:SHOWN]
    if not len(rows):
        path.unlink(missing_ok=True)
        return
    mask = np.zeros(len(data), dtype=bool)
    mask[rows] = True
    images = data.where(mask).images  # in the order of the set
    save_grid(path, torch.from_numpy(images[np.argsort(np.argsort(rows))]))


def blocks(data: SliceSet) -> Iterator[SliceSet]:
    """Go through a set some images at a time."""
    for start in range(0, len(data), BLOCK):
        numbers = np.arange(len(data))
        yield data.where((numbers >= start) & (numbers < start + BLOCK))
