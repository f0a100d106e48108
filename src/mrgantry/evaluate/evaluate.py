"""All measures of synthetic sets against one real set, by one rule.

Every measure is a function of two clouds. It is computed on many draws: between a
half of the real subjects and as many synthetic images (the score), and between that
half and the other (the floor: what real images score). Mean and spread over the
draws are the value and its interval.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mrgantry.common.errors import DataError
from mrgantry.common.files import whole, write_json
from mrgantry.common.progress import progress
from mrgantry.common.provenance import command_line, versions
from mrgantry.common.score import Score, interval, write_scores
from mrgantry.data.rows import choose_rows
from mrgantry.data.slices import SliceSet
from mrgantry.evaluate import delplace
from mrgantry.evaluate.c2st import c2st_cnn, c2st_logistic
from mrgantry.evaluate.cloud import Cloud, draws
from mrgantry.evaluate.features import (
    Extractor,
    fit_directions,
    flat,
    principal_components,
    random_network,
)
from mrgantry.evaluate.frechet import frechet_distance
from mrgantry.evaluate.ms_ssim import scales, similarity_of_pairs
from mrgantry.evaluate.neighbours import nearest

COMPONENTS = 64
DRAWS, COSTLY_DRAWS = 40, 10  # half-samples for most measures, and for trained classifiers
PAIRS = 100  # of images, for MS-SSIM in one draw
FEWEST = 4  # subjects: two in each half, one of them held out by classifiers
SHOWN = 8  # suspicious pairs that are kept for the report
# What real images score, for all that it depends on; see `score`.
Floors = dict[tuple[str | int, ...], list[float]]


@dataclass(frozen=True)
class Measure:
    """One measure: of two clouds, given a seed; with what to say about it."""

    name: str
    features: str
    compute: Callable[[Cloud, Cloud, int], float]
    method: str
    draws: int = DRAWS


def evaluate(
    real: Path,
    out: Path,
    synthetic: Sequence[Path],
    *,
    against: str = "test",
    seed: int = 0,
    only: Sequence[str] = (),
    floors: Floors | None = None,
) -> list[Score]:
    """Score synthetic sets against held-out real slices.

    Extractors are fitted on the real training split; the synthetic sets are compared
    with the split `against`, and taken whole. Writes `scores.json`, `scores.csv`,
    `evaluation.json` and what the report draws, `pictures.npz`.

    Args:
        real: Folder of the real set.
        out: Folder to write to.
        synthetic: Folders of synthetic sets of the same size and channels.
        against: Split of the real set to compare with.
        seed: Seed of all draws.
        only: Conditions on the real rows, such as "tumour=yes": those that a generator was
            trained on.
        floors: Filled with what real images score, and read where a call before this one
            filled it: half of an evaluation's time. The scores are the same.

    Raises:
        DataError: Sizes or channels differ, a generator has seen a subject it is to
            be compared with, or there are too few images.
    """
    everything = SliceSet.open(real)
    train = choose_rows(everything.split("train"), only)
    held = held_out(everything, against, only)
    sets = [SliceSet.open(folder) for folder in synthetic]
    if not sets:
        raise DataError("There is nothing to evaluate: name a set with --synthetic.")
    names = [one.name for one in sets]
    if len({*names, "real"}) <= len(names):
        raise DataError(f"Sets are told apart by the names of their folders: {', '.join(names)}.")
    for one in sets:
        check(held, one)
    (out / "scores.json").unlink(missing_ok=True)  # it comes back last, when all is whole
    directions = fit_directions(train.images, COMPONENTS)
    extractors = [principal_components(directions), random_network(len(held.about.channels))]
    held_cloud = make_cloud(held, extractors, train)
    scores: list[Score] = []
    floors = {} if floors is None else floors
    pictures: dict[str, np.ndarray] = {}
    measures = list(all_measures(directions, held_cloud, extractors, held.about.size))
    steps = len(sets) * (len(measures) + 1)
    with progress("evaluate", steps) as advance:
        for one in sets:
            cloud = make_cloud(one, extractors, train)
            advance(note="features")
            for measure in measures:
                scores += score(measure, held_cloud, cloud, held, one, seed, floors, only)
                advance(note=measure.name)
            pictures |= pictures_of(one, cloud, train, extractors[0])
    pictures["real/map"] = held_cloud.features[extractors[0].name][:, :2]
    with whole(out / "pictures.npz") as aside:
        np.savez_compressed(aside, **pictures)  # type: ignore[arg-type]
    write_json(
        out / "evaluation.json",
        {
            "command": command_line(
                "evaluate",
                real,
                out,
                synthetic=synthetic,
                against=against,
                seed=seed,
                only=tuple(only),
            ),
            "versions": versions(),
            "real": _identity(held) | {"split": against, "only": tuple(only)},
            "synthetic": [_identity(one) for one in sets],
            "extractors": {one.name: one.fingerprint for one in extractors},
            "seed": seed,
        },
    )
    write_scores(out, scores)
    return scores


def held_out(real: SliceSet, against: str, only: Sequence[str] = ()) -> SliceSet:
    """Give the split to compare with, and of it the rows that meet some conditions.

    Raises:
        DataError: It has too few subjects.
    """
    held = choose_rows(real.split(against), only)
    people = held.table["subject"].nunique()
    if people < FEWEST:
        raise DataError(
            f"The split {against!r} of {real.folder} has {people} subject(s); scores need {FEWEST} "
            "or more, since halves of them are compared. Prepare it with other --splits."
        )
    return held


def check(held: SliceSet, synthetic: SliceSet) -> None:
    """Refuse what must not be compared.

    Raises:
        DataError: Sizes or channels differ, or the generator has seen a subject of
            the held-out split.
    """
    ours, theirs = held.about, synthetic.about
    if (ours.size, len(ours.channels)) != (theirs.size, len(theirs.channels)):
        raise DataError(
            f"{synthetic.folder} has {len(theirs.channels)} channel(s) of {theirs.size} pixels, "
            f"{held.folder} has {len(ours.channels)} of {ours.size}; they must be alike."
        )
    split = set(held.table["split"])
    seen = set(theirs.training_subjects) & set(held.table["subject"])
    if seen and split != {"train"} and len(split) == 1:
        raise DataError(
            f"The generator of {synthetic.folder} has seen subject {min(seen)} of the "
            f"{split.pop()} split of {held.folder}; its scores would be too good. Train it on "
            "this set's training split."
        )


def make_cloud(data: SliceSet, extractors: Sequence[Extractor], train: SliceSet) -> Cloud:
    """Compute all features of a set once; "nearest" holds training distances."""
    features = {one.name: one.extract(data.images) for one in extractors}
    distances, rows = nearest(data.images, train.images)
    features["nearest"] = np.stack([distances, rows], 1)
    subjects = data.table["subject"].to_numpy(dtype=object)
    own = np.array([f"image {row}" for row in range(len(data))], dtype=object)
    return Cloud(data.images, np.where(subjects == "", own, subjects).astype(str), features)


def all_measures(
    directions: Any, real: Cloud, extractors: Sequence[Extractor], size: int
) -> Iterator[Measure]:
    """List the measures, most telling first."""
    for one in extractors:
        yield frechet_on(one.name)
    pca = extractors[0].name
    yield Measure(
        "c2st_logistic",
        pca,
        lambda a, b, seed: c2st_logistic(a, b, pca, seed),
        "held-out accuracy of a logistic classifier, half of the subjects held out",
        COSTLY_DRAWS,
    )
    yield Measure(
        "c2st_cnn",
        "pixels",
        c2st_cnn,
        "held-out accuracy of a small convolutional network, half of the subjects held out",
        COSTLY_DRAWS,
    )
    yield Measure(
        "ms_ssim_pairs",
        "pixels",
        lambda _, b, seed: similarity_of_pairs(b.images, b.subjects, PAIRS, seed),
        f"median MS-SSIM ({scales(size)} scales) of {PAIRS} pairs of different subjects",
    )
    usual = float(np.median(real.features["nearest"][:, 0]))
    if usual > 0:  # it is 0 where the training images themselves are compared with
        yield Measure(
            "nearest_training_ratio",
            "pixels",
            lambda _, b, __: float(np.median(b.features["nearest"][:, 0])) / usual,
            "median distance to the nearest training image, over that of held-out real images",
        )
    yield from delplace_measures(directions)


def frechet_on(features: str) -> Measure:
    """Give the Frechet distance on the features of one extractor."""

    def compute(real: Cloud, other: Cloud, seed: int) -> float:
        return frechet_distance(real.features[features], other.features[features])

    return Measure("frechet_distance", features, compute, "Frechet distance of clouds of equal n")


def on_pixels(name: str, compute: Callable[[np.ndarray], float], method: str) -> Measure:
    """Make a measure of what looks at the pixels of one set alone."""
    return Measure(name, "pixels", lambda _, other, __: compute(flat(other.images)), method)


def delplace_measures(directions: Any) -> Iterator[Measure]:
    """List Delplace's realism, variation and diversity."""
    leading, mean = directions.components_[: delplace.LEADING], directions.mean_
    forms: list[tuple[str, Callable[[np.ndarray], float], str]] = [
        (
            "rho_formula",
            lambda rows: delplace.realism_formula(rows, leading),
            "mean norm of products with 16 leading directions, as printed",
        ),
        (
            "rho_coded",
            lambda rows: delplace.realism_coded(rows, leading, mean),
            "the same, centred and normalised, as coded",
        ),
        (
            "sigma",
            delplace.variation,
            "trace of the covariance of pixels, corrected",
        ),
        (
            "sigma_coded",
            delplace.variation_coded,
            "sum of the images' own variances, as coded; grows with n",
        ),
        (
            "delta",
            delplace.diversity,
            "eigenvalues above 1 % of their sum",
        ),
    ]
    for name, compute, method in forms:
        yield on_pixels(name, compute, f"Delplace 2020: {method}")


def score(
    measure: Measure,
    real: Cloud,
    synthetic: Cloud,
    held: SliceSet,
    one: SliceSet,
    seed: int,
    known: Floors,
    only: Sequence[str] = (),
) -> list[Score]:
    """Compute one measure over its draws; a Frechet distance also gives its ratio.

    Halves of the real subjects, and so the floors, follow from the seed and from how many
    synthetic images there are, whatever these show.
    """
    split = "+".join(sorted(set(held.table["split"])))
    key = (held.about.fingerprint, split, *only, measure.name, measure.features)
    floors = known.setdefault((*key, measure.draws, len(one), seed), [])
    values, n, compute = [], 0, measure.compute
    for turn, draw in enumerate(draws(real, synthetic, measure.draws, seed)):
        values.append(compute(draw.half, draw.synthetic, draw.seed))
        if turn == len(floors):
            floors.append(compute(draw.half, draw.other_half, draw.seed))
        n = len(draw.half.images)

    def make(name: str, method: str, values: list[float], floors: list[float]) -> Score:
        value, low, high = interval(values)
        floor, floor_low, floor_high = interval(floors)
        return Score(
            name=name,
            features=measure.features,
            synthetic=one.name,
            value=value,
            low=low,
            high=high,
            floor=floor,
            floor_low=floor_low,
            floor_high=floor_high,
            n_real=n,
            n_synthetic=n,
            method=f"{method}; mean and central 95 % of {measure.draws} half-samples by subject",
            seed=seed,
            real_fingerprint=held.about.fingerprint,
            synthetic_fingerprint=one.about.fingerprint,
        )

    scores = [make(measure.name, measure.method, values, floors)]
    if measure.name == "frechet_distance":
        usual = float(np.mean(floors))
        method = "Frechet distance, over the mean of that between two halves of the real subjects"
        ratios = [[value / usual for value in some] for some in (values, floors)]
        scores.insert(0, make("relative_fd", method, *ratios))
    return scores


def pictures_of(
    one: SliceSet, cloud: Cloud, train: SliceSet, extractor: Extractor
) -> dict[str, np.ndarray]:
    """Keep what the report shows: the most suspicious pairs, and a map of the images."""
    distances, rows = cloud.features["nearest"].T
    closest = np.argsort(distances)[:SHOWN]
    places = rows[closest].astype(int)
    return {
        f"{one.name}/suspicious": one.images[closest],
        f"{one.name}/neighbours": train.images[places],
        f"{one.name}/distances": distances[closest],
        f"{one.name}/neighbour_ids": train.table["id"].to_numpy(dtype=str)[places],
        f"{one.name}/map": cloud.features[extractor.name][:, :2],
    }


def _identity(data: SliceSet) -> dict[str, Any]:
    return {
        "name": data.name,
        "folder": str(data.folder),
        "fingerprint": data.about.fingerprint,
        "images": len(data),
        "subjects": len(set(data.table["subject"]) - {""}),
        "source": data.about.source,
    }
