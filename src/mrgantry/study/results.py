"""What the statistics of a reader study give: values with n, interval and method.

None stands for what is undefined, such as an accuracy of no answers; nothing is NaN or
infinite, so that `Analysis.model_validate_json(found.model_dump_json()) == found`.

One convention holds throughout: the signal is real, a hit is a real image called real, and
rates of two classes come in the order of the papers (rr, rs, sr, ss: truth first). Where a
block or a reader is named "", the value is over all of them.
"""

from typing import Literal

from mrgantry.common.frozen import Frozen

ALL = ""  # the name that stands for all blocks, all readers or all groups
Truth = Literal["real", "synthetic"]
Answer = Literal["real", "synthetic", "unknown", "none"]
Verdict = Literal["pass", "fail", "inconclusive"]
Design = Literal["one reader", "same cases", "own cases"]


class Interval(Frozen):
    """A 95 % confidence interval.

    Attributes:
        low: Lower end; None if undefined.
        high: Upper end.
        n: Answers that it rests on.
        method: Its name.
    """

    low: float | None
    high: float | None
    n: int
    method: str


class Estimate(Frozen):
    """A value with its interval.

    Attributes:
        value: None if undefined.
        interval: Of 95 %.
        note: What to know of it, in a sentence; often empty.
    """

    value: float | None
    interval: Interval
    note: str = ""


class Proportion(Frozen):
    """A share of answers with two intervals.

    Attributes:
        k: Answers that count.
        n: Answers.
        value: k / n.
        wilson: Wilson's interval, on average nearest to its nominal rate.
        exact: Clopper and Pearson's, never below its nominal rate.
    """

    k: int
    n: int
    value: float | None
    wilson: Interval
    exact: Interval


class Confusion(Frozen):
    """Answers by truth, in the papers' layout.

    Attributes:
        rr: Real images called real.
        rs: Real images called synthetic.
        sr: Synthetic images called real.
        ss: Synthetic images called synthetic.
        unknown_real: Real images answered "unknown".
        unknown_synthetic: Synthetic images answered "unknown".
        none_real: Real images not answered in time.
        none_synthetic: Synthetic images not answered in time.
    """

    rr: int
    rs: int
    sr: int
    ss: int
    unknown_real: int = 0
    unknown_synthetic: int = 0
    none_real: int = 0
    none_synthetic: int = 0

    @property
    def real(self) -> int:
        """Count the real images called real or synthetic."""
        return self.rr + self.rs

    @property
    def synthetic(self) -> int:
        """Count the synthetic images called real or synthetic."""
        return self.sr + self.ss

    @property
    def n(self) -> int:
        """Count the images called real or synthetic."""
        return self.real + self.synthetic

    @property
    def right(self) -> int:
        """Count the right answers."""
        return self.rr + self.ss

    @property
    def undecided(self) -> int:
        """Count the images answered "unknown" or not in time."""
        return self.unknown_real + self.unknown_synthetic + self.none_real + self.none_synthetic


class TumourTable(Frozen):
    """Answers to "tumour or not" by truth.

    Attributes:
        images: Which images: all, the real or the synthetic ones.
        tt: Tumour images called tumour.
        tn: Tumour images called non-tumour.
        nt: Non-tumour images called tumour.
        nn: Non-tumour images called non-tumour.
        undecided_tumour: Tumour images answered "unknown" or not in time.
        undecided_non: Non-tumour images answered "unknown" or not in time.
        accuracy: Share of right answers.
        sensitivity: Share of tumour images called tumour.
        specificity: Share of non-tumour images called non-tumour.
    """

    images: Literal["all", "real", "synthetic"]
    tt: int
    tn: int
    nt: int
    nn: int
    undecided_tumour: int
    undecided_non: int
    accuracy: Proportion
    sensitivity: Proportion
    specificity: Proportion


class ChanceTest(Frozen):
    """Whether a reader tells real from synthetic images.

    Attributes:
        k: Right answers.
        n: Answers.
        p: Exact binomial test of the accuracy against 1/2, two-sided.
        p_below: The same, one-sided: the accuracy is below 1/2.
        p_independent: Fisher's exact test that answers do not depend on truth; it holds for
            any share of real images, as the test against 1/2 does not.
        below_chance: The alarm: the reader tells the classes apart and names them the wrong
            way round, which is discrimination and not realism.
        rule: When the alarm is raised.
        note: What unequal classes do to the accuracy; empty if they are equal.
    """

    k: int
    n: int
    p: float | None
    p_below: float | None
    p_independent: float | None
    below_chance: bool
    rule: str
    note: str = ""


class Detection(Frozen):
    """Signal detection with real images as the signal.

    Attributes:
        d_prime: Sensitivity: 0 if real and synthetic images are not told apart.
        criterion: Bias: above 0 to "synthetic", below 0 to "real".
    """

    d_prime: Estimate
    criterion: Estimate


class Equivalence(Frozen):
    """Whether the accuracy is 1/2 to within a margin.

    Attributes:
        margin: Distance from 1/2 that counts as none.
        k: Right answers.
        n: Answers.
        p: Greater of the two one-sided exact binomial tests.
        verdict: By `rule`.
        power: Chance of a pass at this n if the true accuracy is 1/2.
        needed: Least n from which on the power stays above 80 %.
        rule: When it is a pass, a fail or inconclusive.
        method: Of the test.
    """

    margin: float
    k: int
    n: int
    p: float | None
    verdict: Verdict
    power: float
    needed: int
    rule: str
    method: str


class RocPoint(Frozen):
    """The images whose signed confidence is at least a threshold.

    Attributes:
        threshold: Least signed confidence that counts as "real"; None is above all.
        false_alarm: Share of the synthetic images.
        hit: Share of the real images.
    """

    threshold: float | None
    false_alarm: float
    hit: float


class Roc(Frozen):
    """The receiver operating characteristic of signed confidence.

    Attributes:
        auc: Area under it; 1/2 if real and synthetic images are not told apart.
        points: From (0, 0) to (1, 1).
        real: Real images with an answer and a confidence.
        synthetic: Synthetic images with both.
    """

    auc: Estimate
    points: tuple[RocPoint, ...]
    real: int
    synthetic: int


class Times(Frozen):
    """Response times of one truth and one answer, in seconds.

    Attributes:
        truth: Of the images.
        answer: That was given.
        n: Answers with a time.
        lower: First quartile.
        median: Second quartile.
        upper: Third quartile.
    """

    truth: Truth
    answer: Answer
    n: int
    lower: float
    median: float
    upper: float


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
    detection: Detection
    equivalence: Equivalence
    roc: Roc | None
    tumour: tuple[TumourTable, ...]
    times: tuple[Times, ...]
    late: Proportion


class ManyReaders(Frozen):
    """Several readers' means in one block, or in all blocks.

    Each reader counts alike. The intervals speak of other readers like these and other
    images like these, unless there is one reader only.

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
    notes: tuple[str, ...] = ()


class BlockDifference(Frozen):
    """Two blocks' accuracies, read by one reader or by all.

    Attributes:
        reader: Name; "" for all readers pooled.
        first: Block.
        second: Block.
        first_k: Right answers in the first.
        first_n: Answers in the first.
        second_k: Right answers in the second.
        second_n: Answers in the second.
        difference: Accuracy of the first minus that of the second.
        p: Fisher's exact test, two-sided.
        p_holm: The same after Holm's correction.
        family: Tests that were corrected for: all pairs of blocks of this reader.
        note: What pooling takes for granted; empty for one reader.
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
        block_differences: All pairs of blocks, of each reader and of all readers pooled.
        reader_differences: All pairs of readers who saw the same images, in each block.
        concordances: One a block in which readers saw the same images, and over all of several.
        group_differences: All pairs of groups, as the means.
        notes: Sentences on the study as a whole.
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
