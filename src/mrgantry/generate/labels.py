"""What a conditional generator is told: a tumour or none, which sequence, which plane."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mrgantry.common.errors import DataError, unknown
from mrgantry.common.frozen import Frozen

Column = Literal["tumour", "sequence", "plane"]


class Labels(Frozen):
    """The labels of a training set; without any, networks are unconditional.

    A label enters the generator as a one-hot vector behind the latents. The critic gives
    one number for the image and one for each level of each label, and its logit is the
    sum of those that apply: the projection of Miyato and Koyama (2018, equation 3).

    Attributes:
        levels: The values of each column that has more than one.
        always: The value of each column that has only one, and so tells nothing.
        seen: The combinations of values in the training set, and how many images have each.
    """

    levels: dict[str, tuple[str, ...]] = {}
    always: dict[str, str] = {}
    seen: tuple[tuple[tuple[str, ...], int], ...] = ()

    @classmethod
    def of_table(cls, table: pd.DataFrame, columns: Sequence[str]) -> "Labels":
        """Find the labels of some rows; a column with a single value tells nothing."""
        levels = {name: tuple(sorted(set(table[name].astype(str)))) for name in columns}
        always = {name: values[0] for name, values in levels.items() if len(values) == 1}
        levels = {name: values for name, values in levels.items() if len(values) > 1}
        if not levels:
            return cls(always=always)
        seen = Counter(table[list(levels)].astype(str).itertuples(index=False, name=None))
        return cls(levels=levels, always=always, seen=tuple(sorted(seen.items())))

    @property
    def width(self) -> int:
        """Give the length of the one-hot vectors."""
        return sum(map(len, self.levels.values()))

    def encode(self, combinations: Sequence[tuple[str, ...]]) -> Float[Tensor, "n k"]:
        """Write combinations, one value a column, as one-hot vectors."""
        places: dict[tuple[str, str], int] = {}
        for name, values in self.levels.items():
            places |= {(name, value): len(places) + i for i, value in enumerate(values)}
        codes = torch.zeros(len(combinations), self.width)
        for row, combination in enumerate(combinations):
            for key in zip(self.levels, combination, strict=True):
                codes[row, places[key]] = 1.0
        return codes

    def of_rows(self, table: pd.DataFrame) -> Float[Tensor, "n k"]:
        """Encode the rows of a table."""
        if not self.levels:
            return torch.zeros(len(table), 0)
        rows = table[list(self.levels)].astype(str).itertuples(index=False, name=None)
        return self.encode(list(rows))

    def knows(self, table: pd.DataFrame) -> Bool[np.ndarray, " n"]:
        """Say of which rows every label has a value of the training set."""
        valid = np.ones(len(table), dtype=bool)
        for name, values in self.levels.items():
            valid &= table[name].astype(str).isin(values).to_numpy()
        return valid

    def only(self, conditions: Sequence[str]) -> "Labels":
        """Keep the combinations that meet conditions such as "tumour=yes".

        Raises:
            DataError: There is no such label or value, or no training image had them all.
        """
        kept = self.seen
        for condition in conditions:
            name, _, value = condition.partition("=")
            if self.always.get(name) == value:
                continue
            if name in self.always:
                raise DataError(f"All training images of the run had {name}={self.always[name]}.")
            if name not in self.levels:
                names = ", ".join(self.levels) or "none: it is unconditional"
                raise DataError(f"The run has no label {name!r} (it has {names}).")
            if value not in self.levels[name]:
                raise DataError(unknown(name, value, list(self.levels[name]), "run's labels"))
            place = list(self.levels).index(name)
            kept = tuple((values, n) for values, n in kept if values[place] == value)
        if self.seen and not kept:
            raise DataError(f"No training image was {' and '.join(conditions)}.")
        return self.model_copy(update={"seen": kept})

    def draw(self, random: torch.Generator) -> tuple[str, ...]:
        """Draw a combination as often as the training set has it."""
        if not self.levels:
            return ()
        counts = torch.tensor([float(count) for _, count in self.seen])
        return self.seen[int(torch.multinomial(counts, 1, generator=random))][0]
