"""What the report draws of an evaluation: suspicious pairs, spectra, maps."""

from collections.abc import Mapping

import numpy as np

from mrgantry.common.errors import DataError
from mrgantry.data.slices import SliceSet
from mrgantry.evaluation.brain.features import BRAIN_NET
from mrgantry.evaluation.cloud import Cloud
from mrgantry.evaluation.extractors.embedding import PERPLEXITY, Rows, tsne
from mrgantry.evaluation.measures.measure import MIRRORED, REDUCED, SPECTRUM, TO_TRAIN
from mrgantry.evaluation.measures.neighbours import nearest, ratio
from mrgantry.evaluation.reference import Reference

SHOWN = 8  # suspicious pairs that are kept
CENTRAL = (2.5, 50, 97.5)  # percentiles of the images' spectra


def pictures_of(data: SliceSet, cloud: Cloud, reference: Reference) -> dict[str, np.ndarray]:
    """Keep the most suspicious pairs of a set, and its spectrum beside that of real images."""
    train, held = reference.train_cloud, reference.held_cloud
    images = cloud.features[REDUCED]
    to_train, rows = cloud.features[TO_TRAIN + REDUCED].T
    real = np.concatenate([held.features[REDUCED], held.features[MIRRORED + REDUCED]])
    ratios = ratio(to_train, nearest(images, real)[0])
    worst = np.argsort(ratios, kind="stable")[:SHOWN]
    copied = rows[worst].astype(int)
    return {
        f"{data.name}/suspicious": data.images[worst],
        f"{data.name}/suspicious_ids": data.table["id"].to_numpy(dtype=str)[worst],
        f"{data.name}/neighbours": train.images[copied],
        f"{data.name}/neighbour_ids": reference.train.table["id"].to_numpy(dtype=str)[copied],
        f"{data.name}/ratios": ratios[worst],
        f"{data.name}/spectrum": np.percentile(cloud.features[SPECTRUM], CENTRAL, axis=0),
        "real/spectrum": np.percentile(held.features[SPECTRUM], CENTRAL, axis=0),
    }


def map_of_groups(
    reference: Reference, sets: Mapping[SliceSet, Cloud], column: str
) -> dict[str, np.ndarray]:
    """Lay real and synthetic images out by t-SNE of what the brain network sees.

    Args:
        reference: Held-out real images; training ones are a group too.
        sets: Synthetic sets with their features.
        column: A column whose values are told apart, or "".

    Raises:
        DataError: A set lacks the column.
    """
    groups: dict[str, Rows] = {}
    parts = {
        "real, training": (reference.train, reference.train_cloud),
        "real, held out": (reference.held, reference.held_cloud),
        **{data.name: (data, cloud) for data, cloud in sets.items()},
    }
    for name, (data, cloud) in parts.items():
        rows = cloud.features[BRAIN_NET]
        if not column:
            groups[name] = rows
            continue
        if column not in data.table:
            raise DataError(f"{data.folder} has no column {column!r} to group by.")
        values = data.table[column].astype(str).to_numpy()
        groups |= {
            f"{name}, {column} {value}": rows[values == value] for value in np.unique(values)
        }
    count = sum(min(len(rows), 300) for rows in groups.values())
    places = tsne(groups, perplexity=min(PERPLEXITY, max(1, count // 4)))
    return {f"map/{name}": place.astype(np.float32) for name, place in places.items()}
