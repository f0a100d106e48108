"""A recipe: everything that training needs beside the data, frozen and complete."""

import json
from collections.abc import Iterator, Sequence
from math import prod
from typing import Annotated, Any, Literal, TypeVar

import torch
from pydantic import BaseModel, Field, model_validator
from torch import nn
from torch.optim import Optimizer

from mrgantry.common.errors import RecipeError, unknown
from mrgantry.common.frozen import Frozen
from mrgantry.data.plan import Voxels
from mrgantry.generate.augment import Augment
from mrgantry.generate.flow import Flow, Sampler
from mrgantry.generate.labels import Column
from mrgantry.generate.latents import Prior
from mrgantry.generate.losses import Loss
from mrgantry.generate.networks import DenoisingNetwork, GanNetwork, UNet, VolumeDcgan
from mrgantry.generate.schedule import Growing, Steps
from mrgantry.generate.stacks import PLACE, SIDES
from mrgantry.generate.stop import Stop

KINDS = ("network", "loss", "optimiser", "schedule")  # what `--set` can exchange by a word
FIXED = ("name", "variant", "changes", "kind")  # and what it cannot
FEWEST_IMAGES = 2  # of a GAN's batch
LEAST_RATE = 0.05  # of learning when it has fallen, as a share of the optimiser's
Rate = Annotated[float, Field(gt=0, lt=1)]
Kind = TypeVar("Kind", bound="Recipe")
Variant = Literal[
    "published",
    "coded",
    "corrected",
    "original",
    "stable",
    "noise",
    "minibatch",
    "no-minibatch",
    "uniform",
    "normal",
]


class Adam(Frozen):
    """Adam (Kingma and Ba 2015); beta1 0.5 is DCGAN's convention."""

    kind: Literal["adam"] = "adam"
    lr: Rate = 2e-4
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.5
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999

    def build(self, network: nn.Module) -> Optimizer:
        """Make the optimiser of one network; fused, it goes over the weights once a step."""
        betas = (self.beta1, self.beta2)
        return torch.optim.Adam(network.parameters(), self.lr, betas, fused=True)


class RmsProp(Frozen):
    """RMSprop, which Arjovsky et al. (2017) use for the Wasserstein loss."""

    kind: Literal["rmsprop"] = "rmsprop"
    lr: Rate = 5e-5

    def build(self, network: nn.Module) -> Optimizer:
        """Make the optimiser of one network."""
        return torch.optim.RMSprop(network.parameters(), self.lr)


class AdamW(Frozen):
    """Adam whose weights also decay by themselves (Loshchilov and Hutter 2019)."""

    kind: Literal["adamw"] = "adamw"
    lr: Rate = 1e-3
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.99
    decay: Annotated[float, Field(ge=0, lt=1)] = 0.01

    def build(self, network: nn.Module) -> Optimizer:
        """Make the optimiser of one network; fused, it goes over the weights once a step."""
        betas = (self.beta1, self.beta2)
        return torch.optim.AdamW(
            network.parameters(), self.lr, betas, weight_decay=self.decay, fused=True
        )


class Recipe(Frozen):
    """One training, whole: what recipes of all kinds have.

    Attributes:
        name: What it is called.
        variant: Of a published recipe: as "published"; as "coded" by its authors where that
            differs; "corrected", as coded without its mistakes; "original", as long as in
            the paper that it follows; "stable", without what keeps it from learning; or what
            an ablation of the paper changes in the published one: "noise", "minibatch",
            "no-minibatch", "uniform" or "normal".
        size: Height and width of the images in pixels.
        voxels: Of volumes: how many from right to left, front to back and bottom to top; None
            where images are slices.
        labels: Columns of the rows that the networks are told; those with a single value
            in the training set are left out.
        label_maps: Draw the label maps of the set with the images, a channel a class.
        start: Where the weights come from: the name of weights that come with mrgantry, a run,
            or a file of weights; None draws them at random.
        images: Real images that are shown in all; this is the length.
        batch: Images a step, over all processes.
        ema: Half-life of the generator's moving average in images; None samples from
            the last weights instead, as the published studies did.
        precision: "auto" takes bf16 where a short timing shows that it is faster.
        seed: Seed of weights, of the order of images and of noise.
        changes: What was changed of the recipe of that name, as `key=value`.
    """

    name: str
    variant: Variant | None = None
    size: Annotated[int, Field(ge=8)]
    voxels: Voxels | None = None
    labels: tuple[Column, ...] = ()
    label_maps: bool = False
    start: str | None = None
    images: Annotated[int, Field(ge=1)]
    batch: Annotated[int, Field(ge=1)] = 64
    ema: Annotated[float, Field(gt=0)] | None = None
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: Annotated[int, Field(ge=0)] = 0
    changes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Give height and width of the images in pixels; of volumes, depth before them."""
        return tuple(reversed(self.voxels)) if self.voxels else (self.size, self.size)

    @property
    def size_name(self) -> str:
        """Write the size as names of recipes have it: 64, or 64x72x64."""
        return "x".join(map(str, self.voxels or [self.size]))

    def set(self: Kind, changes: Sequence[str]) -> Kind:
        """Give the recipe with values changed, each written as `key=value`.

        A key is a dotted path such as `network.width`, or its last word alone where
        that is unambiguous. `loss=dragan` takes another kind with its own defaults, and so
        do `network`, `optimiser` and `schedule`; `augment=null` takes it away.

        Raises:
            RecipeError: A key is unknown or ambiguous, or its value will not do.
        """
        recipe = self
        for change in changes:
            recipe = recipe._changed(change)
        return recipe.model_copy(update={"changes": (*self.changes, *changes)})

    def _changed(self: Kind, change: str) -> Kind:
        key, sign, text = change.partition("=")
        if not sign:
            raise RecipeError(f"The change {change!r} must read key=value.")
        if key in FIXED:
            raise RecipeError(
                f"The {key} of the recipe {self.name} is not to be changed; variants are recipes "
                "of their own, which `mrgantry recipes` lists."
            )
        values = self.model_dump()
        paths = list(dict.fromkeys([*_paths(values), *values]))
        matches = [path for path in paths if path == key or path.endswith(f".{key}")]
        if not matches:
            raise RecipeError(unknown("key", key, paths, f"recipe {self.name}"))
        if key not in matches and len(matches) > 1:
            raise RecipeError(f"The key {key!r} could be {' or '.join(matches)}; write which.")
        place = values
        *parents, last = (key if key in matches else matches[0]).split(".")
        for parent in parents:
            place = place[parent]
        value = _parse(text)
        place[last] = {"kind": value} if last in KINDS and isinstance(value, str) else value
        return type(self).of(values, f"recipe {self.name}")

    def differences(self, other: "Recipe") -> list[str]:
        """List the keys, with both values, in which two recipes differ."""
        new, old = dict(_leaves(self)), dict(_leaves(other))
        return [
            f"{key} was {old.get(key)!r}, now {new.get(key)!r}"
            for key in sorted(new.keys() | old.keys())
            if new.get(key) != old.get(key) and key != "changes"
        ]


class GanRecipe(Recipe):
    """A pair of networks that are trained against each other.

    Attributes:
        kind: "gan".
        network: The pair of networks.
        loss: What they minimise.
        optimiser: How, for each of both.
        steps: Critic steps and generator steps of a round.
        schedule: Progressive growing, for networks that can; None trains at full size.
        augment: What the critic sees is changed at random; None shows images as they are.
        noise: Standard deviation of the normal noise that is laid over all images before the
            critic sees them; 0 is none.
        vat: Weight of virtual adversarial training, a penalty on how much the critic's answer
            changes by the smallest change of an image; 0 is none.
        vat_radius: How small: root mean square of the change of a pixel, of intensities from
            -1 to 1.
    """

    kind: Literal["gan"] = "gan"
    network: GanNetwork
    loss: Loss
    optimiser: Annotated[Adam | RmsProp, Field(discriminator="kind")] = Adam()
    steps: Steps = Steps()
    schedule: Growing | None = None
    augment: Augment | None = None
    noise: Annotated[float, Field(ge=0)] = 0.0
    vat: Annotated[float, Field(ge=0)] = 0.0
    vat_radius: Annotated[float, Field(gt=0)] = 0.05

    @model_validator(mode="after")
    def _of_one_kind(self) -> "GanRecipe":
        if self.batch < FEWEST_IMAGES:
            raise ValueError("a batch of a GAN holds two images or more (batch norm compares them)")
        if bool(self.voxels) != isinstance(self.network, VolumeDcgan):
            raise ValueError(
                "the network volume-dcgan makes volumes (voxels=[64, 72, 64]), all others slices"
            )
        if self.voxels and (self.augment or self.schedule):
            raise ValueError("of volumes neither augmentation nor growth is known")
        return self

    def generator(self, channels: int, labels: int) -> nn.Module:
        """Build the generator.

        Raises:
            RecipeError: It cannot be of this size.
        """
        if isinstance(self.network, VolumeDcgan):
            return self.network.generator(self.shape, channels, labels)
        return self.network.generator(self.size, channels, labels)

    def critic(self, channels: int, labels: int) -> nn.Module:
        """Build the critic.

        Raises:
            RecipeError: It cannot be of this size.
        """
        if isinstance(self.network, VolumeDcgan):
            return self.network.critic(self.shape, channels, labels)
        return self.network.critic(self.size, channels, labels)

    @property
    def objective(self) -> str:
        """Name what is minimised."""
        return self.loss.kind

    @property
    def prior(self) -> Prior:
        """Give the distribution of latents."""
        return self.network.prior

    def latent(self, channels: int) -> int:
        """Give the length of the latent vector of images of so many channels."""
        return self.network.latent


class FlowRecipe(Recipe):
    """A network that takes noise off images, and so leads from noise to new ones.

    Attributes:
        kind: "flow".
        network: The denoiser.
        flow: The path from noise to images.
        sampler: How images are drawn, unless `sample` is told otherwise.
        optimiser: How the error is lowered; gradients longer than 1 are shortened to 1.
        warm_up: Images in which the rate of learning rises from 0.
        cool_down: Last share of the images, in which it falls to `LEAST_RATE`.
        stop: When training ends by itself; None goes on to the end.
    """

    kind: Literal["flow"] = "flow"
    network: DenoisingNetwork
    flow: Flow = Flow()
    sampler: Sampler = Sampler()
    optimiser: AdamW = AdamW()
    warm_up: Annotated[int, Field(ge=0)] = 1600
    cool_down: Annotated[float, Field(ge=0, le=1)] = 0.3
    stop: Stop | None = Stop()

    @property
    def objective(self) -> str:
        """Name what is minimised."""
        return "flow"

    @property
    def prior(self) -> Prior:
        """Give the distribution of latents: they are images of noise."""
        return "normal"

    def denoiser(self, channels: int, labels: int = 0) -> nn.Module:
        """Build the network for so many channels and labels.

        Raises:
            RecipeError: The images cannot be cut or halved as the network does, or its library is
                not installed.
        """
        if self.voxels and isinstance(self.network, UNet):
            beside = SIDES * channels
            return self.network.denoiser(self.shape[1:], channels, labels + PLACE, beside)
        return self.network.denoiser(self.shape, channels, labels)

    @property
    def stacked(self) -> bool:
        """Say whether volumes are drawn, slice by slice."""
        return self.voxels is not None and isinstance(self.network, UNet)

    def latent(self, channels: int) -> int:
        """Give the length of the latent vector: it has a number for each pixel."""
        return channels * prod(self.shape)

    def suited(self, channels: int) -> "FlowRecipe":
        """Give the recipe as it is trained on images of so many channels, those of maps included.

        What was said of `network.outer` stays as it was said.
        """
        told = any(change.startswith("network.outer") for change in self.changes)
        if told or self.voxels or not isinstance(self.network, UNet):
            return self
        return self.model_copy(update={"network": self.network.suited(channels)})

    def rate(self, images: int) -> float:
        """Give the rate of learning after so many images, as a share of the optimiser's."""
        left = 1 - images / self.images
        rising = min(1.0, (images + self.batch) / self.warm_up) if self.warm_up else 1.0
        falling = min(1.0, left / self.cool_down) if self.cool_down else 1.0
        return rising * max(falling, LEAST_RATE)


AnyRecipe = Annotated[GanRecipe | FlowRecipe, Field(discriminator="kind")]


def read_recipe(values: Any, what: str) -> AnyRecipe:
    """Make a recipe of the kind that plain data name; a GAN where they name none.

    Args:
        values: Keys and values, for example read from JSON.
        what: What to call it in the message, such as "recipe demo".

    Raises:
        RecipeError: A key is unknown, a value has the wrong type or range.
    """
    kinds: dict[str, type[GanRecipe | FlowRecipe]] = {"gan": GanRecipe, "flow": FlowRecipe}
    kind = values.get("kind", "gan") if isinstance(values, dict) else "gan"
    if kind not in kinds:
        raise RecipeError(unknown("kind", str(kind), list(kinds), what))
    return kinds[kind].of(values, what)


def _paths(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _paths(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def _leaves(value: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key in type(value).model_fields:
        field = getattr(value, key)
        if isinstance(field, BaseModel):
            yield from _leaves(field, f"{prefix}{key}.")
        else:
            yield prefix + key, field


def _parse(text: str) -> Any:
    """Read a value as JSON where it is (numbers, null), else as a word."""
    try:
        return json.loads(text)
    except ValueError:
        return text
