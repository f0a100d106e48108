"""A round on a device that is not the CPU mixes no tensors of both."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from recipes import NETWORKS

SCRIPT = Path(__file__).parents[1] / "pretended_device.py"


def pretend(name, folder):
    """In a process of its own: PyTorch takes new devices only before its first gradient."""
    command = [sys.executable, SCRIPT, name, folder]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["unet", "labels", "monai"])
def test_a_round_and_a_look_of_a_flow_stay_on_the_device(name, tmp_path):
    if name == "monai" and importlib.util.find_spec("monai") is None:
        pytest.skip("The extra monai is not installed.")
    done = pretend(name, tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.kind)
def test_rounds_of_a_network_under_every_loss_stay_on_the_device(network, tmp_path):
    done = pretend(network.kind, tmp_path)
    assert done.returncode == 0, done.stderr
