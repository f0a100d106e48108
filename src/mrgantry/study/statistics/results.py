"""All that the statistics of a reader study give, as the page of a study shows it.

None stands for what is undefined; nothing is NaN or infinite, so that
`Analysis.model_validate_json(found.model_dump_json()) == found`. Where a block, a reader or
a group is named "", the value is over all of them.
"""

from typing import Literal

from mrgantry.common.frozen import Frozen
from mrgantry.study.statistics.measured import (
    Answer,
    ChanceTest,
    Confusion,
    Equivalence,
    Estimate,
    ForcedChoice,
    Interval,
    Proportion,
    Roc,
    RocPoint,
    SignalDetection,
    Times,
    TogetherTest,
    Truth,
    TumourTable,
    Verdict,
)

__all__ = [
    "ALL",
    "Analysis",
    "Answer",
    "BlockDifference",
    "ChanceTest",
    "Concordance",
    "Conduct",
    "Confusion",
    "Design",
    "Equivalence",
    "Estimate",
    "ForcedChoice",
    "GroupDifference",
    "Interval",
    "ManyReaders",
    "Proportion",
    "ReaderDifference",
    "Reading",
    "Roc",
    "RocPoint",
    "SelfAgreement",
    "SignalDetection",
    "Times",
    "TogetherTest",
    "Truth",
    "TumourTable",
    "Verdict",
]

ALL = ""  # the name that stands for all blocks, all readers or all groups
Design = Literal["one reader", "same cases", "own cases"]


class Reading(Frozen):
    """One reader's answers in one block, or in all blocks.

    Attributes:
        reader: Name.
        group: Of readers.
        years: Of experience.
        block: Name; "" for all blocks together.
        confusion: The counts.
        accuracy: Of the answers "real" and "synthetic".
        accuracy_all: The same, with "unknown" and no answer counted as wrong.
        balanced_accuracy: Mean of real recall and the share of synthetic images called so.
        fool_rate: Share of synthetic images called real.
        real_recall: Share of real images called real.
        chance: Tests against guessing, and the alarm.
        detection: Sensitivity and bias.
        equivalence: To guessing.
        roc: None if no confidence was asked, or one class has none.
        tumour: Tables of all, real and synthetic images; empty if it was not asked.
        times: By truth and answer, where there are any.
        late: Share of trials answered after the time allowed.
    """

    reader: str
    group: str
    years: float | None
    block: str
    confusion: Confusion
    accuracy: Proportion
    accuracy_all: Proportion
    balanced_accuracy: Estimate
    fool_rate: Proportion
    real_recall: Proportion
    chance: ChanceTest
    detection: SignalDetection
    equivalence: Equivalence
    roc: Roc | None
    tumour: tuple[TumourTable, ...]
    times: tuple[Times, ...]
    late: Proportion


class ManyReaders(Frozen):
    """Several readers' means in one block, or in all blocks.

    Each reader counts for what was answered. The intervals speak of other readers like these and
    other images like these, unless there is one reader only.

    Attributes:
        group: Of readers; "" for all.
        block: Name; "" for all blocks together.
        readers: Their names.
        design: Whether readers saw the same images; "same cases" if any two share one.
        confusion: Sum over the readers.
        accuracy: Mean over the readers.
        balanced_accuracy: Mean over the readers.
        fool_rate: Mean over the readers.
        real_recall: Mean over the readers.
        auc: Mean over the readers; None if no confidence was asked.
        together: Test that none of these readers tells real from synthetic images; None in
            analyses that were written before there was one.
        notes: Sentences on what the numbers cannot say.
    """

    group: str
    block: str
    readers: tuple[str, ...]
    design: Design
    confusion: Confusion
    accuracy: Estimate
    balanced_accuracy: Estimate
    fool_rate: Estimate
    real_recall: Estimate
    auc: Estimate | None
    together: TogetherTest | None = None
    notes: tuple[str, ...] = ()


class BlockDifference(Frozen):
    """Two blocks' accuracies, read by one reader or by several.

    Attributes:
        reader: Name; "" for the mean over the readers who read both.
        first: Block.
        second: Block.
        first_k: Right answers in the first.
        first_n: Answers in the first.
        second_k: Right answers in the second.
        second_n: Answers in the second.
        difference: Accuracy of the first minus that of the second.
        p: Two-sided; of one reader by Fisher's exact test, of the mean over readers by the t test
            that goes with its interval.
        p_holm: The same after Holm's correction.
        family: Tests that were corrected for: all pairs of blocks of this reader.
        note: Why there is no interval; empty where there is one.
    """

    reader: str
    first: str
    second: str
    first_k: int
    first_n: int
    second_k: int
    second_n: int
    difference: Estimate
    p: float | None
    p_holm: float | None
    family: int
    note: str = ""


class ReaderDifference(Frozen):
    """Two readers' accuracies on the images that both answered.

    Attributes:
        block: Name.
        first: Reader.
        second: Reader.
        both: Images that both got right.
        first_only: Images that only the first got right.
        second_only: Images that only the second got right.
        neither: Images that both got wrong.
        difference: Accuracy of the first minus that of the second.
        p: McNemar's exact test.
        p_holm: The same after Holm's correction.
        family: Tests that were corrected for: all pairs of readers in this block.
    """

    block: str
    first: str
    second: str
    both: int
    first_only: int
    second_only: int
    neither: int
    difference: Estimate
    p: float | None
    p_holm: float | None
    family: int


class Concordance(Frozen):
    """How far readers agree on the same images.

    Attributes:
        block: Name; "" for all blocks together.
        readers: Their names.
        images: That two readers or more called real or synthetic.
        complete: Of these, images that all readers called real or synthetic.
        observed: Share of pairs of answers to an image that are the same.
        fleiss: Fleiss' kappa of the complete images.
        alpha: Krippendorff's alpha of all these images.
        missing: Answers that "unknown", lateness or other images leave out, of readers x images.
        note: How these are handled.
    """

    block: str
    readers: tuple[str, ...]
    images: int
    complete: int
    observed: Estimate
    fleiss: Estimate
    alpha: Estimate
    missing: int
    note: str


class GroupDifference(Frozen):
    """Two groups of readers: the difference of their mean accuracies.

    Attributes:
        block: Name; "" for all blocks together.
        first: Group.
        second: Group.
        first_readers: How many.
        second_readers: How many.
        accuracy: Mean of the first minus that of the second.
        balanced_accuracy: The same of balanced accuracies.
        notes: Sentences on what the numbers cannot say.
    """

    block: str
    first: str
    second: str
    first_readers: int
    second_readers: int
    accuracy: Estimate
    balanced_accuracy: Estimate
    notes: tuple[str, ...] = ()


class SelfAgreement(Frozen):
    """How far a reader agrees with oneself on images that were shown twice.

    Attributes:
        images: That were answered twice.
        same: Of those called real or synthetic both times, the share with the same answer.
        kappa: Cohen's; None if one answer alone was given, since chance then agrees completely.
    """

    images: int
    same: Proportion
    kappa: float | None


class Conduct(Frozen):
    """How a reader answered, apart from what is right.

    Attributes:
        reader: Name.
        most_given: The answer given most often; empty without any.
        most: Its share of the answers "real" and "synthetic".
        longest_run: Longest row of equal answers, in the order of reading.
        fast: Share of answers that came faster than anybody can look.
        checks: Share of attention checks that were answered rightly; of 0 if there are none.
        with_oneself: Agreement with oneself; None if no image was shown twice.
        remarks: What makes one doubt that images were looked at; nothing was left out for it.
    """

    reader: str
    most_given: str
    most: Proportion
    longest_run: int
    fast: Proportion
    checks: Proportion
    with_oneself: SelfAgreement | None
    remarks: tuple[str, ...] = ()


class Analysis(Frozen):
    """All statistics of one reader study.

    Attributes:
        trials: Rows that were given.
        readers: Names.
        blocks: Names.
        groups: Of readers.
        margin: Of equivalence.
        seed: Of the bootstraps.
        draws: Bootstrap samples.
        readings: One a reader and block, and one a reader over all of several blocks.
        means: One a block for all readers and for each of several groups, and over all of
            several blocks.
        block_differences: All pairs of blocks, of each reader and of the mean over readers.
        reader_differences: All pairs of readers who saw the same images, in each block.
        concordances: One a block in which readers saw the same images, and over all of several.
        group_differences: All pairs of groups, as the means.
        notes: Sentences on the study as a whole.
        conducts: One a reader; none in analyses that were written before there were any.
        alternatives: The two answers that are right or wrong. Of pairs they are the sides of the
            real image, and what is called real or synthetic here is left or right there.
        forced_choices: Of pairs, one a reader and block, and one a reader over all of several.
    """

    trials: int
    readers: tuple[str, ...]
    blocks: tuple[str, ...]
    groups: tuple[str, ...]
    margin: float
    seed: int
    draws: int
    readings: tuple[Reading, ...]
    means: tuple[ManyReaders, ...]
    block_differences: tuple[BlockDifference, ...]
    reader_differences: tuple[ReaderDifference, ...]
    concordances: tuple[Concordance, ...]
    group_differences: tuple[GroupDifference, ...]
    notes: tuple[str, ...] = ()
    conducts: tuple[Conduct, ...] = ()
    alternatives: tuple[str, str] = ("real", "synthetic")
    forced_choices: tuple[ForcedChoice, ...] = ()
