"""Whether a synthetic set may be compared with real images, and what to know if it may.

Coronal slices are not axial ones and T1 is not T2: such sets are refused, since every score would
tell what anybody knows. What only shifts the mixture (a tumour in every image, another pixel size)
is named, and stands at the top of what is printed.
"""

from collections.abc import Iterator

import pandas as pd

from mrgantry.common.errors import DataError
from mrgantry.data.names import SEQUENCES
from mrgantry.data.slices import SliceSet

UNKNOWN = {"", "unknown", "unclear", "nan", "None"}
PIXEL_SHARE = 0.05  # by which pixel sizes may differ, since fits to a head differ by as much
MIXTURE = 0.2  # by which shares of a label may differ before it is named


def check_alike(held: SliceSet, synthetic: SliceSet) -> None:
    """Refuse sets that show other things than the real images do.

    Raises:
        DataError: Sizes or channels differ, or no plane or no sequence is shared.
    """
    real, made = held.about, synthetic.about
    if (real.size, len(real.channels)) != (made.size, len(made.channels)):
        raise DataError(
            f"{synthetic.folder} has {len(made.channels)} channel(s) of {made.size} pixels, "
            f"{held.folder} has {len(real.channels)} of {real.size}; they must be alike."
        )
    named = [of for of in (real.channels, made.channels) if set(of) <= set(SEQUENCES)]
    if len(named) == 2 and real.channels != made.channels:
        raise DataError(
            f"{synthetic.folder} shows {' + '.join(made.channels)}, {held.folder} shows "
            f"{' + '.join(real.channels)}; only images of the same sequences, in one order, can be "
            "compared."
        )
    for column, what in (("plane", "planes"), ("sequence", "sequences")):
        has, wants = (values_of(data, column) for data in (synthetic, held))
        if has and wants and not has & wants:
            raise DataError(
                f"{synthetic.folder} has the {what} {', '.join(sorted(has))}, {held.folder} has "
                f"{', '.join(sorted(wants))}; only images of one kind can be compared."
            )


def mismatches(held: SliceSet, synthetic: SliceSet) -> Iterator[str]:
    """Name in sentences where a set shows another mixture than the real images."""
    for column in ("plane", "sequence", "tumour"):
        real, made = (shares_of(data, column) for data in (held, synthetic))
        if not len(real) or not len(made):
            continue
        apart = made.sub(real, fill_value=0)
        if apart.max() > MIXTURE:
            value = str(apart.idxmax())
            advice = ""
            choosable = made.idxmax() in real.index and not held.about.poses
            if made.max() > 1 - MIXTURE and choosable:
                advice = f" Compare with --only {column}={made.idxmax()}."
            yield (
                f"{synthetic.name}: {made.get(value, 0):.0%} of its images have {column}={value}, "
                f"of the real ones {real.get(value, 0):.0%}; scores tell that difference, "
                f"too.{advice}"
            )
    sizes = [data.table["pixel_mm"].median() for data in (held, synthetic)]
    if all(size > 0 for size in sizes) and abs(sizes[1] / sizes[0] - 1) > PIXEL_SHARE:
        yield (
            f"{synthetic.name}: a pixel is {sizes[1]:.3g} mm wide, of the real images "
            f"{sizes[0]:.3g} mm; heads then differ in size."
        )


def values_of(data: SliceSet, column: str) -> set[str]:
    """Give the values of a column that are known; joined ones, as t1+t2, one by one."""
    found = set(data.table[column].dropna().astype(str))
    return {part for value in found for part in value.split("+")} - UNKNOWN


def shares_of(data: SliceSet, column: str) -> "pd.Series[float]":
    """Give the share of each value of a column.

    Empty where some images have none, or where a generator of a mixture names all of it, as
    axial+coronal, on every image.
    """
    values = data.table[column].fillna("").astype(str)
    if (
        data.about.synthetic
        and len(data.about.channels) == 1
        and values.str.contains("+", regex=False).any()
    ):
        return pd.Series(dtype=float)
    if column != "tumour" and values.isin(UNKNOWN).any():
        return pd.Series(dtype=float)
    values = values[~values.isin(UNKNOWN)]
    return values.value_counts(normalize=True)
