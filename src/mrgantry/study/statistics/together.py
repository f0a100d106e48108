"""Whether readers, taken together, tell real from synthetic images: one test for all of them.

If no reader could, any of the images might as well be the real ones, whatever is liked about
single images and however much readers agree. So the truth is dealt out anew over the images of
each block, as many real ones as there are, and it is counted how often the answers then fit
it as they do, or better.

How well answers fit is, for each reader, the number of real images called real less what
answers that do not depend on the truth would give, in its standard deviations: z, as of Mantel
and Haenszel over blocks. A reader without an answer, or with one answer only, has 0, and one
with few answers brings no more than chance. The sum of z² grows where any reader tells images
apart, also the wrong way round, and the square of the sum of z where all do a little.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from mrgantry.study.statistics.bootstrap import generator
from mrgantry.study.statistics.measured import TogetherTest

AT_ONCE = 2_000_000  # truths dealt out at once, so that memory stays small
METHOD = (
    "permutation of the truth over the images of each block ({draws:,} times); statistic: sum of "
    "the readers' z², and the square of the sum of z"
)


def told_apart(rows: pd.DataFrame, seed: int, block: str, group: str, draws: int) -> TogetherTest:
    """Test that no reader tells real from synthetic images.

    Args:
        rows: As `counting.checked` gives them.
        seed: Of the permutations.
        block: Name, from which they follow with the seed and the group.
        group: Of readers.
        draws: Number of permutations.
    """
    decided = rows[rows["decided"]]
    method = METHOD.format(draws=draws)
    if decided["truth"].nunique() < 2 or decided["answer"].nunique() < 2:
        return TogetherTest(p=None, method=method)
    random = generator(seed, "together", block, group)
    readers = pd.factorize(decided["reader"])[0]
    excess = np.zeros((draws + 1, readers.max() + 1))
    variance = np.zeros_like(excess)
    for name in dict.fromkeys(decided["block"]):
        chosen = (decided["block"] == name).to_numpy()
        at = 0
        for more, spread in _dealt(
            decided[chosen], readers[chosen], excess.shape[1], draws, random
        ):
            excess[at : at + len(more)] += more
            variance[at : at + len(more)] += spread
            at += len(more)
    return TogetherTest(p=_p(excess, variance), method=method)


def told_by_complete(
    real: Bool[np.ndarray, " cases"],
    called: Bool[np.ndarray, "readers cases"],
    draws: int,
    random: np.random.Generator,
) -> float:
    """Give the p value of the same test where every reader has answered every image.

    Args:
        real: Whether each image is real.
        called: Which of them each reader called real.
        draws: Number of permutations.
        random: Of the permutations.
    """
    truths = np.vstack([real, random.permuted(np.tile(real, (draws, 1)), axis=1)])
    said = called.T.astype(float)
    return _p(*_excess(truths, np.ones_like(said), said))


def _p(excess: Float[np.ndarray, "b readers"], variance: Float[np.ndarray, "b readers"]) -> float:
    """Give how often dealt truths, those after the first, fit as well as the first or better."""
    z = np.divide(excess, np.sqrt(variance), out=np.zeros_like(excess), where=variance > 0)
    fits = (z**2).sum(1) + z.sum(1) ** 2
    better = int((fits[1:] >= fits[0] - 1e-9).sum())
    return (better + 1) / len(fits)


def _dealt(
    rows: pd.DataFrame,
    readers: np.ndarray,
    count: int,
    draws: int,
    random: np.random.Generator,
) -> Iterator[tuple[Float[np.ndarray, "b readers"], Float[np.ndarray, "b readers"]]]:
    """Give excess and variance by the truth, then by truths that are dealt out, some at a time."""
    case, names = pd.factorize(rows["case"])
    answered, called = np.zeros((2, len(names), count))
    np.add.at(answered, (case, readers), 1)
    np.add.at(called, (case, readers), (rows["answer"] == "real").to_numpy(float))
    real = np.zeros(len(names), dtype=bool)
    real[case] = (rows["truth"] == "real").to_numpy()
    yield _excess(real[None], answered, called)
    step = max(1, AT_ONCE // len(names))
    for start in range(0, draws, step):
        dealt = np.tile(real, (min(step, draws - start), 1))
        yield _excess(random.permuted(dealt, axis=1), answered, called)


def _excess(
    real: Bool[np.ndarray, "b cases"],
    answered: Float[np.ndarray, "cases readers"],
    called: Float[np.ndarray, "cases readers"],
) -> tuple[Float[np.ndarray, "b readers"], Float[np.ndarray, "b readers"]]:
    """Compare the real images called real with what is expected, given all that was called so."""
    truth = real.astype(float)
    n, yes = answered.sum(0), called.sum(0)
    shown, hits = truth @ answered, truth @ called
    expected = np.divide(shown * yes, n, out=np.zeros_like(shown), where=n > 0)
    variance = np.divide(
        shown * (n - shown) * yes * (n - yes),
        n**2 * (n - 1),
        out=np.zeros_like(shown),
        where=n > 1,
    )
    return hits - expected, variance
