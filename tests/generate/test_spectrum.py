"""The spectrum of images, and the linear guess that rests on it."""

import numpy as np
import pytest
import torch

from mrgantry.generate.flow import Flow, Sampler
from mrgantry.generate.guess import LinearGuess
from mrgantry.generate.spectrum import spectrum_of

SIDE = 16
CYCLES = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE) * SIDE, np.fft.rfftfreq(SIDE) * SIDE)).T.round()
FALLING = tuple(float(1 / (1 + cycles) ** 3) for cycles in range(12))  # 11 is the corner


def images_of(spectrum, count, seed=0):
    """Normal images that have this spectrum."""
    random = torch.Generator().manual_seed(seed)
    waves = torch.fft.rfft2(torch.randn(count, 1, SIDE, SIDE, generator=random))
    spread = torch.tensor(spectrum)[torch.from_numpy(CYCLES).long()].sqrt()
    return torch.fft.irfft2(waves * spread, s=(SIDE, SIDE))


def stored(images):
    """Images of unit spread as intensities; half of them are below black, as in no scan."""
    return (images * 0.5 - 1).half().numpy()


def to_unit(images):
    return (images + 1) / 0.5


def test_unit_noise_has_power_one_everywhere():
    (power,) = spectrum_of(stored(images_of((1.0,) * 12, 2000)), to_unit)
    assert len(power) == 12
    np.testing.assert_allclose(power[:11], 1, atol=0.15)


def test_a_spectrum_is_measured_as_it_was_made():
    (power,) = spectrum_of(stored(images_of(FALLING, 2000)), to_unit)
    np.testing.assert_allclose(power[1:11], FALLING[1:11], rtol=0.15)


def test_waves_stand_at_their_cycles_in_their_channel():
    places = np.arange(SIDE) / SIDE
    images = np.full((3, 2, SIDE, SIDE), -1.0)
    images[:, 1] += np.cos(2 * np.pi * 5 * places)
    first, second = spectrum_of(images.astype(np.float16), lambda one: one + 1)
    assert max(first) < 1e-9
    assert np.argmax(second) == 5 and sum(second) - second[5] < 1e-4 * second[5]


@pytest.mark.parametrize("t", [0.05, 0.4, 0.95])
def test_what_the_guess_lacks_has_unit_spread_at_every_frequency(t):
    images = images_of(FALLING, 3000)
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    noisy, time = (1 - t) * images + t * noise, torch.full((3000, 1, 1, 1), t)
    guess = LinearGuess((1, SIDE, SIDE), (FALLING,))
    nothing = torch.zeros_like(noisy)
    lacking = torch.fft.rfft2(images - guess(noisy, nothing, time), norm="ortho")
    power = torch.tensor(FALLING)[torch.from_numpy(CYCLES).long()]
    spread = t * (power / ((1 - t) ** 2 * power + t**2)).sqrt()
    found = (lacking.abs().square().mean(0)[0] / spread**2).numpy()
    np.testing.assert_allclose(found, 1, atol=0.2)
    # And saying it gives the image.
    whole = torch.fft.irfft2(lacking / spread, s=(SIDE, SIDE), norm="ortho")
    torch.testing.assert_close(guess(noisy, whole, time), images, atol=1e-3, rtol=0)


def test_without_a_spectrum_all_frequencies_are_alike():
    random = torch.Generator().manual_seed(2)
    noisy, said = torch.randn(2, 4, 1, SIDE, SIDE, generator=random)
    t = torch.rand(4, 1, 1, 1, generator=random)
    spread = (1 - t).square() + t.square()
    expected = (1 - t) / spread * noisy + t / spread.sqrt() * said
    found = LinearGuess((1, SIDE, SIDE))(noisy, said, t)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_coarse_frequencies_are_left_to_the_network():
    bright = LinearGuess((1, SIDE, SIDE), (tuple(100 * one for one in FALLING),))
    assert bright.power.max() == 1 and bright.power.min() == pytest.approx(100 * FALLING[11])


def test_an_ignorant_network_leaves_no_grain():
    flow, noise = Flow(), images_of((1.0,) * 12, 200)
    random = torch.Generator().manual_seed(3)

    def ignorant(noisy, times, labels):
        return torch.randn(noisy.shape, generator=random)

    grain = {}
    for name, spectrum in {"known": (FALLING,), "unknown": ()}.items():
        denoise = flow.denoiser(ignorant, LinearGuess((1, SIDE, SIDE), spectrum))
        images = Sampler().go(flow, denoise, noise, torch.zeros(200, 0))
        (power,) = spectrum_of(stored((images + 1) / 0.5), to_unit)
        grain[name] = power[8] / FALLING[8]
    assert grain["known"] < 3 and grain["unknown"] > 30, grain
