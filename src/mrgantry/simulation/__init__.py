"""Simulated brain MR cohorts in BRATS layout, so that everything runs without patient data.

The images test software and teach. They are no evidence about patients, and every file
made from them says "simulated".
"""

from mrgantry.simulation.cohort import simulate

__all__ = ["simulate"]
