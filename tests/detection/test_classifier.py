import math

import pytest
import torch

from conftest import blobs
from mrgantry.common.errors import DataError, DivergedError, RecipeError
from mrgantry.data.pixels import StoredPixels
from mrgantry.detection import classifier, learning
from mrgantry.detection.classifier import (
    ClassifierTraining,
    centre,
    judge,
    predict,
    train_classifier,
)
from mrgantry.detection.sources import Images

QUICK = ClassifierTraining(
    network="small", weights="scratch", batch=32, lr=2e-3, epochs=10, precision="fp32", crop=1
)


def squares(count, seed):
    """Blobs, of which every other one has a small bright square: class 1."""
    images = torch.from_numpy(blobs(count, 24, seed))
    labels = torch.arange(count) % 2
    random = torch.Generator().manual_seed(seed)
    for number in labels.nonzero()[:, 0]:
        y, x = torch.randint(4, 16, (2,), generator=random).tolist()
        images[number, 0, y : y + 4, x : x + 4] = 1
    return Images(StoredPixels(images), labels)


@pytest.fixture(scope="module")
def trained():
    return train_classifier(squares(192, 0), squares(64, 1), QUICK)


def test_it_learns_a_square(trained):
    probability, labels = judge(trained.classifier, squares(100, 2))
    # 0.97 and 0.98 with five seeds.
    assert ((probability > 0.5) == (labels == 1)).float().mean() > 0.9
    assert torch.equal(labels, torch.arange(100) % 2)
    assert trained.precision == "fp32"


def test_the_same_call_gives_the_same(trained):
    torch.manual_seed(99)
    outside = torch.get_rng_state()
    again = train_classifier(squares(192, 0), squares(64, 1), QUICK)
    assert torch.equal(torch.get_rng_state(), outside)
    images = torch.from_numpy(blobs(5, 24, 3))
    assert torch.equal(predict(again.classifier, images), predict(trained.classifier, images))
    other = train_classifier(
        squares(192, 0), squares(64, 1), QUICK.model_copy(update={"seed": 1, "epochs": 1})
    )
    assert other.history[0].loss != trained.history[0].loss


def test_history_tells_every_epoch(trained):
    assert [one.number for one in trained.history] == list(range(1, 11))
    assert [one.images for one in trained.history] == list(range(192, 11 * 192, 192))
    best = min(trained.history, key=lambda one: one.validation_loss)
    assert trained.best == best.number
    loss = classifier.validate(trained.classifier, squares(64, 1))
    assert loss == pytest.approx(best.validation_loss, rel=1e-5)  # its weights came back


@pytest.fixture
def told(monkeypatch):
    """Validation losses as a list says, and weights that tell the epoch."""

    def follow(losses):
        left = iter(losses)

        def validate(network, validation):
            return next(left)

        class Counting(torch.optim.Adam):
            """Adds 1 to the last bias, which it knows by its length, at each step."""

            def step(self):
                with torch.no_grad():
                    self.param_groups[0]["params"][-1] += 1

        monkeypatch.setattr(classifier, "validate", validate)
        monkeypatch.setattr(torch.optim, "Adam", Counting)

    return follow


def test_it_stops_after_epochs_without_gain(told):
    told([5, 4, 3, 3, 4, 2.9, 5, 5, 5, 1])
    training = QUICK.model_copy(update={"patience": 3, "epochs": 50, "epoch": 20})
    found = train_classifier(squares(64, 0), squares(8, 1), training)
    assert len(found.history) == 9 and found.best == 6
    spread = found.classifier.network.fc.bias.detach().mean()
    assert 5.5 < spread < 6.5  # one step an epoch, of the sixth


def test_epochs_are_as_long_as_asked(told):
    told([1, 2])
    training = QUICK.model_copy(update={"epochs": 2, "epoch": 100})
    found = train_classifier(squares(40, 0), squares(8, 1), training)
    assert [one.images for one in found.history] == [128, 256]  # whole batches


def test_every_image_comes_once_a_pass():
    order = learning.numbers(10, 4, seed=0)
    drawn = torch.cat([next(order) for _ in range(10)])
    for start in range(0, 40, 10):
        assert drawn[start : start + 10].sort().values.tolist() == list(range(10))
    assert drawn[:10].tolist() != drawn[10:20].tolist()


@pytest.mark.parametrize("size, left", [(240, 224), (64, 60), (128, 120), (256, 238)])
def test_the_middle_is_cut(size, left):
    images = torch.arange(size * size).reshape(1, 1, size, size).float()
    cut = centre(images, ClassifierTraining().crop)
    margin = (size - left) // 2
    assert torch.equal(cut, images[..., margin : size - margin, margin : size - margin])
    assert torch.equal(centre(images, 1.0), images)


def test_what_is_outside_the_crop_is_not_seen(trained):
    cropping = classifier.Classifier(trained.classifier.network, 0.75, False)
    images = torch.from_numpy(blobs(3, 24, 3))
    marked = images.clone()
    marked[..., :3, :] = 1
    assert torch.equal(predict(cropping, marked), predict(cropping, images))
    assert not torch.equal(predict(trained.classifier, marked), predict(trained.classifier, images))


def test_16_bits_answer_alike(trained):
    half = classifier.Classifier(trained.classifier.network, 1.0, True)
    images = torch.from_numpy(blobs(20, 24, 3))
    whole = predict(trained.classifier, images)
    assert 0 < (predict(half, images) - whole).abs().max() < 0.1


def test_losses_that_are_no_numbers():
    with pytest.raises(DivergedError, match="validation loss became nan in epoch 3"):
        learning.refuse_divergence(learning.Epoch(3, 30, 0.5, math.nan, 1.0))


def test_published_values():
    training = ClassifierTraining()
    assert (training.network, training.weights, training.batch) == ("resnet50", "imagenet", 192)
    assert (training.lr, training.patience, training.dropout) == (1e-3, 10, 0.5)


def test_what_cannot_be_trained():
    with pytest.raises(DataError, match="needs images"):
        train_classifier(squares(0, 0), squares(8, 1), QUICK)
    imagenet = QUICK.model_copy(update={"weights": "imagenet"})
    with pytest.raises(RecipeError, match="weights=scratch"):
        train_classifier(squares(8, 0), squares(8, 1), imagenet)
