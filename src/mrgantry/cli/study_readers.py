"""The verbs on the readers of a study: add, remove, and give other links."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from mrgantry.cli.output import say, say_next
from mrgantry.cli.study_options import Blocks, Database, Study, installed, named_readers
from mrgantry.common.provenance import command_line


def add(
    study: Study,
    readers: Annotated[
        list[str],
        typer.Argument(help="Names of the new readers; or a CSV file with name, group, years."),
    ],
    key: Annotated[
        Path | None,
        typer.Option(help="Where the key is kept, which is sealed anew; else STUDY/key.csv."),
    ] = None,
    block: Blocks = None,
    only: Annotated[
        list[str] | None, typer.Option(help="As to `study create`, if it was given there.")
    ] = None,
    database: Database = None,
) -> None:
    """Add readers to a study, also while others read.

    They get the same images as the others, or, where each reader has their own, new ones from the
    sets that --block names. What was added, and when, stands on the page of the statistics.
    """
    with installed():
        from mrgantry.study.cases.additions import add_readers
        from mrgantry.study.cases.pools import Sources

        new = named_readers(readers)
        add_readers(
            study,
            new,
            block=[Sources.parse(text) for text in block or []],
            only=only or [],
            key=key,
            database=database,
            command=command_line(
                "study readers add", study, *readers, block=block or [], only=only or []
            ),
        )
    say(f"{', '.join(reader.name for reader in new)} can read.")
    say(f"{study / 'links.csv'} holds their personal links too: send them one by one.")


def remove(
    study: Study,
    name: Annotated[str, typer.Argument(help="Of the reader.")],
    database: Database = None,
) -> None:
    """Shut a reader out; what they answered stays, and the statistics say that they left."""
    with installed():
        from mrgantry.study.running import remove

        count = remove(study, name, database=database)
    say(f"{name} cannot read any more; {count:,} answers of theirs stay.")


def relink(
    study: Study,
    name: Annotated[str, typer.Argument(help="Of the reader, or: investigator.")],
    url: Annotated[
        str, typer.Option(help="Address of the server; unless given, that of the old link.")
    ] = "",
    database: Database = None,
) -> None:
    """Give one reader a new personal link, as when the old one was lost or seen by others.

    The old link opens nothing any more, and whoever came in by it is out. A reader who was removed
    is let in again.
    """
    with installed():
        from mrgantry.study.running import relink

        relink(study, name, url=url, database=database)
    say(f"{study / 'links.csv'} holds the new link of {name}; the old one is dead.")


def links(
    study: Study,
    url: Annotated[str, typer.Option(help="Address that readers will find the server at.")],
) -> None:
    """Write all personal links anew for another address; those who are in stay in."""
    with installed():
        from mrgantry.study.running import readdress

        count = readdress(study, url)
    say(f"{study / 'links.csv'} holds {count} links to {url}.")
    say_next("study", "serve", study, "--url", url)


# Each with the example that ends its help.
VERBS: dict[str, tuple[Callable[..., None], str]] = {
    "add": (add, "mrgantry study readers add study EF --key /safe/place/key.csv"),
    "remove": (remove, "mrgantry study readers remove study EF"),
    "relink": (relink, "mrgantry study readers relink study EF"),
    "links": (links, "mrgantry study readers links study --url https://example.org/study"),
}

app = typer.Typer(
    help="Who reads, also while others do: add, remove, and give other links.", no_args_is_help=True
)
for _name, (_verb, _example) in VERBS.items():
    app.command(_name, epilog=f"Example: {_example}")(_verb)
