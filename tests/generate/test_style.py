"""The style-based generator does what its papers say."""

import pytest
import torch
import torch.nn.functional as F

from mrgantry.generate.layers import EqualLinear
from mrgantry.generate.networks import Style
from mrgantry.generate.networks.style import Mapping, Styled, doubled

SMALL = Style(base=128, widest=16, latent=8, style=12)


def test_styles_scale_the_weights_of_each_image():
    torch.manual_seed(0)
    layer, inputs, styles = Styled(5, 7, 3, 4), torch.randn(3, 5, 6, 6), torch.randn(3, 4)
    got = layer(inputs, styles)
    for number in range(3):
        weight = layer.weight * layer.gain * layer.scales(styles)[number][:, None, None]
        # To sqrt(2) of unit spread, of which a rectifier leaves 1.
        weight = weight * (2 / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8)).sqrt()
        wanted = F.conv2d(inputs[number : number + 1], weight, padding=1)
        torch.testing.assert_close(got[number : number + 1], wanted, atol=1e-4, rtol=1e-4)


def test_an_image_follows_from_its_latent_with_all_its_noise():
    torch.manual_seed(0)
    generator = SMALL.generator(16, 1).eval()
    for level in generator.levels:
        torch.nn.init.ones_(level.second.strength)
    latents = torch.randn(5, 8)
    with torch.no_grad():
        together, alone = generator(latents), generator(latents[3:4])
        again = SMALL.generator(16, 1)
        again.load_state_dict(generator.state_dict())
        torch.testing.assert_close(together[3:4], alone, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(again(latents), together)


def test_noise_is_of_unit_spread_and_tells_nothing_of_its_neighbours():
    random = torch.Generator().manual_seed(0)
    latents = torch.randn(400, 8, generator=random)
    layer = SMALL.generator(16, 1).levels[1].first
    noise = layer.noise(latents)
    assert noise.shape == (400, 64)
    assert noise.std() == pytest.approx(1, abs=0.05)
    # Of two numbers drawn 400 times, correlations have a standard error of 0.05.
    assert (torch.corrcoef(noise.T) - torch.eye(64)).abs().max() < 0.3
    # Nor does the noise of one image follow from that of one with nearly the same latents.
    near = layer.noise(latents + 0.1 * torch.randn(400, 8, generator=random))
    assert torch.corrcoef(torch.stack([noise.flatten(), near.flatten()]))[0, 1].abs() < 0.1


def test_doubling_keeps_the_mean_and_lets_no_stripes_through():
    flat = torch.full((1, 1, 8, 8), 0.7)
    torch.testing.assert_close(doubled(flat), torch.full((1, 1, 16, 16), 0.7))
    # A wave of 8 pixels comes back as one of 16, and as stripes of 16/7, which the filter takes
    # off: nearest neighbours leave 4 % of its power there.
    wave = torch.cos(torch.arange(128) * torch.pi / 4).expand(1, 1, 8, 128)
    row = doubled(wave)[0, 0, 8] * torch.hann_window(256)
    power = torch.fft.rfft(row).abs().square()
    assert power.argmax() == 16
    assert power[112] < 1e-3 * power[16]


def test_the_mapping_learns_slowly():
    mapping = Mapping(SMALL, 2)
    latents, labels = torch.randn(4, 8), torch.eye(2).repeat(2, 1)
    before = mapping(latents, labels)
    assert 0.3 < before.square().mean() < 3  # at unit spread all the same
    optimiser = torch.optim.Adam(mapping.layers.parameters(), 1e-2)
    mapping(latents, labels).sum().backward()
    optimiser.step()
    quick = EqualLinear(8, 12)
    optimiser = torch.optim.Adam(quick.parameters(), 1e-2)
    first = quick(latents)
    quick(latents).sum().backward()
    optimiser.step()
    slow = (mapping(latents, labels) - before).abs().mean()
    assert slow < 0.1 * (quick(latents) - first).abs().mean()
