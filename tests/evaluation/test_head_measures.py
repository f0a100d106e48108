"""Heads are measured by their slices: known volumes, and sets that differ in one thing."""

import numpy as np
import pandas as pd
import pytest

from conftest import blobs, brain_phantom, write_nifti, write_slices
from mrgantry.brain.network import CLASSES
from mrgantry.data import Generated, SlicePlan, prepare
from mrgantry.evaluation import evaluate
from mrgantry.evaluation.cloud import Cloud, Pair
from mrgantry.evaluation.measures.heads import describe_heads, heads_measure, heads_of
from mrgantry.evaluation.measures.measure import HEADS

NAMES = [kind.name for kind in heads_measure().kinds]
SLICES = 10  # of a head


def rows_of(people, step=4.0, slices=SLICES, sessions=("",)):
    rows = [
        {"subject": person, "session": session, "sequence": "t1", "plane": "axial",
         "position_mm": step * number, "pixel_mm": 2.0}
        for person in people for session in sessions for number in range(slices)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def fractions(count, brain, fluid):
    """Images of which a share is brain, and of that a share fluid, a fifth grey."""
    shares = dict.fromkeys(CLASSES, 0.0)
    shares |= {"grey": 0.2 * brain, "fluid": fluid * brain, "white": (0.8 - fluid) * brain}
    shares["background"] = 1 - brain
    return np.tile([shares[name] for name in CLASSES], (count, 1))


def cloud(sizes, fluids):
    people = [f"p{number}" for number in range(len(sizes))]
    table = rows_of(people)
    parts = [fractions(SLICES, *values) for values in zip(sizes, fluids, strict=True)]
    described = describe_heads(table, np.concatenate(parts), 50)
    images = np.zeros((len(table), 1, 50, 50), np.float16)
    return Cloud(images, table["subject"].to_numpy().astype(str), {HEADS: described})


def measured(real, other):
    return dict(zip(NAMES, heads_measure().compute(Pair(real, other, 0)), strict=True))


def test_a_head_is_what_its_slices_hold_and_what_lies_between():
    described = describe_heads(rows_of(["a"]), fractions(SLICES, 0.5, 0.3), 50)
    # Ten slices, each half of (50 x 2 mm)^2, 4 mm apart.
    assert described.shape == (SLICES, 3)
    np.testing.assert_allclose(described, np.tile([10 * 0.5 * 10 * 4, 0.2, 0.3], (SLICES, 1)))
    coarser = describe_heads(rows_of(["a"], step=8.0), fractions(SLICES, 0.5, 0.3), 50)
    np.testing.assert_allclose(coarser[:, 0], 2 * described[:, 0])


def test_each_visit_is_a_head_and_few_slices_are_none():
    table = rows_of(["a", "b"], sessions=("1", "2"))
    sizes = np.repeat([0.4, 0.5, 0.6, 0.7], SLICES)
    parts = np.concatenate([fractions(1, size, 0.2) for size in sizes])
    assert len(heads_of(describe_heads(table, parts, 50))) == 4
    assert describe_heads(rows_of(["a"], slices=5), fractions(5, 0.5, 0.2), 50) is None
    nowhere = rows_of(["a"]).assign(position_mm="")
    assert describe_heads(nowhere, fractions(SLICES, 0.5, 0.2), 50) is None
    nobody = rows_of([""])
    assert describe_heads(nobody, fractions(SLICES, 0.5, 0.2), 50) is None


def test_each_difference_moves_its_own_number():
    sizes, fluids = [0.4, 0.45, 0.5, 0.55], [0.1, 0.2, 0.3, 0.4]
    real = cloud(sizes, fluids)
    assert all(value == pytest.approx(0, abs=1e-12) for value in measured(real, real).values())
    larger = measured(real, cloud([size + 0.05 for size in sizes], fluids))
    assert larger["head_volume"] == pytest.approx(0.05 * 10 * 10 * 4)
    assert larger["head_fluid"] == pytest.approx(0, abs=1e-9)
    alike = measured(real, cloud(sizes, [0.25] * 4))
    assert alike["head_fluid"] == pytest.approx(0.1)  # the mean is right, the spread is not
    assert alike["head_volume"] == pytest.approx(0, abs=1e-9)


@pytest.mark.usefixtures("few_draws")
def test_heads_are_scored_where_both_sets_have_them(tmp_path):
    plan = SlicePlan(size=32, slices="0.0:1.0", min_brain=0, splits=(0.5, 0, 0.5))

    def scans(folder, people, shape=(24, 28, 20)):
        for number in range(people):
            name = f"{folder}{number:02d}"
            path = tmp_path / folder / name / f"{name}_t1.nii.gz"
            write_nifti(path, brain_phantom(number, shape), spacing=(5, 5, 5))
        return tmp_path / folder

    real = prepare(scans("real", 16), tmp_path / "slices", plan)
    folder = scans("theirs", 8)
    drawn = prepare(folder, tmp_path / "drawn", plan, generated=Generated.of_others(folder))
    alone = write_slices(
        tmp_path / "alone", blobs(40, 32), ["made"] * 40, [""] * 40, synthetic=True
    )
    scores = evaluate(real.folder, tmp_path / "scores", [drawn.folder, alone.folder], draws=4)
    of_heads = [score for score in scores if score.features == HEADS]
    assert {score.name for score in of_heads} == set(NAMES)
    assert {score.synthetic for score in of_heads} == {"drawn"}  # images alone are no heads
