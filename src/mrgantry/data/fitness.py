"""Whether two sets of images fit together: of one size, of one kind, and of other people.

Every verb that lays synthetic images beside real ones asks here. Coronal slices are not axial ones
and T1 is not T2: such sets are refused, since every score, classifier or reader would tell what
anybody knows. What only shifts the mixture (a tumour in every image, another pixel size) is named,
and stands at the top of what is printed. And where a generator has seen the people that its images
are judged beside, these would look too good.
"""

from collections.abc import Iterator

import pandas as pd

from mrgantry.common.errors import DataError
from mrgantry.data.about import About
from mrgantry.data.names import SEQUENCES
from mrgantry.data.slices import SliceSet

UNKNOWN = {"", "unknown", "unclear", "nan", "None"}
PIXEL_SHARE = 0.05  # by which pixel sizes may differ, since fits to a head differ by as much
MIXTURE = 0.2  # by which shares of a label may differ before it is named


def shape_of(about: About) -> tuple[int, int]:
    """Give the channels of a set's images, and their height and width in pixels."""
    return len(about.channels), about.size


def check_shape(
    data: SliceSet, wanted: tuple[int, int], of: object, advice: str = "they must be alike"
) -> None:
    """Refuse images of another size or of another number of channels.

    Args:
        data: The images.
        wanted: Channels and pixels.
        of: What has these, as a sentence names it.
        advice: What ends the sentence.

    Raises:
        DataError: They differ.
    """
    channels, size = shape_of(data.about)
    if (channels, size) != wanted:
        raise DataError(
            f"{data.folder} has {channels} channel(s) of {size} pixels, {of} has {wanted[0]} of "
            f"{wanted[1]}; {advice}."
        )


def check_alike(real: SliceSet, synthetic: SliceSet) -> None:
    """Refuse images that show other things than the real ones do.

    Raises:
        DataError: Sizes or channels differ, or no plane or no sequence is shared.
    """
    check_shape(synthetic, shape_of(real.about), real.folder)
    shown, shown_synthetic = real.about.channels, synthetic.about.channels
    if (
        set(shown) <= set(SEQUENCES)
        and set(shown_synthetic) <= set(SEQUENCES)
        and shown != shown_synthetic
    ):
        raise DataError(
            f"{synthetic.folder} shows {' + '.join(shown_synthetic)}, {real.folder} shows "
            f"{' + '.join(shown)}; only images of the same sequences, in one order, can be "
            "compared."
        )
    for column, what in (("plane", "planes"), ("sequence", "sequences")):
        has, wants = (values_of(data, column) for data in (synthetic, real))
        if has and wants and not has & wants:
            raise DataError(
                f"{synthetic.folder} has the {what} {', '.join(sorted(has))}, {real.folder} has "
                f"{', '.join(sorted(wants))}; only images of one kind can be compared."
            )


def people_behind(data: SliceSet) -> set[str]:
    """Name whom a set may show: people whom its generator has seen, and those in its rows."""
    return {*data.about.training_subjects, *data.table["subject"].astype(str)} - {""}


def check_unseen(seen: set[str], held_out: SliceSet, synthetic: SliceSet, so: str) -> None:
    """Refuse images behind which there are people of a set that they are judged beside.

    Args:
        seen: People behind the images.
        held_out: What they are judged beside; its training split may have been seen.
        synthetic: The images.
        so: What would come of it, as a sentence ends.

    Raises:
        DataError: There are such people.
    """
    table = held_out.table
    held = table.loc[table["split"] != "train", ["split", "subject"]].astype(str)
    shared = held[held["subject"].isin(seen)].sort_values(["split", "subject"])
    if shared.empty:
        return
    split, person = shared.iloc[0]
    count = shared["subject"].nunique()
    who = f"The generator of {synthetic.folder} has seen"
    if not synthetic.about.synthetic:
        who = f"{synthetic.folder} is no synthetic set, and holds real images of"
    raise DataError(
        f"{who} {person} of the {split} split of {held_out.folder} ({count} such "
        f"{'person' if count == 1 else 'people'}), so {so}. Train a generator on this set's "
        "training split."
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
    classes, drawn = held.about.classes, synthetic.about.classes
    if classes and drawn and classes != drawn:
        yield (
            f"{synthetic.name}: its label maps tell apart {', '.join(drawn)}, the real ones "
            f"{', '.join(classes)}, so maps are not compared."
        )
    sizes = [data.table["pixel_mm"].median() for data in (held, synthetic)]
    if not all(size > 0 for size in sizes):
        yield (
            f"{synthetic.name}: it is not known how large pixels are, so heads of another size "
            "would not be noticed as such."
        )
    elif abs(sizes[1] / sizes[0] - 1) > PIXEL_SHARE:
        yield (
            f"{synthetic.name}: a pixel is {sizes[1]:.3g} mm wide, of the real images "
            f"{sizes[0]:.3g} mm; heads then differ in size."
        )


def values_of(data: SliceSet, column: str) -> set[str]:
    """Give the values of a column that are known; joined ones, as t1+t2, one by one."""
    values = set(data.table[column].dropna().astype(str))
    return {part for value in values for part in value.split("+")} - UNKNOWN


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
