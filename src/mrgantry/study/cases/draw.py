"""Which images each reader sees, and in which order: seeded, balanced, subjects spread."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from mrgantry.common.errors import DataError
from mrgantry.data import SliceSet
from mrgantry.study.protocol import Protocol

PRACTICE = -1  # the block number of what is read for practice
Side = Literal["left", "right"]


class Image(NamedTuple):
    """What a case shows, whatever it is used for.

    Attributes:
        pool: Number of the pool.
        row: Of `Pool.rows`; of a pair, the real image's.
        check: Whether its pieces are shuffled.
        beside: Of a pair, the row of the synthetic image; -1 where there is one image only.
        side: Of a pair, where the real image stands.
    """

    pool: int
    row: int
    check: bool = False
    beside: int = -1
    side: Side = "left"


@dataclass(frozen=True, eq=False)
class Pool:
    """The images that a block's cases are drawn from.

    Attributes:
        name: Of the block.
        real: Real slices.
        synthetic: Sets of synthetic slices, taken as one.
    """

    name: str
    real: SliceSet
    synthetic: tuple[SliceSet, ...]

    @cached_property
    def rows(self) -> pd.DataFrame:
        """Give a row an image, real ones first: truth, its set, its place, and its labels.

        Synthetic images have no subject: each counts as one of its own.
        """
        tables = []
        for number, data in enumerate((self.real, *self.synthetic)):
            table = data.table[["id", "subject", "sequence", "tumour"]].copy()
            table["set"], table["row"] = number, np.arange(len(data))
            table["truth"] = "synthetic" if number else "real"
            if number:
                table["subject"] = ""
            tables.append(table)
        return pd.concat(tables, ignore_index=True)


@dataclass(frozen=True)
class Pick:
    """One case that was drawn: its block (PRACTICE is none), and the rest as `Image` has it.

    A check is that row's image with its pieces shuffled; of a pair, beside itself.
    """

    block: int
    pool: int
    row: int
    check: bool = False
    beside: int = -1
    side: Side = "left"

    @property
    def image(self) -> Image:
        """Tell which image this is, whatever it is used for."""
        return Image(self.pool, self.row, self.check, self.beside, self.side)


def draw_cases(
    pools: Sequence[Pool],
    protocol: Protocol,
    seed: Sequence[int],
    shares: Sequence[int] | None = None,
) -> list[Pick]:
    """Draw one set of cases: those of each block, then practice from what is left.

    Args:
        pools: What to draw from, a block each.
        protocol: How many, and in what shares.
        seed: Decides which images.
        shares: Decides how many of them are synthetic, where the protocol draws that; unless
            given, the seed does.

    Raises:
        DataError: A block has too few images.
    """
    random = np.random.default_rng(seed)
    counting = np.random.default_rng(seed if shares is None else shares)
    tables = [pool.rows for pool in pools]
    used: Counter[Hashable] = Counter()
    picks = []
    for number, (pool, table) in enumerate(zip(pools, tables, strict=True)):
        if protocol.pairs:
            where = f"block {pool.name}"
            pairs = _pairs(table, protocol.cases, protocol.balance, used, random, where)
            picks += [Pick(number, number, *pair) for pair in pairs]
            continue
        for truth, count in _counts(protocol.cases, protocol, counting):
            rows = table[table["truth"] == truth]
            drawn = spread(rows, count, protocol.balance, used, random, f"block {pool.name}")
            picks += [Pick(number, number, row) for row in drawn]
    for number, count in enumerate(_shared(protocol.practice, len(pools))):
        taken = {pick.row for pick in picks if pick.pool == number}
        taken |= {pick.beside for pick in picks if pick.pool == number} - {-1}
        left = tables[number].drop(index=list(taken))
        if protocol.pairs:
            where = f"practice from block {pools[number].name}"
            pairs = _pairs(left, count, protocol.balance, used, random, where)
            picks += [Pick(PRACTICE, number, *pair) for pair in pairs]
            continue
        for truth, part in _counts(count, protocol, counting):
            rows = left[left["truth"] == truth]
            where = f"practice from block {pools[number].name}"
            drawn = spread(rows, part, protocol.balance, used, random, where)
            picks += [Pick(PRACTICE, number, row) for row in drawn]
    # Drawn last, so that the images of a study are the same with checks and without.
    for number, table in enumerate(tables):
        real = table.index[table["truth"] == "real"].to_numpy(int)
        chosen = (
            random.permutation(real)[: protocol.attention_checks]
            if protocol.attention_checks
            else real[:0]
        )
        if len(chosen) < protocol.attention_checks:
            raise DataError(
                f"Block {pools[number].name} has {len(chosen)} real images to make "
                f"{protocol.attention_checks} attention checks of. Ask for fewer with --set "
                "attention_checks=NUMBER."
            )
        picks += [
            Pick(number, number, int(row), check=True, beside=int(row) if protocol.pairs else -1)
            for row in chosen
        ]
    return _on_sides(picks, counting) if protocol.pairs else picks


def _pairs(
    rows: pd.DataFrame,
    count: int,
    balance: Sequence[str],
    used: "Counter[Hashable]",
    random: np.random.Generator,
    where: str,
) -> list[tuple[int, bool, int]]:
    """Draw real images and to each a synthetic one of the same kind.

    Args:
        rows: Rows to draw from, each once.
        count: How many pairs.
        balance: Columns that tell kinds apart, where they have several values.
        used: How often each subject was drawn; counted on here.
        random: For all draws.
        where: What this is for, to say in an error.

    Returns:
        Of each pair the row of the real image, False (it is no check), and the other's row.

    Raises:
        DataError: There are too few rows of some kind.
    """
    real, synthetic = (rows[rows["truth"] == truth] for truth in ("real", "synthetic"))
    drawn = real.loc[spread(real, count, balance, used, random, where)]
    by = [column for column in balance if rows[column].nunique() > 1]
    pairs = []
    for _, kind in drawn.groupby(by, sort=True) if by else [((), drawn)]:
        if kind.empty:  # no practice was asked for
            continue
        alike = synthetic[(synthetic[by] == kind[by].iloc[0]).all(axis=1)]
        others = random.permutation(spread(alike, len(kind), (), used, random, where))
        pairs += list(zip(kind.index.tolist(), [False] * len(kind), others.tolist(), strict=True))
    return pairs


def _on_sides(picks: Sequence[Pick], random: np.random.Generator) -> list[Pick]:
    """Put the real image of as many pairs on the left as on the right, by an unknown draw."""
    placed: list[Pick] = []
    for number in dict.fromkeys(pick.block for pick in picks):
        part = [pick for pick in picks if pick.block == number]
        left = random.permutation(len(part)) % 2
        placed += [
            replace(pick, side="right" if on else "left")
            for pick, on in zip(part, left, strict=True)
        ]
    return placed


def order(
    picks: Sequence[Pick], blocks: int, protocol: Protocol, seed: Sequence[int]
) -> list[list[Pick]]:
    """Give the parts that one reader reads, in order: practice, then every block, shuffled.

    What is shown twice is drawn from the first third of a block, and comes again in its last third.
    """
    random = np.random.default_rng(seed)
    numbers = random.permutation(blocks) if protocol.shuffle_blocks else np.arange(blocks)
    parts = []
    for number in (PRACTICE, *numbers):
        part = [pick for pick in picks if pick.block == number]
        shuffled = [part[i] for i in random.permutation(len(part))]
        plain = [pick for pick in shuffled if not pick.check]
        if number != PRACTICE and protocol.shown_again:
            plain = _shown_again(plain, protocol.shown_again, random)
        for pick in (pick for pick in shuffled if pick.check):
            plain.insert(int(random.integers(len(plain) + 1)), pick)
        parts.append(plain)
    return parts


def _shown_again(part: Sequence[Pick], count: int, random: np.random.Generator) -> list[Pick]:
    """Show so many images of the first third of a part again, at random places of its last third.

    Args:
        part: At least three times as many images as come again, in order.
        count: How many come again.
        random: For all draws.
    """
    third = len(part) // 3
    end = len(part) - third
    last = [*part[end:], *(part[i] for i in random.permutation(third)[:count])]
    return [*part[:end], *(last[i] for i in random.permutation(len(last)))]


def spread(
    rows: pd.DataFrame,
    count: int,
    balance: Sequence[str],
    used: "Counter[Hashable]",
    random: np.random.Generator,
    where: str,
) -> list[int]:
    """Draw rows in equal numbers of each kind, from the subjects that were drawn least.

    Args:
        rows: Rows to draw from, each once.
        count: How many to draw.
        balance: Columns that tell kinds apart, where they have several values.
        used: How often each subject was drawn; counted on here.
        random: For all draws.
        where: What this is for, to say in an error.

    Raises:
        DataError: There are too few rows of some kind.
    """
    by = [column for column in balance if rows[column].nunique() > 1]
    kinds = [group for _, group in rows.groupby(by)] if by else [rows]
    extra = random.permutation(len(kinds)) < count % len(kinds)
    drawn: list[int] = []
    for kind, one_more in zip(kinds, extra, strict=True):
        wanted = count // len(kinds) + int(one_more)
        if wanted > len(kind):
            labels = " ".join(f"{column}={kind[column].iloc[0]}" for column in by)
            truth = "" if kind.empty else f" {kind['truth'].iloc[0]}"
            more = "Draw more with `mrgantry sample`" if "syn" in truth else "Take --against all"
            raise DataError(
                f"The {where} needs {wanted}{truth} images{' of ' + labels if labels else ''}, and "
                f"there are {len(kind)}. {more}, or ask for fewer with --set cases=NUMBER."
            )
        drawn += _least_used(kind, wanted, used, random)
    return drawn


def _least_used(
    rows: pd.DataFrame, count: int, used: "Counter[Hashable]", random: np.random.Generator
) -> list[int]:
    """Draw rows one after another, each from a subject that was drawn least so far."""
    shuffled = rows.iloc[random.permutation(len(rows))]
    # A synthetic image shows nobody: it counts as a subject of its own.
    owners = [s or ("", i) for i, s in zip(shuffled.index, shuffled["subject"], strict=True)]
    left = dict(zip(shuffled.index.tolist(), owners, strict=True))
    drawn = []
    for _ in range(count):
        row = min(left, key=lambda place: used[left[place]])
        used[left.pop(row)] += 1
        drawn.append(row)
    return drawn


def _counts(cases: int, protocol: Protocol, random: np.random.Generator) -> list[tuple[str, int]]:
    """Divide cases into real and synthetic ones by the protocol's share."""
    synthetic = round(cases * random.uniform(*protocol.share))
    return [("real", cases - synthetic), ("synthetic", synthetic)]


def _shared(count: int, among: int) -> list[int]:
    """Divide a number into parts that differ by one at most."""
    return [count // among + (number < count % among) for number in range(among)]
