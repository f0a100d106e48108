"""How often real people are told apart from other real people, as if a generator had drawn these.

    python benchmarks/null.py SLICES [--people 9 27 45] [--tries 200] [--networks]

In each try so many people are held out, as many others stand in for a generator's images, and the
rest train classifiers. Variety and copies are looked for in the first 40 tries. With `--networks`
convolutional networks are trained, too, which takes minutes a try. Printed are the counts of each
answer of `verdict.json`, and for "told apart" what would have been noticed. At most 5 of 200 are
expected, and 16 are hardly chance.
"""

import argparse
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.progress import track

from mrgantry.data.slices import SliceSet
from mrgantry.evaluation.extractors.features import fit_directions
from mrgantry.evaluation.measures.listed import all_measures
from mrgantry.evaluation.reference import COMPONENTS, Reference, beside, refer
from mrgantry.evaluation.scoring import Candidate, Floors, score_set
from mrgantry.evaluation.verdict import VERDICT_QUESTIONS, SetVerdict, verdicts

ASKED = {name for question in VERDICT_QUESTIONS for name in question.measures}
DRAWN = 40  # tries in which variety and copies are looked for, too


def everything_of(data: SliceSet) -> Reference:
    """Fit extractors on all people, and describe all images once.

    Nothing of it tells who will be held out, so every try may use it.
    """
    known = refer(data, data)
    return replace(
        known,
        measures=[
            measure
            for measure in all_measures(
                fit_directions(data.images, COMPONENTS), known.extractors, data.about.size
            )
            if {kind.name for kind in measure.kinds} & ASKED
        ],
    )


def judged(whole: Reference, people: int, turn: int, *, networks: bool) -> SetVerdict:
    """Share people out at random and give the answers for those who stand in."""
    cloud = whole.held_cloud
    names = np.random.default_rng((people, turn)).permutation(np.unique(cloud.subjects))
    held, stand_ins, rest = (
        cloud.take(np.isin(cloud.subjects, some))
        for some in (names[:people], names[people : 2 * people], names[2 * people :])
    )
    drawn = turn < DRAWN and len(rest) > 0
    train = rest if drawn else held
    reference = replace(
        whole,
        held_cloud=beside(held, train),
        train_cloud=train,
        extra_cloud=rest,
        measures=whole.measures if drawn else whole.measures[:1],
        tests=[test for test in whole.tests if networks or test.features != "pixels"],
    )
    candidate = Candidate("real", beside(stand_ins, train), "")
    scores = score_set(reference, candidate, turn, Floors(), lambda *_, **__: None)
    (found,) = verdicts([one for one in scores if drawn or one.name.startswith("c2st")])
    return found


def main() -> None:
    """Print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slices", type=Path)
    parser.add_argument("--people", type=int, nargs="+", default=[9, 27, 45])
    parser.add_argument("--tries", type=int, default=200)
    parser.add_argument("--networks", action="store_true")
    given = parser.parse_args()
    whole = everything_of(SliceSet.open(given.slices))
    for people in given.people:
        found = [
            judged(whole, people, turn, networks=given.networks)
            for turn in track(range(given.tries), f"{people} people")
        ]
        for question in VERDICT_QUESTIONS:
            answers = [getattr(one, question.key) for one in found]
            answers = [answer for answer in answers if answer.detectable is not None]
            if not answers:
                continue
            counts = Counter(answer.answer for answer in answers)
            print(
                f"{people:3} people, {question.key}: yes {counts['yes']}, no {counts['no']}, "
                f"cannot tell {counts['cannot tell']} of {len(answers)}; noticed would have been "
                f"{np.median([answer.detectable for answer in answers]):.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
