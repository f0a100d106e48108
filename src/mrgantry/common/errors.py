"""Every error that mrgantry raises on purpose.

    MrgantryError
    ├── DataError      a scan, a cohort or a set of slices is not what it should be
    ├── RecipeError    a recipe, a plan or one of their values is not what it should be
    └── RunError       long work cannot begin, or go on, in a folder
        └── DivergedError  one of its losses became NaN or infinite

The message is one or two sentences for a person: what is wrong, where, what was
expected, and what to do. The command line prints it and exits with status 1.
"""


class MrgantryError(Exception):
    """Base of all errors that a user can cause and mend."""


class DataError(MrgantryError):
    """A scan, a cohort or a set of slices is not what it should be."""


class RecipeError(MrgantryError):
    """A recipe, a plan or one of their values is not what it should be."""


class RunError(MrgantryError):
    """Long work cannot begin, or go on: its folder holds something else, or is not ready."""


class DivergedError(RunError):
    """A loss became NaN or infinite: the recipe failed, not the program."""
