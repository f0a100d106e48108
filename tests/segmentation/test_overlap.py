"""Known answers of what segmenters are scored by, some of MONAI's and SciPy's beside ours."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial.distance import directed_hausdorff

from mrgantry.segmentation import overlap
from mrgantry.segmentation.overlap import Stack, dice, hausdorff, lesions, score_people, stacks


def stack(real, drawn, pixel_mm=1.0, step=1.0, subject="a"):
    real, drawn = (np.asarray(maps, np.uint8) for maps in (real, drawn))
    return Stack(subject, real, drawn, np.arange(len(real)) * step, pixel_mm)


def box(top, left, side, size=32, depth=1):
    mask = np.zeros((depth, size, size), bool)
    mask[:, top : top + side, left : left + side] = True
    return mask


def test_dice_by_hand():
    assert dice(box(2, 2, 4), box(2, 4, 4)) == pytest.approx(2 * 8 / 32)
    assert dice(box(2, 2, 4), box(2, 2, 4)) == 1
    assert dice(box(2, 2, 4), box(20, 20, 4)) == 0


def test_empty_maps_are_scored_as_brats_does():
    empty, full = np.zeros((2, 30, 40), bool), np.ones((2, 30, 40), bool)
    assert dice(empty, empty) == 1 and dice(empty, full) == dice(full, empty) == 0
    scan = stack(empty, full, pixel_mm=2.0)
    assert hausdorff(scan, empty, empty) == 0
    assert hausdorff(scan, empty, full) == hausdorff(scan, full, empty) == pytest.approx(100.0)


def random_blobs(seed):
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:48, :48]
    masks = []
    for _ in range(2):
        mask = np.zeros((48, 48), bool)
        for _ in range(3):
            i, j, radius = random.uniform(8, 40), random.uniform(8, 40), random.uniform(3, 8)
            mask |= (y - i) ** 2 + (x - j) ** 2 < radius**2
        masks.append(mask)
    return masks


@pytest.mark.filterwarnings("ignore::FutureWarning")  # MONAI warns of itself
@pytest.mark.parametrize("seed", range(5))
def test_the_distance_of_one_slice_is_that_of_monai(seed):
    monai = pytest.importorskip("monai.metrics")
    real, drawn = random_blobs(seed)
    ours = hausdorff(stack(real[None], drawn[None], 1.5), real[None], drawn[None])
    theirs = monai.compute_hausdorff_distance(
        torch.from_numpy(drawn)[None, None].float(),
        torch.from_numpy(real)[None, None].float(),
        include_background=True,
        percentile=95,
        spacing=1.5,
    )
    assert ours == pytest.approx(float(theirs[0, 0]), abs=1e-4)


def test_its_largest_is_that_of_scipy_in_three_dimensions(monkeypatch):
    monkeypatch.setattr(overlap, "PERCENTILE", 100)
    real, drawn = box(4, 4, 6, depth=3), box(8, 12, 5, depth=3)
    drawn[0] = False
    scan = stack(real, drawn, pixel_mm=2.0, step=5.0)
    points = [np.argwhere(mask) * (5.0, 2.0, 2.0) for mask in (outline(real), outline(drawn))]
    theirs = max(directed_hausdorff(*points)[0], directed_hausdorff(*points[::-1])[0])
    assert hausdorff(scan, real, drawn) == pytest.approx(theirs)


def outline(mask):
    inside = np.zeros_like(mask)
    inside[:, 1:-1, 1:-1] = (
        mask[:, 1:-1, 1:-1] & mask[:, :-2, 1:-1] & mask[:, 2:, 1:-1]
        & mask[:, 1:-1, :-2] & mask[:, 1:-1, 2:]
    )  # fmt: skip
    return mask & ~inside


def test_lesions_reach_over_slices():
    real = box(2, 2, 4, depth=3) | box(20, 20, 4, depth=3)
    real[1:, 20:] = False  # two lesions, the second on one slice
    drawn = box(5, 5, 2, depth=3) | box(2, 25, 2, depth=3)
    assert lesions(real, drawn) == (1, 2, 1)
    assert lesions(real, real & False) == (0, 2, 0)
    assert lesions(real & False, drawn) == (0, 0, 2)


def test_slices_of_a_scan_are_a_stack_in_order_of_position():
    maps = np.arange(6, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    table = pd.DataFrame(
        {
            "subject": ["a", "b", "a", "a", "b", "c"],
            "session": ["", "", "", "2", "", ""],
            "sequence": "t1", "plane": "axial",
            "position_mm": [7.0, 1.0, 3.0, 1.0, 0.0, np.nan],
            "pixel_mm": 1.5,
        }
    )  # fmt: skip
    found = {(s.subject, tuple(s.real[:, 0, 0])): s for s in stacks(table, maps, maps)}
    assert set(found) == {("a", (2, 0)), ("a", (3,)), ("b", (4, 1)), ("c", (5,))}
    assert list(found["a", (2, 0)].position_mm) == [3.0, 7.0]


def test_people_count_and_not_their_scans():
    hit, missed = box(2, 2, 4).astype(np.uint8), 2 * box(2, 2, 4).astype(np.uint8)
    none = np.zeros_like(hit)
    scans = [stack(hit, hit), stack(hit, none), stack(none, none, subject="b"),
             stack(missed, hit, subject="c")]  # fmt: skip
    found = score_people(scans, ("core", "oedema"))
    assert list(found["dice"]) == [0.5, 1, 1]
    assert list(found["dice_core"]) == [0.5, 1, 0] and list(found["dice_oedema"]) == [1, 1, 0]
    assert found["lesions_found"][0] == 0.5 and np.isnan(found["lesions_found"][1])
    assert list(found["false_lesions"]) == [0, 0, 0]
    assert "dice_core" not in score_people(scans[:3], ("core",))
