"""Residual networks (He et al. 2016) under the usual names, so that published weights fit.

Where a bottleneck halves the image, its 3x3 convolution does, not the first 1x1 as in the
paper: this is "version 1.5", which PyTorch's published weights belong to.
"""

from pathlib import Path
from typing import Literal

import safetensors.torch
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor, nn

from mrgantry.common.errors import DataError, RecipeError
from mrgantry.common.weights import fetched

Name = Literal["resnet50", "resnet18", "small"]
# Of ImageNet's red, green and blue; MR images are grey, so all channels take the mean of the three.
MEAN, SPREAD = sum((0.485, 0.456, 0.406)) / 3, sum((0.229, 0.224, 0.225)) / 3
PUBLISHED = {
    "resnet50": (
        "https://huggingface.co/timm/resnet50.tv_in1k/resolve/"
        "aa6c2d36d56bc0209040c02b5a7b7d7bf11d57b8/model.safetensors",
        "5d061a3c593d795bfe682d9b152bafbcf550579873492def3515b46db1189888",
    ),
    "resnet18": (
        "https://huggingface.co/timm/resnet18.tv_in1k/resolve/"
        "a987fd6b60f845221bfff84b6f0191273ba56ead/model.safetensors",
        "694f673df6520a3158624e8a89af086f59923ee4cd7436fe5bc3bc71d295ad81",
    ),
}


class ResidualBlock(nn.Module):
    """What all residual blocks share: layers and a shortcut round them."""

    wider = 1  # output channels by channels inside

    def shortcut(self, inputs: int, width: int, stride: int) -> nn.Sequential | None:
        """Give what fits the input to the output, where their shapes differ."""
        outputs = width * self.wider
        if stride == 1 and inputs == outputs:
            return None
        resized = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        return nn.Sequential(resized, nn.BatchNorm2d(outputs))


class Basic(ResidualBlock):
    """Two 3x3 convolutions (figure 5, left)."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = self.shortcut(inputs, width, stride)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        """Add what the layers find to what they are given."""
        features = self.bn1(self.conv1(images)).relu()
        features = self.bn2(self.conv2(features))
        return (features + (self.downsample(images) if self.downsample else images)).relu()


class Bottleneck(ResidualBlock):
    """A 3x3 convolution between two 1x1, the second four times as wide (figure 5, right)."""

    wider = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * self.wider, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * self.wider)
        self.downsample = self.shortcut(inputs, width, stride)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        """Add what the layers find to what they are given."""
        features = self.bn1(self.conv1(images)).relu()
        features = self.bn2(self.conv2(features)).relu()
        features = self.bn3(self.conv3(features))
        return (features + (self.downsample(images) if self.downsample else images)).relu()


class ResNet(nn.Module):
    """A residual network of four layers of blocks, the last three of which halve the image.

    Args:
        block: Kind of its blocks.
        depths: Blocks of each layer.
        width: Channels inside the first layer's blocks; each layer has twice as many.
        channels: Of the images.
        classes: How many logits are given.
        dropout: Share of the last features that is dropped in training.
        pooling: Halve the image twice at the start, as photographs of 224 pixels want;
            otherwise once, by a 3x3 convolution.
    """

    def __init__(
        self,
        block: type[Basic | Bottleneck],
        depths: tuple[int, int, int, int],
        width: int = 64,
        channels: int = 3,
        classes: int = 1000,
        dropout: float = 0.0,
        pooling: bool = True,
    ) -> None:
        super().__init__()
        kernel = 7 if pooling else 3
        self.conv1 = nn.Conv2d(channels, width, kernel, 2, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if pooling else nn.Identity()
        widths = [width << number for number in range(4)]
        inputs = [width, *(inner * block.wider for inner in widths)]
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            stack(block, inputs[number], widths[number], depth, 2 if number else 1)
            for number, depth in enumerate(depths)
        )
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(inputs[-1], classes)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Give the logits of normalised images."""
        features = self.maxpool(self.bn1(self.conv1(images)).relu())
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            features = layer(features)
        return self.fc(self.dropout(features.mean((2, 3))))


def stack(
    block: type[Basic | Bottleneck], inputs: int, width: int, depth: int, stride: int
) -> nn.Sequential:
    """Make a layer: blocks of one width, the first of which has the stride."""
    rest = [block(width * block.wider, width, 1) for _ in range(depth - 1)]
    return nn.Sequential(block(inputs, width, stride), *rest)


def build(name: Name, channels: int = 1, classes: int = 2, dropout: float = 0.5) -> ResNet:
    """Make a network with weights drawn from PyTorch's global generator.

    "small" is for laptops and images of about 64 pixels: one block a layer, a quarter of the
    width, 0.3 million parameters.
    """
    if name == "resnet50":
        network = ResNet(Bottleneck, (3, 4, 6, 3), 64, channels, classes, dropout)
    elif name == "resnet18":
        network = ResNet(Basic, (2, 2, 2, 2), 64, channels, classes, dropout)
    else:
        network = ResNet(Basic, (1, 1, 1, 1), 16, channels, classes, dropout, pooling=False)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):  # He et al. 2015, by the outputs
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network


def published(name: Name) -> tuple[str, str]:
    """Say where weights trained on ImageNet are, and their SHA-256.

    Raises:
        RecipeError: Nobody has published weights of this network.
    """
    if name not in PUBLISHED:
        raise RecipeError(
            f"The network {name} has no weights trained on ImageNet; take --set weights=scratch, "
            f"or --set network={' or '.join(PUBLISHED)}."
        )
    return PUBLISHED[name]


def fetch_published(name: Name) -> Path:
    """Look for weights trained on ImageNet, or fetch them, as `mrgantry.common.weights` says.

    Raises:
        RecipeError: Nobody has published weights of this network.
        DataError: They cannot be fetched.
    """
    url, sha256 = published(name)
    try:
        return fetched(f"{name}-imagenet.safetensors", url, sha256)
    except DataError as error:
        raise DataError(f"{error} Or train without them: --set weights=scratch.") from error


def load_published(network: ResNet, name: Name, weights: Path | None = None) -> None:
    """Fill a network, but for its last layer, with weights trained on ImageNet.

    Args:
        network: What `build` has made under this name.
        name: Its name.
        weights: A file of such weights (safetensors); otherwise they are looked for, and
            fetched, as `mrgantry.common.weights` says.

    Raises:
        RecipeError: Nobody has published weights of this network.
        DataError: They cannot be fetched, or the file does not hold them.
    """
    url, _ = published(name)
    path = weights or fetch_published(name)
    try:
        state = safetensors.torch.load_file(path)
        state["conv1.weight"] = adapted(state["conv1.weight"], network.conv1.in_channels)
        state |= {f"fc.{key}": value for key, value in network.fc.state_dict().items()}
        network.load_state_dict(state)
    except (OSError, RuntimeError, LookupError, ValueError, SafetensorError) as error:
        raise DataError(
            f"{path} is damaged or holds other weights than those of {name}, which are at {url}."
        ) from error


def adapted(weights: Float[Tensor, "d 3 k k"], channels: int) -> Float[Tensor, "d {channels} k k"]:
    """Fit the first convolution, made for colours, to other channels.

    Three stay as they are. Otherwise every channel gets the sum over the colours divided by
    the number of channels: MR channels are no colours, and none is more than another. So an
    image whose channels are all alike gives what it gives as grey in red, green and blue.
    """
    if channels == 3:
        return weights
    return (weights.sum(1, keepdim=True) / channels).repeat(1, channels, 1, 1)
