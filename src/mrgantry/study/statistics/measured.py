"""What the statistics of one reader's answers give: values with n, interval and method.

None stands for what is undefined, such as an accuracy of no answers. One convention holds
throughout: the signal is real, a hit is a real image called real, and counts of two classes
come in the order of the papers (rr, rs, sr, ss: truth first).
"""

from typing import Literal

from mrgantry.common.frozen import Frozen

Truth = Literal["real", "synthetic"]
Answer = Literal["real", "synthetic", "unknown", "none"]
Verdict = Literal["pass", "fail", "inconclusive"]


class Interval(Frozen):
    """A 95 % confidence interval.

    Attributes:
        low: Lower end; None if undefined.
        high: Upper end.
        n: What it rests on: answers, or images where the method draws images.
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
    def rarer(self) -> float:
        """Give the share of the answer that was given more rarely; 0 without any."""
        real = self.rr + self.sr
        return min(real, self.n - real) / self.n if self.n else 0.0

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
        note: What unequal classes do to the accuracy; empty if they are about equal.
        p_independent_holm: `p_independent` after Holm's correction; None for a single test.
        family: Tests that were corrected for.
    """

    k: int
    n: int
    p: float | None
    p_below: float | None
    p_independent: float | None
    below_chance: bool
    rule: str
    note: str = ""
    p_independent_holm: float | None = None
    family: int = 1

    @property
    def p_apart(self) -> float | None:
        """Give the p value that says whether the reader tells images apart."""
        return self.p_independent if self.family == 1 else self.p_independent_holm


class TogetherTest(Frozen):
    """Whether several readers, taken together, tell real from synthetic images.

    Attributes:
        p: That answers fit the truth so well if no reader tells; None if all answers or all
            images are of one kind.
        method: Of the test.
        p_holm: The same after Holm's correction over blocks; None for a single block.
    """

    p: float | None
    method: str
    p_holm: float | None = None

    @property
    def p_apart(self) -> float | None:
        """Give the p value that says whether the readers tell images apart."""
        return self.p if self.p_holm is None else self.p_holm


class SignalDetection(Frozen):
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


class ForcedChoice(Frozen):
    """One reader's answers to pairs of a real and a synthetic image.

    Attributes:
        reader: Name; empty where it is not said.
        block: Name; "" for all blocks together.
        right: Share of pairs of which the real image was found.
        d_prime: Sensitivity; 0 if real and synthetic images are not told apart. No value where all
            or no answers are right, and no interval where one of its ends is infinite.
        p: Exact binomial test of the share right against 1/2, two-sided; None without answers.
        right_left: Share right of the pairs whose real image was on the left.
        right_right: The same on the right.
        said_left: Share of answers "left".
        side_bias: Criterion of the sides, (z(right_right) - z(right_left)) / 2 with half an answer
            added to each cell: above 0 if the reader tends to say "right". None if the real image
            was always on one side.
        p_side: Exact test that the real images on the left and on the right were found equally
            often (Fisher); None if there are none on a side.
        undecided: Pairs without an answer.
    """

    reader: str = ""
    block: str = ""
    right: Proportion
    d_prime: Estimate
    p: float | None
    right_left: Proportion
    right_right: Proportion
    said_left: Proportion
    side_bias: float | None
    p_side: float | None
    undecided: int
