"""A round on a device that is not the CPU mixes no tensors of both."""

import importlib.util
import subprocess
import sys
from pathlib import Path

from recipes import NETWORKS

SCRIPT = Path(__file__).parents[1] / "pretended_device.py"


def pretend(names, folder):
    """In one process of their own: PyTorch takes new devices only before its first gradient."""
    command = [sys.executable, SCRIPT, folder, *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr  # the last name in it is the one that failed
    assert done.stderr.split() == names


def test_a_round_and_a_look_of_a_flow_stay_on_the_device(tmp_path):
    monai = ["monai"] if importlib.util.find_spec("monai") else []
    pretend(["unet", "labels", "volumes", *monai], tmp_path)


def test_steps_of_a_refiner_stay_on_the_device(tmp_path):
    pretend(["refiner"], tmp_path)


def test_rounds_of_every_network_under_every_loss_stay_on_the_device(tmp_path):
    pretend([network.kind for network in NETWORKS], tmp_path)
