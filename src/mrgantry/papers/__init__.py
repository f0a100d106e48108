"""The published studies, one file each, our own recipes, and all of them by name."""

from collections.abc import Iterable
from pathlib import Path

from mrgantry.common.errors import RecipeError, unknown
from mrgantry.detection.printed import PrintedDetection
from mrgantry.generate.recipe import AnyRecipe
from mrgantry.papers import delplace2020, gantry, han2018, han2018_pggan, kazuhiro2018
from mrgantry.papers.reproduction import Reproduction
from mrgantry.study.printed import Printed
from mrgantry.study.protocol import Protocol, read_protocol
from mrgantry.study.statistics.population import Population, population_of

RECIPES: dict[str, AnyRecipe] = {
    recipe.name: recipe
    for recipe in (
        *gantry.RECIPES,
        *han2018.RECIPES,
        *han2018_pggan.RECIPES,
        *kazuhiro2018.RECIPES,
        *delplace2020.RECIPES,
    )
}

READER_STUDIES = (han2018, han2018_pggan, kazuhiro2018)
PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        *(study.PROTOCOL for study in READER_STUDIES),
        gantry.TWO_ALTERNATIVE,
        gantry.VOLUME,
    )
}

PRINTED: dict[str, tuple[Printed, ...]] = {
    han2018.PROTOCOL.name: (han2018.PRINTED,),
    han2018_pggan.PROTOCOL.name: (han2018_pggan.PRINTED, han2018_pggan.PRINTED_TUMOUR),
    kazuhiro2018.PROTOCOL.name: (kazuhiro2018.PRINTED,),
}

STUDIES: dict[str, Reproduction] = {
    paper.STUDY.study: paper.STUDY for paper in (*READER_STUDIES, delplace2020)
}


def find_recipe(name: str) -> AnyRecipe:
    """Look a recipe up by its name, with changes behind it where it shall be another.

    The changes then belong to its name, so that it can be compared with what it was.

    >>> find_recipe("han2018-dcgan-64 vat=1").vat
    1.0

    Raises:
        RecipeError: There is none of that name, or a change will not do.
    """
    known, *changes = name.split() or [""]
    if known not in RECIPES:
        raise RecipeError(unknown("recipe", known, list(RECIPES), "list of recipes"))
    if not changes:
        return RECIPES[known]
    changed = RECIPES[known].set(changes)
    return changed.model_copy(update={"name": " ".join([known, *changes]), "changes": ()})


def printed(protocol: str) -> tuple[Printed, ...]:
    """Give what the paper of a protocol prints of its reader study; nothing for one's own."""
    return PRINTED.get(protocol, ())


def reading_population() -> Population:
    """Give how readers and images vary, by the printed counts of the published reader studies."""
    return population_of((han2018.PRINTED, kazuhiro2018.PRINTED))


def printed_detection(recipes: Iterable[str]) -> PrintedDetection | None:
    """Give the printed table of tumour detection, if synthetic images are by its recipes."""
    table = han2018_pggan.PRINTED_DETECTION
    return table if any(recipe.startswith(table.recipes) for recipe in recipes) else None


def find_protocol(name: str) -> Protocol:
    """Look a reading protocol up by its name, or read one of a user's own from a JSON file.

    Raises:
        DataError: The file is no JSON.
        RecipeError: There is none of that name, or the file holds no protocol.
    """
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    if Path(name).is_file():
        return read_protocol(Path(name))
    raise RecipeError(unknown("protocol", name, list(PROTOCOLS), "list of protocols"))


def find_study(name: str) -> Reproduction:
    """Look a published study up by its name.

    Raises:
        RecipeError: There is none of that name.
    """
    if name not in STUDIES:
        raise RecipeError(unknown("study", name, list(STUDIES), "list of studies"))
    return STUDIES[name]
