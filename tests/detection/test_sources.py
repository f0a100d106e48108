import numpy as np
import pytest
import torch

from conftest import blobs, write_slices
from mrgantry.common.errors import DataError
from mrgantry.data.pixels import StoredPixels
from mrgantry.detection.classical import Classical
from mrgantry.detection.sources import Augmented, Images, Mixture, shares

CPU = torch.device("cpu")


def numbered(count, label=0, size=4):
    """Images whose every pixel is their number."""
    values = torch.arange(count, dtype=torch.float16)
    labels = torch.full((count,), label)
    return Images(StoredPixels(values[:, None, None, None].repeat(1, 1, size, size)), labels)


def test_slices_with_a_label(tmp_path):
    words = ["yes", "no", "unclear", "yes", "unknown", "no"]
    data = write_slices(tmp_path / "s", blobs(6), ["a"] * 6, ["train"] * 6, tumour=words)
    source = Images.of(data, CPU)
    images, labels = source.batch(torch.tensor([3, 0, 1]))
    assert len(source) == 4 and labels.tolist() == [0, 1, 0]
    assert np.array_equal(images, data.images[[5, 0, 1]].astype(np.float32))


def test_slices_without_labels_are_refused(slices):
    with pytest.raises(DataError, match="no stored slices with tumour=yes or tumour=no"):
        Images.of(slices, CPU)


def test_labels_must_fit():
    with pytest.raises(DataError, match="3 images cannot have 2 labels"):
        Images(numbered(3).pixels, torch.zeros(2, dtype=torch.int64))


def test_augmented_items_have_the_class_of_their_image():
    still = Classical(horizontal=False, vertical=False, turn=0, shift=0, shear=0, zoom=0)
    real = Images(numbered(5).pixels, torch.tensor([0, 0, 1, 1, 1]))
    source = Augmented(real, still, each=30)
    images, labels = source.batch(torch.arange(60))
    shown = images[:, 0, 0, 0].long()
    assert len(source) == 60 and labels.sum() == 30
    assert torch.equal(real.labels[shown], labels)
    assert torch.bincount(shown).tolist() == [15, 15, 10, 10, 10]


def test_augmented_items_are_the_same_each_time():
    real = Images(StoredPixels(torch.from_numpy(blobs(8))), torch.arange(8) % 2)
    source = Augmented(real, Classical(), each=1000, seed=3)
    whole, _ = source.batch(torch.arange(100, 164))
    part, _ = source.batch(torch.tensor([163, 100]))
    assert (part - whole[[63, 0]]).abs().max() < 1e-6
    assert not torch.equal(whole, Augmented(real, Classical(), 1000, 4).batch(torch.arange(64))[0])


def test_a_mixture_takes_so_many_of_each():
    mixture = Mixture((numbered(3), numbered(100, label=1)), (7, 5))
    images, labels = mixture.batch(torch.arange(12))
    assert len(mixture) == 12
    assert images[:, 0, 0, 0].tolist() == [0, 1, 2, 0, 1, 2, 0, 0, 1, 2, 3, 4]
    assert labels.tolist() == [0] * 7 + [1] * 5
    some, labels = mixture.batch(torch.tensor([11, 0, 8, 2]))
    assert some[:, 0, 0, 0].tolist() == [4, 0, 1, 2] and labels.tolist() == [1, 0, 1, 0]


def test_an_empty_part_is_refused():
    with pytest.raises(DataError, match="none may be empty"):
        Mixture((numbered(3), numbered(0)), (3, 3))


def test_shares_add_up():
    assert shares(100, (1, 1)) == (50, 50)
    assert shares(100, (2, 1)) == (67, 33)
    assert shares(7, (1, 1, 1)) == (2, 3, 2)
