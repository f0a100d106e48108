"""How often the intervals of a score page hold the truth, and its headlines are false or missed.

    python benchmarks/coverage.py RESULTS [--studies 2000] [--seed 0] > docs/READER_STATISTICS.md

Studies of 200 and of 400 images in turn are drawn for 1, 2, 3, 5 and 10 readers, who vary as the
readers of Han et al. 2018 and Kazuhiro et al. 2018 did as printed, or a third as much. Of each
3 % of the answers are "unknown". The truth of every interval follows from the population, or,
where it speaks of these readers alone, from these readers and other images. RESULTS is a folder in
which counts are kept: the same command goes on where it stopped, and prints the tables at its end.
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from zlib import crc32

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import track
from scipy.stats import norm

from mrgantry.common.files import write_text
from mrgantry.pages.study.words import finding_of, finding_of_many, told_among
from mrgantry.papers import reading_population
from mrgantry.study.statistics.concordance import concordance
from mrgantry.study.statistics.contrasts import block_differences, reader_differences
from mrgantry.study.statistics.measured import Confusion
from mrgantry.study.statistics.mrmc import group_difference, many_readers, panel
from mrgantry.study.statistics.population import Population, draw_reading
from mrgantry.study.statistics.proportions import (
    balanced_accuracy,
    chance_test,
    corrected,
    equivalence,
    proportion,
)
from mrgantry.study.statistics.signal_detection import detection, roc

READERS, IMAGES, MARGIN, UNKNOWN = (1, 2, 3, 5, 10), (200, 400), 0.1, 0.03
DRAWS, EDGES = 200, np.arange(-2, 2.5, 0.5)  # bootstrap samples; confidence by distance
WHOLE = ("printed", "alike")  # populations of which all intervals are looked at
ALIKE = 500  # studies of readers more alike at most
BATCH = 50  # studies between two writings
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(40)
WEIGHTS = WEIGHTS / WEIGHTS.sum()

proportion, balanced_accuracy, chance_test, equivalence, detection = (
    lru_cache(100_000)(each)
    for each in (proportion, balanced_accuracy, chance_test, equivalence, detection)
)


def populations() -> dict[str, Population]:
    """Give the populations that studies are drawn from."""
    printed = reading_population()
    third = {"d_prime_sd": printed.d_prime_sd / 3, "criterion_sd": printed.criterion_sd / 3}
    alike = printed.model_copy(update=third)
    return {
        "printed": printed,
        "alike": alike,
        "null": printed.unable(),
        # What "guessing to within 10 points" must not be said of: all readers at the margin.
        "margin": printed.unable().with_accuracy(0.5 + MARGIN),
    }


def table(drawn, random: np.random.Generator) -> pd.DataFrame:
    """Write a drawn study as the rows that are analysed; 3 % of its answers are unknown."""
    readers, images = drawn.impression.shape
    place = np.tile(np.arange(images), readers)
    reader = np.repeat(np.arange(readers), images)
    truth = np.where(drawn.real, "real", "synthetic")[place]
    answer = np.where(drawn.called_real, "real", "synthetic").ravel()
    unknown = random.random(len(answer)) < UNKNOWN
    distance = np.minimum(4, np.floor(2 * np.abs(drawn.impression.ravel())))
    return pd.DataFrame(
        {
            "reader": np.char.add("R", reader.astype(str)).astype(object),
            "group": np.where(reader % 2, "b", "a").astype(object),
            "block": np.where(place % 2, "odd", "even").astype(object),
            "case": place,
            "truth": truth.astype(object),
            "answer": np.where(unknown, "unknown", answer).astype(object),
            "confidence": np.where(unknown, np.nan, 1 + distance),
            "decided": ~unknown,
            "right": ~unknown & (truth == answer),
        }
    )


class Counts:
    """How often what was looked at, of how many."""

    def __init__(self) -> None:
        self.counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])

    def add(self, name: str, yes: bool) -> None:
        """Count one occasion."""
        self.counts[name][0] += bool(yes)
        self.counts[name][1] += 1

    def holds(self, name: str, interval, truth: float) -> None:
        """Count whether an interval holds the truth; what has none counts apart."""
        if interval.low is None:
            self.add(f"{name} (no interval)", True)
        else:
            self.add(name, interval.low <= truth <= interval.high)


def judged(drawn, rows: pd.DataFrame) -> list[SimpleNamespace]:
    """Give what headlines need of each reader."""
    readings = []
    known = rows["decided"].to_numpy().reshape(drawn.called_real.shape)
    for said, decided in zip(drawn.called_real, known, strict=True):
        cells = [
            int((kind & call & decided).sum())
            for kind in (drawn.real, ~drawn.real)
            for call in (said, ~said)
        ]
        counts = Confusion(**dict(zip(("rr", "rs", "sr", "ss"), cells, strict=True)))
        readings.append(
            SimpleNamespace(
                confusion=counts,
                chance=chance_test(counts),
                equivalence=equivalence(counts.right, counts.n, MARGIN),
            )
        )
    for reading, test in zip(readings, corrected([r.chance for r in readings]), strict=True):
        reading.chance = test
    return readings


def single_readers(drawn, rows: pd.DataFrame, readings, counts: Counts) -> None:
    """Look at the intervals of each reader."""
    images = len(drawn.real)
    for number, reading in enumerate(readings):
        mine = rows[number * images : (number + 1) * images]
        d_prime, criterion = drawn.d_prime[number], drawn.criterion[number]
        hit, alarm = norm.cdf(d_prime / 2 - criterion), norm.cdf(-d_prime / 2 - criterion)
        accuracy = (hit + 1 - alarm) / 2
        table = reading.confusion
        shares = {
            "Accuracy": (proportion(table.right, table.n), accuracy),
            "Accuracy, undecided as wrong": (
                proportion(table.right, len(mine)),
                accuracy * (1 - UNKNOWN),
            ),
            "Fool rate": (proportion(table.sr, table.synthetic), alarm),
            "Real recall": (proportion(table.rr, table.real), hit),
        }
        for name, (share, truth) in shares.items():
            counts.holds(f"{name}, Wilson", share.wilson, truth)
            counts.holds(f"{name}, exact", share.exact, truth)
        found = detection(table)
        counts.holds("Balanced accuracy", balanced_accuracy(table).interval, accuracy)
        counts.holds("d′", found.d_prime.interval, d_prime)
        counts.holds("Criterion c", found.criterion.interval, criterion)
        counts.holds("AUC", roc(mine).auc.interval, area(d_prime, criterion))


def area(d_prime, criterion):
    """Give the area under the ROC curve of confidence in steps of half a standard deviation."""
    d_prime, criterion = np.asarray(d_prime)[..., None], np.asarray(criterion)[..., None]
    shares = []
    for mean in (d_prime / 2 - criterion, -d_prime / 2 - criterion):
        below = norm.cdf(EDGES - mean)
        ends = np.zeros_like(below[..., :1]), np.ones_like(below[..., :1])
        shares.append(np.diff(np.concatenate([ends[0], below, ends[1]], -1), axis=-1))
    real, synthetic = shares
    lower = np.cumsum(synthetic, axis=-1) - synthetic / 2
    return (real * lower).sum(-1)


@lru_cache
def truths(population: Population) -> dict[str, float]:
    """Give what means over readers estimate."""
    hit, alarm = population.rates()
    d_prime = population.d_prime + population.d_prime_sd * NODES[:, None]
    criterion = population.criterion + population.criterion_sd * NODES[None]
    areas = area(*np.broadcast_arrays(d_prime, criterion))
    accuracy = (hit + 1 - alarm) / 2
    return {
        "accuracy": accuracy,
        "balanced_accuracy": accuracy,
        "fool_rate": alarm,
        "real_recall": hit,
        "auc": float(WEIGHTS @ areas @ WEIGHTS),
    }


NAMES = {
    "accuracy": "Mean accuracy",
    "balanced_accuracy": "Mean balanced accuracy",
    "fool_rate": "Mean fool rate",
    "real_recall": "Mean real recall",
    "auc": "Mean AUC",
}


def agreement(drawn, population: Population) -> tuple[float, float]:
    """Give the expected share of equal answers, and kappa, of these readers on other images."""
    spread = population.image_sd
    same, called = [], []
    for sign in (0.5, -0.5):
        means = sign * drawn.d_prime - drawn.criterion + spread * NODES[:, None]
        yes = norm.cdf(means / np.sqrt(1 - spread**2))
        pairs = [
            yes[:, i] * yes[:, j] + (1 - yes[:, i]) * (1 - yes[:, j])
            for i, j in combinations(range(yes.shape[1]), 2)
        ]
        same.append(float(WEIGHTS @ np.mean(pairs, axis=0)))
        called.append(float(WEIGHTS @ yes.mean(1)))
    share, observed = np.mean(called), float(np.mean(same))
    chance = share**2 + (1 - share) ** 2
    return observed, (observed - chance) / (1 - chance)


def several(drawn, population, rows, panels, counts: Counts, seed: int) -> None:
    """Look at agreement, and at the differences of readers, groups and blocks."""
    found = concordance(rows, "", seed, DRAWS)
    observed, kappa = agreement(drawn, population)
    counts.holds("Same answer", found.observed.interval, observed)
    counts.holds("Fleiss' kappa", found.fleiss.interval, kappa)
    counts.holds("Krippendorff's alpha", found.alpha.interval, kappa)
    accuracy = {
        f"R{i}": (norm.cdf(d / 2 - c) + norm.cdf(d / 2 + c)) / 2
        for i, (d, c) in enumerate(zip(drawn.d_prime, drawn.criterion, strict=True))
    }
    pairs = reader_differences(rows.assign(block=""))
    for pair in pairs:
        truth = accuracy[pair.first] - accuracy[pair.second]
        counts.holds("Two readers, same images", pair.difference.interval, truth)
    groups = group_difference(panels[""], "a", "b", "")
    counts.holds("Two groups, accuracy", groups.accuracy.interval, 0)
    counts.holds("Two groups, balanced accuracy", groups.balanced_accuracy.interval, 0)


def study(population: Population, readers: int, number: int, seed: int, whole: bool) -> Counts:
    """Draw and analyse one study.

    Args:
        population: That it is drawn from.
        readers: How many.
        number: Of the study: even ones have 200 images, odd ones 400.
        seed: Of all studies.
        whole: Whether to look at all intervals, or at headlines alone.
    """
    random = np.random.default_rng((seed, readers, number, crc32(repr(population).encode())))
    drawn = draw_reading(population, readers, IMAGES[number % 2], random)
    rows, counts = table(drawn, random), Counts()
    readings = judged(drawn, rows)
    if whole:
        single_readers(drawn, rows, readings, counts)
    if readers > 1:
        panels = {"": panel(rows, number, "", DRAWS)}
        many = many_readers(rows, panels[""], "", "", number)
        for name, truth in truths(population).items() if whole else ():
            counts.holds(NAMES[name], getattr(many, name).interval, truth)
        if whole:
            several(drawn, population, rows, panels, counts, number)
            blocks(rows, panels, counts, number)
        elif not population.d_prime:  # all have an accuracy of 1/2, whatever their criterion
            pairs = reader_differences(rows.assign(block=""))
            counts.add("two readers differ", any(pair.p_holm < 0.05 for pair in pairs))
        headline = finding_of_many(many, readings, MARGIN)
    else:
        (one,) = readings
        headline = finding_of(one.confusion, one.chance, one.equivalence)
        if whole:
            blocks(rows, {}, counts, number)
    counts.add(f"headline: {headline.kind}", True)
    counts.add("told apart", headline.kind in ("told", "inverted"))
    counts.add("inverted", headline.kind == "inverted")
    counts.add("guessing", headline.kind == "guessing")
    counts.add("alarm of one reader or more", any(each.chance.below_chance for each in readings))
    counts.add("a reader is counted as telling", told_among(readings) > 0)
    return counts


def blocks(rows: pd.DataFrame, panels: dict, counts: Counts, seed: int) -> None:
    """Look at the differences of two blocks, whose images are of one kind."""
    if panels:
        parts = {name: panel(part, seed, name, DRAWS) for name, part in rows.groupby("block")}
    else:
        parts = {}
    differences = block_differences(rows, parts)
    for found in differences:
        name = "Two blocks, one reader" if found.reader else "Two blocks, mean over readers"
        counts.holds(name, found.difference.interval, 0)
    means = [each for each in differences if not each.reader] or differences
    counts.add("two blocks differ", any((each.p_holm or 1) < 0.05 for each in means))


def batches(folder: Path, studies: int, seed: int) -> Iterator[tuple[str, int, Path]]:
    """Name the files of counts, all numbers of readers in turn."""
    for start in range(0, studies, BATCH):
        for scenario in populations():
            if scenario == "alike" and start >= ALIKE:
                continue
            for readers in READERS:
                yield scenario, readers, folder / f"{scenario}-{readers}-{start}-{seed}.json"


def count_all(folder: Path, studies: int, seed: int) -> None:
    """Make all counts that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [each for each in batches(folder, studies, seed) if not each[2].is_file()]
    there = populations()
    for scenario, readers, path in track(wanted, "studies", console=Console(stderr=True)):
        began, sums = time.process_time(), Counts()
        start = int(path.stem.split("-")[-2])
        for number in range(start, min(start + BATCH, studies)):
            found = study(there[scenario], readers, number, seed, scenario in WHOLE)
            for name, (yes, of) in found.counts.items():
                sums.counts[name][0] += yes
                sums.counts[name][1] += of
        seconds = time.process_time() - began
        write_text(path, json.dumps({"counts": sums.counts, "seconds": seconds}))


def gathered(
    folder: Path, studies: int, seed: int
) -> tuple[dict[tuple[str, int], dict[str, list[int]]], float]:
    """Add up what was counted."""
    sums: dict[tuple[str, int], dict[str, list[int]]] = {}
    seconds = 0.0
    for scenario, readers, path in batches(folder, studies, seed):
        kept = json.loads(path.read_text())
        seconds += kept["seconds"]
        into = sums.setdefault((scenario, readers), defaultdict(lambda: [0, 0]))
        for name, (yes, of) in kept["counts"].items():
            into[name][0] += yes
            into[name][1] += of
    return sums, seconds


INTERVALS = (
    "Accuracy, Wilson",
    "Accuracy, exact",
    "Accuracy, undecided as wrong, Wilson",
    "Fool rate, Wilson",
    "Fool rate, exact",
    "Real recall, Wilson",
    "Real recall, exact",
    "Balanced accuracy",
    "d′",
    "Criterion c",
    "AUC",
    "Two blocks, one reader",
    *NAMES.values(),
    "Two blocks, mean over readers",
    "Two groups, accuracy",
    "Two groups, balanced accuracy",
    "Same answer",
    "Fleiss' kappa",
    "Krippendorff's alpha",
    "Two readers, same images",
)
FALSE = (
    ("“told apart” (or inverted), nobody can tell", "null", "told apart"),
    (
        "the count of readers who tell is not 0, nobody can tell",
        "null",
        "a reader is counted as telling",
    ),
    ("“accuracy below chance”, nobody can tell", "null", "alarm of one reader or more"),
    ("“guessing”, all readers at the margin (accuracy 60 %)", "margin", "guessing"),
    ("two readers differ, all have an accuracy of 50 %", "null", "two readers differ"),
    ("two blocks differ, which are alike", "printed", "two blocks differ"),
)
MISSED = (
    ("not “told apart”, readers as printed", "printed", "told apart"),
    ("not “told apart”, readers more alike", "alike", "told apart"),
    ("not “guessing”, nobody can tell", "null", "guessing"),
)
HEAD = (
    "# How often the score page is right",
    "",
    "Made by `python benchmarks/coverage.py RESULTS --studies {studies} --seed {seed}`, in "
    "{hours:.1f} hours of one core's time.",
    "Studies of 200 and of 400 images in turn are simulated for each number of readers: "
    "{printed:,} with readers as printed,",
    "{alike:,} with readers who differ a third as much, {null:,} whose readers tell nothing apart "
    "and {margin:,} whose readers are all right in",
    "60 % of cases. Readers as printed have d′ {p.d_prime:.2f} ± {p.d_prime_sd:.2f} and a "
    "criterion of {p.criterion:.2f} ± {p.criterion_sd:.2f} (mean and SD over the",
    "readers of Kazuhiro et al. 2018 and Han et al. 2018; their expected accuracy is "
    "{accuracy:.0%}). How real an image looks to everybody",
    "has an SD of {p.image_sd:.2f} of an impression's. 3 % of answers are “unknown”. Bootstraps "
    "and permutations have {draws} draws here, and 2,000 on",
    "the page, so that intervals of agreement are a little narrower here.",
    "",
)


def share(counts: dict[str, list[int]], name: str, *, missed: bool = False) -> str:
    """Write a share in percent; a dash where there is none."""
    yes, of = counts.get(name, (0, 0))
    if not of:
        return "–"
    value = 100 * (1 - yes / of if missed else yes / of)
    return f"{value:.1f}"


def document(folder: Path, studies: int, seed: int) -> str:
    """Write the tables."""
    sums, seconds = gathered(folder, studies, seed)
    printed = populations()["printed"]
    least = {
        name: min(sums[name, n]["told apart"][1] for n in READERS)
        for name in ("printed", "alike", "null", "margin")
    }
    values = {"p": printed, "accuracy": printed.balanced_accuracy, "draws": DRAWS}
    values |= {"studies": studies, "seed": seed, "hours": seconds / 3600}
    lines = [line.format(**values, **least) for line in HEAD]
    head = "| | " + " | ".join(f"{n} reader{'s' * (n > 1)}" for n in READERS) + " |"
    rule = "|---" * (len(READERS) + 1) + "|"
    for scenario, title in (
        ("printed", "readers as printed"),
        ("alike", "readers who differ a third as much"),
    ):
        error = 100 * (0.95 * 0.05 / least[scenario]) ** 0.5
        lines += [f"## Intervals of 95 % that hold the truth, in percent: {title}", ""]
        lines += [
            f"Chance moves an entry of one interval a study by {error:.1f} (SD).",
            "",
            head,
            rule,
        ]
        for name in INTERVALS:
            cells = [share(sums[scenario, n], name) for n in READERS]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        lines.append("")
    for title, table, missed in (
        ("False headlines, in percent of studies", FALSE, False),
        ("Missed headlines, in percent of studies", MISSED, True),
    ):
        lines += [f"## {title}", "", head, rule]
        for text, scenario, name in table:
            cells = [share(sums[scenario, n], name, missed=missed) for n in READERS]
            lines.append(f"| {text} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    count_all(given.results, given.studies, given.seed)
    print(document(given.results, given.studies, given.seed))
