"""kill -9 at any moment, and the same command again: the result is the uninterrupted one."""

import hashlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import brain_phantom, write_nifti
from squares import as_synthetic, heads, write

pytestmark = pytest.mark.slow


def start(words, folder):
    command = [sys.executable, "-m", "mrgantry", *words.split()]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)


def finish(words, folder):
    assert start(words, folder).wait() == 0


def killed_until_done(words, folder, after, grain):
    """Kill the command again and again, each time once something more stands on disk."""
    kills = 0
    while True:
        process = start(words, folder)
        before = files(folder / after, grain)
        while process.poll() is None and files(folder / after, grain) <= before:
            time.sleep(0.02)
        time.sleep(0.05 * (kills % 4))
        if process.poll() is not None:
            assert process.returncode == 0
            return kills
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        if kills == 4:
            finish(words, folder)
            return kills


def files(folder, grain):
    return sum(path.name[0] != "." for path in folder.rglob(grain)) if folder.is_dir() else 0


def contents(folder: Path, *patterns: str) -> dict[str, str]:
    found = [path for pattern in patterns for path in folder.rglob(pattern)]
    found = sorted(path for path in found if not path.name.startswith("."))
    assert found
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in found
    }


def compare(tmp_path, words, after, grain, *patterns, before=()):
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir(exist_ok=True)
        for earlier in before:
            finish(earlier, tmp_path / name)
    finish(words, tmp_path / "whole")
    kills = killed_until_done(words, tmp_path / "parts", after, grain)
    assert kills >= 2
    assert contents(tmp_path / "whole", *patterns) == contents(tmp_path / "parts", *patterns)


def phantoms(tmp_path, count=30):
    for name in ("whole", "parts"):
        for number in range(count):
            path = tmp_path / name / f"scans/p{number:02d}/t1.nii.gz"
            write_nifti(path, brain_phantom(number, (64, 72, 60)), "LPS")


PREPARE = "prepare scans slices --sequence t1 --slices 0.3:0.7 --size 16 --workers 1"
TRAIN = (
    "train slices run --recipe gantry-gan-64 --set size=16 --set width=32 --set critic_width=32 "
    "--set batch=16 --set images=9600 --set precision=fp32"
)


def test_simulate(tmp_path):
    words = "simulate cohort --subjects 3 --seed 3 --sequence t1 --sequence t2"
    compare(tmp_path, words, "cohort", "*.nii.gz", "*.nii.gz", "cohort.csv", "subject.json")


def test_prepare(tmp_path):
    phantoms(tmp_path)
    compare(tmp_path, PREPARE, "slices/parts", "*.npy", "*.npy", "*.csv", "about.json")


def test_train(tmp_path):
    phantoms(tmp_path, 10)
    compare(tmp_path, TRAIN, "run/samples", "*.png", "*.safetensors", "*.png", before=[PREPARE])


def test_train_a_flow(tmp_path):
    phantoms(tmp_path, 10)
    words = (
        "train slices run --recipe gantry-64 --start none --set size=16 --set widths=[16,32] "
        "--set batch=8 --set images=3200 --set precision=fp32 --set warm_up=80 --set every=160"
    )
    compare(tmp_path, words, "run/samples", "*.png", "*.safetensors", "*.png", before=[PREPARE])


def test_sample(tmp_path):
    phantoms(tmp_path, 10)
    before = [PREPARE, TRAIN.replace("9600", "320")]
    words = "sample run synthetic --count 12000"
    compare(tmp_path, words, "synthetic/parts", "*.npy", "*.npy", "slices.csv", before=before)


def test_project(tmp_path):
    phantoms(tmp_path, 10)
    before = [PREPARE, TRAIN.replace("9600", "320")]
    words = "project run slices projection --count 10 --steps 100"
    compare(tmp_path, words, "projection/parts", "*.npz", "*.csv", "*.npy", "*.png", before=before)


def test_detect(tmp_path):
    for name in ("whole", "parts"):
        write(tmp_path / name / "real", 12, 4, (5, 3, 4), size=32)
        as_synthetic(tmp_path / name / "made", *heads(6, 4, size=32, seed=9), ["p000", "p001"])
    words = (
        "detect real out --synthetic made --seeds 2 --set network=small --set weights=scratch "
        "--set batch=8 --set epochs=3 --set precision=fp32"
    )
    compare(tmp_path, words, "out/parts", "*.json", "out/*.csv")
