"""Refined sets: what stays, what is chosen, what is refused, and what a kill leaves."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from conftest import blobs, write_slices
from mrgantry.common.errors import DataError, RecipeError
from mrgantry.data.slices import SliceSet
from mrgantry.generate import train
from mrgantry.generate.labels import Labels
from mrgantry.refinement import refine
from mrgantry.refinement import refiner as refiners
from mrgantry.refinement.agreement import TWO_VISITS
from mrgantry.refinement.strength import largest, trials
from mrgantry.refinement.way import STRENGTHS, Way, renoising
from recipes import SMALL, SMALL_FLOW

PEOPLE = [f"r{number // 6}" for number in range(48)]
SPLITS = ["train"] * 30 + ["test"] * 18


def stub(change):
    """A way that does the same to every image, more of it at a larger strength."""
    return Way(1.0, lambda images, labels, rows, strength: change(images, strength))


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in (folder / "parts").iterdir()}


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """Blobs to refine, real ones that are brighter and broader, and a flow that knows those."""
    folder = tmp_path_factory.mktemp("refine")
    maps = (blobs(12, seed=1)[:, 0] > 0).astype(np.uint8)
    names = [f"m{number // 4}" for number in range(12)]
    write_slices(
        folder / "made", blobs(12, seed=1), names, [""] * 12, tumour=["yes"] * 12, maps=maps
    )
    real = np.clip(blobs(48, seed=2) + 0.3, -1, 1)
    write_slices(folder / "real", real, PEOPLE, SPLITS)
    train(folder / "real", folder / "flow", SMALL_FLOW.set(["images=64"]))
    return folder


class TestWhatIsChosen:
    def test_nothing_changed_may_go_all_the_way(self, brains):
        before, made = trials(stub(lambda images, strength: images), brains, Labels())
        assert [trial.strength for trial in made] == list(STRENGTHS)
        assert largest(made, brains.folder) == 1.0
        np.testing.assert_array_equal(before, made[-1].images)

    def test_a_way_that_moves_brains_is_caught(self, brains):
        moves = stub(lambda images, strength: images.roll(2, -1))
        _, made = trials(moves, brains, Labels())
        assert len(made) == 1 and not made[0].holds
        with pytest.raises(DataError, match="Already at strength 0.05.* of tissue .*--strength"):
            largest(made, brains.folder)

    def test_a_way_that_paints_tumours_over_stops_in_time(self, brains):
        inside = torch.from_numpy(brains.maps > 0)[:, None]

        def paint(images, strength):
            # All slices are tried at once, in their order.
            healthy = torch.where(inside, torch.full_like(images, -0.2), images)
            return torch.lerp(images, healthy, strength)

        _, made = trials(stub(paint), brains, Labels())
        taken = largest(made, brains.folder)
        assert taken < 1 and not made[-1].holds
        assert made[-1].kept.lesion < TWO_VISITS.lesion or (
            made[-1].kept.lesion_low < TWO_VISITS.lesion_low
        )

    def test_contrast_may_change(self, brains):
        _, made = trials(stub(lambda images, s: images * (1 - 0.2 * s)), brains, Labels())
        assert largest(made, brains.folder) >= 0.5


class TestTheSet:
    def test_rows_and_maps_stay_and_people_are_known(self, room, tmp_path):
        made, real = SliceSet.open(room / "made"), SliceSet.open(room / "real")
        done = refine(made.folder, tmp_path / "out", real.folder, strength=1.0, images=320)
        same = ["id", "subject", "split", "tumour", "sequence", "plane", "pixel_mm"]
        pd.testing.assert_frame_equal(done.table[same], made.table[same])
        np.testing.assert_array_equal(done.maps, made.maps)
        assert set(done.table["source"]) == {"synthetic"} and done.about.synthetic
        assert done.about.training_subjects == tuple(
            sorted(
                {
                    *(name for name, split in zip(PEOPLE, SPLITS) if split == "train"),
                    *made.table["subject"],
                }
            )
        )
        assert done.about.notes.refined == {"strength": 1.0, "chosen": False}
        assert not np.array_equal(done.images, made.images)
        black = made.images == -1
        assert (done.images[black] == -1).all()
        assert (tmp_path / "out/preview.png").is_file()

    def test_a_flow_changes_little_with_little_noise(self, room, tmp_path):
        made = SliceSet.open(room / "made")
        by = {
            strength: refine(
                made.folder, tmp_path / str(strength), run=room / "flow", strength=strength
            )
            for strength in (0.02, 0.8)
        }
        little, much = (np.abs(by[s].images - made.images).mean() for s in (0.02, 0.8))
        assert little < 0.1 < much

    def test_an_image_follows_from_its_row_alone(self, room, tmp_path):
        made = SliceSet.open(room / "made")
        whole = refine(made.folder, tmp_path / "whole", run=room / "flow", strength=0.3)
        way = renoising(refiner_flow(room / "flow"), 0)
        alone = way.refine(torch.from_numpy(made.images[7:8]).float(), torch.zeros(1, 0), [7], 0.3)
        np.testing.assert_allclose(alone.numpy(), whole.images[7:8], atol=2e-2)

    def test_a_killed_refiner_goes_on_where_it_was(self, room, tmp_path, monkeypatch):
        monkeypatch.setattr(refiners, "SNAPSHOT", 3)
        asked = {"strength": 1.0, "images": 160}
        refine(room / "made", tmp_path / "whole", room / "real", **asked)
        step = refiners.take_step

        def stop(learning, *others):
            if learning.step == 7:
                raise KeyboardInterrupt
            step(learning, *others)

        monkeypatch.setattr(refiners, "take_step", stop)
        with pytest.raises(KeyboardInterrupt):
            refine(room / "made", tmp_path / "parts", room / "real", **asked)
        seen = []
        monkeypatch.setattr(
            refiners,
            "take_step",
            lambda learning, *o: (seen.append(learning.step), step(learning, *o)),
        )
        refine(room / "made", tmp_path / "parts", room / "real", **asked)
        assert seen == list(range(6, 10))
        assert bytes_of(tmp_path / "whole") == bytes_of(tmp_path / "parts")

    def test_the_command_makes_it_again(self, room, tmp_path):
        done = refine(room / "made", tmp_path / "out", run=room / "flow", strength=0.1, seed=3)
        assert done.about.command.endswith(f"--run {room / 'flow'} --strength 0.1 --seed 3")
        again = refine(room / "made", tmp_path / "out", run=room / "flow", strength=0.1, seed=3)
        assert again.about.fingerprint == done.about.fingerprint


def refiner_flow(run):
    from mrgantry.generate import Run

    return Run.open(run).generator()


class TestRefused:
    def test_neither_or_both(self, room, tmp_path):
        for asked in ({}, {"towards": room / "real", "run": room / "flow"}):
            with pytest.raises(DataError, match="--towards SLICES.*--run RUN"):
                refine(room / "made", tmp_path / "out", **asked)
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("strength", [0, -0.1, 1.2])
    def test_a_strength_out_of_range(self, room, tmp_path, strength):
        with pytest.raises(DataError, match="above 0 and at most 1"):
            refine(room / "made", tmp_path / "out", room / "real", strength=strength)

    def test_a_gan(self, room, tmp_path):
        train(room / "real", tmp_path / "gan", SMALL.set(["images=16"]))
        with pytest.raises(RecipeError, match="is a GAN.*--towards"):
            refine(room / "made", tmp_path / "out", run=tmp_path / "gan")

    def test_images_of_another_size(self, room, tmp_path):
        write_slices(tmp_path / "large", blobs(4, 32), list("aabb"), [""] * 4)
        for asked in ({"towards": room / "real"}, {"run": room / "flow"}):
            with pytest.raises(DataError, match="32 pixels.*16"):
                refine(tmp_path / "large", tmp_path / "out", **asked)

    def test_another_plane(self, room, tmp_path):
        other = {"plane": "coronal"}
        write_slices(tmp_path / "coronal", blobs(4), list("aabb"), [""] * 4, columns=other)
        for asked in ({"towards": room / "real"}, {"run": room / "flow"}):
            with pytest.raises(DataError, match="coronal.*axial"):
                refine(tmp_path / "coronal", tmp_path / "out", **asked)

    def test_what_is_not_real_or_too_little(self, room, tmp_path):
        write_slices(tmp_path / "synthetic", blobs(30), [""] * 30, ["train"] * 30, synthetic=True)
        with pytest.raises(DataError, match="is synthetic"):
            refine(room / "made", tmp_path / "out", tmp_path / "synthetic")
        write_slices(tmp_path / "few", blobs(6), list("aabbcc"), ["train"] * 6)
        with pytest.raises(DataError, match="has 6 images; a refiner needs at least 20"):
            refine(room / "made", tmp_path / "out", tmp_path / "few")

    def test_a_damaged_state(self, room, tmp_path):
        asked = {"strength": 1.0, "images": 32}
        refine(room / "made", tmp_path / "out", room / "real", **asked)
        (tmp_path / "out/refiner.pt").write_bytes(b"nothing")
        with pytest.raises(Exception, match="refiner.pt is damaged"):
            refine(room / "made", tmp_path / "out", room / "real", **asked)
        assert json.loads((tmp_path / "out/about.json").read_text())["complete"]
