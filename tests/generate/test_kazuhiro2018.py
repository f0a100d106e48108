"""The DCGAN of Kazuhiro et al. (Tomography 2018)."""

import pytest
import torch
from torch import nn

from mrgantry.generate.layers import Leaky
from mrgantry.generate.networks import KazuhiroDcgan


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def kinds(network):
    return [type(module) for module in network]


@pytest.fixture
def pair():
    with torch.device("meta"):
        network = KazuhiroDcgan()
        return network.generator(256, 1), network.critic(256, 1)


def test_latents_are_100_uniform_numbers():
    network = KazuhiroDcgan()
    assert (network.kind, network.latent, network.prior) == ("kazuhiro-dcgan", 100, "uniform")


@pytest.mark.parametrize("size, side", [(128, 8), (256, 16)])
def test_parameters(size, side):
    # No convolution and no projection has a bias beside its batch norm; norms have two.
    kernels = 25 * (256 * 128 + 128 * 64 + 64 * 32 + 32 * 1)
    projection = 100 * 256 * side**2
    with torch.device("meta"):
        generator = KazuhiroDcgan().generator(size, 1)
        critic = KazuhiroDcgan().critic(size, 1)
    assert count(generator) == projection + kernels + 2 * (256 + 128 + 64 + 32 + 1)
    assert count(critic) == kernels + 2 * (32 + 64 + 128 + 256) + 256 * side**2 + 1


def test_the_generator_has_four_transposed_5x5_convolutions(pair):
    generator, _ = pair
    convolutions = [m for m in generator if isinstance(m, nn.ConvTranspose2d)]
    assert [m.in_channels for m in convolutions] == [256, 128, 64, 32]
    assert convolutions[-1].out_channels == 1
    assert {(m.kernel_size, m.stride) for m in convolutions} == {((5, 5), (2, 2))}


def test_the_critic_mirrors_it(pair):
    _, critic = pair
    convolutions = [m for m in critic if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in convolutions] == [32, 64, 128, 256]
    assert {(m.kernel_size, m.stride) for m in convolutions} == {((5, 5), (2, 2))}


def test_batch_norm_is_in_every_layer_but_the_critics_output(pair):
    generator, critic = pair
    stage = [nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU]
    start = [nn.Linear, nn.Unflatten, nn.BatchNorm2d, nn.ReLU]
    end = [nn.ConvTranspose2d, nn.BatchNorm2d, nn.Tanh]
    assert kinds(generator) == start + 3 * stage + end
    assert kinds(critic) == 4 * [nn.Conv2d, nn.BatchNorm2d, Leaky] + [nn.Flatten, nn.Linear]


def test_the_generators_output_can_do_without():
    generator = KazuhiroDcgan(width=8, output_norm=False).generator(32, 1)
    assert kinds(generator)[-2:] == [nn.ConvTranspose2d, nn.Tanh]
    assert generator[-2].bias is not None


def test_so_can_the_critics_first_convolution():
    critic = KazuhiroDcgan(width=8, input_norm=False).critic(32, 1)
    assert kinds(critic)[:5] == [nn.Conv2d, Leaky, nn.Conv2d, nn.BatchNorm2d, Leaky]
    assert critic[0].bias is not None and critic[2].bias is None


def test_filters_can_be_what_the_convolutions_give():
    with torch.device("meta"):
        generator = KazuhiroDcgan(filters="outputs").generator(256, 1)
    convolutions = [m for m in generator if isinstance(m, nn.ConvTranspose2d)]
    assert [m.out_channels for m in convolutions] == [256, 128, 64, 32, 1]
    assert [m.stride[0] for m in convolutions] == [2, 2, 2, 2, 1]
    assert generator[1].unflattened_size == (512, 16, 16)
    small = KazuhiroDcgan(width=8, filters="outputs").generator(32, 1)
    assert small(torch.zeros(2, 100)).shape == (2, 1, 32, 32)


def test_weights_start_at_two_hundredths():
    torch.manual_seed(0)
    generator = KazuhiroDcgan().generator(32, 1)
    assert generator[0].weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert generator[4].weight.std().item() == pytest.approx(0.02, rel=0.02)
