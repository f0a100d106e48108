"""What of anatomy two versions of an image share."""

import numpy as np
import pytest

from mrgantry.brain.network import load_network
from mrgantry.refinement.agreement import TWO_VISITS, Kept, kept_of, shared, tissue_maps

LIMIT = Kept(0.9, 0.8, 0.7, 0.6)


def test_shared_is_dice_of_shares():
    before, after = np.array([[0.5, 0.5, 0.0]]), np.array([[0.5, 0.0, 0.5]])
    assert shared(before, after, (1,)) == pytest.approx([0.5])
    assert shared(before, before, (1,)) == pytest.approx([1.0])
    assert shared(before * 0, after * 0, (1,)) == pytest.approx([0.0])


def test_a_limit_holds_only_if_every_share_reaches_it():
    assert Kept(0.9, 0.8, 0.7, 0.6).holds(LIMIT)
    for place in range(4):
        shares = list(LIMIT)
        shares[place] -= 0.01
        assert not Kept(*shares).holds(LIMIT)
    assert Kept(0.95, 0.9, float("nan"), float("nan")).holds(LIMIT)  # nobody has a lesion


def test_unchanged_images_keep_all(brains):
    maps = tissue_maps(load_network(), brains.images)
    kept = kept_of(maps, maps, brains.table["tumour"].tolist())
    assert kept == pytest.approx((1, 1, 1, 1))


def test_moved_brains_keep_less_than_two_visits_share(brains):
    network, images = load_network(), brains.images
    moved = kept_of(
        tissue_maps(network, images),
        tissue_maps(network, np.roll(images, 3, -1)),
        brains.table["tumour"].tolist(),
    )
    assert moved.tissue < TWO_VISITS.tissue_low and moved.lesion < TWO_VISITS.lesion


def test_a_tumour_that_is_painted_over_is_missed(brains):
    network, images = load_network(), brains.images
    painted = np.where(brains.maps[:, None] > 0, np.float16(-0.2), images)
    kept = kept_of(
        tissue_maps(network, images), tissue_maps(network, painted), brains.table["tumour"].tolist()
    )
    assert kept.lesion < TWO_VISITS.lesion and not kept.holds(TWO_VISITS)
    assert kept.tissue > kept.lesion  # the rest of the brain is as it was


def test_who_has_no_tumour_has_no_lesion_to_keep(brains):
    maps = tissue_maps(load_network(), brains.images)
    kept = kept_of(maps, maps, ["no"] * len(maps))
    assert kept.tissue == pytest.approx(1) and np.isnan(kept.lesion)
