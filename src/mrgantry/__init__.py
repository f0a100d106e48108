"""Synthetic brain MR images from your own scans, and whether they are any good.

    import mrgantry as mg

    if __name__ == "__main__":  # scans are read by several processes
        slices = mg.prepare("scans", "slices", mg.SlicePlan(sequences=("t1",), size=64))
        run = mg.train("slices", "run", mg.find_recipe("gantry-64").set(["images=20000"]))
        synthetic = mg.sample("run", "synthetic", count=1000)
        scores = mg.evaluate("slices", "scores", ["synthetic"])

What is listed here is stable; everything else may be moved.
Each name is loaded when it is first used, so that `import mrgantry` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mrgantry.common.version import VERSION

if TYPE_CHECKING:  # so that type checkers and editors see what is loaded later
    from mrgantry.common.errors import (
        DataError,
        DivergedError,
        MrgantryError,
        RecipeError,
        RunError,
    )
    from mrgantry.common.score import Score
    from mrgantry.data import (
        ImportPlan,
        SlicePlan,
        SliceSet,
        Volume,
        export,
        import_slices,
        inspect,
        prepare,
    )
    from mrgantry.detection import detect
    from mrgantry.evaluation import evaluate, select, sensitivity
    from mrgantry.generate import Recipe, Run, project, sample, train, walk
    from mrgantry.pages import report
    from mrgantry.papers import find_recipe, find_study
    from mrgantry.refinement import refine
    from mrgantry.segmentation import segment
    from mrgantry.simulation import simulate
    from mrgantry.workflows.compare import compare
    from mrgantry.workflows.demo import demo
    from mrgantry.workflows.guide import guide
    from mrgantry.workflows.reproduce import reproduce

__version__ = VERSION

_PLACES = {
    "common.errors": ("DataError", "DivergedError", "MrgantryError", "RecipeError", "RunError"),
    "common.score": ("Score",),
    "data": (
        "ImportPlan",
        "SlicePlan",
        "SliceSet",
        "Volume",
        "export",
        "import_slices",
        "inspect",
        "prepare",
    ),
    "detection": ("detect",),
    "evaluation": ("evaluate", "select", "sensitivity"),
    "generate": ("Recipe", "Run", "project", "sample", "train", "walk"),
    "pages": ("report",),
    "papers": ("find_recipe", "find_study"),
    "refinement": ("refine",),
    "segmentation": ("segment",),
    "simulation": ("simulate",),
    "workflows.compare": ("compare",),
    "workflows.demo": ("demo",),
    "workflows.guide": ("guide",),
    "workflows.reproduce": ("reproduce",),
}
_HOME = {name: module for module, names in _PLACES.items() for name in names}
__all__ = [
    "DataError",
    "DivergedError",
    "ImportPlan",
    "MrgantryError",
    "Recipe",
    "RecipeError",
    "Run",
    "RunError",
    "Score",
    "SlicePlan",
    "SliceSet",
    "Volume",
    "compare",
    "demo",
    "detect",
    "evaluate",
    "export",
    "find_recipe",
    "find_study",
    "guide",
    "import_slices",
    "inspect",
    "prepare",
    "project",
    "refine",
    "report",
    "reproduce",
    "sample",
    "segment",
    "select",
    "sensitivity",
    "simulate",
    "train",
    "walk",
]


def __getattr__(name: str) -> Any:
    """Load a name when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module 'mrgantry' has no attribute {name!r}")
    value = getattr(import_module(f"mrgantry.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List what there is, loaded or not."""
    return sorted([*globals(), *__all__])
