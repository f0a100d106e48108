"""The command line: each verb parses its words, calls one function, prints what next.

Nothing heavy is imported here before a verb needs it, so that help comes at once.
"""

import logging
import os
import sys
from collections.abc import Callable
from inspect import signature
from typing import Annotated, NoReturn

import typer

from mrgantry.cli import detection, exchange, networks, reproduction, results, scans, study
from mrgantry.cli.output import say
from mrgantry.common.errors import MrgantryError
from mrgantry.common.speaker import speaks
from mrgantry.common.version import VERSION

# Threads that have nothing to do wait for more in a loop, by default for so long that two programs
# on one machine take each other's processors: two trainings then get a tenth of what one gets.
# Waiting shortly costs one program alone nothing that could be measured. It must be said before
# PyTorch is loaded, which no verb does before it needs it.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
INTERRUPTED = 130  # the exit status of what Ctrl-C has ended

# The verbs in the order of the help, each with the example that ends its own help.
VERBS: dict[str, tuple[Callable[..., None], str]] = {
    "guide": (scans.guide, "mrgantry guide scans"),
    "simulate": (scans.simulate, "mrgantry simulate cohort --subjects 50 --visits 2 --twins"),
    "inspect": (scans.inspect, "mrgantry inspect scans"),
    "prepare": (
        scans.prepare,
        "mrgantry prepare scans slices --sequence t1 --plane axial --slices 0.4:0.6 --size 64",
    ),
    "train": (networks.train, "mrgantry train slices run --recipe gantry-64 --set images=8000"),
    "sample": (networks.sample, "mrgantry sample run synthetic --count 1000 --seed 0"),
    "refine": (networks.refine, "mrgantry refine simulated refined --towards slices"),
    "walk": (networks.walk, "mrgantry walk run walked --seeds 0 --seeds 1 --steps 20"),
    "project": (networks.project, "mrgantry project run slices projection --count 8"),
    "export": (exchange.export, "mrgantry export synthetic pictures --format png"),
    "import": (exchange.import_, "mrgantry import pictures others --pixel-mm 1"),
    "select": (results.select, "mrgantry select synthetic selected --against slices"),
    "evaluate": (results.evaluate, "mrgantry evaluate slices scores --synthetic synthetic"),
    "sensitivity": (results.sensitivity, "mrgantry sensitivity slices sensitivity"),
    "compare": (
        results.compare,
        "mrgantry compare slices comparison --recipe gantry-64 --recipe han2018-dcgan-64 "
        "--recipe han2018-wgan-64 --seeds 3 --minutes 10",
    ),
    "detect": (
        detection.detect,
        "mrgantry detect slices detection --synthetic yes --synthetic no --seeds 3 --set "
        "network=small --set weights=scratch",
    ),
    "segment": (
        detection.segment,
        "mrgantry segment slices segmentation --synthetic synthetic --seeds 3",
    ),
    "reproduce": (reproduction.reproduce, "mrgantry reproduce han2018 repeated --scale smoke"),
    "report": (results.report, "mrgantry report report.html slices run synthetic scores"),
    "recipes": (networks.recipes, "mrgantry recipes han2018-dcgan-64"),
    "demo": (results.demo, "mrgantry demo"),
}

app = typer.Typer(
    name="mrgantry",
    help="Make synthetic brain MR images from your own scans, and find out whether they are "
    "any good.",
    epilog="Try it without any data: mrgantry demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _wants(verb: Callable[..., None]) -> bool:
    """Say whether a verb must be given something; called with nothing, it then shows its help."""
    return any(each.default is each.empty for each in signature(verb).parameters.values())


for _name, (_verb, _example) in VERBS.items():
    app.command(_name, epilog=f"Example: {_example}", no_args_is_help=_wants(_verb))(_verb)
app.add_typer(study.app, name="study")


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(VERSION)
        raise typer.Exit


def main() -> NoReturn:
    """Run the command line; a user's mistake ends in one sentence and status 1."""
    level = logging.WARNING if speaks() else logging.ERROR
    logging.basicConfig(level=level, format="%(message)s")
    try:
        app()
    except MrgantryError as error:
        say(f"mrgantry: {error}")
        sys.exit(1)
    except SystemExit as error:  # Typer turns an interruption into this
        if error.code == INTERRUPTED:
            say("mrgantry: stopped. Run the same command again to go on.")
        raise
    sys.exit(0)
