"""Generative networks: recipes, networks, losses, flows, training, and what runs can draw."""

from mrgantry.generate.cohorts import sample_cohort
from mrgantry.generate.latent_walk import walk
from mrgantry.generate.projection import project
from mrgantry.generate.recipe import AnyRecipe, FlowRecipe, GanRecipe, Recipe
from mrgantry.generate.run import Run
from mrgantry.generate.sampling import sample
from mrgantry.generate.training_run import train

__all__ = [
    "AnyRecipe",
    "FlowRecipe",
    "GanRecipe",
    "Recipe",
    "Run",
    "project",
    "sample",
    "sample_cohort",
    "train",
    "walk",
]
