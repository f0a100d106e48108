"""Features of published networks, so that numbers can be set beside other people's.

The networks are the extra `extractors`, and their weights are fetched at first use: neither
is needed for anything else. Pixels stay floating-point numbers all the way: other programs
convert to 8 bits first, and saturate 16-bit images on the way.
"""

import hashlib
import importlib
import pickle
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor, nn

from mrgantry.common.device import best_device
from mrgantry.common.errors import DataError
from mrgantry.common.files import fingerprint
from mrgantry.common.weights import fetched
from mrgantry.evaluation.extractors.features import Extractor, Features, Images

BATCH = 32  # images of one channel; Inception's first layers hold some 10 MB of each
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

# What the libraries raise for a file that is damaged or is something else.
BROKEN = (
    *(AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError),
    *(pickle.UnpicklingError, SafetensorError),
)

KINDS = {"conv": "convolution", "bn": "normalization"}  # of torchvision and transformers
NUMBERED = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}


@dataclass(frozen=True)
class Preparation:
    """How a network wants its images: square and normalised.

    The whole image is kept, where classification would crop its borders away.

    Attributes:
        size: Pixels along each side.
        kernel: Of the resize, which is antialiased.
        mean: What is subtracted from each of the three channels; black is 0, white is 1.
        spread: What each is then divided by.
    """

    size: int
    kernel: Literal["bilinear", "bicubic"]
    mean: tuple[float, float, float]
    spread: tuple[float, float, float]

    def __call__(self, grey: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 3 s s"]:
        """Prepare images in [-1, 1]; their one channel is repeated to three."""
        side = (self.size, self.size)
        grey = F.interpolate(grey, side, mode=self.kernel, align_corners=False, antialias=True)
        mean, spread = (grey.new_tensor(x)[:, None, None] for x in (self.mean, self.spread))
        return ((grey + 1) / 2 - mean) / spread


@dataclass(frozen=True)
class Network:
    """A published network.

    Attributes:
        about: What it is, in a sentence.
        url: Where its weights are.
        sha256: Of the file that is there.
        file: Its name here.
        prepare: What is done to images first.
        width: Number of features.
        load: Reads such a file; raises one of `BROKEN` if it is another.
        respond: Gives the features of prepared images.
        extra: It needs the extra `extractors`.
    """

    about: str
    url: str
    sha256: str
    file: str
    prepare: Preparation
    width: int
    load: Callable[[Path], nn.Module]
    respond: Callable[[nn.Module, Float[Tensor, "n 3 s s"]], Float[Tensor, "n d"]]
    extra: bool = True


def load_extractor(name: str, weights: Path | None = None) -> Extractor:
    """Load a published network as an extractor.

    Each channel goes through the network alone, as a grey image; the features of several
    channels stand one after another, all of the first channel first. A CUDA device is used
    where there is one.

    Args:
        name: One of `PRETRAINED`.
        weights: File of its weights; otherwise they are looked for in the folder that the
            environment variable MRGANTRY_WEIGHTS names or in ~/.cache/mrgantry, and fetched
            into it. The file's own hash is part of the fingerprint.

    Raises:
        DataError: There is no such network, the extra is not installed, the weights cannot
            be fetched, or the file does not hold them.
    """
    if name not in NETWORKS:
        raise DataError(f"There is no extractor {name!r}; there are {', '.join(NETWORKS)}.")
    network = NETWORKS[name]
    if network.extra:
        _transformers()  # before anything is fetched for it
    path = weights or fetched(network.file, network.url, network.sha256)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read as weights of {name}: {error.strerror}; they are at "
            f"{network.url}."
        ) from error
    try:
        module = network.load(path).eval()
        _check(network, module)
    except BROKEN as error:
        raise DataError(
            f"{path} is damaged or holds other weights than those of {name}, which are at "
            f"{network.url}."
        ) from error
    extract = partial(_extract, network, module.to(best_device()))
    return Extractor(name, extract, fingerprint([repr(network.prepare), digest]))


def _extract(network: Network, module: nn.Module, images: Images) -> Features:
    """Put each channel of each image through a network, a few at a time."""
    n, c, h, w = images.shape
    chunks = torch.from_numpy(images).reshape(n * c, 1, h, w).split(BATCH)
    # TF32, which cuDNN takes by default, would make scores depend on the machine.
    exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
    responses = []
    with torch.inference_mode(), exact:
        for chunk in chunks:
            prepared = network.prepare(chunk.to(best_device()).float())
            responses.append(network.respond(module, prepared).double().cpu())
    return torch.cat(responses).reshape(n, -1).numpy()


def _check(network: Network, module: nn.Module) -> None:
    """Try a black image."""
    with torch.inference_mode():
        response = network.respond(module, network.prepare(torch.full((1, 1, 8, 8), -1.0)))
    if response.shape != (1, network.width):
        raise ValueError(f"{tuple(response.shape)} features")


# --- where weights come from ----------------------------------------------------------


def _transformers() -> Any:
    """Import the library that defines the networks, without its remarks and bars."""
    try:
        library = importlib.import_module("transformers")
        _ = library.Dinov2Model, library.ResNetModel  # it imports these only now
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
    except ImportError as error:
        raise DataError(
            "This extractor needs transformers: pip install 'mrgantry[extractors]'."
        ) from error
    return library


# --- the networks ---------------------------------------------------------------------


def _inception(path: Path) -> nn.Module:
    """Read FID's own Inception, as StyleGAN2-ADA and clean-fid do.

    It is the archive rather than torchmetrics or torch-fidelity since these take 8-bit
    images only. The archive resizes to 299 pixels itself, but without antialiasing; images
    that have 299 pixels already pass through that unchanged.
    """
    with warnings.catch_warnings():
        # TorchScript is deprecated, but published in no other form.
        warnings.filterwarnings("ignore", ".*torch.jit", DeprecationWarning)
        return torch.jit.load(path, map_location="cpu")


def _dinov2(path: Path) -> nn.Module:
    library = _transformers()
    # As config.json has it that is published beside the weights.
    config = library.Dinov2Config(hidden_size=384, num_attention_heads=6, image_size=518)
    return _fill(library.Dinov2Model, config, safetensors.torch.load_file(path))


def _radimagenet(path: Path) -> nn.Module:
    library = _transformers()
    state = torch.load(path, map_location="cpu", weights_only=True)
    named = {_name(key): value for key, value in state.items() if not key.startswith("fc.")}
    return _fill(library.ResNetModel, library.ResNetConfig(), named)


def _name(published: str) -> str:
    """Translate the name of a parameter of ResNet-50 to that of transformers.

    RadImageNet numbers the parts that torchvision names: `backbone.4.0.conv1.weight` is
    `layer1.0.conv1.weight`.
    """
    first, *middle, last = published.removeprefix("backbone.").split(".")
    first = NUMBERED.get(first, first)
    if not middle:
        return f"embedder.embedder.{KINDS[first[:-1]]}.{last}"
    block, place, *number = middle
    if place == "downsample":
        part = "shortcut." + [*KINDS.values()][int(number[0])]
    else:
        part = f"layer.{int(place[-1]) - 1}.{KINDS[place[:-1]]}"
    return f"encoder.stages.{int(first[-1]) - 1}.layers.{block}.{part}.{last}"


def _fill(kind: Any, config: Any, state: Mapping[str, Tensor]) -> nn.Module:
    """Make a network of transformers with these weights, all of them and no others."""
    # Not load_state_dict: parameters were renamed since these weights were published.
    network, report = kind.from_pretrained(
        None,
        config=config,
        state_dict=dict(state),
        dtype=torch.float32,
        output_loading_info=True,
    )
    wrong = set(report["missing_keys"]) | set(report["unexpected_keys"])
    if wrong:
        raise KeyError(min(wrong))
    return network


def _pooled(module: nn.Module, images: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n d"]:
    """Give DINOv2's normalised class token, or the mean over ResNet's last map."""
    return module(images).pooler_output.flatten(1)


NETWORKS = {
    "inception": Network(
        about="Inception-v3 trained on ImageNet photographs, 2048 features: that of the FID, and "
        "the only one whose Frechet distance is a FID",
        url="https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/"
        "inception-2015-12-05.pt",
        sha256="f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
        file="inception-2015-12-05.pt",
        # Parmar 2022 (clean-fid): bicubic, and grey values of 0 to 255.
        prepare=Preparation(299, "bicubic", (0, 0, 0), (1 / 255, 1 / 255, 1 / 255)),
        width=2048,
        load=_inception,
        respond=lambda module, images: module(images, return_features=True),
        extra=False,
    ),
    "dinov2": Network(
        about="DINOv2 ViT-S/14 trained without labels on photographs, the class token's 384 "
        "features",
        url="https://huggingface.co/facebook/dinov2-small/resolve/"
        "ed25f3a31f01632728cabb09d1542f84ab7b0056/model.safetensors",
        sha256="ae1e99fcefd534ed978cdeb8326f08030c96e28b7a81ffcbc98a857c84d14be1",
        file="dinov2-small.safetensors",
        # Stein 2023 (dgm-eval): bicubic, the whole image.
        prepare=Preparation(224, "bicubic", *IMAGENET),
        width=384,
        load=_dinov2,
        respond=_pooled,
    ),
    "radimagenet": Network(
        about="ResNet-50 trained on CT, MR and ultrasound images (RadImageNet), 2048 features",
        url="https://huggingface.co/Lab-Rasool/RadImageNet/resolve/"
        "736ec1ae8ccb2e0b647b47235e8d5b7509a346a5/ResNet50.pt",
        sha256="08629f7e7bd3e29b8ee9522ca3f65ce4d010a7ddf74f0ea3c7e3f3d0bbab0734",
        file="radimagenet-ResNet50.pt",
        # [-1, 1], bilinear: the authors' own pytorch_example.ipynb. The card beside this copy
        # of their file says ImageNet's mean and spread, but also shows code that cannot run.
        prepare=Preparation(224, "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        width=2048,
        load=_radimagenet,
        respond=_pooled,
    ),
}
PRETRAINED = {name: network.about for name, network in NETWORKS.items()}
