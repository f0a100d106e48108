"""Generative networks: recipes, networks, losses, flows, training, and what runs can draw."""

from mrgantry.generate.project import project
from mrgantry.generate.recipe import AnyRecipe, FlowRecipe, GanRecipe, Recipe
from mrgantry.generate.run import Run
from mrgantry.generate.sample import sample
from mrgantry.generate.train import train
from mrgantry.generate.walk import walk

__all__ = [
    "AnyRecipe",
    "FlowRecipe",
    "GanRecipe",
    "Recipe",
    "Run",
    "project",
    "sample",
    "train",
    "walk",
]
