import json
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from conftest import blobs, write_slices
from mrgantry.common.errors import DataError, RunError
from mrgantry.common.picture import to_grey
from mrgantry.data.making import finish
from mrgantry.generate import sample, train, walk
from mrgantry.generate.latent_walk import way
from mrgantry.generate.latents import draw_latents, linear, spherical, usual_method
from recipes import hasty

HASTY = hasty(latent=8)


def trained(folder, channels=1, **changes):
    images = np.concatenate([blobs(16, seed=seed) for seed in range(channels)], 1)
    data = write_slices(folder / "slices", images, list("aabbccddeeffgghh"), ["train"] * 16)
    for name in "abcd":  # half of the subjects have a tumour
        path = data.folder / f"parts/{name}.csv"
        path.write_text(path.read_text().replace("unknown", "yes"))
    finish(data.folder, data.about, list(data.about.parts))
    return train(data.folder, folder / "run", HASTY.model_copy(update=changes)).folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("walk"))


def ends(prior, count=2):
    return draw_latents(prior, (count, 8), torch.Generator().manual_seed(0))


def frame(folder, number):
    with Image.open(folder / f"frames/{number:04d}.png") as picture:
        return np.asarray(picture)


def test_halfway_between_orthogonal_vectors_both_count_alike():
    a, b = torch.eye(3)[:2]
    half = spherical(a, b, torch.tensor([0.5]))
    assert torch.allclose(half, torch.tensor([[0.5**0.5, 0.5**0.5, 0.0]]))


def test_the_great_circle_is_walked_at_even_speed():
    a, b = ends("unit-sphere")
    walked = spherical(a, b, torch.linspace(0, 1, 11))
    cosines = (walked[1:] * walked[:-1]).sum(1)
    assert torch.allclose(cosines, cosines[:1].expand(10), atol=1e-5)


@pytest.mark.parametrize("angle", [0.0, 1e-6, torch.pi])
def test_where_there_is_no_one_great_circle_the_line_is_taken(angle):
    angle = torch.tensor(angle, dtype=torch.float64)
    a = torch.tensor([1.0, 0.0], dtype=torch.float64)
    b = torch.stack([angle.cos(), angle.sin()])
    shares = torch.linspace(0, 1, 5, dtype=torch.float64)
    assert torch.equal(spherical(a, b, shares), linear(a, b, shares))


@pytest.mark.parametrize(("prior", "length"), [("sphere", 8**0.5), ("unit-sphere", 1.0)])
def test_spheres_are_not_left(prior, length):
    assert torch.allclose(
        way(ends(prior, 3), 7, "spherical", prior).norm(dim=1), torch.tensor(length)
    )


def test_the_published_line_cuts_through_the_sphere():
    both = ends("unit-sphere")
    walked = way(both, 5, "linear", "unit-sphere")
    assert torch.allclose(walked[2], both.mean(0))
    assert walked[2].norm() < 0.99
    assert torch.allclose(walked.diff(dim=0), ((both[1] - both[0]) / 4).expand(4, 8), atol=1e-6)


def test_a_circle_that_would_leave_the_cube_is_kept_inside():
    both = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    assert way(both, 5, "spherical", "uniform").abs().max() == 1


def test_the_usual_method_follows_the_prior():
    assert usual_method("uniform") == "linear"
    assert {usual_method(prior) for prior in ("normal", "sphere", "unit-sphere")} == {"spherical"}


@pytest.mark.parametrize("method", ["spherical", "linear"])
def test_legs_share_their_ends(method):
    seeds = ends("normal", 3)
    walked = way(seeds, 4, method, "normal")
    assert len(walked) == 7
    assert torch.allclose(walked[[0, 3, 6]], seeds)


@pytest.mark.parametrize("method", [None, "linear"])
def test_the_ends_are_the_images_of_their_seeds(run, tmp_path, method):
    walk(run, tmp_path / "walk", (3, 5), 4, method)
    drawn = to_grey(sample(run, tmp_path / "drawn", 3, seed=3).images[:, 0])
    for number, image in ((0, drawn[0]), (3, drawn[2])):
        assert np.abs(frame(tmp_path / "walk", number).astype(int) - image).max() <= 1


def test_all_that_was_promised_is_written(run, tmp_path):
    done = walk(run, tmp_path / "walk", (0, 1, 2), 7, gif_seconds=2.4)
    assert {path.name for path in (tmp_path / "walk").iterdir()} == {
        "frames",
        "walk.gif",
        "strip.png",
        "walk.csv",
        "walk.json",
    }
    table = pd.read_csv(tmp_path / "walk/walk.csv")
    assert list(table.columns) == ["frame", "position", "change"]
    assert table["position"].iloc[[0, 6, 12]].tolist() == [0, 1, 2]
    one, two = (frame(tmp_path / "walk", number) / 127.5 for number in (4, 5))
    assert table["change"][5] == pytest.approx(np.abs(two - one).mean(), abs=5e-3)
    with Image.open(tmp_path / "walk/strip.png") as strip:
        assert strip.size == (160, 32)
    told = json.loads((tmp_path / "walk/walk.json").read_text())
    assert told["complete"] and told["choices"]["method"] == done.method == "spherical"
    assert told["command"].endswith(
        "--seeds 0 --seeds 1 --seeds 2 --steps 7 --method spherical --gif-seconds 2.4"
    )
    assert told["largest_change"] == pytest.approx(table["change"].max(), abs=1e-6)


def test_the_animation_goes_there_and_back(run, tmp_path):
    walk(run, tmp_path / "walk", (0, 1), 5, gif_seconds=1.6)
    with Image.open(tmp_path / "walk/walk.gif") as gif:
        assert (gif.n_frames, gif.size, gif.info["loop"]) == (8, (256, 256), 0)
        assert gif.info["duration"] == 200
        for number, place in enumerate([0, 1, 2, 3, 4, 3, 2, 1]):
            gif.seek(number)
            shown = np.asarray(gif.convert("L"))[::16, ::16]
            np.testing.assert_array_equal(shown, frame(tmp_path / "walk", place))


def test_channels_lie_side_by_side(tmp_path):
    walk(trained(tmp_path, channels=2), tmp_path / "walk", steps=2)
    assert frame(tmp_path / "walk", 0).shape == (16, 32)


def test_one_label_holds_for_the_whole_walk(tmp_path):
    run = trained(tmp_path, labels=("tumour",))
    walk(run, tmp_path / "walk", (0, 1), 3, labels=["tumour=yes"])
    told = json.loads((tmp_path / "walk/walk.json").read_text())
    assert told["labels_of_all_images"] == {"tumour": "yes"}
    drawn = to_grey(sample(run, tmp_path / "drawn", 2, labels=["tumour=yes"]).images[:, 0])
    for number, image in ((0, drawn[0]), (2, drawn[1])):
        assert np.abs(frame(tmp_path / "walk", number).astype(int) - image).max() <= 1
    first = sample(run, tmp_path / "any", 1).table["tumour"][0]
    walk(run, tmp_path / "free", (0, 1), 3)
    told = json.loads((tmp_path / "free/walk.json").read_text())
    assert told["labels_of_all_images"] == {"tumour": first}
    with pytest.raises(DataError, match="no label 'sequence'"):
        walk(run, tmp_path / "other", labels=["sequence=t1"])
    assert not (tmp_path / "other").exists()


def test_what_cannot_be_walked_is_refused(run, tmp_path):
    for words, sentence in [
        ({"seeds": (1,)}, "needs 2 or more seeds and steps, not 1 seed"),
        ({"steps": 1}, "and 1 step"),
        ({"method": "round"}, "Unknown method 'round'; it is spherical or linear"),
        ({"gif_seconds": 0}, "more than 0 seconds"),
    ]:
        with pytest.raises(DataError, match=sentence):
            walk(run, tmp_path / "walk", **words)
    assert not (tmp_path / "walk").exists()


def test_other_walks_and_foreign_folders_are_left_alone(run, tmp_path):
    walk(run, tmp_path / "walk", steps=3)
    before = (tmp_path / "walk/strip.png").read_bytes()
    with pytest.raises(RunError, match="steps was 3, now 4"):
        walk(run, tmp_path / "walk", steps=4)
    assert (tmp_path / "walk/strip.png").read_bytes() == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="is not empty and is not"):
        walk(run, tmp_path / "mine")


def test_an_interrupted_walk_says_so_and_the_same_call_ends_it(run, tmp_path, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(sys.modules["mrgantry.generate.latent_walk"], "save_gif", stop)
        walk(run, tmp_path / "walk", steps=3)
    assert not json.loads((tmp_path / "walk/walk.json").read_text())["complete"]
    walk(run, tmp_path / "walk", steps=3)
    assert json.loads((tmp_path / "walk/walk.json").read_text())["complete"]
