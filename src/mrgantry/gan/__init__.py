"""Generative adversarial networks: recipes, networks, losses, training, sampling."""

from mrgantry.gan.recipe import Recipe
from mrgantry.gan.run import Run
from mrgantry.gan.sample import sample
from mrgantry.gan.train import train

__all__ = ["Recipe", "Run", "sample", "train"]
