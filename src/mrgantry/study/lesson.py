"""A quiz from sets of slices: drawn as a study's cases are, with the answers in the page."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mrgantry.study.cases.cases import pixels
from mrgantry.study.cases.draw import Image, Pool, draw_cases, order
from mrgantry.study.cases.pools import Sources, check_names, open_pool
from mrgantry.study.protocol import Protocol
from mrgantry.study.quiz import QuizCase, quiz


def make_quiz(
    out: Path,
    blocks: Sequence[Sources],
    *,
    cases: int = 20,
    tumour: bool = False,
    title: str = "Real or synthetic?",
    synthetic_word: str = "synthetic",
    against: str = "test",
    only: Sequence[str] = (),
    seed: int = 0,
) -> int:
    """Write a quiz on one HTML page; give the number of its images.

    Args:
        out: The page.
        blocks: What to draw from; images of all blocks are mixed.
        cases: Images of each block, half of them real.
        tumour: Whether to ask for tumours too; then half of each kind show one.
        title: Heading.
        synthetic_word: What the page calls a synthetic image.
        against: Split of the real sets to draw from.
        only: Conditions such as "tumour=yes" for the real slices.
        seed: Of the draw and the order.

    Raises:
        DataError: A set will not do, or there are too few images.
    """
    check_names([block.name for block in blocks], "block", "--block NAME=REAL,SYNTHETIC")
    protocol = Protocol(
        name="quiz",
        cases=cases,
        balance=("sequence", "tumour") if tumour else ("sequence",),
        questions=("truth", "tumour") if tumour else ("truth",),
        synthetic_word=synthetic_word,
    )
    pools = [open_pool(block, protocol, against, only) for block in blocks]
    drawn = [replace(pick, block=0) for pick in draw_cases(pools, protocol, (seed, 0))]
    shuffled = order(drawn, 1, protocol, (seed, 1))[1]
    case_of = {
        Image(number, row): case
        for number, pool in enumerate(pools)
        for row, case in _cases(pool, [p.row for p in shuffled if p.pool == number], protocol)
    }
    quiz(
        out,
        [case_of[pick.image] for pick in shuffled],
        title,
        questions=protocol.questions,
        synthetic_word=synthetic_word,
        simulated=any(pool.real.about.source == "simulated" for pool in pools),
    )
    return len(shuffled)


def _cases(pool: Pool, rows: Sequence[int], protocol: Protocol) -> list[tuple[int, QuizCase]]:
    """Give rows of a pool with their images, labels and truths."""
    several = pool.real.table["sequence"].nunique() > 1
    table = pool.rows.loc[sorted(rows)]
    images = pixels(pool, sorted(rows), protocol)
    return [
        (
            int(row),
            QuizCase(
                image=image,
                truth=facts["truth"],
                tumour=facts["tumour"] if "tumour" in protocol.questions else "",
                sequence=facts["sequence"] if several else "",
            ),
        )
        for row, facts, image in zip(table.index, table.to_dict("records"), images, strict=True)
    ]
