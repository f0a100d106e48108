"""The verbs for slices that are pictures: export them, import them."""

from pathlib import Path
from typing import Annotated

import typer

from mrgantry.cli.options import Classes, LabelMaps, Repeats, Seed, numbers
from mrgantry.cli.output import recipe_for, say, say_next, say_preview, say_repeats, say_some


def export(
    slices: Annotated[Path, typer.Argument(help="A set of slices, real or synthetic.")],
    out: Annotated[Path, typer.Argument(help="Empty folder to write files to.")],
    format: Annotated[
        str,
        typer.Option(
            help="png (8 bit), png16 (16 bit), or float32 in [-1, 1] as tiff, npy or nifti, which "
            "places each slice in scanner mm."
        ),
    ] = "png",
    split: Annotated[str, typer.Option(help="train, validation, test or all.")] = "all",
) -> None:
    """Write every slice as a file named by its id, with a table of their rows.

    Label maps come into the folder labels, 0 where there is no class, 1 where the first is.

    `mrgantry import` takes the folder back as it was.
    """
    from mrgantry.data import export

    say(f"{out} holds {export(slices, out, format, split):,} files; slices.csv describes them.")


def import_(
    folder: Annotated[
        Path, typer.Argument(help="Folder of PNG, JPEG, TIFF, .npy or NIfTI slices.")
    ],
    slices: Annotated[Path, typer.Argument(help="Folder to write the set of slices to.")],
    values: Annotated[
        str,
        typer.Option(
            "--range",
            help="Stored values that become black and white: auto takes pictures by their full "
            "range and floats by what they hold, percentiles scales each image by itself, "
            "0:255 names them.",
        ),
    ] = "auto",
    size: Annotated[
        int | None, typer.Option(help="Pad to a square and resize; as they are unless given.")
    ] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option(help="Join ID_t1.png and ID_flair.png: --channel t1 --channel flair."),
    ] = None,
    sequence: Annotated[str | None, typer.Option(help="What the images show, as t1.")] = None,
    plane: Annotated[
        str | None, typer.Option(help="axial, coronal or sagittal, if the files do not say it.")
    ] = None,
    pixel_mm: Annotated[
        str | None, typer.Option(help="Side of a pixel, if the files do not say it; or unknown.")
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(
            help="CSV by 'file' or 'id' with subject, split, tumour ...; FOLDER/slices.csv "
            "unless given."
        ),
    ] = None,
    subject: Annotated[
        str | None,
        typer.Option(help="Regular expression whose group finds the subject: '(OAS1_[0-9]+)_'."),
    ] = None,
    tumour_labels: Annotated[
        str | None,
        typer.Option(
            help="Names of masks that mark tumours, as '*_mask.png'; those whose names say so "
            "unless given."
        ),
    ] = None,
    label_maps: LabelMaps = False,
    classes: Classes = None,
    real: Annotated[
        bool, typer.Option("--real", help="The images are of people, not of a generator.")
    ] = False,
    simulated: Annotated[
        bool, typer.Option("--simulated", help="They stem from simulated scans.")
    ] = False,
    made_by: Annotated[
        str | None, typer.Option(help="The generator; the folder's name unless given.")
    ] = None,
    trained_on: Annotated[
        str | None,
        typer.Option(
            help="Set of real slices whose people of the split 'train' the generator has seen, so "
            "that nobody of them judges it."
        ),
    ] = None,
    turn: Annotated[
        int,
        typer.Option(
            help="Degrees clockwise: 90, 180 or 270. Arrays (x, y) of scans lie on their side: "
            "--turn 270 --mirror if they are RAS, --turn 90 --mirror if LPS."
        ),
    ] = 0,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Exchange left and right, after turning.")
    ] = False,
    splits: Annotated[
        str, typer.Option(help="Shares of subjects to train, validate and test; with --real.")
    ] = "0.6:0.1:0.3",
    seed: Seed = 0,
    repeats: Repeats = "keep",
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad file.")] = False,
) -> None:
    """Take images of other generators, or real slices, into a set of slices.

    With --real, each image needs a subject: from a table, from its name, or from the folder that
    it lies in. Bad files are skipped and listed; interrupted, the same command goes on.
    """
    from mrgantry.data import ImportPlan, import_slices

    options = {
        "range": values,
        "size": size,
        "channel": tuple(channel or ()),
        "sequence": sequence,
        "plane": plane,
        "pixel_mm": pixel_mm,
        "table": table,
        "subject": subject,
        "tumour_labels": tumour_labels,
        "label_maps": label_maps,
        "classes": tuple(classes.split(",")) if classes else (),
        "real": real,
        "simulated": simulated,
        "made_by": made_by,
        "trained_on": trained_on,
        "turn": turn,
        "mirror": mirror,
        "splits": numbers(splits, "--splits", 3),
        "seed": seed,
        "repeats": repeats,
    }
    data = import_slices(folder, slices, ImportPlan.of(options, "import"), strict=strict)
    notes = data.about.notes
    say_some("Skipped", notes.skipped, slices / "skipped.csv")
    say_some("Note", notes.assumed, slices / "about.json")
    say_repeats(
        data,
        "if they are one person, leave out the images of one, or name both alike, in the table or "
        "by --subject, and import again; or say --repeats merge, or drop.",
    )
    say(f"{slices} holds {len(data):,} slices of {data.about.size} pixels ({notes.range}).")
    say_preview(data, "stand upright and are well lit")
    if data.about.synthetic:
        say_next("evaluate", "slices", "scores", "--synthetic", slices)
    else:
        say_next("train", slices, "run", *recipe_for(data))
