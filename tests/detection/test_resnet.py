import numpy as np
import pytest
import safetensors.torch
import torch

from mrgantry.common.errors import DataError, RecipeError
from mrgantry.detection import resnet
from mrgantry.detection.resnet import Basic, Bottleneck, ResNet, adapted, build, load_published
from mrgantry.evaluation.extractors.pretrained import _name

SHALLOW = (1, 2, 1, 1)


def filled(network, seed=0):
    """Draw all weights and statistics, so that none can be mistaken for another."""
    random = torch.Generator().manual_seed(seed)
    for name, value in network.to_empty(device="cpu").state_dict().items():
        if name.endswith("num_batches_tracked"):
            value.zero_()
        elif value.ndim == 1:
            value.uniform_(0.5, 1.5, generator=random)
        else:
            value.normal_(0, (2 * len(value) / value.numel()) ** 0.5, generator=random)
    return network.eval()


def independent(network, layer, depths, width, channels):
    """Give the features of transformers' ResNet with the same weights."""
    import transformers

    wider = 4 if layer == "bottleneck" else 1
    config = transformers.ResNetConfig(
        num_channels=channels,
        embedding_size=width,
        hidden_sizes=[wider * width << k for k in range(4)],
        depths=list(depths),
        layer_type=layer,
    )
    transformers.utils.logging.disable_progress_bar()
    state = {k: v for k, v in network.state_dict().items() if not k.startswith("fc.")}
    other, report = transformers.ResNetModel.from_pretrained(
        None,
        config=config,
        state_dict={_name(key): value for key, value in state.items()},
        dtype=torch.float32,
        output_loading_info=True,
    )
    assert not report["missing_keys"] and not report["unexpected_keys"]
    return other.eval()


@pytest.mark.parametrize(
    "block, layer, depths, width",
    [
        (Bottleneck, "bottleneck", (3, 4, 6, 3), 64),
        (Bottleneck, "bottleneck", SHALLOW, 8),
        (Basic, "basic", (2, 2, 2, 2), 16),
        (Basic, "basic", SHALLOW, 8),
    ],
)
def test_as_another_implementation(block, layer, depths, width):
    with torch.device("meta"):
        network = ResNet(block, depths, width, channels=3, classes=5)
    filled(network)
    images = torch.randn((2, 3, 64, 64), generator=torch.Generator().manual_seed(1))
    other = independent(network, layer, depths, width, 3)
    with torch.inference_mode():
        features = other(images).pooler_output.flatten(1)
        expected, found = network.fc(features), network(images)
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()
    assert (found[0] - found[1]).abs().max() > 1e-3 * expected.abs().max()


def count(network):
    return sum(value.numel() for value in network.parameters())


def test_published_numbers_of_parameters():
    with torch.device("meta"):
        assert count(build("resnet50", channels=3, classes=1000)) == 25_557_032
        assert count(build("resnet18", channels=3, classes=1000)) == 11_689_512
        assert count(build("small")) < 400_000


def test_names_are_the_usual_ones():
    with torch.device("meta"):
        names = set(build("resnet50", channels=3).state_dict())
    assert len(names) == 320  # as torchvision's resnet50 has
    assert {
        "conv1.weight",
        "bn1.running_var",
        "layer1.0.downsample.0.weight",
        "layer1.0.downsample.1.num_batches_tracked",
        "layer3.5.conv3.weight",
        "layer4.2.bn3.bias",
        "fc.bias",
    } <= names


def test_the_last_features_are_dropped_in_training_alone():
    network = build("small", dropout=0.5)
    images = torch.randn(4, 1, 32, 32)
    network.eval()
    assert torch.equal(network(images), network(images))
    network.train()
    assert not torch.equal(network(images), network(images))
    seen = []
    network.fc.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    network(images)
    assert (seen[0] == 0).float().mean().item() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_channels_that_are_alike_answer_as_grey(channels):
    torch.manual_seed(0)
    weights = torch.randn(8, 3, 7, 7)
    grey = torch.randn(2, 1, 32, 32)
    expected = torch.conv2d(grey.repeat(1, 3, 1, 1), weights)
    found = torch.conv2d(grey.repeat(1, channels, 1, 1), adapted(weights, channels))
    # Sums of up to 196 products in another order: eight times what rounding was seen to do.
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()
    if channels == 3:
        assert torch.equal(adapted(weights, 3), weights)


# --- published weights ----------------------------------------------------------------


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A small network's file, under the name that the published one has."""
    monkeypatch.setattr(
        resnet, "build", lambda name, channels=1: ResNet(Basic, SHALLOW, 4, channels, 2)
    )
    monkeypatch.setenv("MRGANTRY_WEIGHTS", str(tmp_path))
    network = filled(ResNet(Basic, SHALLOW, 4, 3, 1000))
    path = tmp_path / "resnet18-imagenet.safetensors"
    safetensors.torch.save_file(network.state_dict(), path)
    return path, network


@pytest.mark.parametrize("channels", [1, 3])
def test_all_but_the_last_layer_is_loaded(published, channels):
    network = resnet.build("resnet18", channels).eval()
    before = network.fc.weight.clone()
    load_published(network, "resnet18")
    assert torch.equal(network.fc.weight, before)
    network.fc, published[1].fc = torch.nn.Identity(), torch.nn.Identity()
    grey = torch.randn(2, 1, 32, 32)
    expected = published[1](grey.repeat(1, 3, 1, 1))
    found = network(grey.repeat(1, channels, 1, 1))
    np.testing.assert_allclose(found.detach(), expected.detach(), rtol=1e-3, atol=1e-4)


def test_a_network_without_published_weights():
    with pytest.raises(RecipeError, match="small has no weights .* --set weights=scratch"):
        load_published(build("small"), "small")


def test_offline(tmp_path, monkeypatch):
    monkeypatch.setenv("MRGANTRY_WEIGHTS", str(tmp_path))
    nowhere = {"resnet18": ("http://127.0.0.1:9/weights", "0" * 64)}
    monkeypatch.setattr(resnet, "PUBLISHED", nowhere)
    with pytest.raises(DataError, match="cannot be fetched .*--set weights=scratch"):
        load_published(ResNet(Basic, SHALLOW, 4), "resnet18")
    assert not list(tmp_path.iterdir())


def test_files_that_are_something_else(published):
    path, _ = published
    network = ResNet(Basic, (1, 1, 1, 1), 4)
    with pytest.raises(DataError, match="damaged or holds other weights than those of resnet18"):
        load_published(network, "resnet18")  # one block fewer
    for content in (b"", b"damaged" * 100):
        path.write_bytes(content)
        with pytest.raises(DataError, match="damaged or holds other weights"):
            load_published(network, "resnet18", path)
    with pytest.raises(DataError, match="damaged or holds other weights"):
        load_published(network, "resnet18", path.with_name("absent"))
