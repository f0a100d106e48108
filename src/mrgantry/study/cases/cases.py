"""The cases of a study: images with random ids, and the key to them."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

from mrgantry.common.tables import harmless
from mrgantry.study.cases.draw import Image, Pick, Pool
from mrgantry.study.cases.shown import beside, shown, shown_heads, shuffled
from mrgantry.study.protocol import Protocol

KEY = ("case", "block", "truth", "tumour", "sequence", "subject", "set", "slice")
CHECK = "attention check"  # in the key, the set of an image whose pieces were shuffled
Parts = Sequence[Sequence[Pick]]  # what one reader reads, in order


@dataclass(frozen=True)
class Cases:
    """The images of a study: ids as the database has them, and the key to them."""

    ids: dict[Image, str]
    rows: list[dict[str, Any]]
    key: list[dict[str, Any]]

    @classmethod
    def of(
        cls,
        pools: Sequence[Pool],
        drawn: Sequence[Parts],
        protocol: Protocol,
        known: Mapping[tuple[str, ...], str] | None = None,
    ) -> "Cases":
        """Gather the images that anybody reads, each once, and give them random ids.

        Args:
            pools: What they were drawn from, a block each.
            drawn: What each reader reads.
            protocol: How they are shown.
            known: Ids of images that the study has already, by block, set and slice, as the key
                has them.
        """
        images = {pick.image for parts in drawn for part in parts for pick in part}
        # Random, not seeded: who knows the seed must not be able to tell the ids.
        ids = {image: secrets.token_hex(8) for image in images}
        rows, key = [], []
        for number, pool in enumerate(pools):
            mine = sorted(image for image in images if image.pool == number)
            needed = sorted({row for image in mine for row in (image.row, image.beside)} - {-1})
            grey = dict(zip(needed, pixels(pool, needed, protocol), strict=True)) if mine else {}
            for image in mine:
                facts = _facts(pool, image)
                named = tuple(harmless(facts[name]) for name in ("block", "set", "slice"))
                if case := (known or {}).get(named):
                    ids[image] = case
                    continue
                case, seen = ids[image], _seen(image, grey)
                height, width = seen.shape
                rows.append({"id": case, "height": height, "width": width, "grey": seen.tobytes()})
                key.append({"case": case} | facts)
        # The order of rows must tell nothing: that of random ids does not.
        return cls(ids, sorted(rows, key=lambda r: r["id"]), sorted(key, key=lambda r: r["case"]))


def _facts(pool: Pool, image: Image) -> dict[str, str]:
    """Give a row of the key, but for the id."""
    facts: dict[Any, Any] = dict(pool.rows.loc[image.row].items())
    sets = (pool.real, *pool.synthetic)
    set_name, slice_id = sets[int(facts["set"])].name, str(facts["id"])
    if image.beside >= 0:
        other: dict[Any, Any] = pool.rows.loc[image.beside].to_dict()
        facts["truth"] = image.side
        set_name = " | ".join((set_name, sets[int(other["set"])].name))
        slice_id = " | ".join((slice_id, str(other["id"]), image.side))
    if image.check:
        set_name = CHECK
        facts |= {"tumour": "", "subject": ""}
        facts |= {} if image.beside >= 0 else {"truth": "synthetic"}
    words = (
        facts[name] if facts[name] != "unknown" else ""
        for name in ("truth", "tumour", "sequence", "subject")
    )
    return dict(zip(KEY[1:], (pool.name, *words, set_name, slice_id), strict=True))


def _seen(image: Image, grey: Mapping[int, UInt8[np.ndarray, "h w"]]) -> np.ndarray:
    """Give what a reader sees: an image, one in pieces, or a pair."""
    real = grey[image.row]
    if image.beside < 0:
        return shuffled(real, image.row) if image.check else real
    other = shuffled(real, image.row) if image.check else grey[image.beside]
    return beside(real, other) if image.side == "left" else beside(other, real)


def pixels(pool: Pool, rows: Sequence[int], protocol: Protocol) -> UInt8[np.ndarray, "n h w"]:
    """Give some rows of a pool as readers see them."""
    table = pool.rows.loc[list(rows)]
    pieces = []
    for number, data in enumerate((pool.real, *pool.synthetic)):
        wanted = np.zeros(len(data), dtype=bool)
        wanted[table.loc[table["set"] == number, "row"].to_numpy(int)] = True
        if wanted.any():
            show = shown_heads if protocol.volumes else shown
            pieces.append(show(data.where(wanted).images, protocol.floor))
    return np.concatenate(pieces)


def trials_of(
    people: Sequence[dict[str, Any]],
    drawn: Sequence[Parts],
    ids: dict[Image, str],
) -> list[dict[str, Any]]:
    """Give a row for each image of each reader, in the order of random ids."""
    rows = []
    for person, parts in zip(people[: len(drawn)], drawn, strict=True):
        number = 0
        for part, picks in enumerate(parts):
            for pick in picks:
                number += 1
                rows.append(
                    {
                        "id": secrets.token_hex(8),
                        "reader": person["id"],
                        "number": number,
                        "part": part,
                        "block": pick.block,
                        "case_id": ids[pick.image],
                    }
                )
    return sorted(rows, key=lambda row: row["id"])


def truths_of(key: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """Give the rows that tell a teaching study's readers the truth."""
    return [{"case_id": k["case"], "truth": k["truth"], "tumour": k["tumour"]} for k in key]
