import pytest
import torch
import torch.nn.functional as F

from mrgantry.common.errors import RecipeError
from mrgantry.generate.labels import Labels
from mrgantry.generate.networks import MonaiUNet, UNet
from mrgantry.generate.start import match_labels

TINY = UNet(patch=2, widths=(8, 16), blocks=1, heads=2)


def woken(network, seed=0):
    """A network whose last layers, which begin at zero, say something."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=random))
    return network.eval()


@pytest.mark.parametrize(("size", "patch"), [(64, 2), (32, 1), (128, 4), (64, 8)])
@pytest.mark.parametrize(("channels", "labels"), [(1, 0), (3, 5)])
@pytest.mark.parametrize("outer", [(), (8,), (8, 16)])
def test_it_answers_in_the_shape_it_is_asked_in(size, patch, channels, labels, outer):
    plan = TINY.model_copy(update={"patch": patch, "outer": outer})
    if patch >> len(outer) < 1:
        with pytest.raises(RecipeError, match=f"cannot be halved {len(outer)} times"):
            plan.denoiser((size, size), channels, labels)
        return
    network = plan.denoiser((size, size), channels, labels)
    images = torch.randn(2, channels, size, size)
    said = network(images, torch.rand(2), torch.zeros(2, labels))
    assert said.shape == images.shape
    assert not said.any()  # at first it says nothing


def test_images_do_not_mix_and_times_and_labels_matter():
    network = woken(TINY.denoiser((16, 16), 1, 2))
    images, times, labels = torch.randn(3, 1, 16, 16), torch.rand(3), torch.eye(3)[:, :2]
    said = network(images, times, labels)
    torch.testing.assert_close(network(images[1:2], times[1:2], labels[1:2]), said[1:2])
    assert (network(images, times.flip(0), labels)[0] - said[0]).abs().max() > 1e-3
    assert (network(images, times, labels.flip(0))[0] - said[0]).abs().max() > 1e-3


def test_sizes_that_it_cannot_halve_are_refused():
    with pytest.raises(RecipeError, match="multiples of 4, not 18 x 18 pixels"):
        TINY.denoiser((18, 18), 1)


@pytest.mark.parametrize("outer", [(), (8,)])
def test_weights_of_small_blocks_see_larger_blocks_as_their_means(outer):
    small = woken(TINY.denoiser((16, 16), 1))
    plan = TINY.model_copy(update={"patch": 4, "outer": outer})
    large, constant = plan.denoiser((32, 32), 2), torch.zeros(32)
    large.load_state_dict(large.fit(small.state_dict(), torch.zeros(32, 0), constant))
    images, times = torch.randn(2, 1, 16, 16), torch.rand(2)
    said = small(images, times, torch.zeros(2, 0))
    twice = F.interpolate(images, scale_factor=2).expand(-1, 2, -1, -1)
    first, second = large(twice, times, torch.zeros(2, 0)).split(1, 1)
    torch.testing.assert_close(first, F.interpolate(said, scale_factor=2))
    torch.testing.assert_close(first, second)


def test_levels_outside_the_body_see_what_its_blocks_hide():
    # Only a level with smaller blocks can say more of one pixel than of those around it.
    network = TINY.model_copy(update={"patch": 4, "outer": (8,)}).denoiser((16, 16), 1)
    images, times, labels = torch.randn(2, 1, 16, 16), torch.rand(2), torch.zeros(2, 0)
    level = network.outer[0]
    with torch.no_grad():
        level.last.weight.normal_()
    assert network(images, times, labels).abs().max() > 0.1
    network(images, times, labels).square().sum().backward()
    assert level.stem.weight.grad.abs().max() > 0


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("outer", [(), (8,)])
def test_levels_outside_the_body_begin_anew_where_they_differ(channels, outer):
    plan = TINY.model_copy(update={"patch": 4, "outer": (8,)})
    trained = woken(plan.denoiser((16, 16), 1))
    network = plan.model_copy(update={"outer": outer}).denoiser((16, 16), channels)
    begun = network.fit(trained.state_dict(), torch.zeros(32, 0), torch.zeros(32))
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    network.load_state_dict(begun)
    wanted = trained.state_dict() if channels == 1 else before
    for key in before:
        if key.startswith("outer."):
            torch.testing.assert_close(network.state_dict()[key], wanted[key])


def test_where_details_alone_learn_the_body_stays():
    plan = TINY.model_copy(update={"patch": 4, "outer": (8,), "learns": "details"})
    network = woken(plan.denoiser((16, 16), 1, 2))
    network(torch.randn(2, 1, 16, 16), torch.rand(2), torch.eye(2)).square().sum().backward()
    learns = {name for name, value in network.named_parameters() if value.grad is not None}
    assert {"stem.weight", "last.weight", "outer.0.stem.weight", "outer.0.halve.weight"} <= learns
    assert not any(name.startswith(("down", "middle", "up", "time", "label")) for name in learns)


class TestMatchedLabels:
    theirs = Labels(levels={"plane": ("axial", "coronal"), "tumour": ("no", "yes")})
    known = torch.arange(8.0).reshape(2, 4)  # of axial, coronal, no, yes

    def rows(self, **columns):
        import pandas as pd

        return pd.DataFrame(columns)

    def test_values_of_the_same_name_keep_what_is_known(self):
        ours = Labels(levels={"tumour": ("no", "yes")})
        table = self.rows(plane=["axial"] * 2, tumour=["no", "yes"])
        columns, constant, said = match_labels(self.theirs, self.known, ours, table)
        assert torch.equal(columns, self.known[:, 2:])
        assert torch.equal(constant, self.known[:, 0])  # all are axial
        assert said == []

    def test_what_was_never_met_is_the_mean_and_is_said(self):
        ours = Labels(levels={"tumour": ("unclear", "yes")})
        table = self.rows(plane=["oblique", "oblique"], tumour=["unclear", "yes"])
        columns, constant, said = match_labels(self.theirs, self.known, ours, table)
        assert torch.equal(columns[:, 0], self.known[:, 2:].mean(1))
        assert torch.equal(constant, self.known[:, :2].mean(1))
        assert said == [
            "tumour unclear was taken for the mean of all",
            "plane oblique was taken for the mean of all",
        ]

    def test_labels_that_it_was_never_told_begin_at_nothing(self):
        ours = Labels(levels={"sequence": ("t1", "t2")})
        table = self.rows(plane=["axial"] * 2, tumour=["no"] * 2, sequence=["t1", "t2"])
        columns, constant, _ = match_labels(self.theirs, self.known, ours, table)
        assert not columns.any() and torch.equal(constant, self.known[:, 0] + self.known[:, 2])


def test_monai_is_asked_for_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "monai.networks.nets.diffusion_model_unet", None)
    with pytest.raises(RecipeError, match=r"pip install 'mrgantry\[monai\]'"):
        MonaiUNet().denoiser((64, 64), 1)
    with pytest.raises(RecipeError, match="multiples of 4, not 30 x 30"):
        MonaiUNet().denoiser((30, 30), 1)


def test_monais_network_is_told_labels():
    pytest.importorskip("monai.networks.nets.diffusion_model_unet")
    plan = MonaiUNet(widths=(8, 16), attention=(False, True), head=8)
    network = woken(plan.denoiser((16, 16), 1, 2))
    images, times = torch.randn(2, 1, 16, 16), torch.rand(2)
    one, two = (network(images, times, torch.eye(2)[[k, k]]) for k in (0, 1))
    assert one.shape == images.shape and (one - two).abs().max() > 1e-4


def test_classes_of_label_maps_are_neither_seen_nor_drawn_at_a_start():
    trained = woken(TINY.denoiser((16, 16), 1))
    network = TINY.denoiser((16, 16), 3)
    network.load_state_dict(
        network.fit(trained.state_dict(), torch.zeros(32, 0), torch.zeros(32), classes=2)
    )
    images, times = torch.randn(2, 1, 16, 16), torch.tensor([0.2, 0.7])
    labels, maps = torch.zeros(2, 0), torch.randn(2, 2, 16, 16)
    drawn = network(torch.cat([images, maps], 1), times, labels)
    torch.testing.assert_close(drawn[:, :1], trained(images, times, labels))
    assert not drawn[:, 1:].any()


@pytest.mark.parametrize("channels", [1, 2])
def test_what_lies_beside_images_and_what_is_told_more_begin_unseen(channels):
    slices = woken(TINY.denoiser((16, 24), 1, 2))
    more = TINY.denoiser((16, 24), channels, 2 + 3, beside=2 * channels)
    known = slices.state_dict()
    more.load_state_dict(more.fit(known, known["label.weight"], torch.zeros(32)))
    images, times, labels = torch.randn(3, 1, 16, 24), torch.rand(3), torch.eye(3)[:, :2]
    shown = torch.cat(
        [images.expand(-1, channels, -1, -1), torch.randn(3, 2 * channels, 16, 24)], 1
    )
    said = more(shown, times, torch.cat([labels, torch.randn(3, 3)], 1))
    torch.testing.assert_close(said, slices(images, times, labels).expand(-1, channels, -1, -1))


def test_what_lies_beside_one_image_is_taken_over_for_several():
    one = woken(TINY.denoiser((8, 8), 1, 3, beside=2))
    three = TINY.denoiser((8, 8), 3, 3, beside=6)  # two images and a class
    known = one.state_dict()
    fitted = three.fit(known, known["label.weight"], torch.zeros(32), classes=1)
    three.load_state_dict(fitted)
    image, below, above = torch.randn(3, 2, 1, 8, 8)
    unseen = torch.randn(2, 1, 8, 8)
    times, labels = torch.rand(2), torch.randn(2, 3)
    twice = [part for each in (image, below, above) for part in (each, each, unseen)]
    said = three(torch.cat(twice, 1), times, labels)
    alone = one(torch.cat([image, below, above], 1), times, labels)
    torch.testing.assert_close(said[:, :2], alone.expand(-1, 2, -1, -1))
    assert not said[:, 2].any()
