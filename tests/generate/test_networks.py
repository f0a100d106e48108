"""What all networks have in common; the files beside this one hold what a paper says of one."""

import pytest
import torch
from torch import nn

from mrgantry.common.errors import RecipeError
from mrgantry.generate.layers import Leaky
from mrgantry.generate.networks import (
    Dcgan,
    DelplaceDcgan,
    KazuhiroDcgan,
    SrResNet,
    Style,
    UpConv,
)

TINY = {  # and the least size of each
    "dcgan": (Dcgan(width=8), 8),
    "upconv": (UpConv(width=8, critic_width=8), 8),
    "style": (Style(base=64, widest=16, latent=8, style=12), 8),
    "kazuhiro": (KazuhiroDcgan(width=8), 32),
    "delplace": (DelplaceDcgan(width=8, critic_width=2), 32),
    "delplace-plain": (DelplaceDcgan(width=8, critic_width=2, minibatch_std=False), 32),
    "srresnet": (SrResNet(width=4, blocks=2, critic_width=2), 16),
    "srresnet-code": (SrResNet(width=4, blocks=2, critic_width=2, down_kernel=4), 16),
}
OTHERS = [name for name in TINY if name != "dcgan"]  # Han et al.: no tanh, and ELU
WITH_TANH = [name for name in OTHERS if name != "style"]


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("doublings", [0, 1, 2])
@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("labels", [0, 3])
def test_shapes(name, doublings, channels, labels):
    network, least = TINY[name]
    size = least << doublings
    latents = torch.randn(3, network.latent + labels)
    images = network.generator(size, channels, labels)(latents)
    assert images.shape == (3, channels, size, size)
    assert network.critic(size, channels, labels)(images).shape == (3, 1 + labels)


@pytest.mark.parametrize(
    "network", [Dcgan(), UpConv(), KazuhiroDcgan(), DelplaceDcgan(), SrResNet(), Style()]
)
@pytest.mark.parametrize("size", [32, 64, 128, 256, 512])
def test_shapes_at_full_width(network, size):
    with torch.device("meta"):
        latents = torch.empty(8, network.latent + 2)
        images = network.generator(size, 4, 2)(latents)
        assert images.shape == (8, 4, size, size)
        assert network.critic(size, 4, 2)(images).shape == (8, 3)


@pytest.mark.parametrize("name", WITH_TANH)
def test_a_tanh_keeps_images_within_one(name):
    torch.manual_seed(0)
    network, least = TINY[name]
    generator = network.generator(least, 1)
    with torch.no_grad():
        list(generator.parameters())[-1].add_(20.0)  # bias of the layer before the tanh
        images = generator(torch.randn(4, network.latent))
    assert type(generator[-1]) is nn.Tanh
    assert images.abs().max() <= 1
    assert images.min() > 0.9


@pytest.mark.parametrize("name", TINY)
def test_a_generator_listens_to_its_labels(name):
    torch.manual_seed(0)
    network, least = TINY[name]
    generator = network.generator(least, 1, 2).eval()
    # Labels are 0 or 1; more here, since the weights of some networks start at hundredths.
    latents = torch.randn(1, network.latent)
    one = generator(torch.cat([latents, torch.tensor([[30.0, 0.0]])], 1))
    other = generator(torch.cat([latents, torch.tensor([[0.0, 30.0]])], 1))
    assert not torch.equal(one, other)


@pytest.mark.parametrize("name", TINY)
def test_critics_learn_from_a_gradient_penalty(name):
    torch.manual_seed(0)
    network, least = TINY[name]
    critic = network.critic(2 * least, 2, 1)
    images = torch.randn(4, 2, 2 * least, 2 * least, requires_grad=True)
    (slopes,) = torch.autograd.grad(critic(images)[:, 0].sum(), images, create_graph=True)
    (slopes.flatten(1).norm(dim=1) - 1).square().mean().backward()
    weights = [p for name, p in critic.named_parameters() if p.dim() > 1]
    assert len(weights) > 2
    assert all(weight.grad.isfinite().all() for weight in weights)
    assert all(weight.grad.abs().max() > 0 for weight in weights)


@pytest.mark.parametrize("name", OTHERS)
def test_critics_change_nothing_in_place_and_have_the_cheap_leaky(name):
    network, least = TINY[name]
    modules = list(network.critic(2 * least, 1).modules())
    assert any(isinstance(module, Leaky) for module in modules)
    assert not any(getattr(module, "inplace", False) for module in modules)
    assert not any(isinstance(module, nn.ReLU | nn.LeakyReLU | nn.ELU) for module in modules)


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("size", [-64, 0, 1, 4, 48, 100])
def test_other_sizes_are_refused_in_a_sentence(name, size):
    network, least = TINY[name]
    for build in (network.generator, network.critic):
        for wrong in (size, least // 2):
            sentence = f"makes images of {least}, {2 * least}, .* pixels, not of {wrong}\\."
            with pytest.raises(RecipeError, match=sentence):
                build(wrong, 1)


@pytest.mark.parametrize("name", TINY)
def test_a_pair_comes_back_from_its_values(name):
    network, _ = TINY[name]
    assert type(network).of(network.model_dump(mode="json"), "recipe") == network
