"""Random numbers that follow from a seed and an item's number alone, for many items at once."""

import numpy as np
from jaxtyping import Float, Int, UInt64

GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 by the golden ratio, odd
FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)


def splitmix(
    seeds: UInt64[np.ndarray, "..."], turns: UInt64[np.ndarray, "..."]
) -> UInt64[np.ndarray, "..."]:
    """Give output number `turns`, counted from 0, of generators with these seeds.

    The generator adds a constant and hashes, so that any output can be had at once.

    Source: Steele et al. 2014, Fast splittable pseudorandom number generators, section 5;
    the constants are those of Vigna's splitmix64.
    """
    state = seeds + (turns + np.uint64(1)) * GOLDEN  # modulo 2^64, as all of this
    state = (state ^ (state >> SHIFTS[0])) * FACTORS[0]
    state = (state ^ (state >> SHIFTS[1])) * FACTORS[1]
    return state ^ (state >> SHIFTS[2])


def uniform(
    seed: int, numbers: Int[np.ndarray, " n"], count: int
) -> Float[np.ndarray, "n {count}"]:
    """Draw from U[0, 1): `count` numbers an item, whichever items are asked for together.

    Args:
        seed: Of all items, at least 0.
        numbers: Of the items, at least 0.
        count: How many each needs.
    """
    first = np.array([seed % 2**64], np.uint64)
    items = splitmix(splitmix(first, first * np.uint64(0)), numbers.astype(np.uint64))
    bits = splitmix(items[:, None], np.arange(count, dtype=np.uint64)[None])
    return (bits >> np.uint64(11)) * 2.0**-53
