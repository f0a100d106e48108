"""What makes a synthetic image plausible: two rules fitted on real training images.

**Distance.** An image is implausible if it lies farther from its k-th nearest real training
image than a share of 95 % of real training images lie from theirs, on the features of one
extractor. Neighbouring slices of one head are nearly alike, so for a real image only images
of other subjects count. The two distances are almost like for like:

- Both look for the k-th nearest image among all training images of other people. But a
  real image has one subject less to look among, so it lies a little farther from its
  neighbours, and the limit is a little lenient: by a factor of about (S / (S - 1)) ** (1 / d)
  for S subjects in features that vary along d directions; 1 % for 20 subjects and d = 5.
- Real images of people who are not in the training split are the fair test: of them about
  5 % would be discarded, give or take what a few odd heads do to a small split, since an odd
  head is odd in all its slices. Of 36 held-out IXI subjects it was 7.2 %, between 3.5 and
  14.1 % in 6 deals of 90 subjects (`benchmarks/plausible.py`).
- A generator has seen every training subject, so its images may lie nearer than those of a
  new person. A copy of a training image always passes: copying is for `evaluate` to find.

The random network sees tone and texture: noise, strong blur and holes. The brain network's map
sees where tissue is: half heads and misplaced parts. Unless one is asked for, an image must pass
on both, and the limits are such that the stated share of real images does.

**Label.** With a column such as "tumour", a classifier of real training images must give an
image's own label a probability of at least one half.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.stats import rankdata

from mrgantry.common.errors import DataError
from mrgantry.data.rows import choose_rows
from mrgantry.data.slices import SliceSet
from mrgantry.evaluation.brain.features import BRAIN_MAP, BRAIN_NET, brain_networks
from mrgantry.evaluation.extractors.features import Extractor, random_network
from mrgantry.evaluation.extractors.pretrained import load_extractor
from mrgantry.evaluation.measures.manifold import K, kth_nearest
from mrgantry.evaluation.reference import check_finite, subjects_of
from mrgantry.evaluation.selection.agreement import AGREES, Agreement, fit_agreement

RANDOM_NET = "random-net"
USUAL = (RANDOM_NET, BRAIN_MAP)  # one for texture, one for where things are
TINY = 1e-6  # a distance, where all real images are nearly the same
FEWEST = 20  # real images: one in twenty is 5 %
NOBODY = -1  # whom a synthetic image shows


@dataclass(frozen=True, eq=False)
class Distances:
    """What is plausible by the features of one extractor.

    Attributes:
        extractor: Gives the features.
        rows: Features of the real images that neighbours are looked for among.
        limit: The greatest distance to the k-th nearest of them that is plausible.
    """

    extractor: Extractor
    rows: Float[np.ndarray, "n d"]
    limit: float


@dataclass(frozen=True, eq=False)
class Rules:
    """What images are judged by, all of it fitted on real training images.

    Attributes:
        distances: What is plausible, by each extractor.
        subjects: How many people the real images show.
        agreement: The classifier of the label, if there is one, on the first extractor's features.
    """

    distances: Sequence[Distances]
    subjects: int
    agreement: Agreement | None

    def judge(self, data: SliceSet) -> pd.DataFrame:
        """Give a row an image: distance, label, that label's probability, and two verdicts.

        Distances are in units of the limit; the extractor by which it is greatest is named.

        Raises:
            DataError: An image holds values that are not finite.
        """
        check_finite(data)
        described = [distance.extractor.extract(data.images) for distance in self.distances]
        nobody = np.full(len(data), NOBODY)
        # In units of each extractor's limit, so that the farther of them counts.
        apart = np.stack(
            [
                kth_nearest(rows, nobody, distance.rows, np.zeros(len(distance.rows), int))
                / distance.limit
                for distance, rows in zip(self.distances, described, strict=True)
            ]
        )
        names = np.array([distance.extractor.name for distance in self.distances])
        verdict = data.table[["id"]].assign(
            distance=apart.max(0), features=names[apart.argmax(0)], wanted="", probability=np.nan
        )
        if self.agreement is not None:
            wanted = data.table[self.agreement.column].to_numpy(dtype=str)
            verdict["wanted"] = wanted
            verdict["probability"] = self.agreement.probability(described[0], wanted)
        verdict["far"] = verdict["distance"] > 1
        verdict["unlike"] = verdict["probability"] < AGREES  # never, where it is not a number
        return verdict


def fit_rules(
    wide: SliceSet, only: Sequence[str], keep: float, label: str, features: str, seed: int
) -> Rules:
    """Find the limit of the distance, and fit the classifier of the label.

    Args:
        wide: Real training images of all labels.
        only: Conditions on those of them that the distance is measured to.
        keep: Share of these that lie within the limit.
        label: Column of the label, or "".
        features: Name of an extractor; "" for both that need no download.
        seed: Of the classifier's folds.

    Raises:
        DataError: There are too few images, or they are unfit.
    """
    check_finite(wide)
    near = choose_rows(wide, only)
    people = subjects_of(near).astype(str)
    _, owners, counts = np.unique(people, return_inverse=True, return_counts=True)
    if len(near) < FEWEST or len(near) - counts.max() < K:
        raise DataError(
            f"{wide.folder} has {len(near)} fitting training images of {len(counts)} "
            f"subject(s); what is usual can be told from {FEWEST} or more of several subjects, "
            f"with {K} of other subjects for each."
        )
    if np.ptp(wide.images.reshape(len(wide), -1), axis=0).max(initial=0) == 0:
        raise DataError(f"All {len(wide)} training images of {wide.folder} are the same.")
    networks = extractors_of(features, wide)
    inside = np.isin(wide.places, near.places)
    described = [network.extract(wide.images) for network in networks]
    distances = fit_distances(networks, [rows[inside] for rows in described], owners, keep)
    agreement = fit_agreement(described[0], wide, label, seed) if label else None
    return Rules(distances, len(counts), agreement)


def fit_distances(
    networks: Sequence[Extractor],
    rows: Sequence[np.ndarray],
    owners: Int[np.ndarray, " n"],
    keep: float,
) -> list[Distances]:
    """Find limits that a share of real images keeps by all extractors at once.

    Args:
        networks: The extractors.
        rows: Features of real images, by each of them.
        owners: Whom each image shows.
        keep: The share.
    """
    apart = np.stack([kth_nearest(of, owners, of, owners) for of in rows])
    # The share of real images that is nearer, by each extractor; a share `keep` of them passes all.
    ranks = (rankdata(apart, "max", axis=1) / apart.shape[1]).max(0)
    limits = np.maximum(np.quantile(apart, float(np.quantile(ranks, keep)), axis=1), TINY)
    return list(map(Distances, networks, rows, limits.tolist()))


def extractors_of(features: str, wide: SliceSet) -> list[Extractor]:
    """Give the extractors that distances are taken on."""
    if features not in ("", RANDOM_NET, BRAIN_MAP, BRAIN_NET):
        return [load_extractor(features)]
    wanted = [features] if features else USUAL
    extractors = [random_network(wide.images)] if RANDOM_NET in wanted else []
    if wanted != [RANDOM_NET]:
        extractors += brain_networks(wide.images)
    return [extractor for extractor in extractors if extractor.name in wanted]
