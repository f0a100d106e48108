"""The published studies, one file each, and the recipes by name."""

from mrgantry.common.errors import RecipeError
from mrgantry.common.frozen import unknown
from mrgantry.gan.recipe import Recipe
from mrgantry.papers import demo, han2018

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (demo.RECIPE, *han2018.RECIPES)}


def find_recipe(name: str) -> Recipe:
    """Look a recipe up by its name.

    Raises:
        RecipeError: There is none of that name.
    """
    if name not in RECIPES:
        raise RecipeError(unknown("recipe", name, list(RECIPES), "list of recipes"))
    return RECIPES[name]
