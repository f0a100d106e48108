"""What `import mrgantry` offers: stable names, loaded when used, with something to look at."""

import subprocess
import sys

import numpy as np
import pytest

import mrgantry as mg
from conftest import write_slices

STABLE = (
    *("DataError", "DivergedError", "ImportPlan", "MrgantryError", "Recipe", "RecipeError"),
    *("Run", "RunError", "Score", "SlicePlan", "SliceSet", "Volume", "compare", "demo", "detect"),
    *(
        "evaluate",
        "export",
        "find_recipe",
        "find_study",
        "guide",
        "import_slices",
        "inspect",
        "prepare",
    ),
    *(
        "project",
        "refine",
        "report",
        "reproduce",
        "sample",
        "segment",
        "select",
        "sensitivity",
        "simulate",
    ),
    *("train", "walk"),
)


def test_stable_names_stay():
    assert sorted(mg.__all__) == sorted(STABLE)
    for name in STABLE:
        assert getattr(mg, name).__doc__, name
    assert set(STABLE) <= set(dir(mg))
    with pytest.raises(AttributeError, match="no attribute 'prepair'"):
        _ = mg.prepair


def test_a_verb_stays_a_function_whatever_was_imported_before():
    code = (
        "import mrgantry.detection.sets, mrgantry.pages.page, mrgantry as mg; "
        "assert all(callable(getattr(mg, name)) for name in mg.__all__)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)


def test_importing_it_loads_nothing_heavy():
    code = "import sys, mrgantry; assert not {'torch', 'numpy', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)


def test_a_set_shows_itself(tmp_path):
    images = np.random.default_rng(0).uniform(-1, 1, (40, 2, 16, 16)).astype(np.float16)
    names = [f"p{row // 4}" for row in range(40)]
    data = write_slices(tmp_path / "<set>", images, names, ["train"] * 40)
    assert repr(data).endswith("<set>: 40 real images of 10 subjects, t1 + t1c, 16 pixels>")
    shown = data._repr_html_()
    assert "&lt;set&gt;" in shown and "data:image/png;base64," in shown and "<table" in shown
    assert "<SliceSet" not in shown


def test_verbs_take_names_of_folders_as_text(tmp_path):
    images = np.zeros((4, 1, 16, 16), np.float16)
    write_slices(tmp_path / "slices", images, ["a"] * 4, ["train"] * 4)
    assert mg.export(str(tmp_path / "slices"), str(tmp_path / "out")) == 4


def test_text_opens_a_set(tmp_path):
    images = np.zeros((4, 1, 16, 16), np.float16)
    write_slices(tmp_path / "slices", images, ["a"] * 4, ["train"] * 4)
    assert len(mg.SliceSet.open(str(tmp_path / "slices"))) == 4
    with pytest.raises(mg.DataError, match="is not a training run"):
        mg.Run.open(str(tmp_path / "slices"))
