"""A round on a device that is not the CPU mixes no tensors of both."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "pretended_device.py"


@pytest.mark.parametrize("name", ["unet", "labels", "monai"])
def test_a_round_and_a_look_of_a_flow_stay_on_the_device(name, tmp_path):
    """In a process of its own: PyTorch takes new devices only before its first gradient."""
    if name == "monai" and importlib.util.find_spec("monai") is None:
        pytest.skip("The extra monai is not installed.")
    command = [sys.executable, SCRIPT, name, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
