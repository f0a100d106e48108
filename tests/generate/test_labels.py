"""Conditional networks: what they are told, and that they learn it."""

import numpy as np
import pandas as pd
import pytest
import torch

from conftest import blobs, write_slices
from mrgantry.common.errors import DataError
from mrgantry.data import SlicePlan, prepare
from mrgantry.data.making import finish
from mrgantry.data.parts import write_part
from mrgantry.data.rows import units_of
from mrgantry.data.slices import SliceSet
from mrgantry.generate import Run, sample, train
from mrgantry.generate.adversarial import GanTraining
from mrgantry.generate.labels import Labels
from recipes import SMALL

TABLE = pd.DataFrame(
    {
        "tumour": ["yes", "no", "no", "no"],
        "sequence": ["t1", "t1", "flair", "flair"],
        "plane": ["axial"] * 4,
    }
)
RECIPE = SMALL.model_copy(update={"images": 320, "labels": ("tumour", "sequence"), "ema": None})


class TestLabels:
    labels = Labels.of_table(TABLE, ("tumour", "sequence", "plane"))

    def test_a_column_with_one_value_is_left_out(self):
        assert self.labels.levels == {"tumour": ("no", "yes"), "sequence": ("flair", "t1")}
        assert Labels.of_table(TABLE, ("plane",)).width == 0
        assert Labels().of_rows(TABLE).shape == (4, 0)

    def test_codes(self):
        assert self.labels.of_rows(TABLE).tolist() == [
            [0, 1, 0, 1],
            [1, 0, 0, 1],
            [1, 0, 1, 0],
            [1, 0, 1, 0],
        ]

    def test_labels_are_drawn_as_often_as_they_were_seen(self):
        random = torch.Generator().manual_seed(0)
        drawn = [self.labels.draw(random) for _ in range(400)]
        assert {one: drawn.count(one) / 400 for one in set(drawn)} == {
            ("yes", "t1"): pytest.approx(0.25, abs=0.06),
            ("no", "t1"): pytest.approx(0.25, abs=0.06),
            ("no", "flair"): pytest.approx(0.5, abs=0.06),
        }

    def test_conditions(self):
        assert self.labels.only(["tumour=yes"]).seen == ((("yes", "t1"), 1),)
        with pytest.raises(DataError, match="no label 'grade' .it has tumour, sequence"):
            self.labels.only(["grade=HGG"])
        with pytest.raises(DataError, match="Unknown tumour 'yess'.*Did you mean 'yes'"):
            self.labels.only(["tumour=yess"])
        with pytest.raises(DataError, match="No training image was tumour=yes and sequence=flair"):
            self.labels.only(["tumour=yes", "sequence=flair"])
        with pytest.raises(DataError, match="unconditional"):
            Labels().only(["tumour=yes"])

    def test_a_value_that_all_images_had_may_be_asked_for(self):
        assert self.labels.only(["plane=axial"]) == self.labels
        with pytest.raises(DataError, match="All training images of the run had plane=axial"):
            self.labels.only(["plane=coronal"])


@pytest.fixture
def told(tmp_path) -> SliceSet:
    """Slices of which those with a 'tumour' are all bright, the others dark."""
    images = np.where(np.arange(32)[:, None, None, None] % 2, 0.8, -0.8) + 0.1 * blobs(32)
    data = write_slices(
        tmp_path / "told", images, [f"s{i // 4}" for i in range(32)], ["train"] * 32
    )
    for name in data.about.parts:
        rows = data.table[data.table["subject"] == name].copy()
        rows["tumour"] = ["yes" if int(row.split("-")[1]) % 2 else "no" for row in rows["id"]]
        write_part(data.folder, name, images[rows.index].astype(np.float16), rows)
    return finish(data.folder, data.about, data.about.parts)


def test_a_conditional_generator_learns_its_labels(told, tmp_path):
    train(told.folder, tmp_path / "run", RECIPE.set(["images=4800", "lr=2e-3"]))
    bright = sample(tmp_path / "run", tmp_path / "yes", 32, labels=["tumour=yes"])
    dark = sample(tmp_path / "run", tmp_path / "no", 32, labels=["tumour=no"])
    assert bright.images.mean() > 0.4 and dark.images.mean() < -0.4
    assert set(bright.table["tumour"]) == {"yes"} and set(dark.table["tumour"]) == {"no"}
    both = sample(tmp_path / "run", tmp_path / "both", 64)
    means = both.images.mean((1, 2, 3))
    assert set(both.table["tumour"]) == {"yes", "no"}
    assert ((means > 0) == (both.table["tumour"] == "yes")).mean() > 0.95


def test_labels_stand_in_the_run_and_the_weights(told, tmp_path):
    run = train(told.folder, tmp_path / "run", RECIPE)
    assert Run.open(run.folder).facts.labels.levels == {"tumour": ("no", "yes")}
    inputs, values = run.inputs(range(6))
    assert inputs.shape == (6, 8 + 2) and {value[0] for value in values} <= {"yes", "no"}
    again, _ = run.inputs([3])
    assert torch.equal(again[0], inputs[3])  # of its seed alone
    with pytest.raises(DataError, match="Unknown tumour 'maybe'"):
        sample(run.folder, tmp_path / "out", 4, labels=["tumour=maybe"])
    assert not (tmp_path / "out").exists()


def test_every_image_meets_its_own_label(told, tmp_path, monkeypatch):
    seen = []
    plain = GanTraining.critic_step

    def noting(self, real, fake, labels):
        seen.append(((real.mean((1, 2, 3)) > 0) == (labels[:, 1] > 0)).all().item())
        return plain(self, real, fake, labels)

    monkeypatch.setattr(GanTraining, "critic_step", noting)
    train(told.folder, tmp_path / "run", RECIPE)
    assert seen == [True] * 40


def test_volumes_of_oblique_sets_are_labelled(cohort, tmp_path):
    plan = SlicePlan(plane="oblique", poses=4, size=16, field_mm=24, sequences=("t1", "flair"))
    posed = prepare(cohort, tmp_path / "posed", plan, workers=1)
    recipe = RECIPE.set(['labels=["sequence"]', "images=64"])
    run = train(posed.folder, tmp_path / "run", recipe)
    assert run.facts.labels.levels == {"sequence": ("flair", "t1")}
    with pytest.raises(DataError, match="'tumour', which differs between poses, cannot be a lab"):
        train(posed.folder, tmp_path / "other", RECIPE)
    healthy = posed.where((posed.table["tumour"] == "no").to_numpy())
    assert len(units_of(healthy, ("tumour", "sequence")))  # alike in all poses: no matter


def test_labels_of_poses_are_those_of_their_volume(cohort, tmp_path, monkeypatch):
    plan = SlicePlan(plane="oblique", poses=4, size=16, field_mm=24, sequences=("t1", "flair"))
    posed = prepare(cohort, tmp_path / "posed", plan, workers=1)
    pairs = []

    def noting(self, real, fake, labels):
        rows = self.rows_at(self.state.images)
        heads = (rows // (len(self.pixels) // len(self.codes))).tolist()
        pairs.extend(zip(heads, labels[:, 0].tolist()))
        return plain(self, real, fake, labels)

    plain = GanTraining.critic_step
    monkeypatch.setattr(GanTraining, "critic_step", noting)
    recipe = RECIPE.set(['labels=["sequence"]', "images=64"])
    train(posed.folder, tmp_path / "run", recipe)
    table = posed.split("train").table
    of_head = table["sequence"].to_numpy()[::4]
    assert all((of_head[head] == "flair") == bool(flair) for head, flair in pairs)
    assert len({head for head, _ in pairs}) > 4
