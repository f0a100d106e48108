"""What sets are measured against: held-out real images, and what training ones teach."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Shaped

from mrgantry.common.errors import DataError
from mrgantry.data.slices import SliceSet
from mrgantry.evaluate.cloud import Cloud
from mrgantry.evaluate.features import (
    Extractor,
    Images,
    fit_directions,
    flat,
    principal_components,
    random_network,
    reduced_images,
)
from mrgantry.evaluate.measures import REDUCED, SPECTRUM, TO_TRAIN, Measure, all_measures
from mrgantry.evaluate.neighbours import nearest
from mrgantry.evaluate.pretrained import load_extractor
from mrgantry.evaluate.spectrum import radial_spectrum

COMPONENTS = 64
FEWEST = 4  # subjects: two in each half, one of them held out by classifiers


@dataclass(frozen=True, eq=False)
class Reference:
    """Held-out real images, and all that was fitted on the training split.

    Attributes:
        held: The split that is compared with.
        train: The training split.
        held_cloud: Images of `held` with their features.
        train_cloud: The same of `train`, but for distances to itself.
        extractors: Principal directions first, then networks.
        measures: What is computed.
        conditions: What the rows of both had to meet.
    """

    held: SliceSet
    train: SliceSet
    held_cloud: Cloud
    train_cloud: Cloud
    extractors: Sequence[Extractor]
    measures: Sequence[Measure]
    conditions: Sequence[str] = ()

    def cloud(self, images: Images, subjects: Shaped[np.ndarray, " n"]) -> Cloud:
        """Compute all features of some images once; one without a subject is its own."""
        cloud = make_cloud(images, subjects, self.extractors)
        return beside(cloud, self.train_cloud)


def refer(
    held: SliceSet,
    train: SliceSet,
    features: Sequence[str] = (),
    conditions: Sequence[str] = (),
    draws: int | None = None,
) -> Reference:
    """Fit the extractors on the training split, and compute the real images' features.

    Args:
        held: Held-out real images.
        train: Real training images.
        features: Pretrained extractors beside the two that need no download.
        conditions: What the rows of both had to meet, for the record.
        draws: Half-samples at most; None takes each measure's own number.

    Raises:
        DataError: A split has too few subjects or images, holds values that are not finite, or
            training images are all the same; or pretrained weights are out of reach.
    """
    check_subjects(held)
    for data in (train, held):
        check_finite(data)
    if np.ptp(train.images.reshape(len(train), -1), axis=0).max(initial=0) == 0:
        raise DataError(
            f"All {len(train)} training images of {train.folder} are the same, so nothing can be "
            "measured with them."
        )
    directions = fit_directions(train.images, COMPONENTS)
    extractors = [
        principal_components(directions),
        random_network(train.images),
        *map(load_extractor, features),
    ]
    known = make_cloud(train.images, subjects_of(train), extractors)
    unknown = beside(make_cloud(held.images, subjects_of(held), extractors), known)
    apart = not set(held.table["subject"]) & set(train.table["subject"])
    measures = [
        replace(one, draws=min(one.draws, draws or one.draws))
        for one in all_measures(directions, extractors, held.about.size, copies=apart)
    ]
    return Reference(held, train, unknown, known, extractors, measures, conditions)


def make_cloud(
    images: Images, subjects: Shaped[np.ndarray, " n"], extractors: Sequence[Extractor]
) -> Cloud:
    """Compute all features of some images once; one without a subject is its own."""
    features = {one.name: one.extract(images) for one in extractors}
    features[REDUCED] = flat(reduced_images(images))
    features[SPECTRUM] = radial_spectrum(images)
    own = np.array([f"image {row}" for row in range(len(images))], dtype=object)
    whose = np.where(subjects == "", own, subjects).astype(str)
    return Cloud(images, whose, features)


def beside(cloud: Cloud, train: Cloud) -> Cloud:
    """Add the distance of each image to its nearest training image, and the row of that."""
    distances, rows = nearest(cloud.features[REDUCED], train.features[REDUCED])
    found = {TO_TRAIN: np.stack([distances, rows], axis=1)}
    return replace(cloud, features=cloud.features | found)


def subjects_of(data: SliceSet) -> Shaped[np.ndarray, " n"]:
    """Give whom each image shows, "" where a generator drew it."""
    return data.table["subject"].to_numpy(dtype=object)


def check_subjects(held: SliceSet) -> None:
    """Refuse a split that cannot be halved by subject.

    Raises:
        DataError: It has too few subjects.
    """
    people = held.table["subject"].nunique()
    if people < FEWEST:
        split = " and ".join(sorted(set(held.table["split"])))
        raise DataError(
            f"The split {split!r} of {held.folder} has {people} subject(s); scores need {FEWEST} "
            "or more, since halves of them are compared. Prepare it with other --splits."
        )


def check_finite(data: SliceSet) -> None:
    """Refuse images with values that are not numbers.

    Raises:
        DataError: There are some.
    """
    bad = np.flatnonzero(~np.isfinite(data.images).all(axis=(1, 2, 3)))
    if len(bad):
        raise DataError(
            f"{len(bad)} of {len(data)} images of {data.folder} hold values that are not finite, "
            f"such as {data.table['id'].iloc[bad[0]]}; make the set again, or leave them out."
        )
