"""What several verbs take: their shared options, and numbers between colons."""

from typing import Annotated

import typer

Workers = Annotated[int | None, typer.Option(help="Processes; one a core unless given.", min=1)]
Cluster = Annotated[
    str | None, typer.Option(help="Address of a Dask scheduler to work on, as tcp://host:8786.")
]
TumourLabels = Annotated[
    str | None,
    typer.Option(
        help="Names of tumour label maps, as '*lesion*'; unless given, BRATS's and label_tumor."
    ),
]
LabelMaps = Annotated[
    bool,
    typer.Option(
        "--label-maps",
        help="Keep the label map of each slice, so that networks can draw maps with images.",
    ),
]
Classes = Annotated[
    str | None,
    typer.Option(
        help="What values of label maps mean, as 1=core,2+3=oedema; unless given, a single value "
        "is the tumour, and 1 to 4 are BRATS's necrosis, oedema and enhancing tumour."
    ),
]
Person = Annotated[
    str | None,
    typer.Option(
        help="Regular expression whose group finds the person in a scan's path (a second group: "
        "the visit), as '^([^/]+)/'; unless given, names of folders and files tell."
    ),
]
Series = Annotated[
    list[str] | None,
    typer.Option(
        help="Of two scans of one sequence in a visit, take the one whose name or series "
        "description is like this, as '*mprage*'; repeat for several. Unless given, the first."
    ),
]
Sequences = Annotated[
    list[str] | None,
    typer.Option(
        help="t1, t1c, t2, flair or pd (dwi, adc, swi, pet and ct too); repeat for several."
    ),
]
Features = Annotated[
    list[str] | None,
    typer.Option(
        help="Published network to compare by as well: inception (the FID), dinov2 or radimagenet; "
        "its weights are fetched once."
    ),
]
Repeats = Annotated[
    str,
    typer.Option(
        help="People who look like one under two names: keep both and warn, drop the later one, or "
        "merge them."
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of all draws.", min=0)]


def numbers(text: str, option: str, count: int) -> tuple[float, ...]:
    """Read so many numbers between colons, or refuse them as wrong usage of the option."""
    try:
        values = tuple(float(number) for number in text.split(":"))
    except ValueError:
        values = ()
    if len(values) != count:
        raise typer.BadParameter(f"{option} takes {count} numbers between colons, not {text!r}")
    return values


def some_numbers(text: str, option: str) -> tuple[float, ...]:
    """Read one number or more between colons, or refuse them as wrong usage of the option."""
    try:
        return numbers(text, option, text.count(":") + 1)
    except typer.BadParameter as error:
        raise typer.BadParameter(
            f"{option} takes numbers between colons, as 0.25:1, not {text!r}"
        ) from error


def plan_size(text: str, plane: str) -> dict[str, object]:
    """Read the size of slices, as 64, or of volumes, as 64x72x64, as a plan's values."""
    try:
        counts = tuple(int(number) for number in text.lower().split("x"))
    except ValueError:
        counts = ()
    if plane == "volume" and text == "64":
        return {}
    if len(counts) != (3 if plane == "volume" else 1):
        wanted = "three numbers, as 64x72x64" if plane == "volume" else "one number of pixels"
        raise typer.BadParameter(f"--size takes {wanted} with --plane {plane}, not {text!r}")
    return {"voxels": counts} if plane == "volume" else {"size": counts[0]}
