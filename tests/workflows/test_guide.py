"""The way for a folder: options fit what lies there, and every command can be pasted."""

import shlex
import shutil

import nibabel as nib
import numpy as np
import pytest
import typer

from mrgantry.cli import app
from mrgantry.common.errors import DataError
from mrgantry.workflows.guide import guide


def parses(command):
    """Read a command as the command line does, without running it."""
    words = shlex.split(command)
    assert words[0] == "mrgantry"
    found, context = typer.main.get_command(app), None
    for word in words[1:]:
        context = context or found.make_context("mrgantry", [word], resilient_parsing=True)
        found = found.commands[word]
        if not hasattr(found, "commands"):
            break
    rest = words[words.index(word) + 1 :]
    found.make_context(word, rest, parent=context)


def test_mapped_tumours_lead_to_a_segmenter(cohort):
    found = guide(cohort)
    assert found.found == ("10 people: 10 T1, 10 FLAIR.", "Label maps: of 10 people.")
    prepare = found.steps[1].command
    assert "--sequence flair --slices" in prepare and "--label-maps" in prepare
    assert "--splits 0.6:0.15:0.25" in prepare and "--plane" not in prepare
    assert any(step.command.startswith("mrgantry segment ") for step in found.steps)
    assert "intervals will be wide" in found.warnings[0]
    for step in found.steps:
        parses(step.command)
    assert repr(found).startswith("10 people: 10 T1, 10 FLAIR.\n")


def test_few_people_are_looked_at_only(cohort):
    for number in range(2, 10):
        shutil.rmtree(cohort / f"BraTS20_Training_{number:03d}")
    found = guide(cohort)
    assert [step.command.split()[1] for step in found.steps] == ["inspect", "prepare"]
    assert "2 people cannot be split" in found.warnings[0] and "--label-maps" not in repr(found)


def test_thick_slices_are_cut_where_they_lie(tmp_path):
    folder = tmp_path / "my scans"
    for number in range(5):
        (folder / f"p{number}").mkdir(parents=True)
        affine = np.diag([6.0, 1, 1, 1])  # x runs to the right: sagittal slices
        image = nib.Nifti1Image(np.random.default_rng(number).random((20, 90, 90)), affine)
        nib.save(image, folder / f"p{number}/t1.nii.gz")
    found = guide(folder)
    assert "Slices are thick and sagittal" in found.found[-1]
    assert "--plane sagittal" in found.steps[1].command and "'" in found.steps[1].command
    for step in found.steps:
        parses(step.command)


def test_a_folder_without_scans_is_told(tmp_path):
    with pytest.raises(DataError):
        guide(tmp_path)
