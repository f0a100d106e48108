import dataclasses
import hashlib
import sys
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from conftest import blobs
from mrgantry.common.errors import DataError
from mrgantry.evaluation.extractors import pretrained
from mrgantry.evaluation.extractors.pretrained import NETWORKS, PRETRAINED, load_extractor

IMAGES = np.concatenate([blobs(3, 32), blobs(3, 32, seed=1)], 1)  # two channels


def scripted(module: nn.Module, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is deprecated
        torch.jit.script(module).save(path)
    return path


class Archive(nn.Module):
    """Called as the published archive is: 0 to 255 in, 2048 features out."""

    def __init__(self, width: int = 2048) -> None:
        super().__init__()
        self.layers = nn.Conv2d(3, width, 23, 69)
        nn.init.normal_(self.layers.weight)

    def forward(self, img: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        features = self.layers((img - 128) / 128).mean((2, 3))
        return features if return_features else features.softmax(1)


class NoFeatures(nn.Module):
    def forward(self, img: torch.Tensor) -> torch.Tensor:
        return img


def shuffled(module: nn.Module, seed: int) -> nn.Module:
    """Set all weights of a network, without the seconds of its own initialisation."""
    random = torch.Generator().manual_seed(seed)
    for name, value in module.to_empty(device="cpu").state_dict().items():
        if name.endswith("num_batches_tracked"):
            value.zero_()
        elif value.ndim == 1:
            value.uniform_(0.5, 1.5, generator=random)
        else:
            value.normal_(0, (2 * len(value) / value.numel()) ** 0.5, generator=random)
    return module.eval()


@pytest.fixture(scope="module")
def inception(tmp_path_factory):
    """An archive like that of the FID, and the network that is in it."""
    torch.manual_seed(0)
    archive = Archive()
    return scripted(archive, tmp_path_factory.mktemp("inception") / "any.pt"), archive


@pytest.fixture(scope="module")
def dinov2(tmp_path_factory):
    """A file of DINOv2's shape, under the names that it was published with."""
    import transformers

    config = transformers.Dinov2Config(hidden_size=384, num_attention_heads=6, image_size=518)
    with torch.device("meta"):
        network = transformers.Dinov2Model(config)
    folder = tmp_path_factory.mktemp("dinov2")
    transformers.utils.logging.disable_progress_bar()
    shuffled(network, 0).save_pretrained(folder)
    return folder / "model.safetensors", network


@pytest.fixture(scope="module")
def radimagenet(tmp_path_factory):
    """Two files of one ResNet-50, in torchvision's names and in RadImageNet's."""
    network = shuffled(ResNet50(), 0)
    folder = tmp_path_factory.mktemp("radimagenet")
    state = network.state_dict()
    fully = {"fc.weight": torch.zeros(5, 2048), "fc.bias": torch.zeros(5)}
    torch.save(state | fully, folder / "torchvision.pt")
    places = {name: f"backbone.{place}" for place, (name, _) in enumerate(network.named_children())}
    torch.save(
        {places[(parts := key.split(".", 1))[0]] + "." + parts[1]: state[key] for key in state},
        folder / "ResNet50.pt",
    )
    return folder, network


class Bottleneck(nn.Module):
    """He 2016, figure 5; the stride is the second convolution's, as torchvision has it."""

    def __init__(self, wide: int, narrow: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(wide, narrow, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(narrow)
        self.conv2 = nn.Conv2d(narrow, narrow, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(narrow)
        self.conv3 = nn.Conv2d(narrow, 4 * narrow, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * narrow)
        self.downsample = nn.Sequential()
        if wide != 4 * narrow:
            shortcut = nn.Conv2d(wide, 4 * narrow, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(4 * narrow))

    def forward(self, x):
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y)).relu()
        return (self.bn3(self.conv3(y)) + self.downsample(x)).relu()


class ResNet50(nn.Sequential):
    """He 2016, table 1, under torchvision's names."""

    def __init__(self) -> None:
        super().__init__()
        with torch.device("meta"):
            self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
            self.bn1 = nn.BatchNorm2d(64)
            self.relu = nn.ReLU()
            self.maxpool = nn.MaxPool2d(3, 2, 1)
            wide = 64
            for stage, blocks in enumerate([3, 4, 6, 3]):
                narrow, layer = 64 * 2**stage, nn.Sequential()
                for block in range(blocks):
                    layer.append(Bottleneck(wide, narrow, 2 if stage and not block else 1))
                    wide = 4 * narrow
                self.add_module(f"layer{stage + 1}", layer)


def by_pillow(channel: np.ndarray, size: int, kernel: Image.Resampling) -> torch.Tensor:
    """Resize images in [-1, 1] of one channel; give three channels in [0, 1]."""
    rows = [Image.fromarray(one.astype(np.float32)).resize((size, size), kernel) for one in channel]
    return torch.from_numpy(np.stack(rows))[:, None].repeat(1, 3, 1, 1) / 2 + 0.5


def by_hand(network, channel, size, kernel, mean, spread):
    with torch.inference_mode():
        images = by_pillow(channel, size, kernel)
        mean, spread = (torch.tensor(x)[:, None, None] for x in (mean, spread))
        return network((images - mean) / spread).double().numpy()


# --- values ---------------------------------------------------------------------------


def assert_features(found, first, second):
    """All features of the first channel stand before those of the second."""
    expected = np.concatenate([first, second], 1)
    assert found.dtype == np.float64
    assert np.abs(first - second).max() > 1e-2 * np.abs(expected).max()  # images do matter
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_inception_is_fed_floats_from_0_to_255(inception):
    path, archive = inception
    found = load_extractor("inception", path).extract(IMAGES)
    parts = [
        by_hand(
            lambda x: archive(x * 255, return_features=True),
            IMAGES[:, channel],
            299,
            Image.Resampling.BICUBIC,
            [0.0, 0.0, 0.0],
            [1.0, 1.0, 1.0],
        )
        for channel in (0, 1)
    ]
    assert_features(found, *parts)
    assert found.shape == (3, 2 * 2048)


def test_large_images_are_reduced_without_aliasing(inception):
    """Stripes of one pixel become grey, as in Pillow; without antialiasing they stay stripes."""
    stripes = np.where(np.arange(598) % 2, 1, -1).astype(np.float16)
    images = np.broadcast_to(stripes, (1, 1, 598, 598)).copy()
    found = load_extractor("inception", inception[0]).extract(images)
    with torch.inference_mode():
        grey, black = (inception[1](torch.full((1, 3, 299, 299), x), True) for x in (127.5, 0.0))
    # The borders differ a little.
    assert np.abs(found - grey.numpy()).max() < 0.02 * (grey - black).abs().max()


def test_dinov2_gives_the_class_token(dinov2):
    path, network = dinov2
    found = load_extractor("dinov2", path).extract(IMAGES[:1])
    mean, spread = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    parts = [
        by_hand(
            lambda x: network(x).last_hidden_state[:, 0],
            IMAGES[:1, channel],
            224,
            Image.Resampling.BICUBIC,
            mean,
            spread,
        )
        for channel in (0, 1)
    ]
    assert_features(found, *parts)
    assert found.shape == (1, 2 * 384)


@pytest.mark.parametrize("file", ["torchvision.pt", "ResNet50.pt"])
def test_radimagenet_in_both_ways_of_naming(radimagenet, file):
    folder, network = radimagenet
    found = load_extractor("radimagenet", folder / file).extract(IMAGES[:1])
    half = [0.5, 0.5, 0.5]
    parts = [
        by_hand(
            lambda x: network(x).mean((2, 3)),
            IMAGES[:1, channel],
            224,
            Image.Resampling.BILINEAR,
            half,
            half,
        )
        for channel in (0, 1)
    ]
    assert_features(found, *parts)
    assert found.shape == (1, 2 * 2048)


def test_batches_change_nothing(inception, monkeypatch):
    extractor = load_extractor("inception", inception[0])
    whole = extractor.extract(IMAGES)
    monkeypatch.setattr(pretrained, "BATCH", 4)
    np.testing.assert_allclose(extractor.extract(IMAGES), whole, atol=1e-4)
    np.testing.assert_allclose(extractor.extract(IMAGES[1:2]), whole[1:2], atol=1e-4)


def test_every_step_of_an_image_counts(inception):
    """16-bit floats are not rounded to 8 bits on the way."""
    extractor = load_extractor("inception", inception[0])
    fine = IMAGES[:1] * np.float16(0.5)
    finer = np.nextafter(fine, np.float16(1))
    assert np.abs(extractor.extract(fine) - extractor.extract(finer)).max() > 0


# --- fingerprints ---------------------------------------------------------------------


def test_fingerprints_tell_weights_apart(inception, tmp_path):
    torch.manual_seed(1)
    other = load_extractor("inception", scripted(Archive(), tmp_path / "other.pt"))
    one, again = (load_extractor("inception", inception[0]) for _ in range(2))
    assert one.name == "inception"
    assert one.fingerprint == again.fingerprint != other.fingerprint


def test_fingerprints_tell_preparations_apart(inception, monkeypatch):
    before = load_extractor("inception", inception[0]).fingerprint
    network = NETWORKS["inception"]
    bilinear = dataclasses.replace(network.prepare, kernel="bilinear")
    changed = dataclasses.replace(network, prepare=bilinear)
    monkeypatch.setitem(NETWORKS, "inception", changed)
    assert load_extractor("inception", inception[0]).fingerprint != before


# --- where weights come from ----------------------------------------------------------


def served(monkeypatch, path, sha256=None):
    """Let the weights of the FID be fetched from a file."""
    sha256 = sha256 or hashlib.sha256(path.read_bytes()).hexdigest()
    network = dataclasses.replace(NETWORKS["inception"], url=path.as_uri(), sha256=sha256)
    monkeypatch.setitem(NETWORKS, "inception", network)


def test_weights_are_fetched_once(inception, tmp_path, monkeypatch):
    monkeypatch.setenv("MRGANTRY_WEIGHTS", str(tmp_path / "kept"))
    served(monkeypatch, inception[0])
    one = load_extractor("inception")
    assert [file.name for file in (tmp_path / "kept").iterdir()] == ["inception-2015-12-05.pt"]
    served(monkeypatch, inception[0], "not fetched again")
    assert load_extractor("inception").fingerprint == one.fingerprint


def test_weights_are_kept_in_the_home_folder(inception, tmp_path, monkeypatch):
    monkeypatch.delenv("MRGANTRY_WEIGHTS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    served(monkeypatch, inception[0])
    load_extractor("inception")
    assert (tmp_path / ".cache/mrgantry/inception-2015-12-05.pt").is_file()


def test_nothing_is_kept_of_a_damaged_download(inception, tmp_path, monkeypatch):
    monkeypatch.setenv("MRGANTRY_WEIGHTS", str(tmp_path / "kept"))
    served(monkeypatch, inception[0], "0" * 64)
    with pytest.raises(DataError, match="cannot be fetched .*hash"):
        load_extractor("inception")
    assert not list((tmp_path / "kept").iterdir())


@pytest.mark.parametrize("name", PRETRAINED)
def test_offline(name, tmp_path, monkeypatch):
    monkeypatch.setenv("MRGANTRY_WEIGHTS", str(tmp_path))
    network = dataclasses.replace(NETWORKS[name], url="http://127.0.0.1:9/weights")
    monkeypatch.setitem(NETWORKS, name, network)
    with pytest.raises(DataError) as caught:
        load_extractor(name)
    message = str(caught.value)
    assert "get them from http://127.0.0.1:9/weights and save them under that name" in message
    assert str(tmp_path / network.file) in message
    assert not list(tmp_path.iterdir())


def test_a_missing_extra_is_named_before_anything_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.setenv("MRGANTRY_WEIGHTS", str(tmp_path))
    for name in ("dinov2", "radimagenet"):
        with pytest.raises(DataError, match=r"pip install 'mrgantry\[extractors\]'"):
            load_extractor(name)


# --- files that are something else ----------------------------------------------------


@pytest.mark.parametrize("name", PRETRAINED)
def test_damaged_weights(name, tmp_path):
    for content in (b"", b"damaged" * 100):
        (tmp_path / "weights").write_bytes(content)
        with pytest.raises(DataError, match=f"damaged or holds other weights than those of {name}"):
            load_extractor(name, tmp_path / "weights")


def test_weights_that_do_not_exist(tmp_path):
    with pytest.raises(DataError, match="nowhere.pt cannot be read as weights of inception"):
        load_extractor("inception", tmp_path / "nowhere.pt")


def test_archives_that_are_called_otherwise(tmp_path):
    for number, module in enumerate([Archive(1000), NoFeatures()]):
        path = scripted(module, tmp_path / f"{number}.pt")
        with pytest.raises(DataError, match="holds other weights"):
            load_extractor("inception", path)


def test_state_of_another_network(tmp_path):
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in ResNet50().state_dict().items()}
    state = {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}  # a small file
    first = "conv1.weight"
    wrong = [
        {key: value for key, value in state.items() if key != first},
        state | {"layer5.0.conv1.weight": torch.zeros(1)},
        state | {first: torch.zeros(1)},
        {"model": {"conv1.weight": torch.zeros(1)}},
        [1, 2],
    ]
    for value in wrong:
        torch.save(value, tmp_path / "weights.pt")
        with pytest.raises(DataError, match="holds other weights"):
            load_extractor("radimagenet", tmp_path / "weights.pt")
    torch.save(state, tmp_path / "weights.pt")
    assert load_extractor("radimagenet", tmp_path / "weights.pt").name == "radimagenet"


def test_a_pickle_is_not_run(tmp_path):
    torch.save(Archive(1), tmp_path / "module.pt")  # a whole module, not a state
    with pytest.raises(DataError, match="holds other weights"):
        load_extractor("radimagenet", tmp_path / "module.pt")


def test_unknown_names():
    with pytest.raises(DataError, match="'vgg'; there are inception, dinov2, radimagenet"):
        load_extractor("vgg")
