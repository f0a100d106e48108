"""The sets of slices that a study's blocks are drawn from, and what is told of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrgantry.common.errors import DataError
from mrgantry.data import SliceSet
from mrgantry.data.fitness import check_alike, check_unseen, people_behind
from mrgantry.data.rows import choose_rows
from mrgantry.study.cases.draw import Pool
from mrgantry.study.protocol import Protocol
from mrgantry.study.study import Block, BlockSource


@dataclass(frozen=True)
class Sources:
    """What a block is drawn from, as its folders.

    Attributes:
        name: Of the block.
        real: A set of real slices.
        synthetic: Sets of synthetic slices, taken as one.
    """

    name: str
    real: Path
    synthetic: tuple[Path, ...]

    @classmethod
    def parse(cls, text: str) -> "Sources":
        """Read NAME=REAL,SYNTHETIC, where several synthetic sets stand between commas.

        Raises:
            DataError: It is not written so.
        """
        name, sign, places = text.partition("=")
        real, *synthetic = [part.strip() for part in places.split(",")]
        if not (sign and name.strip() and real and synthetic and all(synthetic)):
            raise DataError(
                f"The block {text!r} must read NAME=REAL,SYNTHETIC, as T1=slices,synthetic."
            )
        return cls(name.strip(), Path(real), tuple(map(Path, synthetic)))


def check_names(names: Sequence[str], what: str, how: str) -> None:
    """Refuse a list of blocks or readers that is empty or names one twice."""
    if not names:
        raise DataError(f"A study needs at least one {what}: {how}.")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise DataError(f"The {what} {twice[0]!r} is named twice; each needs a name of its own.")


def open_pool(sources: Sources, protocol: Protocol, against: str, only: Sequence[str]) -> Pool:
    """Open a block's sets and keep the images that may be drawn.

    Raises:
        DataError: A set is on the wrong side, shows different things, lacks the labels asked
            for, or its generator has seen the people that are shown.
    """
    real = SliceSet.open(sources.real, volumes=protocol.volumes)
    if real.about.synthetic:
        raise DataError(f"{real.folder} is synthetic; the first set of a block must be real.")
    real = real.split(against)
    if only:
        real = choose_rows(real, only)
    synthetic = tuple(
        SliceSet.open(folder, volumes=protocol.volumes) for folder in sources.synthetic
    )
    for data in (real, *synthetic):
        if protocol.volumes and data.about.voxels != (real.about.voxels or None):
            raise DataError(
                f"The protocol {protocol.name} shows whole heads, all of one size, and "
                f"{data.folder} does not hold such. Make every set with `mrgantry prepare SCANS "
                "HEADS --plane volume` and one --size."
            )
    for data in synthetic:
        if not data.about.synthetic:
            raise DataError(
                f"{data.folder} is not a synthetic set, as `mrgantry sample` writes them, or "
                "`mrgantry import` without --real takes those of other generators in."
            )
        check_alike(real, data)
        # Whoever copies the people that are shown would be taken for a good generator.
        so = "readers would be shown whom it may have copied"
        check_unseen(people_behind(data), real, data, so)
    if "tumour" in protocol.questions:
        real, synthetic = _labelled(real), tuple(map(_labelled, synthetic))
    return Pool(sources.name, real, synthetic)


def _labelled(data: SliceSet) -> SliceSet:
    """Keep the images of which it is known whether they show a tumour."""
    labelled = data.table["tumour"].isin(("yes", "no")).to_numpy()
    if not labelled.any():
        raise DataError(
            f"The protocol asks for tumours, and no image of {data.folder} is labelled tumour=yes "
            "or tumour=no. Train on labelled slices (`train --only tumour=yes`, or a conditional "
            "recipe), or take a protocol that does not ask."
        )
    return data.where(labelled)


def describe_block(pool: Pool, split: str) -> Block:
    """Tell what a block is drawn from: names, numbers, and what was discarded before."""
    people = pool.real.table["subject"].nunique()
    real = pool.real
    return Block(
        name=pool.name,
        real=BlockSource(
            name=real.name,
            fingerprint=real.about.fingerprint,
            images=len(real),
            subjects=people,
        ),
        split=split,
        synthetic=tuple(map(_synthetic_facts, pool.synthetic)),
    )


def _synthetic_facts(data: SliceSet) -> BlockSource:
    selected: dict[str, Any] = data.about.notes.selected
    rules: list[str] = []
    generated = len(data)
    while selected:  # a set can have been selected more than once
        generated = max(generated, int(selected["looked_at"]))
        rules = [*selected["rules"], *rules]
        selected = selected.get("before") or {}
    return BlockSource(
        name=data.name,
        fingerprint=data.about.fingerprint,
        images=len(data),
        subjects=0,
        made_by=str(data.table["made_by"].iloc[0]),
        generated=generated,
        filter="; ".join(rules),
        training_subjects=len(data.about.training_subjects),
    )
