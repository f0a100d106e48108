import pytest
import torch

from mrgantry.generate.latents import draw_latents, normal, onto_prior


def drawn(prior):
    return draw_latents(prior, (2000, 8), torch.Generator().manual_seed(0))


def test_normal():
    assert drawn("normal").mean().item() == pytest.approx(0, abs=0.05)
    assert drawn("normal").std().item() == pytest.approx(1, abs=0.05)


def test_normal_numbers_out_of_uniform_ones():
    random = torch.Generator().manual_seed(0)
    numbers = normal(lambda shape: torch.rand((2000, *shape), generator=random), (8,))
    assert numbers.mean().item() == pytest.approx(0, abs=0.05)
    assert numbers.std().item() == pytest.approx(1, abs=0.05)
    ends = normal(lambda shape: torch.tensor([0.0, 0.5, 1.0]), ())
    assert ends.isfinite().all() and ends[1] == 0


def test_uniform():
    assert drawn("uniform").min() > -1 and drawn("uniform").max() < 1
    assert drawn("uniform").std().item() == pytest.approx(3**-0.5, abs=0.02)


def test_spheres():
    assert torch.allclose(drawn("sphere").square().mean(1), torch.ones(2000))
    assert torch.allclose(drawn("unit-sphere").norm(dim=1), torch.ones(2000))


@pytest.mark.parametrize("prior", ["normal", "uniform", "sphere", "unit-sphere"])
def test_what_a_prior_gave_is_left_as_it_is(prior):
    assert torch.allclose(onto_prior(drawn(prior), prior), drawn(prior), atol=1e-6)
