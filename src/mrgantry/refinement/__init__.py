"""Bring images nearer to real ones without moving what they show: `refine`."""

from mrgantry.refinement.refine import refine

__all__ = ["refine"]
