"""Two processes on one CPU, joined by Fabric, do what one does with the whole batch."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from conftest import blobs, write_slices
from mrgantry.generate import Run
from mrgantry.generate.state import build

# No batch norm: its statistics are each process's own, as everywhere.
CHANGES = [
    "network=progressive",
    "network.base=128",
    "network.widest=16",
    "network.latent=8",
    "loss=wgangp",
    "schedule=growing",
    "size=16",
    "batch=16",
    "images=240",
    "precision=fp32",
    'augment={"start": 0.2}',
    "vat=1",
]


def command(data, run, devices):
    words = [sys.executable, "-m", "mrgantry", "train", data, run, "--recipe", "gantry-gan-64"]
    words += ["--devices", str(devices)]
    return [*map(str, words), *(word for change in CHANGES for word in ("--set", change))]


def environment():
    return os.environ | {"MASTER_ADDR": "127.0.0.1"}


def finish(data, run, devices):
    done = subprocess.run(
        command(data, run, devices),
        check=False,
        capture_output=True,
        text=True,
        env=environment(),
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("devices") / "slices"
    return write_slices(folder, blobs(40), [f"s{i // 5}" for i in range(40)], ["train"] * 40).folder


@pytest.mark.slow
def test_two_processes_equal_one_and_resume_after_a_kill(data, tmp_path):
    finish(data, tmp_path / "one", 1)
    said = finish(data, tmp_path / "two", 2)
    assert said.count("has seen 240 images") == 1  # one process speaks for all
    one, two = (
        [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    )
    assert [row["images"] for row in one] == [row["images"] for row in two]
    for key in ("critic_loss", "generator_loss", "penalty", "vat", "real_logit"):
        ours, theirs = ([row[key] for row in rows] for rows in (one, two))
        np.testing.assert_allclose(theirs, ours, rtol=0.02, atol=0.02, err_msg=key)
    recipe = Run.open(tmp_path / "one").recipe
    begun = build(recipe, 1, 0, torch.device("cpu")).networks()
    for name, network in begun.items():
        ours, theirs = (
            load_file(tmp_path / run / f"weights/{name}.safetensors") for run in ("one", "two")
        )
        start = network.state_dict()
        moved = sum(float((ours[key] - start[key]).square().sum()) for key in ours) ** 0.5
        apart = sum(float((ours[key] - theirs[key]).square().sum()) for key in ours) ** 0.5
        assert apart < 0.03 * moved, (name, apart, moved)

    run = tmp_path / "killed"
    process = subprocess.Popen(
        command(data, run, 2), stderr=subprocess.PIPE, env=environment(), start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not (run / "state.pt").is_file() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    finish(data, run, 2)
    for name in ("generator", "critic", "ema"):
        path = f"weights/{name}.safetensors"
        assert (run / path).read_bytes() == (tmp_path / "two" / path).read_bytes()
