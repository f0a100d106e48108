"""The scores of a folder, laid out for people: overview, differences, charts, pairs."""

import csv
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from mrgantry.common.score import Score, read_scores
from mrgantry.evaluation import verdict
from mrgantry.evaluation.differences import ScoreDifference
from mrgantry.evaluation.explained import READING, features_text, title_of
from mrgantry.evaluation.measures.listed import BY_NAME, EXPLANATIONS
from mrgantry.evaluation.measures.measure import QUESTIONS
from mrgantry.evaluation.measures.spectrum import frequencies
from mrgantry.evaluation.record import read_evaluation
from mrgantry.pages import charts, figures
from mrgantry.pages.drawing import REAL, STYLES, TRAINING, DrawingStyle, Styles, styled
from mrgantry.pages.rendering import between, number

HOW_TO_READ = "reading"  # the glossary's place for what nobody has explained
OTHER = "Other scores"
# What the relative distance on the same features says better; it stands in the full table.
HIDDEN = {"frechet_distance", "fid"}
BEST = {"lower": "lower", "higher": "higher", "enough": "as real", "half": "0.5", "real": "as real"}
SIGNS = {"worse": "−", "alike": "=", "better": "+", "beyond": "+", "unknown": "?"}
WORDS = {"worse": "worse", "alike": "as real", "better": "better", "unknown": "unknown"}
ANSWER_KINDS = {"yes": "worse", "no": "better", "cannot tell": "unknown"}
HELD = "real, held out"  # a group of the map
VALUES = ("value", "low", "high")  # of a difference; an empty cell is no number
CHANCE = 0.05  # the share of equal pairs whose 95 % interval leaves 0 out
FIDELITY = (("precision", "recall"), ("density", "coverage"))

Pictures = Mapping[str, np.ndarray]
Kinds = dict[tuple[str, str], dict[str, Score]]  # name and features: set: score


def evaluation(folder: Path) -> dict[str, Any]:
    """Lay out the scores of a folder, with their pictures."""
    scores = read_scores(folder)
    facts = read_evaluation(folder)
    with np.load(folder / "pictures.npz") as file:
        pictures = {name: file[name] for name in file.files}
    sets = [measured.name for measured in facts.synthetic]
    styles = styled(sets)
    kinds: Kinds = {}
    for score in scores:
        kinds.setdefault((score.name, score.features), {})[score.synthetic] = score
    shown = {kind: by_set for kind, by_set in kinds.items() if kind[0] not in HIDDEN}
    return {
        "facts": facts,
        "scores": [name for name, _ in kinds],
        "features": list(dict.fromkeys(features for _, features in kinds)),
        "conditions": facts.real.only,
        "origin": "Simulated" if facts.real.source == "simulated" else "Real",
        "answers": answers(scores),
        "sets": sets,
        "keys": keys(styles),
        "totals": [tally(by_set.get(name) for by_set in shown.values()) for name in sets],
        "groups": [group(question, members, sets) for question, members in questions(shown)],
        "details": [
            {
                "name": name,
                "seed": facts.seed,
                "rows": [row(score) for score in scores if score.synthetic == name],
            }
            for name in sets
        ],
        "differences": told_apart(read_differences(folder), sets) if len(sets) > 1 else None,
        "bars": [bars(question, members, styles) for question, members in questions(shown)],
        "fidelity": list(fidelity(kinds, styles)),
        "spectra": spectra(pictures, styles),
        **image_map(pictures, styles),
        "pairs": [{"name": name, "pairs": list(pairs(pictures, name))} for name in sets],
    }


def answers(scores: Sequence[Score]) -> dict[str, Any]:
    """Lay the three answers out, a row each and a column a set."""
    set_verdicts = verdict.verdicts(scores)
    rows = []
    for asked in verdict.VERDICT_QUESTIONS:
        cells = []
        for set_verdict in set_verdicts:
            said = getattr(set_verdict, asked.key)
            cells.append(
                {
                    "answer": said.answer,
                    "kind": ANSWER_KINDS[said.answer],
                    "reason": verdict.reason(asked, said),
                }
            )
        rows.append({"question": asked.text, "cells": cells})
    return {"sets": [set_verdict.set for set_verdict in set_verdicts], "rows": rows}


def questions(kinds: Kinds) -> Iterator[tuple[str, Kinds]]:
    """Sort scores under the questions that they answer."""
    for key, question in [*QUESTIONS.items(), ("", OTHER)]:
        members = {
            kind: by_set
            for kind, by_set in kinds.items()
            if (BY_NAME[kind[0]].question if kind[0] in BY_NAME else "") == key
        }
        if members:
            yield question, members


def group(question: str, kinds: Kinds, sets: Sequence[str]) -> dict[str, Any]:
    """Lay the scores under one question out, a row each and a column a set."""
    rows = []
    for (name, features), by_set in kinds.items():
        first = next(iter(by_set.values()))
        rows.append(
            {
                "title": title_of(name),
                "anchor": anchor_of(name),
                "word": BY_NAME[name].word if name in BY_NAME else "",
                "features": "" if features == "pixels" else features,
                "best": BEST[first.better],
                "cells": [cell(by_set[name]) if name in by_set else None for name in sets],
                "floor": number(first.floor),
                "floor_interval": between(first.floor_low, first.floor_high),
            }
        )
    counts = [tally(by_set.get(name) for by_set in kinds.values()) for name in sets]
    return {"question": question, "rows": rows, "counts": counts}


def cell(score: Score) -> dict[str, Any]:
    """Write one score of one set."""
    return {
        "value": number(score.value),
        "interval": between(score.low, score.high),
        "verdict": badge_of(score),
    }


def badge_of(score: Score) -> dict[str, str]:
    """Say in a sign and a word how a score compares with that of real images."""
    kind: str = score.verdict if isfinite(score.value) and isfinite(score.floor) else "unknown"
    word = WORDS[kind]
    if kind == "better" and score.name in BY_NAME:
        word = BY_NAME[score.name].beyond
        kind = "better" if word == WORDS["better"] else "beyond"
    return {"kind": kind, "sign": SIGNS[kind], "word": word}


def tally(scores: Iterable[Score | None]) -> list[dict[str, Any]]:
    """Count the verdicts, worse first."""
    badges = [badge_of(score) for score in scores if score is not None]
    badges.sort(key=lambda badge: list(SIGNS).index(badge["kind"]))
    words = {badge["word"]: badge for badge in badges}
    counts = Counter(badge["word"] for badge in badges)
    return [badge | {"count": counts[word]} for word, badge in words.items()]


def row(score: Score) -> dict[str, str]:
    """Write a score with all that belongs to it."""
    return {
        "title": title_of(score.name, score.features),
        "anchor": anchor_of(score.name),
        "value": number(score.value),
        "interval": between(score.low, score.high),
        "floor": number(score.floor),
        "floor_interval": between(score.floor_low, score.floor_high),
        "n": f"{score.n_real:,} / {score.n_synthetic:,}",
        "draws": "–" if score.better == "half" else str(len(score.values)),
        "people": str(score.people or "–"),
        "p": "–" if score.p is None else f"{score.p:.2g}",
        "detectable": "–" if score.detectable is None else number(score.detectable),
        "method": score.method,
    }


def anchor_of(score: str) -> str:
    """Name the place in the glossary where a score is explained."""
    return BY_NAME[score].anchor if score in BY_NAME else HOW_TO_READ


# --- differences ----------------------------------------------------------------------


def read_differences(folder: Path) -> list[ScoreDifference]:
    """Read what `write_differences` wrote; nothing, if there is no such file."""
    path = folder / "differences.csv"
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        lines = [line for line in csv.DictReader(file) if line["score"] not in HIDDEN]
    numbers = [{key: float(line[key] or "nan") for key in VALUES} for line in lines]
    return [ScoreDifference(**line | values) for line, values in zip(lines, numbers, strict=True)]  # type: ignore[arg-type]


def told_apart(differences: Sequence[ScoreDifference], sets: Sequence[str]) -> dict[str, Any]:
    """Say in which scores sets differ by more than chance, and which is nearer to the best."""
    by_kind: dict[tuple[str, str], list[ScoreDifference]] = {}
    for difference in differences:
        by_kind.setdefault((difference.score, difference.features), []).append(difference)
    larger = [difference for difference in differences if difference.nearer]
    clear = {(difference.score, difference.features) for difference in larger}
    return {
        "rows": [
            {
                "title": title_of(*kind),
                "anchor": anchor_of(kind[0]),
                "cells": [list(ahead(name, of_kind)) for name in sets],
            }
            for kind, of_kind in by_kind.items()
            if kind in clear
        ],
        "unclear": [title_of(*kind) for kind in by_kind if kind not in clear],
        "pairs": len(differences),
        "larger": len(larger),
        "expected": f"{CHANCE * len(differences):.2g}",
    }


def ahead(name: str, differences: Sequence[ScoreDifference]) -> Iterator[dict[str, str]]:
    """List the sets that one is clearly nearer to the best than, and by how much."""
    for difference in differences:
        if difference.nearer == name:
            ends = sorted((abs(difference.low), abs(difference.high)))
            yield {
                "than": difference.other if name == difference.one else difference.one,
                "by": number(abs(difference.value)),
                "interval": between(*ends),
            }


# --- pictures -------------------------------------------------------------------------


def keys(styles: Styles) -> list[dict[str, str]]:
    """Give what stands beside figures: name, colour and sign."""
    return [
        {"name": name, "colour": style.colour, "sign": style.sign} for name, style in styles.items()
    ]


def bars(question: str, kinds: Kinds, styles: Styles) -> dict[str, str]:
    """Draw the scores under one question; those that are no numbers are left out."""
    finite = [
        [score for score in by_set.values() if isfinite(score.value) and isfinite(score.floor)]
        for by_set in kinds.values()
    ]
    rows = [scores for scores in finite if scores]
    picture = charts.score_bars(rows, styles) if rows else ""
    return {"question": question, "picture": picture}


def fidelity(kinds: Kinds, styles: Styles) -> Iterator[dict[str, Any]]:
    """Draw fidelity against diversity for each extractor that both were measured on."""
    for features in dict.fromkeys(features for _, features in kinds):
        pictures = [
            charts.fidelity_against_diversity(
                list(kinds[plausible, features].values()),
                list(kinds[varied, features].values()),
                styles,
            )
            for plausible, varied in FIDELITY
            if {(plausible, features), (varied, features)} <= kinds.keys()
        ]
        if pictures:
            yield {"features": features, "pictures": pictures}


def spectra(pictures: Pictures, styles: Styles) -> list[str]:
    """Draw power spectra: as they are, and less that of real images."""
    if "real/spectrum" not in pictures:
        return []
    sets = {name: pictures[f"{name}/spectrum"] for name in styles}
    size = pictures[f"{next(iter(sets))}/suspicious"].shape[-1]
    real = pictures["real/spectrum"]
    return [
        charts.power_spectra(frequencies(size), real, sets, styles, difference=difference)
        for difference in (False, True)
    ]


def image_map(pictures: Pictures, styles: Styles) -> dict[str, Any]:
    """Draw the t-SNE map of all groups, where there is one, and of several sets each alone."""
    groups = {key[4:]: places for key, places in pictures.items() if key.startswith("map/")}
    if not groups:
        return {"map": "", "map_keys": [], "maps": []}
    of_groups = map_styles(list(groups), styles)
    alone = []
    for name in styles if len(styles) > 1 else ():
        parts = [group for group in groups if base_of(group, [HELD, name])]
        picture = charts.map_of_images(groups, of_groups, parts)
        alone.append({"name": name, "picture": picture})
    picture = charts.map_of_images(groups, of_groups)
    return {"map": picture, "map_keys": keys(of_groups), "maps": alone}


def base_of(group: str, bases: Iterable[str]) -> str:
    """Say after which set a group of a map is called, or ""."""
    fitting = [base for base in bases if group == base or group.startswith(f"{base}, ")]
    return max(fitting, key=len, default="")


def map_styles(groups: Sequence[str], styles: Styles) -> dict[str, DrawingStyle]:
    """Give each group of a map its style.

    Groups are called after a set, and after a column's value if there is one: then the
    colour tells the set, the mark the value.
    """
    real = {"real, training": DrawingStyle(TRAINING, "o", "●"), HELD: DrawingStyle(REAL, "D", "◆")}
    bases = real | dict(styles)
    split = {}
    for group in groups:
        base = base_of(group, bases)
        split[group] = (base, group[len(base) + 2 :])
    values = list(dict.fromkeys(value for _, value in split.values()))
    if values == [""]:
        return {group: bases[base] for group, (base, _) in split.items()}
    marks = {value: STYLES[place % len(STYLES)] for place, value in enumerate(values)}
    return {
        group: bases[base]._replace(mark=marks[value].mark, sign=marks[value].sign)
        for group, (base, value) in split.items()
    }


def pairs(pictures: Pictures, name: str) -> Iterator[dict[str, str]]:
    """Show the synthetic images that lie most suspiciously near to training images."""
    parts = ("suspicious", "neighbours", "ratios", "suspicious_ids", "neighbour_ids")
    columns = [pictures[f"{name}/{part}"] for part in parts]
    for image, neighbour, ratio, synthetic, trained in zip(*columns, strict=True):
        yield {
            "picture": figures.facing(image, neighbour),
            "ratio": number(float(ratio)),
            "made": str(synthetic),
            "trained": str(trained),
        }


# --- glossary -------------------------------------------------------------------------


def glossary(scores: Collection[str], features: Collection[str]) -> dict[str, Any]:
    """Explain the scores and the features that stand on a page, and how to read them."""
    entries = [explanation for explanation in EXPLANATIONS if set(explanation.titles) & set(scores)]
    groups = [
        {"question": question, "entries": [entry for entry in entries if entry.question == key]}
        for key, question in QUESTIONS.items()
    ]
    texts = {name: features_text(name) for name in features}
    return {
        "reading": READING,
        "groups": [group for group in groups if group["entries"]],
        "features": {name: text for name, text in texts.items() if text},
    }
