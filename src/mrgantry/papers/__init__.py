"""The published studies, one file each, our own recipes, and all recipes by name."""

from mrgantry.common.errors import RecipeError
from mrgantry.common.frozen import unknown
from mrgantry.gan.recipe import Recipe
from mrgantry.papers import delplace2020, demo, gantry, han2018, han2018_pggan, kazuhiro2018

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        demo.RECIPE,
        *gantry.RECIPES,
        *han2018.RECIPES,
        *han2018_pggan.RECIPES,
        *kazuhiro2018.RECIPES,
        *delplace2020.RECIPES,
    )
}


def find_recipe(name: str) -> Recipe:
    """Look a recipe up by its name.

    Raises:
        RecipeError: There is none of that name.
    """
    if name not in RECIPES:
        raise RecipeError(unknown("recipe", name, list(RECIPES), "list of recipes"))
    return RECIPES[name]
