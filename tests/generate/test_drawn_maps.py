"""Networks draw label maps with their images, and the maps mean what the images show."""

import numpy as np
import pandas as pd
import pytest

from conftest import blobs, write_slices
from mrgantry.common.errors import DataError, RecipeError
from mrgantry.evaluation.selection.select import select
from mrgantry.generate import Run, project, sample, train
from recipes import SMALL, SMALL_FLOW

RECIPES = {"flow": SMALL_FLOW, "gan": SMALL}


def mapped(images):
    """Map the bright middle of a blob as the first class, and what lies round it as the second."""
    return np.where(images[:, 0] > 0.4, 1, np.where(images[:, 0] > -0.4, 2, 0)).astype(np.uint8)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Slices of eight people whose two channels show the same blob."""
    images = blobs(64)
    both = np.concatenate([images, -images], 1)
    subjects = [f"s{number // 8}" for number in range(64)]
    splits = ["train"] * 40 + ["validation"] * 8 + ["test"] * 16
    folder = tmp_path_factory.mktemp("mapped") / "slices"
    return write_slices(folder, both, subjects, splits, maps=mapped(images))


def dice(first, second):
    return 2 * (first & second).sum() / max(1, first.sum() + second.sum())


@pytest.fixture(scope="module")
def learnt(data, tmp_path_factory):
    """A flow that has learnt images with their maps."""
    run = tmp_path_factory.mktemp("learnt") / "run"
    train(data.folder, run, SMALL_FLOW.set(["images=2400", "steps=6", "label_maps=true"]))
    return run


def test_what_a_flow_maps_is_what_it_shows(learnt, tmp_path):
    made = sample(learnt, tmp_path / "out", 48)
    assert made.about.classes == ("core", "oedema") and made.images.shape[1] == 2
    assert set(np.unique(made.maps)) <= {0, 1, 2}
    # Half the blobs cover half the others by chance; those drawn with an image lie on it.
    shown = mapped(made.images)
    for number in (1, 2):
        alike = dice(made.maps == number, shown == number)
        shuffled = dice(made.maps == number, np.roll(shown, 1, 0) == number)
        assert alike > shuffled + 0.15, number


@pytest.mark.parametrize("kind", RECIPES)
def test_a_run_with_maps_is_resumed_and_sampled_to_the_byte(data, tmp_path, kind):
    class StopHere(Exception):
        pass

    def stop(run, seen):
        if seen >= 64:
            raise StopHere

    recipe = RECIPES[kind].set(["images=160", "label_maps=true"])
    train(data.folder, tmp_path / "whole", recipe)
    with pytest.raises(StopHere):
        train(data.folder, tmp_path / "parts", recipe, on_snapshot=stop)
    train(data.folder, tmp_path / "parts", recipe)
    whole, parts = (
        sample(tmp_path / name, tmp_path / f"of-{name}", 4) for name in ("whole", "parts")
    )
    assert np.array_equal(whole.maps, parts.maps)
    assert np.array_equal(whole.images, parts.images)
    later = sample(tmp_path / "whole", tmp_path / "later", 2, seed=2)
    assert np.array_equal(later.maps, whole.maps[2:])
    assert Run.open(tmp_path / "whole").facts.drawn == 4


def test_tumours_are_told_by_the_maps_without_their_specks(data, tmp_path, monkeypatch):
    recipe = SMALL.set(["images=16", "label_maps=true"])
    train(data.folder, tmp_path / "run", recipe)
    drawn = np.full((3, 4, 16, 16), -1, np.float16)
    drawn[0, 2, 3:11, 3:11] = 1  # 64 mm2
    drawn[1, 3, 3:9, 3:9] = 1  # 36 mm2
    drawn[2, 3, 3:6, 3:6] = 1  # 9 mm2, a speck
    monkeypatch.setattr("mrgantry.generate.sampling.draw_images", lambda *_: drawn)
    made = sample(tmp_path / "run", tmp_path / "out", 3)
    assert made.table["tumour"].tolist() == ["yes", "unclear", "no"]
    assert made.table["tumour_mm2"].tolist() == [64, 36, 0]
    assert made.about.notes.specks == 1 and not made.maps[2].any()
    assert (made.maps[0, 3:11, 3:11] == 1).all() and (made.maps[1, 3:9, 3:9] == 2).all()


def test_a_recipe_that_draws_maps_needs_some(slices, tmp_path):
    with pytest.raises(DataError, match="no label maps. Prepare it with --label-maps"):
        train(slices.folder, tmp_path / "run", SMALL.set(["label_maps=true"]))


def test_images_alone_are_drawn_unless_maps_are_asked_for(data, tmp_path):
    train(data.folder, tmp_path / "run", SMALL.set(["images=16"]))
    made = sample(tmp_path / "run", tmp_path / "out", 2)
    assert made.about.classes == () and made.images.shape[1] == 2


def test_what_is_projected_is_drawn_alone(data, tmp_path):
    train(data.folder, tmp_path / "run", SMALL.set(["images=16", "label_maps=true"]))
    with pytest.raises(DataError, match="draws label maps with its images"):
        project(tmp_path / "run", data.folder, tmp_path / "out")


def test_selected_images_keep_their_maps(data, tmp_path):
    images = blobs(24, seed=5)
    images[::3] = np.random.default_rng(0).uniform(-1, 1, images[::3].shape)
    both = np.concatenate([images, -images], 1)
    made = write_slices(
        tmp_path / "out", both, ["s"] * 24, [""] * 24, synthetic=True, maps=mapped(images)
    )
    kept = select(made.folder, tmp_path / "kept", data.folder)
    rows = made.table["id"].isin(kept.table["id"]).to_numpy()
    assert 0 < len(kept) < len(made) and np.array_equal(kept.maps, made.maps[rows])


def test_an_image_is_drawn_for_the_map_it_is_given(data, learnt, tmp_path):
    made = sample(learnt, tmp_path / "out", 32, masks=data.folder, masks_split="test")
    held = data.split("test")
    held = held.where(np.asarray(held.maps.any((1, 2))))
    rows = np.arange(32) % len(held)
    assert np.array_equal(made.maps, held.maps[rows])
    sources = pd.read_csv(made.folder / "masks.csv")
    assert sources["map_of"].tolist() == held.table["id"].iloc[rows].tolist()
    shown = mapped(made.images) > 0
    obeyed = dice(shown, made.maps > 0)
    shuffled = dice(np.roll(shown, 3, 0), made.maps > 0)
    assert obeyed > shuffled + 0.2
    # Those whose maps were given have been seen, and must not judge.
    assert {"s6", "s7"} <= set(made.about.training_subjects)


def test_the_image_changes_where_the_map_does(data, learnt, tmp_path):
    moved = mapped(blobs(6, seed=3))
    places = [("here", moved), ("there", np.roll(moved, 5, 2))]
    images = []
    for name, maps in places:
        both = np.zeros((6, 2, 16, 16), np.float16)
        masks = write_slices(tmp_path / name, both, ["m"] * 6, ["train"] * 6, maps=maps)
        made = sample(learnt, tmp_path / f"of-{name}", 6, masks=masks.folder)
        images.append(made.images[:, 0].astype(float))
    here, there = (maps > 0 for _, maps in places)
    change = images[1] - images[0]
    assert change[there & ~here].mean() > change[here & ~there].mean() + 0.2


def test_maps_are_given_to_flows_that_have_learnt_the_like(data, learnt, slices, tmp_path):
    train(data.folder, tmp_path / "gan", SMALL.set(["images=16", "label_maps=true"]))
    with pytest.raises(RecipeError, match="is a GAN"):
        sample(tmp_path / "gan", tmp_path / "out", 2, masks=data.folder)
    train(data.folder, tmp_path / "plain", SMALL_FLOW.set(["images=16"]))
    with pytest.raises(DataError, match="has learnt no label maps"):
        sample(tmp_path / "plain", tmp_path / "out", 2, masks=data.folder)
    with pytest.raises(DataError, match="has no label maps"):
        sample(learnt, tmp_path / "out", 2, masks=slices.folder)
    other = write_slices(
        tmp_path / "other",
        data.images,
        ["a"] * 64,
        ["train"] * 64,
        maps=data.maps,
        classes=("x", "y"),
    )
    with pytest.raises(DataError, match="tell apart x, y at 16 x 16 pixels, but .* core, oedema"):
        sample(learnt, tmp_path / "out", 2, masks=other.folder)
    empty = write_slices(
        tmp_path / "empty", data.images, ["a"] * 64, ["train"] * 64, maps=0 * data.maps
    )
    with pytest.raises(DataError, match="are empty"):
        sample(learnt, tmp_path / "out", 2, masks=empty.folder)
