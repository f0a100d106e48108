"""t-SNE of named groups of images: a picture of the sets, no measure (van der Maaten 2008)."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from sklearn.manifold import TSNE

from mrgantry.common.errors import DataError

EACH, PERPLEXITY, ITERATIONS = 300, 100.0, 1000  # as Han et al. 2018 (PGGAN) chose

Rows = Float[np.ndarray, "_ d"]


def tsne(
    groups: Mapping[str, Rows],
    *,
    each: int = EACH,
    perplexity: float = PERPLEXITY,
    iterations: int = ITERATIONS,
    seed: int = 0,
) -> dict[str, Float[np.ndarray, "_ 2"]]:
    """Lay groups of images out in a plane so that near ones stay near.

    Distances between clusters, and their sizes, mean nothing in such a map.

    Args:
        groups: Features of each group by its name.
        each: At most so many images of a group, drawn at random.
        perplexity: About how many neighbours each image minds.
        iterations: Of the optimiser.
        seed: Of the draw and the optimiser.

    Raises:
        DataError: There are too few images for the perplexity.
    """
    random = np.random.default_rng(seed)
    chosen = {
        name: rows[np.sort(random.permutation(len(rows))[:each])] for name, rows in groups.items()
    }
    together = np.concatenate(list(chosen.values()))
    if len(together) <= perplexity:
        raise DataError(
            f"t-SNE at perplexity {perplexity:g} needs more images than that, not "
            f"{len(together)}; choose a perplexity of about {len(together) // 3}."
        )
    model = TSNE(perplexity=perplexity, max_iter=iterations, init="pca", random_state=seed)
    places = model.fit_transform(together.astype(np.float32))
    ends = np.cumsum([len(rows) for rows in chosen.values()])[:-1]
    return dict(zip(chosen, np.split(places, ends), strict=True))
