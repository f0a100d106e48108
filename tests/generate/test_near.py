"""Images that are drawn near real slices, and what says that they are copies."""

import json
import logging
import shutil

import numpy as np
import pandas as pd
import pytest

from conftest import blobs, write_slices
from mrgantry.common.errors import DataError
from mrgantry.generate import project, sample, train
from mrgantry.generate.near import nearest_strangers
from recipes import SMALL_FLOW, hasty

SUBJECTS = [f"s{number // 4}" for number in range(40)]
SPLITS = ["train" if number < 24 else "test" for number in range(40)]


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """Slices, a GAN and a flow that know them, and projections of training slices by both."""
    folder = tmp_path_factory.mktemp("near")
    write_slices(folder / "slices", blobs(40), SUBJECTS, SPLITS)
    for name, recipe in (("gan", hasty(latent=4)), ("flow", SMALL_FLOW.set(["images=64"]))):
        train(folder / "slices", folder / name, recipe)
        steps = {"steps": 20, "restarts": 2}
        project(folder / name, folder / "slices", folder / f"{name}-near", 5, ["train"], **steps)
    return folder


@pytest.mark.parametrize("name", ["gan", "flow"])
def test_without_spread_projections_are_drawn_themselves(room, tmp_path, name):
    near = room / f"{name}-near"
    drawn = sample(room / name, tmp_path / "out", 10, near=near, spread=0)
    np.testing.assert_array_equal(drawn.images[:5], drawn.images[5:])
    table = pd.read_csv(tmp_path / "out/near.csv")
    projected = pd.read_csv(near / "projection.csv").set_index("id")["rmse"]
    assert table["near"].tolist()[:5] == table["near"].tolist()[5:]
    if name == "gan":  # a flow is drawn in fewer steps than it was inverted in
        np.testing.assert_allclose(table["rmse"], projected[table["near"]], atol=2e-3)


def test_a_whole_spread_forgets_the_slices(room, tmp_path):
    near = {"near": room / "gan-near"}
    drawn = sample(room / "gan", tmp_path / "far", 10, spread=1, **near)
    fresh = sample(room / "gan", tmp_path / "fresh", 10)
    np.testing.assert_allclose(drawn.images, fresh.images, atol=2e-3)
    between = sample(room / "gan", tmp_path / "between", 10, spread=0.5, **near)
    assert not np.allclose(between.images, fresh.images, atol=0.05)


def test_copies_are_counted_and_said(room, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        drawn = sample(
            room / "flow",
            tmp_path / "out",
            5,
            near=room / "flow-near",
            spread=0,
            how=["steps=60", "method=heun"],
        )
    facts = drawn.about.notes.near
    assert facts["slices"] == 5 and facts["nearer_than_strangers"] >= 4
    assert "nearer to the slice that they were drawn near" in caplog.text
    assert json.loads((tmp_path / "out/about.json").read_text())["notes"]["near"] == facts
    again = sample(
        room / "flow",
        tmp_path / "out",
        5,
        near=room / "flow-near",
        spread=0,
        how=["steps=60", "method=heun"],
    )
    assert again.about.fingerprint == drawn.about.fingerprint


def test_the_nearest_stranger_is_of_another_person(tmp_path):
    images = np.full((3, 1, 16, 16), -1, np.float16)
    images[1] += 0.1
    images[2] += 1
    data = write_slices(tmp_path / "slices", images, ["a", "a", "b"], ["train"] * 3)
    np.testing.assert_allclose(nearest_strangers(data, data), [1, 0.9, 0.9], atol=1e-3)


def test_people_who_were_held_out_are_named(room, tmp_path):
    project(room / "gan", room / "slices", tmp_path / "held", 4, ["test"], steps=3, restarts=1)
    drawn = sample(room / "gan", tmp_path / "out", 4, near=tmp_path / "held")
    assert {"s6", "s7", "s8", "s9"} <= set(drawn.about.training_subjects)


def test_what_does_not_fit_is_refused(room, tmp_path):
    with pytest.raises(DataError, match="from 0 .stay. to 1"):
        sample(room / "gan", tmp_path / "out", 4, near=room / "gan-near", spread=2)
    with pytest.raises(DataError, match="no whole projection|not a whole projection"):
        sample(room / "gan", tmp_path / "out", 4, near=room / "slices")
    with pytest.raises(DataError, match="of other weights"):
        sample(room / "gan", tmp_path / "out", 4, near=room / "flow-near")
    with pytest.raises(DataError, match="leave masks and labels out"):
        sample(room / "gan", tmp_path / "out", 4, near=room / "gan-near", labels=["tumour=yes"])
    shutil.copytree(room / "gan-near", tmp_path / "near")
    facts = json.loads((tmp_path / "near/project.json").read_text())
    write_slices(tmp_path / "others", blobs(40, seed=3), SUBJECTS, SPLITS)
    (tmp_path / "near/project.json").write_text(
        json.dumps(facts | {"slices": str(tmp_path / "others")})
    )
    with pytest.raises(DataError, match="no longer the set"):
        sample(room / "gan", tmp_path / "out", 4, near=tmp_path / "near")
