"""The weights that come with mrgantry: whose they are, what they fit, and how they are made."""

import pandas as pd
import pytest
import torch

from mrgantry.common.errors import DataError
from mrgantry.generate import FlowRecipe
from mrgantry.generate.labels import Labels
from mrgantry.generate.networks.unet import DETAILS
from mrgantry.generate.start import find_start
from mrgantry.generate.state import build
from mrgantry.papers import find_recipe
from mrgantry.simulation import simulate
from mrgantry.simulation.cohort import RESERVED_SEED, person_name
from mrgantry.simulation.contrast import SEQUENCES
from mrgantry.workflows import heads

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def start():
    return find_start("heads-64")


def test_they_have_seen_simulated_people_alone_whom_nobody_else_gets(start, tmp_path):
    assert start.facts.source == "simulated"
    people = {person_name(heads.SEED, number) for number in range(1, heads.PEOPLE + 1)}
    assert len(start.facts.training_subjects) > 100 and set(start.facts.training_subjects) <= people
    assert heads.SEED >= RESERVED_SEED
    with pytest.raises(DataError, match="reserved for the weights that come with mrgantry"):
        simulate(tmp_path / "cohort", 1, seed=heads.SEED)


def test_they_know_sequence_plane_and_tumour(start):
    assert set(start.labels.levels) == {"sequence", "plane", "tumour"}
    assert start.labels.levels["plane"] == ("axial", "coronal", "sagittal")


@pytest.mark.parametrize(
    ("size", "name"),
    [(64, "heads-64"), (128, "heads-64"), (128, "heads-128"), (256, "heads-64")],
)
def test_they_fit_our_recipes_of_all_sizes(size, name):
    recipe, start = find_recipe(f"gantry-{size}"), find_start(name)
    assert isinstance(recipe, FlowRecipe)
    table = pd.DataFrame({"sequence": ["t1", "t2"], "plane": "axial", "tumour": "no"})
    labels = Labels.of_table(table, recipe.labels)
    state = build(recipe, 1, labels.width, CPU)
    said = start.give(state, labels, table)
    assert len(said) == (f"heads-{size}" != name)
    noise = torch.randn(1, 1, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert state.generator(noise, torch.ones(1), torch.tensor([[1.0, 0.0]])).std() > 0.01
    assert torch.equal(state.ema.last.weight, state.generator.last.weight)


def test_those_of_larger_images_share_their_body_with_the_others(start):
    larger = find_start("heads-128")
    ours, theirs = larger.tensors["generator"], start.tensors["generator"]
    body = [name for name in theirs if not name.startswith(DETAILS)]
    assert len(body) > 100
    assert all(torch.equal(ours[name], theirs[name]) for name in body)
    assert any(name.startswith("outer.") for name in ours)
    assert set(larger.facts.training_subjects) >= set(start.facts.training_subjects)
    recipe = heads.heads_recipe("128", 64)
    assert recipe.start == "heads-64" and recipe.network.learns == "details"
    assert heads.heads_recipe("64", 64).start is None


def test_those_of_whole_heads_fit_their_recipe_and_its_label_maps():
    recipe, start = find_recipe("gantry-64x72x64"), find_start("heads-64x72x64")
    assert isinstance(recipe, FlowRecipe) and recipe.start == "heads-64x72x64"
    assert set(start.labels.levels) == {"sequence", "tumour"}
    table = pd.DataFrame({"sequence": ["t1", "t2"], "plane": "volume", "tumour": "no"})
    labels = Labels.of_table(table, recipe.labels)
    state = build(recipe, 1, labels.width, CPU)
    assert start.give(state, labels, table) == ()
    (said,) = start.give(build(recipe, 3, labels.width, CPU), labels, table, classes=1)
    assert "became blocks" in said


def test_heads_are_cut_without_being_written_as_scans(tmp_path):
    recipe = heads.heads_recipe("64", 64).set(["size=32"])
    made = heads.cut_heads(tmp_path / "slices", 2, recipe)
    assert set(made.table["plane"]) == {"axial", "coronal", "sagittal"}
    assert set(made.table["sequence"]) == set(SEQUENCES)
    assert set(made.table["tumour"]) <= {"yes", "no"}
    assert set(made.table["subject"]) == {person_name(heads.SEED, n) for n in (1, 2)}
    assert made.about.source == "simulated"
    files = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "slices/parts").iterdir()}
    heads.cut_heads(tmp_path / "slices", 2, recipe)
    assert files == {p.name: p.stat().st_mtime_ns for p in (tmp_path / "slices/parts").iterdir()}


def test_whole_heads_are_turned_and_kept(tmp_path):
    recipe = heads.heads_recipe("64x72x64", 64)
    assert recipe.start == "heads-64" and recipe.labels == ("tumour", "sequence")
    recipe = recipe.set(["voxels=[32, 36, 32]"])
    made = heads.cut_heads(tmp_path / "heads", 2, recipe)
    assert made.images.shape == (8, 1, 32, 36, 32)  # two people in four sequences
    assert set(made.table["sequence"]) == set(SEQUENCES)
    assert set(made.table["pixel_mm"]) == {6.0}
    heads_of_one = made.images[:4, 0].astype("float32")
    brains = heads_of_one > -1
    shares = brains.mean((1, 2, 3))
    assert shares.min() > 0.1 and shares.max() < 0.6  # a brain fills a third of the field
    # Sequences of one person are one head, turned alike.
    overlap = (brains[0] & brains[1]).sum() / (brains[0] | brains[1]).sum()
    assert overlap > 0.98
