"""The DCGAN and the residual networks of Delplace (arXiv:2002.02527)."""

import pytest
import torch
from torch import nn

from mrgantry.generate.layers import Leaky, MinibatchStd
from mrgantry.generate.networks import DelplaceDcgan, SrResNet
from mrgantry.generate.networks.srresnet import SkipConnection


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def kinds(network):
    return [type(module) for module in network]


def generator(network, size=256):
    with torch.device("meta"):
        return network.generator(size, 1)


def critic(network, size=256):
    with torch.device("meta"):
        return network.critic(size, 1)


def convolutions(network):
    kind = nn.Conv2d | nn.ConvTranspose2d
    return [module for module in network.modules() if isinstance(module, kind)]


def test_latents():
    dcgan, residual = DelplaceDcgan(), SrResNet()
    assert (dcgan.kind, dcgan.latent, dcgan.prior) == ("delplace-dcgan", 256, "uniform")
    assert (residual.kind, residual.latent, residual.prior) == ("srresnet", 256, "unit-sphere")


def test_dcgan_has_the_published_parameters():
    assert count(generator(DelplaceDcgan())) == 15_072_385
    assert count(critic(DelplaceDcgan())) == 84_657_475
    assert count(critic(DelplaceDcgan(minibatch_std=False))) == 84_526_337
    # The table's dense layer of 1024 after the map, of which the table knows nothing.
    printed = 84_526_337 + 64 * 1024
    assert count(critic(DelplaceDcgan(dense="table"))) == printed


def test_dcgans_generator_is_the_papers_table():
    network = generator(DelplaceDcgan())
    shapes = []
    features = torch.empty(2, 256, device="meta")
    for module in network:
        features = module(features)
        if isinstance(module, nn.Unflatten | nn.ConvTranspose2d):
            shapes.append(tuple(features.shape[1:3]))
    pairs = [(256, 16), (256, 16), (256, 32), (256, 32), (256, 64), (256, 64)]
    assert shapes == [(256, 8), *pairs, (128, 128), (64, 256), (1, 256)]
    assert [m.stride[0] for m in convolutions(network)] == [2, 1, 2, 1, 2, 1, 2, 2, 1]
    assert {m.kernel_size for m in convolutions(network)} == {(5, 5)}
    stage = [nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU]
    start = [nn.Linear, nn.Unflatten, nn.BatchNorm2d, nn.ReLU]
    assert kinds(network) == start + 8 * stage + [nn.ConvTranspose2d, nn.Tanh]


@pytest.mark.parametrize("minibatch_std", [True, False])
def test_dcgans_critic_is_the_papers_table(minibatch_std):
    network = critic(DelplaceDcgan(minibatch_std=minibatch_std))
    assert [m.out_channels for m in convolutions(network)] == [64, 128, 256, 512, 1024]
    assert {(m.kernel_size, m.stride) for m in convolutions(network)} == {((5, 5), (2, 2))}
    stages = [nn.Conv2d, Leaky] + 4 * [nn.Conv2d, nn.BatchNorm2d, Leaky]
    spread = [MinibatchStd] if minibatch_std else []
    assert kinds(network) == [*stages, *spread, nn.Flatten, nn.Linear, Leaky, nn.Linear]
    maps = 1025 if minibatch_std else 1024
    assert (network[-3].in_features, network[-3].out_features) == (maps * 64, maps)
    if minibatch_std:
        assert network[len(stages)].group == 4


@pytest.mark.parametrize("network", [DelplaceDcgan(), SrResNet()])
def test_all_convolutions_and_dense_layers_have_biases(network):
    for half in (generator(network), critic(network)):
        kind = nn.Conv2d | nn.ConvTranspose2d | nn.Linear
        assert all(m.bias is not None for m in half.modules() if isinstance(m, kind))


def test_small_dcgans_leave_out_stages_at_8x8():
    small = generator(DelplaceDcgan(), 64)
    assert [m.out_channels for m in convolutions(small)] == [256, 256, 128, 64, 1]
    assert [m.out_channels for m in convolutions(critic(DelplaceDcgan(), 64))] == [64, 128, 256]
    least = generator(DelplaceDcgan(), 32)
    assert [m.out_channels for m in convolutions(least)] == [128, 64, 1]
    assert small[1].unflattened_size == least[1].unflattened_size == (256, 8, 8)


def test_dcgans_weights_start_at_two_hundredths():
    torch.manual_seed(0)
    layers = DelplaceDcgan(width=32).generator(64, 1)
    assert layers[0].weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert layers[4].weight.std().item() == pytest.approx(0.02, rel=0.02)


def test_srresnets_parameters_at_256():
    norm = 2 * 64
    conv = 64 * 64 * 9 + 64
    start = 256 * 64 * 16 * 16 + 64 * 16 * 16 + norm
    trunk = 16 * 2 * (conv + norm) + norm
    shuffles = 4 * (64 * 256 * 9 + 256 + norm)
    assert count(generator(SrResNet())) == start + trunk + shuffles + 64 * 81 + 1
    widths = [32, 64, 128, 256, 512, 1024]
    blocks = 2 * sum(2 * (w * w * 9 + w) for w in widths)
    end = 1024 * 2048 * 9 + 2048 + 2 * 2 * 2048 + 1
    for kernel in (3, 4):
        down = sum(a * b * kernel**2 + b for a, b in zip([1, *widths], widths))
        assert count(critic(SrResNet(down_kernel=kernel))) == blocks + down + end


def test_srresnets_generator_is_built_as_published():
    network = generator(SrResNet())
    stage = [nn.Conv2d, nn.PixelShuffle, nn.BatchNorm2d, nn.ReLU]
    start = [nn.Linear, nn.Unflatten, nn.BatchNorm2d, nn.ReLU]
    assert kinds(network) == [*start, SkipConnection, *(4 * stage), nn.Conv2d, nn.Tanh]
    trunk = network[4].layers
    assert kinds(trunk) == 16 * [SkipConnection] + [nn.BatchNorm2d, nn.ReLU]
    block = [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Conv2d, nn.BatchNorm2d]
    assert all(kinds(trunk[i].layers) == block for i in range(16))
    assert [m.kernel_size[0] for m in convolutions(network)] == [3] * (2 * 16 + 4) + [9]
    assert network[1].unflattened_size == (64, 16, 16)


@pytest.mark.parametrize("kernel", [3, 4])
def test_srresnets_critic_is_built_as_published(kernel):
    network = critic(SrResNet(down_kernel=kernel))
    stage = [nn.Conv2d, Leaky, SkipConnection, Leaky, SkipConnection, Leaky]
    assert kinds(network) == [*(6 * stage), nn.Conv2d, Leaky, nn.Flatten, nn.Linear]
    down = [m for m in network if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in down] == [32, 64, 128, 256, 512, 1024, 2048]
    assert [m.kernel_size[0] for m in down] == [kernel] * 6 + [3]
    assert {m.stride for m in down} == {(2, 2)}
    blocks = [m for m in network if isinstance(m, SkipConnection)]
    assert all(kinds(m.layers) == [nn.Conv2d, Leaky, nn.Conv2d] for m in blocks)
    assert {c.kernel_size for m in blocks for c in convolutions(m)} == {(3, 3)}
    assert network[-1].in_features == 2 * 2 * 2048


def test_srresnets_critic_has_no_batch_norm():
    assert not [m for m in critic(SrResNet()).modules() if isinstance(m, nn.BatchNorm2d)]


def test_srresnets_critic_can_have_a_map_of_the_minibatchs_spread():
    layers = kinds(critic(SrResNet(minibatch_std=True)))
    assert layers[-4:] == [Leaky, MinibatchStd, nn.Flatten, nn.Linear]
    assert critic(SrResNet(minibatch_std=True))[-1].in_features == 2 * 2 * 2049


def test_small_srresnets_leave_out_stages():
    least = SrResNet(width=4, blocks=3)
    assert not [m for m in generator(least, 16) if isinstance(m, nn.PixelShuffle)]
    assert kinds(generator(least, 16)[4].layers).count(SkipConnection) == 3
    down = [m.out_channels for m in critic(least, 16) if isinstance(m, nn.Conv2d)]
    assert down == [32, 64, 128]
    assert critic(least, 16)[-1].in_features == 2 * 2 * 128


def test_residual_layers_are_added_to_what_comes_in():
    inputs = torch.randn(2, 3, 4, 4)
    assert torch.equal(SkipConnection(nn.Identity(), nn.ReLU())(inputs), inputs + inputs.relu())


def test_srresnets_weights_start_as_he_says():
    torch.manual_seed(0)
    network = SrResNet(blocks=1).generator(16, 1)
    dense, block = network[0], network[4].layers[0].layers[0]
    assert dense.weight.std().item() == pytest.approx((2 / 256) ** 0.5, rel=0.02)
    assert block.weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)
    assert not dense.bias.any()
