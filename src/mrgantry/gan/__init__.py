"""Generative adversarial networks: recipes, networks, losses, training, and what runs can draw."""

from mrgantry.gan.project import project
from mrgantry.gan.recipe import Recipe
from mrgantry.gan.run import Run
from mrgantry.gan.sample import sample
from mrgantry.gan.train import train
from mrgantry.gan.walk import walk

__all__ = ["Recipe", "Run", "project", "sample", "train", "walk"]
