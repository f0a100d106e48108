"""Simulated slices, as FLAIR shows them, of two people with tumours and their label maps."""

import pytest

from mrgantry.data import SlicePlan, prepare
from mrgantry.simulation import simulate


@pytest.fixture(scope="session")
def brains(tmp_path_factory):
    folder = tmp_path_factory.mktemp("brains")
    simulate(folder / "cohort", subjects=2, seed=5, sequences=("flair",), workers=1)
    plan = SlicePlan(
        sequences=("flair",), slices="0.4:0.7:6", size=64, field_mm=192, label_maps=True
    )
    return prepare(folder / "cohort", folder / "slices", plan, workers=1)
