"""What a reader study's page says of its methods: sentences for authors, and flow numbers."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from mrgantry.pages.study.words import counted, listed, percent, points
from mrgantry.study.cases.cues import CueAudit
from mrgantry.study.protocol import SIDES, TRUTHS
from mrgantry.study.statistics.results import Analysis
from mrgantry.study.study import BlockSource, Reader, StudyFacts


def sentences(about: StudyFacts, analysis: Analysis) -> dict[str, str]:
    """Say in sentences how a study was made, for its methods and for checklists."""
    return {
        "design": design(about),
        "readers": readers(about.readers),
        "images": " ".join(images(about)),
        "draw": how_drawn(about),
        "reading": reading(about),
        "blinding": BLINDING,
        "statistics": " ".join(statistics(analysis)),
        "software": software(about),
    }


BLINDING = (
    "Readers were blinded: images bore random names, all files had one format without metadata and "
    "without compression, nobody was told the truth or a score during the study, and the program "
    "that showed them never opened the key to which image is real."
)


def design(about: StudyFacts) -> str:
    """Say what kind of study it was."""
    protocol = about.protocol
    asked = "real or " + protocol.synthetic_word
    also = ", and whether it shows a tumour" if "tumour" in protocol.questions else ""
    if protocol.pairs:
        asked = f"of a real and a {protocol.synthetic_word} image side by side which one is real"
    heads = (
        " Each image was a whole head: axial, coronal and sagittal slices, through which readers "
        "scrolled."
        if protocol.volumes
        else ""
    )
    changes = f" with changes ({', '.join(protocol.changes)})" if protocol.changes else ""
    kind = "two-alternative forced choice" if protocol.pairs else "visual Turing test"
    said = asked if protocol.pairs else f"of each image whether it is {asked}{also}"
    return (
        f"In a blinded reader study ({kind}, protocol {protocol.name}{changes}), readers said "
        f"{said}.{heads}"
    )


def readers(people: Sequence[Reader]) -> str:
    """Say who read."""
    if len(people) == 1:
        return f"One reader took part{_experience(people)}."
    groups = Counter(person.group for person in people)
    if set(groups) == {""}:
        return f"{len(people)} readers took part{_experience(people)}."
    parts = [
        f"{count} {group or 'without a group'}"
        f"{_experience([person for person in people if person.group == group])}"
        for group, count in groups.items()
    ]
    return f"{len(people)} readers took part: {listed(parts)}."


def _experience(people: Sequence[Reader]) -> str:
    years = [person.years for person in people if person.years is not None]
    if not years:
        return ""
    ends = f"{min(years):g}" if min(years) == max(years) else f"{min(years):g} to {max(years):g}"
    of_known = f", of {len(years)} known" if len(years) < len(people) else ""
    return f" ({ends} years of experience{of_known})"


def images(about: StudyFacts) -> Iterator[str]:
    """Say where images are from."""
    kind = "Simulated" if about.simulated else "Real"
    for block in about.blocks:
        where = f"In block {block.name}, {kind.lower()}" if len(about.blocks) > 1 else kind
        split = f"the {block.split} split" if block.split != "all" else "all splits"
        yield (
            f"{where} images were drawn from {counted(block.real.images, 'slice')} of "
            f"{counted(block.real.subjects, 'subject')} ({split} of the set {block.real.name}), "
            f"synthetic ones from {listed([_synthetic(source) for source in block.synthetic])}."
        )


def _synthetic(source: BlockSource) -> str:
    by = f" by {source.made_by}" if source.made_by else ""
    rule = (
        f", kept out of {source.generated:,} by the rule {source.filter}"
        if source.filter
        else ", none recorded as discarded"
    )
    return f"{counted(source.images, 'image')}{by} (set {source.name}{rule})"


def how_drawn(about: StudyFacts) -> str:
    """Say how images were drawn and ordered."""
    protocol = about.protocol
    least, most = protocol.share
    share = (
        f"of which {percent(least)} were synthetic"
        if least == most
        else f"of which a share drawn evenly from {100 * least:g} to {percent(most)} was synthetic"
    )
    block = "a block" if len(about.blocks) > 1 else "in all"
    same = (
        "All readers saw the same images, each in a random order of their own."
        if protocol.same_cases
        else "Each reader had a random sample and order of their own."
    )
    if len(about.readers) == 1:
        same = "Their order was random."
    if protocol.pairs:
        return (
            f"There were {protocol.cases} pairs {block} for each reader, each of a real and a "
            "synthetic image of the same kind, the real one on the left in half of them by a draw "
            f"that nobody knows. Images were drawn without replacement (seed {about.seed}) and "
            f"from as many subjects as possible. {same}"
        )
    return (
        f"There were {protocol.cases} images {block} for each reader, {share}. They were drawn "
        f"without replacement (seed {about.seed}), in equal numbers of each "
        f"{listed(list(protocol.balance)) or 'kind'} where there are several, and from as many "
        f"subjects as possible. {same}"
    )


def reading(about: StudyFacts) -> str:
    """Say how images were read."""
    protocol = about.protocol
    said = []
    if protocol.practice:
        practice = counted(protocol.practice, "practice image")
        said.append(f"{practice} came first and were not scored.")
    if protocol.shown_again:
        said.append(
            f"{counted(protocol.shown_again, 'image')} of each block came again later in it; the "
            "first answer counts."
        )
    if protocol.attention_checks:
        said.append(
            f"Each block held {counted(protocol.attention_checks, 'attention check')}: a real "
            "image whose pieces were shuffled. They count in no rate."
        )
    if protocol.seconds is None:
        said.append("Reading time was not limited.")
    else:
        late = "counted as no answer" if protocol.late == "no answer" else "were kept and marked"
        said.append(f"Each image was shown for {protocol.seconds:g} s; answers after that {late}.")
    if protocol.unknown:
        said.append("“Unknown” could be answered.")
    if protocol.confidence:
        said.append("Readers gave their confidence from 1 to 5.")
    if protocol.reason:
        said.append("They could write a reason.")
    tools = [word for word, on in (("contrast", protocol.window), ("zoom", protocol.zoom)) if on]
    said.append(f"They could change {listed(tools)}." if tools else "")
    said.append("Answers could not be changed once given.")
    return " ".join(filter(None, said))


def statistics(analysis: Analysis) -> Iterator[str]:
    """Name the statistics that were used."""
    if analysis.forced_choices:
        yield (
            "Shares of pairs whose real image was found are given with 95 % intervals by Wilson, "
            "and as sensitivity d′ = √2 z(share). Answers were tested against guessing by an exact "
            "binomial test and by Fisher's exact test of answer against side, and equivalence to "
            "guessing by two one-sided exact binomial tests with a margin of "
            f"{points(analysis.margin)} of accuracy. A leaning to one side was tested by Fisher's "
            "exact test."
        )
    else:
        yield from _of_single_images(analysis)
    if len(analysis.readers) > 1:
        yield (
            "Whether readers taken together tell images apart was tested by a permutation of the "
            f"truth over the images of each block ({analysis.draws:,} times). Means over readers, "
            "each weighted by the number of answers, have 95 % intervals for other readers and "
            "images by the method of Obuchowski and Rockette with Hillis' degrees of freedom, with "
            f"covariances from a bootstrap over images ({analysis.draws:,} samples, seed "
            f"{analysis.seed})."
        )
    yield from _comparisons(analysis)


def _of_single_images(analysis: Analysis) -> Iterator[str]:
    """Name the statistics of studies that show one image at a time."""
    yield (
        "Shares are given with 95 % intervals by Wilson and by Clopper and Pearson. Sensitivity d′ "
        "and criterion c (signal: real; c above 0 leans to synthetic) have the log-linear "
        "correction. Answers were tested against guessing by an exact binomial test and by "
        "Fisher's exact test of answer against truth, and equivalence to guessing by two one-sided "
        f"exact binomial tests with a margin of {points(analysis.margin)} of accuracy."
    )
    if any(reading.roc for reading in analysis.readings):
        yield "Areas under the ROC curve are of signed confidence."


def _comparisons(analysis: Analysis) -> Iterator[str]:
    """Name the statistics of agreement and differences."""
    if analysis.concordances:
        yield "Agreement is given as Fleiss' kappa and Krippendorff's alpha (nominal)."
    if analysis.block_differences:
        yield (
            "Blocks were compared by Fisher's exact test for each reader"
            + (
                " and, over readers, by the mean of their differences (Obuchowski and Rockette)"
                if len(analysis.readers) > 1
                else ""
            )
            + ", with Holm's correction."
        )
    if analysis.reader_differences:
        yield (
            "Readers of the same images were compared by McNemar's exact test (Holm's correction)."
        )
    if analysis.group_differences:
        yield "Groups of readers were compared by their mean accuracies, by the same method."
    if any(reading.confusion.undecided for reading in analysis.readings):
        yield (
            "“Unknown” and missing answers were left out of all shares; the accuracy that counts "
            "them as wrong is given besides."
        )


def software(about: StudyFacts) -> str:
    """Name the software."""
    return f"The study was made and scored with mrgantry {about.versions.get('mrgantry', '')}."


# --- flow -----------------------------------------------------------------------------


def flow(about: StudyFacts, answers: pd.DataFrame) -> list[dict[str, Any]]:
    """Count what went through each block, from generator to answer."""
    return [
        {
            "block": block.name,
            "split": block.split,
            "real": block.real,
            "synthetic": block.synthetic,
            **_answered(answers[answers["block"] == block.name]),
            "expected": about.protocol.cases * len(about.readers),
        }
        for block in about.blocks
    ]


def _answered(rows: pd.DataFrame) -> dict[str, Any]:
    shown = rows.drop_duplicates("case")
    real, synthetic = (shown[shown["truth"] == truth] for truth in TRUTHS)
    if shown["truth"].isin(SIDES).any():  # each pair shows one of either
        real = synthetic = shown
    return {
        "shown_real": len(real),
        "shown_synthetic": len(synthetic),
        "shown_subjects": int(real["subject"].replace("", pd.NA).nunique()),
        "answers": len(rows),
        "unknown": int((rows["answer"] == "unknown").sum()),
        "none": int((rows["answer"] == "none").sum()),
        "late": int(rows["late"].sum()),
        "again": int((rows["sent"] > 1).sum()),
    }


def unfinished(about: StudyFacts, answers: pd.DataFrame) -> list[str]:
    """Name the readers who have not answered all images."""
    wanted = about.protocol.images_shown * len(about.blocks)
    given = answers["reader"].value_counts()
    return [
        f"{reader.name} ({int(given.get(reader.name, 0))} of {wanted})"
        for reader in about.readers
        if given.get(reader.name, 0) < wanted
    ]


def audits(cues: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Write the audits of trivial cues."""
    audits = {name: CueAudit.of(values, f"the cues of {name}") for name, values in cues.items()}
    return [
        {
            "block": name,
            "beats_chance": audit.beats_chance,
            "sentences": audit.sentences(),
            "method": audit.method,
            "groups": [
                {
                    "name": group.name,
                    "accuracy": percent(group.accuracy),
                    "interval": f"{100 * group.low:.0f} to {100 * group.high:.0f} %",
                    "tells": group.beats_chance,
                    "cue": group.cue.sentence() if group.cue else "",
                }
                for group in audit.groups
            ],
        }
        for name, audit in audits.items()
    ]
