"""Reporting checklists, filled as far as a reader study's own data go.

Titles are ours, short; the checklists themselves are to be taken from their papers.

Source: CLAIM 2024, Tejani et al., Radiology: Artificial Intelligence 6(4):e240300, 44 items;
GRRAS, Kottner et al. 2011, Journal of Clinical Epidemiology 64:96, 15 items.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pandas as pd

from mrgantry.pages.study.methods import audits
from mrgantry.pages.study.words import block_name, percent, points
from mrgantry.study.statistics.results import Analysis
from mrgantry.study.study import StudyFacts

CLAIM = (
    ("Title and abstract", (
        "Study of AI, kind of technology named", "Structured abstract")),
    ("Introduction", (
        "Background, intended use and role", "Aims and hypotheses")),
    ("Methods: design", (
        "Prospective or retrospective", "Goal of the study")),
    ("Methods: data", (
        "Data sources", "Inclusion and exclusion", "Pre-processing", "Selection of subsets",
        "De-identification", "Missing data", "Image acquisition")),
    ("Methods: reference standard", (
        "How it was obtained", "Why it was chosen", "Source of annotations",
        "Annotation of the test set", "Variability within and between raters")),
    ("Methods: partitions and sample size", (
        "How data were assigned to partitions", "Level at which partitions are disjoint",
        "Intended sample size")),
    ("Methods: model and training", (
        "Description of the model", "Software and versions", "Initialisation", "Training",
        "Choice of the final model", "Ensembles")),
    ("Methods: evaluation", (
        "Measures of performance", "Significance and uncertainty", "Robustness or sensitivity",
        "Explainability", "Internal testing", "External testing", "Trial registration")),
    ("Results", (
        "Numbers included and excluded", "Characteristics of cases in each partition",
        "Performance with uncertainty", "Diagnostic performance with precision",
        "Failure analysis")),
    ("Discussion", ("Limitations", "Implications for practice")),
    ("Other", ("Full protocol", "Availability of software, model and data", "Funding")),
)  # fmt: skip

GRRAS = (
    ("Title and abstract", ("Agreement or reliability named in title or abstract",)),
    ("Introduction", (
        "Measurement device", "Population of subjects", "Population of raters",
        "What is known, and why this study")),
    ("Methods", (
        "Sample size: raters, subjects, replicates", "Sampling", "Process of rating",
        "Independence of ratings", "Statistical analysis")),
    ("Results", (
        "Actual numbers of raters, subjects and replicates",
        "Characteristics of raters and subjects", "Estimates with uncertainty")),
    ("Discussion", ("Practical relevance",)),
    ("Other", ("Detailed results",)),
)  # fmt: skip


class ChecklistItem(NamedTuple):
    """A line of a checklist.

    Attributes:
        section: Of the paper.
        number: In the checklist.
        title: In short.
        text: What this study says to it; empty if that is the author's to say.
    """

    section: str
    number: int
    title: str
    text: str


def checklist(
    titles: tuple[tuple[str, tuple[str, ...]], ...], texts: Mapping[int, str]
) -> list[ChecklistItem]:
    """Fill a checklist in."""
    lines = [(section, title) for section, section_titles in titles for title in section_titles]
    return [
        ChecklistItem(section, number, title, texts.get(number, ""))
        for number, (section, title) in enumerate(lines, 1)
    ]


def claim(
    about: StudyFacts, analysis: Analysis, answers: pd.DataFrame, said: Mapping[str, str],
    cues: Mapping[str, dict[str, object]],
) -> list[ChecklistItem]:  # fmt: skip
    """Fill CLAIM 2024 in.

    Args:
        about: The study.
        analysis: Its statistics.
        answers: All that were given.
        said: The sentences of its methods.
        cues: Its audits of trivial cues.
    """
    return checklist(
        CLAIM,
        _claim_data(about, analysis, answers, said) | _claim_results(about, analysis, said, cues),
    )


def _claim_data(
    about: StudyFacts, analysis: Analysis, answers: pd.DataFrame, said: Mapping[str, str]
) -> dict[int, str]:
    tumour = "tumour" in about.protocol.questions
    return {
        5: "The reading is prospective: images, order and questions were fixed on "
        f"{about.created}, before the first answer. Whether scans were collected for "
        "it is to be filled by you.",
        6: said["design"],
        7: said["images"],
        9: "All images became 8-bit grey values by one rule; intensities at or below "
        f"{about.protocol.floor:g} (of −1 to 1) were shown black. Steps before that stand in the "
        "about.json of the sets.",
        10: said["draw"],
        12: _missing(answers),
        14: "An image is real if it was drawn from the set of scans, and synthetic if a generator "
        "made it." + (" Tumour: as labelled in the sets." if tumour else ""),
        15: "The origin of an image is known and needs no rating.",
        16: "" if tumour else "None: the origin needs no annotation.",
        18: _agreement(analysis),
        19: f"Real images are from these splits: {', '.join(_splits(about))}.",
        20: _disjoint(about),
        21: _power(analysis),
        23: ", ".join(f"{name} {version}" for name, version in about.versions.items()) + ".",
    }


def _claim_results(
    about: StudyFacts,
    analysis: Analysis,
    said: Mapping[str, str],
    cues: Mapping[str, dict[str, object]],
) -> dict[int, str]:
    tumour = any(reading.tumour for reading in analysis.readings)
    scored = any(reading.roc for reading in analysis.readings)
    area = ", area under the ROC curve" if scored else ""
    return {
        28: (
            "Share of pairs whose real image was found, d′, leaning to a side. "
            if about.protocol.pairs
            else f"Fool rate, real recall, accuracy, balanced accuracy, d′, criterion c{area}. "
        )
        + "Training and choice of models are not part of this page.",
        29: said["statistics"],
        30: _robustness(cues),
        31: "Readers' reasons, in their own words." if about.protocol.reason else "",
        32: f"Real images are from these splits: {', '.join(_splits(about))}.",
        35: "Section “From generator to answer” of this page.",
        37: _result(analysis),
        38: "Sensitivity and specificity to tumours: section “Counts” of this page."
        if tumour
        else "Not asked: readers judged the origin of images, not a diagnosis.",
        39: "Section “Images most often mistaken” of this page.",
        42: f"study.json of the study {about.id}; made by: {about.command}",
    }


def grras(about: StudyFacts, analysis: Analysis, said: Mapping[str, str]) -> list[ChecklistItem]:
    """Fill GRRAS in.

    Args:
        about: The study.
        analysis: Its statistics.
        said: The sentences of its methods.
    """
    seen = (
        "The same images were read by all."
        if about.protocol.same_cases
        else "Each reader had images of their own, so agreement on images cannot be measured."
    )
    several = len(analysis.readers) > 1
    return checklist(
        GRRAS,
        {
            2: said["design"],
            3: said["images"],
            4: said["readers"],
            6: f"{said['draw']} {_again(about)} {_power(analysis)}",
            7: said["draw"],
            8: f"{said['reading']} {said['blinding']}",
            9: "Each reader answered alone, through a personal link, and saw no others' answers. "
            "Whether they talked is to be filled by you.",
            10: said["statistics"],
            11: f"{len(analysis.readers)} readers of {len(about.readers)}, "
            f"{analysis.trials:,} answers. "
            + (seen if several else "One reader: there is no agreement to measure."),
            12: f"{said['readers']} {said['images']}",
            13: _agreement(analysis),
            15: "readings.csv beside this page; the answers themselves can be exported.",
        },
    )


def _again(about: StudyFacts) -> str:
    """Say how often a reader had an image."""
    if not about.protocol.shown_again:
        return "Within a block, no reader had an image twice."
    return f"In each block {about.protocol.shown_again} images came twice to each reader."


def _splits(about: StudyFacts) -> list[str]:
    return list(dict.fromkeys(f"{block.split} of {block.real.name}" for block in about.blocks))


def _disjoint(about: StudyFacts) -> str:
    trained = {source.training_subjects for block in about.blocks for source in block.synthetic}
    named = "Subjects, as they are named, never cross a split."
    if 0 in trained:
        return f"{named} Whom a generator has seen is unknown in part."
    seen = " or ".join(f"{count:,}" for count in sorted(trained))
    return f"{named} Generators have seen {seen} subjects."


def _missing(answers: pd.DataFrame) -> str:
    undecided = int(answers["answer"].isin(("unknown", "none")).sum())
    return (
        f"{undecided} of {len(answers):,} answers were “unknown” or not given in time. They are "
        "left out of all shares; the accuracy that counts them as wrong is given besides."
    )


def _agreement(analysis: Analysis) -> str:
    parts = [
        f"{block_name(concordance.block)}: kappa {concordance.fleiss.value:.2f}, "
        f"alpha {concordance.alpha.value:.2f} ({concordance.images} images)"
        for concordance in analysis.concordances
        if concordance.fleiss.value is not None and concordance.alpha.value is not None
    ]
    if not parts:
        return "Not measured: no image was read by two readers."
    return "; ".join(parts) + ". Intervals in section “Agreement”. " + _oneself(analysis)


def _oneself(analysis: Analysis) -> str:
    """Say how far readers agree with themselves."""
    parts = [
        f"{conduct.reader} {conduct.with_oneself.same.k} of {conduct.with_oneself.same.n}"
        for conduct in analysis.conducts
        if conduct.with_oneself
    ]
    if not parts:
        return "Replicates by one reader: none."
    return f"Same answer to an image shown again: {', '.join(parts)}."


def _power(analysis: Analysis) -> str:
    equivalence = analysis.readings[0].equivalence
    return (
        f"With {equivalence.n} answers, a reader who guesses is shown to guess to within "
        f"{points(equivalence.margin)} with a chance of {percent(equivalence.power)}; from "
        f"{equivalence.needed} on it stays above 80 %. "
        "How the number was chosen is to be filled by you."
    )


def _robustness(cues: Mapping[str, dict[str, object]]) -> str:
    blocks = [str(audit["block"]) for audit in audits(cues) if audit["beats_chance"]]
    if not cues:
        return ""
    if blocks:
        return f"A classifier told images by trivial cues alone, in: {', '.join(blocks)}."
    return "A classifier did not tell images by trivial cues alone better than chance."


def _result(analysis: Analysis) -> str:
    return "; ".join(_means(analysis)) + ". All numbers with intervals: section “Readers”."


def _means(analysis: Analysis) -> Iterator[str]:
    for mean in analysis.means:
        if mean.group:
            continue
        if analysis.forced_choices:
            yield f"{block_name(mean.block)}: real image found in {percent(mean.accuracy.value)}"
        else:
            yield (
                f"{block_name(mean.block)}: fool rate {percent(mean.fool_rate.value)}, real recall "
                f"{percent(mean.real_recall.value)}, accuracy {percent(mean.accuracy.value)}"
            )
