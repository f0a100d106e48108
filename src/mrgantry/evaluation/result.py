"""What `evaluate` gives back: a list of scores that shows itself, as a sentence and a table."""

from collections.abc import Iterable, Sequence

import pandas as pd

from mrgantry.common.display import Display, Displayed
from mrgantry.common.score import Score
from mrgantry.evaluation.verdict import SetVerdict, sentences


class Scores(Displayed, list[Score]):
    """All scores of all sets, with what they say.

    Attributes:
        verdicts: Of each set.
    """

    def __init__(self, scores: Iterable[Score], verdicts: Sequence[SetVerdict]) -> None:
        super().__init__(scores)
        self.verdicts = tuple(verdicts)

    @property
    def table(self) -> pd.DataFrame:
        """Give a row a score, those of real images beside."""
        rows = [
            {
                "set": score.synthetic,
                "score": score.name,
                "of": score.features,
                "synthetic": score.value,
                "low": score.low,
                "high": score.high,
                "real": score.floor,
                "verdict": score.verdict,
            }
            for score in self
        ]
        return pd.DataFrame(rows)

    @property
    def said(self) -> list[str]:
        """Give the verdict of each set in sentences."""
        return [
            f"{verdict.set}: {sentence}"
            for verdict in self.verdicts
            for sentence in sentences(verdict)
        ]

    @property
    def display(self) -> Display:
        """Show verdict and table."""
        return Display(self.said, self.table)
