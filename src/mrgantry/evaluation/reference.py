"""What sets are measured against: held-out real images, and what training ones teach."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Shaped

from mrgantry.common.errors import DataError
from mrgantry.data.slices import SliceSet
from mrgantry.evaluation.brain.features import BRAIN_MAP, brain_networks, tissue_fractions
from mrgantry.evaluation.cloud import Cloud
from mrgantry.evaluation.extractors.features import (
    Extractor,
    Images,
    fit_directions,
    flat,
    principal_components,
    random_network,
    reduced_images,
)
from mrgantry.evaluation.extractors.pretrained import load_extractor
from mrgantry.evaluation.measures.c2st import Test
from mrgantry.evaluation.measures.heads import describe_heads
from mrgantry.evaluation.measures.listed import all_measures, all_tests
from mrgantry.evaluation.measures.manifold import K, kth_nearest
from mrgantry.evaluation.measures.maps import describe_maps
from mrgantry.evaluation.measures.measure import (
    DIRECTIONS,
    HEADS,
    MAPS,
    MIRRORED,
    OUTLYING,
    REDUCED,
    SPECTRUM,
    TO_TRAIN,
    Measure,
)
from mrgantry.evaluation.measures.neighbours import nearest
from mrgantry.evaluation.measures.spectrum import directional_spectrum, radial_spectrum

COMPONENTS = 64
FEWEST = 4  # subjects: two in each half, one in each fold of a classifier
WITHIN = 0.99  # of real training images: an image farther out is outlying


@dataclass(frozen=True, eq=False)
class Reference:
    """Held-out real images, and all that was fitted on the training split.

    Attributes:
        held: The split that is compared with.
        train: The training split.
        held_cloud: Images of `held` with their features.
        train_cloud: The same of `train`, but for distances to itself.
        extra_cloud: Images of all real people who are not held, to train classifiers with.
        extractors: Principal directions first, then networks.
        measures: What is computed of draws.
        tests: The classifiers that are to tell sets apart.
        conditions: What the rows of both had to meet.
    """

    held: SliceSet
    train: SliceSet
    held_cloud: Cloud
    train_cloud: Cloud
    extra_cloud: Cloud
    extractors: Sequence[Extractor]
    measures: Sequence[Measure]
    tests: Sequence[Test]
    conditions: Sequence[str] = ()

    def cloud(self, images: Images, subjects: Shaped[np.ndarray, " n"]) -> Cloud:
        """Compute all features of some images once; one without a subject is its own."""
        cloud = make_cloud(images, subjects, self.extractors)
        return beside(cloud, self.train_cloud)

    def cloud_of(self, data: SliceSet) -> Cloud:
        """Compute all features of a set once, those of its label maps and heads among them.

        Maps of other classes than those of the real set are left out.
        """
        cloud = with_heads(self.cloud(data.images, subjects_of(data)), data)
        return with_maps(cloud, data) if data.about.classes == self.held.about.classes else cloud


def refer(
    held: SliceSet,
    train: SliceSet,
    features: Sequence[str] = (),
    conditions: Sequence[str] = (),
    draws: int | None = None,
    extra: SliceSet | None = None,
) -> Reference:
    """Fit the extractors on the training split, and compute the real images' features.

    Args:
        held: Held-out real images.
        train: Real training images.
        features: Pretrained extractors beside those that need no download.
        conditions: What the rows of both had to meet, for the record.
        draws: Half-samples at most; None takes each measure's own number.
        extra: Real images of people who stand in neither, if there are any.

    Raises:
        DataError: A split has too few subjects or images, holds values that are not finite, or
            training images are all the same; or pretrained weights are out of reach.
    """
    check_subjects(held)
    beyond = [extra] if extra is not None and len(extra) else []
    for data in (train, held, *beyond):
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
        *brain_networks(train.images),
        *map(load_extractor, features),
    ]
    train_cloud, held_cloud = (
        make_cloud(data.images, subjects_of(data), extractors, mirrored=True)
        for data in (train, held)
    )
    people = set(held.table["subject"])
    extra_cloud = train_cloud.take(~np.isin(train_cloud.subjects, sorted(people)))
    for data in beyond:
        extra_cloud = join(extra_cloud, make_cloud(data.images, subjects_of(data), extractors))
    apart = not people & set(train.table["subject"])
    held_cloud = with_heads(with_maps(beside(held_cloud, train_cloud), held), held)
    measures = [
        replace(measure, draws=min(measure.draws, draws or measure.draws))
        for measure in all_measures(
            directions,
            extractors,
            held.about.size,
            copies=apart,
            classes=len(held.about.classes),
            whole_heads=HEADS in held_cloud.features,
        )
    ]
    tests = list(all_tests(extractors))
    clouds = (held_cloud, train_cloud, extra_cloud)
    return Reference(held, train, *clouds, extractors, measures, tests, conditions)


def make_cloud(
    images: Images,
    subjects: Shaped[np.ndarray, " n"],
    extractors: Sequence[Extractor],
    *,
    mirrored: bool = False,
) -> Cloud:
    """Compute all features of some images once; one without a subject is its own.

    Args:
        images: What is described.
        subjects: Whom each shows, or "".
        extractors: Give the features.
        mirrored: Whether to describe the mirrored images, too, as what may have been copied.
    """
    features = {extractor.name: extractor.extract(images) for extractor in extractors}
    features[REDUCED] = flat(reduced_images(images))
    features[SPECTRUM] = radial_spectrum(images)
    features[DIRECTIONS] = directional_spectrum(images)
    if mirrored:
        turned = np.ascontiguousarray(images[..., ::-1])
        features[MIRRORED + REDUCED] = flat(reduced_images(turned))
        for extractor in extractors:
            if extractor.name == BRAIN_MAP:
                features[MIRRORED + extractor.name] = extractor.extract(turned)
    own = np.array([f"image {row}" for row in range(len(images))], dtype=object)
    whose = np.where(subjects == "", own, subjects).astype(str)
    return Cloud(images, whose, features)


def with_maps(cloud: Cloud, data: SliceSet) -> Cloud:
    """Add descriptions of a set's label maps, if it has any, to its cloud."""
    if not data.about.classes:
        return cloud
    described = describe_maps(data.images, data.maps, len(data.about.classes))
    return replace(cloud, features=cloud.features | {MAPS: described})


def with_heads(cloud: Cloud, data: SliceSet) -> Cloud:
    """Add what the heads measure whose slices these are, where there are such, to a cloud."""
    if not (data.table["subject"] != "").any():
        return cloud
    described = describe_heads(data.table, tissue_fractions(data.images), data.about.size)
    if described is None:
        return cloud
    return replace(cloud, features=cloud.features | {HEADS: described})


def join(cloud: Cloud, other: Cloud) -> Cloud:
    """Put two clouds together, with the features that both have."""
    shared = cloud.features.keys() & other.features.keys()
    return Cloud(
        np.concatenate([cloud.images, other.images]),
        np.concatenate([cloud.subjects, other.subjects]),
        {name: np.concatenate([cloud.features[name], other.features[name]]) for name in shared},
    )


def beside(cloud: Cloud, train: Cloud) -> Cloud:
    """Add what training images tell of each image.

    The distance to the nearest of them, mirrored or not, and its row; and how far out the image
    lies: its distance to the 5th nearest of other people, over the distance that 99 % of training
    images keep.
    """
    features = {}
    for name in (REDUCED, BRAIN_MAP):
        if MIRRORED + name in train.features:
            both = np.concatenate([train.features[name], train.features[MIRRORED + name]])
            distances, rows = nearest(cloud.features[name], both)
            features[TO_TRAIN + name] = np.stack([distances, rows % len(train)], axis=1)
    if BRAIN_MAP in train.features:
        rows = train.features[BRAIN_MAP]
        names, owners = np.unique(train.subjects, return_inverse=True)
        if len(rows) - np.bincount(owners).max() >= K:
            limit = float(np.quantile(kth_nearest(rows, owners, rows, owners), WITHIN))
            places = dict(zip(names, range(len(names)), strict=True))
            whose = np.array([places.get(name, -1) for name in cloud.subjects])
            reach = kth_nearest(cloud.features[BRAIN_MAP], whose, rows, owners)
            features[OUTLYING] = (reach / max(limit, 1e-12))[:, None]
        else:
            features[OUTLYING] = np.zeros((len(cloud), 1))
    return replace(cloud, features=cloud.features | features)


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
