"""The list of measures; a new one is a file beside this one and a line or two here.

Most are computed of many draws of half of the people (`Measure`). Classifiers are trained once
on all of them, fold by fold, and their intervals follow from the people's scatter (`Test`).
"""

from collections.abc import Iterator, Sequence
from typing import Any

from mrgantry.evaluation.brain.features import BRAIN_MAP
from mrgantry.evaluation.extractors.features import Extractor
from mrgantry.evaluation.measures import (
    c2st,
    delplace,
    frechet,
    heads,
    kernel,
    manifold,
    maps,
    ms_ssim,
    neighbours,
    outlying,
    spectrum,
)
from mrgantry.evaluation.measures.c2st import all_tests
from mrgantry.evaluation.measures.measure import Explanation, Measure

__all__ = ["BY_NAME", "EXPLANATIONS", "all_measures", "all_tests"]

# In the order of the report within each of its questions.
EXPLANATIONS: tuple[Explanation, ...] = tuple(
    explanation
    for module in (
        frechet,
        kernel,
        manifold,
        ms_ssim,
        outlying,
        c2st,
        spectrum,
        maps,
        heads,
        neighbours,
        delplace,
    )
    for explanation in module.EXPLANATIONS
)
BY_NAME = {name: explanation for explanation in EXPLANATIONS for name in explanation.titles}


def all_measures(
    directions: Any,
    extractors: Sequence[Extractor],
    size: int,
    *,
    copies: bool = True,
    classes: int = 0,
    whole_heads: bool = False,
) -> Iterator[Measure]:
    """List the measures that are computed of draws, most telling first.

    Args:
        directions: Principal directions of the training images.
        extractors: Those directions first, then networks.
        size: Of the images, in pixels.
        copies: Whether copying can be measured: not where training images themselves are
            compared with.
        classes: How many classes the real label maps tell apart; 0 where there are none.
        whole_heads: Whether real people have slices enough to measure their heads.
    """
    pca, *networks = (extractor.name for extractor in extractors)
    for features in (pca, *networks):
        yield frechet.frechet_measure(features)
        if features != BRAIN_MAP:  # where a few odd heads decide its cubic kernel
            yield kernel.kernel_measure(features)
    for features in networks:
        # Not on principal directions: these fit the training images so well that images
        # copied from them spread more widely there than new ones do.
        yield manifold.manifold_measure(features)
    if BRAIN_MAP in networks:
        yield outlying.outlying_measure()
    yield ms_ssim.similarity_measure(size)
    yield from spectrum.spectral_measures()
    if classes:
        yield maps.map_measure(classes)
    if whole_heads:
        yield heads.heads_measure()
    if copies:
        for features in ("pixels", *(name for name in networks if name == BRAIN_MAP)):
            yield neighbours.copying_measure(features)
    yield delplace.delplace_measure(directions)
