"""Bring images nearer to real ones without moving what they show: `refine`."""

from mrgantry.refinement.refinement import refine

__all__ = ["refine"]
