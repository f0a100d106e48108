"""Benchmarks are run by hand, so what they use of the program must be seen to be there."""

import runpy
import sys
from pathlib import Path

import pytest
import torch

from recipes import SMALL

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_all_that_is_imported_exists(path, monkeypatch):
    if path.stem == "augmentation":
        pytest.importorskip("skimage", reason="scikit-image comes with the extra `bench` alone")
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    runpy.run_path(str(path), run_name="imported")


def test_a_round_of_training_can_be_timed(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    speed = runpy.run_path(str(FOLDER / "speed.py"), run_name="imported")
    training = speed["training_on"](SMALL, torch.rand(16, 1, 16, 16) * 2 - 1)
    assert training.round()["critic_loss"].isfinite()
