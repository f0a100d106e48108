"""The verb that repeats a published study."""

from pathlib import Path
from typing import Annotated

import typer

from mrgantry.cli.output import say
from mrgantry.cli.study import installed


def reproduce(
    study: Annotated[
        str, typer.Argument(help="han2018, han2018-pggan, kazuhiro2018 or delplace2020.")
    ],
    out: Annotated[Path, typer.Argument(help="Folder to write everything to.")],
    scans: Annotated[
        Path | None,
        typer.Option(help="Folder of scans, as the paper's; unless given, some are simulated."),
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
        from mrgantry.papers.reproduce import reproduce

        page = reproduce(find_study(study).at(scale), out, scans=scans, key=key, say=say)
    say(f"Open {page} in a browser.")
