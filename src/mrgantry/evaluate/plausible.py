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
  head is odd in all its slices. Of 36 held-out IXI subjects it was 5.3 %, between 1.8 and
  12.2 % in 20 deals of 90 subjects (`benchmarks/plausible.py`).
- A generator has seen every training subject, so its images may lie nearer than those of a
  new person. A copy of a training image always passes: copying is for `evaluate` to find.

The random network sees tone and texture, but hardly where things are: noise, strong blur and
holes are found, and the mean of two heads or halves of two are not.

**Label.** With a column such as "tumour", a classifier of real training images must give an
image's own label a probability of at least one half.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from mrgantry.common.errors import DataError
from mrgantry.data.rows import choose_rows
from mrgantry.data.slices import SliceSet
from mrgantry.evaluate.agreement import AGREES, Agreement, fit_agreement
from mrgantry.evaluate.features import Extractor, random_network
from mrgantry.evaluate.manifold import K, kth_nearest
from mrgantry.evaluate.pretrained import load_extractor
from mrgantry.evaluate.reference import check_finite, subjects_of

RANDOM_NET = "random-net"
FEWEST = 20  # real images: one in twenty is 5 %
NOBODY = -1  # whom a synthetic image shows


@dataclass(frozen=True, eq=False)
class Rules:
    """What images are judged by, all of it fitted on real training images.

    Attributes:
        extractor: Gives the features.
        rows: Features of the real images that neighbours are looked for among.
        subjects: How many people these show.
        limit: The greatest distance to the k-th nearest of them that is plausible.
        agreement: The classifier of the label, if there is one.
    """

    extractor: Extractor
    rows: Float[np.ndarray, "n d"]
    subjects: int
    limit: float
    agreement: Agreement | None

    def judge(self, data: SliceSet) -> pd.DataFrame:
        """Give a row an image: its distance, label, that label's probability, and two verdicts.

        Raises:
            DataError: An image holds values that are not finite.
        """
        check_finite(data)
        rows = self.extractor.extract(data.images)
        nobody = np.full(len(rows), NOBODY)
        distance = kth_nearest(rows, nobody, self.rows, np.zeros(len(self.rows), int))
        verdict = data.table[["id"]].assign(
            distance=distance, limit=self.limit, wanted="", probability=np.nan
        )
        if self.agreement is not None:
            wanted = data.table[self.agreement.column].to_numpy(dtype=str)
            verdict["wanted"] = wanted
            verdict["probability"] = self.agreement.probability(rows, wanted)
        verdict["far"] = verdict["distance"] > self.limit
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
        features: Name of the extractor.
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
    network = random_network(wide.images) if features == RANDOM_NET else load_extractor(features)
    everything = network.extract(wide.images)
    rows = everything[np.isin(wide.places, near.places)]
    limit = float(np.quantile(kth_nearest(rows, owners, rows, owners), keep))
    agreement = fit_agreement(everything, wide, label, seed) if label else None
    return Rules(network, rows, len(counts), limit, agreement)
