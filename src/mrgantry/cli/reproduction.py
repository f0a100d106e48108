"""The verb that repeats a published study."""

from pathlib import Path
from typing import Annotated

import typer

from mrgantry.cli.options import Person, Series, TumourLabels, numbers
from mrgantry.cli.output import say
from mrgantry.cli.study_options import installed


def reproduce(
    study: Annotated[
        str, typer.Argument(help="han2018, han2018-pggan, kazuhiro2018 or delplace2020.")
    ],
    out: Annotated[Path, typer.Argument(help="Folder to write everything to.")],
    scans: Annotated[
        Path | None,
        typer.Option(help="Folder of scans, as the paper's; unless given, some are simulated."),
    ] = None,
    slices: Annotated[
        Path | None,
        typer.Option(
            help="A set of real slices in place of scans, for instance what `mrgantry import "
            "--real` makes of a folder of PNG; of its size and splits."
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="With --scans: only subjects with name=value, in place of the paper's filter; '' "
            "takes all."
        ),
    ] = None,
    tumour_labels: TumourLabels = None,
    person: Person = None,
    series: Series = None,
    splits: Annotated[
        str | None,
        typer.Option(help="Shares of subjects to train, validate and test, as 0.6:0.1:0.3."),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="What classifiers of tumours begin with: imagenet, fetched once, or scratch."
        ),
    ] = None,
    alternative: Annotated[
        list[str] | None,
        typer.Option(
            help="Where the paper can be read in two ways, the other one, by its name on the page, "
            "as uniform-latents; repeat for several."
        ),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(help="Where the key of the reader study is kept; unless given, OUT/study."),
    ] = None,
    scale: Annotated[
        str,
        typer.Option(
            help="smoke: minutes, shows that it works; laptop: hours, 64 pixels; paper: the "
            "paper's sizes and lengths, for a GPU and its scans."
        ),
    ] = "smoke",
) -> None:
    """Repeat a published study: slices, all its models, measures, readers, one page.

    The page lays the printed numbers beside this run's and says what is wrong with the former and
    what the latter cannot show. Interrupted, the same command goes on. The reader study is ready to
    serve; once somebody has read, the same command puts the answers on the page.
    """
    with installed():
        from mrgantry.papers import find_study
        from mrgantry.papers.reproduction import UserChanges
        from mrgantry.workflows.reproduce import reproduce

        changes = UserChanges.of(
            {
                "where": tuple(filter(None, where)) if where else None,
                "tumour_labels": tumour_labels,
                "person": person,
                "series": tuple(series) if series else None,
                "splits": numbers(splits, "--splits", 3) if splits else None,
                "weights": weights,
            },
            "reproduction",
        )
        repeated = find_study(study).read_as(alternative or ()).at(scale).changed(changes)
        page = reproduce(repeated, out, scans=scans, slices=slices, key=key, say=say)
    say(f"Open {page} in a browser.")
