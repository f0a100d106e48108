"""Drawn label maps are compared with people's: each number on a known answer."""

import json

import numpy as np
import pytest

from conftest import blobs, write_slices
from mrgantry.evaluation import evaluate
from mrgantry.evaluation.cloud import Cloud, Pair
from mrgantry.evaluation.measures.maps import (
    AREA,
    COLUMN,
    FIXED,
    PARTS,
    ROW,
    describe_maps,
    map_measure,
)
from mrgantry.evaluation.measures.measure import MAPS

SIDE = 20
NAMES = [kind.name for kind in map_measure(2).kinds]


def squares(tops, lefts, sides, number=1):
    """Map one square an image."""
    maps = np.zeros((len(tops), SIDE, SIDE), np.uint8)
    for labels, top, left, side in zip(maps, tops, lefts, sides, strict=True):
        labels[top : top + side, left : left + side] = number
    return maps


def grey(count, level=0.0):
    return np.full((count, 1, SIDE, SIDE), level, np.float16)


def cloud(maps, images=None):
    images = grey(len(maps)) if images is None else images
    subjects = np.array([f"s{row}" for row in range(len(maps))])
    return Cloud(images, subjects, {MAPS: describe_maps(images, maps, 2)})


def measured(real, other):
    return dict(zip(NAMES, map_measure(2).compute(Pair(real, other, 0)), strict=True))


def test_a_map_is_described_by_what_it_holds():
    maps = squares([2, 0], [6, 0], [4, 0])
    maps[0, 2:4, 6:10] = 2
    maps[0, 15, 15] = 1
    images = grey(2)
    images[0, 0][maps[0] > 0] = 0.5
    first, second = describe_maps(images, maps, 2)
    assert first[AREA] == pytest.approx(np.sqrt(17 / 400)) and first[PARTS] == 2
    assert first[ROW] == pytest.approx((16 * 4 + 15.5) / 17 / SIDE)
    assert first[COLUMN] == pytest.approx((16 * 8 + 15.5) / 17 / SIDE)
    np.testing.assert_allclose(first[FIXED:], [9 / 17, 8 / 17, 0.5], atol=1e-3)
    assert np.isnan(second).all()


def test_equal_maps_are_not_apart():
    real = cloud(squares([2, 3, 4], [5, 6, 7], [4, 5, 6]))
    assert all(value == 0 for value in measured(real, real).values())


def test_each_fault_moves_its_own_number():
    tops, lefts, sides = [4, 6, 8, 5], [4, 6, 8, 7], [4, 5, 6, 4]
    real = cloud(squares(tops, lefts, sides))
    moved = measured(real, cloud(squares([top + 2 for top in tops], lefts, sides)))
    assert moved["map_place"] == pytest.approx(2 / SIDE / 2)
    assert moved["map_area"] == moved["map_parts"] == moved["map_classes"] == 0
    larger = measured(real, cloud(squares([t - 1 for t in tops], lefts, [s + 2 for s in sides])))
    assert larger["map_area"] == pytest.approx(2 / SIDE)
    other_class = measured(real, cloud(squares(tops, lefts, sides, number=2)))
    assert other_class["map_classes"] == 1 and other_class["map_area"] == 0
    parted = squares(tops, lefts, sides)
    parted[:, 0, 19] = 1
    assert measured(real, cloud(parted))["map_parts"] == 1
    none = measured(real, cloud(squares(tops, lefts, [4, 5, 0, 0])))
    assert none["map_share"] == 0.5


def test_average_sizes_are_no_substitute_for_various_ones():
    real = cloud(squares([4] * 4, [4] * 4, [2, 4, 6, 8]))
    average = cloud(squares([4] * 4, [4] * 4, [5] * 4))
    assert measured(real, average)["map_area"] == pytest.approx(2 / SIDE)


def test_contrast_finds_maps_that_lie_beside_what_they_map():
    maps = squares([6] * 3, [6] * 3, [5] * 3)
    images = grey(3)
    images[:, 0][maps > 0] = 0.8
    real = cloud(maps, images)
    assert measured(real, cloud(np.roll(maps, 7, 2), images))["map_contrast"] > 0.7


def test_sets_without_anything_mapped_give_numbers():
    nothing, real = cloud(squares([0], [0], [0])), cloud(squares([4], [4], [4]))
    assert set(measured(nothing, nothing).values()) == {0}
    assert np.isfinite(list(measured(real, nothing).values())).all()


def mapped(images, shift=0):
    near = np.where(images[:, 0] > 0.4, 1, np.where(images[:, 0] > -0.4, 2, 0)).astype(np.uint8)
    return np.roll(near, shift, 2)


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    images = blobs(120)
    subjects = [f"s{number // 6}" for number in range(120)]
    splits = ["train"] * 60 + ["test"] * 60
    folder = tmp_path_factory.mktemp("maps") / "real"
    return write_slices(folder, images, subjects, splits, maps=mapped(images))


def synthetic(folder, shift, classes=("core", "oedema")):
    images = blobs(60, seed=9)
    maps = mapped(images, shift)
    return write_slices(
        folder, images, ["made"] * 60, [""] * 60, synthetic=True, maps=maps, classes=classes
    )


@pytest.mark.usefixtures("few_draws")
def test_a_set_with_maps_is_scored_by_them(real, tmp_path):
    good, bad = synthetic(tmp_path / "good", 0), synthetic(tmp_path / "bad", 5)
    scores = evaluate(real.folder, tmp_path / "scores", [good.folder, bad.folder], draws=6)
    of = {(score.name, score.synthetic): score for score in scores if score.features == MAPS}
    assert {name for name, _ in of} == set(NAMES)
    assert of["map_contrast", "good"].value < 2 * of["map_contrast", "good"].floor
    assert of["map_contrast", "bad"].low > 3 * of["map_contrast", "good"].high


@pytest.mark.usefixtures("few_draws")
def test_maps_of_other_classes_are_not_compared(real, tmp_path):
    other = synthetic(tmp_path / "other", 0, classes=("white", "grey"))
    scores = evaluate(real.folder, tmp_path / "scores", [other.folder], draws=2)
    assert not [score for score in scores if score.features == MAPS]
    remarks = json.loads((tmp_path / "scores/evaluation.json").read_text())["remarks"]
    assert any("tell apart white, grey, the real ones core, oedema" in said for said in remarks)
