import pytest
import torch
import torch.nn.functional as F

from mrgantry.generate.layers import (
    EqualConv2d,
    EqualLinear,
    GroupNorm,
    Leaky,
    MinibatchStd,
    PixelNorm,
    channels_last,
)


def test_pixel_norm_has_unit_mean_square():
    normed = PixelNorm()(torch.randn(2, 16, 4, 4) * 7)
    assert torch.allclose(normed.square().mean(1), torch.ones(2, 4, 4), atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 16, 32, 32), (2, 16, 8, 16, 8), (2, 16, 4, 4)])
def test_group_norm_is_pytorch_s_own_in_any_arithmetic(shape):
    """Outputs are equal; gradients differ by no more than bfloat16 rounds."""
    torch.manual_seed(0)
    ours, own = GroupNorm(4, 16), torch.nn.GroupNorm(4, 16)
    ours.load_state_dict(own.state_dict())
    values, gradient = torch.randn(shape) * 3 + 1, torch.randn(shape)
    for dtype in (torch.float32, torch.bfloat16):
        kept = []
        for norm in (ours, own):
            norm.zero_grad()
            inputs = channels_last(values.to(dtype)).requires_grad_()
            outputs = norm(inputs)
            outputs.backward(gradient.to(dtype))
            kept.append((outputs, inputs.grad, norm.weight.grad, norm.bias.grad))
        for mine, theirs in zip(*kept, strict=True):
            assert mine.dtype == theirs.dtype
            error = (mine - theirs).float().norm() / theirs.float().norm()
            assert error < (1e-6 if dtype == torch.float32 else 0.01)


class TestMinibatchStd:
    def test_equal_images_give_zero(self):
        images = torch.randn(1, 3, 4, 4).expand(8, 3, 4, 4)
        appended = MinibatchStd()(images)
        assert appended.shape == (8, 4, 4, 4)
        assert (appended[:, 3] == 0).all() and torch.equal(appended[:, :3], images)

    def test_equal_images_have_a_finite_gradient(self):
        images = torch.zeros(4, 1, 2, 2, requires_grad=True)
        MinibatchStd()(images).sum().backward()
        assert torch.isfinite(images.grad).all()

    def test_value_by_hand(self):
        """Two images a group, apart by 2 everywhere: the deviation is 1; by 6: 3."""
        images = torch.tensor([0.0, 2.0, 1.0, 7.0]).reshape(4, 1, 1, 1)
        assert MinibatchStd(2)(images)[:, 1].flatten().tolist() == pytest.approx([1, 1, 3, 3])

    @pytest.mark.parametrize(("batch", "group"), [(8, 4), (6, 3), (10, 2), (5, 5), (7, 7)])
    def test_groups_where_four_do_not_divide_the_batch(self, batch, group):
        images = torch.randn(batch, 2, 2, 2)
        expected = [one.std(0, correction=0).mean().item() for one in images.split(group)]
        found = MinibatchStd()(images)[::group, 2, 0, 0].tolist()
        assert found == pytest.approx(expected, rel=1e-4) and min(found) > 0


class TestEqualised:
    def test_outputs_have_the_variance_of_the_gain(self):
        torch.manual_seed(0)
        inputs = torch.randn(64, 48, 8, 8)
        assert EqualConv2d(48, 64, 3, gain=1)(inputs)[
            ..., 1:-1, 1:-1
        ].std().item() == pytest.approx(1, rel=0.03)
        assert EqualLinear(48, 512)(inputs[..., 0, 0]).std().item() == pytest.approx(
            2**0.5, rel=0.03
        )
        assert EqualConv2d(48, 64, 3).weight.std().item() == pytest.approx(1, rel=0.02)

    @pytest.mark.parametrize("kernel", [3, 5])
    def test_doubling_first_is_one_layer(self, kernel):
        layer = EqualConv2d(3, 5, kernel, resample="up").double()
        inputs = torch.randn(2, 3, 6, 6).double()
        doubled = F.interpolate(inputs, scale_factor=2.0)
        plain = F.conv2d(doubled, layer.weight * layer.scale, layer.bias, padding=kernel // 2)
        assert torch.allclose(layer(inputs), plain)

    @pytest.mark.parametrize("kernel", [3, 5])
    def test_halving_after_is_one_layer(self, kernel):
        layer = EqualConv2d(3, 5, kernel, resample="down").double()
        inputs = torch.randn(2, 3, 6, 6).double()
        plain = F.conv2d(inputs, layer.weight * layer.scale, layer.bias, padding=kernel // 2)
        assert torch.allclose(layer(inputs), F.avg_pool2d(plain, 2))


class TestLeaky:
    def test_equals_the_usual_one_twice_differentiated(self):
        inputs = torch.randn(5, 7, dtype=torch.float64, requires_grad=True)
        found = []
        for layer in (Leaky(), torch.nn.LeakyReLU(0.2)):
            (slope,) = torch.autograd.grad(
                (layer(inputs) * inputs).sum(), inputs, create_graph=True
            )
            found.append((slope, *torch.autograd.grad(slope.square().sum(), inputs)))
        assert all(torch.allclose(ours, theirs) for ours, theirs in zip(*found))

    def test_passes_gradcheck(self):
        inputs = torch.randn(6, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(Leaky(), inputs)
        assert torch.autograd.gradgradcheck(lambda x: Leaky()(x * x), inputs)
