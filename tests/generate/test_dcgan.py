"""The DCGAN of Han et al. (ISBI 2018)."""

import pytest
import torch
from torch import nn

from mrgantry.generate.networks import Dcgan


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_han2018_at_64_has_the_papers_parameters():
    widths = [512, 256, 128, 64]  # half of Radford's 1024-512-256-128
    kernels = 100 * widths[0] * 16 + sum(a * b * 16 for a, b in zip(widths, widths[1:]))
    norms = 2 * sum(widths)
    assert count(Dcgan().generator(64, 1)) == kernels + norms + 64 * 16 + 1
    kernels = 1 * 64 * 16 + 64 + sum(a * b * 16 for a, b in zip(widths, widths[1:]))
    assert count(Dcgan().critic(64, 1)) == kernels + 2 * (128 + 256 + 512) + 512 * 16 + 1


def test_at_128_there_is_one_stage_more():
    generator = Dcgan().generator(128, 1)
    widths = [m.out_channels for m in generator if isinstance(m, nn.ConvTranspose2d)]
    assert widths == [512, 256, 128, 64, 32, 1]
    critic = Dcgan().critic(128, 1)
    widths = [m.out_channels for m in critic if isinstance(m, nn.Conv2d)]
    assert widths == [32, 64, 128, 256, 512, 1]


def test_all_kernels_are_4x4_and_the_critic_has_elu():
    network = Dcgan()
    for module in [*network.generator(64, 1), *network.critic(64, 1)]:
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            assert module.kernel_size == (4, 4)
    kinds = [type(module) for module in network.critic(64, 1)]
    assert kinds.count(nn.ELU) == 4 and nn.LeakyReLU not in kinds
    assert nn.Tanh not in [type(module) for module in network.generator(64, 1)]


def test_no_batch_norm_at_the_critics_input_and_output():
    kinds = [type(module) for module in Dcgan().critic(64, 1)]
    assert kinds[:3] == [nn.Conv2d, nn.ELU, nn.Conv2d]
    assert kinds[-2:] == [nn.Conv2d, nn.Flatten]
    assert kinds.count(nn.BatchNorm2d) == 3


def test_weights_start_at_two_hundredths():
    torch.manual_seed(0)
    convolution = Dcgan().generator(64, 1)[4]
    assert convolution.weight.std().item() == pytest.approx(0.02, rel=0.02)
